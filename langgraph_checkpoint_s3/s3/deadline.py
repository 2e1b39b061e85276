"""Time limits of batches and of single requests, and the facts about a request that is under way."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, Final

from langgraph_checkpoint_s3.request_timeout import RATE, TimeLimit
from langgraph_checkpoint_s3.s3.answer_checks import BEGINNING, Received
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


class Attempt:
    """A request that is sent once.

    Args:
        limit: Its time limit, the response's body included. Default: none.

    Attributes:
        reading: Whether the response has come, and its body is being read.
        signed_ahead: How far the time of its signature was ahead of this machine's clock, in ns; `None` if
            an SDK signed it.
        received: Facts about the last response; `None` before the first.
        into: Memory to receive the response's body into, where that has the same length.
    """

    __slots__ = ("into", "limit", "reading", "received", "signed_ahead")

    def __init__(self, limit: TimeLimit | None = None, into: memoryview | None = None) -> None:
        self.limit = TimeLimit(math.inf) if limit is None else limit
        self.into = into
        self.reading = False
        self.signed_ahead: int | None = None
        self.received: Received | None = None

    def read(self, data: bytes) -> None:
        """Note the response's body."""
        if self.received is not None:
            self.received = self.received._replace(size=len(data), beginning=data[:BEGINNING])
