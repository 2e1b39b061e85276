"""Least-privilege IAM policies for four roles, derived from the requests that each sends."""

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
"""A role for the users of a bucket. See `S3Admin.iam_policy`."""

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
"""Requests of each role. `administration` alone also reads and writes the bucket's settings."""

_BY_PREFIX: Final = frozenset({"s3:ListBucket", "s3:ListBucketVersions"})
"""Actions on the bucket whose requests have a prefix, which a condition can restrict."""
_DELETIONS: Final = frozenset({"s3:DeleteObject", "s3:DeleteObjectVersion"})
_ON_THE_BUCKET: Final = frozenset({"s3:ListBucketMultipartUploads", "s3:CreateBucket"})
"""Actions on the bucket as a whole. All others apply to objects."""


def iam_policy(
    config: S3Config,
    features: Sequence[Role] = ("runtime",),
    *,
    kms_key_id: str | None = None,
    replication_role: str | None = None,
    partition: str | None = None,
    whole_bucket: bool = False,
) -> dict[str, Any]:
    """Return the policy. See `S3Admin.iam_policy`."""
    known = get_args(Role)
    if isinstance(features, str) or not features or not set(features) <= set(known):
        raise InvalidConfigError(
            f"features={features!r} must be roles in a tuple, such as ('runtime',). There are: "
            f"{', '.join(known)}."
        )
    arns = Arns.of(config.bucket, partition or partition_of(config.region))
    sent = {request for role in features for request in REQUESTS[role]}
    actions = _split(request.action for request in sent - {InspectBucket})
    if ListVersions in sent:
        actions.add("s3:GetObjectVersion")  # which old versions need instead of s3:GetObject
    if config.object_tags and PutObject in sent:
        actions |= {"s3:PutObjectTagging", "s3:GetObjectTagging"}
    on_bucket = actions & _ON_THE_BUCKET
    if ListVersions in sent:
        on_bucket.add(bucket_settings.VERSIONING.read_action)  # for undelete_thread
    if "administration" in features:
        named_bucket(config.bucket)
        # HeadBucket has no prefix, so a condition on the prefix would deny it.
        settings = {each.read_action for each in bucket_settings.ALL}
        settings |= {each.write_action for each in bucket_settings.ALL}
        on_bucket |= {InspectBucket.action, *_split(settings)} - {"iam:PassRole"}
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


def _split(actions: Iterable[str]) -> set[str]:
    """Return single actions: a request may need several, written `a and b`."""
    return {single for action in actions for single in action.split(" and ")}


def _allow(sid: str, actions: Collection[str], resource: str, *condition: str) -> dict[str, Any]:
    """Return a statement; `condition` is an operator, a key and a value."""
    statement: dict[str, Any] = {
        "Sid": sid,
        "Effect": "Allow",
        "Action": sorted(actions),
        "Resource": resource,
    }
    if condition:
        operator, key, value = condition
        statement["Condition"] = {operator: {key: value}}
    return statement


def _on_key(
    key: str | None, partition: str, region: str | None, sent: Collection[type[Request[Any]]]
) -> dict[str, Any]:
    """Return the statement for objects encrypted with a KMS key; without actions for Amazon's own key.

    Reading needs `kms:Decrypt`, and so does a multipart upload
    (https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html).
    """
    actions = {"kms:Decrypt"} if GetObject in sent else set()
    if PutObject in sent:
        actions.add("kms:GenerateDataKey")
    if key is None or not actions:
        return _allow("Key", (), "")
    head, found, alias = key.partition("alias/")
    if found:  # a policy can't name an alias as its resource, only the key behind it
        keys = f"{head}key/*" if head else f"arn:{partition}:kms:{region or '*'}:*:key/*"
        return _allow("Key", actions, keys, "ForAnyValue:StringEquals", "kms:ResourceAliases", found + alias)
    arn = key if key.startswith("arn:") else f"arn:{partition}:kms:{region or '*'}:*:key/{key}"
    return _allow("Key", actions, arn)
