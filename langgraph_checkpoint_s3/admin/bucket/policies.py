"""IAM policies, and the bucket policy's statement that denies requests without TLS."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

from botocore.loaders import create_loader

from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.errors import InvalidConfigError, NotSupportedError
from langgraph_checkpoint_s3.memory.shelf import CACHE, STORE
from langgraph_checkpoint_s3.s3 import bucket_settings
from langgraph_checkpoint_s3.s3.admin_requests import (
    DeleteVersions,
    GetTags,
    InspectBucket,
    InspectObject,
    ListUploads,
    ListVersions,
    PutTags,
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

_BUCKET: Final = re.compile(r"arn:([a-z0-9-]+):s3:::([A-Za-z0-9][A-Za-z0-9._-]{2,62})")
_ACCESS_POINT: Final = re.compile(r"arn:([a-z0-9-]+):s3:[a-z0-9-]*:[0-9]{12}:accesspoint[:/][A-Za-z0-9._-]+")
# Read when the module is imported, and not when it is needed: that may be on an event loop.
_PARTITIONS: Final = tuple(
    (each["id"], re.compile(each["regionRegex"]))
    for each in create_loader().load_data("partitions")["partitions"]
)
_OTHERS: Final = {
    "-s3alias": "an access point's alias: policies name it by its ARN, so set bucket to that",
    "--ol-s3": "an Object Lambda access point's alias, which can't be written to",
    "--x-s3": "a directory bucket, whose only action is s3express:CreateSession",
}
TLS_ONLY: Final = "LanggraphCheckpointS3TlsOnly"
"""Sid of the statement. It covers the whole bucket, so all savers of a bucket share it."""
_VERSION: Final = "2012-10-17"
Role: TypeAlias = Literal["runtime", "read-only", "retention", "administration", "memory", "memory-read-only"]
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
    "retention": (
        *_RUN,
        ListVersions,
        DeleteVersions,
        ListUploads,
        InspectObject,
        RestoreObject,
        GetTags,
        PutTags,
    ),
    "administration": (CreateBucket, InspectBucket),
    "memory": tuple(each for each in _RUN if each not in (CompareAndSwap, GetWithAge, CopyObject)),
    "memory-read-only": _READ,
}
"""Requests of each role. `administration` alone also reads and writes the bucket's settings."""
_OF_MEMORY: Final = frozenset({"memory", "memory-read-only"})
"""Roles that reach long-term memory and the node cache only."""
_BY_PREFIX: Final = frozenset({"s3:ListBucket", "s3:ListBucketVersions"})
"""Actions on the bucket whose requests have a prefix, which a condition can restrict."""
_DELETIONS: Final = frozenset({"s3:DeleteObject", "s3:DeleteObjectVersion"})
_ON_THE_BUCKET: Final = frozenset({"s3:ListBucketMultipartUploads", "s3:CreateBucket"})
"""Actions on the bucket as a whole. All others apply to objects."""


@dataclass(frozen=True, slots=True)
class Arns:
    """ARNs of a bucket or access point, and of its objects.

    Attributes:
        partition: `aws`, `aws-cn`, …
        bucket: The ARN of the bucket or access point.
        objects: The prefix of its objects' ARNs, to which a key is appended.
    """

    partition: str
    bucket: str
    objects: str

    @classmethod
    def of(cls, bucket: str, partition: str) -> Arns:
        """Return the ARNs for a saver's `bucket`: a bucket's name, or the ARN of an access point."""
        if bucket.startswith("arn:"):
            match = _ACCESS_POINT.fullmatch(bucket)
            if match is None:
                raise InvalidConfigError(
                    f"bucket={bucket!r}: of ARNs, only those of S3's access points have a policy like this."
                )
            return cls(match[1], bucket, f"{bucket}/object/")
        for ending, what in _OTHERS.items():
            if bucket.endswith(ending):
                raise InvalidConfigError(f"bucket={bucket!r} is {what}.")
        arn = f"arn:{partition}:s3:::{bucket}"
        return cls(partition, arn, f"{arn}/")


def partition_of(region: str | None) -> str:
    """Return the partition of a region; `aws` if the region is unknown, or not one of Amazon's."""
    return next((name for name, pattern in _PARTITIONS if pattern.fullmatch(region or "")), "aws")


def bucket_arn(bucket: str, partition: str) -> str:
    """Return the ARN of a bucket, given its name or ARN."""
    arn = bucket if bucket.startswith("arn:") else f"arn:{partition}:s3:::{bucket}"
    if not _BUCKET.fullmatch(arn):
        raise InvalidConfigError(f"{bucket!r} is neither a bucket's name nor its ARN (arn:aws:s3:::name).")
    return arn


def named_bucket(bucket: str) -> str:
    """Return a saver's bucket. Raise `InvalidConfigError` for an access point, which has no settings."""
    if bucket.startswith("arn:"):
        raise InvalidConfigError(
            f"bucket={bucket!r} is an access point, and a bucket is set up under its own name: use an "
            "S3Admin for that."
        )
    return bucket


def tls_statement(arns: Arns) -> dict[str, Any]:
    """Return the statement that denies everything over plain HTTP.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/security-best-practices.html
    """
    return {
        "Sid": TLS_ONLY,
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arns.bucket, f"{arns.objects}*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def merge(policy: str | None, statement: Mapping[str, Any]) -> str | None:
    """Return a bucket policy with a statement added, or replaced by its Sid. Keep all else, in order.

    Return the same text if an equivalent statement exists.
    """
    document, statements = _parse(policy)
    if any(_normalized(each) == _normalized(statement) for each in statements):
        return policy
    others = [each for each in statements if each.get("Sid") != statement["Sid"]]
    return json.dumps({**document, "Statement": [*others, statement]}, ensure_ascii=False)


def without(policy: str | None, sid: str) -> str | None:
    """Return a bucket policy without the statement of a Sid; `None` if no statement is left."""
    document, statements = _parse(policy)
    others = [each for each in statements if each.get("Sid") != sid]
    if len(others) == len(statements):
        return policy
    return json.dumps({**document, "Statement": others}, ensure_ascii=False) if others else None


def _parse(policy: str | None) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a policy's document and its statements. Raise `NotSupportedError` if it isn't a policy."""
    try:
        document = {"Version": _VERSION} if policy is None else json.loads(policy)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise NotSupportedError(
            "The store answers the question for the bucket's policy with something that isn't one"
        )
    statements = document.get("Statement", [])
    return document, [statements] if isinstance(statements, dict) else list(statements)


def _normalized(statement: Mapping[str, Any]) -> dict[str, Any]:
    """Return a statement for comparison: without its Sid, in one of the spellings that IAM takes."""
    found = {name: value for name, value in statement.items() if name != "Sid"}
    if found.get("Principal") in ({"AWS": "*"}, {"AWS": ["*"]}):
        found["Principal"] = "*"
    for name in ("Action", "Resource"):
        if name in found:
            found[name] = frozenset(_as_list(found[name]))
    if "Condition" in found:
        found["Condition"] = {
            operator: {key: frozenset(map(_text, _as_list(values))) for key, values in keys.items()}
            for operator, keys in found["Condition"].items()
        }
    return found


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


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
    sent = {request for role in features if role not in _OF_MEMORY for request in REQUESTS[role]}
    of_memory = {request for role in features if role in _OF_MEMORY for request in REQUESTS[role]}
    tagged = bool(config.object_tags)
    actions = _actions(sent, tagged=tagged or bool(config.retention))
    if ListVersions in sent:
        actions.add("s3:GetObjectVersion")  # which old versions need instead of s3:GetObject
    on_bucket = actions & _ON_THE_BUCKET
    if ListVersions in sent:
        on_bucket.add(bucket_settings.VERSIONING.read_action)  # for undelete_thread
    if "administration" in features:
        named_bucket(config.bucket)
        # HeadBucket has no prefix, so a condition on the prefix would deny it.
        settings = {each.read_action for each in bucket_settings.ALL}
        settings |= {each.write_action for each in bucket_settings.ALL}
        on_bucket |= {InspectBucket.action, *_split(settings)} - {"iam:PassRole"}
    within, memory = f"{config.prefix}*", [f"{config.prefix}{name}*" for name in (STORE, CACHE)]
    by_prefix = ("StringLike", "s3:prefix", within) if config.prefix and not whole_bucket else ()
    by_memory = () if whole_bucket else ("StringLike", "s3:prefix", memory)
    on_memory = _actions(of_memory, tagged=tagged)
    deletions = (actions | on_memory) & _DELETIONS
    statements = [
        _allow("Objects", actions - _BY_PREFIX - _ON_THE_BUCKET, f"{arns.objects}{within}"),
        _allow("Listing", actions & _BY_PREFIX, arns.bucket, *by_prefix),
        _allow("Memory", on_memory - _BY_PREFIX, [f"{arns.objects}{each}" for each in memory]),
        _allow("MemoryListing", on_memory & _BY_PREFIX, arns.bucket, *by_memory),
        _allow("Bucket", on_bucket, arns.bucket),
        _allow("Deletion", deletions if whole_bucket else (), arns.bucket),
        _on_key(kms_key_id or config.kms_key_id, arns.partition, config.region, sent | of_memory),
    ]
    if replication_role is not None:
        passed = ("StringEquals", "iam:PassedToService", "s3.amazonaws.com")
        statements.append(_allow("ReplicationRole", {"iam:PassRole"}, replication_role, *passed))
    return {"Version": "2012-10-17", "Statement": [each for each in statements if each["Action"]]}


def _actions(sent: Collection[type[Request[Any]]], *, tagged: bool) -> set[str]:
    """Return the actions that requests need."""
    actions = _split(request.action for request in set(sent) - {InspectBucket})
    if tagged and PutObject in sent:
        actions |= {"s3:PutObjectTagging", "s3:GetObjectTagging"}
    return actions


def _split(actions: Iterable[str]) -> set[str]:
    """Return single actions: a request may need several, written `a and b`."""
    return {single for action in actions for single in action.split(" and ")}


def _allow(
    sid: str, actions: Collection[str], resource: str | list[str], *condition: str | list[str]
) -> dict[str, Any]:
    """Return a statement; `condition` is an operator, a key and a value."""
    statement: dict[str, Any] = {
        "Sid": sid,
        "Effect": "Allow",
        "Action": sorted(actions),
        "Resource": resource,
    }
    if condition:
        operator, key, value = condition
        statement["Condition"] = {str(operator): {str(key): value}}
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
