"""Human-readable sizes, counts and ages."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Final

_UUID: Final = re.compile(r"(?:[0-9a-f]+-){4}[0-9a-f]{12}")
_ID_ENDS: Final = (8, 12, 17)


def format_size(size: int) -> str:
    """Format a number of bytes, such as `1.4 MB`. A kB is 1,000 bytes."""
    if size < 1000:
        return f"{size} B"
    amount = float(size)
    for unit in ("kB", "MB", "GB"):
        amount /= 1000
        if amount < 999.95:  # what would be shown as 1,000.0 is 1.0 of the next unit
            return f"{amount:.1f} {unit}"
    return f"{amount / 1000:,.1f} TB"


def pluralize(number: int, what: str) -> str:
    """Format a count, such as `1,000 threads` or `1 object of writes`."""
    noun, space, rest = what.partition(" ")
    return f"{number:,} {noun}{'' if number == 1 else 's'}{space}{rest}"


def format_age(when: datetime | str | None, now: datetime | None = None) -> str:
    """Format how long ago a time is: `5m`, `3h`, `12d`; `-` if it isn't valid."""
    try:
        moment = datetime.fromisoformat(when.replace("Z", "+00:00")) if isinstance(when, str) else when
        if moment is None:
            return "-"
        seconds = ((now or datetime.now(timezone.utc)) - moment).total_seconds()
    except (ValueError, TypeError):  # the writer of the checkpoint may put anything there
        return "-"
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f}{unit}"
    return f"{max(seconds, 0):.0f}s"


def short_ids(ids: Iterable[str]) -> dict[str, str]:
    """Shorten UUIDs to their last 8 characters, which are random in LangGraph's ids.

    Args:
        ids: Ids. Ones that aren't UUIDs stay as they are.

    Returns:
        The short form of each. All are longer if two would have the same.
    """
    known = list(dict.fromkeys(ids))
    for length in _ID_ENDS:
        shown = {id_: id_[-length:] if _UUID.fullmatch(id_) else id_ for id_ in known}
        if len(set(shown.values())) == len(shown):
            return shown
    return {id_: id_ for id_ in known}
