"""An object's header as bytes: msgpack, compressed where that makes it shorter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgpack

from langgraph_checkpoint_s3.objects.codecs import compress, decompress

COMPRESSED: Final = 1
"""The flag that says that a header is compressed."""

_LENGTH_BYTES: Final = 4
_MOST_BYTES: Final = 64 * 1024 * 1024


def pack_header(fields: Mapping[str, Any], at_least: int | None = None) -> tuple[int, bytes]:
    """A header's bytes, with its flags.

    Args:
        fields: What it says.
        at_least: How many bytes it must have, if that matters and it can be compressed: zeros follow then.
    """
    raw: bytes = msgpack.packb(fields, use_bin_type=True)
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
        if length > _MOST_BYTES:
            raise ValueError(f"it announces {length} bytes")
        header = memoryview(decompress(header[_LENGTH_BYTES:], "zstd-d1", length))
    return msgpack.unpackb(header, raw=False, strict_map_key=True)
