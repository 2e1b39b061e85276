"""Time that a test waits for what must come: long enough for the slowest machine, and not for ever."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

HANG: Final = 300.0
"""Seconds after which something hangs. A guard, not a measure: nothing that works takes so long."""


def until(true: Callable[[], object], what: str) -> None:
    """Look again and again until something is true, or hangs."""
    end = time.monotonic() + HANG
    while not true():
        if time.monotonic() > end:
            raise AssertionError(f"Not after {HANG:g} s: {what}")
        time.sleep(0.005)
