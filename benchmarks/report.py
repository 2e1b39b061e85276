"""Markdown tables, printed and optionally written to a file."""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return an aligned Markdown table. All columns but the first are right-aligned."""
    cells = [list(heads), *([str(cell) for cell in row] for row in rows)]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    rule = [
        "-" * width if at == 0 else "-" * (width - 1) + ":"  # a colon aligns to the right
        for at, width in enumerate(widths)
    ]
    lines = [cells[0], rule, *cells[1:]]
    return "\n".join(f"| {' | '.join(_aligned(line, widths))} |" for line in lines)


def page(title: str, command: str, versions: Mapping[str, str], text: str) -> str:
    """Return a benchmark's tables under a heading, with date, versions, machine and command.

    Args:
        title: The heading.
        command: The command line that measured.
        versions: Versions of packages, by name.
        text: The tables.
    """
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    today = datetime.now(timezone.utc).date().isoformat()
    return (
        f"# {title}\n\n{today}, Python {platform.python_version()} on {sys.platform}, "
        f"{os.cpu_count()} cores, {platform.machine()}; {named}.\n\n"
        f"```bash\n{command}\n```\n\n{text.strip()}\n"
    )


def write(text: str, path: Path | None) -> None:
    """Write tables to a file, if a path is given."""
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def add_write_option(parser: argparse.ArgumentParser) -> None:
    """Add `--write FILE`, which all benchmarks have."""
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the tables to a file, too")


def command(module: str, arguments: Sequence[str] | None) -> str:
    """Return the command line of a benchmark, given the arguments of its `main`."""
    given = sys.argv[1:] if arguments is None else arguments
    return f"python -m benchmarks.{module} {shlex.join(given)}".rstrip()


def _aligned(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    pairs = list(zip(line, widths, strict=True))
    return [cell.rjust(width) if at else cell.ljust(width) for at, (cell, width) in enumerate(pairs)]
