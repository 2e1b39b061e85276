"""What would run next from a checkpoint, as far as what is stored tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from langgraph.checkpoint.base import CheckpointTuple

_BRANCH: Final = "branch:to:"
_JOIN: Final = "join:"
_SENDS: Final = "__pregel_tasks"
_START: Final = "__start__"
_NO_NODE: Final = frozenset({"__interrupt__", "__input__"})
_UNKNOWN: Final = (
    "Not told by what is stored: nodes that never ran and wait for channels of their own; interrupts before "
    "or after a node; what a graph whose code has changed would do."
)


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Where a thread goes on.

    Attributes:
        checkpoint_id: From which checkpoint.
        state: `finished`, `ready`, `waiting` (for an answer to an interrupt) or `failed`.
        next: The nodes that would run; a node to which something was sent, once for each.
        interrupts: What tasks asked.
        errors: What tasks failed with.
        done: The tasks of this step whose writes are kept.
        unknown: What can't be told.
    """

    checkpoint_id: str
    state: str
    next: tuple[str, ...]
    interrupts: tuple[Any, ...]
    errors: tuple[str, ...]
    done: tuple[str, ...]
    unknown: str = _UNKNOWN


def resume(found: CheckpointTuple) -> ResumePoint:
    """Read it from a checkpoint and its pending writes."""
    checkpoint = found.checkpoint
    values = checkpoint["channel_values"]
    ready = set(_ready(values, checkpoint["channel_versions"], checkpoint["versions_seen"]))
    sends = values.get(_SENDS)
    sent = [_node(each) for each in sends] if isinstance(sends, (list, tuple)) else []
    pending = found.pending_writes or []
    asked = tuple(_questions(write[2]) for write in pending if write[1] == "__interrupt__")
    errors = tuple(str(write[2]) for write in pending if write[1] == "__error__")
    special = {"__interrupt__", "__error__", "__resume__", "__error_source_node__"}
    done = tuple(dict.fromkeys(write[0] for write in pending if write[1] not in special))
    following = (*sorted(ready), *sent)
    if errors:
        state = "failed"
    elif asked:
        state = "waiting"
    else:
        state = "ready" if following or pending else "finished"
    return ResumePoint(checkpoint["id"], state, following, asked, errors, done)


def _ready(values: Mapping[str, Any], versions: Mapping[str, Any], seen: Mapping[str, Any]) -> Iterator[str]:
    """The nodes for which a channel has news."""
    for channel in values:
        node = None
        if channel.startswith(_BRANCH):
            node = channel.removeprefix(_BRANCH)
        elif channel.startswith(_JOIN):
            starts, _, end = channel.removeprefix(_JOIN).partition(":")
            node = end if _all_there(values[channel], starts.split("+")) else None
        elif channel == _START:
            node = _START
        if node and _news(versions.get(channel), (seen.get(node) or {}).get(channel)):
            yield node
    for node, known in seen.items():
        if node in _NO_NODE or not isinstance(known, Mapping):
            continue
        for channel, version in known.items():
            if channel in values and not channel.startswith(_JOIN) and _news(versions.get(channel), version):
                yield node


def _all_there(value: Any, starts: list[str]) -> bool:
    return isinstance(value, (set, frozenset, list, tuple)) and set(map(str, value)) >= set(starts)


def _news(version: Any, seen: Any) -> bool:
    if version is None or seen is None:
        return version is not None
    try:
        return bool(version > seen)
    except TypeError:  # versions of two kinds of savers
        return str(version) > str(seen)


def _node(sent: Any) -> str:
    return str(sent.get("node") if isinstance(sent, Mapping) else getattr(sent, "node", sent))


def _questions(value: Any) -> Any:
    """What `interrupt(…)` was given."""
    asked = [
        getattr(each, "value", each) for each in (value if isinstance(value, (list, tuple)) else [value])
    ]
    return asked[0] if len(asked) == 1 else asked
