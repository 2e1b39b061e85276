"""Names of buckets and objects as policies spell them: ARNs, whose first part depends on the region. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from langgraph_checkpoint_s3.errors import InvalidConfigError

_PARTITIONS: Final = (
    ("aws-cn", re.compile(r"cn-\w+-\d+")),
    ("aws-us-gov", re.compile(r"us-gov-\w+-\d+")),
    ("aws-eusc", re.compile(r"eusc-\w+-\w+-\d+")),
    ("aws-iso", re.compile(r"us-iso-\w+-\d+")),
    ("aws-iso-b", re.compile(r"us-isob-\w+-\d+")),
    ("aws-iso-e", re.compile(r"eu-isoe-\w+-\d+")),
    ("aws-iso-f", re.compile(r"us-isof-\w+-\d+")),
)
_BUCKET: Final = re.compile(r"arn:([a-z0-9-]+):s3:::([A-Za-z0-9][A-Za-z0-9._-]{2,62})")
_ACCESS_POINT: Final = re.compile(r"arn:([a-z0-9-]+):s3:[a-z0-9-]*:[0-9]{12}:accesspoint[:/][A-Za-z0-9._-]+")
_OTHERS: Final = {
    "-s3alias": "an access point's alias: policies name it by its ARN, so set bucket to that",
    "--ol-s3": "an Object Lambda access point's alias, which can't be written to",
    "--x-s3": "a directory bucket, whose only action is s3express:CreateSession",
}


@dataclass(frozen=True, slots=True)
class Arns:
    """A bucket, or an access point of one, as policies name it.

    Attributes:
        partition: `aws`, `aws-cn`, …
        bucket: The ARN of the bucket or access point.
        objects: What the ARNs of its objects begin with; a key goes behind it.
    """

    partition: str
    bucket: str
    objects: str

    @classmethod
    def of(cls, bucket: str, partition: str) -> Arns:
        """The ARNs of what a saver's `bucket` names, a bucket's name or an access point's ARN.

        Raises:
            InvalidConfigError: It is something that S3's actions don't apply to.
        """
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
    """The partition that a region is in; `aws` where it isn't known, or not one of Amazon's."""
    return next((name for name, form in _PARTITIONS if form.fullmatch(region or "")), "aws")


def bucket_arn(bucket: str, partition: str) -> str:
    """The ARN of a bucket that is given by its name or ARN.

    Raises:
        InvalidConfigError: It is neither.
    """
    arn = bucket if bucket.startswith("arn:") else f"arn:{partition}:s3:::{bucket}"
    if not _BUCKET.fullmatch(arn):
        raise InvalidConfigError(f"{bucket!r} is neither a bucket's name nor its ARN (arn:aws:s3:::name).")
    return arn


def named_bucket(bucket: str) -> str:
    """A saver's bucket, where only its name will do.

    Raises:
        InvalidConfigError: It is an access point: those have no settings of the bucket.
    """
    if bucket.startswith("arn:"):
        raise InvalidConfigError(
            f"bucket={bucket!r} is an access point, and a bucket is set up under its own name: use an "
            "S3Admin for that."
        )
    return bucket
