"""Borrowing from earlier checkpoints, so that a thread's storage grows with its state.

A checkpoint that this process wrote or read is `Known`: the bytes of its large values, and the frames of
objects that have them. When its child is written, each value becomes a list of *parts*: new bytes, and bytes
that are borrowed from an existing frame.

The logarithmic method, known from search indexes, keeps that list short: a lender's share is written again
as soon as it is no more than the new bytes and the shares of smaller lenders together. So the lenders' shares
of a value at least double from one to the next: there are about log2(size) of them, and a byte is rewritten
about as often.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeAlias

from langgraph_checkpoint_s3.crypto.provider import KeyRef
from langgraph_checkpoint_s3.format.byte_diff import CommonRun, common_runs
from langgraph_checkpoint_s3.format.frames import Frame, Lender, Value
from langgraph_checkpoint_s3.format.limits import MAX_BORROWED_FRAMES

MAX_HORIZON: Final = 7 * 24 * 3600
"""Longest possible horizon, in seconds: no lender is older than its borrower by more."""

_CLOCK_TOLERANCE: Final = 5
"""Seconds by which the writer's clock may differ from the store's, the PUT's duration included."""
_MAX_FUTURE: Final = 60
"""Seconds by which a lender may be from the future: small differences of clocks aren't corrected."""
_ITEM_BYTES: Final = 220
"""Approximate memory of a value, a piece of one, or a channel's version, besides its bytes."""
_MIN_USE: Final = 2
"""A frame is borrowed only if a value uses at least one part in so many of it, since it is read whole."""


class BorrowPolicy(NamedTuple):
    """Limits of borrowing.

    Attributes:
        horizon: Most seconds by which a lender may be older than its borrower.
        min_value: Serialized size from which a value may be borrowed.
        min_run: Shortest run that may be borrowed, in bytes.
        min_share: Fewest bytes that make a lender worth a request when the checkpoint is read.
        max_lenders: Most lenders of a checkpoint.
        max_runs: Most runs of a value that may be borrowed.
        max_frames: Most frames that a checkpoint may borrow; with more, it borrows nothing.
    """

    horizon: float
    min_value: int = 16 * 1024
    min_run: int = 256
    min_share: int = 1024
    max_lenders: int = 20
    max_runs: int = 64
    max_frames: int = MAX_BORROWED_FRAMES


class Piece(NamedTuple):
    """Bytes in a frame of an object. The frame is a borrowed one, as another object would refer to it."""

    frame: Frame
    start: int
    length: int


class KnownValue(NamedTuple):
    """A serialized value, and the pieces that add up to it."""

    type: str
    raw: bytes
    pieces: Sequence[Piece]

    def __repr__(self) -> str:
        return object.__repr__(self)  # without the values


class Known(NamedTuple):
    """A checkpoint that this process wrote or read, as far as others may borrow from it.

    Attributes:
        checkpoint_id: The checkpoint.
        serializer: The serializer's type for the metadata. Nothing is borrowed where another one is written
            with, since only one of them may encrypt.
        encrypted: Whether its object is encrypted. Encrypted objects borrow only from encrypted ones, and
            plain ones from plain ones.
        versions: The channels' versions.
        values: The values that are large enough.
    """

    checkpoint_id: str
    serializer: str
    encrypted: bool
    versions: Mapping[str, Any]
    values: Mapping[str, KnownValue]

    @classmethod
    def of(
        cls,
        lender: Lender,
        serializer: str,
        versions: Mapping[str, Any],
        values: Mapping[str, tuple[Value, bytes]],
        frames: Sequence[Frame],
        base: int,
        key: KeyRef | None = None,
    ) -> Known:
        """Return what others may borrow from a checkpoint that was read or written.

        Args:
            lender: Its object.
            serializer: The serializer's type for the metadata.
            versions: The channels' versions.
            values: The values that are large enough, and their bytes.
            frames: The object's frames.
            base: The offset of the first one.
            key: The key that the object is encrypted with, if it is.
        """
        borrowed = [frame.as_borrowed(base, lender, key) for frame in frames] if values else []
        known = {
            name: KnownValue(
                value.type,
                raw,
                [Piece(borrowed[extent.frame], extent.start, extent.length) for extent in value.extents],
            )
            for name, (value, raw) in values.items()
        }
        kept = {name: versions[name] for name in values if name in versions}
        return cls(lender.checkpoint_id, serializer, key is not None, kept, known)

    @property
    def size(self) -> int:
        """Approximate memory that it takes, in bytes."""
        values = sum(
            sys.getsizeof(value.raw) + _ITEM_BYTES * (1 + len(value.pieces)) for value in self.values.values()
        )
        return values + _ITEM_BYTES * (2 + len(self.versions))

    def with_store_time(self, moment: datetime | None) -> Known:
        """Return a copy dated by the store's clock, if the writer's clock differs much from it.

        The horizon counts from that time, and all writers see the same store's clock.

        Args:
            moment: The time of its writing by the store's clock; `None` if that isn't known.
        """
        if moment is None or not self.values:
            return self
        frames = (piece.frame for value in self.values.values() for piece in value.pieces)
        own = {each.lender for each in frames if each.lender and each.lender[0] == self.checkpoint_id}
        if all(abs(moment.timestamp() - each.created) <= _CLOCK_TOLERANCE for each in own):
            return self
        created = int(moment.timestamp())

        def corrected(piece: Piece) -> Piece:
            lender = piece.frame.lender
            if lender is None or lender not in own:
                return piece
            return piece._replace(frame=piece.frame._replace(lender=lender._replace(created=created)))

        values = {
            name: value._replace(pieces=[corrected(piece) for piece in value.pieces])
            for name, value in self.values.items()
        }
        return self._replace(values=values)


class Part(NamedTuple):
    """A part of a value about to be written: new bytes, or a piece of an existing frame."""

    length: int
    piece: Piece | None = None


Parts: TypeAlias = Mapping[str, Sequence[Part]]
"""The parts of each channel's value that borrows."""


def choose_parts(values: Mapping[str, tuple[KnownValue, bytes]], policy: BorrowPolicy, now: float) -> Parts:
    """Decide which bytes of a checkpoint's values are borrowed, and which are written.

    Args:
        values: For each channel its parent's value and its new bytes. These are the same object if the value
            is unchanged.
        policy: The limits of borrowing.
        now: The time, in seconds since 1970.

    Returns:
        The parts of each value that borrows at all, in order.
    """
    chosen = ((name, _value_parts(old, raw, policy, now)) for name, (old, raw) in values.items())
    parts = {name: each for name, each in chosen if each}
    # A lender costs the same request however many values borrow from it, so its shares are added up here.
    shares = _shares(part for each in parts.values() for part in each)
    by_share = sorted(shares, key=lambda lender: (shares[lender], lender))
    too_many = by_share[: max(0, len(by_share) - policy.max_lenders)]
    dropped = {*too_many, *(lender for lender in by_share if shares[lender] < policy.min_share)}
    parts = {name: _rewrite(each, lambda piece: _lender(piece) in dropped) for name, each in parts.items()}
    borrowed = {name: each for name, each in parts.items() if any(part.piece for part in each)}
    frames = {part.piece.frame for each in borrowed.values() for part in each if part.piece}
    return borrowed if len(frames) <= policy.max_frames else {}


def _value_parts(old: KnownValue, raw: bytes, policy: BorrowPolicy, now: float) -> list[Part]:
    unchanged = raw is old.raw
    runs = [CommonRun(0, 0, len(raw))] if unchanged else common_runs(old.raw, raw, policy.min_run)
    if not runs:
        return []
    parts = _rewrite(
        _split(old.pieces, runs, len(raw)),
        lambda piece: piece.length < policy.min_run or not _may_lend(_lender(piece), now, policy.horizon),
    )
    lengths = sorted((part.length for part in parts if part.piece is not None), reverse=True)
    if len(lengths) > policy.max_runs:
        # All that are as short as the first one too many go, so that the choice doesn't depend on order.
        longest_dropped = lengths[policy.max_runs]
        parts = _rewrite(parts, lambda piece: piece.length <= longest_dropped)
    used = Counter[Frame]()
    for part in parts:
        if part.piece is not None:
            used[part.piece.frame] += part.length
    parts = _rewrite(parts, lambda piece: _MIN_USE * used[piece.frame] < piece.frame.raw)
    absorbed = _absorbed(parts)
    return _rewrite(parts, lambda piece: _lender(piece) in absorbed)


def _may_lend(lender: Lender, now: float, horizon: float) -> bool:
    """Return whether a lender is young enough. One from the future isn't: its writer's clock was ahead."""
    return -min(horizon, _MAX_FUTURE) <= now - lender.created <= horizon


def _split(pieces: Sequence[Piece], runs: Iterable[CommonRun], size: int) -> Iterator[Part]:
    """Split a new value into new bytes and pieces of the old one. Both are walked in parallel."""
    at = 0
    number, begin = 0, 0  # the current piece, and its offset in the old value
    for run in runs:
        if run.new > at:
            yield Part(run.new - at)
        old, end = run.old, run.old + run.length
        while old < end:
            while begin + pieces[number].length <= old:
                begin += pieces[number].length
                number += 1
            piece = pieces[number]
            length = min(end, begin + piece.length) - old
            yield Part(length, Piece(piece.frame, piece.start + old - begin, length))
            old += length
        at = run.new + run.length
    if size > at:
        yield Part(size - at)


def _absorbed(parts: Sequence[Part]) -> set[Lender]:
    """Return the lenders whose shares are to be written again, by the logarithmic method."""
    shares = _shares(parts)
    total = sum(part.length for part in parts if part.piece is None)
    ascending = sorted(shares, key=lambda lender: (shares[lender], lender))
    last = 0
    for number, lender in enumerate(ascending, start=1):
        if shares[lender] <= total:
            # All smaller ones are absorbed with it, even those that were larger than the total before them:
            # else their shares wouldn't double up to the next lender's.
            last = number
        total += shares[lender]
    return set(ascending[:last])


def _shares(parts: Iterable[Part]) -> Counter[Lender]:
    """Return how many bytes each lender lends."""
    shares = Counter[Lender]()
    for part in parts:
        if part.piece is not None:
            shares[_lender(part.piece)] += part.length
    return shares


def _lender(piece: Piece) -> Lender:
    assert piece.frame.lender is not None, "a piece's frame is a borrowed one"  # noqa: S101  # for the types
    return piece.frame.lender


def _rewrite(parts: Iterable[Part], unfit: Callable[[Piece], bool]) -> list[Part]:
    """Replace unfit pieces by new bytes, and merge adjacent parts where possible."""
    merged: list[Part] = []
    for each in parts:
        part = Part(each.length) if each.piece is not None and unfit(each.piece) else each
        together = _merge(merged[-1], part) if merged else None
        if together is not None:
            merged[-1] = together
        elif part.length:
            merged.append(part)
    return merged


def _merge(one: Part, other: Part) -> Part | None:
    """Return two adjacent parts as one; `None` if they are of different kinds, or not adjacent in a frame."""
    length = one.length + other.length
    if one.piece is None or other.piece is None:
        return Part(length) if one.piece is other.piece else None
    frame, start, _ = one.piece
    if (other.piece.frame, other.piece.start) != (frame, start + one.length):
        return None
    return Part(length, Piece(frame, start, length))
