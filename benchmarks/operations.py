"""What single operations take, beside what they can't do without: long threads, large states, CPU, crowds.

    python -m benchmarks.operations                 a minute or two
    python -m benchmarks.operations --whole         with a state of 200 MB, and more rounds
    python -m benchmarks.operations … --write       and writes it into docs/benchmarks.md
    python -m benchmarks.operations … --compare     and says what got worse since it was recorded

Each part runs in a process of its own, and the server in another. What is measured and what it is beside
are done in turns, so that the ratios hold where times don't.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from benchmarks import cpu, crowd, histories, large, measured, operations_report, report
from benchmarks.measured import Measured, Record
from benchmarks.runs import BenchmarkError, start
from benchmarks.savers import OURS
from benchmarks.served import Served

_THIS: Final = next(iter(OURS))
_PACKAGES: Final = ("langgraph-checkpoint-s3", "langgraph", "langgraph-checkpoint", "boto3", "aiobotocore")


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Attributes:
        pairs: How often each is done.
        thread: Checkpoints of a long thread.
        latencies: Milliseconds of an answer.
        states: Bytes of the large states.
        moves: How often each of them is moved.
        sizes: Of `cpu`.
        crowd: Conversations at once.
        rounds: Turns of each.
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
        BenchmarkError: It failed.
    """
    with start(_THIS, "benchmarks.operations_worker", part, json.dumps(asdict(scale))) as process:
        printed, _ = process.communicate()
    if process.returncode:
        raise BenchmarkError(f"{part} ended with status {process.returncode}; see above")
    return [Measured(**json.loads(line)) for line in printed.splitlines()]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write or compare if that is wanted."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.operations")
    parser.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--whole", action="store_true", help="a state of 200 MB too, and more rounds")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md and what is compared")
    parser.add_argument("--compare", action="store_true", help="say what got worse since it was recorded")
    chosen = parser.parse_args(arguments)
    given = sys.argv[1:] if arguments is None else arguments
    command = f"python -m benchmarks.operations {shlex.join(given)}".rstrip()
    before = Record.load()
    found: list[Measured] = []
    record = Record([])
    for part in chosen.part:
        print(f"{part} ...", file=sys.stderr, flush=True)
        found += measure(part, WHOLE if chosen.whole else SHORT)
        about = report.circumstances(command, {name: importlib.metadata.version(name) for name in _PACKAGES})
        record = Record(list(found), {each.part: about for each in found})
        if chosen.write:  # a run that is cut short has written what it found
            whole = record.over(before)
            whole.save()
            operations_report.write(whole)
    print(operations_report.tables(record))
    if chosen.compare:
        print("\n".join(measured.compare(record, before)) or "nothing got worse by more than noise")
    return 0


if __name__ == "__main__":
    sys.exit(main())
