"""Reading and writing a thread's tombstones.

The rule, in full. A deletion writes the tombstones of what it is about to delete, and deletes after that.
If something of the thread stays, it first waits for `WAIT` seconds, lists again, and rewrites whatever
stays and borrows from what goes (`materialize.py`). A put that borrows reads the tombstones beside its PUT.
If they name none of its lenders, and both answers were there within `LATE` seconds, it is acknowledged: then
its PUT landed before any later deletion lists for the last time. Otherwise it reads them once more, after
its PUT: what they don't name then is safe too, since a deletion that begins later lists what has landed. If
they name a lender, the checkpoint is rewritten whole before it is acknowledged (`put.py`).

So an acknowledged checkpoint never lacks a lender that has a tombstone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

from langgraph_checkpoint_s3.errors import AccessDeniedError, ConflictError, CorruptObjectError
from langgraph_checkpoint_s3.format.borrowing import MAX_HORIZON
from langgraph_checkpoint_s3.format.tombstones import Group, Reason, Tombstones, decode_tombstones, name_of
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

LATE: Final = 2.0
"""Seconds within which a PUT and the tombstones beside it have to be answered."""
WAIT: Final = 3.0
"""Seconds between a deletion's tombstones and its last listing: more than `LATE`, as clocks run unevenly."""

LONGEST_LOAN: Final = MAX_HORIZON + 24 * 3600
"""Seconds for which an object may be borrowed from, by clocks that differ by less than a day."""
_FOREVER: Final = 1 << 40
_TRIES: Final = 16

_Answer: TypeAlias = "Body | NotFound | Failure"


def look(context: Context, thread: str) -> Attempted[Body | NotFound]:
    """Return the request that reads a thread's tombstones; `found` reads its answer.

    Args:
        context: The saver's.
        thread: The thread's folder.
    """
    return Attempted(GetObject(context.layout.tombstones(thread), keep=False))


def found(context: Context, thread: str, answer: _Answer) -> Plan[Tombstones | None]:
    """Return the tombstones that were read; `None` where absent objects may not be asked for.

    What is damaged is read once more: it may have been on its way here. If it is the same then, it is so.

    Without `s3:ListBucket` for the object's key, S3 answers 403 for what isn't there
    (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html).

    Args:
        context: The saver's.
        thread: The thread's folder.
        answer: To what `look` asks.

    Raises:
        CorruptObjectError: They can't be read.
        S3CheckpointError: The request failed.
    """
    _, tombstones = yield from _found(context, thread, answer)
    return tombstones


def read_tombstones(context: Context, thread: str) -> Plan[Tombstones | None]:
    """Read a thread's tombstones as they are now: see `found`."""
    return (yield from found(context, thread, (yield from ask(look(context, thread)))))


def _found(context: Context, thread: str, answer: _Answer) -> Plan[tuple[_Answer, Tombstones | None]]:
    """Return what `found` does, and the answer that it is from."""
    key = context.layout.tombstones(thread)
    damaged: _Answer | None = None
    for _ in range(_TRIES):
        try:
            return answer, _opened(key, answer)
        except CorruptObjectError:
            if answer == damaged:
                raise
        damaged = answer
        answer = yield from ask(look(context, thread))
    return answer, _opened(key, answer)


def _opened(key: str, answer: _Answer) -> Tombstones | None:
    if isinstance(answer, Body):
        return decode_tombstones(answer.data, key)
    if isinstance(answer, NotFound):
        return Tombstones()
    if isinstance(answer.error, AccessDeniedError):
        return None
    raise answer.error


def tombstone_name(key: str) -> bytes:
    """Return the name that an object has in its thread's tombstones."""
    return name_of(key.removeprefix(thread_of(key)))


def lending(folders: Iterable[Folder]) -> list[Entry]:
    """Return those of some folders' objects that others may borrow from, as their keys tell."""
    return [
        entry
        for folder in folders
        for entry, leaf in zip(folder.checkpoints, folder.leaves, strict=True)
        if leaf.lends
    ]


def borrowers(folders: Iterable[Folder]) -> list[tuple[Folder, Entry]]:
    """Return those of some folders' objects that borrow, as their keys tell, each with its folder."""
    return [
        (folder, entry)
        for folder in folders
        for entry, leaf in zip(folder.checkpoints, folder.leaves, strict=True)
        if leaf.borrows
    ]


def announce(
    context: Context, thread: str, entries: Sequence[Entry], reason: Reason, *, now: int = 0
) -> Plan[None]:
    """Write tombstones for objects that are about to go: a GET and a PUT.

    Args:
        context: The saver's.
        thread: The thread's folder.
        entries: The objects.
        reason: Why they go.
        now: A time, in seconds since 1970, that has passed by the store's clock, if all that is left of
            failed puts is known to be gone by then: older tombstones that nobody needs are left out.

    Raises:
        ConflictError: Others write them too, again and again.
    """
    names = frozenset(tombstone_name(entry.key) for entry in entries)
    until = int(max(entry.modified.timestamp() for entry in entries)) + LONGEST_LOAN
    yield from _change(context, thread, lambda old: old.plus(Group(names, until, reason), now))


def expect(context: Context, thread: str, keys: Iterable[str]) -> Plan[int]:
    """Write tombstones for objects that are about to come, until `retract` takes them out: a GET and a PUT.

    If that is cut short, readers pass over what borrows from those that didn't come.

    Args:
        context: The saver's.
        thread: The thread's folder.
        keys: The objects.

    Returns:
        The number to give to `retract`.

    Raises:
        ConflictError: Others write them too, again and again.
    """
    group = Group(frozenset(tombstone_name(key) for key in keys), _FOREVER, "coming")
    return (yield from _change(context, thread, lambda old: old.plus(group, 0)))


def retract(
    context: Context, thread: str, came: Iterable[str], last: int, stood: Iterable[str] = ()
) -> Plan[None]:
    """Take out the tombstones of objects that are there again.

    Args:
        context: The saver's.
        thread: The thread's folder.
        came: The objects that were written, or brought back.
        last: The number of the last deletion from before they came. The tombstones of later ones stay.
        stood: Objects that were expected, and there already. A deletion may be about to take them: only
            what expects them is taken out, as an earlier try leaves it that was cut short.

    Raises:
        ConflictError: Others write them too, again and again.
    """
    back = frozenset(tombstone_name(key) for key in came)
    there = back | {tombstone_name(key) for key in stood}
    yield from _change(context, thread, lambda old: old.minus(back, last, there))


def _change(context: Context, thread: str, change: Callable[[Tombstones], Tombstones]) -> Plan[int]:
    """Read, change and write, and return the last number.

    What is there is read first, also for stores that ignore conditions.
    """
    key = context.layout.tombstones(thread)
    refused: str | None = None
    for _ in range(_TRIES):
        first = yield from ask(look(context, thread))
        answer, old = yield from _found(context, thread, first)
        old = old or Tombstones()
        new = change(old)
        if new == old:
            return new.last
        etag = answer.etag if isinstance(answer, Body) else None
        # A store that refuses the ETag that it shows doesn't compare rightly (Ceph 16, in a bucket with
        # versions): there, nothing else helps.
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
