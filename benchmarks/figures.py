"""Measurements of turns and cold starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.baseline import Entry
from benchmarks.savers import OURS


@dataclass(frozen=True)
class Figure:
    """One saver on one workload, at one latency.

    Attributes:
        workload: Name of the workload.
        mode: `sync` or `async`.
        latency: Minimum latency of each response, in milliseconds.
        turns: Number of turns counted.
        saver: Name of the saver.
        wall: Median time of a turn, in milliseconds.
        to_limit: Quartiles of that time divided by the limit's, per round; empty without the limit.
        to_peer: Median time divided by the fastest S3 peer's; None without peers.
        requests: Requests of a turn, by the kind they are charged as.
        owed: LangGraph's calls of a turn, each of which needs one request at least.
        dollars: US dollars for the requests of a million turns.
        calls: Median and 99th percentile of LangGraph's calls, in milliseconds, by method.
        sends: Median time of the 50 `Send`s' `put_writes`, first to last, in milliseconds.
        stored: Bytes in the bucket at the end, including the first turn; None without a bucket.
        cold: Median time in which a new saver loads the last state, in milliseconds.
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


@dataclass(frozen=True)
class Cold:
    """A cold start: the time from a new process to its first answer.

    Attributes:
        what: Name of the saver or client.
        seconds: Median time.
        to_boto3: Quartiles of that time divided by the bare client's, per round.
    """

    what: str
    seconds: float
    to_boto3: Sequence[float]


@dataclass(frozen=True)
class Record:
    """Everything that `turns` measured."""

    figures: Sequence[Figure]
    cold: Sequence[Cold]

    def entries(self) -> dict[str, Entry]:
        """Return this package's measurements by name, as the baseline records them."""
        turns = {
            f"{each.saver}, {each.workload}, {each.mode}, {each.latency:g} ms, {each.turns} turns": Entry(
                each.to_limit, each.requests
            )
            for each in self.figures
            if each.saver in OURS
        }
        starts = {
            f"{each.what}, cold start": Entry(each.to_boto3, {})
            for each in self.cold
            if each.what.startswith(tuple(OURS))
        }
        return turns | starts
