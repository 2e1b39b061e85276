"""Wall-clock time limits for requests, which slow responses can't extend.

A socket's own timeout starts again with each piece of data: one byte every half second keeps it waiting
forever. The limits here cover sending a request, waiting, and reading the whole response. A limit is a fixed
time plus a second for each `RATE` bytes, so large responses get longer, and slower ones than that are cut.

Blocking connections check the limit before each wait on their socket (`LimitedConnection`), coroutines use a
timer (`LimitTimer`). Neither costs a thread.
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

from langgraph_checkpoint_s3.fork_safety import keep_for_parent, renew_after_fork

T = TypeVar("T")

RATE: Final = 16 * 1024
"""Minimum bytes a second beyond the fixed time. A connection of 2 MBit/s reaches it for 16 parts at once."""


class TooSlowError(OSError):
    """A request or its response exceeded its time limit."""


class TimeLimit:
    """Time limit of one request at a time. Each attempt has the whole time again.

    Args:
        seconds: The fixed time, from the start of an attempt to the end of its response.
        allowance: Additional seconds, for what the request sends or the store has to do.
        cap: Returns the seconds that are left for all attempts together. Caps the fixed time.
        clock: Returns the time in seconds.
    """

    def __init__(
        self,
        seconds: float,
        allowance: float = 0.0,
        *,
        cap: Callable[[], float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds = seconds
        self._allowance = allowance
        self._cap = cap
        self._clock = clock
        self._started: float | None = None
        self._received = 0
        self._received_elsewhere: Callable[[], int] = _zero
        self.failure = ""

    def start(self) -> None:
        """Start an attempt."""
        self._started, self._received, self.failure = self._clock(), 0, ""
        self._received_elsewhere = _zero

    def stop(self) -> None:
        """End an attempt. Nothing is limited until the next one starts."""
        self._started = None

    def cut(self) -> None:
        """Let the time be over, in this attempt and those to come."""
        self._cap = _no_time

    def add_received(self, count: int) -> None:
        """Count bytes of the response."""
        self._received += count

    def count_with(self, received: Callable[[], int]) -> None:
        """Also count the bytes that a function returns, for responses read without a `LimitedSocket`."""
        self._received_elsewhere = received

    @property
    def remaining(self) -> float:
        """Seconds left; infinite between attempts."""
        if self._started is None:
            return math.inf
        return self._fixed(self._clock() - self._started) + self._allowance + self._count / RATE

    @property
    def check_after(self) -> float:
        """Seconds until the limit can expire at the earliest, even if an attempt starts meanwhile."""
        remaining = self._fixed(0.0) if self._started is None else self.remaining
        return max(remaining, 0.001)

    def expire(self) -> TooSlowError:
        """Record that the limit expired, and return the error for it."""
        taken = 0.0 if self._started is None else self._clock() - self._started
        self.failure = f"the request was cut after {taken:.1f} s, with {self._count} bytes of an answer"
        return TooSlowError(self.failure)

    @property
    def _count(self) -> int:
        return self._received + self._received_elsewhere()

    def _fixed(self, taken: float) -> float:
        remaining = self._seconds - taken
        return remaining if self._cap is None else min(remaining, self._cap())


def _zero() -> int:
    return 0


def _no_time() -> float:
    return -math.inf


_limit: ContextVar[TimeLimit | None] = ContextVar("langgraph_checkpoint_s3_limit", default=None)


@contextmanager
def limit_requests(limit: TimeLimit) -> Iterator[None]:
    """Apply a limit to the requests of this thread or task, on connections that support it."""
    token = _limit.set(limit)
    try:
        yield
    finally:
        _limit.reset(token)


class LimitTimer:
    """Async context manager that cancels its body when a limit expires, and raises `TooSlowError`.

    Args:
        limit: The limit.
    """

    def __init__(self, limit: TimeLimit) -> None:
        self._limit = limit
        self._expired = False

    async def __aenter__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task: Any = asyncio.current_task()
        # `cancelling` and `uncancel` exist from Python 3.11 on.
        self._cancelling = getattr(self._task, "cancelling", int)()
        self._timer = self._loop.call_later(self._limit.check_after, self._check)

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        self._timer.cancel()
        if not self._expired:
            return
        # As in asyncio.timeout: if others cancelled the task as well, it stays cancelled.
        others = getattr(self._task, "uncancel", int)() > self._cancelling
        if kind is asyncio.CancelledError and not others:
            raise self._limit.expire() from None

    def _check(self) -> None:
        if self._limit.remaining > 0:
            self._timer = self._loop.call_later(self._limit.check_after, self._check)
        else:
            self._expired = True
            self._task.cancel()


class LimitedSocket:
    """Wrapper of a connection's socket, whose waits end with the limit of the current request.

    Args:
        sock: The socket.
        limit: The limit, if there is one.
    """

    def __init__(self, sock: Any, limit: TimeLimit | None) -> None:
        self._sock = sock
        self._timeout: float | None = sock.gettimeout()
        self.limit = limit

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def fileno(self) -> int:
        """Return the file descriptor."""
        number: int = self._sock.fileno()
        return number

    def settimeout(self, seconds: float | None) -> None:
        """Set the timeout of a single wait."""
        self._timeout = seconds
        self._sock.settimeout(seconds)

    def gettimeout(self) -> float | None:
        """Return the timeout of a single wait."""
        return self._timeout

    def sendall(self, data: Any, *flags: int) -> None:
        """Send all of the data."""
        self.wait(self._sock.sendall, data, *flags)

    def send(self, data: Any, *flags: int) -> int:
        """Send some of the data."""
        sent: int = self.wait(self._sock.send, data, *flags)
        return sent

    def recv(self, size: int, *flags: int) -> bytes:
        """Receive some data."""
        data: bytes = self.wait(self._sock.recv, size, *flags)
        self.count(len(data))
        return data

    def recv_into(self, buffer: Any, *arguments: int) -> int:
        """Receive some data into a buffer."""
        return self.count(self.wait(self._sock.recv_into, buffer, *arguments))

    def makefile(self, mode: str = "r", buffering: int | None = None, **more: Any) -> Any:
        """Return a file, as `http.client` makes one to read responses from."""
        if mode != "rb":
            return self._sock.makefile(mode, buffering, **more)
        reader = _SocketReader(self, self._sock.makefile("rb", buffering=0))
        if buffering == 0:
            return reader
        return io.BufferedReader(reader, buffering if buffering and buffering > 0 else io.DEFAULT_BUFFER_SIZE)

    def wait(self, call: Callable[..., T], *arguments: Any) -> T:
        """Call a blocking function of the socket, no longer than the limit allows."""
        if self.limit is None:
            return call(*arguments)
        remaining = self.limit.remaining
        if remaining <= 0:
            raise TimeoutError(str(self.limit.expire()))
        sooner = self._timeout is None or remaining < self._timeout
        self._sock.settimeout(remaining if sooner and remaining != math.inf else self._timeout)
        try:
            return call(*arguments)
        except TimeoutError:
            if sooner:
                self.limit.expire()
            raise

    def count(self, received: int) -> int:
        """Count received bytes, and return their number."""
        if self.limit is not None:
            self.limit.add_received(received)
        return received


class _SocketReader(io.RawIOBase):
    """Raw file of a socket, read within the socket's limit."""

    def __init__(self, sock: LimitedSocket, raw: Any) -> None:
        super().__init__()
        self._sock = sock
        self._raw = raw

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._sock.fileno()

    def readinto(self, buffer: Any) -> int:
        return self._sock.count(self._sock.wait(self._raw.readinto, buffer) or 0)

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class _IdleConnections(LifoQueue[Any]):
    """Idle connections of a pool. In a forked process there are none: they are the parent's.

    urllib3 closes the queue's connections when the process ends, so they must not stay in it.
    """

    def __init__(self, maxsize: int = 0) -> None:
        super().__init__(maxsize)
        renew_after_fork(self)

    def after_fork(self) -> None:
        keep_for_parent(self.queue)
        super().__init__(self.maxsize)


class LimitedConnection:
    """Mixin that applies limits to connections of `http.client` or urllib3."""

    sock: Any
    _limit: TimeLimit | None = None

    def connect(self) -> None:
        """Open the connection."""
        super().connect()  # type: ignore[misc]  # a connection class follows in the MRO
        if self.sock is not None and not isinstance(self.sock, LimitedSocket):
            self.sock = LimitedSocket(self.sock, self._limit)

    def putrequest(self, *arguments: Any, **more: Any) -> Any:
        """Start a request."""
        self._limit = _limit.get()
        if self._limit is not None:
            self._limit.start()
        if isinstance(self.sock, LimitedSocket):
            self.sock.limit = self._limit
        return super().putrequest(*arguments, **more)  # type: ignore[misc]  # likewise


@functools.cache
def _pool_classes() -> dict[str, Any]:
    """Return subclasses of botocore's connection pools, by scheme, whose connections support limits."""
    from botocore import awsrequest

    class HTTPConnection(LimitedConnection, awsrequest.AWSHTTPConnection):  # type: ignore[misc]  # untyped
        pass

    class HTTPSConnection(LimitedConnection, awsrequest.AWSHTTPSConnection):  # type: ignore[misc]  # untyped
        pass

    class HTTPConnectionPool(awsrequest.AWSHTTPConnectionPool):
        ConnectionCls = HTTPConnection
        QueueCls = _IdleConnections

    class HTTPSConnectionPool(awsrequest.AWSHTTPSConnectionPool):
        ConnectionCls = HTTPSConnection
        QueueCls = _IdleConnections

    return {"http": HTTPConnectionPool, "https": HTTPSConnectionPool}


def limit_connections(client: Any) -> None:
    """Make the connections of a boto3 client support limits. To be called before it connects."""
    session = _http_session(client)
    if hasattr(session, "_pool_classes_by_scheme") and hasattr(session, "_manager"):
        pools = _pool_classes()
        session._pool_classes_by_scheme = pools  # noqa: SLF001  # botocore has no setting for it
        session._manager.pool_classes_by_scheme = pools  # noqa: SLF001  # likewise


def limit_attempts(client: Any) -> None:
    """Make each attempt of an aiobotocore client start the limit that a `LimitTimer` checks."""
    session = _http_session(client)
    send = getattr(session, "send", None)
    if send is None:
        return

    async def start_and_send(request: Any) -> Any:
        limit = _limit.get()
        if limit is not None:
            limit.start()
        return await send(request)

    session.send = start_and_send


def _http_session(client: Any) -> Any:
    # botocore exposes it nowhere else.
    return getattr(getattr(client, "_endpoint", None), "http_session", None)
