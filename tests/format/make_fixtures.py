"""Writes `fixtures/format-N/` with this release's code: run it once for each new format version, then commit.

    python -m tests.format.make_fixtures

What is there already is what a release wrote, and stays as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from langgraph.checkpoint.base import Checkpoint, CheckpointMetadata
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_checkpoint_s3.format.borrowing import BorrowPolicy, Known
from langgraph_checkpoint_s3.format.checkpoint import Origin, open_checkpoint
from langgraph_checkpoint_s3.format.checkpoint_writer import Draft, draft, serialize
from langgraph_checkpoint_s3.format.container import VERSION
from langgraph_checkpoint_s3.format.gathered import ChannelHistory, encode_gathered
from langgraph_checkpoint_s3.format.serialization import dump
from langgraph_checkpoint_s3.format.writes import Task, encode_tasks
from tests.format import expected
from tests.format.craft import craft, opened
from tests.format.made import DAY, encode_checkpoint, key_at
from tests.format.strategies import EVERY_CODEC

FIXTURES = Path(__file__).parent / "fixtures"
SERDE = JsonPlusSerializer()
ORIGIN = Origin(expected.NAMESPACE, expected.CHECKPOINT_ID, expected.CREATED, expected.WRITER)
RULES = BorrowPolicy(horizon=DAY, min_value=4096)


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
        data = encode_tasks(
            codec,
            ORIGIN,
            expected.WRITES_LEAF,
            [Task.of(SERDE, expected.WRITES, expected.TASK_ID, expected.TASK_PATH)],
        )
        (folder / f"writes-{codec}.bin").write_bytes(data)
    (folder / "gathered.bin").write_bytes(gathered())
    first = cast("Checkpoint", {**expected.CHECKPOINT, "channel_values": {}})
    (folder / "first.bin").write_bytes(encode_checkpoint(SERDE, "zstd", ORIGIN, first, {}, None))
    for name, data in borrow().items():
        (folder / f"{name}.bin").write_bytes(data)
    compressed = opened((folder / "checkpoint-none.bin").read_bytes())
    frames = bytes(compressed.data[compressed.base :])
    (folder / "plain-header.bin").write_bytes(craft(compressed.fields, frames))


def gathered() -> bytes:
    """Writes that were gathered of a checkpoint's ancestors."""
    channels = {
        name: ChannelHistory(
            [(task_id, dump(SERDE, value)) for task_id, value in writes],
            None if seed is None else dump(SERDE, seed),
        )
        for name, (writes, seed) in expected.GATHERED.items()
    }
    return encode_gathered("zstd", ORIGIN, expected.GATHERED_LEAF, expected.PARENT_ID, channels)


def borrow() -> dict[str, bytes]:
    """An object, its child that borrows from it, and that child rewritten: its lender may go then."""
    origin = Origin(expected.NAMESPACE, expected.LENDER_ID, expected.LENDER_CREATED, expected.WRITER)
    lender = drafted(origin, expected.LENDER_LEAF, expected.LENT, None)
    borrowing = drafted(ORIGIN, expected.BORROWER_LEAF, expected.BORROWED, lender.known)
    record = open_checkpoint(
        borrowing.body,
        len(borrowing.body),
        ORIGIN.checkpoint_ns,
        ORIGIN.checkpoint_id,
        expected.BORROWER_LEAF,
    )
    for number in record.container.missing(record.all_values()):
        frame = record.container.frames[number]
        record.container.add_frame(number, lender.body[frame.offset : frame.offset + frame.stored])
    return {"lender": lender.body, "borrowing": borrowing.body, "rewritten": record.materialized("zstd")}


def drafted(origin: Origin, leaf: str, channels: Mapping[str, Any], known: Known | None) -> Draft:
    """A checkpoint, which borrows from its parent if that is known."""
    checkpoint = {**expected.CHECKPOINT, "id": origin.checkpoint_id, "channel_values": channels}
    parent = known.checkpoint_id if known else None
    metadata = cast("CheckpointMetadata", expected.METADATA)
    content = serialize(SERDE, cast("Checkpoint", checkpoint), metadata, parent)
    return draft(content, {}, origin, key_at(leaf), "zstd", RULES, known)


if __name__ == "__main__":
    main()
