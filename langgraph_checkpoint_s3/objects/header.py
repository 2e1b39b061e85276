"""An object's header as bytes: msgpack, compressed where that makes it shorter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgpack

from langgraph_checkpoint_s3.errors import NotSupportedError
from langgraph_checkpoint_s3.objects.codecs import compress, decompress
from langgraph_checkpoint_s3.objects.limits import MOST_HEADER, MOST_LISTS, unpack

COMPRESSED: Final = 1
"""The flag that says that a header is compressed."""

_LENGTH_BYTES: Final = 4


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


def _check_long(raw: bytes) -> None:
    try:
        unpack(raw)
    except ValueError as error:
        raise NotSupportedError(
            f"An object can't hold so many channels or writes: of its header, {error}. Put the writes in "
            "several calls, or the channels' values into fewer"
        ) from error
