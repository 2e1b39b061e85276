"""What an operation came to beside something else, how both are timed, recorded and compared."""

from __future__ import annotations

import gc
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.cold import quartiles
from benchmarks.environments import ROOT
from benchmarks.figures import is_worse, rounded

RECORDED: Final = ROOT / "benchmarks" / "recorded_operations.json"


@dataclass(frozen=True)
class Measured:
    """One operation, and what it is beside.

    Attributes:
        part: What it belongs to; a key of `operations.PARTS`.
        what: The operation.
        mode: `sync` or `async`; empty where that makes no difference.
        found: What it takes: the median.
        beside: What the other takes: the median.
        ratio: What is aimed at and compared: the quartiles, of pairs of both as a rule.
        aim: At most how much `ratio` is to be; None if nothing is aimed at.
        requests: Of one operation, as they are charged.
        other: Of the other.
        more: What else is worth telling, by name.
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

    @property
    def key(self) -> tuple[str, str, str]:
        """What it is compared by."""
        return self.part, self.what, self.mode


@dataclass(frozen=True)
class Paired:
    """Two things that were done in turns: seconds of each, in pairs."""

    ours: Sequence[float]
    others: Sequence[float]

    @property
    def found(self) -> float:
        """Milliseconds of ours: the median."""
        return statistics.median(self.ours) * 1e3

    @property
    def beside(self) -> float:
        """Milliseconds of the other: the median."""
        return statistics.median(self.others) * 1e3

    @property
    def ratio(self) -> list[float]:
        """Ours by the other, in pairs: the quartiles."""
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
    """Time both in turns; the order changes with each pair.

    Args:
        ours: The one.
        other: The other.
        pairs: How often.
        clock: What is timed.
        sample: Seconds that a sample takes, at least: short work is done again for so long.
        prepare: What is done before each, and not timed.
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


@dataclass(frozen=True)
class Record:
    """What was found, and of each part when, how and where."""

    measured: Sequence[Measured]
    about: Mapping[str, str] = field(default_factory=dict)

    def over(self, older: Record) -> Record:
        """This, and what only an older one has: a part can be measured alone."""
        new = {each.part for each in self.measured}
        kept = [each for each in older.measured if each.part not in new]
        return Record([*self.measured, *kept], {**older.about, **self.about})

    def save(self, path: Path = RECORDED) -> None:
        """Write it beside the code."""
        path.write_text(json.dumps(rounded(asdict(self)), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path = RECORDED) -> Record:
        """Read what was recorded; an empty one if nothing was."""
        if not path.exists():
            return cls([])
        found: Any = json.loads(path.read_text(encoding="utf-8"))
        return cls([Measured(**each) for each in found["measured"]], found["about"])


def compare(now: Record, before: Record) -> list[str]:
    """What got worse by more than noise: ratios as `figures` judges them, and requests."""
    old = {each.key: each for each in before.measured}
    pairs = [(each, old[each.key]) for each in now.measured if each.key in old]
    if not pairs:
        return ["nothing to compare: no recorded run has these operations"]
    worse: list[str] = []
    for new, was in pairs:
        name = ", ".join(filter(None, new.key))
        if is_worse(new.ratio, was.ratio):
            worse.append(f"{name}: {new.ratio[1]:.2f}, was {was.ratio[1]:.2f}")
        sent, before_that = sum(new.requests.values()), sum(was.requests.values())
        if sent > before_that:
            worse.append(f"{name}: {sent:g} requests, was {before_that:g}")
    return worse
