"""`save_checkpoint` and `load_checkpoint`: a thread's state as a dict, without a graph.

A graph that is compiled with the saver goes on from what was saved. So each save is a checkpoint as
LangGraph's `update_state` writes it: the child of the thread's latest one, in which the versions of changed
channels have moved. What LangGraph keeps in channels of its own (which node is next, unfinished `Send`s)
stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any, Final, cast

from langgraph.checkpoint.base import Checkpoint, CheckpointMetadata
from langgraph.checkpoint.base.id import UUID, uuid6
from langgraph.checkpoint.serde.types import _DeltaSnapshot

from langgraph_checkpoint_s3.errors import InvalidKeyError, NotSupportedError
from langgraph_checkpoint_s3.format.checkpoint import SECOND, rebuilt_channels
from langgraph_checkpoint_s3.format.ids import required_id, thread_name
from langgraph_checkpoint_s3.format.serialization import dump, estimate_size
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.get_tuple import load_place, remember
from langgraph_checkpoint_s3.plans.place import Place
from langgraph_checkpoint_s3.plans.plan import Plan, before_encoding
from langgraph_checkpoint_s3.plans.put import put

_VERSION: Final = 4
"""The version of LangGraph's checkpoints whose channels are named as here."""
_INTERNAL: Final = frozenset({"__start__", "__pregel_tasks"})
_INTERNAL_PREFIXES: Final = ("branch:", "start:", "join:")


def new_id(step: int) -> UUID:
    """Return a new checkpoint's id, as LangGraph makes them."""
    return uuid6(clock_seq=step)


def save(
    context: Context,
    thread_id: object,
    state: Mapping[str, Any],
    now: int,
    next_version: Callable[[Any, None], Any],
    new_id: Callable[[int], UUID] = new_id,
) -> Plan[str]:
    """Write a checkpoint with these values, as the child of the thread's latest one. LIST, GET and PUT.

    A value that serializes to the bytes that the parent has is unchanged: it keeps its version, and is
    borrowed. What isn't among the values is removed.

    Args:
        context: The saver's.
        thread_id: The thread.
        state: All of its state, as `state_of` returns it.
        now: The time, in ns since 1970.
        next_version: The saver's `get_next_version`.
        new_id: Returns a new checkpoint's id, given its step.

    Returns:
        The checkpoint's id.

    Raises:
        InvalidKeyError: The thread_id is invalid, or the latest checkpoint's id sorts after every UUID.
    """
    place = Place(thread_name(thread_id))
    latest = yield from load_place(context, place, writes=False)
    record = latest.checkpoint if latest else None
    rest: dict[str, Any] = {
        "v": _VERSION,
        "versions_seen": {},
        **(record.rest(context.serde) if record else {}),
    }
    before: Mapping[str, Any] = rest.get("channel_versions") or {}
    metadata: CheckpointMetadata = record.metadata(context.serde) if record else {}
    if latest:
        remember(context, latest, before)
    yield from before_encoding(estimate_size(state.values()))
    # Bytes are compared, not values: `1 == True`, and arrays have no `==`. LangGraph's own channels are taken
    # over unread, as this serializer may not know their types.
    stored = record.content().channels if record else {}
    dumped = {name: dump(context.serde, value, name) for name, value in state.items()}
    changed = {name for name, each in dumped.items() if name not in before or stored.get(name) != each}
    kept = {name: each for name, each in stored.items() if is_internal(name)}
    # A channel that is gone has no version, as one that was never written. With one, LangGraph would rebuild
    # the value of a reducer's channel from the ancestors' writes.
    versions = {name: each for name, each in before.items() if name in state or is_internal(name)}
    seen = {
        node: {name: each for name, each in channels.items() if name in versions or name not in before}
        for node, channels in (rest["versions_seen"] or {}).items()
    }
    if changed:
        version = next_version(max(before.values(), default=None), None)
        versions |= dict.fromkeys(changed, version)
    step = metadata.get("step")
    step = step + 1 if isinstance(step, int) else 0  # as after `update_state` of a new thread
    parent_id = latest.folder.checkpoint_id if latest else None
    checkpoint = {
        **rest,
        "id": _later_id(new_id(step), parent_id),
        "ts": datetime.fromtimestamp(now / SECOND, timezone.utc).isoformat(),
        "channel_values": {**dict.fromkeys(kept), **state},
        "channel_versions": versions,
        "versions_seen": seen,
        "updated_channels": None,  # as after `update_state`: LangGraph then looks at all nodes
    }
    parents = metadata.get("parents") or {}
    written = yield from put(
        context,
        place.with_id(parent_id).config(),
        cast("Checkpoint", checkpoint),
        {"source": "update", "step": step, "parents": parents},
        changed,
        now,
        {**kept, **dumped},
    )
    return str(written["configurable"]["checkpoint_id"])


def load(context: Context, thread_id: object, checkpoint_id: object) -> Plan[dict[str, Any] | None]:
    """Return the values of a checkpoint, or of the thread's latest one. LIST and GET.

    Raises:
        NotSupportedError: A value isn't stored: only a graph can rebuild it.
    """
    name = None if checkpoint_id is None else required_id(checkpoint_id)
    loaded = yield from load_place(context, Place(thread_name(thread_id), "", name), writes=False)
    if loaded is None:
        return None
    record = loaded.checkpoint
    versions = record.versions(context.serde)
    if missing := rebuilt_channels(record.metadata(context.serde), versions, record.channels.keys()):
        raise NotSupportedError(
            f"The checkpoint doesn't hold {', '.join(map(repr, sorted(missing)))}: LangGraph rebuilds a "
            "DeltaChannel from earlier checkpoints, with the graph's reducer. Read it with graph.get_state.",
            key=loaded.key,
        )
    remember(context, loaded, versions)
    return {
        name: _plain(record.channel(context.serde, name)) for name in record.channels if not is_internal(name)
    }


def state_of(values: object) -> dict[str, Any]:
    """Return values to save, checked.

    Raises:
        InvalidKeyError: They aren't a mapping, or a name isn't a string or is one of LangGraph's own.
    """
    if not isinstance(values, Mapping):
        raise InvalidKeyError(
            f"The values must be a mapping of names to values, not {type(values).__name__}: of a dataclass "
            "pass vars(…), of a Pydantic model dict(…)."
        )
    for name in values:
        if not isinstance(name, str):
            raise InvalidKeyError(f"The values' names must be strings, not {type(name).__name__}.")
        if is_internal(name):
            raise InvalidKeyError(
                f"{name!r} can't be saved: LangGraph has channels of its own by the names "
                f"{', '.join(sorted(_INTERNAL))} and {', '.join(f'{each}…' for each in _INTERNAL_PREFIXES)}"
            )
    return {str(name): value for name, value in values.items()}


def is_internal(channel: str) -> bool:
    """Return whether a channel holds LangGraph's own state, such as which node is next."""
    return channel in _INTERNAL or channel.startswith(_INTERNAL_PREFIXES)


def _plain(value: Any) -> Any:
    """Return a channel's value; a `DeltaChannel` stores it wrapped."""
    return value.value if isinstance(value, _DeltaSnapshot) else value


def _later_id(made: UUID, parent: str | None) -> str:
    """Return a new checkpoint's id, which must sort after its parent's to be the latest.

    Ids have their writer's time, and clocks differ: if the parent's was ahead, the id follows it directly.
    """
    if parent is None or str(made) > parent:
        return str(made)
    try:
        before = UUID(hex=parent)
    except ValueError:
        before = None
    if before is None or before.version != made.version or str(before) != parent:
        raise InvalidKeyError(
            f"The thread's latest checkpoint has the id {parent!r}, which sorts after any that LangGraph "
            "makes, so what is saved now would not be the latest. Save to another thread."
        )
    time = before.time + 1
    low = made.int & ((1 << 64) - 1)
    return str(UUID(int=time >> 12 << 80 | (time & 0xFFF) << 64 | low, version=made.version))
