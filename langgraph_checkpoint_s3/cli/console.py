"""The console: lines that end between words, and a pager."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_UNLIMITED_WIDTH: Final = 10_000
"""The width of lines that don't go to a terminal, so that none is wrapped."""
_MIN_WRAP: Final = 20
_HANGING: Final = 2
"""Further indentation of the rest of a line that was wrapped."""


def make_console(file: TextIO) -> Console:
    """Return a console on a stream. Lines that don't go to a terminal are never wrapped."""
    from rich.console import Console

    console = Console(file=file, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _UNLIMITED_WIDTH
    return console


def styled(text: str, style: str = "") -> Text:
    """Return text in a style of rich's. The text is shown as it is: sanitize it."""
    from rich.text import Text

    return Text(text, style=style)


def wrapped(text: Text, console: Console) -> Text:
    """Return text with line ends between words. Longer words, such as URLs, stay whole."""
    from rich.cells import cell_len

    lines: list[Text] = []
    for line in text.split("\n", allow_blank=True):
        plain = line.plain
        indent = len(plain) - len(plain.lstrip())
        width = max(_MIN_WRAP, console.width - indent - _HANGING)
        breaks: list[int] = []
        filled = 0
        for word in re.finditer(r"\S+\s*", plain[indent:]):
            if filled and filled + cell_len(word[0].rstrip()) > width:
                breaks.append(indent + word.start())
                filled = 0
            filled += cell_len(word[0])
        for number, part in enumerate(line.divide(breaks)):
            part.rstrip()
            lines.append(styled(" " * (indent + _HANGING)).append_text(part) if number else part)
    return styled("\n").join(lines)


def page(text: str, console: Console) -> None:
    """Print text, in a pager if it is longer than the terminal."""
    from rich.pager import SystemPager
    from rich.text import Text

    rows = (max(1, -(-Text.from_ansi(line).cell_len // console.width)) for line in text.splitlines())
    if sum(rows) < console.height:
        sys.stdout.write(text)
        return
    os.environ.setdefault("LESS", "-R")  # colours
    SystemPager().show(text)
