"""A circuit breaker: after some failures in a row nothing is sent for a while, and then one request to try.

Both drivers share a saver's one. A request that is let through and never comes to an end (its task was
cancelled, say) blocks nothing: after another cool-down the next one is let through.
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
    """Counts failures in a row, and says whether to send.

    Args:
        limit: The number of failures in a row that open it; 0 never does.
        cooldown: Seconds for which it then stays open, and between one trial and the next.
        clock: Tells the time in seconds.
        name: What to call the store in the log.
    """

    def __init__(self, limit: int, cooldown: float, clock: Callable[[], float], name: str) -> None:
        self._limit = limit
        self._cooldown = cooldown
        self._clock = clock
        self._name = name
        self._failures = 0
        self._opens_at = 0.0  # for a trial, once it is open
        self._trying = False
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Keep what is known of the store."""
        self._lock = threading.Lock()

    @property
    def state(self) -> State:
        """`closed` sends, `open` doesn't, `half-open` tries or is about to; `off` is none at all."""
        with self._lock:
            return self._state()

    def wait(self) -> float:
        """Seconds to the next trial; 0 lets this request through. Called once for each request."""
        with self._lock:
            if not self._is_open():
                return 0
            now = self._clock()
            if now < self._opens_at:
                return self._opens_at - now
            self._trying, self._opens_at = True, now + self._cooldown
        logger.info("The circuit breaker for %s is half-open: one request is sent to try", self._name)
        return 0

    def succeeded(self) -> None:
        """The store answered."""
        if not self._failures:  # nearly always: no lock is needed to see that
            return
        with self._lock:
            was_open = self._is_open()
            self._failures, self._trying = 0, False
        if was_open:
            logger.warning("The circuit breaker for %s is closed: the store answers again", self._name)

    def failed(self) -> None:
        """The store couldn't be reached, or kept failing."""
        if not self._limit:
            return
        with self._lock:
            self._failures += 1
            opened = self._failures == self._limit or self._trying
            if opened:
                self._trying, self._opens_at = False, self._clock() + self._cooldown
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
        return "half-open" if self._trying or self._clock() >= self._opens_at else "open"
