"""Work on large values in two threads: compressing and decompressing them lets other threads run."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def do_all(work: Callable[[T], None], items: Sequence[T]) -> None:
    """Call a function with each item: in this thread, and in one more if there is a core for it.

    The other thread ends with the call, so there is none to renew in a forked process.

    Raises:
        BaseException: The first error of a call. Those that haven't begun then aren't made.
    """
    todo = deque(items)
    failures: list[BaseException] = []

    def run() -> None:
        while True:
            try:
                item = todo.popleft()
            except IndexError:
                return
            try:
                work(item)
            except BaseException as error:  # noqa: BLE001  # raised below
                failures.append(error)
                todo.clear()

    helper: threading.Thread | None = None
    try:
        if len(items) > 1 and cores() > 1:
            thread = threading.Thread(target=run, name="langgraph-checkpoint-s3-codec", daemon=True)
            with suppress(RuntimeError):  # there can be no more threads, or the interpreter is ending
                thread.start()
                helper = thread
        run()
    finally:
        todo.clear()  # Ctrl-C
        if helper is not None:
            helper.join()
    if failures:
        raise failures[0]
