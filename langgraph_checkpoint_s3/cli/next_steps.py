"""Tasks that would run next from a checkpoint, as far as the stored state shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from langgraph.checkpoint.base import CheckpointTuple

# LangGraph's names of channels and of writes.
_BRANCH: Final = "branch:to:"
_JOIN: Final = "join:"
_SENDS: Final = "__pregel_tasks"
_START: Final = "__start__"
_NOT_NODES: Final = frozenset({"__interrupt__", "__input__"})
_NOT_RESULTS: Final = frozenset({"__interrupt__", "__error__", "__resume__", "__error_source_node__"})
_UNKNOWN: Final = (
    "Not known from the stored state: nodes that never ran and wait for channels of their own; interrupts "
    "before or after a node; what a graph whose code has changed would do."
)


@dataclass(frozen=True, slots=True)
class NextSteps:
    """Point at which a thread would continue.

    Attributes:
        checkpoint_id: The checkpoint to continue from.
        state: `finished`, `ready`, `waiting` (for an answer to an interrupt) or `failed`.
        next: The nodes that would run; one that was sent several inputs, once for each.
        interrupts: The values of the tasks' interrupts.
        errors: The tasks' errors.
        done: The tasks of this step that have finished.
        unknown: What the stored state doesn't tell.
    """

    checkpoint_id: str
    state: str
    next: tuple[str, ...]
    interrupts: tuple[Any, ...]
    errors: tuple[str, ...]
    done: tuple[str, ...]
    unknown: str = _UNKNOWN


def next_steps(found: CheckpointTuple) -> NextSteps:
    """Derive the next steps from a checkpoint's channels and pending writes."""
    checkpoint = found.checkpoint
    values = checkpoint["channel_values"]
    nodes = set(_triggered(values, checkpoint["channel_versions"], checkpoint["versions_seen"]))
    sends = values.get(_SENDS)
    sent = [_node_of(each) for each in sends] if isinstance(sends, (list, tuple)) else []
    pending = found.pending_writes or []
    interrupts = tuple(_interrupt_value(value) for _, channel, value in pending if channel == "__interrupt__")
    errors = tuple(str(value) for _, channel, value in pending if channel == "__error__")
    done = tuple(dict.fromkeys(task for task, channel, _ in pending if channel not in _NOT_RESULTS))
    following = (*sorted(nodes), *sent)
    if errors:
        state = "failed"
    elif interrupts:
        state = "waiting"
    else:
        state = "ready" if following or pending else "finished"
    return NextSteps(checkpoint["id"], state, following, interrupts, errors, done)


def _triggered(
    values: Mapping[str, Any], versions: Mapping[str, Any], seen: Mapping[str, Any]
) -> Iterator[str]:
    """Yield the nodes that have a channel with a version they haven't seen."""
    # LangGraph's own channels name the node that they trigger, which may not have run before.
    for channel in values:
        node = None
        if channel.startswith(_BRANCH):
            node = channel.removeprefix(_BRANCH)
        elif channel.startswith(_JOIN):
            starts, _, end = channel.removeprefix(_JOIN).partition(":")
            node = end if _has_all(values[channel], starts.split("+")) else None
        elif channel == _START:
            node = _START
        if node and _is_newer(versions.get(channel), (seen.get(node) or {}).get(channel)):
            yield node
    # For other channels, only nodes that have run before are known as readers.
    for node, versions_seen in seen.items():
        if node in _NOT_NODES or not isinstance(versions_seen, Mapping):
            continue
        for channel, version in versions_seen.items():
            if (
                channel in values
                and not channel.startswith(_JOIN)
                and _is_newer(versions.get(channel), version)
            ):
                yield node


def _has_all(value: Any, starts: list[str]) -> bool:
    return isinstance(value, (set, frozenset, list, tuple)) and set(map(str, value)) >= set(starts)


def _is_newer(version: Any, seen: Any) -> bool:
    if version is None or seen is None:
        return version is not None
    try:
        return bool(version > seen)
    except TypeError:  # two savers wrote versions of different types
        return str(version) > str(seen)


def _node_of(send: Any) -> str:
    return str(send.get("node") if isinstance(send, Mapping) else getattr(send, "node", send))


def _interrupt_value(written: Any) -> Any:
    """Return what `interrupt(…)` was called with; a list if a task has several interrupts."""
    interrupts = written if isinstance(written, (list, tuple)) else [written]
    values = [getattr(each, "value", each) for each in interrupts]
    return values[0] if len(values) == 1 else values
