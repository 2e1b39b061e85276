"""The container that every object of this package is: a preamble, a header, and frames.

    offset  size
    0       4     magic "LGS3"
    4       1     format version, 1
    5       1     flags, none defined: a reader refuses what it doesn't know
    6       2     zero, like the flags
    8       4     length of the header, big-endian
    12      4     CRC-32 of the twelve bytes before and of the header, big-endian
    16      H     the header, a msgpack map
    16+H          the frames, one behind the other, as they are stored

A *frame* is a run of bytes that is compressed as one. A *value* is what the serializer made of
one thing (a channel, the metadata, a write): its serializer's type and a list of *extents*,
slices of frames, which joined are its bytes. Small values share a frame, a large one has its own.
A frame may also lie in the object of an earlier checkpoint of the same thread and namespace, the
*lender*. `docs/format.md` is the specification.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgpack

from langgraph_checkpoint_s3.errors import CorruptObjectError
from langgraph_checkpoint_s3.objects.codecs import Compression, compress, decompress

MAGIC: Final = b"LGS3"
VERSION: Final = 1
HEAD_BYTES: Final = 16 * 1024
"""What to read of an object to see its header and metadata, as a rule."""

_PREAMBLE: Final = struct.Struct(">4sBBHII")
_CRC_BYTES: Final = 4
_OWN_FRAME: Final = 8 * 1024
"""Serialized bytes from which a value has a frame of its own."""


class Extent(NamedTuple):
    """A slice of a frame's raw bytes."""

    frame: int
    start: int
    length: int


class Value(NamedTuple):
    """Where a serialized value's bytes are."""

    type: str
    extents: tuple[Extent, ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a run of stored bytes is, and how to trust it.

    Attributes:
        offset: From the first frame's beginning; in a lender, from the object's beginning.
        stored: Its length in the object.
        raw: Its length decompressed.
        codec: How it is compressed.
        crc: CRC-32 of the stored bytes.
        lender: The lender's key below its namespace's folder; `None` for this object itself.
    """

    offset: int
    stored: int
    raw: int
    codec: str
    crc: int
    lender: str | None = None


class Builder:
    """Packs values into frames, then everything into an object."""

    def __init__(self, compression: Compression) -> None:
        self._compression = compression
        self._frames: list[Frame] = []
        self._stored: list[bytes] = []
        self._offset = 0

    def pack(self, serialized: Iterable[tuple[str, bytes]]) -> list[Value]:
        """Add values, each as the serializer's `(type, bytes)`; the small ones in one frame together.

        Returns:
            Where each of them is, in the order given.
        """
        values: list[Value | None] = []
        small: list[tuple[int, str, bytes]] = []
        for place, (kind, data) in enumerate(serialized):
            if len(data) >= _OWN_FRAME:
                values.append(Value(kind, (Extent(self._add(data), 0, len(data)),)))
            else:
                values.append(None)
                small.append((place, kind, data))
        start = 0
        frame = self._add(b"".join([bytes(data) for _, _, data in small])) if small else -1
        for place, kind, data in small:
            values[place] = Value(kind, (Extent(frame, start, len(data)),) if data else ())
            start += len(data)
        return [value for value in values if value is not None]

    def finish(self, fields: Mapping[str, Any]) -> bytes:
        """The object's bytes, with these fields in its header."""
        frames = [[frame.offset, frame.stored, frame.raw, frame.codec, frame.crc] for frame in self._frames]
        header = msgpack.packb({**fields, "frames": frames}, use_bin_type=True)
        start = _PREAMBLE.pack(MAGIC, VERSION, 0, 0, len(header), 0)[:-_CRC_BYTES]
        crc = zlib.crc32(header, zlib.crc32(start))
        return b"".join([start, crc.to_bytes(_CRC_BYTES, "big"), header, *self._stored])

    def _add(self, raw: bytes) -> int:
        codec, stored = compress(raw, self._compression)
        self._frames.append(Frame(self._offset, len(stored), len(raw), codec, zlib.crc32(stored)))
        self._stored.append(stored)
        self._offset += len(stored)
        return len(self._frames) - 1


@dataclass(slots=True)
class Container:
    """An object that was read, wholly or its beginning only.

    Attributes:
        fields: The header.
        frames: The header's table of frames.
        base: Where the first frame begins.
        data: The object's bytes from its beginning on, as many as were read.
    """

    fields: dict[str, Any]
    frames: tuple[Frame, ...]
    base: int
    data: memoryview
    _stored: dict[int, bytes] = field(default_factory=dict)
    _raw: dict[int, bytes] = field(default_factory=dict)

    def missing(self, values: Iterable[Value]) -> list[int]:
        """The frames that these values need and that were neither read nor provided."""
        needed = dict.fromkeys(extent.frame for value in values for extent in value.extents)
        return [number for number in needed if not self._has(number)]

    def provide(self, number: int, stored: bytes) -> None:
        """Hand in a frame's stored bytes, from a lender or from a later read."""
        self._stored[number] = stored

    def bytes_of(self, value: Value) -> bytes:
        """A value's bytes, for the serializer.

        Raises:
            CorruptObjectError: A frame is missing, damaged or not what the header says.
        """
        parts = [self._slice(extent) for extent in value.extents]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _has(self, number: int) -> bool:
        frame = self.frames[number]
        if number in self._raw or number in self._stored:
            return True
        return frame.lender is None and self.base + frame.offset + frame.stored <= len(self.data)

    def _slice(self, extent: Extent) -> bytes:
        raw = self._raw.get(extent.frame)
        if raw is None:
            raw = self._raw[extent.frame] = self._decode(extent.frame)
        if extent.start == 0 and extent.length == len(raw):
            return raw
        return raw[extent.start : extent.start + extent.length]

    def _decode(self, number: int) -> bytes:
        frame = self.frames[number]
        of = f" of its lender {frame.lender}" if frame.lender else ""
        if not self._has(number):
            raise CorruptObjectError(f"Frame {number}{of} is cut off")
        stored: bytes | memoryview | None = self._stored.get(number)
        if stored is None:
            start = self.base + frame.offset
            stored = self.data[start : start + frame.stored]
        if len(stored) != frame.stored or zlib.crc32(stored) != frame.crc:
            raise CorruptObjectError(f"Frame {number}{of} is damaged: its CRC-32 differs")
        try:
            return decompress(stored, frame.codec, frame.raw)
        except (ValueError, OverflowError, MemoryError) as error:
            raise CorruptObjectError(f"Frame {number}{of} can't be read: {error}") from error


def header_length(data: bytes | memoryview) -> int:
    """How many bytes of an object hold its preamble and header.

    Args:
        data: The object's first 16 bytes or more.

    Raises:
        CorruptObjectError: It isn't one of our objects, or of a version that this one can't read.
    """
    if len(data) < _PREAMBLE.size:
        raise CorruptObjectError(f"The object has only {len(data)} bytes: it is cut off, or not ours")
    magic, version, flags, reserved, length, _ = _PREAMBLE.unpack_from(data)
    if magic != MAGIC:
        raise CorruptObjectError(f"The object isn't one of ours: it begins with {magic!r}, not {MAGIC!r}")
    if version != VERSION or flags or reserved:
        raise CorruptObjectError(
            f"The object has format version {version}, flags {flags}; this release reads version {VERSION}, "
            "flags 0. A newer langgraph-checkpoint-s3 wrote it: upgrade this one"
        )
    return int(_PREAMBLE.size + length)


def open_container(data: bytes | memoryview, size: int) -> Container:
    """Read an object's header.

    Args:
        data: The object's bytes from its beginning, at least `header_length` of them.
        size: The whole object's length.

    Raises:
        CorruptObjectError: It can't be trusted.
    """
    view = memoryview(data)
    base = header_length(view)
    if len(view) < base:
        raise CorruptObjectError(f"The object's header has {base} bytes, and only {len(view)} are there")
    header = view[_PREAMBLE.size : base]
    crc = int.from_bytes(view[_PREAMBLE.size - _CRC_BYTES : _PREAMBLE.size], "big")
    if zlib.crc32(header, zlib.crc32(view[: _PREAMBLE.size - _CRC_BYTES])) != crc:
        raise CorruptObjectError("The object's header is damaged: its CRC-32 differs")
    try:
        fields = msgpack.unpackb(header, raw=False, strict_map_key=True)
        frames = tuple(_frame(row) for row in fields["frames"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CorruptObjectError(f"The object's header can't be read: {error!r}") from error
    end = base + sum(frame.stored for frame in frames if frame.lender is None)
    if end != size:
        raise CorruptObjectError(f"The object has {size} bytes where its header announces {end}")
    return Container(fields, frames, base, view)


def text(value: Any) -> str:
    """A text from a header, checked.

    Raises:
        ValueError: It isn't a text.
    """
    if not isinstance(value, str):
        raise ValueError(f"{value!r} where a text belongs")
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
    for row in rows:
        extent = Extent(*(natural(number) for number in row))
        if extent.frame >= len(frames) or extent.start + extent.length > frames[extent.frame].raw:
            raise ValueError("an extent outside of its frame")
        yield extent


def _frame(row: Any) -> Frame:
    offset, stored, raw, codec, crc, *more = row
    lender = text(more[0]) if more and more[0] is not None else None
    return Frame(natural(offset), natural(stored), natural(raw), text(codec), natural(crc), lender)


def natural(number: Any) -> int:
    """A number from a header, checked.

    Raises:
        ValueError: It isn't a natural number.
    """
    if type(number) is not int or number < 0:
        raise ValueError(f"{number!r} where a natural number belongs")
    return number
