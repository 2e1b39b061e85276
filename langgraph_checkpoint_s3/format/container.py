"""The container format of every object of this package: a preamble, a header, and frames.

    offset  size
    0       4     magic "LGS3"
    4       1     format version, 1
    5       1     flags; 1: the header is compressed, 2: header and frames are encrypted. A reader rejects
                  flags that it doesn't know
    6       2     zero, like the other flags
    8       4     length of the header, big-endian
    12      4     CRC-32 of the twelve bytes before and of the header, big-endian
    16      H     the header, a msgpack map (`header.py`)
    16+H          the frames, one after the other, as they are stored

A *frame* is a run of bytes that is compressed as one. A *value* is one serialized thing (a channel, the
metadata, a write): the serializer's type for it, and a list of *extents*, slices of frames that add up to its
bytes. Small values share a frame, a large one has its own. A frame may also lie in the object of an earlier
checkpoint of the same thread and namespace, the *lender*. `docs/format.md` is the specification.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from langgraph_checkpoint_s3.crypto.aead import ObjectCipher
from langgraph_checkpoint_s3.crypto.provider import KeyRef
from langgraph_checkpoint_s3.errors import CorruptObjectError, DecryptionError
from langgraph_checkpoint_s3.format.codecs import Compression, compress, decompress
from langgraph_checkpoint_s3.format.frames import Extent, Frame, Value, pack_frames, short_repr, unpack_frames
from langgraph_checkpoint_s3.format.header import (
    COMPRESSED,
    ENCRYPTED,
    decrypt_header,
    encrypt_header,
    encryption_overhead,
    header_key_ref,
    pack_header,
    unpack_header,
)
from langgraph_checkpoint_s3.format.limits import check_frames
from langgraph_checkpoint_s3.format.pieces import cut_out

MAGIC: Final = b"LGS3"
VERSION: Final = 1
HEAD_BYTES: Final = 16 * 1024
"""Bytes to read of an object for its header and metadata, as a rule."""
OWN_FRAME: Final = 4 * 1024
"""Serialized size from which a value has a frame of its own, which later checkpoints may borrow."""

_PREAMBLE: Final = struct.Struct(">4sBBHII")
PREAMBLE_BYTES: Final = _PREAMBLE.size

_MOVED: Final = 2 * 1024 * 1024
"""Twice the bytes of a frame from which it is moved rather than copied."""
_FLAGS_AT: Final = 5
_CRC_BYTES: Final = 4


class Container:
    """An object that was read, completely or from its beginning.

    Args:
        fields: The header.
        frames: The header's table of frames.
        base: The offset of the first frame.
        data: The object's bytes from its beginning, as many as were read.
        cipher: The object's cipher, if it is encrypted.
    """

    def __init__(
        self,
        fields: dict[str, Any],
        frames: tuple[Frame, ...],
        base: int,
        data: memoryview,
        cipher: ObjectCipher | None,
    ) -> None:
        self.fields = fields
        self.frames = frames
        self.base = base
        self.data = data
        self.cipher = cipher
        self._stored: dict[int, bytes] = {}
        self._raw: dict[int, bytes] = {}
        self._extents: dict[Extent, bytes] = {}

    def missing(self, values: Iterable[Value]) -> list[int]:
        """Return the frames that these values need and that were neither read nor added."""
        absent = {number for number in range(len(self.frames)) if not self._has(number)}
        if not absent:  # the usual case: nothing is borrowed
            return []
        extents = (extent for value in values for extent in value.extents if extent not in self._extents)
        return [number for number in dict.fromkeys(extent.frame for extent in extents) if number in absent]

    def has_frames(self, value: Value) -> bool:
        """Return whether the frames that a value needs were all read or added."""
        return all(self._has(extent.frame) for extent in value.extents)

    def add_frame(self, number: int, stored: bytes) -> bool:
        """Add a borrowed frame's stored bytes, read from its lender.

        Returns:
            Whether they match the header. If not, they aren't taken.
        """
        frame = self.frames[number]
        matches = len(stored) == frame.stored and zlib.crc32(stored) == frame.crc
        if matches:
            self._stored[number] = stored
        return matches

    def add_extent(self, extent: Extent, raw: bytes) -> None:
        """Add an extent's bytes, where its frame isn't available."""
        self._extents[extent] = raw

    def materialized(self, compression: Compression) -> bytes:
        """Return the object with all borrowed frames, or their extents, inlined. They must have been added.

        Other objects may borrow from this one by the offsets of its own frames. So these stay where they are:
        the header keeps its length, and the inlined frames come last. The result is the same each time.

        Args:
            compression: The compression of frames of which only extents were added.

        Raises:
            CorruptObjectError: The new header doesn't fit into the space of the old one.
        """
        frames = list(self.frames)
        inlined: list[bytes] = []
        cipher = self.cipher and self.cipher._replace(deterministic=True)
        for number, frame in enumerate(self.frames):
            if frame.lender is None:
                continue
            if number in self._stored:
                codec, packed = frame.codec, bytes(self.packed(number))
            else:
                codec, packed = compress(self._frame_of_extents(number), compression)
            stored = cipher.encrypt(packed) if cipher else packed
            frames[number] = frame._replace(stored=len(stored), codec=codec, crc=zlib.crc32(stored))
            inlined.append(stored)
        fields = {name: value for name, value in self.fields.items() if name != "keys"}
        flags, header = pack_header({**fields, **pack_frames(inline_frames(frames))}, self.header_bytes)
        if len(header) != self.header_bytes:
            raise CorruptObjectError(
                f"The object can't be rewritten in place: its header has {self.header_bytes} bytes, not "
                f"{len(header)}"
            )
        flags, header = encrypt_header(flags, header, cipher)
        own_end = self.base + sum(frame.stored for frame in self.frames if frame.lender is None)
        return b"".join([preamble(flags, header), header, self.data[self.base : own_end], *inlined])

    @property
    def header_bytes(self) -> int:
        """Length of the header before encryption. It stays the same when the object is rewritten."""
        return self.base - _PREAMBLE.size - encryption_overhead(self.cipher)

    def _frame_of_extents(self, number: int) -> bytes:
        """Return a frame's raw bytes where extents were added; zeros elsewhere, since no value uses those."""
        raw = bytearray(self.frames[number].raw)
        for extent, added in self._extents.items():
            if extent.frame == number:
                raw[extent.start : extent.start + extent.length] = added
        return bytes(raw)

    def bytes_of(self, value: Value) -> bytes:
        """Return a value's bytes, for the serializer.

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
        if extent in self._extents:
            return self._extents[extent]
        raw = self._raw.get(extent.frame)
        if raw is None:
            raw = self._raw[extent.frame] = self._decode(extent.frame)
        if extent.start == 0 and extent.length == len(raw):
            return raw
        return raw[extent.start : extent.start + extent.length]

    def _decode(self, number: int) -> bytes:
        frame = self.frames[number]
        packed = self.packed(number)
        if isinstance(packed, memoryview) and frame.codec == "none" and len(packed) == frame.raw:
            moved = self._moved(number, packed)
            if moved is not None:
                return moved
        try:
            return decompress(packed, frame.codec, frame.raw)
        except (ValueError, OverflowError, MemoryError) as error:
            raise CorruptObjectError(f"Frame {number}{_source(frame)} can't be read: {error}") from error

    def _moved(self, number: int, packed: memoryview) -> bytes | None:
        """Return a frame that is most of the object without a copy, if the object is needed by nobody else.

        A state of random bytes, an image say, would otherwise be in memory twice.
        """
        data = self.data.obj
        if type(data) is not bytes or 2 * len(packed) < max(len(data), _MOVED) or not self._is_in_order:
            return None
        start, length = self.base + self.frames[number].offset, len(packed)
        for other in range(len(self.frames)):
            if other != number:
                self._stored[other] = bytes(self._own(other))
        packed.release()
        rest = bytes(self.data[: self.base])
        self.data.release()
        self.data = memoryview(rest)
        held = [data]
        del data
        self._stored[number] = cut_out(held, start, length)
        return self._stored[number]

    @property
    def _is_in_order(self) -> bool:
        """True if the object was read whole, borrows nothing, and has one frame behind the other."""
        end = self.base
        for frame in self.frames:
            if frame.lender is not None or self.base + frame.offset != end:
                return False
            end += frame.stored
        return end == len(self.data)

    def whole(self) -> bytes:
        """Return the object's bytes. All of it must have been read."""
        if len(self.data) > self.base or not self._stored:
            return bytes(self.data)
        return b"".join([self.data, *(self._stored[number] for number in range(len(self.frames)))])

    def _own(self, number: int) -> memoryview:
        start = self.base + self.frames[number].offset
        return self.data[start : start + self.frames[number].stored]

    def packed(self, number: int) -> bytes | memoryview:
        """Return a frame as it was compressed, and decrypted if it is encrypted.

        Raises:
            CorruptObjectError: It is missing, damaged or not what the header says.
            DecryptionError: It can't be decrypted.
        """
        frame = self.frames[number]
        if not self._has(number):
            raise CorruptObjectError(f"Frame {number}{_source(frame)} is cut off")
        stored: bytes | memoryview | None = self._stored.get(number)
        if stored is None:
            stored = self._own(number)
        if len(stored) != frame.stored or zlib.crc32(stored) != frame.crc:
            raise CorruptObjectError(f"Frame {number}{_source(frame)} is damaged: its CRC-32 differs")
        if self.cipher is None:
            return stored
        cipher = self.cipher
        if frame.lender is not None:
            cipher = cipher.for_lender(frame.lender.checkpoint_id, frame.lender.leaf, frame.key or cipher.ref)
        return cipher.decrypt(stored)


def _source(frame: Frame) -> str:
    return f" of its lender {frame.lender.checkpoint_id[:80]}" if frame.lender else ""


def header_length(data: bytes | memoryview) -> int:
    """Return the length of an object's preamble and header, from its first 16 bytes or more.

    Raises:
        CorruptObjectError: It isn't one of our objects, or its version isn't supported.
    """
    if len(data) < _PREAMBLE.size:
        raise CorruptObjectError(f"The object has only {len(data)} bytes: it is cut off, or not ours")
    magic, version, flags, reserved, length, _ = _PREAMBLE.unpack_from(data)
    if magic != MAGIC:
        raise CorruptObjectError(f"The object isn't one of ours: it begins with {magic!r}, not {MAGIC!r}")
    if version != VERSION or flags & ~(COMPRESSED | ENCRYPTED) or reserved:
        raise CorruptObjectError(
            f"The object has format version {version}, flags {flags}; this release reads version {VERSION}, "
            "flags 0 to 3. A newer langgraph-checkpoint-s3 wrote it: upgrade this one"
        )
    return int(_PREAMBLE.size + length)


def object_key_ref(data: bytes | memoryview) -> KeyRef | None:
    """Return the key of an object, from its beginning; `None` if it isn't encrypted, or can't be read."""
    view = memoryview(data)
    if len(view) <= _PREAMBLE.size or bytes(view[:4]) != MAGIC or not view[_FLAGS_AT] & ENCRYPTED:
        return None
    try:
        return header_key_ref(view[_PREAMBLE.size :])
    except (ValueError, TypeError):
        return None


def open_container(
    data: bytes | memoryview, size: int, get_cipher: Callable[[KeyRef], ObjectCipher] | None = None
) -> Container:
    """Read an object's header.

    Args:
        data: The object's bytes from its beginning, at least `header_length` of them.
        size: The whole object's length.
        get_cipher: Returns the object's cipher for a key; `None` if there are no keys.

    Raises:
        CorruptObjectError: It is damaged, forged, or not one of our objects.
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
    flags, cipher = view[_FLAGS_AT], None
    if flags & ENCRYPTED:
        cipher = _object_cipher(header, get_cipher)
        header = decrypt_header(header, flags, cipher)
    read = _read_header(header, flags, cipher.ref if cipher else None)
    if isinstance(read, str):
        raise CorruptObjectError(f"The object's header can't be read: {read}")
    fields, frames = read
    end = base + sum(frame.stored for frame in frames if frame.lender is None)
    if end != size:
        raise CorruptObjectError(f"The object has {size} bytes where its header announces {end}")
    return Container(fields, frames, base, view, cipher)


def _object_cipher(header: memoryview, get_cipher: Callable[[KeyRef], ObjectCipher] | None) -> ObjectCipher:
    try:
        ref = header_key_ref(header)
    except (ValueError, TypeError) as error:
        raise CorruptObjectError(f"The object's header can't be read: {error}") from error
    if get_cipher is None:
        raise DecryptionError(
            f"The object is encrypted, with the key {short_repr(ref.id)}, and no keys were given: pass "
            "S3Saver(…, encryption=…)"
        )
    return get_cipher(ref)


def _read_header(
    header: memoryview, flags: int, own: KeyRef | None
) -> tuple[dict[str, Any], tuple[Frame, ...]] | str:
    """Return a header's fields and frames, or a text that says what is wrong with it.

    It doesn't raise: as the context of our error, one of msgpack's would keep all that was read.
    """
    try:
        fields = unpack_header(header, flags)
        frames = unpack_frames(fields, own)
        check_frames(frames)
    except (ValueError, TypeError, KeyError, IndexError, RecursionError, MemoryError) as error:
        return f"{type(error).__name__}({short_repr(str(error))})"
    return fields, frames


def preamble(flags: int, header: bytes) -> bytes:
    """Return what comes before an object's header. It is as the object stores it."""
    start = _PREAMBLE.pack(MAGIC, VERSION, flags, 0, len(header), 0)[:-_CRC_BYTES]
    return start + zlib.crc32(header, zlib.crc32(start)).to_bytes(_CRC_BYTES, "big")


def inline_frames(frames: Sequence[Frame]) -> list[Frame]:
    """Return the table of frames for an object in which borrowed frames come after its own ones."""
    end = sum(frame.stored for frame in frames if frame.lender is None)
    table: list[Frame] = []
    for frame in frames:
        if frame.lender is None:
            table.append(frame)
        else:
            table.append(frame._replace(offset=end, lender=None, key=None))
            end += frame.stored
    return table
