"""The recorded baseline: ratios and requests that `--compare` checks a new run against."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.environments import ROOT
from benchmarks.runs import dollars

BASELINE: Final = ROOT / "benchmarks" / "baseline.json"
_MIN_GROWTH: Final = 0.05
"""A ratio that grows by less than this share is noise, whatever its spread."""
_TOLERANCE: Final = 0.01
"""Allowed difference of requests, which are counted rather than timed."""


@dataclass(frozen=True)
class Entry:
    """One measurement, as it is recorded.

    Attributes:
        ratio: Quartiles of its time divided by a reference's in the same run.
        requests: Requests of one turn or operation, by kind.
    """

    ratio: Sequence[float]
    requests: Mapping[str, float]


def load(path: Path = BASELINE) -> dict[str, Entry]:
    """Read the baseline; empty if there is none."""
    if not path.exists():
        return {}
    return {name: Entry(*fields) for name, fields in json.loads(path.read_text(encoding="utf-8")).items()}


def save(entries: Mapping[str, Entry], path: Path = BASELINE) -> None:
    """Add entries to the baseline, one a line. Others stay: a workload can be measured alone."""
    lines = [
        f" {json.dumps(name)}: {json.dumps([_rounded(each.ratio), _nonzero(each.requests)])}"
        for name, each in {**load(path), **entries}.items()
    ]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def compare(now: Mapping[str, Entry], before: Mapping[str, Entry]) -> list[str]:
    """Return what got worse by more than noise, a line each.

    A ratio is worse if it grew by more than its spread, then or now, and by more than 5 %.
    One line says so if nothing can be compared.
    """
    names = [name for name in now if name in before]
    if not names:
        return ["nothing to compare: the baseline has none of these measurements"]
    worse: list[str] = []
    for name in names:
        new, was = now[name], before[name]
        if is_worse(new.ratio, was.ratio):
            worse.append(f"{name}: ratio {new.ratio[1]:.2f}, was {was.ratio[1]:.2f}")
        cost, earlier = dollars(new.requests), dollars(was.requests)
        if cost > earlier * (1 + _TOLERANCE):
            worse.append(f"{name}: ${cost:.2f} a million, was ${earlier:.2f}")
        for kind, count in new.requests.items():
            if count > was.requests.get(kind, 0) * (1 + _TOLERANCE) + _TOLERANCE:
                worse.append(f"{name}: {count:.2f} {kind}, was {was.requests.get(kind, 0):.2f}")
    return worse


def verdict(now: Mapping[str, Entry]) -> str:
    """Return what got worse since the baseline, as text."""
    return "\n".join(compare(now, load())) or "nothing got worse by more than noise"


def is_worse(new: Sequence[float], was: Sequence[float]) -> bool:
    """Return whether a ratio grew by more than its spread, then or now, and by more than 5 %."""
    if not new or not was:
        return False
    noise = max(_MIN_GROWTH * was[1], new[2] - new[0], was[2] - was[0])
    return new[1] > was[1] + noise


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 4) for value in values]


def _nonzero(requests: Mapping[str, float]) -> dict[str, float]:
    return {kind: round(count, 4) for kind, count in requests.items() if count}
