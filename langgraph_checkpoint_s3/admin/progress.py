"""How long work tells how far it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[int, "int | None"], None]
"""Called with how many items are done, and how many there are in all (`None` while that isn't known)."""


def no_progress(done: int, total: int | None) -> None:
    """Tell nobody."""
