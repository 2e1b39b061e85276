"""Renewal, in a forked process, of locks that a thread of its parent may have held, and of connections.

A fork copies memory with whatever other threads were doing to it, but not the threads. A lock that one of
them held is never released in the child, and a connection there is the parent's. So each object with a lock,
or with threads or sockets of its own, names itself here, and is told in the child before anything else runs.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol


class Forked(Protocol):
    """An object that has something to make anew."""

    def after_fork(self) -> None:
        """Make it anew. Nothing of what the parent's threads may hold is waited for."""


_known: Final[weakref.WeakSet[Any]] = weakref.WeakSet()
_parents: Final[list[Any]] = []


def renew_after_fork(owner: Forked) -> None:
    """Have an object told in forked processes, for as long as it lives."""
    _known.add(owner)


def leave_to_parent(thing: object) -> None:
    """Keep what is the parent's, so that nothing closes it here: that may wait, or tell the peer."""
    _parents.append(thing)


@contextmanager
def held_up() -> Iterator[None]:
    """Have forks wait meanwhile: where one interrupts an import, its child can never import that module."""
    with _gate.lock:
        yield


class _Gate:
    """Lock that a fork takes, so that it waits for what must not be interrupted."""

    LONGEST: Final = 30.0

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._passing = False

    def before(self) -> None:
        """Wait, but not for ever: who is waited for may be waiting for this thread."""
        self._passing = self.lock.acquire(timeout=self.LONGEST)

    def after_in_parent(self) -> None:
        """Let others in."""
        if self._passing:
            self.lock.release()

    def after_in_child(self) -> None:
        """Make everything anew."""
        self.lock = threading.RLock()
        for owner in list(_known):
            owner.after_fork()


_gate: Final = _Gate()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_gate.before, after_in_parent=_gate.after_in_parent, after_in_child=_gate.after_in_child
    )
