"""Arguments of a lease, checked, and the clock that it goes by."""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from langgraph_checkpoint_s3.errors import InvalidConfigError

_LEAST_TTL: Final = 1.0
_MOST_TTL: Final = 7 * 86400.0
_MOST_HOLDER: Final = 256


@dataclass(frozen=True, slots=True)
class LeaseSettings:
    """Arguments of `S3Saver.lease`, checked.

    Attributes:
        ttl: Seconds for which it holds without being renewed.
        wait: Seconds for which to try to get it.
        holder: Who asks, for people.
        auto_renew: Whether it is renewed in the background.
    """

    ttl: float
    wait: float
    holder: str
    auto_renew: bool

    @classmethod
    def of(
        cls, ttl: float | timedelta, wait: float | timedelta, holder: Any, auto_renew: bool
    ) -> LeaseSettings:
        """Check the terms.

        Raises:
            InvalidConfigError: One is of the wrong type or out of range.
        """
        seconds = _seconds("ttl", ttl)
        if not _LEAST_TTL <= seconds <= _MOST_TTL:
            raise InvalidConfigError(f"ttl={ttl!r} must be from 1 second to 7 days.")
        waiting = _seconds("wait", wait)
        if waiting < 0:
            raise InvalidConfigError(f"wait={wait!r} must not be negative.")
        if holder is None:
            holder = f"{socket.gethostname()} pid {os.getpid()}"[:_MOST_HOLDER]
        if not isinstance(holder, str) or not 0 < len(holder) <= _MOST_HOLDER:
            raise InvalidConfigError(f"holder={holder!r} must be a name of 1 to {_MOST_HOLDER} characters.")
        return cls(seconds, waiting, holder, auto_renew)


@dataclass(frozen=True, slots=True)
class Clock:
    """Clock that can't be set, in seconds, and a pause. Tests have their own."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def _seconds(name: str, value: float | timedelta) -> float:
    seconds: Any = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or math.isnan(seconds):
        raise InvalidConfigError(f"{name}={value!r} must be seconds, or a timedelta.")
    return float(seconds)
