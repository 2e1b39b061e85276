"""One step of a plan: for the drivers, and for plans that run other plans. Pure."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, NamedTuple

from langgraph_checkpoint_s3.s3.requests import Request


class Ended(NamedTuple):
    """The result of a plan that has ended. A coroutine or future can't raise `StopIteration` for it."""

    result: Any


def advance(
    plan: Generator[Sequence[Request[Any]], list[Any], Any],
    answers: Any = None,
    failure: BaseException | None = None,
) -> Sequence[Request[Any]] | Ended:
    """Resume a plan, and return its next batch or its result.

    Args:
        plan: The plan.
        answers: A list of the answers to its last batch; `None` starts it.
        failure: An error to throw into it instead.
    """
    try:
        if failure is not None:
            return plan.throw(failure)
        return plan.send(answers)
    except StopIteration as stop:
        return Ended(stop.value)
