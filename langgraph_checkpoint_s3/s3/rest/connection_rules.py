"""Rules that blocking connections and those of event loops follow alike."""

from __future__ import annotations

import select
from typing import Final

from langgraph_checkpoint_s3.request_timeout import TimeLimit

IDLE: Final = 50.0
"""Seconds after which an idle connection isn't used again: a NAT may have forgotten it without a word."""
SENT_TOGETHER: Final = 16 * 1024
"""Bytes of a body up to which it is sent together with the head, for which both are copied."""

_LONGEST: Final = 1e6
"""Seconds: no wait is longer. The system counts milliseconds in 32 bits."""


class ConnectTimeoutError(TimeoutError):
    """No connection was made in time.

    Args:
        seconds: The time.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no connection within {seconds:g} s (connect_timeout)")


class ReadTimeoutError(TimeoutError):
    """Nothing came, or could be sent, for some time.

    Args:
        seconds: The time.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"nothing came for {seconds:g} s (read_timeout)")


def time_to_connect(limit: TimeLimit, connect_timeout: float) -> float:
    """Return the seconds that making a connection may take.

    Raises:
        TooSlowError: The limit is exceeded.
    """
    remaining = limit.remaining
    if remaining <= 0:
        raise limit.expire()
    return min(remaining, connect_timeout)


def not_connected(limit: TimeLimit, connect_timeout: float) -> OSError:
    """Return the error for a connection that wasn't made in time."""
    return limit.expire() if limit.remaining <= 0 else ConnectTimeoutError(connect_timeout)


def is_readable(fileno: int) -> bool:
    """Return whether a socket has something to read: bytes, its end, or an error."""
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(fileno, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([fileno], [], [], 0)[0])


def is_answered(fileno: int, seconds: float) -> bool:
    """Wait until a socket can be read or written; return whether it can be read: the response is coming.

    Raises:
        TimeoutError: It can't be either in time.
    """
    seconds = min(seconds, _LONGEST)
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(fileno, select.POLLIN | select.POLLOUT)
        events = [event for _, event in poll.poll(seconds * 1000)]
        readable = any(event & ~select.POLLOUT for event in events)
    else:
        reading, events, _ = select.select([fileno], [fileno], [], seconds)
        readable = bool(reading)
    if not (readable or events):
        raise TimeoutError
    return readable
