"""The ways of storing that a test may run in: as it is, encrypted, and with hashed names as well.

@pytest.mark.modes                # the test, or its module, once in each of them, or in those named
with mode("sealed"): …            # what is made by `make_saver` here is encrypted
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, TypeVar

from tests.support.keys import Keys

T = TypeVar("T")

MODES: Final = ("plain", "sealed", "private")

_current: ContextVar[str] = ContextVar("mode", default="plain")


@contextmanager
def mode(name: str) -> Iterator[None]:
    """Store in one of these ways."""
    token = _current.set(name)
    try:
        yield
    finally:
        _current.reset(token)


def settings() -> dict[str, Any]:
    """Return settings for savers: each has its own data keys under one master key, as processes do."""
    if _current.get() == "plain":
        return {}
    return {"encryption": Keys(wrapped=True, names="names"), "private_keys": _current.get() == "private"}


def cached(make: Callable[[], T]) -> Callable[[], T]:
    """`functools.cache`, for each of the modes."""
    made: dict[str, T] = {}

    def get() -> T:
        now = _current.get()
        if now not in made:
            made[now] = make()
        return made[now]

    return get
