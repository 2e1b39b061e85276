"""Actions of a simulated process, and their arguments."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from langgraph.checkpoint.base import Checkpoint

from tests.simulation.facts import Op, Place, Written

Judge: TypeAlias = Callable[[Op, Any], None]

_POOL: Final = random.Random(0).randbytes(1 << 18)


@dataclass(frozen=True)
class Action:
    """Something to do.

    Attributes:
        name: For the trace.
        run: Does it.
        tell: Tells the oracle that it has begun.
        done: Judges what it returned.
        conflicts: Whether a `ConflictError` is right.
        again: Whether it may be done again if it failed.
        missing: Whether there may be nothing to do it with.
        removes: Whether it is a deletion.
    """

    name: str
    run: Callable[[], Coroutine[Any, Any, Any]]
    tell: Callable[[Op], None]
    done: Judge
    conflicts: Callable[[Op], bool]
    again: bool = True
    missing: bool = False
    removes: bool = False


def nothing(*_: object) -> None:
    """Nothing is told or judged."""


@dataclass
class Known:
    """A checkpoint that a process has put or read last in a namespace.

    Attributes:
        checkpoint: The checkpoint; `None` where there was none.
        seen: When what brought it here began.
    """

    checkpoint: Checkpoint | None
    seen: int


@dataclass(frozen=True)
class File:
    """An exported thread.

    Attributes:
        thread: From which thread.
        data: The file.
        certain: The checkpoints that must be in it.
        written: Those that may be, with what was written for them.
    """

    thread: str
    data: bytes
    certain: Collection[Place]
    written: Mapping[Place, Mapping[str, Sequence[Written]]]


def succeed(new: str, parent: Checkpoint | None, changed: Mapping[str, Any], version: str) -> Checkpoint:
    """A child as a graph makes it: what isn't changed keeps its version."""
    values = {**(parent["channel_values"] if parent else {}), **changed}
    versions = {**(parent["channel_versions"] if parent else {}), **dict.fromkeys(changed, version)}
    return {
        "v": 4,
        "id": new,
        "ts": "2026-01-01T00:00:00+00:00",
        "channel_values": values,
        "channel_versions": versions,
        "versions_seen": {"node": dict.fromkeys(values, version)},
        "updated_channels": sorted(changed),
    }


def evolve(chosen: random.Random, values: dict[str, Any]) -> dict[str, Any]:
    """Change the state as a graph's step does: a document that mostly stays, a log, growing messages."""
    changed: dict[str, Any] = {}
    if not values:
        changed["doc"] = _noise(chosen, chosen.choice([0, 18_000, 18_000, 40_000]))
        changed["log"] = _noise(chosen, chosen.choice([100, 5_000, 18_000]))
        changed["messages"] = [_text(chosen) for _ in range(chosen.randrange(1, 20))]
        return changed
    if chosen.random() < 0.1:
        doc, at = values["doc"], chosen.randrange(len(values["doc"]) + 1)
        changed["doc"] = chosen.choice([doc[:at] + b"edited" + doc[at:], doc[at:], _noise(chosen, 18_000)])
    if chosen.random() < 0.6:
        log, at = values["log"], chosen.randrange(len(values["log"]) + 1)
        added = _noise(chosen, chosen.choice([20, 800, 5_000, 18_000]))
        changed["log"] = chosen.choice([log + added, log + added, log + added, log[at:] + added, log[:at]])
    if chosen.random() < 0.7 or not changed:
        changed["messages"] = [*values["messages"], *(_text(chosen) for _ in range(chosen.randrange(1, 4)))]
    return changed


def _noise(chosen: random.Random, size: int) -> bytes:
    at = chosen.randrange(len(_POOL) - size)
    return _POOL[at : at + size]


def _text(chosen: random.Random) -> str:
    return f"message {chosen.randrange(1000)} " + "and more " * chosen.choice([3, 40, 150])
