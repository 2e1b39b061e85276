"""Sizes and counts as people read them."""

from __future__ import annotations


def human(size: int) -> str:
    """A number of bytes, such as `1.4 MiB`."""
    amount, unit = float(size), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024 or unit == "TiB":
            break
        amount /= 1024
    return f"{size} B" if unit == "B" else f"{amount:,.1f} {unit}"


def counted(number: int, what: str) -> str:
    """A number of things, such as `1,000 threads` or `1 object of writes`."""
    noun, space, rest = what.partition(" ")
    return f"{number:,} {noun}{'' if number == 1 else 's'}{space}{rest}"
