"""How heavy values are, roughly: what is heavy is encoded in a thread, off the event loop."""

from __future__ import annotations

from collections.abc import Iterable, Sized
from typing import Any

_FLAT = (str, bytes, bytearray)
COALESCE_BELOW = 64 * 1024
"""Bytes below which what tasks wrote may share an object: one more of them hardly delays it."""
_ITEM_BYTES = 512
"""What an item of a list or map comes to, roughly: a short message."""


def estimate_size(values: Iterable[Any]) -> int:
    """A guess at how many bytes values come to, made without looking into them."""
    return sum(_weight(value) for value in values)


def _weight(value: Any) -> int:
    """A guess at one value. What has no length that can be asked for is light: nothing fails for a guess."""
    try:
        if not isinstance(value, Sized):
            return 0
        return len(value) * (1 if isinstance(value, _FLAT) else _ITEM_BYTES)
    except Exception:  # noqa: BLE001  # as an array without dimensions does; and anything may raise anything
        return 0
