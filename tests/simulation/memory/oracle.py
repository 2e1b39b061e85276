"""The oracle of memories: what a reader must find, may find, and can't find. It knows nothing of objects.

Each place is a register: a write has its effect at some time between its beginning and its end, or, if it
failed, until the last of its requests has arrived, or never. Times are as in `facts.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from tests.simulation.facts import Op, Violation

Place: TypeAlias = tuple[tuple[str, ...], str]
"""An item: its namespace and its key."""

_ANY: Final = "any"
"""The expected version of a put without a condition."""
_SLACK: Final = 0.01
"""Seconds that a clock may be ahead of what was noted when an operation began."""


@dataclass(eq=False)
class Write:
    """A put or a deletion of an item.

    Attributes:
        op: The operation.
        process: Who does it.
        value: The value's id, which no other put has; `None` is a deletion.
        hidden: Whether the searches' filter leaves the value out.
        ttl: Seconds until it expires.
        clock: The process's clock when it began, in seconds.
        expected: The id of the value that it replaces on condition, `None` for none.
        refused: Whether it certainly had no effect.
        seen: When somebody had seen it.
    """

    op: Op
    process: object
    value: str | None
    clock: float
    ttl: float | None = None
    hidden: bool = False
    expected: str | None = _ANY
    refused: bool = False
    seen: float = math.inf

    @property
    def effective(self) -> float:
        """From when on it certainly has had its effect."""
        ended = self.op.ended if self.op.done and self.op.ended is not None else math.inf
        return min(ended, self.seen)


class Read(NamedTuple):
    """A read.

    Attributes:
        op: The operation, whose own writes come later.
        since: When it began.
        until: When it ended.
        first: The reader's clock when it began, in seconds.
        last: The latest time of any clock when it ended.
        process: The reader, if it goes by what it remembers; it learns of others' changes at any time.
    """

    op: Op | None
    since: float
    until: float
    first: float
    last: float
    process: object | None = None


class Known(NamedTuple):
    """An item as it was read.

    Attributes:
        value: The value's id; `None` if there was none.
        etag: Its ETag, for a condition.
        op: The read.
    """

    value: str | None
    etag: str
    op: Op


class Memory:
    """All items that were ever put, or begun to be.

    Attributes:
        renewals: What may have renewed an item, with the clock of its process.
    """

    def __init__(self) -> None:
        self.renewals: dict[Place, list[tuple[Op, float]]] = {}
        self._writes: dict[Place, list[Write]] = {}

    def add(self, place: Place, write: Write) -> Write:
        """Note a write that has begun."""
        self._writes.setdefault(place, []).append(write)
        return write

    def renew(self, place: Place, op: Op, clock: float) -> None:
        """Note a read that may renew an item's time to live."""
        self.renewals.setdefault(place, []).append((op, clock))

    def places(self, prefix: tuple[str, ...] = ()) -> list[Place]:
        """Return all places below a prefix."""
        return [place for place in self._writes if place[0][: len(prefix)] == prefix]

    def value(self, place: Place, value: str | None) -> Write | None:
        """Return the put of a value."""
        return next((each for each in self._writes.get(place, ()) if each.value == value), None)

    def possible(self, place: Place, read: Read) -> list[Write | None]:
        """Return what a read may find at a place; `None` is nothing."""
        writes = [
            each
            for each in self._writes.get(place, ())
            if each.op is not read.op and each.op.begun < read.until and not each.refused
        ]
        found: list[Write | None] = []
        for write in writes:
            if self._is_over(write, writes, read.since):
                remembered = [each for each in writes if each.process is read.process]
                if read.process is None or self._is_over(write, remembered, read.since):
                    continue
            if write.value is None:
                found.append(None)
                continue
            if write.ttl is None or read.first < self._expires(place, write):
                found.append(write)
            if write.ttl is not None and read.last >= write.clock + write.ttl - _SLACK:
                found.append(None)
        if not any(each.effective <= read.since for each in writes):
            found.append(None)
        return found

    @staticmethod
    def _is_over(write: Write, writes: Iterable[Write], since: float) -> bool:
        """Return whether a later write certainly had its effect before a read."""
        return any(each.op.begun > write.op.closed and each.effective <= since for each in writes)

    def _expires(self, place: Place, write: Write) -> float:
        """Return when a value expires at the latest."""
        assert write.ttl is not None
        return max([write.clock, *(clock for _, clock in self.renewals.get(place, ()))]) + write.ttl + _SLACK

    def check(self, place: Place, value: str | None, read: Read, *, filtered: bool = False) -> None:
        """Check what a read found at a place.

        Args:
            place: The place.
            value: The id of the value; `None` for nothing.
            read: The read.
            filtered: Whether the read left some values out.
        """
        possible = self.possible(place, read)
        name = f"{'/'.join(place[0])}/{place[1]}"
        if value is None:
            if None not in possible and not (filtered and any(each and each.hidden for each in possible)):
                raise Violation("acknowledged and gone", name)
            return
        write = self.value(place, value)
        if write is None:
            raise Violation("never put", f"{name}: {value}")
        if write.refused:
            raise Violation("refused, and there", f"{name}: {value}")
        if write not in possible:
            raise Violation("replaced, deleted or expired, and there", f"{name}: {value}")
        write.seen = min(write.seen, read.until)

    def check_all(
        self, found: Mapping[Place, str], prefix: tuple[str, ...], read: Read, *, filtered: bool = False
    ) -> None:
        """Check what a search found below a prefix."""
        for place in found:
            if place[0][: len(prefix)] != prefix or place not in self._writes:
                raise Violation("found where it isn't", str(place))
        for place in self.places(prefix):
            self.check(place, found.get(place), read, filtered=filtered)

    def check_replaced(self, place: Place, write: Write, read: Read) -> None:
        """Check a conditional put that was acknowledged."""
        # One that has expired meanwhile may be replaced, too: nobody has changed it.
        self.check(place, write.expected, read._replace(first=-math.inf))
        others = [
            each
            for each in self._writes[place]
            if each is not write and each.op.done and each.expected == write.expected
        ]
        # Of what is sent twice, the second may come when the first was already replaced.
        before = self.value(place, write.expected)
        for other in others:
            begun = min(other.op.begun, write.op.begun)
            if write.expected is None:
                excused = any(each.value is None or each.ttl for each in self._writes[place])
            else:
                excused = before is not None and before.op.closed >= begun
            if not excused:
                text = f"{place}: {other.value} and {write.value} replace {write.expected}"
                raise Violation("an update was lost", text)

    def changed(self, place: Place, known: Known, by: Op, sweeps: Iterable[Op]) -> bool:
        """Return whether another operation than `by` may have changed an item since it was read."""
        ops = [each.op for each in self._writes.get(place, ())]
        ops += [op for op, _ in self.renewals.get(place, ())]
        # The read may have renewed it itself, and then knows its new ETag, unless something went wrong.
        own = [by] if known.op.faults else [by, known.op]
        return any(op not in own and op.closed >= known.op.begun for op in (*ops, *sweeps))

    def check_namespaces(self, found: Iterable[tuple[str, ...]], read: Read) -> None:
        """Check a listing of namespaces. Those of expired items may be there until they are swept."""
        listed = set(found)

        def present(place: Place) -> list[Write | None]:
            return self.possible(place, read._replace(first=-math.inf))

        names = {place[0] for place in self._writes}
        for name in listed - names:
            raise Violation("a namespace without items", str(name))
        for name in names:
            options = [present(place) for place in self._writes if place[0] == name]
            if name in listed and not any(each is not None for some in options for each in some):
                raise Violation("a namespace of deleted items", str(name))
            if name not in listed and any(None not in some for some in options):
                raise Violation("a namespace is missing", str(name))
