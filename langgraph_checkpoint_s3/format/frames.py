"""The rows of a header: frames, the objects that they are in, and the values in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from reprlib import Repr
from typing import Any, Final, NamedTuple

from langgraph_checkpoint_s3.crypto.aead import unpack_key_ref
from langgraph_checkpoint_s3.crypto.provider import KeyRef

_repr = Repr()
_repr.maxlevel, _repr.maxstring, _repr.maxother = 2, 80, 80

MAX_EXTENTS: Final = 1024
"""Most extents of a value. A writer borrows 64 runs, and makes 129 extents at most."""


class Extent(NamedTuple):
    """A slice of a frame's raw bytes.

    Attributes:
        frame: The frame's index in the table.
        start: Its offset in the frame.
        length: Its length.
    """

    frame: int
    start: int
    length: int


class Value(NamedTuple):
    """A serialized value: the serializer's type for it, and where its bytes are."""

    type: str
    extents: tuple[Extent, ...]

    @property
    def size(self) -> int:
        """Length in bytes."""
        return sum(extent.length for extent in self.extents)


class Lender(NamedTuple):
    """The object of an earlier checkpoint of the same thread and namespace.

    Attributes:
        checkpoint_id: The checkpoint.
        leaf: The end of its object's key.
        created: The time of its writing, in seconds since 1970.
    """

    checkpoint_id: str
    leaf: str
    created: int


class Frame(NamedTuple):
    """A run of bytes that is compressed as one: where it is stored, and its checksum.

    Attributes:
        offset: Its offset from the first frame; in a lender, from the object's beginning.
        stored: Its length in the object.
        raw: Its length decompressed.
        codec: The codec that it is compressed with.
        crc: CRC-32 of the stored bytes.
        lender: The object that has it; `None` for this object itself.
        key: The key of a borrowed frame; `None` if it isn't encrypted, and for this object's own frames.
    """

    offset: int
    stored: int
    raw: int
    codec: str
    crc: int
    lender: Lender | None = None
    key: KeyRef | None = None

    def as_borrowed(self, base: int, lender: Lender, key: KeyRef | None = None) -> Frame:
        """Return the frame as other objects refer to it. One that is borrowed already stays as it is.

        Args:
            base: The offset of the first frame in its object.
            lender: Its object.
            key: The key that its object is encrypted with.
        """
        return self if self.lender else self._replace(offset=base + self.offset, lender=lender, key=key)


def short_repr(value: Any) -> str:
    """Return a value from a header for an error message: never long or deep, however large it is."""
    return _repr.repr(value)


def text(value: Any) -> str:
    """Return a text from a header, once it is checked.

    Raises:
        ValueError: It isn't a text.
    """
    if not isinstance(value, str):
        raise ValueError(f"{short_repr(value)} where a text belongs")
    return value


def pack_value(kind: str, extents: Sequence[Extent]) -> list[Any]:
    """Return a value's type and extents as the header has them."""
    return [kind, extents]


def unpack_value(row: Any, frames: Sequence[Frame]) -> Value:
    """Return a value from a header, once it is checked.

    Raises:
        ValueError: It isn't a value, or exceeds its frames.
    """
    kind, extents = row
    return Value(text(kind), tuple(_extents(extents, frames)))


def _extents(rows: Any, frames: Sequence[Frame]) -> Iterator[Extent]:
    if len(rows) > MAX_EXTENTS:
        raise ValueError(f"a value in {len(rows)} pieces")
    for row in rows:
        extent = Extent(*map(non_negative_int, row))
        if extent.frame >= len(frames) or extent.start + extent.length > frames[extent.frame].raw:
            raise ValueError("an extent outside of its frame")
        yield extent


def pack_frames(frames: Iterable[Frame], own: KeyRef | None = None) -> dict[str, Any]:
    """Return the header's fields for frames: their table, and the keys that differ from the object's own."""
    keys: dict[KeyRef, int] = {}
    rows: list[list[Any]] = []
    for frame in frames:
        rows.append([frame.offset, frame.stored, frame.raw, frame.codec, frame.crc, *(frame.lender or ())])
        if frame.key is not None and frame.key != own:
            rows[-1].append(keys.setdefault(frame.key, len(keys)))
    return {"frames": rows, **({"keys": list(keys)} if keys else {})}


def unpack_frames(fields: Mapping[str, Any], own: KeyRef | None = None) -> tuple[Frame, ...]:
    """Return the frames of a header, once they are checked.

    If the object has a key of its own, borrowed frames without one are encrypted with the same key.

    Raises:
        ValueError: They aren't frames.
    """
    if not isinstance(fields, Mapping):
        raise ValueError("it isn't a map")
    keys = [unpack_key_ref(row) for row in fields.get("keys", ())]
    if keys and own is None:
        raise ValueError("keys, of an object that isn't encrypted")
    return tuple(_frame(row, keys, own) for row in fields["frames"])


def _frame(row: Any, keys: Sequence[KeyRef], own: KeyRef | None) -> Frame:
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
    """Return a number from a header, once it is checked.

    Raises:
        ValueError: It isn't a natural number.
    """
    if type(number) is not int or number < 0:
        raise ValueError(f"{short_repr(number)} where a natural number belongs")
    return number
