"""For tests of hedged reads: a saver that knows what is slow, and a schedule that is slow now and then."""

from __future__ import annotations

import threading

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.s3.hedging import LEAST
from langgraph_checkpoint_s3.testing.faults import Seen
from tests.contract.front import Fault, Hold, Park
from tests.support import inside

KINDS = ("small object", "object", "short listing", "listing")


def learn(saver: S3Saver, seconds: float, *, saved: float | None = 10) -> None:
    """Set the time that the latest reads took, and the second requests that are saved up.

    `None` is as many as it takes: where the machine is busy, reads are slow that nobody slows down.
    """
    hedges = inside.shared(saver).hedges
    for kind in KINDS:
        for _ in range(LEAST):
            hedges.answered(kind, seconds)
    if saved is None:
        hedges.take = lambda: True  # type: ignore[method-assign]  # the test's own
    else:
        hedges._saved = saved


class Every:
    """Does something to every nth read that comes by, and remembers those.

    Args:
        nth: Which of them, for more than 1: what is sent a second time comes next, and gets through.
        fault: What to do.
        operations: Of which operations.
    """

    def __init__(
        self, nth: int, fault: Fault, operations: tuple[str, ...] = ("GetObject", "ListObjectsV2")
    ) -> None:
        self._nth = nth
        self._fault = fault
        self._operations = operations
        self._came = 0
        self.done: list[Seen] = []

    def __call__(self, seen: Seen) -> Fault | None:
        """Called by the front alone, on its own thread."""
        if seen.operation not in self._operations:
            return None
        self._came += 1
        if self._came % self._nth:
            return None
        self.done.append(seen)
        return self._fault


class Released(Every):
    """Answers every nth read never, and from the first `HeadBucket` on, late."""

    def __init__(self, nth: int, event: threading.Event) -> None:
        super().__init__(nth, Park(event))
        self._event = event

    def __call__(self, seen: Seen) -> Fault | None:
        """Called by the front alone, on its own thread."""
        if seen.operation == "HeadBucket":
            self._event.set()
            self._fault = Hold(0.4)
        return super().__call__(seen)
