"""IAM policies with the least that each of four roles needs, read off the requests that it sends. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, get_args

from langgraph_checkpoint_s3.admin.bucket.arns import Arns, named_bucket, partition_of
from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.s3 import bucket_settings
from langgraph_checkpoint_s3.s3.admin_requests import (
    DeleteVersions,
    InspectBucket,
    InspectObject,
    ListUploads,
    ListVersions,
    RestoreObject,
)
from langgraph_checkpoint_s3.s3.requests import (
    AbortUpload,
    CompareAndSwap,
    CompleteUpload,
    CopyObject,
    CreateBucket,
    CreateUpload,
    DeleteObjects,
    GetObject,
    GetWithAge,
    HeadObject,
    ListObjects,
    PutObject,
    Request,
    UploadPart,
)

Role: TypeAlias = Literal["runtime", "read-only", "retention", "administration"]
"""Who works on a bucket. See `BucketSetup.iam_policy`."""

_READ: Final = (ListObjects, GetObject, HeadObject)
_RUN: Final = (
    *_READ,
    PutObject,
    CompareAndSwap,
    GetWithAge,
    CopyObject,
    DeleteObjects,
    CreateUpload,
    UploadPart,
    CompleteUpload,
    AbortUpload,
)
REQUESTS: Final[Mapping[Role, tuple[type[Request[Any]], ...]]] = {
    "read-only": _READ,
    "runtime": _RUN,
    "retention": (*_RUN, ListVersions, DeleteVersions, ListUploads, InspectObject, RestoreObject),
    "administration": (CreateBucket, InspectBucket),
}
"""What each role sends. The bucket's settings come on top, and are administration's alone."""

_BY_PREFIX: Final = frozenset({"s3:ListBucket", "s3:ListBucketVersions"})
"""Actions on the bucket whose requests say a prefix, which can be held against a condition."""
_DELETIONS: Final = frozenset({"s3:DeleteObject", "s3:DeleteObjectVersion"})
_ON_THE_BUCKET: Final = frozenset({"s3:ListBucketMultipartUploads", "s3:CreateBucket"})
"""Actions on the bucket as a whole. All others are on objects."""


def iam_policy(
    config: S3Config,
    features: Sequence[Role] = ("runtime",),
    *,
    kms_key_id: str | None = None,
    replication_role: str | None = None,
    partition: str | None = None,
    whole_bucket: bool = False,
) -> dict[str, Any]:
    """The policy. See `BucketSetup.iam_policy`.

    Raises:
        InvalidConfigError: There is no such role, or the bucket can't be named in a policy.
    """
    _check(features)
    arns = Arns.of(config.bucket, partition or partition_of(config.region))
    sent = {request for role in features for request in REQUESTS[role]}
    actions = set(_split(request.action for request in sent - {InspectBucket}))
    if ListVersions in sent:
        actions.add("s3:GetObjectVersion")  # in the place of s3:GetObject, for old ones
    if config.object_tags and PutObject in sent:
        actions |= {"s3:PutObjectTagging", "s3:GetObjectTagging"}
    on_bucket = actions & _ON_THE_BUCKET
    if ListVersions in sent:
        on_bucket.add(bucket_settings.VERSIONING.read_action)  # undelete_thread tells who never kept versions
    if "administration" in features:
        named_bucket(config.bucket)
        # HeadBucket says no prefix, so this can't be narrowed to one.
        on_bucket |= {InspectBucket.action, *_split(_setting_actions())} - {"iam:PassRole"}
    within = f"{config.prefix}*"
    narrowed = bool(config.prefix) and not whole_bucket
    by_prefix = ("StringLike", "s3:prefix", within) if narrowed else ()
    statements = [
        _allow("Objects", actions - _BY_PREFIX - _ON_THE_BUCKET, f"{arns.objects}{within}"),
        _allow("Listing", actions & _BY_PREFIX, arns.bucket, *by_prefix),
        _allow("Bucket", on_bucket, arns.bucket),
        _allow("Deletion", actions & _DELETIONS if whole_bucket else (), arns.bucket),
        _on_key(kms_key_id or config.kms_key_id, arns.partition, config.region, sent),
    ]
    if replication_role is not None:
        passed = ("StringEquals", "iam:PassedToService", "s3.amazonaws.com")
        statements.append(_allow("ReplicationRole", {"iam:PassRole"}, replication_role, *passed))
    return {"Version": "2012-10-17", "Statement": [each for each in statements if each["Action"]]}


def _check(features: Collection[str]) -> None:
    known = get_args(Role)
    if isinstance(features, str) or not features or not set(features) <= set(known):
        raise InvalidConfigError(
            f"features={features!r} must be roles in a tuple, such as ('runtime',). There are: "
            f"{', '.join(known)}."
        )


def _setting_actions() -> Iterable[str]:
    for setting in bucket_settings.ALL:
        yield setting.read_action
        yield setting.write_action


def _split(actions: Iterable[str]) -> Iterable[str]:
    """Actions one by one: a request may need several, `a and b`."""
    for action in actions:
        yield from action.split(" and ")


def _allow(sid: str, actions: Collection[str], resource: str, *condition: str) -> dict[str, Any]:
    """A statement; `condition` is an operator, a key and a value."""
    made: dict[str, Any] = {
        "Sid": sid,
        "Effect": "Allow",
        "Action": sorted(actions),
        "Resource": resource,
    }
    if condition:
        operator, key, value = condition
        made["Condition"] = {operator: {key: value}}
    return made


def _on_key(
    key: str | None, partition: str, region: str | None, sent: Collection[type[Request[Any]]]
) -> dict[str, Any]:
    """What goes with objects that a key of KMS encrypts; nothing for Amazon's own key, which needs nothing.

    Reading needs Decrypt, and so does an upload in parts
    (https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html).
    """
    actions = {"kms:Decrypt"} if GetObject in sent else set()
    if PutObject in sent:
        actions.add("kms:GenerateDataKey")
    if key is None or not actions:
        return _allow("Key", (), "")
    head, found, alias = key.partition("alias/")
    if found:  # an alias is no resource of a policy: the key that has it is
        keys = f"{head}key/*" if head else f"arn:{partition}:kms:{region or '*'}:*:key/*"
        return _allow("Key", actions, keys, "ForAnyValue:StringEquals", "kms:ResourceAliases", found + alias)
    arn = key if key.startswith("arn:") else f"arn:{partition}:kms:{region or '*'}:*:key/{key}"
    return _allow("Key", actions, arn)
