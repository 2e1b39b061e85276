"""Comparing a checkpoint that was read back with the one that was put."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from typing import Any, Final

from langgraph.checkpoint.base import CheckpointTuple, get_checkpoint_metadata
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_checkpoint_s3.admin.bulk.batches import Item, by_task

_SERDE: Final = JsonPlusSerializer(pickle_fallback=True)
"""Only serializes, in order to compare."""


def difference(wanted: Item, found: CheckpointTuple) -> str | None:
    """Return the first difference, in words; `None` if there is none.

    Writes are compared task by task: special ones by channel, regular ones in order. How the writes of
    several tasks are interleaved is up to the saver.
    """
    return next(_differences(wanted, found), None)


def same(one: Any, other: Any) -> bool:
    """Return whether two values are equal, or would be after a round trip through LangGraph's serializer.

    That one tells `1`, `1.0` and `True` apart, as Python's `==` doesn't, but makes lists of tuples. Arrays,
    NaN and plain objects can't be compared otherwise. The order of keys and of sets doesn't matter.
    """
    with suppress(Exception):  # of a user's class
        if _serialize(one) == _serialize(other):
            return True
    try:
        return _equal(one, other)
    except Exception:  # noqa: BLE001  # of a user's class
        return False


def _serialize(value: Any) -> bytes:
    # In a list, since `bytes` and `bytearray` differ only outside of containers.
    return _SERDE.dumps_typed([value])[1]


def _equal(one: Any, other: Any) -> bool:
    """Return whether values are equal, part by part, so that parts are compared as `same` does."""
    if _restored_type(one) is not _restored_type(other):
        return False
    if isinstance(one, dict):
        keys = {key: key for key in other}
        return len(one) == len(other) and all(
            key in keys and same(key, keys[key]) and same(value, other[key]) for key, value in one.items()
        )
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, (set, frozenset)):
        return sorted(map(_serialize, one)) == sorted(map(_serialize, other))
    if is_dataclass(one):
        return all(same(getattr(one, each.name), getattr(other, each.name)) for each in fields(one))
    if callable(getattr(one, "model_dump", None)):  # pydantic
        return same(one.model_dump(), other.model_dump())
    return bool(one == other)


def _restored_type(value: Any) -> type:
    """Return the type of a value that was serialized and read back."""
    if isinstance(value, dict):
        return dict
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return list
    return type(value)


def _differences(wanted: Item, found: CheckpointTuple) -> Iterator[str]:
    parent = (found.parent_config or {}).get("configurable", {}).get("checkpoint_id")
    if parent != wanted.parent:
        yield "its parent"
    # LangGraph's savers all drop NULs from metadata.
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
        if name not in one or name not in other or not same(one[name], other[name]):
            yield name
