"""A thread's tombstones: the names of deleted objects that others may have been about to borrow from.

A deletion writes them before it deletes, so that a missing lender can be explained. If it has a tombstone,
the borrower was never acknowledged, since every acknowledged one was rewritten before. If it has none,
something was lost.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, Final, Literal, NamedTuple, TypeAlias, get_args

import msgpack

from langgraph_checkpoint_s3.errors import CorruptObjectError
from langgraph_checkpoint_s3.format.frames import non_negative_int, short_repr
from langgraph_checkpoint_s3.format.limits import unpack

VERSION: Final = 1
_NAME: Final = 8
"""Bytes of a name's digest. Among a million names, a collision has a probability of 3 in 100 million."""
_DIGEST: Final = 32
"""Bytes of the digest at the object's end."""

Reason: TypeAlias = Literal["some", "thread", "failed", "coming"]


class Group(NamedTuple):
    """Tombstones of one deletion.

    Attributes:
        names: The objects, as `tombstone_digest` returns them.
        until: The time, in seconds since 1970, after which no process can be about to borrow from them.
        reason: The reason: `some` of a thread's checkpoints were deleted; the whole `thread` was; a put had
            `failed` and left them; or they are `coming`, by a copy or an import.
        number: The group's number. A thread's groups are numbered from 1.
    """

    names: frozenset[bytes]
    until: int
    reason: Reason = "some"
    number: int = 0


class Tombstones(NamedTuple):
    """Contents of a thread's tombstones object. An absent object means `Tombstones()`.

    Attributes:
        groups: The groups, oldest first.
        last: The number of the newest group, even if it was removed.
    """

    groups: tuple[Group, ...] = ()
    last: int = 0

    def named(self, names: Iterable[bytes]) -> frozenset[bytes]:
        """Return the names that have a tombstone."""
        wanted = frozenset(names)
        return frozenset().union(*(wanted & group.names for group in self.groups))

    def reasons(self, names: Iterable[bytes]) -> frozenset[Reason]:
        """Return the reasons of the names' tombstones."""
        wanted = frozenset(names)
        return frozenset(group.reason for group in self.groups if not wanted.isdisjoint(group.names))

    def plus(self, group: Group, now: int) -> Tombstones:
        """Return these and another group, which gets the next number. Groups no longer needed are removed.

        One for the same reason goes if the new group has its names, for as long as it.

        Args:
            group: The objects about to be deleted.
            now: A lower bound of the time, in seconds since 1970.
        """
        kept = (
            each
            for each in self.groups
            if each.until > now
            and not (each.reason == group.reason and each.names <= group.names and each.until <= group.until)
        )
        number = self.last + 1
        return Tombstones((*kept, group._replace(number=number)), number)

    def minus(self, written: frozenset[bytes], last: int, existing: frozenset[bytes]) -> Tombstones:
        """Return these without the names of objects that exist.

        Args:
            written: The names of objects that were written after deletions that have ended.
            last: The number of the last such deletion. Tombstones of a later one stay.
            existing: The names of all objects that exist. They are no longer `coming`.
        """

        def remaining(group: Group) -> Group:
            if group.reason == "coming":
                return group._replace(names=group.names - existing)
            return group._replace(names=group.names - written) if group.number <= last else group

        return self._replace(groups=tuple(each for each in map(remaining, self.groups) if each.names))

    def encode(self) -> bytes:
        """Return the object's bytes."""
        rows = [[each.number, each.reason, each.until, b"".join(sorted(each.names))] for each in self.groups]
        packed: bytes = msgpack.packb({"v": VERSION, "last": self.last, "gone": rows}, use_bin_type=True)
        return packed + hashlib.sha256(packed).digest()


def decode_tombstones(data: bytes, key: str | None = None) -> Tombstones:
    """Parse a tombstones object. Its key is for the error message.

    Raises:
        CorruptObjectError: It isn't one, is damaged, or was written by a later version of the package.
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


def tombstone_digest(path: str) -> bytes:
    """Return the name of an object in tombstones: a digest of its key below its thread's folder."""
    return hashlib.sha256(path.encode()).digest()[:_NAME]


def _group(number: Any, reason: Any, until: Any, names: Any) -> Group:
    if reason not in get_args(Reason) or not isinstance(names, bytes) or len(names) % _NAME:
        raise ValueError("a group that isn't one")
    cut = (names[start : start + _NAME] for start in range(0, len(names), _NAME))
    return Group(frozenset(cut), non_negative_int(until), reason, non_negative_int(number))
