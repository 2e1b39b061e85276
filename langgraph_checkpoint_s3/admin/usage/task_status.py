"""Status of a checkpoint's tasks, read from its pending writes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

# LangGraph's names of channels that say what happened to a task, rather than what it produced.
_INTERRUPT: Final = "__interrupt__"
_ERROR: Final = "__error__"
_RESUME: Final = "__resume__"
_CONTROL: Final = frozenset({_INTERRUPT, _ERROR, _RESUME, "__error_source_node__"})
_NULL_TASK: Final = "00000000-0000-0000-0000-000000000000"
"""The task of the writes that an input or an answer consists of."""


@dataclass(slots=True)
class TaskStatus:
    """Status of one task.

    Attributes:
        finished: Whether it has a result: LangGraph doesn't run it again.
        interrupts: The values of its latest interrupts. They wait for an answer unless it has finished.
        answers: The answers that it received so far.
        error: Its error; `None` if there is none.
    """

    finished: bool = False
    interrupts: list[Any] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)
    error: Any = None


def task_statuses(pending: Iterable[tuple[str, str, Any]]) -> dict[str, TaskStatus]:
    """Return the status of each task that has written, by its id.

    The rules are LangGraph's (`langgraph.pregel._task_status`, 1.2): a task has finished if it has written
    anything but control writes. An answer alone doesn't show that it has: it may be to an earlier question,
    while the task waits for the answer to a later one.
    """
    found: dict[str, TaskStatus] = {}
    for task_id, channel, value in pending:
        if task_id == _NULL_TASK:
            continue
        status = found.setdefault(task_id, TaskStatus())
        if channel == _INTERRUPT:
            each = value if isinstance(value, (list, tuple)) else [value]
            status.interrupts += [getattr(one, "value", one) for one in each]
        elif channel == _RESUME:
            status.answers = list(value) if isinstance(value, (list, tuple)) else [value]
        elif channel == _ERROR:
            status.error = value
        elif channel not in _CONTROL:
            status.finished = True
    return found
