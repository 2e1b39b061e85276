"""How long a turn of a graph takes on S3, what it asks for, and what that costs.

    python -m benchmarks.turns                              this saver and the limit: minutes
    python -m benchmarks.turns --turns 200 --peers          everything: the better part of an hour
    python -m benchmarks.turns … --write                    and writes it into docs/benchmarks.md
    python -m benchmarks.turns … --compare                  and says what got worse since it was recorded

A chat of one node, an agent with five tool calls, a fan-out of 50 `Send`s, a chat about 5 MB of documents,
one in nested graphs, one in a delta channel, and one with each of LangGraph's durabilities, with sync and
async methods, on a server that takes a set time for each answer. All savers are there at once, each in a
process of its own, and play a few turns each, one after the other, until all are played: what else the
machine does hits all of them, and the ratios hold.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks import figures, report, turns_report
from benchmarks.cold import cold_starts, quartiles
from benchmarks.environments import InstallError
from benchmarks.figures import COLD, Cold, Figure, Record
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
"""They play so many times fewer turns than a chat: each is longer, or said with less."""
_LEAST: Final = 2
_THIS: Final = next(iter(OURS))


@dataclass(frozen=True)
class Heat:
    """What all savers do by turns."""

    workload: str
    mode: str
    latency: float
    turns: int


@dataclass(frozen=True)
class Plan:
    """What is to be measured. Latencies in milliseconds; `turns` are a chat's."""

    turns: int
    latencies: Sequence[float]
    workloads: Sequence[str]
    modes: Sequence[str]
    savers: Sequence[str]
    cold: int

    def heats(self, workload: str) -> Iterator[Heat]:
        """Those of a workload."""
        turns = max(_LEAST, self.turns // SHARES[workload])
        for latency in self.latencies:
            for mode in self.modes:
                yield Heat(workload, mode, latency, turns)


@dataclass
class Played:
    """What one saver did in a heat.

    Attributes:
        bucket: Where.
        versions: Of its packages.
        rounds: Seconds of each turn, by round.
        calls: Seconds of LangGraph's calls, by method.
        sends: Seconds of all `Send`s together.
        requests: How many of each kind.
        stored: Bytes at the end.
        cold: Seconds to load the last state by a saver that remembers nothing.
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
        """Of each turn."""
        return [wall for each in self.rounds for wall in each]

    @property
    def owed(self) -> int:
        """LangGraph's calls, each of which is one request at least."""
        return sum(map(len, self.calls.values()))


class Worker:
    """A saver's process."""

    def __init__(self, saver: str, endpoint_url: str, secrets: Mapping[str, str] | None = None) -> None:
        self.saver = saver
        self._process = start(saver, "benchmarks.turn_worker", saver, endpoint_url, secrets=secrets)

    def ask(self, what: str, **keywords: Any) -> Any:
        """Have it do something.

        Raises:
            BenchmarkError: It has ended.
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
        """End it."""
        self._process.communicate()


@contextmanager
def workers(
    savers: Sequence[str], endpoint_url: str, secrets: Mapping[str, str] | None = None
) -> Iterator[dict[str, Worker]]:
    """A process for each saver; without those whose packages can't be had.

    Args:
        savers: Their names.
        endpoint_url: The server.
        secrets: What it takes for credentials, as AWS's variables, if it asks for any.
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
    """Run everything.

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
    """What doesn't talk to the server is as fast at any latency; but for the limit."""
    of = SAVERS[saver]
    return (of.remote or saver == LIMIT or first) and (heat.mode == "sync" or of.make_async is not None)


def race(server: Server, heat: Heat, workers: Mapping[str, Worker]) -> dict[str, Played]:
    """Have each saver play the turns, in rounds.

    Returns:
        What each of them did. A peer that fails is left out.
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
        at = number % max(1, len(names))  # nobody is always the one behind the slowest
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
    """How many turns each round has."""
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
    """The heat's figures."""
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
    """The median and the 99th percentile, in milliseconds."""
    ordered = sorted(seconds)
    return [statistics.median(ordered) * 1e3, ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)] * 1e3]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write or compare if that is wanted."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.turns")
    parser.add_argument("--turns", type=int, default=20, help="of the chat; the others play fewer")
    parser.add_argument("--latency", type=float, nargs="+", default=[0, 5, 25], help="milliseconds")
    parser.add_argument("--workload", nargs="+", choices=GRAPHS, default=list(GRAPHS))
    parser.add_argument("--mode", nargs="+", choices=_MODES, default=list(_MODES))
    parser.add_argument("--saver", nargs="+", choices=SAVERS, help="these alone")
    parser.add_argument("--cold", type=int, default=3, help="rounds of cold starts")
    parser.add_argument("--peers", action="store_true", help="the peers too; installs them from PyPI")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md and what is compared")
    parser.add_argument("--compare", action="store_true", help="say what got worse since it was recorded")
    chosen = parser.parse_args(arguments)
    peers, databases = (PEERS, DATABASES) if chosen.peers else ((), ())
    savers = chosen.saver or [LIMIT, *OURS, *peers, *FLOORS, *databases]
    plan = Plan(chosen.turns, chosen.latency, chosen.workload, chosen.mode, savers, chosen.cold)
    given = sys.argv[1:] if arguments is None else arguments
    command = f"python -m benchmarks.turns {shlex.join(given)}".rstrip()
    before = Record.load()
    record = before
    for record, versions in measure(plan):  # a run that is cut short has written what it found
        if chosen.write:
            about = report.circumstances(command, versions)
            names = [
                *dict.fromkeys(each.workload for each in record.figures),
                *([COLD] if record.cold else []),
            ]
            whole = Record(record.figures, record.cold, dict.fromkeys(names, about)).over(before)
            whole.save()
            turns_report.write(whole)
    print(turns_report.tables(record))
    if chosen.compare:
        worse = figures.compare(record, before, list(OURS))
        print("\n".join(worse) or "nothing got worse by more than noise")
    return 0


if __name__ == "__main__":
    sys.exit(main())
