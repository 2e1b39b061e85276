"""What a chat's turns cost with `DynamoDBSaver`, for whom DynamoDB is the other choice on AWS.

    python -m benchmarks.dynamodb                           a few turns
    python -m benchmarks.dynamodb --turns 200 --write       and into docs/benchmarks.md

DynamoDB charges for kilobytes where S3 charges for requests: so its requests, and the units that they
consume, are counted, on moto's server. How long it takes isn't measured: moto says nothing about that.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from benchmarks import report
from benchmarks.environments import InstallError
from benchmarks.figures import Record
from benchmarks.runs import BenchmarkError, start_in
from benchmarks.savers import OURS

REQUIREMENTS: Final = ("langgraph-checkpoint-aws==1.2.6", "moto[dynamodb,server]==5.2.5", "langgraph>=1.2,<2")
_VERSIONS: Final = dict(each.split("==") for each in REQUIREMENTS[:2])
WRITE_UNIT: Final = 0.625e-6
READ_UNIT: Final = 0.125e-6
"""US dollars, on demand, standard class, in us-east-1 (https://aws.amazon.com/dynamodb/pricing/on-demand/)."""
_TITLE: Final = "DynamoDB"
_TEXT: Final = """\
The chat of *Turns*, with `DynamoDBSaver` of langgraph-checkpoint-aws 1.2.6 on moto, without an S3 bucket for
large items. What it is charged for: a write unit for each kB of an item that is written, $0.625 for a
million, half a read unit for each 4 kB that is read, $0.125 for a million units; on demand, in us-east-1.
Times on moto say nothing about DynamoDB, which answers in a few milliseconds: so none are here. What is
stored isn't in it: $0.25 for a GB and month, where S3 asks for $0.023. An item ends at 400 kB.
"""


def measure(turns: int) -> list[dict[str, Any]]:
    """Play the turns.

    Returns:
        Of each turn, the requests by operation, and the units read and written.

    Raises:
        BenchmarkError: It failed.
    """
    with start_in(REQUIREMENTS, "benchmarks.dynamodb_worker", str(turns)) as process:
        printed, _ = process.communicate()
    if process.returncode:
        raise BenchmarkError(f"DynamoDBSaver ended with status {process.returncode}; see above")
    found: list[dict[str, Any]] = json.loads(printed)
    return found


def dollars(turns: Sequence[Mapping[str, Any]]) -> float:
    """US dollars for a million of these turns."""
    cost: float = sum(each["written"] * WRITE_UNIT + each["read"] * READ_UNIT for each in turns)
    return cost / len(turns) * 1e6


def tables(turns: Sequence[Mapping[str, Any]]) -> str:
    """What was found, beside what this saver's requests cost as they were recorded."""
    kinds = list(dict.fromkeys(kind for turn in turns for kind in turn["requests"]))
    parts = {"all of them": turns, "the first": turns[:1], "the last": turns[-1:]}
    rows = [
        [
            f"{len(turns)} turns, {what}" if what == "all of them" else f"{what} turn",
            *(f"{sum(turn['requests'].get(kind, 0) for turn in each) / len(each):.2f}" for kind in kinds),
            f"{sum(turn['written'] for turn in each) / len(each):,.1f}",
            f"{sum(turn['read'] for turn in each) / len(each):,.1f}",
            f"{dollars(each):,.2f}",
        ]
        for what, each in parts.items()
    ]
    heads = ["a turn's", *kinds, "write units", "read units", "$ for a million turns"]
    text = f"{_TEXT}\n{report.table(heads, rows)}"
    ours = [
        each
        for each in Record.load().figures
        if (each.workload, each.mode, each.saver) == ("chat", "sync", next(iter(OURS)))
    ]
    if ours:
        last = max(ours, key=lambda each: each.latency)
        cost = f"${last.dollars:,.2f} for a million ({last.turns} turns)"
        text += f"\n\nThis saver's requests of such a turn cost {cost}."
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write if that is wanted."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dynamodb")
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    chosen = parser.parse_args(arguments)
    given = sys.argv[1:] if arguments is None else arguments
    try:
        text = tables(measure(chosen.turns))
    except (InstallError, subprocess.SubprocessError) as error:
        print(f"left out: {error}", file=sys.stderr)
        return 1
    if chosen.write:
        about = report.circumstances(f"python -m benchmarks.dynamodb {shlex.join(given)}".rstrip(), _VERSIONS)
        report.write(_TITLE, f"{about}\n\n{text}")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
