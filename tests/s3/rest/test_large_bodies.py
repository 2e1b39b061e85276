"""Large bodies are neither copied nor hashed on an event loop, and are cut when a coroutine is cancelled."""

from __future__ import annotations

import asyncio
import hashlib
import random
import threading
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.served import Served
from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.config import MIB
from langgraph_checkpoint_s3.format.pieces import Pieces
from langgraph_checkpoint_s3.plans.plan import Plan, ask
from langgraph_checkpoint_s3.plans.transfer import fetch, store
from langgraph_checkpoint_s3.s3.requests import Body, Entry, GetObject, ListObjects, PutObject
from langgraph_checkpoint_s3.s3.rest import sigv4
from tests.contract.support import at, checkpoint, metadata
from tests.s3.rest.scripted import Driver, Peer, Scripted
from tests.support import inside
from tests.support.hanging import HANG, until
from tests.support.surroundings import surroundings

__all__ = ["surroundings"]
pytestmark = pytest.mark.usefixtures("surroundings")

NOISE = random.Random(5).randbytes(24 * MIB)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """The server, in a process of its own: its memory isn't counted."""
    with Served() as server:
        yield server


def run(saver: S3Saver, asynchronous: bool, plan: Plan[Any]) -> Any:
    if asynchronous:
        return asyncio.run(inside.store(saver).arun(plan, "test"))
    return inside.store(saver).run(plan, "test")


BOTH = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
SMALL_CACHE: Any = {"cache_bytes": 1024 * 1024}


@BOTH
def test_a_state_is_written_and_read_in_its_own_memory(served: Served, asynchronous: bool) -> None:
    """Nothing is joined and no part copied on the way up; on the way down there is the state alone."""
    made = checkpoint({"raw": NOISE})

    def peak() -> float:
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        return most / len(NOISE)

    async def both(saver: S3Saver) -> tuple[float, float]:
        await saver.aput(at(), made, metadata(), {})
        up = peak()
        found: Any = await saver.aget_tuple(at())
        down = peak()
        assert found.checkpoint["channel_values"] == {"raw": NOISE}
        await saver.aclose()
        return up, down  # and not what was found, of which asyncio's debug mode makes a text

    saver = S3Saver(served.bucket(), endpoint_url=served.endpoint_url, region="us-east-1", **SMALL_CACHE)
    with saver:
        saver.get_tuple(at("other"))  # imports
        tracemalloc.start()
        try:
            if asynchronous:
                up, down = asyncio.run(both(saver))
            else:
                saver.put(at(), made, metadata(), {})
                up = peak()
                found: Any = saver.get_tuple(at())
                down = peak()
                assert found.checkpoint["channel_values"] == {"raw": NOISE}
        finally:
            tracemalloc.stop()
    assert up < 0.2
    assert down < 1.2


@BOTH
@pytest.mark.parametrize("size", [3 * MIB, 9 * MIB, len(NOISE)])
def test_buffers_arrive_as_one_object(served: Served, asynchronous: bool, size: int) -> None:
    data = NOISE[:size]
    pieces = Pieces.of([b"head", data[: size // 3], memoryview(data)[size // 3 :]])

    def plan(saver: S3Saver) -> Plan[Any]:
        yield from store("k", pieces, inside.context(saver).sizes)
        page: Any = yield from ask(ListObjects(""))
        [entry] = page.entries
        again = yield from fetch([entry], inside.context(saver).sizes)  # from the cache, as it was written
        inside.shared(saver).cache.clear()
        first = yield from fetch([entry], inside.context(saver).sizes)
        second = yield from fetch([entry], inside.context(saver).sizes)
        return entry, [*again, *first, *second]

    with S3Saver(served.bucket(), endpoint_url=served.endpoint_url, region="us-east-1") as saver:
        entry, bodies = run(saver, asynchronous, plan(saver))
        assert isinstance(entry, Entry)
        assert entry.size == size + 4
        assert all(isinstance(body, Body) and body.data == b"head" + data for body in bodies)
        assert saver.stats().bytes_received == size + 4  # read once, then known


def test_digests_of_a_coroutines_large_body_are_made_in_threads(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[str] = set()
    real = hashlib.sha256

    class Noting:
        def __init__(self, data: bytes = b"") -> None:
            self._digest: Any = real(data)

        def update(self, data: Any) -> None:
            if len(data) > MIB:
                threads.add(threading.current_thread().name)
            self._digest.update(data)

        def hexdigest(self) -> str:
            return str(self._digest.hexdigest())

    monkeypatch.setattr(sigv4, "hashlib", type("fake", (), {"sha256": Noting}))
    saver = S3Saver(served.bucket(), endpoint_url=served.endpoint_url, region="us-east-1")

    async def put() -> None:
        await saver.aput(at(), checkpoint({"raw": NOISE}), metadata(), {})
        await saver.aclose()

    asyncio.run(put())
    assert threads
    assert all(name.startswith("langgraph-checkpoint-s3") for name in threads)


@pytest.mark.parametrize("up", [True, False])
def test_a_cancelled_coroutine_cuts_its_large_request(up: bool) -> None:
    """It would go on for as long as the server takes. And its connection isn't used again."""
    waiting, cancelled = threading.Event(), threading.Event()

    def script(peer: Peer) -> None:
        peer.head()
        if not up:
            peer.send(b'HTTP/1.1 206 -\r\nETag: "e"\r\nContent-Length: 9000000\r\n\r\nx')
        waiting.set()
        cancelled.wait(HANG)
        while peer.sock.recv(MIB):
            pass

    async def main(url: str) -> None:
        saver = S3Saver("bucket", endpoint_url=url, region="us-east-1", read_timeout=HANG)
        request: Any = (
            PutObject("k", NOISE)
            if up
            else GetObject("k", length=9_000_000, keep=False, into=memoryview(bytearray(9_000_000)))
        )
        task = asyncio.ensure_future(inside.store(saver).arun(ask(request), "test"))
        assert await asyncio.to_thread(waiting.wait, HANG)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        cancelled.set()
        await saver.aclose()

    with Scripted(script) as server:
        asyncio.run(main(server.url))
        until(lambda: server.closed == 1, "the connection ends")
        assert server.accepted == 1


def test_a_body_that_ends_early_is_read_again_into_the_same_memory(driver: Driver) -> None:
    data = NOISE[:3_000_000]
    lengths = iter([1_000_000, len(data)])

    def script(peer: Peer) -> None:
        while peer.request():
            count = next(lengths)
            head = f'HTTP/1.1 206 -\r\nETag: "e"\r\nContent-Length: {len(data)}\r\n'
            head += f"Content-Range: bytes 0-{len(data) - 1}/{len(data)}\r\n\r\n"
            peer.send(head.encode() + (bytes(count) if count < len(data) else data))
            if count < len(data):
                return

    into = memoryview(bytearray(len(data)))
    with Scripted(script) as server:
        saver = driver.saver(server.url, max_attempts=2)
        body = driver.send(saver, GetObject("k", length=len(data), keep=False, into=into))
    assert body == Body(b"", "e", len(data), landed=True)
    assert hashlib.sha256(into).digest() == hashlib.sha256(data).digest()


@pytest.mark.parametrize("how", ["chunked", "shorter"])
def test_a_body_of_another_form_comes_by_itself(driver: Driver, how: str) -> None:
    """The memory stays the caller's, to fill or to drop."""
    data = NOISE[: 2_000_000 if how == "shorter" else 3_000_000]

    def script(peer: Peer) -> None:
        peer.request()
        head = f'HTTP/1.1 206 -\r\nETag: "e"\r\nContent-Range: bytes 0-{len(data) - 1}/{len(data)}\r\n'
        if how == "chunked":
            peer.send(f"{head}Transfer-Encoding: chunked\r\n\r\n{len(data):x}\r\n".encode())
            peer.send(data + b"\r\n0\r\n\r\n")
        else:
            peer.send(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)

    into = memoryview(bytearray(3_000_000))
    with Scripted(script) as server:
        saver = driver.saver(server.url)
        body = driver.send(saver, GetObject("k", length=3_000_000, keep=False, into=into))
    assert body == Body(data, "e", len(data))
