"""Measurements of single operations, each paired with a reference."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.baseline import Entry
from benchmarks.cold import quartiles


@dataclass(frozen=True)
class Measured:
    """One operation and its reference.

    Attributes:
        part: The part it belongs to; a key of `operations_report`'s headings.
        what: Name of the operation.
        mode: `sync` or `async`; empty where that makes no difference.
        found: Median of the operation.
        beside: Median of the reference.
        ratio: Quartiles of the ratio of both, in pairs as a rule.
        aim: The target: an upper bound for the median of `ratio`; None without one.
        requests: Requests of one operation, by the kind they are charged as.
        other: Requests of the reference.
        more: Further columns, by name.
    """

    part: str
    what: str
    mode: str
    found: float
    beside: float
    ratio: Sequence[float]
    aim: float | None = None
    requests: Mapping[str, float] = field(default_factory=dict)
    other: Mapping[str, float] = field(default_factory=dict)
    more: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Paired:
    """Seconds of two alternating measurements, in pairs."""

    ours: Sequence[float]
    others: Sequence[float]

    @property
    def found(self) -> float:
        """Median of ours, in milliseconds."""
        return statistics.median(self.ours) * 1e3

    @property
    def beside(self) -> float:
        """Median of the other, in milliseconds."""
        return statistics.median(self.others) * 1e3

    @property
    def ratio(self) -> list[float]:
        """Quartiles of ours divided by the other, in pairs."""
        return quartiles([one / other for one, other in zip(self.ours, self.others, strict=True)])


def paired(
    ours: Callable[[], object],
    other: Callable[[], object],
    pairs: int,
    *,
    clock: Callable[[], float] = time.perf_counter,
    sample: float = 0.0,
    prepare: Callable[[], object] | None = None,
) -> Paired:
    """Time both alternately. The order changes with each pair.

    Args:
        ours: The operation.
        other: The reference.
        pairs: Number of pairs.
        clock: Returns the time, in seconds.
        sample: Minimum length of a sample, in seconds; shorter work is repeated.
        prepare: Called before each sample, untimed.
    """

    def once(work: Callable[[], object], times: int) -> float:
        began = clock()
        for _ in range(times):
            work()
        return (clock() - began) / times

    repeats = [1, 1]
    if sample:
        repeats = [max(1, round(sample / max(1e-6, once(work, 3)))) for work in (ours, other)]
    seconds: tuple[list[float], list[float]] = ([], [])
    gc.collect()
    for number in range(pairs):
        for which in (0, 1) if number % 2 else (1, 0):
            if prepare:
                prepare()
            seconds[which].append(once((ours, other)[which], repeats[which]))
    return Paired(*seconds)


def entries(measured: Sequence[Measured]) -> dict[str, Entry]:
    """Return measurements by name, as the baseline records them."""
    return {
        ", ".join(filter(None, (each.part, each.what, each.mode))): Entry(each.ratio, each.requests)
        for each in measured
    }
