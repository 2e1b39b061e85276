"""Sanitizing of text from a bucket, so that its writers can't control a terminal.

Control characters begin escape sequences, which move the cursor, rename the window or make the terminal
answer. Bidirectional overrides reorder the text. Both are replaced by their codes.
"""

from __future__ import annotations

import unicodedata
from typing import Final

_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Control, format (which has bidirectional overrides), lone surrogates, and line separators."""
_JOINER: Final = "\u200d"
"""The zero-width joiner, which emoji sequences need. It is harmless."""


def sanitize(value: object, *, lines: bool = False) -> str:
    """Return a text without characters that control a terminal.

    Args:
        value: The text, or a value for `str`.
        lines: Whether to keep line feeds and tabs.
    """
    text = str(value)
    if text.isascii() and text.isprintable():
        return text
    return "".join(_safe(sign, lines) for sign in text)


def _safe(sign: str, lines: bool) -> str:
    if unicodedata.category(sign) not in _UNSAFE or sign == _JOINER or (lines and sign in "\n\t"):
        return sign
    return sign.encode("unicode_escape", "backslashreplace").decode("ascii")
