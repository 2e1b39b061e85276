"""The store's clock, as the `Date` of its answers tells it.

`LastModified` is the store's time. What is compared with it, or with what other machines wrote, has to be the
store's time too, however wrong this machine's clock is.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, Final

_SECOND: Final = 1_000_000_000
_SAME: Final = 2 * _SECOND
"""What a `Date` can't tell: it has whole seconds, and servers of one store differ a little."""


class StoreClock:
    """The time by the store's clock, in ns since 1970; this machine's until an answer has come.

    Attributes:
        local: This machine's clock.
        ahead: By how much the store's is ahead of it, in ns. Less than 2 s count as nothing.
    """

    def __init__(self) -> None:
        self.local: Callable[[], int] = time.time_ns
        self.ahead = 0
        self._last = ""
        self._range = (-sys.maxsize, sys.maxsize)

    def __call__(self) -> int:
        """The time."""
        return self.local() + self.ahead

    def heard(self, response: object, seconds: float) -> None:
        """Take an answer's `Date` into account, if it says one.

        It was written while the request was under way. So the difference is known to within that time and
        a second, better with each answer. The least that it can be is taken: a slow answer is no wrong clock.

        Args:
            response: What botocore makes of an answer.
            seconds: How long ago its request was sent.
        """
        date = _date(response)
        if not date or date == self._last:
            return
        self._last = date
        moment = date_of(response)
        if moment is None:
            return
        said = int(moment.timestamp()) * _SECOND
        now = self.local()
        least, most = said - now, said + _SECOND - now + int(seconds * _SECOND)
        known_least, known_most = self._range
        if least <= known_most and known_least <= most:  # or one of the clocks was set
            least, most = max(least, known_least), min(most, known_most)
        self._range = least, most
        difference = max(least, 0) or min(most, 0)
        self.ahead = difference if abs(difference) >= _SAME else 0


def since_boot() -> float:
    """Return seconds from some moment on, including the time for which the machine was suspended."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def date_of(response: object) -> datetime | None:
    """The store's time when it answered, if it says one."""
    date = _date(response)
    try:
        moment = parsedate_to_datetime(date) if date else None
    except (TypeError, ValueError, OverflowError):
        return None
    return moment.replace(tzinfo=moment.tzinfo or timezone.utc) if moment else None


def _date(response: object) -> str | None:
    metadata: Any = response.get("ResponseMetadata") if isinstance(response, Mapping) else None
    headers: Any = metadata.get("HTTPHeaders") if isinstance(metadata, Mapping) else None
    date = headers.get("date") if isinstance(headers, Mapping) else None
    return date if isinstance(date, str) else None
