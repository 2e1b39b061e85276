"""What a turn came to, as it is shown, recorded beside the documents, and compared with the next run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.environments import ROOT

RECORDED: Final = ROOT / "benchmarks" / "recorded.json"
COLD: Final = "cold start"
_LEAST: Final = 0.05
"""A ratio that grows by less than this share is noise, whatever its spread."""
_SAME: Final = 0.01
"""What requests may differ by: they are counted, not timed."""


@dataclass(frozen=True)
class Figure:
    """One saver on one workload, at one latency.

    Attributes:
        workload: Its name.
        mode: `sync` or `async`.
        latency: Milliseconds that each answer takes, at least.
        turns: How many were counted.
        saver: Its name.
        wall: Milliseconds of a turn: the median.
        to_limit: That by the limit's, round by round: the quartiles. Empty if the limit wasn't measured.
        to_peer: The median by the fastest S3 peer's; None if there was none.
        requests: How many of each kind a turn sends, as they are charged.
        owed: The calls of LangGraph's that store, and one for loading: what a turn must send.
        dollars: US dollars that the requests of a million turns cost.
        calls: Milliseconds of LangGraph's calls, by method: the median and the 99th percentile.
        sends: Milliseconds from the first `put_writes` of the 50 `Send`s to the end of the last: the median.
        stored: Bytes in the bucket at the end, the first turn's included; None where there is none.
        cold: Milliseconds in which a saver that remembers nothing loads the last state: the median.
    """

    workload: str
    mode: str
    latency: float
    turns: int
    saver: str
    wall: float
    to_limit: Sequence[float]
    to_peer: float | None
    requests: Mapping[str, float]
    owed: float
    dollars: float
    calls: Mapping[str, Sequence[float]]
    sends: float | None
    stored: int | None = None
    cold: float | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """What a figure is compared by. More turns are another state, so other requests."""
        return self.workload, self.mode, self.latency, self.turns, self.saver


@dataclass(frozen=True)
class Cold:
    """Seconds from nothing to a first answer.

    Attributes:
        what: Who answered.
        seconds: The median.
        to_boto3: By boto3's own, round by round: the quartiles.
    """

    what: str
    seconds: float
    to_boto3: Sequence[float]


@dataclass(frozen=True)
class Record:
    """What was found.

    Attributes:
        figures: Of all workloads.
        cold: Of fresh processes.
        about: When, how and where each workload was measured, and `COLD`.
    """

    figures: Sequence[Figure]
    cold: Sequence[Cold]
    about: Mapping[str, str] = field(default_factory=dict)

    def over(self, older: Record) -> Record:
        """This, and what only an older one has: a workload can be measured alone."""
        new = {each.workload for each in self.figures}
        kept = [each for each in older.figures if each.workload not in new]
        about = {**older.about, **self.about}
        return Record([*self.figures, *kept], self.cold or older.cold, about)

    def save(self, path: Path = RECORDED) -> None:
        """Write it beside the code."""
        path.write_text(json.dumps(rounded(asdict(self)), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path = RECORDED) -> Record:
        """Read what was recorded; an empty one if nothing was."""
        if not path.exists():
            return cls([], [])
        found = json.loads(path.read_text(encoding="utf-8"))
        figures = [Figure(**each) for each in found["figures"]]
        return cls(figures, [Cold(**each) for each in found["cold"]], found["about"])


def compare(now: Record, before: Record, savers: Sequence[str]) -> list[str]:
    """What got worse by more than noise, in these savers.

    Times are compared as ratios to the limit's, and to boto3's, in the same run: so they hold on another
    machine. A ratio is worse if it grew by more than its spread, then or now, and by more than 5 %.

    Returns:
        A line for each; and one if there was nothing to compare with.
    """
    old = {each.key: each for each in before.figures}
    pairs = [(each, old[each.key]) for each in now.figures if each.saver in savers and each.key in old]
    starts = {each.what: each for each in before.cold}
    colds = [(each, starts[each.what]) for each in now.cold if each.what in savers and each.what in starts]
    if not pairs and not colds:
        return ["nothing to compare: no recorded run has these workloads, latencies and numbers of turns"]
    worse: list[str] = []
    for new, was in pairs:
        name = f"{new.saver}, {new.workload}, {new.mode}, {new.latency:g} ms"
        if is_worse(new.to_limit, was.to_limit):
            worse.append(f"{name}: {new.to_limit[1]:.2f} times the limit, was {was.to_limit[1]:.2f}")
        if new.dollars > was.dollars * (1 + _SAME):
            worse.append(f"{name}: ${new.dollars:.2f} a million turns, was ${was.dollars:.2f}")
        grown = {kind: count for kind, count in new.requests.items() if _more(count, was.requests.get(kind))}
        for kind, count in grown.items():
            worse.append(f"{name}: {count:.2f} {kind} a turn, was {was.requests.get(kind, 0):.2f}")
    for cold, then in colds:
        if is_worse(cold.to_boto3, then.to_boto3):
            worse.append(
                f"{cold.what}, cold start: {cold.to_boto3[1]:.2f} times boto3's, was {then.to_boto3[1]:.2f}"
            )
    return worse


def is_worse(new: Sequence[float], was: Sequence[float]) -> bool:
    """Whether a ratio grew by more than its spread, then or now, and by more than 5 %; given quartiles."""
    if not new or not was:
        return False
    noise = max(_LEAST * was[1], new[2] - new[0], was[2] - was[0])
    return new[1] > was[1] + noise


def _more(count: float, was: float | None) -> bool:
    return count > (was or 0) * (1 + _SAME) + _SAME


def rounded(value: Any) -> Any:
    """What is written to a file, with no more digits than it is worth."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(each) for each in value]
    return value
