"""How a frame's bytes are compressed. The codec's name is in the object, so a bucket may mix them."""

from __future__ import annotations

import sys
import zlib
from typing import Final, Literal, get_args

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Compression = Literal["zstd", "gzip", "none"]
"""The codecs: `zstd` (level 3, the default), `gzip` (level 6) and `none`."""

CODECS: Final[tuple[str, ...]] = get_args(Compression)

_ZSTD_LEVEL: Final = 3
_GZIP_LEVEL: Final = 6
_GZIP_CONTAINER: Final = 31  # zlib's wbits for a gzip header and trailer
_TOO_SMALL: Final = 64
"""Bytes below which no codec earns its own header back."""


def compress(raw: bytes, codec: Compression) -> tuple[str, bytes]:
    """Compress a frame.

    Returns:
        The codec that was used and the bytes: `none` and `raw` itself where compressing
        doesn't make it smaller, as with what is already compressed or encrypted.
    """
    if codec == "none" or len(raw) < _TOO_SMALL:
        return "none", raw
    if codec == "zstd":
        packed = zstd.compress(raw, level=_ZSTD_LEVEL)
    else:
        packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_CONTAINER)
        packed = packer.compress(raw) + packer.flush()
    return (codec, packed) if len(packed) < len(raw) else ("none", raw)


def decompress(stored: bytes | memoryview, codec: str, raw_length: int) -> bytes:
    """Decompress a frame, never into more than `raw_length` bytes.

    Raises:
        ValueError: The codec is unknown, or the bytes don't decompress to exactly that length.
    """
    try:
        # One byte more is asked for than announced, so that too much shows as too much.
        if codec == "none":
            raw = bytes(stored)
        elif codec == "zstd":
            raw = zstd.ZstdDecompressor().decompress(stored, raw_length + 1)
        elif codec == "gzip":
            raw = zlib.decompressobj(_GZIP_CONTAINER).decompress(stored, raw_length + 1)
        else:
            raise ValueError(f"its codec {codec!r} is unknown to this version")
    except (zstd.ZstdError, zlib.error) as error:
        raise ValueError(f"its {codec} data is damaged: {error}") from error
    if len(raw) != raw_length:
        raise ValueError(
            f"it holds {'over ' if len(raw) > raw_length else ''}"
            f"{min(len(raw), raw_length)} bytes where {raw_length} were announced"
        )
    return raw
