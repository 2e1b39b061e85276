"""Points at which threads would continue, as far as the stored state shows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from langgraph_checkpoint_s3.admin.usage.steps import node_of_send
from langgraph_checkpoint_s3.admin.usage.task_status import task_statuses
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.get_tuple import load_place
from langgraph_checkpoint_s3.plans.place import Place
from langgraph_checkpoint_s3.plans.plan import Plan

if TYPE_CHECKING:
    from langgraph.checkpoint.base import CheckpointTuple

# LangGraph's names of channels, and its texts of task paths (`task_path_str` in `langgraph.pregel._algo`).
_BRANCH: Final = "branch:to:"
_JOIN: Final = "join:"
_SENDS: Final = "__pregel_tasks"
_START: Final = "__start__"
_NOT_NODES: Final = frozenset({"__interrupt__", "__input__"})
_PULL: Final = "~__pregel_pull, "
_PUSH: Final = re.compile(r"~__pregel_push, ([0-9]{10})(?:, .*)?", flags=re.DOTALL)
_UNKNOWN: Final = (
    "Read from stored data only: breakpoints set at compile time and later changes of the graph don't show."
)


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Point at which a thread would continue.

    Attributes:
        checkpoint_id: The checkpoint to continue from.
        state: `finished`, `ready`, `waiting` (for an answer to an interrupt) or `failed`.
        next: The nodes that would run; one that was sent several inputs, once for each.
        interrupts: The values of the interrupts that wait for an answer.
        errors: The errors of tasks that have no result.
        done: The nodes whose tasks have finished and don't run again; a task's id where its node isn't known.
        unknown: What the stored state doesn't tell.
    """

    checkpoint_id: str
    state: str
    next: tuple[str, ...]
    interrupts: tuple[Any, ...]
    errors: tuple[str, ...]
    done: tuple[str, ...]
    unknown: str = _UNKNOWN


def resume_point(context: Context, place: Place) -> Plan[ResumePoint | None]:
    """Derive where a thread would continue: from its latest checkpoint, or from the one that is named."""
    loaded = yield from load_place(context, place)
    if loaded is None:
        return None
    paths = {row.task_id: row.task_path for record in loaded.writes for row in record.rows}
    return derive(loaded.tuple(context.serde), paths, latest=place.checkpoint_id is None)


def derive(found: CheckpointTuple, paths: Mapping[str, str], *, latest: bool = True) -> ResumePoint:
    """Derive where a thread would continue from a checkpoint's channels and pending writes.

    LangGraph runs the tasks of a checkpoint again that is named in the config. From the latest one, it goes
    on: tasks that have a result don't run again.

    Args:
        found: The checkpoint.
        paths: The paths of its tasks, by their ids.
        latest: Whether it is continued as the thread's latest, rather than by its id.
    """
    checkpoint = found.checkpoint
    values = checkpoint["channel_values"]
    nodes = set(_triggered(values, checkpoint["channel_versions"], checkpoint["versions_seen"]))
    sends = values.get(_SENDS)
    sent = [node_of_send(each) for each in sends] if isinstance(sends, (list, tuple)) else []
    statuses = task_statuses(found.pending_writes or [])
    done: list[str] = []
    unsent: list[str | None] = [*sent]
    for task_id, status in statuses.items():
        if latest and status.finished:
            done.append(_end(paths.get(task_id, ""), nodes, unsent) or task_id)
    following = (*sorted(nodes), *(node for node in unsent if node is not None))
    open_ones = [status for status in statuses.values() if not (latest and status.finished)]
    interrupts = tuple(value for status in open_ones for value in status.interrupts)
    errors = tuple(str(status.error) for status in open_ones if status.error is not None)
    return ResumePoint(
        checkpoint["id"],
        _state(errors, interrupts, following, done),
        following,
        interrupts,
        errors,
        tuple(done),
    )


def _state(
    errors: Sequence[str], interrupts: Sequence[Any], following: Sequence[str], done: Sequence[str]
) -> str:
    if errors:
        return "failed"
    if interrupts:
        return "waiting"
    # With all tasks done, LangGraph applies their writes, and goes on with what these trigger.
    return "ready" if following or done else "finished"


def _end(path: str, nodes: set[str], unsent: list[str | None]) -> str | None:
    """Take a finished task out of those that would run. Return its node, if the path tells it."""
    if path.startswith(_PULL):
        nodes.discard(path.removeprefix(_PULL))
        return path.removeprefix(_PULL)
    match = _PUSH.fullmatch(path)
    number = int(match[1]) if match else len(unsent)
    if number >= len(unsent):
        return None
    node, unsent[number] = unsent[number], None
    return node


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
