"""A thread's tombstones: the names of deleted objects that others may have been about to borrow from.

A deletion writes them before it deletes. They settle what a missing lender means. If it has a tombstone, the
borrower was never acknowledged, since every acknowledged one was rewritten before. If it has none, something
was lost.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias, get_args

import msgpack

from langgraph_checkpoint_s3.errors import CorruptObjectError
from langgraph_checkpoint_s3.format.frames import non_negative_int, short_repr
from langgraph_checkpoint_s3.format.limits import unpack

VERSION: Final = 1
_NAME: Final = 8
"""Bytes of a name's digest. Of a million names, two share one with a probability of 3 in 100 million."""
_DIGEST: Final = 32
"""Bytes of the digest that the object ends with."""

Reason: TypeAlias = Literal["some", "thread", "failed", "coming"]


@dataclass(frozen=True, slots=True)
class Group:
    """Names that were written down by one deletion.

    Attributes:
        names: The objects, as `name_of` has them.
        until: Seconds since 1970 from which on nobody can be about to borrow from them.
        reason: Why they are gone: `some` of a thread's checkpoints were deleted; the whole `thread` was;
            a put had `failed` and left them; or they are `coming`, by a copy or an import.
        number: How many groups were written before it, and this one.
    """

    names: frozenset[bytes]
    until: int
    reason: Reason = "some"
    number: int = 0


@dataclass(frozen=True, slots=True)
class Tombstones:
    """Contents of a thread's tombstones object. An absent object means `Tombstones()`.

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

    def reasons(self, names: Iterable[bytes]) -> frozenset[Reason]:
        """Return why some names have tombstones; nothing if none of them has."""
        wanted = frozenset(names)
        return frozenset(group.reason for group in self.groups if not wanted.isdisjoint(group.names))

    def plus(self, group: Group, now: int) -> Tombstones:
        """Return these and another group, which gets the next number, without those that nobody needs.

        Args:
            group: What is about to be deleted.
            now: A time, in seconds since 1970, that has passed for sure.
        """
        kept = (
            each
            for each in self.groups
            if each.until > now and not (each.reason == group.reason and each.names <= group.names)
        )
        number = self.last + 1
        return Tombstones((*kept, replace(group, number=number)), number)

    def minus(self, came: frozenset[bytes], last: int, there: frozenset[bytes]) -> Tombstones:
        """Return these without some names, whose objects are there.

        Args:
            came: The names of those that came after deletions that are over.
            last: The number of the last such deletion: of a later one, they stay.
            there: The names of all that are there, to be taken from what was `coming`.
        """
        gone = (
            there if each.reason == "coming" else came if each.number <= last else frozenset()
            for each in self.groups
        )
        left = (
            replace(each, names=each.names - names) for each, names in zip(self.groups, gone, strict=True)
        )
        return replace(self, groups=tuple(each for each in left if each.names))

    def encode(self) -> bytes:
        """Return the object's bytes."""
        rows = [[each.number, each.reason, each.until, b"".join(sorted(each.names))] for each in self.groups]
        packed: bytes = msgpack.packb({"v": VERSION, "last": self.last, "gone": rows}, use_bin_type=True)
        return packed + hashlib.sha256(packed).digest()


def decode_tombstones(data: bytes, key: str | None = None) -> Tombstones:
    """Read the object.

    Args:
        data: All of it.
        key: Its key, for the error.

    Raises:
        CorruptObjectError: It isn't one, it is damaged, or a later version of the package wrote it.
    """
    packed = data[:-_DIGEST]
    if hashlib.sha256(packed).digest() != data[-_DIGEST:]:
        raise CorruptObjectError(
            "The thread's tombstones can't be read: their digest is of something else. Once no run of the "
            "thread is under way, this object can be deleted",
            key=key,
        )
    try:
        fields = unpack(packed)
        if fields["v"] != VERSION:
            raise ValueError(f"it is of version {short_repr(fields['v'])}")
        return Tombstones(tuple(_group(*row) for row in fields["gone"]), non_negative_int(fields["last"]))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        reason = f"The thread's tombstones can't be read: {short_repr(str(error))}"
        raise CorruptObjectError(reason, key=key) from error


def name_of(path: str) -> bytes:
    """Return what stands for an object in tombstones.

    Args:
        path: Its key below its thread's folder.
    """
    return hashlib.sha256(path.encode()).digest()[:_NAME]


def _group(number: Any, reason: Any, until: Any, names: Any) -> Group:
    if reason not in get_args(Reason) or not isinstance(names, bytes) or len(names) % _NAME:
        raise ValueError("a group that isn't one")
    cut = (names[start : start + _NAME] for start in range(0, len(names), _NAME))
    return Group(frozenset(cut), non_negative_int(until), reason, non_negative_int(number))
