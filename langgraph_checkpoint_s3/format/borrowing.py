"""What a checkpoint borrows from earlier ones, so that a thread's storage grows with its state.

A checkpoint that this process wrote or read is `Known`: its large values' bytes, and in which
frames of which objects they lie. When its child is written, each value becomes a list of *parts*:
bytes that are new, and bytes that lie in a frame already and are borrowed from there.

What keeps that list short is the logarithmic method, known from search indexes: what is borrowed
from one lender is written anew as soon as it is no more than what is new and what smaller lenders
give. So the lenders' shares of a value at least double from one to the next, there are
about log2(size) of them, and a byte is written anew about as often.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, NamedTuple

from langgraph_checkpoint_s3.crypto.aead import KeyRef
from langgraph_checkpoint_s3.format.byte_diff import CommonRun, common_runs
from langgraph_checkpoint_s3.format.frames import Frame, Lender, Value
from langgraph_checkpoint_s3.format.limits import MOST_LENT

MAX_HORIZON: Final = 7 * 24 * 3600
"""The most seconds by which anybody's lender is older than its borrower."""

_SAME: Final = 5
"""Seconds by which clocks may differ, and a PUT may take, without anybody's minding."""
_SKEW: Final = 60
"""Seconds by which a lender may be from the future: clocks that nearly agree aren't corrected."""
_ITEM_BYTES: Final = 220
"""What a value, a piece of one, or a channel's version costs besides its bytes, about."""
_WELL_USED: Final = 2
"""A frame is borrowed only if a value uses at least one part in so many of it: it is read whole."""


@dataclass(frozen=True, slots=True)
class BorrowPolicy:
    """When to borrow.

    Attributes:
        horizon: By how many seconds a lender may be older than its borrower.
        smallest: Bytes of a serialized value from which it may be borrowed.
        shortest: Bytes of a run from which it may be borrowed.
        least: Bytes from which a lender is worth a request when the checkpoint is read.
        most_lenders: How many lenders a checkpoint may have.
        most_parts: How many runs of a value may be borrowed.
        most_frames: How many frames a checkpoint may borrow; with more of them, it borrows nothing.
    """

    horizon: float
    smallest: int = 16 * 1024
    shortest: int = 256
    least: int = 1024
    most_lenders: int = 20
    most_parts: int = 64
    most_frames: int = MOST_LENT


class Piece(NamedTuple):
    """Bytes that lie in a frame of an object. The frame is named as another object would: as lent."""

    frame: Frame
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class KnownValue:
    """A serialized value, and where its bytes lie, in order."""

    type: str
    raw: bytes = field(repr=False)
    pieces: Sequence[Piece]


@dataclass(frozen=True, slots=True)
class Known:
    """A checkpoint that this process wrote or read, as far as others may borrow from it.

    Attributes:
        checkpoint_id: The checkpoint.
        serializer: What the serializer calls what it made of the metadata. Another one may
            encrypt, or not: nothing is borrowed then.
        sealed: Whether its object is encrypted: only such ones borrow from it then, and else none.
        versions: The channels' versions.
        values: The values that are large enough.
    """

    checkpoint_id: str
    serializer: str
    sealed: bool
    versions: Mapping[str, Any]
    values: Mapping[str, KnownValue]

    @property
    def size(self) -> int:
        """The bytes that it takes, about: the values', and those of what is known of them."""
        values = sum(
            sys.getsizeof(value.raw) + _ITEM_BYTES * (1 + len(value.pieces)) for value in self.values.values()
        )
        return values + _ITEM_BYTES * (2 + len(self.versions))

    def stored_at(self, moment: datetime | None) -> Known:
        """Return it, lent by the time that the store has told, where its writer's clock said another one.

        Args:
            moment: The store's time when it was written; `None` where that isn't known.
        """
        frames = (piece.frame for value in self.values.values() for piece in value.pieces)
        own = {each.lender for each in frames if each.lender and each.lender[0] == self.checkpoint_id}
        if moment is None or all(abs(moment.timestamp() - each.created) <= _SAME for each in own):
            return self
        seconds = int(moment.timestamp())

        def told(piece: Piece) -> Piece:
            lender = piece.frame.lender
            if lender is None or lender not in own:
                return piece
            return piece._replace(frame=replace(piece.frame, lender=lender._replace(created=seconds)))

        values = {
            name: replace(value, pieces=[told(piece) for piece in value.pieces])
            for name, value in self.values.items()
        }
        return replace(self, values=values)


def known_of(
    lender: Lender,
    serializer: str,
    versions: Mapping[str, Any],
    values: Mapping[str, tuple[Value, bytes]],
    frames: Sequence[Frame],
    base: int,
    key: KeyRef | None = None,
) -> Known:
    """What others may borrow from a checkpoint that was read or written.

    Args:
        lender: Its object.
        serializer: What the serializer calls what it made of the metadata.
        versions: The channels' versions.
        values: The values that are large enough, and their bytes.
        frames: The object's frames.
        base: Where the first one begins.
        key: What the object is encrypted with, if it is.
    """
    return Known(
        lender.checkpoint_id,
        serializer,
        key is not None,
        {name: versions[name] for name in values if name in versions},
        {
            name: KnownValue(
                value.type,
                raw,
                [
                    Piece(frames[extent.frame].lent(base, lender, key), extent.start, extent.length)
                    for extent in value.extents
                ],
            )
            for name, (value, raw) in values.items()
        },
    )


class Part(NamedTuple):
    """A stretch of a value about to be written: new bytes, or a piece that lies in a frame already."""

    length: int
    piece: Piece | None = None


Parts = Mapping[str, Sequence[Part]]


def compose(values: Mapping[str, tuple[KnownValue, bytes]], rules: BorrowPolicy, now: float) -> Parts:
    """Decide what of a checkpoint's values is borrowed, and what is written anew.

    Args:
        values: For each channel what its parent had and the bytes that it has now, which are
            the same object if it is unchanged.
        rules: When to borrow.
        now: The time, in seconds since 1970.

    Returns:
        The parts of each value that borrows at all, in order.
    """
    composed = ((name, _compose(old, raw, rules, now)) for name, (old, raw) in values.items())
    parts = {name: each for name, each in composed if each}
    shares = _shares(part for each in parts.values() for part in each)
    by_size = sorted(shares, key=lambda lender: (shares[lender], lender))
    too_many = by_size[: max(0, len(by_size) - rules.most_lenders)]
    poor = {*too_many, *(lender for lender in by_size if shares[lender] < rules.least)}
    settled = {name: _without(each, lambda piece: _lender(piece) in poor) for name, each in parts.items()}
    borrowed = {name: each for name, each in settled.items() if any(part.piece for part in each)}
    frames = {part.piece.frame for each in borrowed.values() for part in each if part.piece}
    return borrowed if len(frames) <= rules.most_frames else {}


def _lends(lender: Lender, now: float, horizon: float) -> bool:
    """Return if a lender is young enough. One from the future isn't: its writer's clock was ahead."""
    return -min(horizon, _SKEW) <= now - lender.created <= horizon


def _compose(old: KnownValue, raw: bytes, rules: BorrowPolicy, now: float) -> list[Part]:
    unchanged = raw is old.raw
    runs = [CommonRun(0, 0, len(raw))] if unchanged else common_runs(old.raw, raw, rules.shortest)
    if not runs:
        return []
    parts = list(_parts(old.pieces, runs, len(raw)))
    parts = _without(
        parts,
        lambda piece: piece.length < rules.shortest or not _lends(_lender(piece), now, rules.horizon),
    )
    lengths = sorted((part.length for part in parts if part.piece is not None), reverse=True)
    if len(lengths) > rules.most_parts:
        shortest = lengths[rules.most_parts]
        parts = _without(parts, lambda piece: piece.length <= shortest)
    used = Counter[Frame]()
    for part in parts:
        if part.piece is not None:
            used[part.piece.frame] += part.length
    parts = _without(parts, lambda piece: _WELL_USED * used[piece.frame] < piece.frame.raw)
    absorbed = _absorbed(parts)
    return _without(parts, lambda piece: _lender(piece) in absorbed)


def _parts(pieces: Sequence[Piece], runs: Iterable[CommonRun], size: int) -> Iterator[Part]:
    """Cut a new value into what is new and what lies in the old one's pieces."""
    at = 0
    number, begin = 0, 0  # a piece, and where it begins in the old value
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
    """The lenders whose shares are to be written anew, by the logarithmic method."""
    shares = _shares(parts)
    total = sum(part.length for part in parts if part.piece is None)
    ascending = sorted(shares, key=lambda lender: (shares[lender], lender))
    last = 0
    for number, lender in enumerate(ascending, start=1):
        if shares[lender] <= total:
            last = number
        total += shares[lender]
    return set(ascending[:last])


def _shares(parts: Iterable[Part]) -> dict[Lender, int]:
    """How many bytes each lender gives."""
    shares = Counter[Lender]()
    for part in parts:
        if part.piece is not None:
            shares[_lender(part.piece)] += part.length
    return dict(shares)


def _lender(piece: Piece) -> Lender:
    assert piece.frame.lender is not None, "a piece names its frame as lent"  # noqa: S101  # for the types
    return piece.frame.lender


def _without(parts: Iterable[Part], unfit: Callable[[Piece], bool]) -> list[Part]:
    """The parts with some pieces written anew instead; neighbours that can be one, made one."""
    joined: list[Part] = []
    for each in parts:
        part = Part(each.length) if each.piece is not None and unfit(each.piece) else each
        last = joined[-1] if joined else None
        if last is not None and (together := _together(last, part)) is not None:
            joined[-1] = together
        elif part.length:
            joined.append(part)
    return joined


def _together(one: Part, other: Part) -> Part | None:
    length = one.length + other.length
    if one.piece is None or other.piece is None:
        return Part(length) if one.piece is other.piece else None
    frame, start, _ = one.piece
    if (other.piece.frame, other.piece.start) != (frame, start + one.length):
        return None
    return Part(length, Piece(frame, start, length))
