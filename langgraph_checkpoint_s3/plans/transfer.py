"""Transfer of whole objects: small ones in one request, large ones as parallel parts and ranges."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from langgraph_checkpoint_s3.errors import StorageUnavailableError
from langgraph_checkpoint_s3.plans.plan import Plan, ask, ask_all, gather
from langgraph_checkpoint_s3.s3.requests import (
    AbortUpload,
    Body,
    CompleteUpload,
    CreateUpload,
    Entry,
    GetObject,
    HeadObject,
    NotFound,
    PreconditionFailed,
    PutObject,
    Request,
    Stored,
    UploadPart,
)

_READ_TRIES = 3
_WINDOW: Final = 64
_WINDOW_BYTES: Final = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sizes:
    """Size limits of transfers, in bytes.

    Attributes:
        multipart_threshold: The size from which an object is transferred in parts.
        part_size: The size of a part.
        remembered: The largest object whose parts are cached. Those of a larger one would evict each other,
            and everything else.
    """

    multipart_threshold: int
    part_size: int
    remembered: int = sys.maxsize


def store(
    key: str,
    body: bytes,
    sizes: Sizes,
    *,
    only_new: bool = False,
    expected: str | None = None,
    beside: Sequence[Request[Any]] = (),
    raw: int = 0,
    strict: bool = False,
    tag: str | None = None,
) -> Plan[tuple[Stored | PreconditionFailed, list[Any]]]:
    """Write an object, in one PUT or as a multipart upload.

    A multipart upload that fails is aborted, since its parts would stay, invisible, and cost.

    Args:
        key: The object.
        body: Its bytes.
        sizes: When to upload in parts.
        only_new: Write it only if there is no such object.
        expected: Write it only if the object has this ETag.
        beside: Requests to send along with the one that creates the object.
        raw: The size of its content before compression.
        strict: If the store is known to ignore conditions, refuse the write instead of writing without one.
            Multipart uploads instead check the object first.
        tag: The value of its retention tag.

    Returns:
        The outcome, and the answers to `beside`.
    """
    if len(body) < sizes.multipart_threshold:
        put: list[Request[Any]] = [PutObject(key, body, only_new, expected, raw, strict, tag), *beside]
        outcome, *heads = yield from ask_all(put)
        return outcome, heads
    upload_id = yield from ask(CreateUpload(key, tag))
    try:
        conditional = only_new or expected is not None
        # Some stores ignore conditions when they complete an upload. So the object is looked at as well.
        probes: list[Request[Any]] = [HeadObject(key)] if conditional else []
        parts = enumerate(_parts(body, sizes.part_size), start=1)
        uploads = [UploadPart(key, upload_id, number, part) for number, part in parts]
        answers = yield from ask_all([*uploads, *probes])
        if conditional and not _is_met(expected, answers.pop()):
            outcome, heads = PreconditionFailed(), (yield from ask_all(beside))
        else:
            complete = CompleteUpload(key, upload_id, tuple(answers), body, only_new, expected, raw)
            outcome, *heads = yield from ask_all([complete, *beside])
            if isinstance(outcome, NotFound):
                outcome = yield from _completed(complete, sizes)
    except GeneratorExit:
        raise
    except BaseException as error:
        yield from _abort(key, upload_id, error)
        raise
    if isinstance(outcome, PreconditionFailed):
        yield from ask(AbortUpload(key, upload_id))
    return outcome, heads


def overwrite(key: str, body: bytes, sizes: Sizes, etag: str, tag: str | None = None) -> Plan[bool]:
    """Replace the object that has this ETag, and no other. It gets the retention tag `tag`.

    Returns:
        Whether it was replaced. If not, the object is gone or has changed.
    """
    outcome, _ = yield from store(key, body, sizes, expected=etag, tag=tag)
    if isinstance(outcome, PreconditionFailed):
        # A 412 can follow our own first attempt if its response was lost. The object then differs as well,
        # and False makes the caller read it again.
        if not _is_met(etag, (yield from ask(HeadObject(key)))):
            return False
        yield from store(
            key, body, sizes, tag=tag
        )  # the store compares ETags wrongly: it refused the right one
    return True


def write_all(writes: Iterable[tuple[int, Plan[Any]]], sizes: Sizes) -> Plan[None]:
    """Run plans that write objects: small ones side by side, multipart uploads one after another.

    An error in the same batch as a CreateUpload would lose the upload's id, and so leave its parts behind.

    Args:
        writes: The plans, each with the size of its object.
        sizes: When to upload in parts.
    """
    small: list[Plan[Any]] = []
    large: list[Plan[Any]] = []
    for size, plan in writes:
        (small if size < sizes.multipart_threshold else large).append(plan)
    yield from gather(small)
    for plan in large:
        yield from plan


def _is_met(expected: str | None, found: Stored | NotFound) -> bool:
    """Return whether the store has the object that a write expects, or none if it expects none."""
    return (found.etag if isinstance(found, Stored) else None) == expected


def _completed(upload: CompleteUpload, sizes: Sizes) -> Plan[Stored | PreconditionFailed]:
    """Return the outcome of an upload that didn't exist any more when it was to be completed.

    Requests are sent again. So an attempt whose response was lost may have completed it, or
    another process aborted it. The stored bytes tell: no other object has the same ones.
    """
    found = yield from fetch_now(GetObject(upload.key), sizes)
    if isinstance(found, Body) and found.data == upload.body:
        return Stored(found.etag)
    if upload.expected is not None or (upload.only_new and isinstance(found, Body)):
        return PreconditionFailed()
    raise StorageUnavailableError(
        "The multipart upload was gone when it was to be completed, and its object isn't there: it was "
        "aborted, or the object deleted or overwritten at once. Try again",
        key=upload.key,
    )


def fetch(entries: Sequence[Entry], sizes: Sizes) -> Plan[list[Body | NotFound]]:
    """Read whole objects of a listing, all of them in one round trip.

    Large ones are read as parallel ranges. If one is overwritten meanwhile, its ranges have different ETags,
    and it is read again.
    """
    ranges = [_ranges(entry, sizes) for entry in entries]
    answers = yield from ask_all(request for requests in ranges for request in requests)
    bodies: list[Body | NotFound] = []
    for entry, requests in zip(entries, ranges, strict=True):
        pieces = answers[: len(requests)]
        del answers[: len(requests)]  # the driver holds this list: free the pieces once they are joined
        body = _join(pieces)
        if body is None:
            body = yield from fetch_now(GetObject(entry.key, version=entry.version), sizes)
        bodies.append(body)
    return bodies


def windows(stages: Iterable[Sequence[Entry]]) -> Iterator[list[Entry]]:
    """Split each stage into windows of limited count and size. An object above the limit is one by itself."""
    for stage in stages:
        window: list[Entry] = []
        size = 0
        for entry in stage:
            if window and (len(window) == _WINDOW or size + entry.size > _WINDOW_BYTES):
                yield window
                window, size = [], 0
            window.append(entry)
            size += entry.size
        if window:
            yield window


def fetch_now(now: GetObject, sizes: Sizes) -> Plan[Body | NotFound]:
    """Read a whole object from the store, bypassing the cache; in parts, if it is larger than one."""
    for _ in range(_READ_TRIES):
        head = yield from ask(replace(now, length=sizes.part_size))
        if isinstance(head, NotFound) or len(head.data) == head.size:
            return head
        rest = yield from ask_all(
            replace(now, first=first, length=sizes.part_size)
            for first in range(len(head.data), head.size, sizes.part_size)
        )
        body = _join([head, *rest])
        if body is not None:
            return body
    # It is overwritten faster than it can be read in parts.
    return (yield from ask(now))


def _ranges(entry: Entry, sizes: Sizes) -> list[Request[Body | NotFound]]:
    whole = GetObject(
        entry.key, entry.etag, keep=entry.version is None, version=entry.version, listed=entry.size
    )
    if entry.size < sizes.multipart_threshold:
        return [whole]
    keep = whole.keep and entry.size <= sizes.remembered
    return [
        replace(whole, keep=keep, first=first, length=min(sizes.part_size, entry.size - first))
        for first in range(0, entry.size, sizes.part_size)
    ]


def _join(pieces: Sequence[Body | NotFound]) -> Body | NotFound | None:
    """Join the pieces of an object. Return `None` if they are of different versions of it."""
    bodies = [piece for piece in pieces if isinstance(piece, Body)]
    if not bodies:
        return NotFound()
    first = bodies[0]
    if len(bodies) == len(pieces) == 1 and len(first.data) == first.size:
        return first
    if len(bodies) < len(pieces) or any(body.etag != first.etag for body in bodies):
        return None
    data = b"".join([body.data for body in bodies])
    return Body(data, first.etag, first.size) if len(data) == first.size else None


def _abort(key: str, upload_id: str, error: BaseException) -> Plan[None]:
    try:
        yield from ask(AbortUpload(key, upload_id))
    except Exception as second:  # noqa: BLE001  # the first error is the one to raise
        if hasattr(error, "add_note"):  # Python 3.11
            error.add_note(
                f"The multipart upload {upload_id} of {key} could not be aborted either ({second}); "
                "a lifecycle rule that aborts incomplete uploads frees its parts."
            )


def _parts(body: bytes, part_size: int) -> Iterator[memoryview]:
    """Split a body into parts. They are views, each copied only when it is sent."""
    view = memoryview(body)
    for start in range(0, len(body), part_size):
        yield view[start : start + part_size]
