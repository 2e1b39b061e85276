"""A server that answers one byte at a time, and reads as slowly: no single wait for it is ever long."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from types import TracebackType
from typing import Literal

from typing_extensions import Self

Part = Literal["nothing", "headers", "body", "reading"]
"""The part that is sent slowly: nothing, the whole answer, only its body, or the request's body."""

_HEADERS = 'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n\r\n'


class Trickle:
    """One answer for all requests.

    Args:
        body: The answer's body.
        part: What trickles.
        times: How many requests are answered so; what comes later is answered at once.
        pause: Seconds between two bytes.
        tls: For a server that speaks TLS.
    """

    def __init__(
        self,
        body: bytes,
        part: Part,
        *,
        times: int = 1_000_000,
        pause: float = 0.05,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._body = body
        self._part = part
        self._left = times
        self._pause = pause
        self._tls = tls
        self._end = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self.requests = 0
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._server.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _start(self, function: object, *arguments: object) -> None:
        thread = threading.Thread(target=function, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.settimeout(60)
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            self._open.add(connection)
            try:
                while not self._end.is_set() and self._answer(connection):
                    pass
            finally:
                self._open.discard(connection)
                connection.close()

    def _answer(self, connection: socket.socket) -> bool:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            piece = connection.recv(1)
            if not piece:
                return False
            head += piece
        slow = self._left > 0
        self._left -= 1
        self.requests += 1
        size = next(
            (int(line[15:]) for line in head.lower().splitlines() if line[:15] == b"content-length:"), 0
        )
        part = self._part if slow else "nothing"
        if b"expect: 100-continue" in head.lower():
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        while size:
            if part == "reading":
                self._end.wait(self._pause)
                if self._end.is_set():
                    return False
            size -= len(connection.recv(1 if part == "reading" else size))
        body = b"" if head.startswith((b"PUT", b"HEAD")) else self._body
        headers = _HEADERS.format(len(body)).encode()
        if part == "body":
            connection.sendall(headers)
            return self._send(connection, body)
        if part == "headers":
            return self._send(connection, headers + body)
        connection.sendall(headers + body)
        return True

    def _send(self, connection: socket.socket, data: bytes) -> bool:
        for byte in data:
            connection.sendall(bytes([byte]))
            if self._end.wait(self._pause):
                return False
        return True
