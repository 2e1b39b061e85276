"""The thread that metadata names: stored so that a copy of the object names its own.

LangGraph's servers put the thread's id into the metadata. A copy of the object would then name the thread
that it was copied from. So a thread's own id is stored as a character that metadata can't have otherwise,
since LangGraph removes it from all text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

M = TypeVar("M", bound=Mapping[str, Any])

_KEY: Final = "thread_id"
_OWN: Final = "\0"


def hide_own_thread(metadata: M, thread_id: str) -> M:
    """Return metadata to store in a thread: without the name of that thread."""
    return _replaced(metadata, thread_id, _OWN)


def show_own_thread(metadata: M, thread_id: str) -> M:
    """Return stored metadata as it reads in a thread."""
    return _replaced(metadata, _OWN, thread_id)


def _replaced(metadata: M, old: str, new: str) -> M:
    found = metadata.get(_KEY)
    if type(found) is not str or found != old:
        return metadata
    replaced: Any = {**metadata, _KEY: new}
    result: M = replaced
    return result
