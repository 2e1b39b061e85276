"""Plans and calls with results or errors: one that fails doesn't end the others."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias, TypeVar

from langgraph_checkpoint_s3.admin.calls import before_encoding
from langgraph_checkpoint_s3.errors import S3CheckpointError
from langgraph_checkpoint_s3.plans.plan import Plan, gather, return_errors

T = TypeVar("T")
U = TypeVar("U")

NoteError: TypeAlias = Callable[[S3CheckpointError], None]
"""Called with each error of the store, as the store treats those that end a plan."""


def settle(plans: Sequence[Plan[T]], note_error: NoteError, weight: int = 0) -> Plan[list[T | Exception]]:
    """Run plans side by side, each to its result or its error.

    Args:
        plans: The plans.
        note_error: Called with the errors.
        weight: About how many bytes the plans' first steps encode, together.
    """
    if not plans:
        return []
    if weight:
        yield from before_encoding(weight)
    outcomes = yield from gather([return_errors(plan, Exception) for plan in plans])
    for outcome in outcomes:
        if isinstance(outcome, S3CheckpointError):
            note_error(outcome)
    clear_tracebacks(outcomes)
    return outcomes


def attempts(function: Callable[[U], T], arguments: Iterable[U]) -> list[T | Exception]:
    """Call a function with each argument, and return the results and errors."""
    outcomes = [_attempt(function, argument) for argument in arguments]
    clear_tracebacks(outcomes)
    return outcomes


def clear_tracebacks(outcomes: Iterable[object]) -> None:
    """Clear the frames of errors, which may hold whole states: many errors may be kept for long."""
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
    except Exception as error:  # noqa: BLE001  # returned as a result
        return error
