"""A fault server: a front before an S3 server, on the loopback address, that fails, delays or cuts answers.

It sees what really goes over the wire, the SDK's own retries and `Expect: 100-continue` too, so what an
application does when S3 is slow, refuses or is down can be tried with nothing patched.
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

    def takes(self, seen: Seen) -> bool:
        """Whether this rule is for the request, which then counts."""
        if self.operation not in (seen.operation, "*") or self.within not in seen.key or self.left == 0:
            return False
        if self.left is not None:
            self.left -= 1
        return True


class FaultServer:
    """Passes requests on to an S3 server, and does to them what it was told.

    ```python
    with local_s3("./data") as server, FaultServer(server.endpoint_url) as faults:
        saver = S3Saver("checkpoints", endpoint_url=faults.url)
        faults.fail("PutObject", Answer(503, "SlowDown"), times=2)
        ...
    ```

    It listens on a free port of 127.0.0.1, in a thread of its own, while the body of its `with` runs. The
    client has to use path-style addressing, and signs for this server: the one behind has to take the
    `Host` header as it comes, which `local_s3`, moto, LocalStack and Ceph do. An answer of 500 of the server
    behind is asked for once more, so that only the faults you plan are seen.

    Args:
        upstream: The URL of the server behind, which speaks plain HTTP: `http://host:port`.
        tls: What to speak TLS with to the client; `None` is plain HTTP.

    Attributes:
        schedule: Says what to do to each request that no rule of `fail` is for; `None` lets them through.
        log: The requests that came by, in their order. It grows until `reset`.
        port: The port it listens on.

    Raises:
        ValueError: `upstream` is no such URL.
        ServerError: It doesn't start, or doesn't end, within 10 s.
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
        """The URL to give to an S3 client as its endpoint."""
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
        """Forget what came by, and all faults."""
        with self._lock:
            self._rules.clear()
            self.schedule = None
            self.log = []

    def fail(self, operation: str, fault: Fault, *, times: int | None = 1, within: str = "") -> None:
        """Do this to the next requests of an operation.

        Of several rules that fit a request, the one that was made first and has times left is used.

        Args:
            operation: The operation by S3's name, such as `PutObject`, `GetObject`, `ListObjectsV2`,
                `HeadObject` or `DeleteObjects`; `*` is any.
            fault: What to do.
            times: To how many requests; `None` is all until `reset`. A client's retries count.
            within: A text that the object's key contains.
        """
        with self._lock:
            self._rules.append(_Rule(operation, fault, times, within))

    @contextlib.contextmanager
    def down(self, fault: Fault = HangUp()) -> Iterator[None]:  # noqa: B008 - it is frozen
        """Do this to every request while the body runs, whatever else is planned: S3 is down.

        Args:
            fault: What to do; to hang up at once by default.
        """
        rule = _Rule("*", fault, None, "")
        with self._lock:
            self._rules.insert(0, rule)
        try:
            yield
        finally:
            with self._lock:
                if rule in self._rules:  # `reset` may have been called meanwhile
                    self._rules.remove(rule)

    def counts(self) -> dict[str, int]:
        """How many requests of each operation came by since the start or the last `reset`."""
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
        self._tasks.add(task)  # a loop by itself knows its tasks weakly
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
                while await self._one(reader, writer, upstream):
                    pass
        except asyncio.CancelledError:
            # The front is closing: nobody waits for this task, nor for TLS to take leave of a silent client.
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            upstream.close()
            writer.close()

    async def _one(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream: Upstream
    ) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        line, headers = parse(head)
        method, target, _ = line.split(" ", 2)
        seen = read_request(method, target, headers)
        self.log.append(seen)
        fault = self._fault(seen)
        alive = False
        last = b""  # of the answer: who has it may look at what was seen
        try:
            body = b""
            # An early refusal doesn't ask for the body.
            if not (isinstance(fault, Answer) and not fault.applied and "expect" in headers):
                if "expect" in headers:
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                body = await read_body(reader, headers)
                seen.size = len(body)
            if isinstance(fault, Answer):
                if fault.applied:
                    await upstream.exchange(without(head, b"expect:"), body, method)
                seen.status = fault.status
                last = _refusal(fault, method)
            elif isinstance(fault, Reply):
                seen.status = fault.status
                last = answer(fault.status, b"" if method == "HEAD" else fault.body, fault.headers)
            elif fault == HangUp():
                return False
            else:
                if isinstance(fault, Hold):
                    await asyncio.sleep(fault.seconds)
                await self._let_through()
                asked = without(head, b"expect:")
                told, content = await upstream.exchange(asked, body, method)
                if told.split(b" ", 2)[1] == b"500":  # rclone's, of one PUT in some hundreds; none of ours
                    told, content = await upstream.exchange(asked, body, method)
                seen.status = int(told.split(b" ", 2)[1])
                if fault == HangUp(applied=True):
                    return False
                alive = b"connection: close" not in told.lower()
                if isinstance(fault, BreakOff):
                    content = content[: fault.after]
                    alive = False
                if isinstance(fault, Flip):
                    at = fault.offset % max(1, len(content))
                    content = content and content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]
                last = told + content
                if isinstance(fault, Park):
                    sent = len(told) + len(content) // 2 if fault.begun else 0
                    writer.write(last[:sent])
                    last = last[sent:]
                    await _until(fault.until)
        finally:
            seen.ended = time.monotonic()
        writer.write(last)
        await writer.drain()
        return alive

    async def _let_through(self) -> None:
        """Called before a request goes to the server behind."""

    def _fault(self, seen: Seen) -> Fault | None:
        with self._lock:
            for rule in self._rules:
                if rule.takes(seen):
                    return rule.fault
            schedule = self.schedule
        return schedule(seen) if schedule is not None else None


async def _until(event: threading.Event) -> None:
    while not event.is_set():  # noqa: ASYNC110  # it is set in another thread
        await asyncio.sleep(0.01)


def _refusal(fault: Answer, method: str) -> bytes:
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f"<Error><Code>{fault.code}</Code><Message>{fault.message}</Message>"
        f"<RequestId>REQUEST</RequestId><HostId>HOST</HostId>{fault.details}</Error>"
    ).encode()
    if method == "HEAD":
        body = b""
    return answer(fault.status, body, fault.headers)
