"""A server that answers one byte at a time, and reads as slowly: no single wait for it is ever long."""

from __future__ import annotations

import socket
import ssl
from typing import Literal

from tests.support.socket_server import SocketServer

Part = Literal["nothing", "headers", "body", "reading"]
"""The part that is sent slowly: nothing, the whole answer, only its body, or the request's body."""

_HEADERS = 'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n\r\n'


class Trickle(SocketServer):
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
        super().__init__(tls, receive=4096)
        self._body = body
        self._part = part
        self._left = times
        self._pause = pause
        self.requests = 0

    def serve(self, connection: socket.socket, number: int) -> None:
        connection.settimeout(60)
        while not self.ending.is_set() and self._answer(connection):
            pass

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
                self.ending.wait(self._pause)
                if self.ending.is_set():
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
            if self.ending.wait(self._pause):
                return False
        return True
