"""Rules for settings: a bucket's name, a prefix, a storage class, tags, a region, an address.

Other stores allow more than AWS: where such a store's address is set, the rules are the wider ones.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.format.keys import MAX_SEGMENT_BYTES, THREAD_SUFFIX

CLASSES: Final = (
    *("STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "REDUCED_REDUNDANCY"),
)
"""AWS's storage classes that an object can be read from at once, in a bucket of the usual kind."""
ARCHIVES: Final = ("GLACIER", "DEEP_ARCHIVE")
"""Those from which nothing can be read before it was restored, on AWS and on others that know the names."""
OTHER_BUCKETS: Final = (
    *("EXPRESS_ONEZONE", "OUTPOSTS", "SNOW", "FSX_OPENZFS", "FSX_ONTAP"),
    *("AWS_BACKUP_WARM", "AWS_BACKUP_LOW_COST_WARM"),
)
"""Those of other services and kinds of buckets."""

_ANY_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,62}")
_AWS_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ADDRESS: Final = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_ACCESS_POINT: Final = re.compile(
    r"arn:aws[a-z0-9-]*:(?:s3|s3-object-lambda):[a-z0-9-]*:[0-9]{12}:accesspoint[/:][A-Za-z0-9.-]+"
    r"|arn:aws[a-z0-9-]*:s3-outposts:[a-z0-9-]+:[0-9]{12}:outpost[/:][A-Za-z0-9-]+[/:]accesspoint[/:][A-Za-z0-9-]+"
)
_BUCKETS_ARN: Final = re.compile(r"arn:aws[a-z0-9-]*:s3:::([^/]+)")
_DIRECTORIES: Final = ("--x-s3", "--xa-s3")
_RESERVED_BEGINNINGS: Final = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_ENDS: Final = (".mrap", "--table-s3")
_PREFIX: Final = re.compile(r"(?:[A-Za-z0-9_.=-]+/)*")
_REGION: Final = re.compile(r"(?![0-9]+$)(?!-)[A-Za-z0-9-]{1,63}(?<!-)")  # as botocore has it
_CLASS: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_URL: Final = re.compile(r"[!-~]+")
_TAG_SIGNS: Final = frozenset("+-=._:/@")
_MOST_TAGS: Final = 10
_LONGEST_TAG: Final = 128
_LONGEST_VALUE: Final = 256
_ELSEWHERE: Final = "If the store isn't AWS, set endpoint_url"


def is_aws(endpoint_url: str) -> bool:
    """Return whether an address is one of AWS's own."""
    try:
        host = urlsplit(endpoint_url).hostname or ""
    except ValueError:  # no address at all, which the client says
        return False
    return host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu", ".api.aws"))


def is_arn(bucket: str) -> bool:
    """Return whether a bucket is named by an ARN rather than by its name."""
    return bucket.startswith("arn:")


def check_bucket(bucket: str, *, on_aws: bool) -> None:
    """Check a bucket's name, or an access point's ARN.

    Raises:
        InvalidConfigError: It can't be one, or not on AWS.
    """
    if bucket.endswith(_DIRECTORIES) or ":s3express:" in bucket:
        raise InvalidConfigError(
            f"bucket={bucket!r} is a directory bucket (S3 Express One Zone), which lists keys in no order, "
            "so that the latest checkpoint can't be found: use a general purpose bucket."
        )
    if is_arn(bucket):
        _check_arn(bucket)
    elif not _ANY_BUCKET.fullmatch(bucket):
        raise InvalidConfigError(
            f"bucket={bucket!r} is not a bucket's name: 3 to 63 letters, digits, dots and hyphens."
        )
    elif _ADDRESS.fullmatch(bucket):
        raise InvalidConfigError(
            f"bucket={bucket!r} is not a bucket's name: it looks like an IP address. A store's address "
            "goes into endpoint_url."
        )
    elif on_aws and (problem := _problem_on_aws(bucket)):
        raise InvalidConfigError(f"bucket={bucket!r} is not a bucket's name on AWS: {problem}. {_ELSEWHERE}.")


def check_storage_class(name: str, *, on_aws: bool) -> None:
    """Check a storage class.

    Raises:
        InvalidConfigError: Objects of it can't be read at once, or AWS has no such class.
    """
    if name in ARCHIVES:
        raise InvalidConfigError(
            f"storage_class={name!r}: objects of an archive class can't be read until they were restored, "
            "which takes hours, so no checkpoint could be. Use GLACIER_IR or INTELLIGENT_TIERING, or archive "
            "old checkpoints with S3Admin.set_lifecycle_policy."
        )
    if on_aws and name in OTHER_BUCKETS:
        raise InvalidConfigError(
            f"storage_class={name!r} is of another service or kind of bucket. For this one there are: "
            f"{', '.join(CLASSES)}."
        )
    if on_aws and name not in CLASSES:
        raise InvalidConfigError(
            f"storage_class={name!r} is none of {', '.join(CLASSES)}. {_ELSEWHERE}: others have classes of "
            "their own."
        )
    if not _CLASS.fullmatch(name):
        raise InvalidConfigError(f"storage_class={name!r} is not the name of a storage class.")


def check_tags(tags: Mapping[str, str]) -> None:
    """Check an object's tags.

    Raises:
        InvalidConfigError: S3 doesn't take them.
    """
    if len(tags) > _MOST_TAGS:
        raise InvalidConfigError(f"object_tags has {len(tags)} tags, and S3 takes {_MOST_TAGS}.")
    for name, value in tags.items():
        shown = f"{name[:40]}…" if len(name) > _LONGEST_TAG else name
        if not name:
            raise InvalidConfigError("object_tags has a tag without a name.")
        if name.lower().startswith("aws:"):
            raise InvalidConfigError(
                f"object_tags: the tag {shown!r} begins with aws:, which only AWS may set."
            )
        for what, text, longest in (("name", name, _LONGEST_TAG), ("value", value, _LONGEST_VALUE)):
            if len(text) > longest:
                raise InvalidConfigError(
                    f"object_tags: the {what} of the tag {shown!r} has {len(text)} characters, and S3 takes "
                    f"{longest}."
                )
            wrong = next((sign for sign in text if not _goes_into_tags(sign)), None)
            if wrong is not None:
                raise InvalidConfigError(
                    f"object_tags: the {what} of the tag {shown!r} holds {wrong!r}. S3 takes letters, "
                    "digits, "
                    "spaces and + - = . _ : / @"
                )


def check_region(region: str) -> None:
    """Check a region's name, which becomes part of an address.

    Raises:
        InvalidConfigError: It can't be one.
    """
    if not _REGION.fullmatch(region):
        raise InvalidConfigError(f"region={region!r} is not a region's name, such as eu-west-1.")


def check_endpoint(endpoint_url: str) -> None:
    """Check a store's address. What may hold a password isn't repeated in an error.

    Raises:
        InvalidConfigError: It isn't one, or holds credentials.
    """
    try:
        url = urlsplit(endpoint_url)
        hidden = url.username is not None or url.password is not None or "@" in endpoint_url
        fits = url.scheme in ("http", "https") and url.hostname and url.port != 0
    except ValueError:
        hidden, fits = "@" in endpoint_url, False
    if hidden:
        raise InvalidConfigError("endpoint_url must hold no credentials: those come from AWS's own chain.")
    if not fits or not _URL.fullmatch(endpoint_url):
        raise InvalidConfigError(f"endpoint_url={endpoint_url!r} is not an http:// or https:// URL.")


def normalize_prefix(prefix: str) -> str:
    """Return the prefix as keys begin with it: empty, or ending in `/`.

    Raises:
        InvalidConfigError: It holds what some store mangles, or could be taken for a thread.
    """
    normal = prefix if not prefix or prefix.endswith("/") else prefix + "/"
    if not _PREFIX.fullmatch(normal):
        raise InvalidConfigError(
            f"prefix={prefix!r}: a prefix is made of letters, digits and _ . = - in segments that a / ends; "
            "it neither begins with / nor holds //."
        )
    for segment in normal.split("/"):
        if len(segment) > MAX_SEGMENT_BYTES:
            raise InvalidConfigError(
                f"prefix={prefix!r}: a segment has {len(segment)} characters, and stores that keep files "
                f"take {MAX_SEGMENT_BYTES}."
            )
        if segment in (".", ".."):
            raise InvalidConfigError(
                f"prefix={prefix!r}: a segment {segment!r} means another folder to many tools."
            )
        if segment.endswith(THREAD_SUFFIX):
            raise InvalidConfigError(
                f"prefix={prefix!r}: the segment {segment!r} ends in {THREAD_SUFFIX}, as threads' folders "
                "do, and would be taken for one by a saver above it."
            )
    return normal


def check_type(name: str, kind: str, value: object) -> None:
    """Check a value against its annotation, of which there are only simple ones.

    Raises:
        InvalidConfigError: It is of another type.
    """
    if value is None and kind.endswith("| None"):
        return
    simple = kind.removesuffix(" | None")
    fits = {
        "bool": isinstance(value, bool),
        "int": isinstance(value, int) and not isinstance(value, bool),
        "float": isinstance(value, (int, float)) and not isinstance(value, bool),
        "Mapping[str, str]": isinstance(value, Mapping)
        and all(isinstance(text, str) for pair in value.items() for text in pair),
    }.get(simple, isinstance(value, str))
    if not fits:
        raise InvalidConfigError(f"{name}={value!r} must be of type {simple}.")


def in_range(name: str, value: float, least: float, most: float | None) -> None:
    """Check that a number lies within its limits.

    Raises:
        InvalidConfigError: It doesn't.
    """
    if not least <= value or (most is not None and value > most):  # NaN is not at least anything
        limits = f"at least {least}" if most is None else f"from {least} to {most}"
        raise InvalidConfigError(f"{name}={value} must be {limits}.")


def _check_arn(arn: str) -> None:
    if named := _BUCKETS_ARN.fullmatch(arn):
        raise InvalidConfigError(f"bucket={arn!r} is a bucket's ARN: give its name alone, {named[1]!r}.")
    if not _ACCESS_POINT.fullmatch(arn):
        raise InvalidConfigError(
            f"bucket={arn!r} is not the ARN of an access point, such as "
            "arn:aws:s3:eu-west-1:123456789012:accesspoint/NAME."
        )


def _problem_on_aws(bucket: str) -> str | None:
    """Return the rule of AWS that a bucket's name breaks; `None` if it breaks none.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
    """
    if not _AWS_BUCKET.fullmatch(bucket):
        return (
            "it has lowercase letters, digits, dots and hyphens, and begins and ends with a letter or digit"
        )
    if ".." in bucket:
        return "two dots never stand side by side"
    for part in _RESERVED_BEGINNINGS:
        if bucket.startswith(part):
            return f"AWS reserves names that begin with {part}"
    for part in _RESERVED_ENDS:
        if bucket.endswith(part):
            return f"AWS reserves names that end with {part}"
    return None


def _goes_into_tags(sign: str) -> bool:
    return sign in _TAG_SIGNS or unicodedata.category(sign)[0] in "LNZ"
