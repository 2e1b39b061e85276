"""Minimal HTTP/1.1 for the fault server: parsing of heads, raw bodies, responses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

LIMIT = 1024 * 1024
"""Maximum bytes of a head."""

_LINE = b"\r\n"


def parse(head: bytes) -> tuple[str, dict[str, str]]:
    """Return a head's first line, and its headers by lower-case name."""
    line, *rest = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    pairs = (header.partition(":") for header in rest)
    return line, {name.lower(): value.strip() for name, _, value in pairs}


def without(head: bytes, name: bytes) -> bytes:
    """Return the head without a header, which is given in lower case."""
    return _LINE.join(line for line in head.split(_LINE) if not line.lower().startswith(name))


async def read_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    """Read a body as it is on the wire, chunk framing included."""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return b"".join([chunk async for chunk in _chunks(reader)])
    return await reader.readexactly(int(headers.get("content-length", 0)))


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    size = -1
    while size:
        line = await reader.readline()
        size = int(line.split(b";")[0], 16)
        yield line
        yield await reader.readexactly(size + 2)


class Upstream:
    """Connection to the server on behalf of one of the client's connections."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def exchange(self, head: bytes, body: bytes, method: str) -> tuple[bytes, bytes]:
        """Send a request, and return the response's head and body."""
        try:
            reader, answer = await self._ask(head + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            # The server may have closed an idle connection.
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
        # moto sends two Server headers, which aiohttp rejects in development mode.
        return without(answer, b"server:"), content

    async def _ask(self, request: bytes) -> tuple[asyncio.StreamReader, bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address, limit=LIMIT)
        reader, writer = self._streams
        writer.write(request)
        await writer.drain()
        return reader, await reader.readuntil(b"\r\n\r\n")

    def close(self) -> None:
        """Close the connection; the next exchange opens another."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def answer(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    """Return a response with an XML document, after which the connection is closed."""
    extra = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    head = (
        f"HTTP/1.1 {status} Fault\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n"
        f"x-amz-request-id: REQUEST\r\nx-amz-id-2: HOST\r\n{extra}Connection: close\r\n\r\n"
    )
    return head.encode() + body
