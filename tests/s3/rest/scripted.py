"""A small server whose connections follow a script, and a saver's requests by either driver."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.plans.plan import ask, ask_all
from langgraph_checkpoint_s3.s3.requests import Request
from tests.support import inside
from tests.support.hanging import HANG
from tests.support.socket_server import SocketServer


@dataclass
class Seen:
    """A request as it came, with its headers by their names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""


class Peer:
    """One connection, seen from the server."""

    def __init__(self, server: Scripted, sock: Any, number: int) -> None:
        self.server = server
        self.sock = sock
        self.number = number
        self._data = b""

    def head(self) -> Seen | None:
        """Read a request's head; `None` at the end of the connection."""
        while b"\r\n\r\n" not in self._data:
            piece = self.sock.recv(65536)
            if not piece:
                return None
            self._data += piece
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        line, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = line.split(" ")
        pairs = (each.partition(":") for each in lines)
        seen = Seen(method, target, {name.lower(): value.strip() for name, _, value in pairs})
        self.server.seen.append(seen)
        return seen

    def request(self) -> Seen | None:
        """Read a whole request; `None` at the end of the connection."""
        seen = self.head()
        if seen is not None:
            size = int(seen.headers.get("content-length", 0))
            while len(self._data) < size:
                piece = self.sock.recv(65536)
                if not piece:
                    return None
                self._data += piece
            seen.body, self._data = self._data[:size], self._data[size:]
        return seen

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)


class Scripted(SocketServer):
    """A server that closes a connection when its script ends.

    Args:
        script: Serves one connection.
        tls: The server's TLS settings.
        host: The address to listen on.
        receive: The size of its receive buffer in bytes; by default the system's.

    Attributes:
        seen: The requests so far.
    """

    def __init__(
        self,
        script: Callable[[Peer], None],
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        *,
        receive: int | None = None,
    ) -> None:
        super().__init__(tls, host, receive=receive)
        self._script = script
        self.seen: list[Seen] = []

    def serve(self, connection: socket.socket, number: int) -> None:
        self._script(Peer(self, connection, number))


def ok(body: bytes = b"x", *headers: str, status: str = "200 OK") -> bytes:
    """A response."""
    lines = [f"HTTP/1.1 {status}", 'ETag: "e"', f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def refusal(code: str, status: str, *headers: str, more: str = "") -> bytes:
    """S3's error."""
    document = f"<Error><Code>{code}</Code><Message>no</Message>{more}</Error>".encode()
    return ok(document, "Content-Type: application/xml", *headers, status=status)


def answering(respond: Callable[[Seen], bytes]) -> Callable[[Peer], None]:
    """Answer each request, and keep the connection."""

    def script(peer: Peer) -> None:
        while (seen := peer.request()) is not None:
            peer.send(respond(seen))

    return script


class Driver:
    """Requests of a saver, by one of the drivers; `loop` is the coroutines'."""

    def __init__(self, kind: str) -> None:
        self.asynchronous = kind == "async"
        self.loop = asyncio.new_event_loop() if self.asynchronous else None
        self._savers: list[S3Saver] = []

    def saver(self, url: str, **settings: Any) -> S3Saver:
        defaults: dict[str, Any] = {
            "endpoint_url": url,
            "region": "us-east-1",
            "max_attempts": 1,
            "connect_timeout": HANG,
            "read_timeout": HANG,
            "operation_timeout": None,
            "circuit_breaker": 0,
        }
        saver = S3Saver("bucket", **{**defaults, **settings})
        self._savers.append(saver)
        return saver

    def send(self, saver: S3Saver, *requests: Request[Any]) -> Any:
        """Send requests, several of them at once; return their answer or answers."""
        plan: Any = ask(requests[0]) if len(requests) == 1 else ask_all(list(requests))
        store = inside.store(saver)
        if self.loop is None:
            return store.run(plan, "test")
        return self.loop.run_until_complete(store.arun(plan, "test"))

    def close(self, saver: S3Saver) -> None:
        if self.loop is None:
            saver.close()
        else:
            self.loop.run_until_complete(asyncio.wait_for(saver.aclose(), HANG))

    def end(self) -> None:
        for saver in self._savers:
            self.close(saver)
        if self.loop is not None:
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.run_until_complete(asyncio.sleep(0))
            self.loop.close()
