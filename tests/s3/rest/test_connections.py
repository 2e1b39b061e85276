"""Connections of both drivers: when they are used again, how they end, and what their limits are."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.server import Server
from langgraph_checkpoint_s3.errors import AccessDeniedError, StorageUnavailableError
from langgraph_checkpoint_s3.request_timeout import TimeLimit, TooSlowError
from langgraph_checkpoint_s3.s3.requests import Body, GetObject, HeadObject, PutObject
from langgraph_checkpoint_s3.s3.rest.async_http import AsyncConnection, AsyncConnectionPool
from langgraph_checkpoint_s3.s3.rest.connection_rules import IDLE
from langgraph_checkpoint_s3.s3.rest.route import Route
from tests.contract.test_async import self_signed
from tests.s3.rest.scripted import Driver, Peer, Scripted, Seen, answering, ok, refusal
from tests.support import inside
from tests.support.hanging import HANG, until
from tests.support.surroundings import surroundings

__all__ = ["surroundings"]
pytestmark = pytest.mark.usefixtures("surroundings")

GET = GetObject("k", keep=False)
LARGE = bytes(range(256)) * 4096
UPLOAD = bytes(24 * 1024 * 1024)


def always(_: Seen) -> bytes:
    return ok()


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """The server's settings for a certificate that the savers trust."""
    certificate = self_signed(tmp_path)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


# Used again


def test_a_connection_is_used_again(driver: Driver) -> None:
    with Scripted(answering(always)) as server:
        saver = driver.saver(server.url)
        for _ in range(5):
            assert driver.send(saver, GET) == Body(b"x", "e", 1)
        assert (server.accepted, len(server.seen)) == (1, 5)


class Counting:
    """A socket, and how often its timeout is set."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self.set = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def settimeout(self, seconds: float) -> None:
        self.set += 1
        self._sock.settimeout(seconds)


def test_its_timeout_is_set_once() -> None:
    """Each time is a system call, during which other threads take the interpreter's lock."""
    with Scripted(answering(always)) as server:
        driver = Driver("sync")
        saver = driver.saver(server.url)
        driver.send(saver, GET)
        store: Any = inside.store(saver)
        [connection] = store._rest.get()._pool[1]._idle
        connection._sock = sock = Counting(connection._sock)
        for _ in range(3):
            driver.send(saver, GET)
        assert (server.accepted, sock.set) == (1, 0)


@pytest.mark.parametrize("size", [0, 1, 16_384, 32_769, len(LARGE)])
def test_over_tls_it_is_used_again_whatever_its_responses_length(
    driver: Driver, tls: ssl.SSLContext, size: int
) -> None:
    with Scripted(answering(lambda _: ok(LARGE[:size])), tls) as server:
        saver = driver.saver(server.url)
        for _ in range(3):
            assert driver.send(saver, GET).data == LARGE[:size]
        assert server.accepted == 1


def test_a_batch_uses_as_many_as_run_at_once(driver: Driver) -> None:
    with Scripted(answering(always)) as server:
        saver = driver.saver(server.url, max_concurrency=4)
        for _ in range(3):
            assert len(driver.send(saver, *[GET] * 12)) == 12
        assert server.accepted <= 4


def test_on_a_real_server(driver: Driver) -> None:
    with _counting() as counted:
        saver = driver.saver(counted.endpoint_url)
        for number in range(5):
            driver.send(saver, PutObject(f"{number}", LARGE))
            assert driver.send(saver, GetObject(f"{number}", keep=False)).data == LARGE
            driver.send(saver, HeadObject(f"{number}"))
        assert counted.accepted == 1


class _counting(Server):  # noqa: N801  # used as a function
    accepted = 0

    async def _serve(self, connection: socket.socket) -> None:
        self.accepted += 1
        await super()._serve(connection)


# Not used again


def test_one_that_the_server_closed_while_idle(driver: Driver) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(ok())

    with Scripted(script) as server:
        saver = driver.saver(server.url)
        for number in range(1, 4):
            assert driver.send(saver, GET).data == b"x"
            until(lambda number=number: server.closed == number, "the server closes it")  # type: ignore[misc]  # mypy can't infer a lambda's default
        assert server.accepted == 3
        assert saver.stats().retries == 0


def test_one_that_the_server_means_to_close(driver: Driver) -> None:
    with Scripted(answering(lambda _: ok(b"x", "Connection: close"))) as server:
        saver = driver.saver(server.url)
        for _ in range(3):
            assert driver.send(saver, GET).data == b"x"
        assert server.accepted == 3


@pytest.mark.parametrize("body", [b"x", LARGE])
@pytest.mark.parametrize("encrypted", [False, True])
def test_one_with_bytes_behind_a_response(
    driver: Driver, encrypted: bool, body: bytes, tls: ssl.SSLContext
) -> None:
    """They aren't taken for the next response."""
    stale = ok(b"stale")
    with Scripted(answering(lambda _: ok(body) + stale), tls if encrypted else None) as server:
        saver = driver.saver(server.url)
        for _ in range(3):
            assert driver.send(saver, GET).data == body
        assert server.accepted == 3


def test_one_that_was_idle_for_long(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    with Scripted(answering(always)) as server:
        saver = driver.saver(server.url)
        ahead = 0.0

        def now() -> float:
            return time.monotonic() + ahead

        if driver.loop is not None:
            monkeypatch.setattr(driver.loop, "time", now)
        else:
            monkeypatch.setattr(
                "langgraph_checkpoint_s3.s3.rest.sync_http.time", SimpleNamespace(monotonic=now)
            )
        driver.send(saver, GET)
        ahead += IDLE / 2
        driver.send(saver, GET)
        assert server.accepted == 1
        ahead += IDLE + 1
        driver.send(saver, GET)
        assert server.accepted == 2
        until(lambda: server.closed == 1, "the old one is closed")
        if driver.loop is not None:
            monkeypatch.undo()


def test_after_a_malformed_response(driver: Driver) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(ok() if peer.number > 1 else b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nx")
        peer.request()

    with Scripted(script) as server:
        saver = driver.saver(server.url, max_attempts=2)
        assert driver.send(saver, GET).data == b"x"
        assert (server.accepted, saver.stats().retries) == (2, 1)
        until(lambda: server.closed == 1, "it is closed")


# Uploads that are refused


@pytest.mark.parametrize("encrypted", [False, True])
def test_an_upload_that_is_refused_before_all_was_sent(
    driver: Driver, encrypted: bool, tls: ssl.SSLContext
) -> None:
    def script(peer: Peer) -> None:
        peer.head()
        peer.send(refusal("AccessDenied", "403 Forbidden", "Connection: close"))
        if not encrypted:
            peer.sock.shutdown(socket.SHUT_WR)
        peer.server.ending.wait(0.2)  # closed with a reset then, as much is unread

    with Scripted(script, tls if encrypted else None, receive=4096) as server:
        saver = driver.saver(server.url)
        with pytest.raises(AccessDeniedError, match="s3:PutObject"):
            driver.send(saver, PutObject("k", UPLOAD))
        assert server.accepted == 1


def test_an_upload_whose_connection_breaks(driver: Driver) -> None:
    def script(peer: Peer) -> None:
        peer.head()

    with Scripted(script, receive=4096) as server:
        saver = driver.saver(server.url)
        with pytest.raises(StorageUnavailableError, match="can't be reached"):
            driver.send(saver, PutObject("k", UPLOAD))
        assert server.accepted == 1


def test_a_refused_upload_is_not_waited_for(driver: Driver) -> None:
    """The server neither reads nor closes."""

    def script(peer: Peer) -> None:
        peer.head()
        peer.send(refusal("AccessDenied", "403 Forbidden"))
        peer.server.ending.wait(HANG)

    with Scripted(script, receive=4096) as server:
        saver = driver.saver(server.url)
        with pytest.raises(AccessDeniedError):
            driver.send(saver, PutObject("k", UPLOAD))
        server.ending.set()
        until(lambda: server.closed == 1, "the connection is closed")


# Limits


def test_read_timeout_is_named(driver: Driver) -> None:
    def silent(peer: Peer) -> None:
        peer.request()
        peer.server.ending.wait(HANG)

    with Scripted(silent) as server:
        saver = driver.saver(server.url, read_timeout=0.05)
        with pytest.raises(StorageUnavailableError, match=r"nothing came for 0.05 s \(read_timeout\)"):
            driver.send(saver, GET)
        until(lambda: driver.asynchronous or server.accepted == 1, "it was sent")


@pytest.mark.parametrize("part", ["tls", "tunnel"])
def test_connect_timeout_is_named(
    driver: Driver, part: str, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a server that accepts, and says nothing of TLS; and of a proxy that says little by little."""

    def silent(peer: Peer) -> None:
        if part == "tunnel":
            peer.head()
            for byte in b"HTTP/1.1 200 OK\r\nX: " + b"a" * 50_000:
                peer.send(bytes([byte]))
                peer.server.ending.wait(0.01)
        peer.server.ending.wait(HANG)

    with Scripted(silent) as server:
        if part == "tunnel":
            monkeypatch.setenv("HTTPS_PROXY", server.url)
        saver = driver.saver(f"https://127.0.0.1:{server.port}", connect_timeout=0.1)
        with pytest.raises(StorageUnavailableError, match=r"0.1 s \(connect_timeout\)"):
            driver.send(saver, GET)


def test_the_whole_has_a_limit(driver: Driver) -> None:
    def trickle(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not peer.server.ending.wait(0.01):
            peer.send(b"x")

    with Scripted(trickle) as server:
        saver = driver.saver(server.url, connect_timeout=0.1, read_timeout=0.1)
        with pytest.raises(StorageUnavailableError, match=r"cut after \d.* bytes of an answer"):
            driver.send(saver, GET)


# What isn't a response


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"<html><body>Sign in</body></html>", "doesn't begin with HTTP/1"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "doesn't begin with HTTP/1"),
        (b"HTTP/2 200\r\n\r\n", "status line isn't HTTP/1.1's"),
        (b"", "before a response came"),
        (b"HTTP/1.1 200 OK\r\n", "in the midst of a response"),
        (ok(LARGE)[:-1], "in the midst of a response"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "chunk has no size"),
    ],
)
def test_garbage(driver: Driver, data: bytes, reason: str) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(data)

    with Scripted(script) as server:
        saver = driver.saver(server.url, max_attempts=2)
        with pytest.raises(StorageUnavailableError, match=reason) as caught:
            driver.send(saver, GET)
        assert caught.value.attempts == server.accepted == 2


def test_nobody_listens(driver: Driver) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
    with pytest.raises(StorageUnavailableError, match="ConnectionRefusedError"):
        driver.send(driver.saver(url), GET)


@pytest.mark.parametrize("name", ["my-app", "日本", "a\r\nX-Other: b", "a b/c"])
def test_an_applications_name_stays_within_its_header(
    driver: Driver, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SDK_UA_APP_ID", name)
    with Scripted(answering(always)) as server:
        driver.send(driver.saver(server.url), GET)
        [seen] = server.seen
        assert "x-other" not in seen.headers
        shown = name.translate({ord(each): "-" for each in "日本\r\n: /"})
        assert f" app/{shown} " in seen.headers["user-agent"]


# Closing


def test_a_closed_saver_makes_new_connections(driver: Driver) -> None:
    with Scripted(answering(always)) as server:
        saver = driver.saver(server.url)
        for number in range(1, 4):
            driver.send(saver, GET)
            driver.close(saver)
            until(lambda number=number: server.closed == number, "it is closed")  # type: ignore[misc]  # mypy can't infer a lambda's default
        assert server.accepted == 3


def test_closing_does_not_wait_for_the_servers_leave(
    driver: Driver, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    # asyncio's TLS would wait so long for a leave that doesn't come, and `driver.close` waits less.
    monkeypatch.setattr("asyncio.constants.SSL_SHUTDOWN_TIMEOUT", 10 * HANG, raising=False)

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(ok())
        peer.server.ending.wait(HANG)  # and nothing is read

    with Scripted(script, tls) as server:
        saver = driver.saver(server.url)
        driver.send(saver, GET)
        driver.close(saver)


# Tasks


def run(coroutine: Any) -> None:
    asyncio.run(asyncio.wait_for(coroutine, HANG))


def test_a_cancelled_task_closes_its_connection_and_no_other() -> None:
    def script(peer: Peer) -> None:
        while (seen := peer.request()) is not None:
            if seen.target.endswith("slow"):
                peer.server.ending.wait(HANG)
            peer.send(ok())

    async def use(server: Scripted) -> None:
        driver = Driver("sync")
        saver = driver.saver(server.url)
        store: Any = inside.store(saver)
        from langgraph_checkpoint_s3.plans.plan import ask

        await store.arun(ask(GET), "test")
        task = asyncio.ensure_future(store.arun(ask(GetObject("slow", keep=False)), "test"))
        await asyncio.to_thread(until, lambda: len(server.seen) == 2, "it is sent")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        client = await store._async_rest.get_async()
        assert client.connections_in_use == 0
        for _ in range(3):
            assert (await store.arun(ask(GET), "test")).data == b"x"
        assert server.accepted == 2
        await saver.aclose()

    with Scripted(script) as server:
        run(use(server))


def pool_on(server: Scripted, most: int) -> AsyncConnectionPool:
    return AsyncConnectionPool(Route("127.0.0.1", server.port, None, "127.0.0.1"), HANG, HANG, most)


def unlimited() -> TimeLimit:
    return TimeLimit(float("inf"))


def test_no_more_connections_than_the_maximum() -> None:
    async def use(server: Scripted) -> None:
        pool = pool_on(server, 3)
        most = 0

        async def one() -> None:
            nonlocal most
            connection = await pool.acquire(unlimited())
            most = max(most, pool.in_use)
            await asyncio.sleep(0)
            pool.release(connection, keep=True)

        await asyncio.gather(*[one() for _ in range(50)])
        assert most == 3
        await asyncio.to_thread(until, lambda: server.accepted == 3, "all are accepted")
        assert (pool.in_use, len(pool._waiting)) == (0, 0)
        await pool.close()

    with Scripted(answering(always)) as server:
        run(use(server))


def test_cancelled_waiters_lose_no_slot() -> None:
    async def use(server: Scripted) -> None:
        pool = pool_on(server, 1)
        held = await pool.acquire(unlimited())
        waiters = [asyncio.ensure_future(pool.acquire(unlimited())) for _ in range(4)]
        await asyncio.sleep(0)
        waiters[0].cancel()  # while it waits
        await asyncio.sleep(0)
        pool.release(held, keep=True)
        waiters[1].cancel()  # when it was just woken
        got = await waiters[2]
        assert pool.in_use == 1
        pool.release(got, keep=False)
        last = await waiters[3]
        pool.release(last, keep=True)
        assert waiters[0].cancelled()
        assert waiters[1].cancelled()
        assert pool.in_use == 0
        await pool.close()

    with Scripted(answering(always)) as server:
        run(use(server))


def test_waiters_give_up_at_their_limit_and_lose_no_slot() -> None:
    async def use(server: Scripted) -> None:
        pool = pool_on(server, 1)
        held = await pool.acquire(unlimited())
        patient = asyncio.ensure_future(pool.acquire(unlimited()))
        await asyncio.sleep(0)
        limit = TimeLimit(0.01)
        limit.start()
        with pytest.raises(TooSlowError):
            await pool.acquire(limit)
        assert not patient.done()
        pool.release(held, keep=True)
        pool.release(await patient, keep=True)
        assert pool.in_use == 0
        await pool.close()

    with Scripted(answering(always)) as server:
        run(use(server))


def test_a_failed_connection_leaves_its_slot() -> None:
    async def use(server: Scripted) -> None:
        pool = pool_on(server, 1)
        pool._route = pool._route._replace(port=1)
        for _ in range(3):
            with pytest.raises(OSError, match="onnect"):
                await pool.acquire(unlimited())
        assert pool.in_use == 0
        limit = TimeLimit(0.0)
        limit.start()
        with pytest.raises(TooSlowError):
            await pool.acquire(limit)
        assert pool.in_use == 0

    with Scripted(answering(always)) as server:
        run(use(server))


def test_a_cancellation_that_comes_as_a_connection_is_made_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = AsyncConnectionPool._open
    acquiring: list[asyncio.Future[AsyncConnection]] = []

    async def open_and_cancel(pool: AsyncConnectionPool, *args: Any) -> None:
        await opened(pool, *args)
        acquiring[0].cancel()

    async def use(server: Scripted) -> None:
        monkeypatch.setattr(AsyncConnectionPool, "_open", open_and_cancel)
        pool = pool_on(server, 1)
        acquiring.append(asyncio.ensure_future(pool.acquire(unlimited())))
        with pytest.raises(asyncio.CancelledError):
            await acquiring[0]
        assert pool.in_use == 0

    with Scripted(answering(always)) as server:
        run(use(server))


def test_fifty_at_once(driver: Driver) -> None:
    with Server() as server:
        saver = driver.saver(server.endpoint_url, max_concurrency=50)
        driver.send(saver, *[PutObject(f"{number}", b"%d" % number) for number in range(50)])
        found = driver.send(saver, *[GetObject(f"{number}", keep=False) for number in range(50)])
        assert [each.data for each in found] == [b"%d" % number for number in range(50)]


def test_fifty_threads_at_once() -> None:
    driver, wrong = Driver("sync"), []
    with Server() as server:
        saver = driver.saver(server.endpoint_url)

        def use(number: int) -> None:
            for turn in range(4):
                body = b"%d %d" % (number, turn)
                driver.send(saver, PutObject(f"{number}", body))
                found = driver.send(saver, GetObject(f"{number}", keep=False)).data
                if found != body:
                    wrong.append(found)

        threads = [threading.Thread(target=use, args=(number,)) for number in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(HANG)
        driver.end()
    assert not wrong


# Forks


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_has_connections_of_its_own() -> None:
    driver = Driver("sync")
    with Scripted(answering(always)) as server:
        saver = driver.saver(server.url)
        driver.send(saver, GET)
        child = os.fork()
        if child == 0:
            signal.alarm(60)  # rather than to wait forever
            try:
                for _ in range(2):
                    driver.send(saver, GET)
                saver.close()
            except BaseException:  # noqa: BLE001  # nothing of the parent's may run here
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert server.accepted == 2
        driver.send(saver, GET)
        assert server.accepted == 2
        assert len(server.seen) == 4
        driver.end()


@pytest.mark.parametrize("probes", [False, True])
def test_tcp_keep_alive_probes_as_the_profile_says(
    driver: Driver, probes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    general = socket.socket.setsockopt

    class Listening(socket.socket):
        def setsockopt(self, *arguments: Any) -> None:
            asked.append(arguments[1])
            general(self, *arguments)

    monkeypatch.setattr(socket, "socket", Listening)
    monkeypatch.setenv("BOTOCORE_TCP_KEEPALIVE", str(probes).lower())
    with Scripted(answering(always)) as server:
        driver.send(driver.saver(server.url), GET)
    assert (socket.SO_KEEPALIVE in asked) == probes
