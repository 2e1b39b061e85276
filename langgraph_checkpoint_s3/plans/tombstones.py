"""Tombstones of a thread: the names of objects that are about to be deleted.

The protocol, which docs/design.md explains under "Deleting and borrowing":

- A deletion writes tombstones for its objects before it deletes them. If anything of the thread stays, the
  deletion then waits `DELETION_WAIT` seconds, lists again, and rewrites every checkpoint that stays and
  borrows from what goes (`materialize.py`).
- A put that borrows reads the tombstones beside its PUT. If they name none of its lenders, and both requests
  were answered within `PUT_LIMIT` seconds, it is acknowledged: its PUT landed before any later deletion
  lists for the last time.
- Otherwise the put reads the tombstones once more, after its PUT. What they don't name then is safe, since a
  later deletion lists what has landed. If they name a lender, the put rewrites its checkpoint whole before
  it is acknowledged (`put.py`).

So an acknowledged checkpoint never lacks a lender that has a tombstone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

from langgraph_checkpoint_s3.errors import AccessDeniedError, ConflictError, CorruptObjectError
from langgraph_checkpoint_s3.format.borrowing import MAX_HORIZON
from langgraph_checkpoint_s3.format.tombstones import (
    Group,
    Reason,
    Tombstones,
    decode_tombstones,
    tombstone_digest,
)
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.place import thread_of
from langgraph_checkpoint_s3.plans.plan import Plan, ask
from langgraph_checkpoint_s3.plans.scan import Folder
from langgraph_checkpoint_s3.s3.requests import (
    Attempted,
    Body,
    Entry,
    Failure,
    GetObject,
    NotFound,
    PutObject,
    Stored,
)

PUT_LIMIT: Final = 2.0
"""Seconds within which a PUT and the read of tombstones beside it must be answered."""
DELETION_WAIT: Final = 3.0
"""Seconds between writing tombstones and listing again. More than `PUT_LIMIT`: clocks don't run evenly."""
MAX_BORROW_SECONDS: Final = MAX_HORIZON + 24 * 3600
"""Seconds for which an object may be borrowed from, if clocks differ by less than a day."""
_FOREVER: Final = 1 << 40
_TRIES: Final = 16

_Answer: TypeAlias = "Body | NotFound | Failure"


def tombstones_request(context: Context, thread: str) -> Attempted[Body | NotFound]:
    """Return the request for the tombstones of a thread (a folder), for `parse_tombstones`."""
    return Attempted(GetObject(context.layout.tombstones(thread), keep=False))


def parse_tombstones(context: Context, thread: str, answer: _Answer) -> Plan[Tombstones | None]:
    """Return the tombstones in an answer; `None` if absent objects can't be told from forbidden ones.

    Without `s3:ListBucket`, S3 answers 403 for an object that doesn't exist
    (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html).

    Raises:
        CorruptObjectError: They are damaged.
        S3CheckpointError: The request failed.
    """
    _, tombstones = yield from _parse(context, thread, answer)
    return tombstones


def read_tombstones(context: Context, thread: str) -> Plan[Tombstones | None]:
    """Read a thread's tombstones. The result is that of `parse_tombstones`."""
    answer = yield from ask(tombstones_request(context, thread))
    return (yield from parse_tombstones(context, thread, answer))


def _parse(context: Context, thread: str, answer: _Answer) -> Plan[tuple[_Answer, Tombstones | None]]:
    """Return the tombstones, and the answer that they are from.

    What can't be decoded is read again, since it may have been damaged in transit. If the same bytes come
    twice, the object itself is damaged.
    """
    key = context.layout.tombstones(thread)
    damaged: _Answer | None = None
    for _ in range(_TRIES):
        try:
            return answer, _decode(key, answer)
        except CorruptObjectError:
            if answer == damaged:
                raise
        damaged = answer
        answer = yield from ask(tombstones_request(context, thread))
    return answer, _decode(key, answer)


def _decode(key: str, answer: _Answer) -> Tombstones | None:
    if isinstance(answer, Body):
        return decode_tombstones(answer.data, key)
    if isinstance(answer, NotFound):
        return Tombstones()
    if isinstance(answer.error, AccessDeniedError):
        return None
    raise answer.error


def tombstone_name(key: str) -> bytes:
    """Return the name that an object has in its thread's tombstones."""
    return tombstone_digest(key.removeprefix(thread_of(key)))


def lenders_among(folders: Iterable[Folder]) -> list[Entry]:
    """Return the objects of folders that others may borrow from, judging by their keys."""
    return [
        entry
        for folder in folders
        for entry, leaf in zip(folder.checkpoints, folder.leaves, strict=True)
        if leaf.lends
    ]


def borrowers_among(folders: Iterable[Folder]) -> list[tuple[Folder, Entry]]:
    """Return the objects of folders that borrow, judging by their keys, each with its folder."""
    return [
        (folder, entry)
        for folder in folders
        for entry, leaf in zip(folder.checkpoints, folder.leaves, strict=True)
        if leaf.borrows
    ]


def add_tombstones(
    context: Context, thread: str, entries: Sequence[Entry], reason: Reason, *, now: int = 0
) -> Plan[None]:
    """Write tombstones for objects that are about to be deleted: a GET and a PUT.

    Args:
        context: The saver's.
        thread: The thread's folder.
        entries: The objects.
        reason: The reason of the deletion.
        now: A time that has passed by the store's clock, in seconds since 1970. Tombstones that expired
            before it are dropped, so pass it only if no object of a failed put is left that needs them.

    Raises:
        ConflictError: Other processes changed the tombstones at each attempt.
    """
    names = frozenset(tombstone_name(entry.key) for entry in entries)
    until = int(max(entry.modified.timestamp() for entry in entries)) + MAX_BORROW_SECONDS
    yield from _change(context, thread, lambda old: old.plus(Group(names, until, reason), now))


def add_coming(context: Context, thread: str, keys: Iterable[str]) -> Plan[int]:
    """Write tombstones for objects that are about to be created: a GET and a PUT.

    `remove_tombstones` removes them at the end. If the operation is interrupted, readers skip the checkpoints
    that borrow from objects which were not created.

    Returns:
        The number to pass to `remove_tombstones`.

    Raises:
        ConflictError: Other processes changed the tombstones at each attempt.
    """
    group = Group(frozenset(tombstone_name(key) for key in keys), _FOREVER, "coming")
    return (yield from _change(context, thread, lambda old: old.plus(group, 0)))


def remove_tombstones(
    context: Context, thread: str, written: Iterable[str], last: int, present: Iterable[str] = ()
) -> Plan[None]:
    """Remove the tombstones of objects that exist again.

    Args:
        context: The saver's.
        thread: The thread's folder.
        written: The objects that were written or restored.
        last: The number of the last tombstones from before they were written. Those of later deletions stay.
        present: Objects passed to `add_coming` that existed before. A deletion may be about to delete them,
            so they lose their tombstones as coming objects only, including those of an interrupted attempt.

    Raises:
        ConflictError: Other processes changed the tombstones at each attempt.
    """
    names = frozenset(tombstone_name(key) for key in written)
    there = names | {tombstone_name(key) for key in present}
    yield from _change(context, thread, lambda old: old.minus(names, last, there))


def _change(context: Context, thread: str, change: Callable[[Tombstones], Tombstones]) -> Plan[int]:
    """Change the tombstones by compare-and-swap, and return their last number.

    They are read before each write, also because some stores ignore the condition.
    """
    key = context.layout.tombstones(thread)
    refused: str | None = None
    for _ in range(_TRIES):
        first = yield from ask(tombstones_request(context, thread))
        answer, old = yield from _parse(context, thread, first)
        old = old or Tombstones()
        new = change(old)
        if new == old:
            return new.last
        etag = answer.etag if isinstance(answer, Body) else None
        # A store that refuses the ETag that it has just returned compares ETags wrongly (Ceph 16, in a bucket
        # with versions). The only way on is a write without a condition.
        expected = etag if etag != refused else None
        outcome = yield from ask(PutObject(key, new.encode(), only_new=etag is None, expected=expected))
        if isinstance(outcome, Stored):
            return new.last
        refused = expected
    raise ConflictError(
        "The thread's tombstones changed each time that they were about to be written, since others delete "
        "from it too; nothing was deleted. Try again",
        key=key,
    )
