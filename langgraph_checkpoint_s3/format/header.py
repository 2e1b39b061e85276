"""An object's header: msgpack, compressed where that makes it shorter, and encrypted if wanted.

An encrypted header begins with what is needed to decrypt it: the length of the key's reference (two bytes),
and the reference, as msgpack. The rest is ciphertext, with the flags as associated data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgpack

from langgraph_checkpoint_s3.crypto.aead import OVERHEAD, ObjectCipher, unpack_key_ref
from langgraph_checkpoint_s3.crypto.provider import KeyRef
from langgraph_checkpoint_s3.errors import NotSupportedError
from langgraph_checkpoint_s3.format.codecs import compress, decompress
from langgraph_checkpoint_s3.format.limits import MAX_HEADER, MAX_LISTS, unpack

COMPRESSED: Final = 1
"""Flag: the header is compressed."""
ENCRYPTED: Final = 2
"""Flag: the header and the frames are encrypted."""

_LENGTH_BYTES: Final = 4
_REF_BYTES: Final = 2
_CONTEXT: Final = "header"
"""Associated data that keeps a header from being passed off as a frame, and the reverse."""


def pack_header(fields: Mapping[str, Any], at_least: int | None = None) -> tuple[int, bytes]:
    """Return a header's flags and bytes. Zeros fill it up to `at_least` bytes, if it can be compressed.

    Raises:
        NotSupportedError: It holds more than a reader accepts.
    """
    raw: bytes = msgpack.packb(fields, use_bin_type=True)
    if len(raw) > MAX_LISTS:
        _check_readable(raw)
    codec, compressed = compress(raw, "zstd-d1")
    packed = len(raw).to_bytes(_LENGTH_BYTES, "big") + compressed
    if codec == "none" or (at_least is None and len(packed) >= len(raw)):
        return 0, raw
    return COMPRESSED, packed.ljust(at_least or 0, b"\0")


def unpack_header(header: memoryview, flags: int) -> Any:
    """Return the fields that `pack_header` was given.

    Raises:
        ValueError: It can't be read.
    """
    if flags & COMPRESSED:
        length = int.from_bytes(header[:_LENGTH_BYTES], "big")
        if length > MAX_HEADER:
            raise ValueError(f"it announces {length} bytes")
        header = memoryview(decompress(header[_LENGTH_BYTES:], "zstd-d1", length))
    return unpack(header)


def encrypt_header(flags: int, header: bytes, cipher: ObjectCipher | None) -> tuple[int, bytes]:
    """Return a header's flags and bytes as the object stores them: unchanged without a cipher."""
    if cipher is None:
        return flags, header
    flags |= ENCRYPTED
    return flags, _key_ref_prefix(cipher) + cipher.encrypt(header, _CONTEXT, flags)


def decrypt_header(stored: memoryview, flags: int, cipher: ObjectCipher) -> memoryview:
    """Decrypt a header.

    Raises:
        DecryptionError: The key is missing, or `encrypt_header` didn't make it for this place.
    """
    start = _REF_BYTES + int.from_bytes(stored[:_REF_BYTES], "big")
    return memoryview(cipher.decrypt(stored[start:], _CONTEXT, flags))


def encryption_overhead(cipher: ObjectCipher | None) -> int:
    """Return how many bytes `encrypt_header` adds."""
    return 0 if cipher is None else len(_key_ref_prefix(cipher)) + OVERHEAD


def header_key_ref(stored: bytes | memoryview) -> KeyRef:
    """Return the key of an encrypted header, of which the beginning suffices.

    Raises:
        ValueError: It can't be read.
    """
    end = _REF_BYTES + int.from_bytes(stored[:_REF_BYTES], "big")
    if len(stored) < end:
        raise ValueError("its key's name is cut off")
    return unpack_key_ref(unpack(stored[_REF_BYTES:end]))


def _key_ref_prefix(cipher: ObjectCipher) -> bytes:
    ref: bytes = msgpack.packb(cipher.ref, use_bin_type=True)
    return len(ref).to_bytes(_REF_BYTES, "big") + ref


def _check_readable(raw: bytes) -> None:
    try:
        unpack(raw)
    except ValueError as error:
        raise NotSupportedError(
            f"An object can't hold so many channels or writes: of its header, {error}. Put the writes in "
            "several calls, or the channels' values into fewer"
        ) from error
