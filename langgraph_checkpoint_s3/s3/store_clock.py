"""The store's clock, known from the `Date` header of its responses.

`LastModified` is the store's time. A time that is compared with it, or with times that other machines wrote,
has to be the store's as well, however wrong this machine's clock is.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from langgraph_checkpoint_s3.s3.timestamps import parse_http_date

_SECOND: Final = 1_000_000_000
_SAME: Final = 2 * _SECOND
"""Differences below this are ignored: a `Date` has whole seconds, and a store's servers differ a little."""


class StoreClock:
    """The time by the store's clock, in ns since 1970; this machine's until the first response.

    Attributes:
        local: This machine's clock.
        ahead: The store's time minus this machine's, in ns. Less than 2 s count as 0.
    """

    def __init__(self) -> None:
        self.local: Callable[[], int] = time.time_ns
        self.ahead = 0
        self._last = ""
        self._range = (-sys.maxsize, sys.maxsize)

    def __call__(self) -> int:
        """Return the time."""
        return self.local() + self.ahead

    def heard(self, response: object, seconds: float) -> None:
        """Take a response's `Date` into account, if it has one.

        The store wrote it while the request was under way. So each response bounds the difference of the
        clocks, by the request's time and a second; the bounds of all responses are intersected. The smallest
        difference within them counts, so that a slow response isn't taken for a wrong clock.

        Args:
            response: The response, as botocore parsed it.
            seconds: The time since its request was sent.
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
        if least <= known_most and known_least <= most:  # otherwise one of the clocks was set: begin anew
            least, most = max(least, known_least), min(most, known_most)
        self._range = least, most
        difference = max(least, 0) or min(most, 0)
        self.ahead = difference if abs(difference) >= _SAME else 0


def since_boot() -> float:
    """Return the monotonic time in seconds, including time that the machine was suspended."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def date_of(response: object) -> datetime | None:
    """Return the store's time of a response; `None` if it has none."""
    return parse_http_date(_date(response))


def _date(response: Any) -> str | None:
    try:
        date = response["ResponseMetadata"]["HTTPHeaders"]["date"]
    except (KeyError, TypeError):  # of a client that a user passed in, it may be anything
        return None
    return date if isinstance(date, str) else None
