"""Policy of hedged reads: the threshold after which a read is sent again, and the share of such reads. Pure.

One number, the share, decides both. With 0.05, a read is slow once it has waited longer than 95 % of the
latest reads of its kind, and at most 5 % of the answered reads are sent twice.

A read's time ends when its answer is read whole. For a hedged read it begins with the first sending and ends
with whichever answer came first. A hedged read still takes longer than the threshold, so hedging
doesn't lower its own threshold.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections import deque
from typing import Any, Final

from langgraph_checkpoint_s3.fork_safety import renew_after_fork
from langgraph_checkpoint_s3.s3.requests import GetObject, ListObjects, Request

WINDOW: Final = 500
"""Reads of one kind that are remembered."""
LEAST: Final = 100
"""Reads of one kind that must be known before any counts as slow."""
BURST: Final = 10.0
"""The most second requests that may be saved up while none is needed."""
MOST: Final = 1024 * 1024
"""The most bytes that are read twice. A larger read is slow because of its size."""
_SMALL: Final = 64 * 1024
_SHORT_PAGE: Final = 100


class Times:
    """Times of the latest reads of one kind.

    Args:
        share: The part of them that counts as slow.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._latest: deque[float] = deque()
        self._sorted: list[float] = []  # the same times: a quantile is then one index

    def add(self, seconds: float) -> None:
        """Add the time of a read."""
        if len(self._latest) == WINDOW:
            del self._sorted[bisect_left(self._sorted, self._latest.popleft())]
        self._latest.append(seconds)
        insort(self._sorted, seconds)

    @property
    def slow(self) -> float | None:
        """The seconds that at most the share exceeded; `None` while too few are known."""
        count = len(self._sorted)
        return None if count < LEAST else self._sorted[count - 1 - int(count * self._share)]


class Hedges:
    """The budget of a saver's second requests. Safe to use from many threads.

    Only answers add to it: a store that stops answering gets at most `BURST` second requests.

    Args:
        share: The part of reads that may be sent twice; with 0 nothing is remembered.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._saved = 0.0
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Forget the times: a thread of the parent may have been in the midst of adding one."""
        self._lock = threading.Lock()
        self._times: dict[str, Times] = {}

    def after(self, kind: str | None) -> float | None:
        """Return the seconds after which a read of a kind is slow; `None` while that isn't known."""
        if not self._share or kind is None:
            return None
        with self._lock:
            times = self._times.get(kind)
            return None if times is None else times.slow

    def take(self) -> bool:
        """Take a second request out of the budget; return whether there was one."""
        with self._lock:
            if self._saved < 1:
                return False
            self._saved -= 1
            return True

    def answered(self, kind: str | None, seconds: float) -> None:
        """Note that a read of a kind was answered, so many seconds after it was first sent."""
        if not self._share or kind is None:
            return
        with self._lock:
            self._saved = min(BURST, self._saved + self._share)
            self._times.setdefault(kind, Times(self._share)).add(seconds)


def kind_of(request: Request[Any]) -> str | None:
    """Return the kind of reads that a request's time is compared with; `None` if it is never sent twice.

    Hedged are listings and reads known to be of `MOST` bytes at most: `get_tuple` and `list` consist of them.
    A HEAD isn't: it runs beside a PUT that takes longer. Nor is a lease's read (`GetWithAge`), which is rare
    and measures time. Writes are never sent twice.
    """
    match request:
        case ListObjects(max_keys=most):
            return "short listing" if most <= _SHORT_PAGE else "listing"
        case GetObject(length=length, listed=listed, into=None):  # one that lost would still fill it
            size = listed if length is None else length
            if size is not None and size <= MOST:
                return "small object" if size <= _SMALL else "object"
    return None
