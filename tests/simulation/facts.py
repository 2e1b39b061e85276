"""Facts for the oracle: operations, and the checkpoints that they make and remove.

A time is the number of a step. An operation has an effect at some time between its beginning and its end;
one that failed or was killed at any time until the last of its requests has arrived, or never. What may be
in any order may have happened in any.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

Place: TypeAlias = tuple[str, str, str]
"""A checkpoint: its thread, its namespace and its id."""
Values: TypeAlias = tuple[tuple[str, Any], ...]

FOREVER: Final = math.inf


class Violation(Exception):  # noqa: N818  # it is what is looked for
    """Something that must not be.

    Args:
        kind: What it is, in a few words that are the same for all of its kind.
        text: What it is exactly.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind


@dataclass(eq=False)
class Op:
    """An operation.

    Attributes:
        name: For the trace.
        begun: When it began.
        ended: When it ended; `None` if it is under way.
        outcome: `done`, `failed` or `killed`, once it has ended.
        flying: How many of its requests are under way, or may still arrive.
        landed: When the last of them arrived.
        faults: What went wrong.
    """

    name: str
    begun: int
    ended: int | None = None
    outcome: str = ""
    flying: int = 0
    landed: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def done(self) -> bool:
        """Return if it was acknowledged."""
        return self.outcome == "done"

    @property
    def closed(self) -> float:
        """From when on it can have no effect any more."""
        return FOREVER if self.ended is None or self.flying else max(self.ended, self.landed)


@dataclass(frozen=True)
class Content:
    """Contents of a checkpoint. Its copies hold the same."""

    checkpoint: Mapping[str, Any]
    metadata: Mapping[str, Any]
    parent: str | None
    run: str


@dataclass(frozen=True, eq=False)
class Made:
    """Something that an operation makes.

    Attributes:
        op: The operation.
        sure: Whether it is there once that is acknowledged.
    """

    op: Op
    sure: Callable[[], bool]


@dataclass(frozen=True, eq=False)
class Written(Made):
    """A task's writes.

    Attributes:
        values: Channels and values.
        ordered: Whether it counts who came first, or last: of copies it isn't known.
    """

    values: Values = ()
    ordered: bool = True


@dataclass(frozen=True, eq=False)
class Removal:
    """A deletion.

    Attributes:
        op: The operation.
        thread: The thread, if it is all of one that goes.
        may: Whether a checkpoint may go.
        must: Whether one goes that was there when the deletion began.
        keeps: Whether it leaves each namespace something as late as the latest.
    """

    op: Op
    thread: str | None
    may: Callable[[Place], bool]
    must: Callable[[Place], bool]
    keeps: bool = False


@dataclass(frozen=True, eq=False)
class Copy:
    """A copy of a thread: what it makes depends on what is there meanwhile."""

    op: Op
    source: str
    target: str


def always() -> bool:
    """Return `True`: it is there as soon as it is acknowledged."""
    return True


def place_of(config: Any) -> Place:
    """Return the checkpoint that a config points at."""
    said = config["configurable"]
    return said["thread_id"], said.get("checkpoint_ns") or "", said["checkpoint_id"]
