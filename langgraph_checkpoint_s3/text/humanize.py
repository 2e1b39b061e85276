"""Human-readable sizes, counts and ages."""

from __future__ import annotations

from datetime import datetime, timezone


def format_size(size: int) -> str:
    """Format a number of bytes, such as `1.4 MiB`."""
    amount, unit = float(size), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024 or unit == "TiB":
            break
        amount /= 1024
    return f"{size} B" if unit == "B" else f"{amount:,.1f} {unit}"


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
