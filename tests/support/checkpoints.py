"""Checkpoints made by hand, and how tests compare what savers say of them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver, Checkpoint, CheckpointTuple

_VERSIONS = itertools.count(1)


def place(thread: str, checkpoint_id: str | None = None, ns: str | None = "") -> Any:
    """A config."""
    named = {"thread_id": thread, "checkpoint_ns": ns, "checkpoint_id": checkpoint_id}
    return {"configurable": {name: value for name, value in named.items() if value is not None}}


def make_checkpoint(checkpoint_id: str, values: Mapping[str, Any], absent: Sequence[str] = ()) -> Checkpoint:
    """A checkpoint in which every channel has a version that no other one has.

    Args:
        checkpoint_id: Its id.
        values: The channels' values.
        absent: Channels that have a version, but no value here.
    """
    version = f"{next(_VERSIONS):032}.5"
    return {
        "v": 4,
        "id": checkpoint_id,
        "ts": "2026-01-01T00:00:00+00:00",
        "channel_values": dict(values),
        "channel_versions": dict.fromkeys((*values, *absent), version),
        "versions_seen": {"node": dict.fromkeys(values, version)},
        "updated_channels": sorted(values),
    }


def put_chain(
    saver: BaseCheckpointSaver[Any],
    thread: str,
    count: int,
    *,
    ns: str = "",
    first: int = 0,
    values: Mapping[str, Any] | None = None,
    seed: Mapping[str, Any] | None = None,
    writes: int = 1,
    run: str | None = None,
) -> list[str]:
    """A line of checkpoints, each the parent of the next one, with writes of so many tasks each.

    Args:
        saver: Where to put them.
        thread: The thread.
        count: How many.
        ns: The namespace.
        first: The number of the first; with one above 0 the line goes on from that before it.
        values: What every one of them holds; the number by default.
        seed: What the first one holds instead.
        writes: How many tasks write `d` on each of them.
        run: Their run_id.

    Returns:
        Their ids, oldest first.
    """
    ids: list[str] = []
    for number in range(first, first + count):
        parent = f"{number - 1:08}" if number else None
        held = seed if seed is not None and number == first else values
        checkpoint = make_checkpoint(f"{number:08}", {"n": number} if held is None else held)
        metadata: Any = {"source": "loop", "step": number, "even": number % 2 == 0}
        if run is not None:
            metadata["run_id"] = run
        config = saver.put(place(thread, parent, ns), checkpoint, metadata, checkpoint["channel_versions"])
        for task in range(writes):
            saver.put_writes(config, [("d", [f"{number}.{task}"])], f"task-{task}", f"~path-{task:04}")
        ids.append(f"{number:08}")
    return ids


def address(config: Any) -> tuple[str, str, str] | None:
    """Return the place that a config points at. Equal configs may differ in other keys."""
    if config is None:
        return None
    configurable = config["configurable"]
    return configurable["thread_id"], configurable.get("checkpoint_ns") or "", configurable["checkpoint_id"]


def shown(found: CheckpointTuple | None) -> Any:
    """All that a saver says of a checkpoint, in a form that can be compared."""
    if found is None:
        return None
    return (
        address(found.config),
        address(found.parent_config),
        found.checkpoint,
        found.metadata,
        [tuple(write) for write in found.pending_writes or ()],
    )
