"""Leaves as keys have them, said independently of the code that writes keys."""

from __future__ import annotations

from typing import Any

from langgraph_checkpoint_s3.format.key_encoding import HashedName
from langgraph_checkpoint_s3.format.keys import CheckpointLeaf, WritesLeaf
from langgraph_checkpoint_s3.format.name_hashing import LongNameHasher, NameHasher


def hashed(leaf: CheckpointLeaf, names: NameHasher | LongNameHasher) -> CheckpointLeaf:
    """Return a leaf with hashes of the fields that are secret, or too long."""
    found: dict[str, Any] = {}
    for name, field in (("source", "source"), ("step", "step"), ("run_id", "run")):
        value = getattr(leaf, field)
        if value is not None and isinstance(hash_of := names.hash(name, str(value)), HashedName):
            found[field] = hash_of
    return leaf._replace(**found)


def hashed_writes(leaf: WritesLeaf, names: NameHasher | LongNameHasher) -> WritesLeaf:
    """`hashed`, for a leaf of writes."""
    task = None if leaf.task is None else names.hash("task_id", leaf.task)
    slots = leaf.slots if leaf.slots == "x" else names.hash("slots", leaf.slots)
    if isinstance(slots, HashedName):
        slots = f"{leaf.slots[0] if task is None else 'wh'}{slots}"
    return leaf._replace(task=task, slots=slots)
