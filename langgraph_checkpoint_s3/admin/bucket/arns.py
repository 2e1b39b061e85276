"""ARNs of buckets and objects, for policies."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from botocore.loaders import create_loader

from langgraph_checkpoint_s3.errors import InvalidConfigError

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
