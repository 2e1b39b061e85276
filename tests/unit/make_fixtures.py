"""Writes `fixtures/format-N/` with this release's code: run it once for each new format version, then commit.

    python -m tests.unit.make_fixtures

What is there already is what a release wrote, and stays as it is.
"""

from __future__ import annotations

import sys
import zlib
from pathlib import Path
from typing import cast

import msgpack
from langgraph.checkpoint.base import Checkpoint, CheckpointMetadata
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_checkpoint_s3.objects.codecs import compress
from langgraph_checkpoint_s3.objects.format import VERSION
from langgraph_checkpoint_s3.objects.records import Origin, encode_checkpoint, encode_writes
from tests.unit import expected
from tests.unit.craft import craft
from tests.unit.strategies import EVERY_CODEC

FIXTURES = Path(__file__).parent / "fixtures"
SERDE = JsonPlusSerializer()
ORIGIN = Origin(expected.NAMESPACE, expected.CHECKPOINT_ID, expected.CREATED, expected.WRITER)


def main() -> None:
    """Write the files."""
    folder = FIXTURES / f"format-{VERSION}"
    if folder.exists():
        sys.exit(f"{folder} is there already")
    folder.mkdir(parents=True)
    metadata = cast("CheckpointMetadata", expected.METADATA)
    checkpoint = cast("Checkpoint", {**expected.CHECKPOINT, "channel_values": expected.CHANNELS})
    for codec in EVERY_CODEC:
        data = encode_checkpoint(SERDE, codec, ORIGIN, checkpoint, metadata, expected.PARENT_ID)
        (folder / f"checkpoint-{codec}.bin").write_bytes(data)
        data = encode_writes(SERDE, codec, ORIGIN, expected.WRITES, expected.TASK_ID, expected.TASK_PATH)
        (folder / f"writes-{codec}.bin").write_bytes(data)
    first = cast("Checkpoint", {**expected.CHECKPOINT, "channel_values": {}})
    (folder / "first.bin").write_bytes(encode_checkpoint(SERDE, "zstd", ORIGIN, first, {}, None))
    lender, borrowing = borrow()
    (folder / "lender.bin").write_bytes(lender)
    (folder / "borrowing.bin").write_bytes(borrowing)


def borrow() -> tuple[bytes, bytes]:
    """Two objects, the second of which has a frame in the first. No release writes such ones yet."""
    names = list(expected.BORROWED)
    (kind, lent), (own_kind, own) = (SERDE.dumps_typed(expected.BORROWED[name]) for name in names)
    codec, stored = compress(lent, "zstd")
    frame = [len(stored), len(lent), codec, zlib.crc32(stored)]
    common = ORIGIN.fields("checkpoint")
    nothing = ["msgpack", [[1, 0, 1]]]
    empty = msgpack.packb({})
    lender_header = {
        **common,
        "id": expected.PARENT_ID,
        "parent": None,
        "metadata": nothing,
        "checkpoint": nothing,
        "channels": {"lent": [kind, [[0, 0, len(lent)]]]},
        "frames": [[0, *frame], [len(stored), 1, 1, "none", zlib.crc32(empty)]],
    }
    lender = craft(lender_header, stored + empty)
    metadata_kind, metadata = SERDE.dumps_typed(expected.METADATA)
    rest_kind, rest = SERDE.dumps_typed(expected.CHECKPOINT)
    small = metadata + rest + own
    borrowing_header = {
        **common,
        "parent": expected.PARENT_ID,
        "metadata": [metadata_kind, [[0, 0, len(metadata)]]],
        "checkpoint": [rest_kind, [[0, len(metadata), len(rest)]]],
        "channels": {
            "lent": [kind, [[1, 0, len(lent)]]],
            "own": [own_kind, [[0, len(metadata) + len(rest), len(own)]]],
        },
        "frames": [
            [0, len(small), len(small), "none", zlib.crc32(small)],
            [lender.index(stored), *frame, expected.LENDER],
        ],
    }
    return lender, craft(borrowing_header, small)


if __name__ == "__main__":
    main()
