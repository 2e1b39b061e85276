"""Reading a thread's history: which checkpoints lead to a state, and where branches part.

Each checkpoint knows its parent, so a thread is a tree; `update_state` on an earlier state starts a branch.
"""

from collections import Counter

from langgraph.types import StateSnapshot


def checkpoint_id(state: StateSnapshot) -> str:
    return str(state.config["configurable"]["checkpoint_id"])


def lineage(history: list[StateSnapshot], tip: StateSnapshot) -> list[str]:
    """The checkpoint ids from a state back to the thread's beginning."""
    states = {checkpoint_id(state): state for state in history}
    ids = [checkpoint_id(tip)]
    while (parent := states[ids[-1]].parent_config) is not None:
        ids.append(str(parent["configurable"]["checkpoint_id"]))
    return ids


def branches(history: list[StateSnapshot], tips: dict[str, StateSnapshot]) -> list[tuple[object, ...]]:
    """A table of all states, newest first, that marks which of them lead to each of the tips."""
    lines = {name: lineage(history, tip) for name, tip in tips.items()}
    rows: list[tuple[object, ...]] = [("checkpoint", "step", "source", "next", *lines)]
    for state in history:
        here, metadata = checkpoint_id(state), dict(state.metadata or {})
        marks = ("*" if here in line else "" for line in lines.values())
        rows.append((here[-8:], metadata.get("step"), metadata.get("source"), _next(state), *marks))
    return rows


def _next(state: StateSnapshot) -> str:
    counts = Counter(state.next)
    return ", ".join(f"{name} x{count}" if count > 1 else name for name, count in counts.items()) or "-"
