"""One step of a plan, for the drivers and for plans that run other plans; and the end of one that failed."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator, Sequence
from typing import Any, Final, NamedTuple

from langgraph_checkpoint_s3.s3.requests import Request

_PACKAGE: Final = __name__.partition(".")[0]


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


def clear_frames(error: BaseException) -> None:
    """Clear the local variables of the package's functions that an error has ended.

    Some of them refer to the error, whose traceback refers to them. So what they hold, such as the bytes of a
    large state, would stay in memory until the garbage collector runs.
    """
    cause: BaseException | None = error
    while cause is not None:
        entry = cause.__traceback__
        while entry is not None:
            frame, entry = entry.tb_frame, entry.tb_next
            if frame.f_globals.get("__name__", "").partition(".")[0] == _PACKAGE:
                with contextlib.suppress(RuntimeError):  # it runs
                    frame.clear()
        cause = cause.__cause__


def drop_tracebacks(error: BaseException) -> None:
    """Drop the tracebacks of an error that nobody raises again, and of the errors behind it.

    Their frames hold what was sent or received.
    """
    seen = {id(sys.exc_info()[1])}  # the caller may be handling an error, and raise that one again
    rest: list[BaseException | None] = [error]
    while rest:
        each = rest.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            each.__traceback__ = None
            rest += [each.__cause__, each.__context__]
