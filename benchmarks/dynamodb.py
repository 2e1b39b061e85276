"""Cost of a chat's turns with `DynamoDBSaver`.

    python -m benchmarks.dynamodb                           a few turns
    python -m benchmarks.dynamodb --turns 200 --write FILE  writes the table to a file, too

DynamoDB charges for kilobytes where S3 charges for requests. So its requests and the units that they consume
are counted, on moto's server. Times aren't measured, since moto's say nothing about DynamoDB.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from benchmarks import report
from benchmarks.environments import InstallError
from benchmarks.runs import BenchmarkError, start_in

REQUIREMENTS: Final = ("langgraph-checkpoint-aws==1.2.6", "moto[dynamodb,server]==5.2.5", "langgraph>=1.2,<2")
_VERSIONS: Final = dict(each.split("==") for each in REQUIREMENTS[:2])
WRITE_UNIT: Final = 0.625e-6
READ_UNIT: Final = 0.125e-6
"""US dollars, on demand, standard class, in us-east-1 (https://aws.amazon.com/dynamodb/pricing/on-demand/)."""
_TEXT: Final = """\
The chat of `benchmarks.turns`, with `DynamoDBSaver` of langgraph-checkpoint-aws 1.2.6 on moto, without an S3
bucket for large items. DynamoDB charges a write unit for each kB of an item written, $0.625 a million, and
half a read unit for each 4 kB read, $0.125 a million units; on demand, in us-east-1. Storage comes on top:
$0.25 for a GB and month, where S3 costs $0.023. An item is limited to 400 kB.
"""


def measure(turns: int) -> list[dict[str, Any]]:
    """Play the turns.

    Returns:
        For each turn, the requests by operation, and the units read and written.

    Raises:
        BenchmarkError: The process failed.
    """
    with start_in(REQUIREMENTS, "benchmarks.dynamodb_worker", str(turns)) as process:
        printed, _ = process.communicate()
    if process.returncode:
        raise BenchmarkError(f"DynamoDBSaver ended with status {process.returncode}; see above")
    found: list[dict[str, Any]] = json.loads(printed)
    return found


def dollars(turns: Sequence[Mapping[str, Any]]) -> float:
    """Return the cost of a million such turns, in US dollars."""
    cost: float = sum(each["written"] * WRITE_UNIT + each["read"] * READ_UNIT for each in turns)
    return cost / len(turns) * 1e6


def tables(turns: Sequence[Mapping[str, Any]]) -> str:
    """Return the table."""
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
    return f"{_TEXT}\n{report.table(heads, rows)}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dynamodb")
    parser.add_argument("--turns", type=int, default=20)
    report.add_write_option(parser)
    chosen = parser.parse_args(arguments)
    try:
        found = tables(measure(chosen.turns))
    except (InstallError, subprocess.SubprocessError) as error:
        print(f"left out: {error}", file=sys.stderr)
        return 1
    text = report.page("DynamoDB", report.command("dynamodb", arguments), _VERSIONS, found)
    report.write(text, chosen.write)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
