"""Ids as text: the one entrance for what names a thread, namespace, checkpoint, run or task.

UUIDs and whole numbers stand for their text, as with LangGraph itself, and a `str` Enum for its value.
Anything else, and one id where a list of them belongs, is refused before anything is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import Any
from uuid import UUID

from langgraph_checkpoint_s3.errors import InvalidKeyError
from langgraph_checkpoint_s3.format.key_encoding import HashedName


def text_of(value: object) -> str | None:
    """Return an id as text; `None` where it can't be one."""
    if isinstance(value, str):
        return value if isinstance(value, HashedName) else str.__str__(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return int.__repr__(value)
    return str(value) if isinstance(value, UUID) else None


def id_text(value: object, what: str) -> str:
    """An id as text. It may be empty.

    Args:
        value: What was given.
        what: What it is called, for the error.

    Raises:
        InvalidKeyError: It isn't text, a UUID or a whole number.
    """
    text = text_of(value)
    if text is None:
        raise InvalidKeyError(
            f"The {what} must be a string (a UUID or a whole number will do), not {type(value).__name__}."
        )
    return text


def thread_name(thread_id: object) -> str:
    """A thread id as text.

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
    """An id as text, or `None` where none was given.

    Raises:
        InvalidKeyError: It can't be one.
    """
    return None if value is None else id_text(value, what)


def required_id(checkpoint_id: object) -> str:
    """A checkpoint id that a call can't do without.

    Raises:
        InvalidKeyError: It is missing, empty or can't be one.
    """
    text = optional_id(checkpoint_id, "checkpoint_id")
    if not text:
        raise InvalidKeyError("This call needs a checkpoint_id that isn't empty.")
    return text


def several(values: Any, what: str) -> Iterable[Any]:
    """Return an argument that takes many ids, and refuse a single one.

    Args:
        values: What was given.
        what: What it is called, for the error.

    Raises:
        InvalidKeyError: It is one, or can't be iterated over.
    """
    one = isinstance(values, (str, bytes, bytearray, memoryview, Mapping)) or _is_named_tuple(values)
    if one or not isinstance(values, Iterable):
        remedy = f": put it in a list, [{values!r:.100}]" if values is not None else ""
        raise InvalidKeyError(f"{what} must be a list, and this is {type(values).__name__}{remedy}.")
    return values


def threads_of(thread_ids: Any) -> Iterator[str]:
    """Thread ids as text, each once. Of a list all are checked at once; an iterator is taken from as needed.

    Raises:
        InvalidKeyError: It isn't several, or one of them can't be an id.
    """
    names = _unique(thread_name(each) for each in several(thread_ids, "thread_ids"))
    return iter(list(names)) if isinstance(thread_ids, Sized) else names


def runs_of(run_ids: Any) -> list[str]:
    """Run ids as text, each once.

    Raises:
        InvalidKeyError: They aren't several, or one of them can't be an id.
    """
    return list(_unique(id_text(each, "run_id") for each in several(run_ids, "run_ids")))


def _unique(ids: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for each in ids:
        if each not in seen:
            seen.add(each)
            yield each


def _is_named_tuple(values: object) -> bool:
    return isinstance(values, tuple) and hasattr(values, "_fields")
