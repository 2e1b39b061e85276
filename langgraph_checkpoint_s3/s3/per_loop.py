"""One client for each event loop that uses a saver.

A client belongs to the loop that it was first used on, while a saver outlives loops: `asyncio.run` may be
called many times, and several loops may run in several threads. So each client is held by an async generator
of its loop. The loop closes it when it shuts down (`asyncio.run`, uvicorn and pytest do that), and it is
closed when the saver is garbage-collected. Only before a loop that is closed without shutting down its
generators, call `aclose()`.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, Final, Generic, Protocol, TypeVar

from langgraph_checkpoint_s3.fork_safety import keep_for_parent, renew_after_fork


class AsyncCloseable(Protocol):
    """A client that a loop holds."""

    def close(self) -> Coroutine[Any, Any, None]:
        """Close its connections."""


C = TypeVar("C", bound=AsyncCloseable)


class _Holder(Generic[C]):
    """One loop's client, and what closes it."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.lifetime: AsyncGenerator[C, None] | None = None
        self.closer: weakref.finalize[Any, Any] | None = None
        self.made: C | None = None


class PerLoop(Generic[C]):
    """The clients of all event loops.

    Args:
        make: Makes a client. It is called in a thread, since it may read files.
    """

    def __init__(self, make: Callable[[], C]) -> None:
        self._make = make
        self._holders: dict[asyncio.AbstractEventLoop, _Holder[C]] = {}
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Leave clients and loops to the parent: closing them here would close its connections."""
        self._lock = threading.Lock()
        for holder in list(self._holders.values()):
            if holder.closer is not None:
                holder.closer.detach()
        if self._holders:
            keep_for_parent(self._holders)
        self._holders = {}

    async def get(self) -> C:
        """Return the running loop's client."""
        loop = asyncio.get_running_loop()
        with self._lock:
            holder = self._holders.get(loop)
            if holder is None:
                for closed in [other for other in self._holders if other.is_closed()]:
                    _forget(self._holders, closed)
                holder = self._holders[loop] = _Holder()
        if holder.made is None:
            async with holder.lock:
                if holder.made is None:
                    await self._open(loop, holder)
        assert holder.made is not None  # noqa: S101  # for mypy
        return holder.made

    def is_current(self, client: C) -> bool:
        """Return whether this is the running loop's client."""
        with self._lock:
            holder = self._holders.get(asyncio.get_running_loop())
            return holder is not None and holder.made is client

    async def aclose(self) -> None:
        """Close the running loop's client; other loops close theirs when they end."""
        with self._lock:
            holder = self._holders.get(asyncio.get_running_loop())
        if holder is not None and holder.lifetime is not None:
            await holder.lifetime.aclose()

    async def _open(self, loop: asyncio.AbstractEventLoop, holder: _Holder[C]) -> None:
        # Importing and making a client reads dozens of files, which would block the loop.
        client = await asyncio.to_thread(self._make)
        holder.lifetime = _keep(client, loop, self._holders, self._lock)
        await anext(holder.lifetime)
        holder.closer = weakref.finalize(self, _close_soon, loop, holder.lifetime)
        holder.closer.atexit = False
        holder.made = client


async def _keep(
    client: C,
    loop: asyncio.AbstractEventLoop,
    holders: dict[asyncio.AbstractEventLoop, _Holder[C]],
    lock: threading.Lock,
) -> AsyncGenerator[C, None]:
    """Hold a client until it is closed. No reference to the saver: its garbage collection ends this."""
    try:
        yield client
    finally:
        with lock:
            _forget(holders, loop)
        await client.close()


def _forget(holders: dict[asyncio.AbstractEventLoop, _Holder[C]], loop: asyncio.AbstractEventLoop) -> None:
    """Drop a loop's holder: its client and its finalizer would keep the loop in memory."""
    holder = holders.pop(loop, None)
    if holder is not None and holder.closer is not None:
        holder.closer.detach()


_closing: Final[set[asyncio.Task[None]]] = set()
"""Tasks that close clients. A loop itself has only weak references to its tasks."""


def _close_soon(loop: asyncio.AbstractEventLoop, lifetime: AsyncGenerator[Any, None]) -> None:
    """Close a client on its loop, from any thread."""

    def start() -> None:
        for task in [each for each in _closing if each.get_loop().is_closed()]:
            _closing.discard(task)  # its loop was closed in the midst of it
        task = loop.create_task(lifetime.aclose())
        _closing.add(task)
        task.add_done_callback(_closing.discard)

    with contextlib.suppress(RuntimeError):  # the loop is closed, and has closed its generators
        loop.call_soon_threadsafe(start)
