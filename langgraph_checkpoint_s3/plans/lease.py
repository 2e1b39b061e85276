"""A lease's plans: take it, renew it, release it, and try whether the store can keep one.

A lease is one object, changed by compare-and-swap alone (`CompareAndSwap`): each change names the ETag that
was read before. Each write has an owner and a number in it, so no two have the same ETag. After a refusal,
the object is read: owner and number tell if it was this writer's own write, whose reply got lost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from langgraph_checkpoint_s3.errors import CorruptObjectError, NotSupportedError, StorageUnavailableError
from langgraph_checkpoint_s3.format.lease_record import LeaseRecord
from langgraph_checkpoint_s3.plans.plan import Plan, ask, ask_all
from langgraph_checkpoint_s3.s3.requests import (
    AgedBody,
    Attempted,
    CompareAndSwap,
    DeleteObjects,
    GetWithAge,
    NotFound,
    Stored,
)

MARGIN: Final = 2.0
"""Seconds by which a lease outlives its ttl for everybody but its holder."""
_NOBODYS: Final = "0" * 32
"""An ETag that no object has."""
_TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class Held:
    """The lease is ours.

    Attributes:
        token: The fencing token.
        etag: The object's, which the next change must name.
    """

    token: int
    etag: str


@dataclass(frozen=True, slots=True)
class Taken:
    """The lease isn't ours.

    Attributes:
        holder: Whose it is, or was last; empty if its object is gone.
        left: For how many seconds, unless it is renewed; 0 if it can be taken.
    """

    holder: str
    left: float


@dataclass(frozen=True, slots=True)
class _Seen:
    note: LeaseRecord
    etag: str
    left: float


def acquire(key: str, note: LeaseRecord, *, prove: bool) -> Plan[Held | Taken]:
    """Take a lease that is free or has ended: one GET and one PUT.

    Args:
        key: The lease's.
        note: What to write; the token in it is the least that it may be.
        prove: Whether to try first that the store heeds conditions, with three more PUTs.

    Raises:
        NotSupportedError: It doesn't, or doesn't tell its time.
        CorruptObjectError: The object isn't a lease.
    """
    seen = yield from _look(key)
    if seen is not None and seen.left > 0 and seen.note.owner != note.owner:
        return Taken(seen.note.holder, seen.left)
    if seen is not None:
        note = replace(note, token=max(note.token, seen.note.token + 1))
    try:
        outcome = yield from ask(CompareAndSwap(key, note.encode(), seen.etag if seen else None))
        if isinstance(outcome, Stored):
            etag = outcome.etag
        else:
            winner = yield from _look(key)
            if winner is None:
                return Taken("", 0)
            if not _is(winner.note, note):
                return Taken(winner.note.holder, winner.left)
            etag = winner.etag
        if prove:
            return (yield from _prove(key, note, etag))
    except GeneratorExit:
        raise
    except BaseException:
        yield from give_back(key, note.owner)  # it may be written, and nobody would renew or release it
        raise
    return Held(note.token, etag)


def give_back(key: str, owner: str) -> Plan[None]:
    """Release a lease that this taking may have written, as far as that can be done: one GET, and one PUT.

    Args:
        key: The lease's.
        owner: The taking's id.
    """
    found = yield from ask(Attempted(GetWithAge(key)))
    if not isinstance(found, AgedBody):
        return
    try:
        note = LeaseRecord.decode(found.data, key)
    except CorruptObjectError:
        return
    if note.owner == owner and not note.released:
        released = replace(note, write=note.write + 1, released=True)
        yield from ask(Attempted(CompareAndSwap(key, released.encode(), found.etag)))


def renew(key: str, note: LeaseRecord, etag: str) -> Plan[Held | Taken]:
    """Write a lease anew that we hold, to renew or to release it: one PUT.

    Args:
        key: The lease's.
        note: What to write.
        etag: The object's, as far as is known: if a reply got lost, it is found again.

    Returns:
        `Taken` if it was lost.
    """
    for _ in range(_TRIES):
        outcome = yield from ask(CompareAndSwap(key, note.encode(), etag))
        if isinstance(outcome, Stored):
            return Held(note.token, outcome.etag)
        seen = yield from _look(key)
        if seen is None:
            return Taken("", 0)
        if _is(seen.note, note):
            return Held(note.token, seen.etag)
        if seen.note.owner != note.owner or seen.note.released:
            return Taken(seen.note.holder, seen.left)
        if seen.etag == etag:
            raise NotSupportedError(
                "The store refuses a write with If-Match, though the ETag is the one that it shows: it can't "
                "keep a lease",
                key=key,
            )
        etag = seen.etag
    raise StorageUnavailableError("The lease's object changes at each look", attempts=_TRIES, key=key)


def _prove(key: str, note: LeaseRecord, etag: str) -> Plan[Held | Taken]:
    """Try, on a lease that we hold, that unmet conditions are refused and met ones aren't."""
    again = note.encode()
    answers = yield from ask_all([CompareAndSwap(key, again, None), CompareAndSwap(key, again, _NOBODYS)])
    if any(isinstance(answer, Stored) for answer in answers):
        yield from ask(Attempted(DeleteObjects((key,))))
        raise NotSupportedError(
            "The store ignores the conditions of a write (If-None-Match, If-Match), so a lease there would "
            "keep nobody out. Use another store, or run each thread in one process only",
            key=key,
        )
    return (yield from renew(key, replace(note, write=note.write + 1), etag))


def _look(key: str) -> Plan[_Seen | None]:
    tries = 0
    while True:
        found = yield from ask(GetWithAge(key))
        if isinstance(found, NotFound):
            return None
        tries += 1
        try:
            note = LeaseRecord.decode(found.data, key)
        except CorruptObjectError:
            # S3 shows an object whole; LocalStack, while it is overwritten, cuts it to the old length.
            if tries == _TRIES:
                raise
        else:
            return _seen(note, found, key)


def _seen(note: LeaseRecord, found: AgedBody, key: str) -> _Seen:
    if note.released:
        return _Seen(note, found.etag, 0)
    if found.age is None:
        raise NotSupportedError(
            "The store's answers lack Date or Last-Modified, so nobody can tell when a lease ends", key=key
        )
    return _Seen(note, found.etag, max(0.0, note.ttl + MARGIN - found.age))


def _is(seen: LeaseRecord, ours: LeaseRecord) -> bool:
    return (seen.owner, seen.write) == (ours.owner, ours.write)
