"""Builds objects that no saver would write: any header, with the CRC that makes it look right."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import Any

import msgpack

from langgraph_checkpoint_s3.format.checkpoint import CheckpointRecord
from langgraph_checkpoint_s3.format.container import MAGIC, VERSION, Container, open_container
from langgraph_checkpoint_s3.format.writes import WritesRecord

CHECKPOINT: Mapping[str, Any] = {
    "ns": "",
    "id": "1",
    "leaf": "checkpoint",
    "created": 1,
    "writer": "w",
    "parent": None,
    "metadata": ["x", [[0, 0, 4]]],
    "checkpoint": ["x", [[0, 4, 4]]],
    "channels": {"one": ["x", [[0, 0, 8]]], "none": ["x", []]},
}
"""A checkpoint's header over the one frame `FRAME`."""

WRITES: Mapping[str, Any] = {
    "ns": "",
    "id": "1",
    "leaf": "writes.tt.w0",
    "created": 1,
    "writer": "w",
    "writes": [["t", "p", 0, "one", "x", [[0, 0, 8]]]],
}
"""A writes object's header over the one frame `FRAME`."""

FRAME = b"metarest"


def row(data: bytes = FRAME, **changes: Any) -> list[Any]:
    """A frame's row in the header."""
    length, crc = len(data), zlib.crc32(data)
    fields = {"offset": 0, "stored": length, "raw": length, "codec": "none", "crc": crc}
    return [*(fields | changes).values()]


def craft(
    header: Any,
    body: bytes = FRAME,
    *,
    magic: bytes = MAGIC,
    version: int = VERSION,
    flags: int = 0,
    length: int | None = None,
) -> bytes:
    """An object with this header (any value, or bytes as they are), whose CRC fits."""
    packed = header if isinstance(header, bytes) else msgpack.packb(header, use_bin_type=True)
    start = struct.pack(">4sBBHI", magic, version, flags, 0, len(packed) if length is None else length)
    return start + zlib.crc32(packed, zlib.crc32(start)).to_bytes(4, "big") + packed + body


def crafted(fields: Mapping[str, Any] = CHECKPOINT, body: bytes = FRAME, **changes: Any) -> bytes:
    """An object with these header fields, one frame over the body unless `frames` says otherwise."""
    return craft({**fields, "frames": [row(body)], **changes}, body)


def opened(data: bytes) -> Container:
    """Open the container of a complete object."""
    return open_container(data, len(data))


def contents(record: CheckpointRecord | WritesRecord) -> list[bytes]:
    """The bytes of every value in it."""
    if isinstance(record, CheckpointRecord):
        values = record.all_values()
    else:
        values = [row.value for row in record.rows]
    return [bytes(record.container.bytes_of(value)) for value in values]
