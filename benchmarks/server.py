"""A light S3 server in memory, on the loopback address, that counts requests.

moto needs 5 ms of CPU time for a request, this server a fraction of a millisecond. It supports what savers
need, checks no signatures, creates buckets on first use, and can delay each response.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import socket
import threading
from collections import defaultdict
from types import TracebackType
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote

from benchmarks.bucket import Answer, Bucket, Request, error

if TYPE_CHECKING:
    from typing_extensions import Self

_READ: Final = 64 * 1024
_JOINED_BELOW: Final = 64 * 1024
_BACKLOG: Final = 512
_END: Final = b"\r\n\r\n"
_SECONDS: Final = 10


class Server:
    """A server in a thread of its own, which runs within its `with` block.

    Args:
        latency: Minimum time of each response, in seconds.

    Attributes:
        buckets: The buckets by name.
        endpoint_url: URL of the server.
    """

    def __init__(self, latency: float = 0.0) -> None:
        self.buckets: defaultdict[str, Bucket] = defaultdict(Bucket)
        self.endpoint_url = ""
        self.latency = latency
        # epoll waits whole milliseconds; select keeps the latency that was set.
        self._loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="s3", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(_SECONDS):
            raise RuntimeError("the benchmarks' S3 server doesn't start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_SECONDS)

    def _run(self) -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG) as listening:
            listening.setblocking(False)
            host, port = listening.getsockname()
            self.endpoint_url = f"http://{host}:{port}"
            accepting = self._loop.create_task(self._accept(listening))
            accepting.add_done_callback(lambda _: self._loop.stop())
            self._ready.set()
            try:
                self._loop.run_forever()
            finally:
                while tasks := asyncio.all_tasks(self._loop):
                    for task in tasks:
                        task.cancel()
                    self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
                self._loop.close()

    async def _accept(self, listening: socket.socket) -> None:
        serving: set[asyncio.Task[None]] = set()
        while True:
            connection, _ = await self._loop.sock_accept(listening)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = self._loop.create_task(self._serve(connection))
            serving.add(task)
            task.add_done_callback(serving.discard)

    async def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(EOFError, ConnectionError):
            received = bytearray()
            while True:
                await self._one(connection, received)

    async def _one(self, connection: socket.socket, received: bytearray) -> None:
        head = (await self._head(connection, received)).decode("latin-1")
        due = self._loop.time() + self.latency
        line, *lines = head.split("\r\n")
        method, target, _ = line.split(" ", 2)
        pairs = (each.partition(":") for each in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        if headers.get("expect") == "100-continue":
            await self._loop.sock_sendall(connection, b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await self._body(connection, received, int(headers.get("content-length", 0)))
        path, _, text = target.partition("?")
        bucket, _, key = unquote(path).lstrip("/").partition("/")
        if "x-amz-copy-source" in headers:
            headers["x-amz-copy-source"] = unquote(headers["x-amz-copy-source"])
        query = dict(parse_qsl(text, keep_blank_values=True))
        if "transfer-encoding" in headers or "aws-chunked" in headers.get("content-encoding", ""):
            answer = error(501, "NotImplemented")  # SDKs send in chunks only over TLS
        else:
            answer = self.buckets[bucket].answer(Request(method, bucket, key, query, headers, body))
        if self.latency:
            await asyncio.sleep(due - self._loop.time())
        content = b"" if method == "HEAD" else answer.body
        if len(content) < _JOINED_BELOW:
            await self._loop.sock_sendall(connection, _head(answer) + content)
        else:
            await self._loop.sock_sendall(connection, _head(answer))
            await self._loop.sock_sendall(connection, content)

    async def _head(self, connection: socket.socket, received: bytearray) -> bytes:
        """Return the next request's head, and leave what follows it in `received`."""
        while (end := received.find(_END)) < 0:
            data = await self._loop.sock_recv(connection, _READ)
            if not data:
                raise EOFError
            received += data
        head = bytes(received[:end])
        del received[: end + len(_END)]
        return head

    async def _body(self, connection: socket.socket, received: bytearray, size: int) -> bytes | bytearray:
        """Return a body of `size` bytes, received where it stays: the client's work is to be measured."""
        if size <= len(received):
            body = bytes(received[:size])
            del received[:size]
            return body
        whole = bytearray(size)
        at = len(received)
        whole[:at] = received
        received.clear()
        with memoryview(whole) as view:
            while at < size:
                count = await self._loop.sock_recv_into(connection, view[at:])
                if not count:
                    raise EOFError
                at += count
        return whole


def _head(answer: Answer) -> bytes:
    headers = {**answer.headers, "Content-Length": str(len(answer.body)), "x-amz-request-id": "0"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {answer.status} -\r\n{lines}\r\n".encode("latin-1")
