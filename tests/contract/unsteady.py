"""A front that fails a share of all requests by itself, by a seeded schedule."""

from __future__ import annotations

import random

from langgraph_checkpoint_s3.testing.faults import Seen
from tests.contract.front import Answer, Fault, Front, HangUp

FAULTS: tuple[Fault, ...] = (
    Answer(500, "InternalError"),
    Answer(503, "SlowDown"),
    HangUp(),
    HangUp(applied=True),
    HangUp(applied=True),
)


class UnsteadyFront(Front):
    """Fails requests before or after their effect.

    Args:
        upstream: The server's URL.
        rate: Which share of the requests.
        seed: Which requests, as far as they come in the same order.
    """

    def __init__(self, upstream: str, *, rate: float, seed: int) -> None:
        super().__init__(upstream)
        self._rate = rate
        self._random = random.Random(seed)
        self.faults = 0

    def _fault(self, seen: Seen) -> Fault | None:
        with self._lock:
            if self._random.random() >= self._rate:
                return None
            self.faults += 1
            return self._random.choice(FAULTS)
