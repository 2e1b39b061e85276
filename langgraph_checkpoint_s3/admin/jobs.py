"""What a job is: plans one after the other, with what happens between them, written once for both drivers.

    def move(source: RunnableConfig, plan: Callable[[CheckpointTuple], Plan[None]]) -> Job[None]:
        found = yield from read_tuple(source)       # from another saver
        if found is not None:
            yield from run(plan(found))             # on the store

A job is a generator of steps, as a plan is one of requests. `admin/jobs_api.py` takes the steps, blocking or
async. Beside plans, a job may call what the user handed in, such as a progress callback.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from langgraph.checkpoint.base import CheckpointTuple

from langgraph_checkpoint_s3.plans.plan import Plan

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class Run:
    """Run a plan.

    Attributes:
        plan: The plan.
        weight: About how many bytes its first step has to encode.
    """

    plan: Plan[Any]
    weight: int = 0


@dataclass(frozen=True, slots=True)
class Settle:
    """Run plans side by side, each to its result or its error.

    Attributes:
        plans: The plans.
        weight: About how many bytes their first steps have to encode, all of them.
    """

    plans: Sequence[Plan[Any]]
    weight: int = 0


@dataclass(frozen=True, slots=True)
class ReadIds:
    """List checkpoints of another saver.

    Attributes:
        config: Which ones; `None` are all.
        note: Is told the thread, namespace and id of each.
    """

    config: RunnableConfig | None
    note: Callable[[str, str, str], None]


@dataclass(frozen=True, slots=True)
class ReadTuple:
    """Read a checkpoint of another saver."""

    config: RunnableConfig


Job: TypeAlias = Generator["Run | Settle | ReadIds | ReadTuple", Any, T]
"""What ends in a `T` and takes steps on its way. A step that fails raises in it."""


def run(plan: Plan[T], weight: int = 0) -> Job[T]:
    """Run a plan."""
    return cast("T", (yield Run(plan, weight)))


def settle(plans: Sequence[Plan[T]], weight: int = 0) -> Job[list[T | Exception]]:
    """Run plans side by side, each to its result or its error; no plans are no step."""
    return cast("list[T | Exception]", (yield Settle(plans, weight)) if plans else [])


def read_ids(config: RunnableConfig | None, note: Callable[[str, str, str], None]) -> Job[None]:
    """List checkpoints of another saver."""
    yield ReadIds(config, note)


def read_tuple(config: RunnableConfig) -> Job[CheckpointTuple | None]:
    """Read a checkpoint of another saver."""
    return cast("CheckpointTuple | None", (yield ReadTuple(config)))


def attempts(function: Callable[[U], T], arguments: Iterable[U]) -> list[T | Exception]:
    """What a function makes of each argument, or its error."""
    outcomes = [_attempt(function, argument) for argument in arguments]
    clear_tracebacks(outcomes)
    return outcomes


def clear_tracebacks(outcomes: Iterable[object]) -> None:
    """Let go of what errors' frames hold, whole states among it: many errors may be kept for long."""
    rest = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    seen: set[int] = set()
    while rest:
        error = rest.pop()
        if id(error) not in seen:
            seen.add(id(error))
            traceback.clear_frames(error.__traceback__)
            rest += [each for each in (error.__cause__, error.__context__) if each is not None]


def _attempt(function: Callable[[U], T], argument: U) -> T | Exception:
    try:
        return function(argument)
    except Exception as error:  # noqa: BLE001  # handed on as a result
        return error
