"""The container that every object of this package is: a preamble, a header, and frames.

    offset  size
    0       4     magic "LGS3"
    4       1     format version, 1
    5       1     flags; 1: the header is compressed, 2: header and frames are encrypted. A reader refuses
                  what it doesn't know
    6       2     zero, like the other flags
    8       4     length of the header, big-endian
    12      4     CRC-32 of the twelve bytes before and of the header, big-endian
    16      H     the header, a msgpack map (`header.py`)
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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from langgraph_checkpoint_s3.crypto.aead import KeyRef, ObjectCipher
from langgraph_checkpoint_s3.errors import CorruptObjectError, DecryptionError
from langgraph_checkpoint_s3.format.codecs import Compression, compress, decompress
from langgraph_checkpoint_s3.format.frames import Extent, Frame, Value, pack_frames, short_repr, unpack_frames
from langgraph_checkpoint_s3.format.header import (
    COMPRESSED,
    SEALED,
    header_key,
    open_header,
    pack_header,
    seal_header,
    seal_overhead,
    unpack_header,
)
from langgraph_checkpoint_s3.format.limits import check_frames

MAGIC: Final = b"LGS3"
VERSION: Final = 1
HEAD_BYTES: Final = 16 * 1024
"""What to read of an object to see its header and metadata, as a rule."""
OWN_FRAME: Final = 4 * 1024
"""Serialized bytes from which a value has a frame of its own, which later checkpoints may borrow."""

_PREAMBLE: Final = struct.Struct(">4sBBHII")
PREAMBLE_BYTES: Final = _PREAMBLE.size

_FLAGS_AT: Final = 5
_CRC_BYTES: Final = 4


@dataclass(slots=True)
class Container:
    """An object that was read, wholly or its beginning only.

    Attributes:
        fields: The header.
        frames: The header's table of frames.
        base: Where the first frame begins.
        data: The object's bytes from its beginning on, as many as were read.
        seal: What it is encrypted with, if it is.
    """

    fields: dict[str, Any]
    frames: tuple[Frame, ...]
    base: int
    data: memoryview
    seal: ObjectCipher | None = None
    _stored: dict[int, bytes] = field(default_factory=dict, repr=False)
    _raw: dict[int, bytes] = field(default_factory=dict, repr=False)
    _supplied: dict[Extent, bytes] = field(default_factory=dict, repr=False)

    def missing(self, values: Iterable[Value]) -> list[int]:
        """The frames that these values need and that were neither read nor provided."""
        lacking = {number for number in range(len(self.frames)) if not self._has(number)}
        if not lacking:  # as it is where nothing is lent
            return []
        extents = (extent for value in values for extent in value.extents if extent not in self._supplied)
        return [number for number in dict.fromkeys(extent.frame for extent in extents) if number in lacking]

    def has_frames(self, value: Value) -> bool:
        """Whether the frames that a value needs were all read or provided."""
        return all(self._has(extent.frame) for extent in value.extents)

    def provide(self, number: int, stored: bytes) -> bool:
        """Hand in a frame's stored bytes, from its lender.

        Returns:
            Whether they are what the header says. If not, they aren't taken.
        """
        frame = self.frames[number]
        fits = len(stored) == frame.stored and zlib.crc32(stored) == frame.crc
        if fits:
            self._stored[number] = stored
        return fits

    def supply(self, extent: Extent, raw: bytes) -> None:
        """Hand in an extent's bytes, where its frame can't be had."""
        self._supplied[extent] = raw

    def materialized(self, compression: Compression) -> bytes:
        """The object with all frames in it, once what was lent was provided or supplied.

        Its own frames stay at the places where other objects may refer to them: what was lent
        comes behind them, and the header keeps its length. It becomes the same bytes each time.

        Args:
            compression: How frames are compressed whose bytes were supplied.
        """
        frames = list(self.frames)
        moved: list[bytes] = []
        seal = self.seal and replace(self.seal, repeatable=True)
        for number, frame in enumerate(self.frames):
            if frame.lender is not None:
                codec, stored = frame.codec, self._stored.get(number)
                if stored is None:
                    codec, packed = compress(self._patched(number), compression)
                else:
                    packed = bytes(self.packed(number))
                if stored is None or seal is not None:
                    stored = seal.close(packed) if seal else packed
                frames[number] = replace(frame, stored=len(stored), codec=codec, crc=zlib.crc32(stored))
                moved.append(stored)
        scope = self.header_bytes
        kept = {name: value for name, value in self.fields.items() if name != "keys"}
        flags, header = pack_header({**kept, **pack_frames(inline_frames(frames))}, scope)
        if len(header) != scope:
            raise CorruptObjectError(
                f"The object can't be rewritten in place: its header has {scope} bytes, not {len(header)}"
            )
        flags, header = seal_header(flags, header, seal)
        own_end = self.base + sum(frame.stored for frame in self.frames if frame.lender is None)
        return join(flags, header, [self.data[self.base : own_end], *moved])

    @property
    def header_bytes(self) -> int:
        """How long its header is, without what encryption adds; it stays so when it is rewritten."""
        return self.base - _PREAMBLE.size - seal_overhead(self.seal)

    def _patched(self, number: int) -> bytes:
        """A frame's raw bytes, as far as they were supplied; zeros where nobody needs it."""
        raw = bytearray(self.frames[number].raw)
        for extent, supplied in self._supplied.items():
            if extent.frame == number:
                raw[extent.start : extent.start + extent.length] = supplied
        return bytes(raw)

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
        if extent in self._supplied:
            return self._supplied[extent]
        raw = self._raw.get(extent.frame)
        if raw is None:
            raw = self._raw[extent.frame] = self._decode(extent.frame)
        if extent.start == 0 and extent.length == len(raw):
            return raw
        return raw[extent.start : extent.start + extent.length]

    def _decode(self, number: int) -> bytes:
        frame = self.frames[number]
        packed = self.packed(number)
        try:
            return decompress(packed, frame.codec, frame.raw)
        except (ValueError, OverflowError, MemoryError) as error:
            raise CorruptObjectError(f"Frame {number}{_of(frame)} can't be read: {error}") from error

    def packed(self, number: int) -> bytes | memoryview:
        """A frame as it was compressed, decrypted if it is encrypted.

        Raises:
            CorruptObjectError: It is missing, damaged or not what the header says.
            DecryptionError: It can't be decrypted.
        """
        frame = self.frames[number]
        if not self._has(number):
            raise CorruptObjectError(f"Frame {number}{_of(frame)} is cut off")
        stored: bytes | memoryview | None = self._stored.get(number)
        if stored is None:
            start = self.base + frame.offset
            stored = self.data[start : start + frame.stored]
        if len(stored) != frame.stored or zlib.crc32(stored) != frame.crc:
            raise CorruptObjectError(f"Frame {number}{_of(frame)} is damaged: its CRC-32 differs")
        if self.seal is None:
            return stored
        if frame.lender is None:
            return self.seal.open(stored)
        return self.seal.lender(*frame.lender[:2], frame.key or self.seal.ref).open(stored)


def _of(frame: Frame) -> str:
    return f" of its lender {frame.lender.checkpoint_id[:80]}" if frame.lender else ""


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
    if version != VERSION or flags & ~(COMPRESSED | SEALED) or reserved:
        raise CorruptObjectError(
            f"The object has format version {version}, flags {flags}; this release reads version {VERSION}, "
            "flags 0 to 3. A newer langgraph-checkpoint-s3 wrote it: upgrade this one"
        )
    return int(_PREAMBLE.size + length)


def sealed_with(data: bytes | memoryview) -> KeyRef | None:
    """Which key an object needs; `None` if it isn't encrypted, or can't be read at all.

    Args:
        data: The object's beginning.
    """
    view = memoryview(data)
    if len(view) <= _PREAMBLE.size or bytes(view[:4]) != MAGIC or not view[_FLAGS_AT] & SEALED:
        return None
    try:
        return header_key(view[_PREAMBLE.size :])
    except (ValueError, TypeError):
        return None


def open_container(
    data: bytes | memoryview, size: int, seals: Callable[[KeyRef], ObjectCipher] | None = None
) -> Container:
    """Read an object's header.

    Args:
        data: The object's bytes from its beginning, at least `header_length` of them.
        size: The whole object's length.
        seals: Gives what it is encrypted with, if there are keys at all.

    Raises:
        CorruptObjectError: It can't be trusted.
        DecryptionError: It is encrypted, and the key is missing or another one.
    """
    view = memoryview(data)
    base = header_length(view)
    if len(view) < base:
        raise CorruptObjectError(f"The object's header has {base} bytes, and only {len(view)} are there")
    header = view[_PREAMBLE.size : base]
    crc = int.from_bytes(view[_PREAMBLE.size - _CRC_BYTES : _PREAMBLE.size], "big")
    if zlib.crc32(header, zlib.crc32(view[: _PREAMBLE.size - _CRC_BYTES])) != crc:
        raise CorruptObjectError("The object's header is damaged: its CRC-32 differs")
    flags, seal = view[_FLAGS_AT], None
    if flags & SEALED:
        seal = _seal(header, seals)
        header = open_header(header, flags, seal)
    read = _read_header(header, flags, seal.ref if seal else None)
    if isinstance(read, str):
        raise CorruptObjectError(f"The object's header can't be read: {read}")
    fields, frames = read
    end = base + sum(frame.stored for frame in frames if frame.lender is None)
    if end != size:
        raise CorruptObjectError(f"The object has {size} bytes where its header announces {end}")
    return Container(fields, frames, base, view, seal)


def _seal(header: memoryview, seals: Callable[[KeyRef], ObjectCipher] | None) -> ObjectCipher:
    """What an object is encrypted with."""
    try:
        ref = header_key(header)
    except (ValueError, TypeError) as error:
        raise CorruptObjectError(f"The object's header can't be read: {error}") from error
    if seals is None:
        raise DecryptionError(
            f"The object is encrypted, with the key {short_repr(ref.id)}, and no keys were given: pass "
            "S3Saver(…, encryption=…)"
        )
    return seals(ref)


def _read_header(
    header: memoryview, flags: int, own: KeyRef | None
) -> tuple[dict[str, Any], tuple[Frame, ...]] | str:
    """A header's fields and frames, or what is wrong with it: what msgpack raises holds all that it read."""
    try:
        fields = unpack_header(header, flags)
        frames = unpack_frames(fields, own)
        check_frames(frames)
    except (ValueError, TypeError, KeyError, IndexError, RecursionError, MemoryError) as error:
        return f"{type(error).__name__}({short_repr(str(error))})"
    return fields, frames


def join(flags: int, header: bytes, stored: Iterable[bytes | memoryview]) -> bytes:
    """An object of its parts.

    Args:
        flags: The header's.
        header: The header as it lies in the object.
        stored: The frames.
    """
    start = _PREAMBLE.pack(MAGIC, VERSION, flags, 0, len(header), 0)[:-_CRC_BYTES]
    crc = zlib.crc32(header, zlib.crc32(start))
    return b"".join([start, crc.to_bytes(_CRC_BYTES, "big"), header, *stored])


def inline_frames(frames: Sequence[Frame]) -> list[Frame]:
    """A table in which the lent frames lie behind the others."""
    end = sum(frame.stored for frame in frames if frame.lender is None)
    settled: list[Frame] = []
    for frame in frames:
        if frame.lender is None:
            settled.append(frame)
        else:
            settled.append(replace(frame, offset=end, lender=None, key=None))
            end += frame.stored
    return settled
