"""Ids of threads, namespaces, checkpoints, runs and tasks, checked and converted to text.

UUIDs and whole numbers are converted to text, as in LangGraph itself, and a `str` Enum to its value. Anything
else, and one id where a list of ids belongs, is rejected before any request.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sized
from datetime import datetime, timedelta, timezone
from typing import Any, Final
from uuid import UUID

from langgraph_checkpoint_s3.errors import InvalidKeyError
from langgraph_checkpoint_s3.format.key_encoding import HashedName

_TIMED_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[67][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_GREGORIAN: Final = datetime(1582, 10, 15, tzinfo=timezone.utc)
"""The time from which a UUID of version 6 counts."""


def text_of(value: object) -> str | None:
    """Return an id as text; `None` if it can't be one."""
    if isinstance(value, str):
        return value if type(value) is str or isinstance(value, HashedName) else str.__str__(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return int.__repr__(value)
    return str(value) if isinstance(value, UUID) else None


def time_of_id(checkpoint_id: str) -> datetime | None:
    """Return the time in a checkpoint's id; `None` if it isn't a UUID of version 6, as LangGraph's are, or 7.

    It is that of the writer's clock.
    """
    if not _TIMED_UUID.fullmatch(checkpoint_id):
        return None
    number = UUID(checkpoint_id).int
    ticks = (number >> 80) << 12 | (number >> 64) & 0xFFF  # of 100 ns, in version 6
    try:
        if (number >> 76) & 0xF == 7:
            return _EPOCH + timedelta(milliseconds=number >> 80)
        return _GREGORIAN + timedelta(microseconds=ticks // 10)
    except OverflowError:  # beyond the year 9999
        return None


def id_text(value: object, what: str) -> str:
    """Return an id as text. It may be empty.

    Args:
        value: The id.
        what: Its name, for the error message.

    Raises:
        InvalidKeyError: It isn't text, a UUID or a whole number.
    """
    text = value if type(value) is str else text_of(value)
    if text is None:
        raise InvalidKeyError(
            f"The {what} must be a string (a UUID or a whole number will do), not {type(value).__name__}."
        )
    return text


def thread_name(thread_id: object) -> str:
    """Return a thread id as text.

    Raises:
        InvalidKeyError: It is missing, empty or something else.
    """
    if thread_id is None or thread_id == "":
        raise InvalidKeyError(
            "A checkpointer needs a thread_id that isn't empty: pass "
            "config={'configurable': {'thread_id': …}}."
        )
    return id_text(thread_id, "thread_id")


def optional_id(value: object, what: str) -> str | None:
    """Return an id as text; `None` stays.

    Raises:
        InvalidKeyError: It can't be one.
    """
    return None if value is None else id_text(value, what)


def required_id(checkpoint_id: object) -> str:
    """Return a checkpoint id as text, for a call that needs one.

    Raises:
        InvalidKeyError: It is missing, empty or can't be one.
    """
    if checkpoint_id is None or checkpoint_id == "":
        raise InvalidKeyError("This call needs a checkpoint_id that isn't empty.")
    return id_text(checkpoint_id, "checkpoint_id")


def require_iterable(values: Any, what: str) -> Iterable[Any]:
    """Return an argument that takes several values, unless it is a single one.

    Args:
        values: The argument.
        what: Its name, for the error message.

    Raises:
        InvalidKeyError: It is a single value, or not iterable.
    """
    one = isinstance(values, (str, bytes, bytearray, memoryview, Mapping)) or _is_named_tuple(values)
    if one or not isinstance(values, Iterable):
        remedy = f": put it in a list, [{values!r:.100}]" if values is not None else ""
        raise InvalidKeyError(f"{what} must be a list, and this is {type(values).__name__}{remedy}.")
    return values


def unique_thread_ids(thread_ids: Any) -> Iterator[str]:
    """Return thread ids as text, without duplicates. A list is checked at once, an iterator as it is used.

    Raises:
        InvalidKeyError: The argument is a single id, or an item of it can't be an id.
    """
    names = _unique(thread_name(each) for each in require_iterable(thread_ids, "thread_ids"))
    return iter(list(names)) if isinstance(thread_ids, Sized) else names


def unique_run_ids(run_ids: Any) -> list[str]:
    """Return run ids as text, without duplicates.

    Raises:
        InvalidKeyError: The argument is a single id, or an item of it can't be an id.
    """
    return list(_unique(id_text(each, "run_id") for each in require_iterable(run_ids, "run_ids")))


def _unique(ids: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for each in ids:
        if each not in seen:
            seen.add(each)
            yield each


def _is_named_tuple(values: object) -> bool:
    return isinstance(values, tuple) and hasattr(values, "_fields")
