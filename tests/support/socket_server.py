"""A server on a socket, with a thread for each connection: for tests of what goes over the wire."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

from typing_extensions import Self

from tests.support.hanging import HANG


class SocketServer:
    """A server within its `with` block.

    Args:
        tls: The server's TLS settings.
        host: The address to listen on.
        receive: The size of its receive buffer in bytes; by default the system's.

    Attributes:
        port: Its port.
        url: Its address.
        ending: Set when the block ends, before the connections are shut down.
        accepted: The number of connections so far.
        closed: The number of those that have ended.
    """

    def __init__(
        self, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", *, receive: int | None = None
    ) -> None:
        self._tls = tls
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._server = socket.create_server((host, 0), family=family)
        if receive is not None:
            self._server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self.port = self._server.getsockname()[1]
        self.url = f"http{'s' if tls else ''}://{f'[{host}]' if ':' in host else host}:{self.port}"
        self.ending = threading.Event()
        self.accepted = 0
        self.closed = 0

    def serve(self, connection: socket.socket, number: int) -> None:
        """Serve a connection, in a thread of its own, which ignores that it breaks and closes it."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ending.set()
        self._server.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(HANG)  # before another server gets the file descriptor's number
        self._server.close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(HANG)

    def _start(self, function: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self.accepted += 1
            self._start(self._serve, connection, self.accepted)

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            with contextlib.suppress(OSError), connection:
                self._open.add(connection)
                wrapped = connection
                if self._tls is not None:
                    wrapped = self._tls.wrap_socket(connection, server_side=True)
                    self._open.add(wrapped)
                with wrapped:
                    self.serve(wrapped, number)
        finally:
            self.closed += 1
