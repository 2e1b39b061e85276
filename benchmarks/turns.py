"""Time, requests and cost of a graph's turns on S3.

    python -m benchmarks.turns                              this saver and the limit: minutes
    python -m benchmarks.turns --turns 200 --peers          everything: the better part of an hour
    python -m benchmarks.turns … --write FILE               writes the tables to a file, too
    python -m benchmarks.turns … --compare                  says what got worse since the baseline
    python -m benchmarks.turns … --record                   records the ratios in the baseline

A chat of one node, an agent with five tool calls, a fan-out of 50 `Send`s, a chat about 5 MB of documents,
one in nested graphs, one in a delta channel, and one with each of LangGraph's durabilities; with sync and
async methods, on a server with a set latency. Each saver runs in a process of its own. They play a few turns
each, one after the other, in rounds: other load on the machine affects all of them, and the ratios hold.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks import baseline, report, turns_report
from benchmarks.cold import cold_starts, quartiles
from benchmarks.environments import InstallError
from benchmarks.figures import Cold, Figure, Record
from benchmarks.graphs import GRAPHS
from benchmarks.runs import BenchmarkError, charged, dollars, start
from benchmarks.savers import DATABASES, FLOORS, LIMIT, OURS, PEERS, SAVERS
from benchmarks.server import Server

_ROUNDS: Final = 10
_MODES: Final = ("sync", "async")
SHARES: Final = {
    "chat": 1,
    "agent": 10,
    "fan-out": 20,
    "documents": 20,
    "subgraphs": 10,
    "delta": 50,
    "durability=sync": 10,
    "durability=exit": 10,
}
"""Each workload plays this many times fewer turns than the chat."""
_LEAST: Final = 2
_THIS: Final = next(iter(OURS))


@dataclass(frozen=True)
class Heat:
    """One race: a workload in one mode at one latency, played by all savers."""

    workload: str
    mode: str
    latency: float
    turns: int


@dataclass(frozen=True)
class Plan:
    """The races to run. Latencies are in milliseconds; `turns` are the chat's."""

    turns: int
    latencies: Sequence[float]
    workloads: Sequence[str]
    modes: Sequence[str]
    savers: Sequence[str]
    cold: int

    def heats(self, workload: str) -> Iterator[Heat]:
        """Yield the races of a workload."""
        turns = max(_LEAST, self.turns // SHARES[workload])
        for latency in self.latencies:
            for mode in self.modes:
                yield Heat(workload, mode, latency, turns)


@dataclass
class Played:
    """One saver's measurements in a heat.

    Attributes:
        bucket: Name of its bucket.
        versions: Versions of its packages.
        rounds: Seconds of each turn, by round.
        calls: Seconds of LangGraph's calls, by method.
        sends: Seconds of all `Send`s of a turn together.
        requests: Requests of each kind.
        stored: Bytes at the end.
        cold: Seconds in which a new saver loads the last state.
    """

    bucket: str
    versions: Mapping[str, str]
    rounds: list[list[float]] = field(default_factory=list)
    calls: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    sends: list[float] = field(default_factory=list)
    requests: Mapping[str, int] = field(default_factory=dict)
    stored: int = 0
    cold: float | None = None

    @property
    def walls(self) -> list[float]:
        """Seconds of each turn."""
        return [wall for each in self.rounds for wall in each]

    @property
    def owed(self) -> int:
        """Number of LangGraph's calls, each of which needs one request at least."""
        return sum(map(len, self.calls.values()))


class Worker:
    """A saver's process."""

    def __init__(self, saver: str, endpoint_url: str, secrets: Mapping[str, str] | None = None) -> None:
        self.saver = saver
        self._process = start(saver, "benchmarks.turn_worker", saver, endpoint_url, secrets=secrets)

    def ask(self, what: str, **keywords: Any) -> Any:
        """Send a command, and return the answer.

        Raises:
            BenchmarkError: The process has ended.
        """
        assert self._process.stdin
        assert self._process.stdout
        try:
            self._process.stdin.write(json.dumps([what, keywords]) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise BenchmarkError(f"{self.saver} ended with status {self._process.wait()}; see above")
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


@contextmanager
def workers(
    savers: Sequence[str], endpoint_url: str, secrets: Mapping[str, str] | None = None
) -> Iterator[dict[str, Worker]]:
    """Start a process for each saver, except those whose packages can't be installed.

    Args:
        savers: Names of the savers.
        endpoint_url: URL of the server.
        secrets: Credentials as AWS's environment variables, if the server needs any.
    """
    made: dict[str, Worker] = {}
    with ExitStack() as stack:
        for saver in savers:
            try:
                made[saver] = Worker(saver, endpoint_url, secrets)
            except InstallError as error:
                print(f"left out: {error}", file=sys.stderr)
            else:
                stack.callback(made[saver].close)
        yield made


def measure(plan: Plan) -> Iterator[tuple[Record, Mapping[str, str]]]:
    """Run all races.

    Yields:
        The figures so far, after each workload, and the versions of this saver's packages.
    """
    found: list[Figure] = []
    cold: list[Cold] = []
    versions: Mapping[str, str] = {}
    with Server() as server, workers(plan.savers, server.endpoint_url) as there:
        if plan.cold:
            print("cold starts", file=sys.stderr)
            once = Heat("chat", "sync", 0, 1)
            remote = [name for name in there if SAVERS[name].remote]
            buckets = {name: _begin(server, there[name], once).bucket for name in remote}
            cold = cold_starts(server.endpoint_url, buckets, _THIS, plan.cold)
        for workload in plan.workloads:
            for heat in plan.heats(workload):
                print(f"{heat.turns} turns of {workload}, {heat.mode}, {heat.latency:g} ms", file=sys.stderr)
                first = heat.latency == plan.latencies[0]
                entered = [name for name in there if _enters(name, heat, first)]
                played = race(server, heat, {name: there[name] for name in entered})
                versions = next((each.versions for name, each in played.items() if name in OURS), versions)
                found += figures_of(heat, played)
            yield Record(found, cold), versions


def _enters(saver: str, heat: Heat, first: bool) -> bool:
    """Return whether a saver takes part. Local savers do so at the first latency only."""
    of = SAVERS[saver]
    return (of.remote or saver == LIMIT or first) and (heat.mode == "sync" or of.make_async is not None)


def race(server: Server, heat: Heat, workers: Mapping[str, Worker]) -> dict[str, Played]:
    """Have each saver play the turns, in rounds.

    Returns:
        The measurements by saver. A peer that fails is left out.
    """
    played: dict[str, Played] = {}

    @contextmanager
    def leaving_out(name: str) -> Iterator[None]:
        try:
            yield
        except BenchmarkError as error:
            if name not in PEERS and name not in DATABASES:
                raise
            print(f"left out: {error}", file=sys.stderr)
            played.pop(name, None)

    server.latency = 0
    for name, worker in workers.items():
        with leaving_out(name):
            played[name] = _begin(server, worker, heat)
    server.latency = heat.latency / 1e3
    for number, turns in enumerate(_sizes(heat.turns)):
        names = list(played)
        at = number % max(1, len(names))  # so that no saver always follows the slowest
        for name in names[at:] + names[:at]:
            with leaving_out(name):
                _play(played[name], workers[name], turns)
    for name, each in list(played.items()):
        each.requests = charged(server.buckets[each.bucket].requests)
        each.stored = server.buckets[each.bucket].size
        with leaving_out(name):
            found = workers[name].ask("check")
            each.cold = found["took"]
            if not found["same"]:
                raise BenchmarkError(f"{name} gave back another state than it was given")
        server.buckets[each.bucket].objects.clear()
    return played


def _sizes(turns: int) -> list[int]:
    """Return the number of turns of each round."""
    rounds = min(turns, _ROUNDS)
    return [turns // rounds + (number < turns % rounds) for number in range(rounds)]


def _begin(server: Server, worker: Worker, heat: Heat) -> Played:
    bucket = f"bucket-{len(server.buckets)}"
    counted = server.buckets[bucket].requests
    about = worker.ask(
        "begin",
        workload=heat.workload,
        bucket=bucket,
        latency=heat.latency / 1e3,
        asynchronous=heat.mode == "async",
    )
    if "lacks" in about:
        raise BenchmarkError(f"{worker.saver} can't play {heat.workload}: {about['lacks']}")
    counted.clear()
    return Played(bucket, about["versions"])


def _play(played: Played, worker: Worker, turns: int) -> None:
    answer = worker.ask("play", turns=turns)
    played.rounds.append(answer["walls"])
    played.sends += answer["sends"]
    for method, seconds in answer["calls"].items():
        played.calls[method] += seconds


def figures_of(heat: Heat, played: Mapping[str, Played]) -> list[Figure]:
    """Return the figures of a heat."""
    limit = played.get(LIMIT)
    best = min((statistics.median(played[name].walls) for name in PEERS if name in played), default=None)
    found: list[Figure] = []
    for name, each in played.items():
        wall = statistics.median(each.walls)
        owed = each.owed / heat.turns
        requests = {kind: count / heat.turns for kind, count in each.requests.items()}
        if name == LIMIT:
            loads = len(each.calls["get_tuple"]) / heat.turns
            reads = len(each.calls.get("get_delta_channel_history", ())) / heat.turns
            requests |= {"LIST": loads, "GET": reads, "PUT": owed - loads - reads}
        rounds = zip(each.rounds, limit.rounds, strict=True) if limit else ()
        ratios = [statistics.mean(one) / statistics.mean(other) for one, other in rounds]
        found.append(
            Figure(
                heat.workload,
                heat.mode,
                heat.latency,
                heat.turns,
                name,
                wall * 1e3,
                quartiles(ratios) if ratios else [],
                wall / best if best else None,
                requests,
                owed,
                dollars(requests),
                {method: _spread(seconds) for method, seconds in sorted(each.calls.items())},
                statistics.median(each.sends) * 1e3 if each.sends else None,
                each.stored or None,
                each.cold * 1e3 if each.cold is not None else None,
            )
        )
    return found


def _spread(seconds: Sequence[float]) -> list[float]:
    """Return the median and the 99th percentile, in milliseconds."""
    ordered = sorted(seconds)
    return [statistics.median(ordered) * 1e3, ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)] * 1e3]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.turns")
    parser.add_argument("--turns", type=int, default=20, help="of the chat; the others play fewer")
    parser.add_argument("--latency", type=float, nargs="+", default=[0, 5, 25], help="milliseconds")
    parser.add_argument("--workload", nargs="+", choices=GRAPHS, default=list(GRAPHS))
    parser.add_argument("--mode", nargs="+", choices=_MODES, default=list(_MODES))
    parser.add_argument("--saver", nargs="+", choices=SAVERS, help="these alone")
    parser.add_argument("--cold", type=int, default=3, help="rounds of cold starts")
    parser.add_argument("--peers", action="store_true", help="the peers too; installs them from PyPI")
    report.add_write_option(parser)
    parser.add_argument("--chart", type=Path, metavar="FILE", help="write a chart of the chat, as SVG")
    parser.add_argument("--record", action="store_true", help="record the ratios in the baseline")
    parser.add_argument("--compare", action="store_true", help="say what got worse since the baseline")
    chosen = parser.parse_args(arguments)
    peers, databases = (PEERS, DATABASES) if chosen.peers else ((), ())
    savers = chosen.saver or [LIMIT, *OURS, *peers, *FLOORS, *databases]
    plan = Plan(chosen.turns, chosen.latency, chosen.workload, chosen.mode, savers, chosen.cold)
    command = report.command("turns", arguments)
    record = Record([], [])
    text = ""
    for record, versions in measure(plan):
        text = report.page("Turns", command, versions, turns_report.tables(record))
        report.write(text, chosen.write)  # after each workload, for a run that is interrupted
    print(text)
    if chosen.chart:
        chosen.chart.write_text(turns_report.chart(record), encoding="utf-8")
    if chosen.compare:
        print(baseline.verdict(record.entries()))
    if chosen.record:
        baseline.save(record.entries())
    return 0


if __name__ == "__main__":
    sys.exit(main())
