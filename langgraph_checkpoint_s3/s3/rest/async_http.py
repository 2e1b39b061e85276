"""HTTP/1.1 connections of one event loop to one endpoint.

A connection serves one request at a time, and is kept for the next one. For each request one timer
checks the limits.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections import deque
from collections.abc import Iterator
from typing import Any, Final

from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.format.pieces import Data, Pieces, buffers_of
from langgraph_checkpoint_s3.request_timeout import TimeLimit
from langgraph_checkpoint_s3.s3.rest.connection_rules import (
    IDLE,
    SENT_TOGETHER,
    ReadTimeoutError,
    is_readable,
    not_connected,
    time_to_connect,
)
from langgraph_checkpoint_s3.s3.rest.http_parser import RECEIVE, ConnectionClosedError, ResponseParser
from langgraph_checkpoint_s3.s3.rest.route import Route, TunnelParser

_PIECE: Final = 256 * 1024
"""Bytes of a body that are given to the transport at once. It copies what it can't send."""


class AsyncConnection(asyncio.BufferedProtocol):
    """A connection, as asyncio's protocol.

    Args:
        loop: Its event loop.
        read_timeout: Seconds that a wait may take.

    Attributes:
        idle_since: The loop's time when it became idle.
        is_open: Whether it can be used.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, read_timeout: float) -> None:
        self._loop = loop
        self._read_timeout = read_timeout
        self._transport: Any = None
        self._fileno = -1
        # A view: asyncio's TLS reads into slices of it, and those of a bytearray would be copies.
        self._scratch = memoryview(bytearray(RECEIVE))
        self._parser: ResponseParser | None = None
        self._limit: TimeLimit | None = None
        self._answered: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._paused = False
        self._active = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._closed: asyncio.Future[None] = loop.create_future()
        self.idle_since = 0.0
        self.is_open = False

    async def exchange(self, head: bytes, body: Data, parser: ResponseParser, limit: TimeLimit) -> None:
        """Send a request, and receive its response. It raises what `Connection.exchange` does."""
        if not self.is_open:  # it was closed before anything was sent
            raise ConnectionClosedError(started=False)
        self._parser, self._limit = parser, limit
        answered = self._answered = self._loop.create_future()
        self._active = self._loop.time()
        self._timer = self._loop.call_later(min(limit.check_after, self._read_timeout), self._check)
        try:
            if len(body) <= SENT_TOGETHER and not isinstance(body, Pieces):
                self._transport.write(head + body)
            else:
                self._transport.write(head)
                for piece in _split(body):
                    if self._paused and not answered.done():
                        await self._until_writable(answered)
                    if answered.done():  # the server refuses the request before it has all of it
                        parser.keep_alive = False
                        break
                    self._active = self._loop.time()
                    self._transport.write(piece)
            await answered
        except BaseException:
            self.abort()
            raise
        finally:
            del answered  # with its error, whose traceback refers to this frame
            self._timer.cancel()
            self._timer = self._parser = self._limit = self._answered = None

    async def tunnel(self, request: bytes) -> None:
        """Have a proxy connect to the endpoint.

        Raises:
            ProxyRefusedError: It doesn't.
        """
        tunnel = TunnelParser()
        reader = _TunnelReader(self._loop, tunnel)
        self._transport.set_protocol(reader)
        self._transport.write(request)
        try:
            await reader.opened
        finally:
            self._transport.set_protocol(self)

    def send_probes(self) -> None:
        """Send TCP keep-alive probes."""
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    async def start_tls(self, context: Any, server_name: str) -> None:
        """Encrypt the connection."""
        self._transport = await self._loop.start_tls(
            self._transport, self, context, server_hostname=server_name
        )

    def is_alive(self) -> bool:
        """Return whether an idle connection can be used."""
        if not self.is_open or self._loop.time() - self.idle_since > IDLE:
            return False
        try:  # the loop may not have looked since it became idle
            return not is_readable(self._fileno)
        except (OSError, ValueError):
            return False

    def abort(self) -> None:
        """Close the connection at once, without waiting for the server's leave, as TLS would."""
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    async def closed(self) -> None:
        """Wait until it is closed."""
        await asyncio.shield(self._closed)

    def connection_made(self, transport: Any) -> None:
        """Note the transport."""
        self._transport = transport
        self._fileno = transport.get_extra_info("socket").fileno()
        self.is_open = True

    def connection_lost(self, exc: Exception | None) -> None:
        """End the response."""
        self.is_open = False
        if not self._closed.done():
            self._closed.set_result(None)
        if self._parser is not None and not self._parser.complete:
            self._ended(exc)

    def eof_received(self) -> bool:
        """End the response, and close the connection."""
        self.is_open = False
        if self._parser is not None and not self._parser.complete:
            self._ended(None)
        return False

    def get_buffer(self, sizehint: int) -> Any:
        """Return where the next bytes go."""
        buffer = None if self._parser is None else self._parser.buffer()
        return self._scratch if buffer is None else buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Parse bytes that have come."""
        parser, limit = self._parser, self._limit
        if parser is None or limit is None:  # nothing was asked for
            self.abort()
            return
        self._active = self._loop.time()
        limit.add_received(nbytes)
        try:
            if parser.buffer() is None:
                parser.feed(bytes(self._scratch[:nbytes]))
            else:
                parser.filled(nbytes)
        except Exception as error:  # noqa: BLE001  # raised where the response is awaited
            self._fail(error)
            return
        if parser.complete:
            self._answer()

    def pause_writing(self) -> None:
        """Note that the transport has enough to send."""
        self._paused = True

    def resume_writing(self) -> None:
        """Note that the transport can send more."""
        self._paused = False
        self._active = self._loop.time()
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    async def _until_writable(self, answered: asyncio.Future[None]) -> None:
        self._writable = self._loop.create_future()
        await asyncio.wait([self._writable, answered], return_when=asyncio.FIRST_COMPLETED)
        self._writable = None

    def _ended(self, error: Exception | None) -> None:
        parser = self._parser
        assert parser is not None  # noqa: S101  # for mypy
        if error is not None:
            self._fail(error)
            return
        try:
            parser.end()
        except ConnectionClosedError as closed:
            self._fail(closed)
        else:
            self._answer()

    def _answer(self) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(None)

    def _fail(self, error: Exception) -> None:
        if self._answered is not None and not self._answered.done():
            # Its frames' callers are the event loop's, which hold the memory that the response came into.
            self._answered.set_exception(error.with_traceback(None))
        self.abort()

    def _check(self) -> None:
        """Fail the request once a limit is exceeded; otherwise look again when that is possible."""
        limit = self._limit
        if limit is None:
            return
        silent = self._read_timeout - (self._loop.time() - self._active)
        if limit.remaining <= 0:
            self._fail(limit.expire())
        elif silent <= 0:
            self._fail(ReadTimeoutError(self._read_timeout))
        else:
            after = max(min(limit.check_after, silent), 0.001)
            self._timer = self._loop.call_later(after, self._check)


def _split(body: Data) -> Iterator[memoryview]:
    for buffer in buffers_of(body):
        view = memoryview(buffer)
        for place in range(0, len(view), _PIECE):
            yield view[place : place + _PIECE]


class _TunnelReader(asyncio.Protocol):
    """Reads a proxy's response to `CONNECT`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, parser: TunnelParser) -> None:
        self.opened: asyncio.Future[None] = loop.create_future()
        self._parser = parser

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed(data)
        except ConnectionError as error:
            if not self.opened.done():
                self.opened.set_exception(error)
            return
        if self._parser.open and not self.opened.done():
            self.opened.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(exc or ConnectionClosedError(started=False))


class AsyncConnectionPool:
    """Connections along one route, of one event loop.

    Args:
        route: The route.
        connect_timeout: Seconds to wait for a connection.
        read_timeout: Seconds to wait for each piece of a response.
        most: The most connections at once. Further requests wait for one.

    Attributes:
        in_use: Connections that serve a request.

    Raises:
        InvalidConfigError: The connection to the proxy is encrypted, and so is the one within it, which
            asyncio can't do before Python 3.11.
    """

    def __init__(self, route: Route, connect_timeout: float, read_timeout: float, most: int) -> None:
        if route.proxy_tls is not None and route.tls is not None and sys.version_info < (3, 11):
            raise InvalidConfigError(
                "The proxy's URL begins with https://, and before Python 3.11 asyncio can't connect to an "
                "https endpoint through such a proxy. Use Python 3.11, a proxy with http://, or the "
                "blocking methods."
            )
        self._route = route
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._most = most
        self._idle: list[AsyncConnection] = []
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._retired = False
        self.in_use = 0

    async def acquire(self, limit: TimeLimit) -> AsyncConnection:
        """Return a connection for one request. It raises what `ConnectionPool.acquire` does."""
        while self.in_use >= self._most:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                while not turn.done():
                    if limit.remaining <= 0:
                        raise limit.expire()
                    await asyncio.wait([turn], timeout=limit.check_after)
            except BaseException:
                if not turn.cancel():  # it was woken already
                    self._wake()
                raise
        self.in_use += 1
        try:
            while self._idle:
                connection = self._idle.pop()
                if connection.is_alive():
                    return connection
                connection.abort()
            return await self._connect(limit)
        except BaseException:
            self._left()
            raise

    def release(self, connection: AsyncConnection, *, keep: bool) -> None:
        """Take back a connection.

        Args:
            connection: The connection.
            keep: Whether its response has come in full, so that it can serve another request.
        """
        if keep and connection.is_open and not self._retired:
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle.append(connection)
        else:
            connection.abort()
        self._left()

    async def close(self) -> None:
        """Close the idle connections, and keep none from now on."""
        self._retired = True
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.abort()
        for connection in idle:
            await connection.closed()

    def _left(self) -> None:
        self.in_use -= 1
        self._wake()

    def _wake(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    async def _connect(self, limit: TimeLimit) -> AsyncConnection:
        timeout = time_to_connect(limit, self._connect_timeout)
        loop = asyncio.get_running_loop()
        connection = AsyncConnection(loop, self._read_timeout)
        # Before Python 3.12, asyncio.wait_for forgets a cancellation that comes as the connection is made.
        opening = loop.create_task(self._open(loop, connection))
        try:
            if not (await asyncio.wait([opening], timeout=timeout))[0]:
                raise not_connected(limit, self._connect_timeout)
            opening.result()
        except BaseException:
            opening.cancel()
            connection.abort()
            await asyncio.gather(opening, return_exceptions=True)
            raise
        return connection

    async def _open(self, loop: asyncio.AbstractEventLoop, connection: AsyncConnection) -> None:
        route = self._route
        first = route.proxy_tls if route.proxy is not None else route.tls
        name = route.proxy.host if route.proxy is not None else route.server_name
        await loop.create_connection(
            lambda: connection,
            route.host,
            route.port,
            ssl=first,
            server_hostname=name if first is not None else None,
        )
        if route.keepalive:
            connection.send_probes()
        if route.tunnel:
            await connection.tunnel(route.tunnel)
            if route.tls is not None:
                await connection.start_tls(route.tls, route.server_name)
