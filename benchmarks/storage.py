"""How much a conversation stores, in how many requests, and what that costs.

    python -m benchmarks.storage                           100 turns, this saver alone: seconds
    python -m benchmarks.storage --turns 100 1000 --peers  everything: minutes
    python -m benchmarks.storage … --write                 and writes it into docs/benchmarks.md

Each turn of a one-node graph adds a message of 1 kB; 100 kB of documents never change.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks import report
from benchmarks.environments import InstallError
from benchmarks.runs import GB_MONTH, PRICES, BenchmarkError, Run, run
from benchmarks.savers import OURS, PEERS
from benchmarks.server import Server
from benchmarks.workloads import TEXTS

_TITLE = "Storage"
_PEERS_TURNS = 100
"""The most for a peer: what it stores grows with the square of the turns."""
_THIS = next(iter(OURS))
_EXPLANATION = """\
A one-node graph over `MessagesState` and a channel with 100 kB of documents that never change. Each turn
adds a message of 1 kB. The last state is what the saver's serializer makes of the channels' values;
*lenders* are the earlier objects that a checkpoint borrows from. What each saver stored was read back by
one that remembered nothing, and was the same. The peers are given 100 turns at most: what they store
grows with the square of the turns.
"""


@dataclass(frozen=True)
class Plan:
    """What is to be measured: each of the texts, for each number of turns."""

    turns: Sequence[int]
    texts: Sequence[str]
    peers: bool

    def __iter__(self) -> Iterator[tuple[str, str, int]]:
        """Text, saver and turns of each run."""
        for text in self.texts:
            for turns in self.turns:
                for saver in OURS:
                    yield text, saver, turns
                if self.peers and turns <= _PEERS_TURNS:
                    for saver in PEERS:
                        yield text, saver, turns


def measure(plan: Plan) -> list[Run]:
    """Run everything, one after the other, on one server."""
    runs: list[Run] = []
    with Server() as server:
        for text, saver, turns in plan:
            print(f"{saver}, {turns} turns of {text} ...", file=sys.stderr, flush=True)
            try:
                runs.append(run(server, saver, "conversation", text, turns))
            except (BenchmarkError, InstallError) as error:
                if saver in OURS:
                    raise
                print(f"left out: {error}", file=sys.stderr)
    return runs


def stored_table(runs: Sequence[Run]) -> str:
    """What is stored."""
    heads = [
        "saver", "turns", "last state, kB", "stored, kB", "times the state", "objects", "LangGraph's puts",
        "most lenders", "on average",
    ]  # fmt: skip
    rows = [
        [
            each.task.saver,
            f"{each.task.turns:,}",
            f"{each.state / 1e3:,.0f}",
            f"{each.stored / 1e3:,.0f}",
            f"{each.ratio:,.2f}",
            f"{each.objects:,}",
            f"{sum(each.calls.values()):,}",
            max(each.lenders, default=0) or "",
            f"{statistics.mean(each.lenders):.1f}" if any(each.lenders) else "",
        ]
        for each in runs
    ]
    return report.table(heads, rows)


def cost_table(runs: Sequence[Run]) -> str:
    """What is asked of S3, and what that and keeping it costs."""
    kinds = [kind for kind in PRICES if any(each.requests[kind] for each in runs)]
    heads = ["saver", "turns", *kinds, "requests, $", "a month's storage, $"]
    rows = [
        [
            each.task.saver,
            f"{each.task.turns:,}",
            *(f"{each.requests[kind]:,}" for kind in kinds),
            f"{each.request_dollars:,.2f}",
            f"{each.storage_dollars:,.2f}",
        ]
        for each in runs
    ]
    return report.table(heads, rows)


def reading_table(runs: Sequence[Run]) -> str:
    """What a process that remembers nothing asks for to load the last state."""
    kinds = [kind for kind in PRICES if any(each.reading[kind] for each in runs)]
    heads = ["saver", "turns", *kinds]
    rows = [
        [each.task.saver, f"{each.task.turns:,}", *(f"{each.reading[kind]:,}" for kind in kinds)]
        for each in runs
    ]
    return report.table(heads, rows)


def tables(runs: Sequence[Run]) -> str:
    """All of it, for the terminal and for the document."""
    parts = [_EXPLANATION]
    for text in dict.fromkeys(each.task.text for each in runs):
        parts += [
            f"### Text of {text}\n",
            (TEXTS[text].__doc__ or "") + "\n",
            stored_table([each for each in runs if each.task.text == text]) + "\n",
        ]
    first = runs[0].task.text
    chosen = [each for each in runs if each.task.text == first]
    prices = ", ".join(f"{kind} ${price * 1000:g}" for kind, price in PRICES.items() if price)
    parts += [
        "### Requests and dollars\n",
        f"Text of {first}. Dollars are for a million turns, at S3 Standard's prices in us-east-1. For 1,000",
        f"requests: {prices}; for a GB and month: ${GB_MONTH}.\n",
        cost_table(chosen) + "\n",
        "Reading the last state with a saver that remembers nothing:\n",
        reading_table(chosen) + "\n",
    ]
    return "\n".join(parts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write if that is wanted."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.storage")
    parser.add_argument("--turns", type=int, nargs="+", default=[_PEERS_TURNS])
    parser.add_argument("--text", nargs="+", choices=TEXTS, default=list(TEXTS))
    parser.add_argument("--peers", action="store_true", help="the peers too; installs them from PyPI")
    parser.add_argument("--write", action="store_true", help="write it into docs/benchmarks.md")
    chosen = parser.parse_args(arguments)
    runs = measure(Plan(chosen.turns, chosen.text, chosen.peers))
    found = tables(runs)
    print(found)
    if chosen.write:
        given = sys.argv[1:] if arguments is None else arguments
        command = " ".join(["python -m benchmarks.storage", *given])
        versions = next(each.versions for each in runs if each.task.saver == _THIS)
        report.write(_TITLE, f"{report.circumstances(command, versions)}\n\n{found}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
