"""Validation of settings: bucket name, prefix, storage class, tags, region, endpoint, types and ranges.

Other stores allow more than AWS. If the endpoint is such a store's, the wider rules apply.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin
from urllib.parse import urlsplit

from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.format.keys import MAX_SEGMENT_BYTES, THREAD_SUFFIX
from langgraph_checkpoint_s3.format.metadata_index import MAX_INDEXED
from langgraph_checkpoint_s3.format.retention import CLASS, DEFAULT, MAX_DAYS, PINNED, TAG

STORAGE_CLASSES: Final = (
    *("STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "REDUCED_REDUNDANCY"),
)
"""AWS's storage classes of general purpose buckets whose objects can be read at once."""
ARCHIVE_CLASSES: Final = ("GLACIER", "DEEP_ARCHIVE")
"""Storage classes whose objects must be restored before they can be read."""
OTHER_CLASSES: Final = (
    *("EXPRESS_ONEZONE", "OUTPOSTS", "SNOW", "FSX_OPENZFS", "FSX_ONTAP"),
    *("AWS_BACKUP_WARM", "AWS_BACKUP_LOW_COST_WARM"),
)
"""Storage classes of other services and kinds of buckets."""

_ANY_BUCKET: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{2,62}"
_AWS_BUCKET: Final = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
_IP_ADDRESS: Final = r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}"
_ACCESS_POINT: Final = (
    r"arn:aws[a-z0-9-]*:(?:s3|s3-object-lambda):[a-z0-9-]*:[0-9]{12}:accesspoint[/:][A-Za-z0-9.-]+"
    r"|arn:aws[a-z0-9-]*:s3-outposts:[a-z0-9-]+:[0-9]{12}:outpost[/:][A-Za-z0-9-]+[/:]accesspoint[/:][A-Za-z0-9-]+"
)
_BUCKET_ARN: Final = r"arn:aws[a-z0-9-]*:s3:::([^/]+)"
_DIRECTORY_BUCKET_SUFFIXES: Final = ("--x-s3", "--xa-s3")
_RESERVED_PREFIXES: Final = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_SUFFIXES: Final = (".mrap", "--table-s3")
_PREFIX: Final = r"(?:[A-Za-z0-9_.=-]+/)*"
_REGION: Final = r"(?![0-9]+$)(?!-)[A-Za-z0-9-]{1,63}(?<!-)"  # botocore's own rule
_CLASS: Final = r"[A-Za-z0-9_.-]{1,128}"
_URL: Final = r"[!-~]+"
_TAG_PUNCTUATION: Final = frozenset("+-=._:/@")
_MAX_TAGS: Final = 10
_MAX_TAG_NAME: Final = 128
_MAX_TAG_VALUE: Final = 256
_NOT_AWS: Final = "If the store isn't AWS, set endpoint_url"


def is_aws(endpoint_url: str) -> bool:
    """Return whether an endpoint is one of AWS's own."""
    try:
        host = urlsplit(endpoint_url).hostname or ""
    except ValueError:  # no URL at all, which the client reports
        return False
    return host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu", ".api.aws"))


def is_arn(bucket: str) -> bool:
    """Return whether a bucket is given by ARN rather than by name."""
    return bucket.startswith("arn:")


def check_bucket(bucket: str, *, on_aws: bool) -> None:
    """Check a bucket's name, or an access point's ARN.

    Raises:
        InvalidConfigError: It is malformed, or not allowed on AWS.
    """
    if bucket.endswith(_DIRECTORY_BUCKET_SUFFIXES) or ":s3express:" in bucket:
        raise InvalidConfigError(
            f"bucket={bucket!r} is a directory bucket (S3 Express One Zone), which lists keys in no order, "
            "so that the latest checkpoint can't be found: use a general purpose bucket."
        )
    if bucket.startswith("s3://"):
        raise InvalidConfigError(
            f"bucket={bucket!r} is a URI, not a bucket's name: use S3Saver.from_conn_string({bucket!r})."
        )
    if is_arn(bucket):
        _check_arn(bucket)
    elif not re.fullmatch(_ANY_BUCKET, bucket):
        raise InvalidConfigError(
            f"bucket={bucket!r} is not a bucket's name: 3 to 63 letters, digits, dots and hyphens."
        )
    elif re.fullmatch(_IP_ADDRESS, bucket):
        raise InvalidConfigError(
            f"bucket={bucket!r} is not a bucket's name: it looks like an IP address. A store's address "
            "goes into endpoint_url."
        )
    elif on_aws and (problem := _aws_name_problem(bucket)):
        raise InvalidConfigError(f"bucket={bucket!r} is not a bucket's name on AWS: {problem}. {_NOT_AWS}.")


def check_storage_class(name: str, *, on_aws: bool) -> None:
    """Check a storage class.

    Raises:
        InvalidConfigError: Its objects can't be read at once, or AWS has no such class.
    """
    if name in ARCHIVE_CLASSES:
        raise InvalidConfigError(
            f"storage_class={name!r}: objects of an archive class can't be read until they were restored, "
            "which takes hours, so no checkpoint could be. Use GLACIER_IR or INTELLIGENT_TIERING, or archive "
            "old checkpoints with S3Admin.set_lifecycle_policy."
        )
    if on_aws and name in OTHER_CLASSES:
        raise InvalidConfigError(
            f"storage_class={name!r} is of another service or kind of bucket. For this one there are: "
            f"{', '.join(STORAGE_CLASSES)}."
        )
    if on_aws and name not in STORAGE_CLASSES:
        raise InvalidConfigError(
            f"storage_class={name!r} is none of {', '.join(STORAGE_CLASSES)}. {_NOT_AWS}: others have "
            "classes of their own."
        )
    if not re.fullmatch(_CLASS, name):
        raise InvalidConfigError(f"storage_class={name!r} is not the name of a storage class.")


def check_tags(tags: Mapping[str, str]) -> None:
    """Check an object's tags.

    Raises:
        InvalidConfigError: S3 doesn't accept them.
    """
    if len(tags) > _MAX_TAGS:
        raise InvalidConfigError(f"object_tags has {len(tags)} tags, and S3 takes {_MAX_TAGS}.")
    for name, value in tags.items():
        shown = f"{name[:40]}…" if len(name) > _MAX_TAG_NAME else name
        if not name:
            raise InvalidConfigError("object_tags has a tag without a name.")
        if name.lower().startswith("aws:"):
            raise InvalidConfigError(
                f"object_tags: the tag {shown!r} begins with aws:, which only AWS may set."
            )
        for part, text, longest in (("name", name, _MAX_TAG_NAME), ("value", value, _MAX_TAG_VALUE)):
            if len(text) > longest:
                raise InvalidConfigError(
                    f"object_tags: the {part} of the tag {shown!r} has {len(text)} characters, and S3 takes "
                    f"{longest}."
                )
            wrong = next((char for char in text if not _is_allowed_in_tags(char)), None)
            if wrong is not None:
                raise InvalidConfigError(
                    f"object_tags: the {part} of the tag {shown!r} holds {wrong!r}. S3 takes letters, "
                    "digits, spaces and + - = . _ : / @"
                )


def check_indexed_metadata(names: tuple[str, ...]) -> None:
    """Check the names of indexed metadata.

    Raises:
        InvalidConfigError: There are too many, or one is empty, there twice, or in keys anyway.
    """
    if len(names) > MAX_INDEXED:
        raise InvalidConfigError(
            f"indexed_metadata has {len(names)} names, and keys have room for {MAX_INDEXED}."
        )
    for name in names:
        if not name or names.count(name) > 1:
            raise InvalidConfigError(f"indexed_metadata has the name {name!r} twice, or an empty one.")
        if name in ("source", "step", "run_id", "thread_id"):
            raise InvalidConfigError(f"indexed_metadata needn't name {name!r}: keys have it anyway.")


def check_retention(classes: Mapping[str, timedelta], tags: Mapping[str, str]) -> None:
    """Check the retention classes, and that the tags of objects leave room for theirs.

    Raises:
        InvalidConfigError: A name or a time is invalid, `default` is missing, or there are too many tags.
    """
    if not classes:
        return
    for name, days in classes.items():
        if not CLASS.fullmatch(name):
            raise InvalidConfigError(
                f"retention: {name!r} is not the name of a class: 1 to 32 letters, digits, _ and -."
            )
        if name == PINNED:
            raise InvalidConfigError(
                f"retention: the name {PINNED!r} is taken: S3Admin.pin_thread keeps a thread for ever."
            )
        if days % timedelta(days=1) or not timedelta(days=1) <= days <= timedelta(days=MAX_DAYS):
            raise InvalidConfigError(
                f"retention: {name!r} is kept for {days}, and S3 counts in whole days: from 1 to {MAX_DAYS}."
            )
    if DEFAULT not in classes:
        raise InvalidConfigError(
            f"retention has no class {DEFAULT!r}, which is for threads that name none: add "
            f"{DEFAULT!r}: timedelta(days=…)."
        )
    if len(tags) >= _MAX_TAGS or TAG in tags:
        raise InvalidConfigError(
            f"retention takes one of S3's {_MAX_TAGS} tags, {TAG}: object_tags may have {_MAX_TAGS - 1} "
            "others."
        )


def check_region(region: str) -> None:
    """Check a region's name, which becomes part of a URL.

    Raises:
        InvalidConfigError: It is malformed.
    """
    if not re.fullmatch(_REGION, region):
        raise InvalidConfigError(f"region={region!r} is not a region's name, such as eu-west-1.")


def check_endpoint(endpoint_url: str) -> None:
    """Check a store's URL. An error doesn't repeat a URL that may contain a password.

    Raises:
        InvalidConfigError: It is malformed, or contains credentials.
    """
    try:
        url = urlsplit(endpoint_url)
        has_credentials = url.username is not None or url.password is not None or "@" in endpoint_url
        is_http = url.scheme in ("http", "https") and url.hostname and url.port != 0
    except ValueError:
        has_credentials, is_http = "@" in endpoint_url, False
    if has_credentials:
        raise InvalidConfigError("endpoint_url must hold no credentials: those come from AWS's own chain.")
    if not is_http or not re.fullmatch(_URL, endpoint_url):
        raise InvalidConfigError(f"endpoint_url={endpoint_url!r} is not an http:// or https:// URL.")


def normalize_prefix(prefix: str) -> str:
    """Return the prefix as it is in keys: empty, or ending in `/`.

    Raises:
        InvalidConfigError: Some store would change it, or it could be taken for a thread.
    """
    normal = prefix if not prefix or prefix.endswith("/") else prefix + "/"
    if not re.fullmatch(_PREFIX, normal):
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


def non_optional(hint: Any) -> Any:
    """Return the `X` of a type `X | None`; any other type as it is."""
    if get_origin(hint) in (Union, UnionType):
        [hint] = [each for each in get_args(hint) if each is not NoneType]
    return hint


def check_type(name: str, hint: Any, value: object) -> None:
    """Check a value against its type.

    That is `str`, `bool`, `int`, `float`, a `Literal`, `Mapping[str, str]` or `tuple[str, ...]`. Any of them
    may be optional, as in `str | None`.

    Raises:
        InvalidConfigError: The value is of another type.
    """
    kind = non_optional(hint)
    if value is None and kind is not hint:
        return
    if get_origin(kind) is Literal:
        check_choice(name, value, get_args(kind))
        return
    plain = isinstance(kind, type) and get_origin(kind) is None
    shown = kind.__name__ if plain else str(kind).removeprefix("collections.abc.")
    if get_origin(kind) is tuple:
        fits = type(value) is tuple and all(isinstance(text, str) for text in value)
    elif get_origin(kind) is Mapping:
        _, item = get_args(kind)
        fits = isinstance(value, Mapping) and all(
            isinstance(text, str) and isinstance(each, item) for text, each in value.items()
        )
        shown = f"Mapping[str, {item.__name__}]"
    elif kind in (int, float):  # a bool is an int to Python
        fits = isinstance(value, (int, kind)) and not isinstance(value, bool)
    else:
        fits = isinstance(value, kind)
    if not fits:
        raise InvalidConfigError(f"{name}={value!r} must be of type {shown}.")


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Check that a value is one of several texts.

    Raises:
        InvalidConfigError: It isn't; the message names them.
    """
    if value not in choices:
        *others, last = map(repr, choices)
        hint = " It is a choice, not a switch." if isinstance(value, bool) else ""
        raise InvalidConfigError(f"{name}={value!r} must be {', '.join(others)} or {last}.{hint}")


def check_range(name: str, value: float, least: float, most: float | None) -> None:
    """Check that a number is within its limits.

    Raises:
        InvalidConfigError: It isn't.
    """
    if not least <= value or (most is not None and value > most):  # `not <=` also rejects NaN
        limits = f"at least {least}" if most is None else f"from {least} to {most}"
        raise InvalidConfigError(f"{name}={value} must be {limits}.")


def _check_arn(arn: str) -> None:
    if named := re.fullmatch(_BUCKET_ARN, arn):
        raise InvalidConfigError(f"bucket={arn!r} is a bucket's ARN: give its name alone, {named[1]!r}.")
    if not re.fullmatch(_ACCESS_POINT, arn):
        raise InvalidConfigError(
            f"bucket={arn!r} is not the ARN of an access point, such as "
            "arn:aws:s3:eu-west-1:123456789012:accesspoint/NAME."
        )


def _aws_name_problem(bucket: str) -> str | None:
    """Return the rule of AWS that a bucket's name breaks, if any.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
    """
    if not re.fullmatch(_AWS_BUCKET, bucket):
        return (
            "it has lowercase letters, digits, dots and hyphens, and begins and ends with a letter or digit"
        )
    if ".." in bucket:
        return "two dots never stand side by side"
    for prefix in _RESERVED_PREFIXES:
        if bucket.startswith(prefix):
            return f"AWS reserves names that begin with {prefix}"
    for suffix in _RESERVED_SUFFIXES:
        if bucket.endswith(suffix):
            return f"AWS reserves names that end with {suffix}"
    return None


def _is_allowed_in_tags(char: str) -> bool:
    return char in _TAG_PUNCTUATION or unicodedata.category(char)[0] in "LNZ"
