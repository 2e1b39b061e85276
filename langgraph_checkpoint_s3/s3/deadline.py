"""Time limits of batches and of single requests, and the attempts of a call.

botocore retries a request by itself, unseen by the drivers. So each call runs in a context (`calling`) with
an `Attempt`. Handlers on the client (`after_attempt`, `note_response`) count the attempts there, note the
responses, and let no attempt begin that would end too late.
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
from langgraph_checkpoint_s3.s3.answer_checks import BEGINNING, InvalidResponse, Received
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
"""botocore waits up to 2 ** (n - 1) seconds before attempt n + 1, but never longer than this."""
_TOO_MANY: Final = 429
_ENTRY_BYTES: Final = 512
"""The approximate size of a key in a listing; its deletion counts as much."""
_OWN_WORK: Final = 300.0
"""Seconds for work inside the store, such as a copy: meanwhile S3 sends blanks, if need be for minutes."""


class IdleDeadline:
    """The deadline of one batch of requests; each answer moves it on by the full time.

    So a batch that makes progress is never cut, however large it is. Only idle time is limited.

    Args:
        seconds: The time; `None` is without end.
        clock: Returns the time in seconds.
        stop: The request to stop that the plan of the batch may get.
    """

    def __init__(self, seconds: float | None, clock: Callable[[], float], stop: Stop | None = None) -> None:
        self._seconds = math.inf if seconds is None else seconds
        self.clock = clock
        self._since = clock()
        self._stop = stop

    def check(self) -> None:
        """Raise `CancelledError` if the plan was asked to stop."""
        if self._stop is not None:
            self._stop.check()

    def sleep(self, seconds: float) -> None:
        """Wait, or until the plan is asked to stop."""
        if self._stop is None:
            time.sleep(seconds)
        else:
            self._stop.sleep(seconds)

    def answered(self) -> None:
        """Note an answer: the full time is left again."""
        self._since = self.clock()

    @property
    def waited(self) -> float:
        """Seconds since the last answer."""
        return self.clock() - self._since

    @property
    def left(self) -> float:
        """Seconds that are left, at least 0."""
        return max(0.0, self.remaining())

    def remaining(self) -> float:
        """Return the seconds that are left; negative once the deadline has passed."""
        return self._seconds - self.waited


def allowance(request: Request[Any]) -> float:
    """Return the seconds that a request may take for its size, besides the time that each one has.

    The bytes of an object that is read are counted as they come.
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
        deadline: The deadline of its batch.
        attempts: How often the client library has sent the request; 0 for a client that a user passed in.
        cut: Whether it was ended because a further attempt would have been too late.
        once: Whether no further attempt may begin, as another call is answered or about to be.
        reading: Whether the response has come, and its body is being read.
        failure: The fault of its last attempt.
        received: Facts about the last response; `None` before the first.
        limit: The time limit of each attempt, its response's body included.
    """

    deadline: IdleDeadline
    attempts: int = 0
    cut: bool = False
    once: bool = False
    reading: bool = False
    failure: str = ""
    received: Received | None = None
    limit: TimeLimit = field(default_factory=lambda: TimeLimit(math.inf))

    def read(self, data: bytes) -> None:
        """Note the response's body."""
        if self.received is not None:
            self.received = replace(self.received, size=len(data), beginning=data[:BEGINNING])


_running: ContextVar[Attempt | None] = ContextVar("langgraph_checkpoint_s3_call", default=None)


@contextmanager
def calling(attempt: Attempt) -> Iterator[None]:
    """Let the client's handlers find a call's `Attempt`, in this thread or task.

    Raises:
        InvalidResponse: botocore can't parse the response.
    """
    token = _running.set(attempt)
    try:
        with limit_requests(attempt.limit):
            yield
    except Exception as error:
        if attempt.received is not None and not attempt.reading and _is_parser_error(error):
            raise InvalidResponse("it can't be parsed") from error
        raise
    finally:
        _running.reset(token)


def _is_parser_error(error: Exception) -> bool:
    from botocore.parsers import ResponseParserError  # slow to import, and loaded once a response has come

    return isinstance(error, (ResponseParserError, ValueError))  # a number or a time that is none


def after_attempt(
    attempts: int, operation: Any, response: Any = None, caught_exception: Any = None, **_: Any
) -> None:
    """Handle botocore's `needs-retry`, which it emits after each attempt.

    botocore's pauses can't be shortened. So none begins that may end after the deadline: the failure is then
    raised at once, as it is after the last attempt.
    """
    attempt = _running.get()
    if attempt is None:
        return
    attempt.attempts = attempts
    if attempts > 1:
        logger.info("%s: %s; the client library's attempt %d", operation.name, attempt.failure, attempts)
    status = response[0].status_code if response is not None else 200
    attempt.failure = str(status) if caught_exception is None else type(caught_exception).__name__
    if caught_exception is None and status < 500 and status != _TOO_MANY:
        return
    end_attempt()
    if not attempt.once and min(_LONGEST_PAUSE, 2.0 ** (attempts - 1)) < attempt.deadline.left:
        return
    attempt.cut = True
    if caught_exception is not None:
        raise caught_exception
    parsed = response[1]
    parsed.setdefault("ResponseMetadata", {})["RetryAttempts"] = attempts - 1
    raise ClientError(parsed, operation.name)


def note_response(response_dict: Mapping[str, Any], **_: Any) -> None:
    """Handle botocore's `before-parse`: note facts about the response, for errors' texts."""
    attempt = _running.get()
    if attempt is None:
        return
    body = response_dict["body"]
    read = body if isinstance(body, bytes) else None  # an object's is a stream, read later
    attempt.received = Received(
        response_dict["status_code"],
        str(response_dict["headers"].get("content-type") or ""),
        None if read is None else len(read),
        (read or b"")[:BEGINNING],
    )


def stop_redirect_loop(response: Any = None, operation: Any = None, **_: Any) -> None:
    """Handle botocore's `needs-retry`: fail on a redirect that names no region.

    botocore asks for the bucket's region by a HeadBucket then. If that is redirected too, it asks again,
    until the stack overflows.
    """
    if _running.get() is None or response is None or operation.name != "HeadBucket":
        return
    answer, parsed = response
    if 300 <= answer.status_code < 400 and "x-amz-bucket-region" not in answer.headers:
        raise ClientError(parsed, operation.name)
