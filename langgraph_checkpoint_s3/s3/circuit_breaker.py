"""A circuit breaker: after some failures in a row nothing is sent for a while, then a single trial request.

Both drivers share a saver's breaker. A trial that never ends, for example because its task was cancelled,
blocks nothing: after another cool-down the next request becomes the trial.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Literal, TypeAlias

from langgraph_checkpoint_s3.fork_safety import renew_after_fork

State: TypeAlias = Literal["off", "closed", "open", "half-open"]

logger = logging.getLogger("langgraph_checkpoint_s3")


class Breaker:
    """Counts failures in a row, and decides whether to send.

    Args:
        limit: The number of failures in a row that open it; with 0 it never opens.
        cooldown: Seconds that it then stays open, and between one trial and the next.
        clock: Returns the time in seconds.
        name: The store's name in the log.
    """

    def __init__(self, limit: int, cooldown: float, clock: Callable[[], float], name: str) -> None:
        self._limit = limit
        self._cooldown = cooldown
        self._clock = clock
        self._name = name
        self._failures = 0
        self._trial_at = 0.0  # the earliest time of the next trial, while it is open
        self._trying = False
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Replace the lock, which a thread of the parent may hold."""
        self._lock = threading.Lock()

    @property
    def state(self) -> State:
        """`closed` sends, `open` doesn't, `half-open` has a trial under way or due, `off` is no breaker."""
        with self._lock:
            return self._state()

    def wait(self) -> float:
        """Return the seconds to the next trial; 0 lets this request through. Call it once a request."""
        with self._lock:
            if not self._is_open():
                return 0
            now = self._clock()
            if now < self._trial_at:
                return self._trial_at - now
            self._trying, self._trial_at = True, now + self._cooldown
        logger.info("The circuit breaker for %s is half-open: one request is sent to try", self._name)
        return 0

    def succeeded(self) -> None:
        """Note that the store answered."""
        if not self._failures:  # nearly always, and reading it needs no lock
            return
        with self._lock:
            was_open = self._is_open()
            self._failures, self._trying = 0, False
        if was_open:
            logger.warning("The circuit breaker for %s is closed: the store answers again", self._name)

    def failed(self) -> None:
        """Note that the store couldn't be reached, or kept failing."""
        if not self._limit:
            return
        with self._lock:
            self._failures += 1
            opened = self._failures == self._limit or self._trying
            if opened:
                self._trying, self._trial_at = False, self._clock() + self._cooldown
        if opened:
            logger.warning(
                "The circuit breaker for %s is open after %d failures in a row: nothing is sent for %g s",
                self._name,
                self._failures,
                self._cooldown,
            )

    def _is_open(self) -> bool:
        return 0 < self._limit <= self._failures

    def _state(self) -> State:
        if not self._limit:
            return "off"
        if not self._is_open():
            return "closed"
        return "half-open" if self._trying or self._clock() >= self._trial_at else "open"
