"""Output of the demo: sections, sentences, aligned tables, and claims that are checked first."""

import os
import sys
import textwrap
from collections.abc import Iterable, Sequence

_COLOURED = sys.stdout.isatty() and not os.environ.get("NO_COLOR")


class ClaimError(Exception):
    """Something that the demo was about to claim isn't so."""


def section(title: str) -> None:
    print(f"\n{_paint('1', _wrapped(title, 0))}", flush=True)


def say(text: str) -> None:
    print(f"  {_wrapped(text, 2)}", flush=True)


def claim(holds: bool, text: str) -> None:
    """Say that `text` is so, or raise if it isn't."""
    if not holds:
        raise ClaimError(text)
    print(f"  {_paint('32', 'ok')}  {_wrapped(text, 6)}", flush=True)


def table(rows: Iterable[Sequence[object]], right: Sequence[int] = ()) -> None:
    """Print rows in aligned columns; those whose numbers are in `right` are aligned to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        aligned = [
            cell.rjust(width) if at in right else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print(f"      {'  '.join(aligned).rstrip()}", flush=True)


def _wrapped(text: str, indent: int) -> str:
    """Wrap a text to 80 columns, of which the first `indent` are taken."""
    lines = textwrap.wrap(text, 80 - indent, break_long_words=False, break_on_hyphens=False)
    return f"\n{' ' * indent}".join(lines)


def _paint(code: str, text: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if _COLOURED else text
