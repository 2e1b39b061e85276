"""CPU time of encoding a checkpoint, with and without borrowing.

    python -m benchmarks.encoding                 a minute or two
    python -m benchmarks.encoding --write FILE    writes the tables to a file, too

Each case is a channel's value before and after a change. Its checkpoint is serialized and encoded, whole and
with its parent known, alternately within one process. CPU time of the process; medians.
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

_SIZES: Final = {"1 kB": 1_000, "10 kB": 10_000, "100 kB": 100_000, "10 MB": 10_000_000}
_CHANNEL: Final = "value"
_METADATA: Final[CheckpointMetadata] = {"source": "loop", "step": 1, "parents": {}}
_RULES: Final = BorrowPolicy(horizon=24 * 3600.0)
_SAMPLE: Final = 0.01
"""Minimum length of a sample, in seconds; shorter work is repeated."""
_CONTROL: Final = "whole, twice"
_EXPLANATION: Final = f"""\
CPU time of serializing and encoding a checkpoint, whole and with its parent known, alternately within one
process: medians, the median ratio of the pairs, and its quartiles. The value changed a few times in the same
way before the measured change. *Not written* is a channel that LangGraph doesn't report as changed;
*{_CONTROL}* shows the noise.
"""

Encode = Callable[[], Draft]


@dataclass(frozen=True)
class Figures:
    """Measurements of a case, in seconds of CPU time.

    Attributes:
        case: Name of the case.
        whole: Time of writing whole.
        borrowing: Time with borrowing.
        ratios: Quartiles of the latter divided by the former, in pairs.
        size: Bytes of the object written whole.
        borrowed_size: Bytes of the object that borrows.
    """

    case: str
    whole: float
    borrowing: float
    ratios: tuple[float, float, float]
    size: int
    borrowed_size: int


def encoders(case: Case, size: int) -> tuple[Encode, Encode]:
    """Return two functions that encode the same change: whole, and with borrowing."""
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
    """Time both alternately. The order changes with each pair."""
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
    """Measure all cases for one size, and first a control that shows the noise."""
    whole, _ = encoders(cases[0], size)
    found = [compare(_CONTROL, whole, whole, pairs)]
    for case in cases:
        print(f"{case.name}, {size:,} bytes ...", file=sys.stderr, flush=True)
        found.append(compare(case.name, *encoders(case, size), pairs))
    return found


def table(figures: Sequence[Figures]) -> str:
    """Return the table of one size."""
    heads = [
        "change",
        "whole, ms",
        "borrowing, ms",
        "ratio",
        "quartiles",
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
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.encoding")
    parser.add_argument("--pairs", type=int, default=21, help="how often both are timed")
    parser.add_argument("--sizes", nargs="+", choices=_SIZES, default=list(_SIZES))
    report.add_write_option(parser)
    chosen = parser.parse_args(arguments)
    parts = [_EXPLANATION]
    for name in chosen.sizes:
        parts += [f"### A value of {name}\n", table(measure(_SIZES[name], chosen.pairs)) + "\n"]
    names = ("langgraph-checkpoint-s3", "langgraph-checkpoint", "backports.zstd")
    versions = {name: importlib.metadata.version(name) for name in names}
    command = report.command("encoding", arguments)
    text = report.page("CPU of encoding", command, versions, "\n".join(parts))
    report.write(text, chosen.write)
    print(text)
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
    """Return how often to repeat something for a long enough sample."""
    return max(1, round(_SAMPLE / max(1e-6, min(_time(encode, 1) for _ in range(3)))))


def _time(encode: Encode, repeats: int) -> float:
    began = time.process_time()
    for _ in range(repeats):
        encode()
    return (time.process_time() - began) / repeats


if __name__ == "__main__":
    sys.exit(main())
