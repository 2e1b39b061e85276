"""Plans of a lease: acquire, renew and release it, and check that the store can keep one.

A lease is one object that is only changed by compare-and-swap. Each version contains its owner and a number,
so no two versions have the same ETag. After a 412 the object is read: owner and number tell whether it is
this process's own write, whose response was lost.
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
"""Seconds for which other processes wait beyond a ttl, since the store's headers have whole seconds."""
_NO_ETAG: Final = "0" * 32
"""An ETag that matches no object."""
_TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class Held:
    """A lease that this process holds.

    Attributes:
        token: The fencing token.
        etag: The object's ETag, for the next compare-and-swap.
    """

    token: int
    etag: str


@dataclass(frozen=True, slots=True)
class Taken:
    """A lease that this process doesn't hold.

    Attributes:
        holder: The name of its current or last holder; empty if the object is gone.
        left: The seconds until it can be acquired unless it is renewed; 0 if it can be now.
    """

    holder: str
    left: float


@dataclass(frozen=True, slots=True)
class _Seen:
    record: LeaseRecord
    etag: str
    left: float


def acquire(key: str, record: LeaseRecord, *, prove: bool) -> Plan[Held | Taken]:
    """Acquire a lease that is free or has expired: one GET and one PUT.

    Args:
        key: The lease's key.
        record: The record to write. Its token is a minimum.
        prove: Whether to check that the store honours conditions, with three more PUTs.

    Raises:
        NotSupportedError: The store ignores conditions, or doesn't return its time.
        CorruptObjectError: The object isn't a lease.
    """
    seen = yield from _read(key)
    if seen is not None and seen.left > 0 and seen.record.owner != record.owner:
        return Taken(seen.record.holder, seen.left)
    if seen is not None:
        record = replace(record, token=max(record.token, seen.record.token + 1))
    try:
        outcome = yield from ask(CompareAndSwap(key, record.encode(), seen.etag if seen else None))
        if isinstance(outcome, Stored):
            etag = outcome.etag
        else:
            winner = yield from _read(key)
            if winner is None:
                return Taken("", 0)
            if not _same_write(winner.record, record):
                return Taken(winner.record.holder, winner.left)
            etag = winner.etag
        if prove:
            return (yield from _prove(key, record, etag))
    except GeneratorExit:
        raise
    except BaseException:
        yield from give_back(key, record.owner)  # it may have been written, and nobody else would release it
        raise
    return Held(record.token, etag)


def give_back(key: str, owner: str) -> Plan[None]:
    """Release a lease that may have been acquired, ignoring errors: one GET and one PUT.

    Args:
        key: The lease's key.
        owner: The owner id that was to acquire it.
    """
    found = yield from ask(Attempted(GetWithAge(key)))
    if not isinstance(found, AgedBody):
        return
    try:
        record = LeaseRecord.decode(found.data, key)
    except CorruptObjectError:
        return
    if record.owner == owner and not record.released:
        released = replace(record, write=record.write + 1, released=True)
        yield from ask(Attempted(CompareAndSwap(key, released.encode(), found.etag)))


def renew(key: str, record: LeaseRecord, etag: str) -> Plan[Held | Taken]:
    """Renew or release a lease that this process holds: one PUT.

    Args:
        key: The lease's key.
        record: The record to write.
        etag: The object's last known ETag. If a response was lost, the object is read to find it.

    Returns:
        `Taken` if another process has acquired it, or it is gone.
    """
    for _ in range(_TRIES):
        outcome = yield from ask(CompareAndSwap(key, record.encode(), etag))
        if isinstance(outcome, Stored):
            return Held(record.token, outcome.etag)
        seen = yield from _read(key)
        if seen is None:
            return Taken("", 0)
        if _same_write(seen.record, record):
            return Held(record.token, seen.etag)
        if seen.record.owner != record.owner or seen.record.released:
            return Taken(seen.record.holder, seen.left)
        if seen.etag == etag:  # a 412, though nothing has changed
            raise NotSupportedError(
                "The store refuses a write with If-Match, though the ETag is the one that it shows: it can't "
                "keep a lease",
                key=key,
            )
        etag = seen.etag
    raise StorageUnavailableError("The lease's object changes at each look", attempts=_TRIES, key=key)


def _prove(key: str, record: LeaseRecord, etag: str) -> Plan[Held | Taken]:
    """Check on a lease that this process holds that the store refuses unmet conditions, and no others."""
    again = record.encode()
    answers = yield from ask_all([CompareAndSwap(key, again, None), CompareAndSwap(key, again, _NO_ETAG)])
    if any(isinstance(answer, Stored) for answer in answers):
        yield from ask(Attempted(DeleteObjects((key,))))
        raise NotSupportedError(
            "The store ignores the conditions of a write (If-None-Match, If-Match), so a lease there would "
            "keep nobody out. Use another store, or run each thread in one process only",
            key=key,
        )
    return (yield from renew(key, replace(record, write=record.write + 1), etag))


def held_by(key: str) -> Plan[Taken | None]:
    """Return who holds a lease now; `None` if nobody does. One GET.

    Raises:
        CorruptObjectError: The object isn't a lease.
        NotSupportedError: The store doesn't return its time.
    """
    seen = yield from _read(key)
    return None if seen is None or seen.left <= 0 else Taken(seen.record.holder, seen.left)


def _read(key: str) -> Plan[_Seen | None]:
    tries = 0
    while True:
        found = yield from ask(GetWithAge(key))
        if isinstance(found, NotFound):
            return None
        tries += 1
        try:
            record = LeaseRecord.decode(found.data, key)
        except CorruptObjectError:
            # LocalStack truncates an object to its old length while it is overwritten. S3 doesn't.
            if tries == _TRIES:
                raise
        else:
            return _with_time_left(record, found, key)


def _with_time_left(record: LeaseRecord, found: AgedBody, key: str) -> _Seen:
    if record.released:
        return _Seen(record, found.etag, 0)
    if found.age is None:
        raise NotSupportedError(
            "The store's answers lack Date or Last-Modified, so nobody can tell when a lease ends", key=key
        )
    return _Seen(record, found.etag, max(0.0, record.ttl + MARGIN - found.age))


def _same_write(seen: LeaseRecord, ours: LeaseRecord) -> bool:
    return (seen.owner, seen.write) == (ours.owner, ours.write)
