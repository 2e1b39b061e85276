"""`setup`: makes the bucket where it is missing, and tries what the saver will need."""

from __future__ import annotations

from typing import Any, Final, TypeVar

from langgraph_checkpoint_s3.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    S3CheckpointError,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.plans.plan import Plan, ask
from langgraph_checkpoint_s3.s3.requests import (
    Body,
    CreateBucket,
    DeleteObjects,
    GetObject,
    ListObjects,
    PutObject,
    Refused,
    Request,
)
from langgraph_checkpoint_s3.s3.settings import VERSIONING, PutSetting

T = TypeVar("T")

PROBE: Final = b"langgraph-checkpoint-s3 setup probe; may be deleted\n"
"""What a probe object holds."""


def probe_key(prefix: str, name: str) -> str:
    """Where a probe object lies: in a folder below the prefix that no thread can spell."""
    return f"{prefix}.probe/{name}"


def setup(prefix: str, nonce: str, *, versioning: bool) -> Plan[bool]:
    """Make the bucket ready and try reads, writes, lists, deletes and conditional writes.

    The probe is one small object under `{prefix}.probe/`, which no thread can spell.

    Args:
        prefix: The saver's.
        nonce: Something unique, for the probe's key.
        versioning: Whether to turn the bucket's versioning on.

    Returns:
        Whether the store honours `If-None-Match: *`, and so keeps first writes first.

    Raises:
        BucketNotFoundError: There is no bucket, and it can't be made.
        AccessDeniedError: Permissions are missing; the message names all that were found to be.
        StorageUnavailableError: The store doesn't read back or list what was written.
    """
    denied: list[AccessDeniedError] = []
    key = probe_key(prefix, nonce)
    try:
        page = yield from _allowed(ListObjects(key), denied)
    except BucketNotFoundError:
        yield from _create()
        page = yield from _allowed(ListObjects(key), denied)
    if versioning:
        yield from _allowed(PutSetting(VERSIONING, {"Status": "Enabled"}), denied)
    conditional = True
    if (yield from _allowed(PutObject(key, PROBE, only_new=True), denied)) is not None:
        again = yield from _allowed(PutObject(key, PROBE, only_new=True), denied)
        conditional = isinstance(again, Refused)
        body = yield from _allowed(GetObject(key), denied)
        if page is not None:
            page = yield from ask(ListObjects(key))
        yield from _allowed(DeleteObjects((key,)), denied)
        _check(body, page, key)
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


def _check(body: Any, page: Any, key: str) -> None:
    problem: S3CheckpointError | None = None
    if body is not None and not (isinstance(body, Body) and body.data == PROBE):
        problem = StorageUnavailableError("The store doesn't give back what was just written", key=key)
    elif page is not None and key not in [entry.key for entry in page.entries]:
        problem = StorageUnavailableError("The store doesn't list what was just written", key=key)
    if problem:
        raise problem
