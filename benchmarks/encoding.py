"""What looking for bytes to borrow costs of CPU, beside writing whole.

    python -m benchmarks.encoding            a minute or two
    python -m benchmarks.encoding --write    and writes it into docs/benchmarks.md

Each case is a channel's value before and after a change. Its checkpoint is serialized and encoded, whole and
with the one before it known, in turns within one process. CPU time of the process; medians.
"""

from __future__ import annotations

import argparse
import gc
import importlib.metadata
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from langgraph.checkpoint.base import Checkpoint, CheckpointMetadata, empty_checkpoint
from langgraph.checkpoint.serde.base import SerializerProtocol

from benchmarks import report
from benchmarks.changes import CASES, Case
from langgraph_checkpoint_s3.format.borrowing import BorrowPolicy, Known
from langgraph_checkpoint_s3.format.checkpoint import SECOND, Origin
from langgraph_checkpoint_s3.format.checkpoint_writer import Draft, draft, serialize

_TITLE: Final = "CPU of encoding"
_SIZES: Final = {"1 kB": 1_000, "10 kB": 10_000, "100 kB": 100_000, "10 MB": 10_000_000}
_CHANNEL: Final = "value"
_METADATA: Final[CheckpointMetadata] = {"source": "loop", "step": 1, "parents": {}}
_RULES: Final = BorrowPolicy(horizon=24 * 3600.0)
_SAMPLE: Final = 0.01
"""Seconds that a sample takes, at least: short work is done again for so long."""
_CONTROL: Final = "whole, beside itself"
_EXPLANATION: Final = f"""\
CPU time of serializing and encoding a checkpoint, whole and with its parent known, in turns within one
process: the medians, the ratio of the pairs, and between which ratios half of the pairs are. Before the
measured change the value had changed a few times in the same way. *Not written* is a channel that
LangGraph doesn't name among the changed ones; *{_CONTROL}* shows how far a ratio strays by chance.
"""

Encode = Callable[[], Draft]


@dataclass(frozen=True)
class Figures:
    """What a case came to. Times in seconds of CPU.

    Attributes:
        case: Its name.
        whole: The time of writing whole.
        borrowing: The time with borrowing.
        ratios: The latter by the former, in pairs: the quartiles.
        size: Bytes of the object that is written whole.
        borrowed_size: Of the one that borrows.
    """

    case: str
    whole: float
    borrowing: float
    ratios: tuple[float, float, float]
    size: int
    borrowed_size: int


def encoders(case: Case, size: int) -> tuple[Encode, Encode]:
    """A change ready to be encoded again and again: whole, and with borrowing."""
    serde = case.serde()
    value = case.start(size)
    known = _encode(serde, _checkpoint(value, 0), 0, None, None, [_CHANNEL]).known
    changed = [_CHANNEL] if case.written else []
    for step in range(1, case.steps + 1):
        value = case.change(value, step)
        checkpoint = _checkpoint(value, step if case.written else 0)
        known = _encode(serde, checkpoint, step, known.checkpoint_id, known, changed).known
    step = case.steps + 1
    checkpoint = _checkpoint(case.change(value, step), step if case.written else 0)
    parent = known.checkpoint_id
    return (
        lambda: _encode(serde, checkpoint, step, parent, None, changed),
        lambda: _encode(serde, checkpoint, step, parent, known, changed),
    )


def compare(name: str, whole: Encode, borrowing: Encode, pairs: int) -> Figures:
    """Time both, in turns; the order changes with each pair."""
    size, borrowed_size = len(whole().body), len(borrowing().body)
    repeats = _repeats(whole)
    firsts: list[float] = []
    seconds: list[float] = []
    gc.collect()
    gc.disable()
    try:
        for number in range(pairs):
            first, second = (firsts, whole), (seconds, borrowing)
            for found, encode in (first, second) if number % 2 else (second, first):
                found.append(_time(encode, repeats))
    finally:
        gc.enable()
    ratios = [second / first for first, second in zip(firsts, seconds, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return Figures(
        name,
        statistics.median(firsts),
        statistics.median(seconds),
        (low, middle, high),
        size,
        borrowed_size,
    )


def measure(size: int, pairs: int, cases: Sequence[Case] = CASES) -> list[Figures]:
    """All cases for one size; the first is a control, which shows how far a ratio strays by chance."""
    whole, _ = encoders(cases[0], size)
    found = [compare(_CONTROL, whole, whole, pairs)]
    for case in cases:
        print(f"{case.name}, {size:,} bytes ...", file=sys.stderr, flush=True)
        found.append(compare(case.name, *encoders(case, size), pairs))
    return found


def table(figures: Sequence[Figures]) -> str:
    """The figures of one size."""
    heads = [
        "change",
        "whole, ms",
        "borrowing, ms",
        "ratio",
        "half of the pairs",
        "whole, bytes",
        "borrowing, bytes",
    ]
    rows = [
        [
            each.case,
            f"{each.whole * 1e3:,.3f}",
            f"{each.borrowing * 1e3:,.3f}",
            f"{each.ratios[1]:.3f}",
            f"{each.ratios[0]:.3f} to {each.ratios[2]:.3f}",
            f"{each.size:,}",
            f"{each.borrowed_size:,}",
        ]
        for each in figures
    ]
    return report.table(heads, rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write if that is wanted."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.encoding")
    parser.add_argument("--pairs", type=int, default=21, help="how often both are timed")
    parser.add_argument("--sizes", nargs="+", choices=_SIZES, default=list(_SIZES))
    parser.add_argument("--write", action="store_true", help="write it into docs/benchmarks.md")
    chosen = parser.parse_args(arguments)
    parts = [_EXPLANATION]
    for name in chosen.sizes:
        parts += [f"### A value of {name}\n", table(measure(_SIZES[name], chosen.pairs)) + "\n"]
    found = "\n".join(parts)
    print(found)
    if chosen.write:
        given = sys.argv[1:] if arguments is None else arguments
        command = " ".join(["python -m benchmarks.encoding", *given])
        names = ("langgraph-checkpoint-s3", "langgraph-checkpoint", "backports.zstd")
        versions = {name: importlib.metadata.version(name) for name in names}
        report.write(_TITLE, f"{report.circumstances(command, versions)}\n\n{found}")
    return 0


def _checkpoint(value: Any, version: int) -> Checkpoint:
    return {
        **empty_checkpoint(),
        "channel_values": {_CHANNEL: value},
        "channel_versions": {_CHANNEL: f"{version + 1:032}.0"},
    }


def _encode(
    serde: SerializerProtocol,
    checkpoint: Checkpoint,
    step: int,
    parent: str | None,
    known: Known | None,
    changed: Sequence[str],
) -> Draft:
    content = serialize(serde, checkpoint, _METADATA, parent, known, changed)
    origin = Origin("", checkpoint["id"], (step + 1) * SECOND, "benchmarks")
    leaf = f"checkpoint.p{parent or ''}.kloop.s{step}"
    versions = checkpoint["channel_versions"]
    return draft(content, versions, origin, lambda borrows, lends: leaf, "zstd", _RULES, known)


def _repeats(encode: Encode) -> int:
    """How often something is to be done so that a sample is long enough."""
    return max(1, round(_SAMPLE / max(1e-6, min(_time(encode, 1) for _ in range(3)))))


def _time(encode: Encode, repeats: int) -> float:
    began = time.process_time()
    for _ in range(repeats):
        encode()
    return (time.process_time() - began) / repeats


if __name__ == "__main__":
    sys.exit(main())
