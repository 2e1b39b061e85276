"""A limit in wall-clock time for a request and its answer, which no trickle stretches.

A socket's own timeout counts from each piece that comes: one byte each half second keeps it waiting for ever.
Here all that a request waits for has one limit together: its headers and body on their way out, the answer's
headers, and the answer's body. It is a fixed time, and a second more for each `RATE` bytes: what is large
takes longer, and what gets on more slowly than that is cut.

Blocking connections look at the limit before each wait on their socket (`Limited`), and coroutines have a
timer (`within`). Neither costs a thread.
"""

from __future__ import annotations

import asyncio
import functools
import io
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from queue import LifoQueue
from typing import Any, Final, TypeVar

from langgraph_checkpoint_s3.fork_safety import leave_to_parent, renew_after_fork

T = TypeVar("T")

RATE: Final = 16 * 1024
"""The least bytes a second beyond the fixed time. Sixteen parts at once have it on a line of 2 MBit/s."""


class TooSlowError(OSError):
    """A request, or its answer, took longer than its limit."""


class Limit:
    """The time that one request at a time may take; each of its attempts has it anew.

    Args:
        seconds: The fixed time, from the beginning of an attempt to the end of its answer.
        allowance: Seconds more, for what it sends or what the store has to do.
        patience: Tells the seconds that all attempts have together from now on, where those are fewer.
        clock: Tells the time in seconds.
    """

    def __init__(
        self,
        seconds: float,
        allowance: float = 0.0,
        *,
        patience: Callable[[], float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds = seconds
        self._allowance = allowance
        self._patience = patience
        self._clock = clock
        self._begun: float | None = None
        self._received = 0
        self._arrived: Callable[[], int] = _nothing
        self.overdue = ""

    def begin(self) -> None:
        """Begin an attempt."""
        self._begun, self._received, self.overdue = self._clock(), 0, ""
        self._arrived = _nothing

    def pause(self) -> None:
        """End an attempt: until the next one, nothing is waited for."""
        self._begun = None

    def received(self, count: int) -> None:
        """Count bytes of the answer."""
        self._received += count

    def follow(self, arrived: Callable[[], int]) -> None:
        """Count the bytes of an answer that something else tells."""
        self._arrived = arrived

    @property
    def left(self) -> float:
        """Seconds that are left; infinite between attempts."""
        if self._begun is None:
            return math.inf
        return self._fixed(self._clock() - self._begun) + self._allowance + self._count / RATE

    @property
    def next_look(self) -> float:
        """Seconds for which the limit can't end, whatever begins meanwhile."""
        left = self._fixed(0.0) if self._begun is None else self.left
        return max(left, 0.001)

    def cut(self) -> TooSlowError:
        """Note that it was cut, and say so."""
        taken = 0.0 if self._begun is None else self._clock() - self._begun
        self.overdue = f"the request was cut after {taken:.1f} s, with {self._count} bytes of an answer"
        return TooSlowError(self.overdue)

    @property
    def _count(self) -> int:
        return self._received + self._arrived()

    def _fixed(self, taken: float) -> float:
        left = self._seconds - taken
        return left if self._patience is None else min(left, self._patience())


def _nothing() -> int:
    return 0


_limit: ContextVar[Limit | None] = ContextVar("langgraph_checkpoint_s3_limit", default=None)


@contextmanager
def limited(limit: Limit) -> Iterator[None]:
    """Have requests that this thread or task sends meanwhile keep a limit, on connections that know of it."""
    token = _limit.set(limit)
    try:
        yield
    finally:
        _limit.reset(token)


def between_attempts() -> None:
    """End an attempt of the request that this thread or task sends."""
    limit = _limit.get()
    if limit is not None:
        limit.pause()


class within:  # noqa: N801  # used as asyncio's `timeout` is
    """Cut what is awaited meanwhile when a limit ends, by a `TooSlowError`.

    Args:
        limit: The limit.
    """

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._cut = False

    async def __aenter__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task: Any = asyncio.current_task()
        self._asked = getattr(self._task, "cancelling", int)()  # from Python 3.11 on
        self._timer = self._loop.call_later(self._limit.next_look, self._look)

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        self._timer.cancel()
        if not self._cut:
            return
        others = getattr(self._task, "uncancel", int)() > self._asked
        if kind is asyncio.CancelledError and not others:
            raise self._limit.cut() from None

    def _look(self) -> None:
        if self._limit.left > 0:
            self._timer = self._loop.call_later(self._limit.next_look, self._look)
        else:
            self._cut = True
            self._task.cancel()


class TimedSocket:
    """A connection's socket, each of whose waits ends with the limit of the request on it.

    Args:
        sock: The socket.
        limit: The limit, if there is one.
    """

    def __init__(self, sock: Any, limit: Limit | None) -> None:
        self._sock = sock
        self._timeout: float | None = sock.gettimeout()
        self.limit = limit

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def fileno(self) -> int:
        """Give the file's number."""
        number: int = self._sock.fileno()
        return number

    def settimeout(self, seconds: float | None) -> None:
        """Set the longest wait for a single piece."""
        self._timeout = seconds
        self._sock.settimeout(seconds)

    def gettimeout(self) -> float | None:
        """Give the longest wait for a single piece."""
        return self._timeout

    def sendall(self, data: Any, *flags: int) -> None:
        """Send everything."""
        self.waited(self._sock.sendall, data, *flags)

    def send(self, data: Any, *flags: int) -> int:
        """Send something."""
        sent: int = self.waited(self._sock.send, data, *flags)
        return sent

    def recv(self, size: int, *flags: int) -> bytes:
        """Receive something."""
        data: bytes = self.waited(self._sock.recv, size, *flags)
        self._count(len(data))
        return data

    def recv_into(self, buffer: Any, *arguments: int) -> int:
        """Receive something into a buffer."""
        return self._count(self.waited(self._sock.recv_into, buffer, *arguments))

    def makefile(self, mode: str = "r", buffering: int | None = None, **more: Any) -> Any:
        """Make a file to read answers from, as `http.client` does."""
        if mode != "rb":
            return self._sock.makefile(mode, buffering, **more)
        reader = _Reader(self, self._sock.makefile("rb", buffering=0))
        if buffering == 0:
            return reader
        return io.BufferedReader(reader, buffering if buffering and buffering > 0 else io.DEFAULT_BUFFER_SIZE)

    def waited(self, wait: Callable[..., T], *arguments: Any) -> T:
        """Call what waits for the socket, no longer than the limit allows."""
        if self.limit is None:
            return wait(*arguments)
        left = self.limit.left
        if left <= 0:
            raise TimeoutError(str(self.limit.cut()))
        sooner = self._timeout is None or left < self._timeout
        self._sock.settimeout(left if sooner and left != math.inf else self._timeout)
        try:
            return wait(*arguments)
        except TimeoutError:
            if sooner:
                self.limit.cut()
            raise

    def _count(self, count: int) -> int:
        if self.limit is not None:
            self.limit.received(count)
        return count


class _Idle(LifoQueue[Any]):
    """Idle connections of a pool. urllib3 looks through them at the process's end, a forked one's too."""

    def __init__(self, maxsize: int = 0) -> None:
        super().__init__(maxsize)
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Have none: they are the parent's."""
        leave_to_parent(self.queue)
        super().__init__(self.maxsize)


class _Reader(io.RawIOBase):
    """A socket's file that is read with the socket's limit."""

    def __init__(self, sock: TimedSocket, raw: Any) -> None:
        super().__init__()
        self._sock = sock
        self._raw = raw

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._sock.fileno()

    def readinto(self, buffer: Any) -> int:
        return self._sock._count(self._sock.waited(self._raw.readinto, buffer) or 0)  # noqa: SLF001  # its file

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class Limited:
    """Mixin that makes connections of `http.client` or urllib3 keep the limit of each request."""

    sock: Any
    _limit: Limit | None = None

    def connect(self) -> None:
        """Open the connection."""
        super().connect()  # type: ignore[misc]  # it goes before a class of connections
        if self.sock is not None and not isinstance(self.sock, TimedSocket):
            self.sock = TimedSocket(self.sock, self._limit)

    def putrequest(self, *arguments: Any, **more: Any) -> Any:
        """Begin a request."""
        self._limit = _limit.get()
        if self._limit is not None:
            self._limit.begin()
        if isinstance(self.sock, TimedSocket):
            self.sock.limit = self._limit
        return super().putrequest(*arguments, **more)  # type: ignore[misc]  # likewise


@functools.cache
def _pools() -> dict[str, Any]:
    """Botocore's pools of connections, with such connections in them."""
    from botocore import awsrequest

    class Plain(Limited, awsrequest.AWSHTTPConnection):  # type: ignore[misc]  # botocore has no types
        """A connection."""

    class Secure(Limited, awsrequest.AWSHTTPSConnection):  # type: ignore[misc]  # likewise
        """A connection by TLS."""

    class PlainPool(awsrequest.AWSHTTPConnectionPool):
        """A pool of connections."""

        ConnectionCls = Plain
        QueueCls = _Idle

    class SecurePool(awsrequest.AWSHTTPSConnectionPool):
        """A pool of connections by TLS."""

        ConnectionCls = Secure
        QueueCls = _Idle

    return {"http": PlainPool, "https": SecurePool}


def limit_connections(client: Any) -> None:
    """Have a boto3 client's connections keep limits. For one that hasn't connected yet."""
    session = _session(client)
    if hasattr(session, "_pool_classes_by_scheme") and hasattr(session, "_manager"):
        pools = _pools()
        session._pool_classes_by_scheme = pools  # noqa: SLF001  # botocore has no setting for it
        session._manager.pool_classes_by_scheme = pools  # noqa: SLF001  # likewise


def limit_attempts(client: Any) -> None:
    """Have an aiobotocore client's attempts begin the limit that `within` looks at."""
    session = _session(client)
    send = getattr(session, "send", None)
    if send is None:
        return

    async def begin_and_send(request: Any) -> Any:
        limit = _limit.get()
        if limit is not None:
            limit.begin()
        return await send(request)

    session.send = begin_and_send


def _session(client: Any) -> Any:
    """A client's HTTP session, which botocore shows nowhere else."""
    return getattr(getattr(client, "_endpoint", None), "http_session", None)
