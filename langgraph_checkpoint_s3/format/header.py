"""An object's header as bytes: msgpack, compressed where that makes it shorter, and encrypted if wanted.

An encrypted one begins with what must be known to decrypt it: two bytes with the length of the key's
reference, and that, as msgpack. The rest is sealed, with the flags as associated data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgpack

from langgraph_checkpoint_s3.crypto.aead import OVERHEAD, KeyRef, ObjectCipher, pack_ref, unpack_ref
from langgraph_checkpoint_s3.errors import NotSupportedError
from langgraph_checkpoint_s3.format.codecs import compress, decompress
from langgraph_checkpoint_s3.format.limits import MOST_HEADER, MOST_LISTS, unpack

COMPRESSED: Final = 1
"""The flag that says that a header is compressed."""
SEALED: Final = 2
"""The flag that says that the header and the frames are encrypted."""

_LENGTH_BYTES: Final = 4
_REF_BYTES: Final = 2
_ROLE: Final = "header"


def pack_header(fields: Mapping[str, Any], at_least: int | None = None) -> tuple[int, bytes]:
    """A header's bytes, with its flags.

    Args:
        fields: What it says.
        at_least: How many bytes it must have, if that matters and it can be compressed: zeros follow then.

    Raises:
        NotSupportedError: It says more than a reader takes.
    """
    raw: bytes = msgpack.packb(fields, use_bin_type=True)
    if len(raw) > MOST_LISTS:
        _check_long(raw)
    codec, stored = compress(raw, "zstd-d1")
    packed = len(raw).to_bytes(_LENGTH_BYTES, "big") + stored
    if codec == "none" or (at_least is None and len(packed) >= len(raw)):
        return 0, raw
    return COMPRESSED, packed.ljust(at_least or 0, b"\0")


def unpack_header(header: memoryview, flags: int) -> Any:
    """What `pack_header` was given.

    Raises:
        ValueError: It can't be read.
    """
    if flags & COMPRESSED:
        length = int.from_bytes(header[:_LENGTH_BYTES], "big")
        if length > MOST_HEADER:
            raise ValueError(f"it announces {length} bytes")
        header = memoryview(decompress(header[_LENGTH_BYTES:], "zstd-d1", length))
    return unpack(header)


def seal_header(flags: int, header: bytes, seal: ObjectCipher | None) -> tuple[int, bytes]:
    """A header as it lies in the object, with its flags.

    Args:
        flags: Its flags.
        header: Its bytes.
        seal: What to encrypt it with, if at all.
    """
    if seal is None:
        return flags, header
    flags |= SEALED
    ref: bytes = msgpack.packb(pack_ref(seal.ref), use_bin_type=True)
    return flags, len(ref).to_bytes(_REF_BYTES, "big") + ref + seal.close(header, _ROLE, flags)


def seal_overhead(seal: ObjectCipher | None) -> int:
    """How many bytes `seal_header` adds."""
    if seal is None:
        return 0
    return _REF_BYTES + len(msgpack.packb(pack_ref(seal.ref), use_bin_type=True)) + OVERHEAD


def header_key(stored: bytes | memoryview) -> KeyRef:
    """Which key an encrypted header needs.

    Args:
        stored: The header as it lies in the object, or its beginning.

    Raises:
        ValueError: It can't be read.
    """
    end = _REF_BYTES + int.from_bytes(stored[:_REF_BYTES], "big")
    if len(stored) < end:
        raise ValueError("its key's name is cut off")
    return unpack_ref(unpack(stored[_REF_BYTES:end]))


def open_header(stored: memoryview, flags: int, seal: ObjectCipher) -> memoryview:
    """Decrypt a header.

    Raises:
        DecryptionError: The key is missing, or it isn't what `seal_header` made here.
    """
    start = _REF_BYTES + int.from_bytes(stored[:_REF_BYTES], "big")
    return memoryview(seal.open(stored[start:], _ROLE, flags))


def _check_long(raw: bytes) -> None:
    try:
        unpack(raw)
    except ValueError as error:
        raise NotSupportedError(
            f"An object can't hold so many channels or writes: of its header, {error}. Put the writes in "
            "several calls, or the channels' values into fewer"
        ) from error
