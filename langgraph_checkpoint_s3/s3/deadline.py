"""Time limits of batches and of single requests, and the time that a call took.

botocore tries a request again by itself, out of the drivers' sight. Who calls a client of our own making
names its `Attempt` here; the client's handler (`watch`) counts its attempts, and lets none begin too late.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, Final

from botocore.exceptions import ClientError

from langgraph_checkpoint_s3.request_timeout import RATE, TimeLimit, end_attempt, limit_requests
from langgraph_checkpoint_s3.s3.answer_checks import BEGINNING, NotAnAnswer, Received
from langgraph_checkpoint_s3.s3.requests import (
    CompleteUpload,
    CopyObject,
    DeleteObjects,
    ListObjects,
    PutObject,
    Request,
    UploadPart,
)
from langgraph_checkpoint_s3.s3.thread_pool import Stop

logger = logging.getLogger("langgraph_checkpoint_s3")

_LONGEST_PAUSE: Final = 20.0
"""Of botocore's: before attempt n + 1 it waits up to 2 ** (n - 1) seconds, and never longer than this."""
_TOO_MANY: Final = 429
_ENTRY_BYTES: Final = 512
"""What a key in a listing comes to, roughly, or its deletion to as much work."""
_OWN_WORK: Final = 300.0
"""Seconds for what the store moves by itself: S3 sends blanks meanwhile, for minutes where much is moved."""


class IdleDeadline:
    """The time that one batch of requests has; each answer gives it all of that again.

    So a batch that gets on is never cut, however large: what is bounded is how long it stands still.

    Args:
        seconds: The time; `None` is without end.
        clock: Tells the time in seconds.
        stop: What may ask the plan of the batch to stop.
    """

    def __init__(self, seconds: float | None, clock: Callable[[], float], stop: Stop | None = None) -> None:
        self._seconds = math.inf if seconds is None else seconds
        self.clock = clock
        self._since = clock()
        self._stop = stop

    def check(self) -> None:
        """Raise `CancelledError` if nothing is to be sent any more."""
        if self._stop is not None:
            self._stop.check()

    def sleep(self, seconds: float) -> None:
        """Wait, but not for who is asked to stop."""
        if self._stop is None:
            time.sleep(seconds)
        else:
            self._stop.sleep(seconds)

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
        return max(0.0, self.remaining())

    def remaining(self) -> float:
        """Tell the seconds that are left; it is negative once the time is over."""
        return self._seconds - self.waited


def allowance(request: Request[Any]) -> float:
    """Return the seconds that a request may take for its size, besides the time that each has.

    What is read of an object counts as it comes.
    """
    match request:
        case PutObject() | UploadPart():
            return len(request.body) / RATE
        case CompleteUpload() | CopyObject():
            return _OWN_WORK
        case ListObjects():
            return request.max_keys * _ENTRY_BYTES / RATE
        case DeleteObjects():
            return len(request.keys) * _ENTRY_BYTES / RATE
    return 0.0 if hasattr(request, "key") else 1000 * _ENTRY_BYTES / RATE


@dataclass(slots=True)
class Attempt:
    """One call of a client's method.

    Attributes:
        patience: What its attempts may take.
        attempts: How often the request was sent so far; 0 for a client that isn't of our making.
        cut: Whether another attempt would have come too late.
        once: Whether no other attempt is to begin, since another call's answer is there or is on its way.
        reading: Whether its answer has begun, and the body of that is read.
        failure: What was wrong with its last attempt.
        received: What came last, before it was parsed; `None` if nothing did yet.
        limit: What each attempt may take, its answer's body included.
    """

    patience: IdleDeadline
    attempts: int = 0
    cut: bool = False
    once: bool = False
    reading: bool = False
    failure: str = ""
    received: Received | None = None
    limit: TimeLimit = field(default_factory=lambda: TimeLimit(math.inf))

    def read(self, data: bytes) -> None:
        """Note that the answer's body was read."""
        if self.received is not None:
            self.received = replace(self.received, size=len(data), beginning=data[:BEGINNING])


_running: ContextVar[Attempt | None] = ContextVar("langgraph_checkpoint_s3_call", default=None)


@contextmanager
def calling(call: Attempt) -> Iterator[None]:
    """The client is called meanwhile, in this thread or task.

    Raises:
        NotAnAnswer: Something came that botocore can't parse.
    """
    token = _running.set(call)
    try:
        with limit_requests(call.limit):
            yield
    except Exception as error:
        if call.received is not None and not call.reading and _is_of_the_parser(error):
            raise NotAnAnswer("it can't be parsed") from error
        raise
    finally:
        _running.reset(token)


def _is_of_the_parser(error: Exception) -> bool:
    from botocore.parsers import ResponseParserError  # it costs time, and is there once something came

    return isinstance(error, (ResponseParserError, ValueError))  # of a number or a time that is none


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
    end_attempt()
    if not call.once and min(_LONGEST_PAUSE, 2.0 ** (attempts - 1)) < call.patience.left:
        return
    call.cut = True
    if caught_exception is not None:
        raise caught_exception
    parsed = response[1]
    parsed.setdefault("ResponseMetadata", {})["RetryAttempts"] = attempts - 1
    raise ClientError(parsed, operation.name)


def see(response_dict: Mapping[str, Any], **_: Any) -> None:
    """Handle botocore's `before-parse`: keep what an error may have to show. The answer stays as it is."""
    call = _running.get()
    if call is None:
        return
    body = response_dict["body"]
    seen = body if isinstance(body, bytes) else None  # an object's isn't read yet
    call.received = Received(
        response_dict["status_code"],
        str(response_dict["headers"].get("content-type") or ""),
        None if seen is None else len(seen),
        (seen or b"")[:BEGINNING],
    )


def stop_circling(response: Any = None, operation: Any = None, **_: Any) -> None:
    """Handle botocore's `needs-retry`: end a redirect that names no region.

    botocore then asks for the bucket's region by a HeadBucket; where that is redirected too, it asks again,
    until the stack is full.
    """
    if _running.get() is None or response is None or operation.name != "HeadBucket":
        return
    answer, parsed = response
    if 300 <= answer.status_code < 400 and "x-amz-bucket-region" not in answer.headers:
        raise ClientError(parsed, operation.name)
