"""When a read is slow enough to be sent a second time, and whether it may be. Pure: no I/O and no clock.

One number says both. With a share of 0.05, a read is slow once it has waited longer than 95 % of the latest
ones of its kind, and at most 5 % of the reads that were answered are sent twice.

What counts is the time until an answer was read whole. Of a read that was sent twice it is the time from the
first sending to whichever answer came first. That is less than what the first would have taken, but more than
what was slow when the second was sent: so it stays on its side of the quantile, and hedging doesn't make its
own measure shorter.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections import deque
from typing import Any, Final

from langgraph_checkpoint_s3.fork_safety import renew_after_fork
from langgraph_checkpoint_s3.s3.requests import GetObject, ListObjects, Request

WINDOW: Final = 500
"""How many of the latest reads of a kind are remembered."""
LEAST: Final = 100
"""How many must be known before any is called slow."""
BURST: Final = 10.0
"""The most second requests that quiet times save up for."""
MOST: Final = 1024 * 1024
"""The most bytes that are read twice. What is larger takes its time for its size, not by mischance."""
_SMALL: Final = 64 * 1024
_SHORT_PAGE: Final = 100


class Times:
    """How long the latest reads of one kind took.

    Args:
        share: Which part of them is called slow.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._latest: deque[float] = deque()
        self._sorted: list[float] = []

    def add(self, seconds: float) -> None:
        """One more took so long."""
        if len(self._latest) == WINDOW:
            del self._sorted[bisect_left(self._sorted, self._latest.popleft())]
        self._latest.append(seconds)
        insort(self._sorted, seconds)

    @property
    def slow(self) -> float | None:
        """The seconds that no more than the share took longer than; `None` while too few are known."""
        count = len(self._sorted)
        return None if count < LEAST else self._sorted[count - 1 - int(count * self._share)]


class Hedges:
    """A saver's second requests. Both drivers share it; safe to use from many threads.

    Only answers pay for second requests: a store that gives none gets `BURST` of them, and then no more.

    Args:
        share: Which part of reads may be sent twice; 0 is none, and then nothing is remembered.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._saved = 0.0
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Learn anew what is slow: a thread of the parent may have been about to note a time."""
        self._lock = threading.Lock()
        self._times: dict[str, Times] = {}

    def after(self, kind: str | None) -> float | None:
        """Seconds after which a read of a kind is slow; `None` while that isn't known."""
        if not self._share or kind is None:
            return None
        with self._lock:
            times = self._times.get(kind)
            return None if times is None else times.slow

    def take(self) -> bool:
        """Whether a read may be sent a second time now. Called once for each that is slow."""
        with self._lock:
            if self._saved < 1:
                return False
            self._saved -= 1
            return True

    def answered(self, kind: str | None, seconds: float) -> None:
        """A read of a kind was answered, so long after it was first sent."""
        if not self._share or kind is None:
            return
        with self._lock:
            self._saved = min(BURST, self._saved + self._share)
            self._times.setdefault(kind, Times(self._share)).add(seconds)


def kind_of(request: Request[Any]) -> str | None:
    """What a request's time is compared with; `None` if it is never sent twice.

    Listings, and reads that are known to be of `MOST` bytes at most: they make up the time of `get_tuple` and
    `list`. A HEAD goes beside a PUT that takes longer, and a lease's own read (`GetDated`) is rare, and is
    about time itself. What writes is never sent twice.
    """
    match request:
        case ListObjects(max_keys=most):
            return "short listing" if most <= _SHORT_PAGE else "listing"
        case GetObject(length=length, listed=listed):
            size = listed if length is None else length
            if size is not None and size <= MOST:
                return "small object" if size <= _SMALL else "object"
    return None
