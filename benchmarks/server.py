"""A light S3 server in memory, on the loopback address, that counts requests.

moto needs 5 ms of CPU time for a request, this server a fraction of a millisecond. It supports what savers
need, checks no signatures, creates buckets on first use, and can delay each response.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import threading
from collections import defaultdict
from types import TracebackType
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote

from benchmarks.bucket import Answer, Bucket, Request, error

if TYPE_CHECKING:
    from typing_extensions import Self

_LIMIT: Final = 1024 * 1024
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
        listening = asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_LIMIT)
        server = self._loop.run_until_complete(listening)
        host, port = server.sockets[0].getsockname()
        self.endpoint_url = f"http://{host}:{port}"
        self._ready.set()
        try:
            self._loop.run_forever()
        finally:
            server.close()
            while tasks := asyncio.all_tasks(self._loop):
                for task in tasks:
                    task.cancel()
                self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            # A connection that was closed is let go in the loop's next round.
            self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    await self._one(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()  # the server is closing: nobody waits for what wasn't sent yet
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        due = self._loop.time() + self.latency
        line, *lines = head.rstrip("\r\n").split("\r\n")
        method, target, _ = line.split(" ", 2)
        pairs = (each.partition(":") for each in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        if headers.get("expect") == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await reader.readexactly(int(headers.get("content-length", 0)))
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
        writer.write(_head(answer))
        if method != "HEAD":
            writer.write(answer.body)
        await writer.drain()


def _head(answer: Answer) -> bytes:
    headers = {**answer.headers, "Content-Length": str(len(answer.body)), "x-amz-request-id": "0"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {answer.status} -\r\n{lines}\r\n".encode("latin-1")
