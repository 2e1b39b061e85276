"""A proxy for an S3 server, on the loopback address, that fails, delays or truncates responses.

It works on the wire, and so also sees the SDK's own retries and `Expect: 100-continue`. Tests can try what an
application does when S3 is slow, denies access or is down, without patching anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ._http1 import LIMIT, Upstream, answer, parse, read_body, without
from ._processes import ServerError
from ._seen import Seen, read_request
from .faults import Answer, BreakOff, Fault, Flip, HangUp, Hold, Park, Reply, Schedule

if TYPE_CHECKING:
    from typing_extensions import Self

_SECONDS = 60.0


@dataclass(slots=True, eq=False)
class _Rule:
    operation: str
    fault: Fault
    left: int | None
    within: str

    def applies(self, seen: Seen) -> bool:
        """Return whether this rule applies to the request; if so, count it."""
        if self.operation not in (seen.operation, "*") or self.within not in seen.key or self.left == 0:
            return False
        if self.left is not None:
            self.left -= 1
        return True


class FaultServer:
    """Proxy that forwards requests to an S3 server, and injects faults.

    ```python
    with local_s3("./data") as server, FaultServer(server.endpoint_url) as faults:
        saver = S3Saver("checkpoints", endpoint_url=faults.url)
        faults.fail("PutObject", Answer(503, "SlowDown"), times=2)
        ...
    ```

    It listens on a free port of 127.0.0.1, in a thread of its own, while the body of its `with` runs. Clients
    must use path-style addressing. They sign requests for this server, so the upstream server must accept
    any `Host` header, as `local_s3`, moto, LocalStack and Ceph do. A request that the upstream server answers
    with status 500 is sent once more, so that clients only see injected faults.

    Args:
        upstream: The URL of the S3 server, by plain HTTP: `http://host:port`.
        tls: The TLS context for clients; `None` is plain HTTP.

    Attributes:
        schedule: A function that returns the fault for each request that no rule of `fail` applies to.
            `None` forwards them all.
        log: The requests received, in order. It grows until `reset`.
        port: The port that it listens on.

    Raises:
        ValueError: `upstream` is malformed.
        ServerError: It doesn't start or stop within 60 s.
    """

    def __init__(self, upstream: str, tls: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(upstream)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"upstream={upstream!r} is not a URL like http://127.0.0.1:9000")
        self._upstream = (parts.hostname, parts.port or 80)
        self._tls = tls
        self._rules: list[_Rule] = []
        self.schedule: Schedule | None = None
        self._lock = threading.Lock()
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="fault-server", daemon=True)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None] | None] = set()
        self.log: list[Seen] = []
        self.port = 0

    @property
    def url(self) -> str:
        """The endpoint URL for S3 clients."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(_SECONDS):
            raise ServerError(f"the fault server is not ready after {_SECONDS:g} s")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_SECONDS)
        if self._thread.is_alive():
            raise ServerError(f"the fault server is still there after {_SECONDS:g} s")

    def reset(self) -> None:
        """Clear the log and all faults."""
        with self._lock:
            self._rules.clear()
            self.schedule = None
            self.log = []

    def fail(self, operation: str, fault: Fault, *, times: int | None = 1, within: str = "") -> None:
        """Inject a fault into the next requests of an operation.

        If several rules apply to a request, the oldest one with times left is used.

        Args:
            operation: The S3 operation, such as `PutObject`, `GetObject`, `ListObjectsV2`,
                `HeadObject` or `DeleteObjects`; `*` is any.
            fault: The fault.
            times: The number of requests; `None` is all until `reset`. Retries of the client count.
            within: A substring of the object's key.
        """
        with self._lock:
            self._rules.append(_Rule(operation, fault, times, within))

    @contextlib.contextmanager
    def down(self, fault: Fault = HangUp()) -> Iterator[None]:  # noqa: B008  # it is frozen
        """Inject a fault into every request while the body runs, before all other rules: S3 is down.

        Args:
            fault: The fault. By default, connections are closed at once.
        """
        rule = _Rule("*", fault, None, "")
        with self._lock:
            self._rules.insert(0, rule)
        try:
            yield
        finally:
            with self._lock:
                if rule in self._rules:  # unless `reset` was called
                    self._rules.remove(rule)

    def counts(self) -> dict[str, int]:
        """Return the number of requests by operation, since the start or the last `reset`."""
        return dict(Counter(seen.operation for seen in self.log))

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", 0, limit=LIMIT, ssl=self._tls)
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self._ready.set()
        try:
            self._loop.run_forever()
        finally:
            self._server.close()
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = Upstream(self._upstream)
        task: asyncio.Task[None] | None = asyncio.current_task()
        self._tasks.add(task)  # the loop only has weak references
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
                while await self._serve_one(reader, writer, upstream):
                    pass
        except asyncio.CancelledError:
            # The server stops: don't wait for the TLS shutdown of a silent client.
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            upstream.close()
            writer.close()

    async def _serve_one(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream: Upstream
    ) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        line, headers = parse(head)
        method, target, _ = line.split(" ", 2)
        seen = read_request(method, target, headers)
        self.log.append(seen)
        fault = self._fault(seen)
        alive = False
        last = b""  # sent after `seen` is complete, because the client may then look at the log
        try:
            body = b""
            # An error without effect comes before `100 Continue`, so the body isn't sent.
            if not (isinstance(fault, Answer) and not fault.applied and "expect" in headers):
                if "expect" in headers:
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                body = await read_body(reader, headers)
                seen.size = len(body)
            if isinstance(fault, Answer):
                if fault.applied:
                    await upstream.exchange(without(head, b"expect:"), body, method)
                seen.status = fault.status
                last = _error_response(fault, method)
            elif isinstance(fault, Reply):
                seen.status = fault.status
                last = answer(fault.status, b"" if method == "HEAD" else fault.body, fault.headers)
            elif fault == HangUp():
                return False
            else:
                if isinstance(fault, Hold):
                    await asyncio.sleep(fault.seconds)
                await self._before_forwarding()
                request_head = without(head, b"expect:")
                response_head, content = await upstream.exchange(request_head, body, method)
                if response_head.split(b" ", 2)[1] == b"500":  # rclone fails about one PUT in some hundreds
                    response_head, content = await upstream.exchange(request_head, body, method)
                seen.status = int(response_head.split(b" ", 2)[1])
                if fault == HangUp(applied=True):
                    return False
                alive = b"connection: close" not in response_head.lower()
                if isinstance(fault, BreakOff):
                    content = content[: fault.after]
                    alive = False
                if isinstance(fault, Flip):
                    at = fault.offset % max(1, len(content))
                    content = content and content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]
                last = response_head + content
                if isinstance(fault, Park):
                    sent = len(response_head) + len(content) // 2 if fault.begun else 0
                    writer.write(last[:sent])
                    last = last[sent:]
                    await _until(fault.until)
        finally:
            seen.ended = time.monotonic()
        writer.write(last)
        await writer.drain()
        return alive

    async def _before_forwarding(self) -> None:
        """Hook for subclasses, called before a request goes to the upstream server."""

    def _fault(self, seen: Seen) -> Fault | None:
        with self._lock:
            for rule in self._rules:
                if rule.applies(seen):
                    return rule.fault
            schedule = self.schedule
        return schedule(seen) if schedule is not None else None


async def _until(event: threading.Event) -> None:
    while not event.is_set():  # noqa: ASYNC110  # another thread sets it
        await asyncio.sleep(0.01)


def _error_response(fault: Answer, method: str) -> bytes:
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f"<Error><Code>{fault.code}</Code><Message>{fault.message}</Message>"
        f"<RequestId>REQUEST</RequestId><HostId>HOST</HostId>{fault.details}</Error>"
    ).encode()
    if method == "HEAD":
        body = b""
    return answer(fault.status, body, fault.headers)
