"""What is told of a checkpoint: its place, its step, what waits for it, what it stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langgraph_checkpoint_s3.admin.plans.sizes import counted, human
from langgraph_checkpoint_s3.cli.clean import clean
from langgraph_checkpoint_s3.cli.values import age

if TYPE_CHECKING:
    from langgraph.checkpoint.base import CheckpointTuple

Place = tuple[str, str]
Entry = dict[str, Any]


def place_of(found: CheckpointTuple) -> Place:
    """Its namespace and id."""
    configurable: dict[str, Any] = found.config["configurable"]
    return configurable.get("checkpoint_ns") or "", configurable["checkpoint_id"]


def entry_of(found: CheckpointTuple, stored: int | None) -> Entry:
    """What is told of a checkpoint.

    Args:
        found: The checkpoint.
        stored: The bytes that it and its writes store, if that is known.
    """
    pending = found.pending_writes or []
    metadata: Any = found.metadata or {}
    return {
        "checkpoint_id": place_of(found)[1],
        "checkpoint_ns": place_of(found)[0],
        "parent_id": found.parent_config["configurable"]["checkpoint_id"] if found.parent_config else None,
        "step": metadata.get("step"),
        "source": metadata.get("source"),
        "created_at": found.checkpoint.get("ts"),
        "bytes": stored,
        "pending_writes": len(pending),
        "pending_tasks": len({write[0] for write in pending}),
        "interrupts": sum(write[1] == "__interrupt__" for write in pending),
        "errors": sum(write[1] == "__error__" for write in pending),
    }


def facts(entry: Entry, when: str | None = None) -> str:
    """An entry in a line, without its id.

    Args:
        entry: The entry.
        when: Its time, if that isn't to be how long ago it was.
    """
    told = [f"step {entry['step']}", str(entry["source"]), when or age(entry["created_at"])]
    if entry["bytes"] is not None:
        told.append(human(entry["bytes"]))
    if entry["pending_writes"]:
        tasks = counted(entry["pending_tasks"], "task")
        told.append(f"{counted(entry['pending_writes'], 'pending write')} of {tasks}")
    told += [counted(entry[what], what[:-1]) for what in ("interrupts", "errors") if entry[what]]
    return clean("  ".join(told))
