"""Checkpoint tuples for batches, and short forms of the results."""

from __future__ import annotations

from typing import Any

from langgraph.checkpoint.base import CheckpointTuple

from langgraph_checkpoint_s3.admin.bulk.batches import BatchResult
from tests.support.checkpoints import make_checkpoint, place


def item(
    checkpoint_id: str,
    parent: str | None = None,
    *,
    thread: str = "t",
    ns: str = "",
    values: dict[str, Any] | None = None,
    writes: Any = (),
) -> CheckpointTuple:
    return CheckpointTuple(
        place(thread, checkpoint_id, ns),
        make_checkpoint(checkpoint_id, {"v": checkpoint_id} if values is None else values),
        {"source": "loop", "step": int(checkpoint_id), "parents": {}},
        place(thread, parent, ns) if parent else None,
        list(writes),
    )


def chain(count: int, *, thread: str = "t", writes: Any = ()) -> list[CheckpointTuple]:
    return [
        item(f"{number:04}", f"{number - 1:04}" if number else None, thread=thread, writes=writes)
        for number in range(count)
    ]


def errors(results: list[BatchResult[Any]]) -> list[type[Exception] | None]:
    return [type(result.error) if result.error else None for result in results]
