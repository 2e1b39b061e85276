"""Tables for the terminal, and the same ones for `docs/benchmarks.md`: a section for each benchmark."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

from benchmarks.environments import ROOT

DOCUMENT: Final = ROOT / "docs" / "benchmarks.md"
_INTRODUCTION: Final = """\
# Benchmarks

What this saver costs, beside its peers. `make bench` measures in a few minutes and writes nothing;
`make bench-full` measures everything and writes this file. The figures of a section come from one run, one
after the other, on one machine. The peers come from PyPI, each in a virtual environment of its own.
"""


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table, aligned for people too. Numbers are on the right: all columns but the first."""
    cells = [list(heads), *([str(cell) for cell in row] for row in rows)]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    rule = [
        "-" * width if at == 0 else "-" * (width - 1) + ":"  # a colon aligns to the right
        for at, width in enumerate(widths)
    ]
    lines = [cells[0], rule, *cells[1:]]
    return "\n".join(f"| {' | '.join(_aligned(line, widths))} |" for line in lines)


def circumstances(command: str, versions: Mapping[str, str]) -> str:
    """When, with what and on what kind of machine something was measured."""
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    today = datetime.now(timezone.utc).date().isoformat()
    return (
        f"{today}, Python {platform.python_version()} on {sys.platform}, {os.cpu_count()} cores, "
        f"{platform.machine()}; {named}.\n\n```bash\n{command}\n```"
    )


def write(title: str, text: str, document: Path = DOCUMENT) -> None:
    """Write a benchmark's section, in the place of the one that is there. The others stay.

    Args:
        title: The section's.
        text: What it says.
        document: The file.
    """
    old = document.read_text(encoding="utf-8") if document.exists() else ""
    found = re.findall(r"^## (.*)\n\n((?:(?!^## ).*\n)*)", old, flags=re.MULTILINE)
    sections = {name: body.strip() for name, body in found}
    sections[title] = text.strip()
    parts = [_INTRODUCTION, *(f"## {name}\n\n{body}\n" for name, body in sections.items())]
    document.write_text("\n".join(parts), encoding="utf-8")


def _aligned(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    pairs = list(zip(line, widths, strict=True))
    return [cell.rjust(width) if at else cell.ljust(width) for at, (cell, width) in enumerate(pairs)]
