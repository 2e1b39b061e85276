"""Makes text from a bucket safe for a terminal: whoever writes there must not steer it.

Control characters begin the sequences by which a terminal is told to move, to recolour, to rename its window
or to answer. Others turn the order of letters around. Both are shown by their codes instead.
"""

from __future__ import annotations

import unicodedata
from typing import Final

_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Control, format (bidirectional overrides are there), lone surrogates, and separators of lines."""
_JOINER: Final = "\u200d"
"""Holds an emoji of several together, and does no harm."""


def clean(value: object, *, lines: bool = False) -> str:
    """A text without anything that a terminal acts on.

    Args:
        value: The text, or what `str` makes one of.
        lines: Whether the ends of lines and tabs stay.
    """
    text = str(value)
    if text.isascii() and text.isprintable():
        return text
    return "".join(_safe(sign, lines) for sign in text)


def _safe(sign: str, lines: bool) -> str:
    if unicodedata.category(sign) not in _UNSAFE or sign == _JOINER or (lines and sign in "\n\t"):
        return sign
    return sign.encode("unicode_escape", "backslashreplace").decode("ascii")
