"""Single operations, each paired with a reference: long threads, large states, CPU, many conversations.

    python -m benchmarks.operations                 a minute or two
    python -m benchmarks.operations --whole         with a state of 200 MB, and more rounds
    python -m benchmarks.operations … --write FILE  writes the tables to a file, too
    python -m benchmarks.operations … --compare     says what got worse since the baseline
    python -m benchmarks.operations … --record      records the ratios in the baseline

Each part runs in a process of its own, and the server in another. An operation and its reference alternate,
so that their ratio holds on other machines.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from benchmarks import baseline, cpu, crowd, histories, large, measured, operations_report, report
from benchmarks.measured import Measured
from benchmarks.runs import BenchmarkError, start
from benchmarks.savers import OURS
from benchmarks.served import Served

_THIS: Final = next(iter(OURS))
_PACKAGES: Final = ("langgraph-checkpoint-s3", "langgraph", "langgraph-checkpoint", "boto3", "aiobotocore")


@dataclass(frozen=True)
class Scale:
    """The amount of work.

    Attributes:
        pairs: Number of pairs of each operation and its reference.
        thread: Checkpoints of a long thread.
        latencies: Latencies of the server, in milliseconds.
        states: Sizes of the large states, in bytes.
        moves: Number of transfers of each large state.
        sizes: Sizes of states in `cpu`.
        crowd: Number of concurrent conversations.
        rounds: Turns of each conversation.
    """

    pairs: int
    thread: int
    latencies: Sequence[float]
    states: Sequence[int]
    moves: int
    sizes: Sequence[str]
    crowd: int
    rounds: int


SHORT: Final = Scale(7, 10_000, (0.0, 25.0), (10_000_000,), 5, tuple(cpu.SIZES), 64, 3)
WHOLE: Final = Scale(31, 10_000, (0.0, 25.0), (10_000_000, 200_000_000), 11, tuple(cpu.SIZES), 64, 11)

PARTS: Final[Mapping[str, Callable[[Served, Scale], Iterator[Measured]]]] = {
    "history": lambda served, scale: histories.history(served, scale.thread, scale.latencies, scale.pairs),
    "writes": lambda served, scale: histories.writes(served, max(scale.latencies), scale.pairs),
    "large": lambda served, scale: large.large(served, scale.states, scale.moves),
    "cpu": lambda served, scale: cpu.cpu(scale.sizes, scale.pairs),
    "crowd": lambda served, scale: crowd.crowd(served, scale.crowd, scale.latencies, scale.rounds),
}


def measure(part: str, scale: Scale) -> list[Measured]:
    """Measure a part, in a process of its own.

    Raises:
        BenchmarkError: The process failed.
    """
    with start(_THIS, "benchmarks.operations_worker", part, json.dumps(asdict(scale))) as process:
        printed, _ = process.communicate()
    if process.returncode:
        raise BenchmarkError(f"{part} ended with status {process.returncode}; see above")
    return [Measured(**json.loads(line)) for line in printed.splitlines()]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.operations")
    parser.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--whole", action="store_true", help="a state of 200 MB too, and more rounds")
    report.add_write_option(parser)
    parser.add_argument("--record", action="store_true", help="record the ratios in the baseline")
    parser.add_argument("--compare", action="store_true", help="say what got worse since the baseline")
    chosen = parser.parse_args(arguments)
    command = report.command("operations", arguments)
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    found: list[Measured] = []
    text = ""
    for part in chosen.part:
        print(f"{part} ...", file=sys.stderr, flush=True)
        found += measure(part, WHOLE if chosen.whole else SHORT)
        text = report.page("Operations", command, versions, operations_report.tables(found))
        report.write(text, chosen.write)  # after each part, for a run that is interrupted
    print(text)
    entries = measured.entries(found)
    if chosen.compare:
        print(baseline.verdict(entries))
    if chosen.record:
        baseline.save(entries)
    return 0


if __name__ == "__main__":
    sys.exit(main())
