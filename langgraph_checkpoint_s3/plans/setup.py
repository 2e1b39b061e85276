"""`setup`: makes the bucket where it is missing, and tries what the saver will need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

from langgraph_checkpoint_s3.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    NotSupportedError,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.plans.plan import Plan, ask, ask_all, return_errors
from langgraph_checkpoint_s3.plans.scan import Pages
from langgraph_checkpoint_s3.s3.bucket_settings import VERSIONING, PutSetting
from langgraph_checkpoint_s3.s3.requests import (
    Body,
    CreateBucket,
    DeleteObjects,
    GetObject,
    ListObjects,
    PreconditionFailed,
    PutObject,
    Request,
)

T = TypeVar("T")

PROBE: Final = b"langgraph-checkpoint-s3 setup probe; may be deleted\n"
"""What a probe object holds."""
NAMES: Final = ("-", "10", "9", "A", "_", "a", "one/1", "one/2", "two/1")
"""What probe objects are called, in S3's order: numbers and small letters sort otherwise with people."""
FOLDERS: Final = ("one/", "two/")
"""What a delimiter makes of them."""
FEW: Final = 4
"""How many are listed at once, so that there are several pages."""


def probe_key(prefix: str, name: str) -> str:
    """Where a probe object lies: in a folder below the prefix that no thread can spell."""
    return f"{prefix}.probe/{name}"


def setup(prefix: str, nonce: str, *, versioning: bool) -> Plan[bool]:
    """Make the bucket ready and try reads, writes, lists, deletes and conditional writes.

    The probe is a folder of small objects under `{prefix}.probe/`, which no thread can spell. They are listed
    a few at a time, so that their order and the store's way to go on are tried too.

    Args:
        prefix: The saver's.
        nonce: Something unique, for the probe's keys.
        versioning: Whether to turn the bucket's versioning on.

    Returns:
        Whether the store honours `If-None-Match: *`, and so keeps first writes first.

    Raises:
        BucketNotFoundError: There is no bucket, and it can't be made.
        AccessDeniedError: Permissions are missing; the message names all that were found to be.
        NotSupportedError: The store lists in another order than S3's.
        StorageUnavailableError: The store doesn't read back or list what was written.
    """
    denied: list[AccessDeniedError] = []
    folder = probe_key(prefix, f"{nonce}/")
    keys = tuple(sorted(folder + name for name in NAMES))
    try:
        seen = yield from _allowed(ListObjects(folder), denied)
    except BucketNotFoundError:
        yield from _create()
        seen = yield from _allowed(ListObjects(folder), denied)
    if versioning:
        yield from _allowed(PutSetting(VERSIONING, {"Status": "Enabled"}), denied)
    conditional = True
    first = PutObject(keys[0], PROBE, only_new=True)
    if (yield from _allowed(first, denied)) is not None:
        try:
            conditional = yield from _try(folder, keys, denied, listed=seen is not None)
        except GeneratorExit:
            raise
        except BaseException:
            yield from return_errors(ask(DeleteObjects(keys)))
            raise
        yield from _allowed(DeleteObjects(keys), denied)
    if denied:
        actions = ", ".join(dict.fromkeys(error.action or "?" for error in denied))
        raise AccessDeniedError(
            f"These credentials lack {actions}: {denied[0].reason}",
            action=denied[0].action,
            bucket=denied[0].bucket,
            key=denied[0].key,
            request_ids=denied[0].request_ids,
        ) from denied[0]
    return conditional


def _try(folder: str, keys: Sequence[str], denied: list[AccessDeniedError], *, listed: bool) -> Plan[bool]:
    """Write the rest of the probe, the first object once more, and look whether all of it reads and lists."""
    # Not in their order: nothing but their names shall bring them into it.
    rest = [PutObject(key, PROBE) for key in (*keys[2::2], *keys[1::2])]
    again, *_ = yield from ask_all([PutObject(keys[0], PROBE, only_new=True), *rest])
    body = yield from _allowed(GetObject(keys[0]), denied)
    if body is not None and not (isinstance(body, Body) and body.data == PROBE):
        raise StorageUnavailableError("The store doesn't give back what was just written", key=keys[0])
    if listed:
        found = [entry.key for entry in (yield from Pages(folder, first=FEW, page=FEW).rest())]
        if missing := set(keys).difference(found):
            raise StorageUnavailableError("The store doesn't list what was just written", key=min(missing))
        if found != sorted(found):
            raise NotSupportedError("The store lists keys in another order than S3's", key=folder)
    return isinstance(again, PreconditionFailed)


def _create() -> Plan[None]:
    try:
        yield from ask(CreateBucket())
    except AccessDeniedError as error:
        raise BucketNotFoundError(
            "The bucket doesn't exist, and these credentials may not make it (s3:CreateBucket). Make it, or "
            "check its name and region",
            bucket=error.bucket,
            request_ids=error.request_ids,
        ) from error


def _allowed(request: Request[T], denied: list[AccessDeniedError]) -> Plan[T | None]:
    """Ask, and note it where that isn't permitted."""
    try:
        return (yield from ask(request))
    except AccessDeniedError as error:
        if error.action is None:
            raise  # the credentials themselves are wrong: there's nothing more to find out
        denied.append(error)
        return None
