"""How heavy values are, roughly: what is heavy is encoded in a thread, off the event loop."""

from __future__ import annotations

from collections.abc import Iterable, Sized
from typing import Any

_FLAT = (str, bytes, bytearray)
LIGHT = 64 * 1024
"""Bytes below which what tasks wrote may share an object: one more of them hardly delays it."""
_ITEM_BYTES = 512
"""What an item of a list or map comes to, roughly: a short message."""


def weigh(values: Iterable[Any]) -> int:
    """A guess at how many bytes values come to, made without looking into them."""
    return sum(
        len(value) * (1 if isinstance(value, _FLAT) else _ITEM_BYTES)
        for value in values
        if isinstance(value, Sized)
    )
