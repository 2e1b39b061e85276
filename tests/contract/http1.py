"""HTTP/1.1 as the front needs it: heads taken apart, and bodies as they are on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

_HOP = b"\r\n"


def parse(head: bytes) -> tuple[str, dict[str, str]]:
    line, *rest = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    pairs = (header.partition(":") for header in rest)
    return line, {name.lower(): value.strip() for name, _, value in pairs}


def without(head: bytes, name: bytes) -> bytes:
    return _HOP.join(line for line in head.split(_HOP) if not line.lower().startswith(name))


async def read_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return b"".join([chunk async for chunk in _chunks(reader)])
    return await reader.readexactly(int(headers.get("content-length", 0)))


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The body as it is on the wire, chunk by chunk."""
    size = -1
    while size:
        line = await reader.readline()
        size = int(line.split(b";")[0], 16)
        yield line
        yield await reader.readexactly(size + 2)
