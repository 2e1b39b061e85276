"""Renewal of locks and connections in forked processes.

A fork copies memory, but not threads. A lock that another thread held is never released in the child, and a
connection there is the parent's. So each object that has a lock, thread or socket registers here, and renews
them in the child before anything else runs.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Generic, Protocol, TypeVar

T = TypeVar("T")


class ForkAware(Protocol):
    """An object with something to renew in a forked process."""

    def after_fork(self) -> None:
        """Renew it, without waiting for anything that the parent's threads may hold."""


_owners: Final[weakref.WeakSet[Any]] = weakref.WeakSet()
_kept_for_parent: Final[list[Any]] = []


def renew_after_fork(owner: ForkAware) -> None:
    """Register an object: its `after_fork` is called in forked processes, for as long as it lives."""
    _owners.add(owner)


def keep_for_parent(thing: object) -> None:
    """Keep an object of the parent's alive. Closing it here could block, or close the parent's connection."""
    _kept_for_parent.append(thing)


@contextmanager
def delay_forks() -> Iterator[None]:
    """Delay forks until the body is done. A fork amid an import leaves that module's import lock taken."""
    with _fork_lock.lock:
        yield


class cached_property(Generic[T]):  # noqa: N801  # named as that of functools
    """`functools.cached_property` without its lock, which all instances share before Python 3.12.

    If another thread held that lock during a fork, the child would wait for it forever. Without a lock, two
    threads may compute the same value.

    Args:
        compute: The method that computes the value.
    """

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> T:
        value = self._compute(instance)
        # As this is no data descriptor, the instance's attribute is found first from now on.
        instance.__dict__[self._name] = value
        return value


class _ForkLock:
    """Lock that is held during each fork."""

    MAX_WAIT: Final = 30.0

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._acquired = False

    def before(self) -> None:
        # Not forever: the thread that holds the lock may be waiting for this one.
        self._acquired = self.lock.acquire(timeout=self.MAX_WAIT)

    def after_in_parent(self) -> None:
        if self._acquired:
            self.lock.release()

    def after_in_child(self) -> None:
        self.lock = threading.RLock()
        for owner in list(_owners):
            owner.after_fork()


_fork_lock: Final = _ForkLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_fork_lock.before,
        after_in_parent=_fork_lock.after_in_parent,
        after_in_child=_fork_lock.after_in_child,
    )
