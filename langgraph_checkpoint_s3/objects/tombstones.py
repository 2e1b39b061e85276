"""A thread's tombstones: the names of deleted objects that others may have been about to borrow from.

A deletion writes them before it deletes. They settle what a missing lender means. If it has a tombstone, the
borrower was never acknowledged, since every acknowledged one was rewritten before. If it has none, something
was lost.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

import msgpack

from langgraph_checkpoint_s3.errors import CorruptObjectError
from langgraph_checkpoint_s3.objects.limits import unpack
from langgraph_checkpoint_s3.objects.values import brief, natural

VERSION: Final = 1
_SUM: Final = 4
_NAME: Final = 8
"""Bytes of a name's digest. Of a million names, two share one with a probability of 3 in 100 million."""


@dataclass(frozen=True, slots=True)
class Group:
    """Names that were written down by one deletion.

    Attributes:
        names: The objects, as `name_of` has them.
        until: Seconds since 1970 from which on nobody can be about to borrow from them.
        thread: If the whole thread was deleted, and not only some of its checkpoints.
        number: How many groups were written before it, and this one.
    """

    names: frozenset[bytes]
    until: int
    thread: bool = False
    number: int = 0


@dataclass(frozen=True, slots=True)
class Tombstones:
    """What a thread's object of tombstones holds. `Tombstones()` is what an absent object means.

    Attributes:
        groups: What was written down, the oldest first.
        last: The number of the group that was written last, even if it is gone.
    """

    groups: tuple[Group, ...] = ()
    last: int = 0

    def named(self, names: Iterable[bytes]) -> frozenset[bytes]:
        """Return those of some names that have a tombstone."""
        wanted = frozenset(names)
        return frozenset().union(*(wanted & group.names for group in self.groups))

    def of_thread(self, names: Iterable[bytes]) -> bool:
        """Return if one of some names was deleted with its whole thread."""
        wanted = frozenset(names)
        return any(group.thread and not wanted.isdisjoint(group.names) for group in self.groups)

    def plus(self, group: Group, now: int) -> Tombstones:
        """Return these and another group, which gets the next number, without those that nobody needs.

        Args:
            group: What is about to be deleted.
            now: A time, in seconds since 1970, that has passed for sure.
        """
        kept = [
            each
            for each in self.groups
            if each.until > now and not (each.names <= group.names and each.thread <= group.thread)
        ]
        number = self.last + 1
        return Tombstones((*kept, replace(group, number=number)), number)

    def minus(self, names: Iterable[bytes], last: int) -> Tombstones:
        """Return these without some names, whose objects are there again.

        Args:
            names: The names.
            last: The number of the last group to take them from: of a later deletion, they stay.
        """
        gone = frozenset(names)
        left = (
            replace(each, names=each.names - gone) if each.number <= last else each for each in self.groups
        )
        return replace(self, groups=tuple(each for each in left if each.names))

    def encode(self) -> bytes:
        """Return the object's bytes."""
        rows = [[each.number, each.thread, each.until, b"".join(sorted(each.names))] for each in self.groups]
        packed: bytes = msgpack.packb({"v": VERSION, "last": self.last, "gone": rows}, use_bin_type=True)
        return packed + zlib.crc32(packed).to_bytes(_SUM, "big")


def decode_tombstones(data: bytes) -> Tombstones:
    """Read the object.

    Raises:
        CorruptObjectError: It isn't one, or a later version of the package wrote it.
    """
    try:
        packed, checksum = data[:-_SUM], data[-_SUM:]
        if zlib.crc32(packed).to_bytes(_SUM, "big") != checksum:
            raise ValueError("its checksum differs")
        fields = unpack(packed)
        if fields["v"] != VERSION:
            raise ValueError(f"it is of version {brief(fields['v'])}")
        return Tombstones(tuple(_group(*row) for row in fields["gone"]), natural(fields["last"]))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CorruptObjectError(f"The thread's tombstones can't be read: {brief(str(error))}") from error


def name_of(path: str) -> bytes:
    """Return what stands for an object in tombstones.

    Args:
        path: Its key below its thread's folder.
    """
    return hashlib.sha256(path.encode()).digest()[:_NAME]


def _group(number: Any, thread: Any, until: Any, names: Any) -> Group:
    if type(thread) is not bool or not isinstance(names, bytes) or len(names) % _NAME:
        raise ValueError("a group that isn't one")
    cut = (names[start : start + _NAME] for start in range(0, len(names), _NAME))
    return Group(frozenset(cut), natural(until), thread, natural(number))
