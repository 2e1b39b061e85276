"""How long a batch of requests may go on without an answer, and what each call of the client took.

botocore tries a request again by itself, out of the drivers' sight. Who calls a client of our own making
names its `Call` here; the client's handler (`watch`) counts its attempts, and lets none begin too late.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import ClientError

logger = logging.getLogger("langgraph_checkpoint_s3")

_LONGEST_PAUSE: Final = 20.0
"""Of botocore's: before attempt n + 1 it waits up to 2 ** (n - 1) seconds, and never longer than this."""
_TOO_MANY: Final = 429


class Patience:
    """The time that one batch of requests has; each answer gives it all of that again.

    So a batch that gets on is never cut, however large: what is bounded is how long it stands still.

    Args:
        seconds: The time; `None` is without end.
        clock: Tells the time in seconds.
    """

    def __init__(self, seconds: float | None, clock: Callable[[], float]) -> None:
        self._seconds = math.inf if seconds is None else seconds
        self.clock = clock
        self._since = clock()

    def answered(self) -> None:
        """An answer came."""
        self._since = self.clock()

    @property
    def waited(self) -> float:
        """Seconds since the last answer."""
        return self.clock() - self._since

    @property
    def left(self) -> float:
        """Seconds that are left; none is 0."""
        return max(0.0, self._seconds - self.waited)


@dataclass(slots=True)
class Call:
    """One call of a client's method.

    Attributes:
        patience: What its attempts may take.
        attempts: How often the request was sent so far; 0 for a client that isn't of our making.
        cut: Whether another attempt would have come too late.
        once: Whether no other attempt is to begin, since another call's answer is there or is on its way.
        reading: Whether its answer has begun, and the body of that is read.
        failure: What was wrong with its last attempt.
    """

    patience: Patience
    attempts: int = 0
    cut: bool = False
    once: bool = False
    reading: bool = False
    failure: str = ""


_running: ContextVar[Call | None] = ContextVar("langgraph_checkpoint_s3_call", default=None)


@contextmanager
def calling(call: Call) -> Iterator[None]:
    """The client is called meanwhile, in this thread or task."""
    token = _running.set(call)
    try:
        yield
    finally:
        _running.reset(token)


def watch(
    attempts: int, operation: Any, response: Any = None, caught_exception: Any = None, **_: Any
) -> None:
    """Handle botocore's `needs-retry`, which it emits after each attempt.

    Its pauses can't be shortened. So after a failure none begins that may end too late; the failure is then
    told at once, as it is after the last attempt.
    """
    call = _running.get()
    if call is None:
        return
    call.attempts = attempts
    if attempts > 1:
        logger.info("%s: %s; the client library's attempt %d", operation.name, call.failure, attempts)
    status = response[0].status_code if response is not None else 200
    call.failure = str(status) if caught_exception is None else type(caught_exception).__name__
    if caught_exception is None and status < 500 and status != _TOO_MANY:
        return
    if not call.once and min(_LONGEST_PAUSE, 2.0 ** (attempts - 1)) < call.patience.left:
        return
    call.cut = True
    if caught_exception is not None:
        raise caught_exception
    parsed = response[1]
    parsed.setdefault("ResponseMetadata", {})["RetryAttempts"] = attempts - 1
    raise ClientError(parsed, operation.name)
