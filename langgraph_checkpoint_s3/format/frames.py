"""What a header's rows say: frames, the values in them, and whose they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from reprlib import Repr
from typing import Any, Final, NamedTuple

from langgraph_checkpoint_s3.crypto.aead import KeyRef, pack_ref, unpack_ref

_brief = Repr()
_brief.maxlevel, _brief.maxstring, _brief.maxother = 2, 80, 80


MOST_EXTENTS: Final = 1024
"""Of a value. A writer borrows 64 runs, and makes 129 extents at most."""


class Extent(NamedTuple):
    """A slice of a frame's raw bytes.

    Attributes:
        frame: The frame's place in the table.
        start: Where in the frame it begins.
        length: How many bytes it has.
    """

    frame: int
    start: int
    length: int


class Value(NamedTuple):
    """Where a serialized value's bytes are."""

    type: str
    extents: tuple[Extent, ...]

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return sum(extent.length for extent in self.extents)


class Lender(NamedTuple):
    """The object of an earlier checkpoint of the same thread and namespace.

    Attributes:
        checkpoint_id: The checkpoint.
        leaf: The end of its object's key.
        created: When it was written, in seconds since 1970.
    """

    checkpoint_id: str
    leaf: str
    created: int


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a run of stored bytes is, and how to trust it.

    Attributes:
        offset: From the first frame's beginning; in a lender, from the object's beginning.
        stored: Its length in the object.
        raw: Its length decompressed.
        codec: How it is compressed.
        crc: CRC-32 of the stored bytes.
        lender: The object that it lies in; `None` for this object itself.
        key: What a lent frame is encrypted with; `None` if it isn't, and for this object's own.
    """

    offset: int
    stored: int
    raw: int
    codec: str
    crc: int
    lender: Lender | None = None
    key: KeyRef | None = None

    def lent(self, base: int, lender: Lender, key: KeyRef | None = None) -> Frame:
        """How other objects refer to it.

        Args:
            base: Where the first frame of its object begins.
            lender: Its object.
            key: What its object is encrypted with.
        """
        return self if self.lender else replace(self, offset=base + self.offset, lender=lender, key=key)


def short_repr(value: Any) -> str:
    """What a header says, to be shown in an error: never long or deep, however much it is."""
    return _brief.repr(value)


def text(value: Any) -> str:
    """A text from a header, checked.

    Raises:
        ValueError: It isn't a text.
    """
    if not isinstance(value, str):
        raise ValueError(f"{short_repr(value)} where a text belongs")
    return value


def pack_value(value: Value) -> list[Any]:
    """A value as the header writes it."""
    return [value.type, [list(extent) for extent in value.extents]]


def unpack_value(row: Any, frames: Sequence[Frame]) -> Value:
    """A value as the header wrote it, checked.

    Raises:
        ValueError: It isn't a value, or lies outside of its frames.
    """
    kind, extents = row
    return Value(text(kind), tuple(_extents(extents, frames)))


def _extents(rows: Any, frames: Sequence[Frame]) -> Iterator[Extent]:
    if len(rows) > MOST_EXTENTS:
        raise ValueError(f"a value in {len(rows)} pieces")
    for row in rows:
        extent = Extent(*map(non_negative_int, row))
        if extent.frame >= len(frames) or extent.start + extent.length > frames[extent.frame].raw:
            raise ValueError("an extent outside of its frame")
        yield extent


def pack_frames(frames: Iterable[Frame], own: KeyRef | None = None) -> dict[str, Any]:
    """What the header says of frames: their table, and the keys of lent ones that are others than its own.

    Args:
        frames: The frames.
        own: What the object itself is encrypted with.
    """
    keys: dict[KeyRef, int] = {}
    rows: list[list[Any]] = []
    for frame in frames:
        rows.append([frame.offset, frame.stored, frame.raw, frame.codec, frame.crc, *(frame.lender or ())])
        if frame.key is not None and frame.key != own:
            rows[-1].append(keys.setdefault(frame.key, len(keys)))
    return {"frames": rows, **({"keys": [pack_ref(key) for key in keys]} if keys else {})}


def unpack_frames(fields: Mapping[str, Any], own: KeyRef | None = None) -> tuple[Frame, ...]:
    """The frames that a header says, checked.

    Args:
        fields: The header.
        own: What the object itself is encrypted with; then what it borrows is, too.

    Raises:
        ValueError: They aren't frames.
    """
    if not isinstance(fields, Mapping):
        raise ValueError("it isn't a map")
    keys = [unpack_ref(row) for row in fields.get("keys", ())]
    if keys and own is None:
        raise ValueError("keys, of an object that isn't encrypted")
    return tuple(_frame(row, keys, own) for row in fields["frames"])


def _frame(row: Any, keys: Sequence[KeyRef], own: KeyRef | None) -> Frame:
    """A frame as the header wrote it, checked.

    Raises:
        ValueError: It isn't a frame.
    """
    offset, stored, raw, codec, crc, *lender = row
    return Frame(
        non_negative_int(offset),
        non_negative_int(stored),
        non_negative_int(raw),
        text(codec),
        non_negative_int(crc),
        Lender(text(lender[0]), text(lender[1]), non_negative_int(lender[2])) if lender else None,
        None if not lender else keys[non_negative_int(lender[3])] if len(lender) > 3 else own,
    )


def non_negative_int(number: Any) -> int:
    """A number from a header, checked.

    Raises:
        ValueError: It isn't a natural number.
    """
    if type(number) is not int or number < 0:
        raise ValueError(f"{short_repr(number)} where a natural number belongs")
    return number
