"""S3's timestamps, in XML and in HTTP headers."""

from __future__ import annotations

from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any


def parse_timestamp(text: Any) -> datetime:
    """Parse a timestamp of S3's: ISO 8601 in documents, an HTTP date in headers.

    A LIST page has a thousand of them. With dateutil, which botocore uses, a page takes two to three times
    the CPU time, and an HTTP date about ten times.
    """
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00"))
    except (ValueError, AttributeError):
        pass
    moment = parse_http_date(text)
    if moment is not None:
        return moment
    from botocore.utils import parse_timestamp as general

    parsed: datetime = general(text)
    return parsed


def parse_http_date(text: object) -> datetime | None:
    """Parse the date of an HTTP header; return `None` if it is none."""
    if not isinstance(text, str) or not text:
        return None
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return moment.replace(tzinfo=moment.tzinfo or timezone.utc)
