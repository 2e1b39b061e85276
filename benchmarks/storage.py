"""Storage, requests and dollars of a conversation.

    python -m benchmarks.storage                           100 turns, this saver alone: seconds
    python -m benchmarks.storage --turns 100 1000 --peers  everything: minutes
    python -m benchmarks.storage … --write FILE            writes the tables to a file, too

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

_PEERS_TURNS = 100
"""Maximum for a peer: its storage grows with the square of the turns."""
_THIS = next(iter(OURS))
_EXPLANATION = """\
A one-node graph over `MessagesState` and a channel with 100 kB of documents that never change. Each turn
adds a message of 1 kB. The last state is counted in serialized bytes. *Lenders* are the earlier objects that
a checkpoint borrows from. A new saver read back the same state that each saver stored. Peers play 100 turns
at most, since their storage grows with the square of the turns.
"""


@dataclass(frozen=True)
class Plan:
    """The runs to measure: each text, for each number of turns."""

    turns: Sequence[int]
    texts: Sequence[str]
    peers: bool

    def __iter__(self) -> Iterator[tuple[str, str, int]]:
        """Yield text, saver and turns of each run."""
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
    """Return the table of stored bytes."""
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
    """Return the table of requests and costs."""
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
    """Return the table of requests with which a new saver loads the last state."""
    kinds = [kind for kind in PRICES if any(each.reading[kind] for each in runs)]
    heads = ["saver", "turns", *kinds]
    rows = [
        [each.task.saver, f"{each.task.turns:,}", *(f"{each.reading[kind]:,}" for kind in kinds)]
        for each in runs
    ]
    return report.table(heads, rows)


def tables(runs: Sequence[Run]) -> str:
    """Return all tables."""
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
        "Reading the last state with a new saver:\n",
        reading_table(chosen) + "\n",
    ]
    return "\n".join(parts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.storage")
    parser.add_argument("--turns", type=int, nargs="+", default=[_PEERS_TURNS])
    parser.add_argument("--text", nargs="+", choices=TEXTS, default=list(TEXTS))
    parser.add_argument("--peers", action="store_true", help="the peers too; installs them from PyPI")
    report.add_write_option(parser)
    chosen = parser.parse_args(arguments)
    runs = measure(Plan(chosen.turns, chosen.text, chosen.peers))
    versions = next(each.versions for each in runs if each.task.saver == _THIS)
    text = report.page("Storage", report.command("storage", arguments), versions, tables(runs))
    report.write(text, chosen.write)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
