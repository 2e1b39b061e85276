"""Blocking HTTP/1.1 connections to one endpoint, for any number of threads.

A connection serves one request at a time, and is kept for the next one. Connections aren't limited in number:
the callers' threads are.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
import weakref
from typing import Final

from langgraph_checkpoint_s3.fork_safety import keep_for_parent, renew_after_fork
from langgraph_checkpoint_s3.format.pieces import Data, Pieces, View, buffers_of
from langgraph_checkpoint_s3.request_timeout import TimeLimit
from langgraph_checkpoint_s3.s3.rest.connection_rules import (
    IDLE,
    SENT_TOGETHER,
    ReadTimeoutError,
    is_answered,
    is_readable,
    not_connected,
    time_to_connect,
)
from langgraph_checkpoint_s3.s3.rest.http_parser import RECEIVE, ResponseParser
from langgraph_checkpoint_s3.s3.rest.route import Route, TunnelParser

_PIECE: Final = 1024 * 1024
"""Bytes of a body that are sent before the time limit is looked at again."""


class Connection:
    """A connection, and the time when it became idle.

    Args:
        sock: The socket.
        read_timeout: Seconds that a wait may take.
    """

    __slots__ = ("_read_timeout", "_sock", "_timeout", "idle_since")

    def __init__(self, sock: socket.socket, read_timeout: float) -> None:
        self._sock = sock
        self._read_timeout = read_timeout
        self._timeout: float | None = None
        self.idle_since = 0.0

    def exchange(self, head: bytes, body: Data, parser: ResponseParser, limit: TimeLimit) -> None:
        """Send a request, and receive its response.

        Args:
            head: The request's line and headers.
            body: Its body.
            parser: The parser of the response.
            limit: The time limit of the whole.

        Raises:
            ConnectionClosedError: The connection was closed before all had come.
            OSError: It broke, or a wait took too long.
            TooSlowError: The limit is exceeded.
            MalformedResponse: The response isn't HTTP.
            BodyTooLong: Its body is too long.
        """
        sent = True
        try:
            if len(body) <= SENT_TOGETHER and not isinstance(body, Pieces):
                self._send(head + body, limit)
            else:
                self._send(head, limit)
                # The server may refuse the request before it has all of it.
                sent = all(self._send(buffer, limit, until_answered=True) for buffer in buffers_of(body))
        except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
            sent = False  # the server may have refused the request before it had all of it
        self._receive(parser, limit)
        parser.keep_alive = parser.keep_alive and sent

    def is_alive(self) -> bool:
        """Return whether an idle connection can be used: nothing came, not even its end."""
        if time.monotonic() - self.idle_since > IDLE:
            return False
        try:
            # TLS decrypts whole records, of which some bytes may not have been read.
            return not (is_readable(self._sock.fileno()) or getattr(self._sock, "pending", int)())
        except (OSError, ValueError):
            return False

    def close(self) -> None:
        """Close the connection."""
        self._sock.close()

    def abort(self) -> None:
        """End the waits of the thread that uses the connection, from another one."""
        sock = getattr(self._sock, "socket", self._sock)  # that of TLS within a proxy's TLS
        with contextlib.suppress(OSError):  # it is closed
            socket.socket.shutdown(sock, socket.SHUT_RDWR)  # TLS's own method isn't for other threads

    def _send(self, data: View, limit: TimeLimit, *, until_answered: bool = False) -> bool:
        """Send bytes; return `False` if the response came before all of them were sent.

        Over TLS only its end shows: what can be read may be TLS's own.
        """
        view = memoryview(data)
        sent = 0
        look = until_answered and type(self._sock) is socket.socket  # which that of TLS isn't
        while sent < len(view):
            wait = self._wait(limit)
            try:
                if look and is_answered(self._sock.fileno(), wait):
                    return False
                sent += self._sock.send(view[sent : sent + _PIECE])
            except TimeoutError as error:
                raise self._timed_out(limit) from error
        return True

    def _receive(self, parser: ResponseParser, limit: TimeLimit) -> None:
        sock = self._sock
        while not parser.complete:
            self._wait(limit)
            buffer = parser.buffer()
            try:
                if buffer is None:
                    data = sock.recv(RECEIVE)
                    count = len(data)
                    if count:
                        parser.feed(data)
                else:
                    count = sock.recv_into(buffer)
                    if count:
                        parser.filled(count)
            except TimeoutError as error:
                raise self._timed_out(limit) from error
            if not count:
                parser.end()
            limit.add_received(count)

    def _wait(self, limit: TimeLimit) -> float:
        """Set the timeout of the next wait, and return it in seconds."""
        remaining = limit.remaining
        if remaining <= 0:
            raise limit.expire()
        seconds = min(remaining, self._read_timeout)
        if seconds != self._timeout:  # it is a system call, during which other threads run
            self._sock.settimeout(seconds)
            self._timeout = seconds
        return seconds

    def _timed_out(self, limit: TimeLimit) -> OSError:
        """Return the error for a wait that took too long."""
        return limit.expire() if limit.remaining <= 0 else ReadTimeoutError(self._read_timeout)


class ConnectionPool:
    """Connections along one route. Safe to use from many threads.

    Args:
        route: The route.
        connect_timeout: Seconds to wait for a connection.
        read_timeout: Seconds to wait for each piece of a response.
        keep: The most idle connections to keep.
    """

    def __init__(self, route: Route, connect_timeout: float, read_timeout: float, keep: int) -> None:
        self._route = route
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._keep = keep
        self._begin()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Leave the connections to the parent."""
        self._closer.detach()
        keep_for_parent(self._idle)
        self._begin()

    def acquire(self, limit: TimeLimit) -> Connection:
        """Return a connection for one request: an idle one, or a new one.

        Raises:
            OSError: There can be none.
            TooSlowError: The limit is exceeded.
        """
        while True:
            try:
                connection = self._idle.pop()  # atomic: no lock is needed
            except IndexError:
                return self._connect(limit)
            if connection.is_alive():
                return connection
            connection.close()

    def release(self, connection: Connection) -> None:
        """Keep a connection whose response has come in full."""
        if len(self._idle) >= self._keep:
            connection.close()
            return
        connection.idle_since = time.monotonic()
        self._idle.append(connection)
        if not self._keep:  # retired meanwhile
            self.close()

    def retire(self) -> None:
        """Keep no connection from now on. Those that serve a request are closed behind it."""
        self._keep = 0
        self.close()

    def close(self) -> None:
        """Close the idle connections."""
        _close_all(self._idle)

    def _begin(self) -> None:
        self._idle: list[Connection] = []
        # A saver that is dropped, or a process that ends, leaves no socket open.
        self._closer = weakref.finalize(self, _close_all, self._idle)

    def _connect(self, limit: TimeLimit) -> Connection:
        route = self._route
        timeout = time_to_connect(limit, self._connect_timeout)
        sock: socket.socket | None = None
        try:
            sock = socket.create_connection((route.host, route.port), timeout)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if route.keepalive:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if route.proxy_tls is not None and route.proxy is not None:
                sock = route.proxy_tls.wrap_socket(sock, server_hostname=route.proxy.host)
            if route.tunnel:
                _open_tunnel(sock, route.tunnel, time.monotonic() + timeout)
            if route.tls is not None:
                sock = _wrap(route, sock)
        except TimeoutError as error:
            if sock is not None:
                sock.close()
            raise not_connected(limit, self._connect_timeout) from error
        except BaseException:
            if sock is not None:
                sock.close()
            raise
        return Connection(sock, self._read_timeout)


def _close_all(connections: list[Connection]) -> None:
    while connections:
        try:
            connections.pop().close()
        except IndexError:  # another thread was faster
            return


def _open_tunnel(sock: socket.socket, tunnel: bytes, end: float) -> None:
    sock.sendall(tunnel)
    parser = TunnelParser()
    while not parser.open:
        remaining = end - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        sock.settimeout(remaining)
        parser.feed(sock.recv(RECEIVE))
    sock.settimeout(max(end - time.monotonic(), 0.001))


def _wrap(route: Route, sock: socket.socket) -> socket.socket:
    assert route.tls is not None  # noqa: S101  # for mypy
    if route.proxy_tls is None:
        return route.tls.wrap_socket(sock, server_hostname=route.server_name)
    from urllib3.util.ssltransport import SSLTransport  # TLS within the proxy's TLS

    wrapped: socket.socket = SSLTransport(sock, route.tls, server_hostname=route.server_name)  # type: ignore[assignment]  # as a socket
    return wrapped
