"""A schedule of faults for the front: every one that a store and the way there have, drawn from a seed.

    front.schedule = Chaos(seed=7, rate=0.2)

What happens to a request is decided by the seed, the request, and how often such a one came by: not by
the order in which threads happen to send theirs. So a failing seed fails again.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from typing import Final

from langgraph_checkpoint_s3.testing.faults import Seen
from tests.contract.front import Answer, BreakOff, Fault, Flip, HangUp, Hold

EVERYWHERE: Final = ("delay", "500", "503", "reset before", "reset after", "500 after")
_WRITES: Final = ("409", "409 after")
_READS: Final = ("truncated", "flipped", "stale 404")
KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "PutObject": EVERYWHERE + _WRITES,
    "CompleteMultipartUpload": EVERYWHERE + _WRITES,
    "GetObject": EVERYWHERE + _READS,
    # A listing has no checksum: over TLS nobody flips its bits, and here nobody would notice.
    "ListObjectsV2": (*EVERYWHERE, "truncated"),
    "HeadObject": (*EVERYWHERE, "stale 404"),
}


class Chaos:
    """Says what to do to each request.

    Args:
        seed: Decides all of it.
        rate: Of how many requests something is done to, from 0 to 1.

    Attributes:
        done: What was done so far, by its kind.
    """

    def __init__(self, seed: int, rate: float) -> None:
        self.seed = seed
        self.rate = rate
        self.done: Counter[str] = Counter()
        self._came: Counter[tuple[str, str]] = Counter()

    def __call__(self, seen: Seen) -> Fault | None:
        """Called by the front alone, on its own thread."""
        names = sorted((name, value) for name, value in seen.query.items() if name != "uploadId")
        what = (seen.operation, f"{seen.key}?{names}")
        self._came[what] += 1
        draw = random.Random(f"{self.seed} {what} {self._came[what]}")
        if draw.random() >= self.rate:
            return None
        kind = draw.choice(KINDS.get(seen.operation, EVERYWHERE))
        self.done[kind] += 1
        return _fault(kind, draw)


def _fault(kind: str, draw: random.Random) -> Fault:
    match kind:
        case "delay":
            return Hold(draw.uniform(0, 0.02))
        case "503":
            return Answer(503, "SlowDown", "Reduce your request rate")
        case "reset before" | "reset after":
            return HangUp(applied=kind.endswith("after"))
        case "409" | "409 after":
            return Answer(409, "ConditionalRequestConflict", applied=kind.endswith("after"))
        case "truncated":
            return BreakOff(draw.randrange(200))
        case "flipped":
            return Flip(draw.randrange(1 << 16))
        case "stale 404":
            return Answer(404, "NoSuchKey")
    return Answer(500, "InternalError", applied=kind.endswith("after"))
