"""A front before an S3 server, on the loopback address: counts requests, and fails, cuts or delays them.

It sees what really goes over the wire: the SDK's own retries and `Expect: 100-continue` too.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.contract.http1 import parse, read_body, without
from tests.contract.seen import Seen, read_request

if TYPE_CHECKING:
    from typing_extensions import Self

_LIMIT = 1024 * 1024
_QUIET = 0.5
"""Seconds without a new request after which none is taken to be on its way."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer in the server's place, with an S3 error; `applied` lets the request through first."""

    status: int
    code: str
    message: str = "said the front"
    headers: Mapping[str, str] = field(default_factory=dict)
    details: str = ""
    applied: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer in the server's place, with this document."""

    body: bytes
    status: int = 200


@dataclass(frozen=True, slots=True)
class BreakOff:
    """Let the request through, send so many bytes of the answer's body, and hang up."""

    after: int


@dataclass(frozen=True, slots=True)
class HangUp:
    """Hang up without an answer; `applied` lets the request through first."""

    applied: bool = False


@dataclass(frozen=True, slots=True)
class Flip:
    """Let the request through and change one byte of the answer's body."""

    offset: int


@dataclass(frozen=True, slots=True)
class Hold:
    """Wait before the request is let through."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Park:
    """Let the request through, and answer when the test says so; `begun` sends half of the answer first."""

    until: threading.Event
    begun: bool = False


Fault = Answer | Reply | BreakOff | HangUp | Flip | Hold | Park


@dataclass(slots=True)
class _Rule:
    operation: str
    fault: Fault
    left: int
    within: str


class Front:
    """Listens on a port of its own before a server.

    Args:
        upstream: The server's URL.
        tls: What to speak TLS with; `None` is plain HTTP.

    Attributes:
        schedule: Says what to do to each request that no rule is for, such as a `Chaos`.
    """

    def __init__(self, upstream: str, tls: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(upstream)
        assert parts.hostname
        assert parts.port
        self._upstream = (parts.hostname, parts.port)
        self._tls = tls
        self._rules: list[_Rule] = []
        self.schedule: Callable[[Seen], Fault | None] | None = None
        self._lock = threading.Lock()
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="front", daemon=True)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None] | None] = set()
        self._rounds: list[int] | None = None
        self._gate: asyncio.Future[None] | None = None
        self._opener: asyncio.TimerHandle | None = None
        self._waiting = 0
        self.log: list[Seen] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        assert not self._thread.is_alive()

    def reset(self) -> None:
        """Forget what came by, and all rules."""
        with self._lock:
            self._rules.clear()
            self.schedule = None
            self.log = []

    def fail(self, operation: str, fault: Fault, *, times: int = 1, within: str = "") -> None:
        """Do this to the next requests of an operation whose key contains a text."""
        with self._lock:
            self._rules.append(_Rule(operation, fault, times, within))

    def counts(self) -> dict[str, int]:
        """How many requests of each operation came by."""
        return dict(Counter(seen.operation for seen in self.log))

    @contextlib.contextmanager
    def counted(self) -> Iterator[dict[str, int]]:
        """Fills the mapping with what came by in the body."""
        found: dict[str, int] = {}
        before = len(self.log)
        yield found
        found.update(Counter(seen.operation for seen in self.log[before:]))

    @contextlib.contextmanager
    def rounds(self) -> Iterator[list[int]]:
        """Fills the list with how many requests each round trip of the body had.

        Requests are held until no more come, and then let through together.
        """
        found: list[int] = []
        self._rounds = found
        try:
            yield found
        finally:
            self._rounds = None

    def most_at_once(self, operation: str) -> int:
        """How many requests of an operation were under way at once, at most."""
        edges = sorted(
            edge
            for seen in self.log
            if seen.operation == operation
            for edge in ((seen.begun, 1), (seen.ended, -1))
        )
        most = now = 0
        for _, step in edges:
            now += step
            most = max(most, now)
        return most

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_LIMIT, ssl=self._tls)
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
        upstream = _Upstream(self._upstream)
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
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream: _Upstream
    ) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        line, headers = parse(head)
        method, target, _ = line.split(" ", 2)
        seen = read_request(method, target, headers)
        self.log.append(seen)
        fault = self._fault(seen)
        alive = False
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
                _refuse(writer, fault, method)
            elif isinstance(fault, Reply):
                seen.status = fault.status
                _answer(writer, fault.status, fault.body)
            elif fault == HangUp():
                return False
            else:
                if isinstance(fault, Hold):
                    await asyncio.sleep(fault.seconds)
                if self._rounds is not None:
                    await self._with_the_others()
                asked = without(head, b"expect:")
                answer, content = await upstream.exchange(asked, body, method)
                if answer.split(b" ", 2)[1] == b"500":  # rclone's, of one PUT in some hundreds; none of ours
                    answer, content = await upstream.exchange(asked, body, method)
                seen.status = int(answer.split(b" ", 2)[1])
                if fault == HangUp(applied=True):
                    return False
                if isinstance(fault, BreakOff):
                    writer.write(answer + content[: fault.after])
                    await writer.drain()
                    return False
                if isinstance(fault, Flip):
                    at = fault.offset % max(1, len(content))
                    content = content and content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]
                sent = 0
                if isinstance(fault, Park):
                    sent = len(answer) + len(content) // 2 if fault.begun else 0
                    writer.write((answer + content)[:sent])
                    await _until(fault.until)
                writer.write((answer + content)[sent:])
                alive = b"connection: close" not in answer.lower()
        finally:
            seen.ended = time.monotonic()
        await writer.drain()
        return alive

    async def _with_the_others(self) -> None:
        """Wait until no more requests come."""
        if self._gate is None:
            self._gate = self._loop.create_future()
        if self._opener is not None:
            self._opener.cancel()
        self._opener = self._loop.call_later(_QUIET, self._open)
        self._waiting += 1
        await self._gate

    def _open(self) -> None:
        if self._gate is not None and not self._gate.done():
            self._gate.set_result(None)
        if self._rounds is not None:
            self._rounds.append(self._waiting)
        self._gate, self._waiting = None, 0

    def _fault(self, seen: Seen) -> Fault | None:
        with self._lock:
            for rule in self._rules:
                if rule.operation in (seen.operation, "*") and rule.within in seen.key and rule.left > 0:
                    rule.left -= 1
                    return rule.fault
        return self.schedule(seen) if self.schedule is not None else None


async def _until(event: threading.Event) -> None:
    while not event.is_set():  # noqa: ASYNC110  # it is set in the test's thread
        await asyncio.sleep(0.01)


class _Upstream:
    """One connection to the server, for one of the client's."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def exchange(self, head: bytes, body: bytes, method: str) -> tuple[bytes, bytes]:
        try:
            reader, answer = await self._ask(head + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            # The server may have closed a connection that was idle.
            self.close()
            reader, answer = await self._ask(head + body)
        line, headers = parse(answer)
        status = line.split(" ", 2)[1]
        if method == "HEAD" or status in ("204", "304"):
            content = b""
        elif "content-length" in headers or "transfer-encoding" in headers:
            content = await read_body(reader, headers)
        else:
            content = await reader.read()
            self.close()
        if headers.get("connection", "").lower() == "close":
            self.close()
        # moto says Server twice, which aiohttp refuses in development mode.
        return without(answer, b"server:"), content

    async def _ask(self, request: bytes) -> tuple[asyncio.StreamReader, bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address, limit=_LIMIT)
        reader, writer = self._streams
        writer.write(request)
        await writer.drain()
        return reader, await reader.readuntil(b"\r\n\r\n")

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def _refuse(writer: asyncio.StreamWriter, fault: Answer, method: str) -> None:
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f"<Error><Code>{fault.code}</Code><Message>{fault.message}</Message>"
        f"<RequestId>REQUEST</RequestId><HostId>HOST</HostId>{fault.details}</Error>"
    ).encode()
    if method == "HEAD":
        body = b""
    _answer(writer, fault.status, body, fault.headers)


def _answer(
    writer: asyncio.StreamWriter, status: int, body: bytes, headers: Mapping[str, str] | None = None
) -> None:
    extra = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    head = (
        f"HTTP/1.1 {status} Front\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n"
        f"x-amz-request-id: REQUEST\r\nx-amz-id-2: HOST\r\n{extra}Connection: close\r\n\r\n"
    )
    writer.write(head.encode() + body)
