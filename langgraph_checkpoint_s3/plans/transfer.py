"""Transfer of whole objects: small ones in one request, large ones as parallel parts and ranges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple, Protocol

from langgraph_checkpoint_s3.config import MIN_PART
from langgraph_checkpoint_s3.errors import StorageUnavailableError
from langgraph_checkpoint_s3.format.pieces import Landing, Pieces
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


class Cache(Protocol):
    """A cache of bodies."""

    def has(self, key: str, etag: str | None) -> bool:
        """Return whether it has an object's whole body."""

    def keep(self, key: str, body: Body) -> None:
        """Cache an object's body."""


class Sizes(NamedTuple):
    """Size limits of transfers, in bytes.

    Attributes:
        multipart_threshold: The size from which an object is written in parts.
        part_size: The size of a part, and that up to which an object is read in one request.
        cache: The cache of bodies, where objects that were read in ranges are kept whole.
    """

    multipart_threshold: int
    part_size: int
    cache: Cache | None = None


def store(
    key: str,
    body: bytes | Pieces,
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


def overwrite(key: str, body: bytes | Pieces, sizes: Sizes, etag: str, tag: str | None = None) -> Plan[bool]:
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
        # The store compares ETags wrongly: it refused the right one.
        yield from store(key, body, sizes, tag=tag)
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
    body = upload.body if isinstance(upload.body, Pieces) else Pieces([upload.body])
    if isinstance(found, Body) and body.equals(found.data):
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
    wanted = [_read(entry, sizes) for entry in entries]
    answers = yield from ask_all(
        request for read in wanted for request in (read.requests if isinstance(read, Ranges) else (read,))
    )
    bodies: list[Body | NotFound] = []
    for entry, read in zip(entries, wanted, strict=True):
        if isinstance(read, GetObject):
            bodies.append(answers.pop(0))
            continue
        pieces = answers[: len(read.requests)]
        del answers[: len(read.requests)]
        body = read.body(pieces)
        if body is None or (isinstance(body, Body) and len(body.data) != body.size):
            body = yield from fetch_now(GetObject(entry.key, version=entry.version), sizes)
        elif sizes.cache is not None and entry.version is None and isinstance(body, Body):
            sizes.cache.keep(entry.key, body)
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
        rest = Ranges(now, head.size, sizes, head=head)
        body = rest.body((yield from ask_all(rest.requests)))
        if body is not None:
            return body
    # It is overwritten faster than it can be read in parts.
    return (yield from ask(now))


class Ranges:
    """Parallel reads of bytes of an object, which are received into the same memory.

    Args:
        request: A request for the object.
        end: The first byte not to read.
        sizes: How much to read at once.
        first: The first byte to read.
        head: The answer that has the bytes before those, if they were read.

    Attributes:
        requests: The requests.
    """

    def __init__(
        self, request: GetObject, end: int, sizes: Sizes, *, first: int = 0, head: Body | None = None
    ) -> None:
        self._head = head
        known = 0 if head is None else len(head.data)
        parts = list(_split(end - first - known, sizes.part_size))
        self._landing = _landing(end - first) if len(parts) + known > 1 else None
        view = self._landing.view if self._landing else None
        if view is not None and head is not None:
            view[:known] = head.data
        self.requests = [
            replace(
                request,
                keep=False,
                first=first + known + start,
                length=stop - start,
                into=None if view is None else view[known + start : known + stop],
            )
            for start, stop in parts
        ]

    def body(self, answers: Sequence[Body | NotFound]) -> Body | NotFound | None:
        """Return the bytes; `None` if the answers are of different versions of the object, or too short."""
        bodies = [answer for answer in answers if isinstance(answer, Body)]
        if not bodies:
            return NotFound()
        first = self._head or bodies[0]
        if len(bodies) < len(answers) or any(body.etag != first.etag for body in bodies):
            return None
        if self._landing is None:
            data = [*([self._head] if self._head else []), *bodies]
            return first if len(data) == 1 else Body(b"".join([b.data for b in data]), first.etag, first.size)
        for request, body in zip(self.requests, bodies, strict=True):
            into = request.into
            if into is not None and not body.landed:
                if len(body.data) != len(into):
                    return None
                into[:] = body.data
        for request in self.requests:
            if request.into is not None:
                request.into.release()
        return Body(self._landing.taken(), first.etag, first.size)


def _landing(size: int) -> Landing | None:
    """Return memory for this many bytes; `None` if there can't be as much: the size may be a lie."""
    try:
        return Landing(size)
    except (MemoryError, OverflowError):
        return None


def _read(entry: Entry, sizes: Sizes) -> GetObject | Ranges:
    whole = GetObject(
        entry.key, entry.etag, keep=entry.version is None, version=entry.version, listed=entry.size
    )
    if entry.size <= sizes.part_size or (sizes.cache is not None and sizes.cache.has(entry.key, entry.etag)):
        return whole
    return Ranges(whole, entry.size, sizes)


def _abort(key: str, upload_id: str, error: BaseException) -> Plan[None]:
    try:
        yield from ask(AbortUpload(key, upload_id))
    except Exception as second:  # noqa: BLE001  # the first error is the one to raise
        if hasattr(error, "add_note"):  # Python 3.11
            error.add_note(
                f"The multipart upload {upload_id} of {key} could not be aborted either ({second}); "
                "a lifecycle rule that aborts incomplete uploads frees its parts."
            )


def _parts(body: bytes | Pieces, part_size: int) -> Iterator[memoryview | Pieces]:
    """Split a body into parts of about the same size. They are views: nothing is copied."""
    pieces = body if isinstance(body, Pieces) else Pieces([body])
    for first, end in _split(len(body), part_size):
        yield pieces.between(first, end)


def _split(size: int, part_size: int) -> Iterator[tuple[int, int]]:
    """Split a size into as few parts as possible, of the same size: the longest one takes the most time.

    Only the last one may be shorter: S3 wants `MIN_PART` bytes of the others, and R2 as many of each.
    """
    even = -(-size // -(-size // part_size)) if size else part_size
    step = min(part_size, max(even, MIN_PART))
    for first in range(0, size, step):
        yield first, min(first + step, size)
