"""Whether a checkpoint that was read is the one that was to be written, and if not, what differs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from langgraph.checkpoint.base import CheckpointTuple, get_checkpoint_metadata
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_checkpoint_s3.admin.bulk.items import Item, by_task

_SERDE: Final = JsonPlusSerializer(pickle_fallback=True)
"""Only ever writes, in order to compare."""
_ABSENT: Final = object()


def difference(wanted: Item, found: CheckpointTuple) -> str | None:
    """What differs first, in words; `None` if nothing does.

    Writes are compared task by task, each with its special ones by channel and its regular ones in
    their order: what is between a task's writes in a list is up to the saver.

    Args:
        wanted: What was to be written.
        found: What is there.
    """
    return next(_differences(wanted, found), None)


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, or (where they can't say: arrays, NaN, plain objects) serialize alike."""
    with suppress(Exception):  # of a user's class
        if one == other:
            return True
    try:
        return _SERDE.dumps_typed(one) == _SERDE.dumps_typed(other)
    except Exception:  # noqa: BLE001  # of a user's class
        return False


def _differences(wanted: Item, found: CheckpointTuple) -> Iterator[str]:
    parent = (found.parent_config or {}).get("configurable", {}).get("checkpoint_id")
    if parent != wanted.parent:
        yield "its parent"
    # What LangGraph's savers keep: they all drop NULs.
    metadata = get_checkpoint_metadata({}, wanted.found.metadata or {})
    yield from (f"metadata {name!r}" for name in _unequal(metadata, found.metadata or {}))
    old: dict[str, Any]
    new: dict[str, Any]
    old, new = {**wanted.found.checkpoint}, {**found.checkpoint}
    channels = _unequal(old.pop("channel_values"), new.pop("channel_values"))
    yield from (f"channel {name!r}" for name in channels)
    yield from (f"its {name!r}" for name in _unequal(old, new))
    tasks = by_task(found.pending_writes)
    if [task.task_id for task in tasks] != [task.task_id for task in wanted.tasks]:
        yield "which tasks wrote, or their order"
    for one, other in zip(wanted.tasks, tasks, strict=False):
        if not same([one.special, one.regular], [other.special, other.regular]):
            yield f"what task {one.task_id} wrote"


def _unequal(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    for name in {**one, **other}:
        if not same(one.get(name, _ABSENT), other.get(name, _ABSENT)):
            yield name
