"""Two calls for one read, by both drivers, on clients whose answers come when the test lets them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import MagicMock

import pytest

from langgraph_checkpoint_s3 import S3Saver, StorageUnavailableError
from langgraph_checkpoint_s3.plans.plan import ask, together
from langgraph_checkpoint_s3.s3 import race
from langgraph_checkpoint_s3.s3.hedge import LEAST
from langgraph_checkpoint_s3.s3.requests import Body, GetObject, Missing
from tests.support.fake_s3 import client_error

SLOW = client_error("SlowDown", 503)
BROKEN = client_error("InternalError", 500)
END = "end"
"""What the test lets happen only after the answer."""


@dataclass
class Reply:
    """What a client answers to its next call.

    Attributes:
        answer: A body, or an error.
        after: What it waits for.
        tells: What has happened when it is called.
        stubborn: What it waits for when it is cancelled.
    """

    answer: bytes | Exception
    after: str = ""
    tells: str = ""
    stubborn: str = ""


@dataclass
class Stream:
    """A body, of either client."""

    client: Client
    data: bytes
    read_: bool = False
    closed: bool = False

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *error: object) -> None:
        self.closed = True

    async def __aenter__(self) -> Stream:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.closed = True

    def read(self) -> Any:
        self.read_ = True
        return self.data if self.client.loop is None else self._aread()

    async def _aread(self) -> bytes:
        return self.data


@dataclass
class Client:
    """A client of boto3's or (with a loop) aiobotocore's kind."""

    replies: list[Reply] = field(default_factory=list)
    loop: asyncio.AbstractEventLoop | None = None
    meta: Any = field(default_factory=lambda: MagicMock(endpoint_url="http://s3", region_name="here"))
    streams: list[Stream] = field(default_factory=list)
    events: dict[str, Any] = field(default_factory=dict)
    threads: list[str] = field(default_factory=list)
    calls: int = 0
    cancelled: int = 0

    def event(self, name: str) -> Any:
        return self.events.setdefault(name, threading.Event() if self.loop is None else asyncio.Event())

    def get_object(self, **arguments: Any) -> Any:
        self.calls += 1
        self.threads.append(threading.current_thread().name)
        reply = self.replies.pop(0)
        if reply.tells:
            self.event(reply.tells).set()
        if self.loop is not None:
            return self._awaited(reply)
        if reply.after:
            assert self.event(reply.after).wait(20)
        return self._answer(reply)

    async def _awaited(self, reply: Reply) -> Any:
        try:
            if reply.after:
                await self.event(reply.after).wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            if reply.stubborn:
                self.event("held up").set()
                await self.event(reply.stubborn).wait()
            raise
        return self._answer(reply)

    def _answer(self, reply: Reply) -> Any:
        if isinstance(reply.answer, Exception):
            raise reply.answer
        self.streams.append(Stream(self, reply.answer))
        return {"Body": self.streams[-1], "ETag": '"e"'}

    def client(self, *_: Any, **__: Any) -> Client:  # it stands in for an aiobotocore session, too
        return self

    async def __aenter__(self) -> Client:
        return self

    async def close(self) -> None:
        pass


class Reads:
    """A saver's store and its client."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None, **settings: Any) -> None:
        self.loop = loop
        self.client = Client(loop=loop)
        arguments: dict[str, Any] = {"client": self.client} if loop is None else {"aio_session": self.client}
        self.saver = S3Saver(
            "bucket", **{"hedged_reads": 0.05, "circuit_breaker": 2, **settings}, **arguments
        )
        self.store = self.saver._store

    def learn(self) -> None:
        """From now on, what takes more than a millisecond is slow."""
        assert self.store.shared.hedges is not None
        for _ in range(LEAST):
            self.store.shared.hedges.answered("GetObject", 0.001)

    def read(self, *replies: Reply, plan: Any = None) -> Any:
        self.client.replies = list(replies)
        plan = plan or ask(GetObject("k", "e"))
        return (
            self.store.run(plan) if self.loop is None else self.loop.run_until_complete(self.store.arun(plan))
        )

    def end(self) -> None:
        """Let everything happen, and wait for it."""
        if self.loop is None:
            self.client.event(END).set()
            self.saver.close()
        else:
            self.loop.run_until_complete(self.saver.aclose())
            assert not asyncio.all_tasks(self.loop)

    @property
    def hedges(self) -> tuple[int, int, int]:
        """How many requests, how many of them second ones, and how many of those won."""
        stats = self.saver.stats()
        assert sum(stats.requests.values()) == self.client.calls
        return self.client.calls, stats.hedges, stats.hedges_won

    @property
    def failures(self) -> int:
        """How many failures the circuit breaker has seen in a row."""
        return self.store.shared.breaker._failures


@pytest.fixture(params=["sync", "async"])
def loop(request: pytest.FixtureRequest) -> Iterator[asyncio.AbstractEventLoop | None]:
    if request.param == "sync":
        yield None
        assert not [each.name for each in threading.enumerate() if "race" in each.name]
        return
    made = asyncio.new_event_loop()
    told: list[Any] = []
    made.set_exception_handler(lambda _, context: told.append(context))
    yield made
    made.run_until_complete(made.shutdown_asyncgens())
    made.run_until_complete(made.shutdown_default_executor())
    made.close()
    assert told == []


@pytest.fixture
def reads(loop: asyncio.AbstractEventLoop | None) -> Iterator[Reads]:
    made = Reads(loop)
    made.learn()
    yield made
    made.end()


def test_the_second_wins_and_the_first_is_discarded(reads: Reads) -> None:
    assert reads.read(Reply(b"one", after=END), Reply(b"two")) == Body(b"two", "e", 3)
    assert reads.hedges == (2, 1, 1)
    assert reads.read() == Body(b"two", "e", 3), "it isn't the winner that is in the cache"
    reads.end()
    two, *others = reads.client.streams
    assert (two.data, two.read_, two.closed) == (b"two", True, True)
    if reads.loop is None:  # a thread can't be cancelled
        assert [(one.data, one.read_, one.closed) for one in others] == [(b"one", False, True)]
    else:
        assert (others, reads.client.cancelled) == ([], 1)
    assert reads.read() == Body(b"two", "e", 3), "a loser's answer got into the cache"
    assert reads.saver.stats().bytes_received == 3


def test_the_first_wins_and_the_second_is_discarded(reads: Reads) -> None:
    first, second = Reply(b"one", after="both"), Reply(b"two", after=END, tells="both")
    assert reads.read(first, second) == Body(b"one", "e", 3)
    assert reads.hedges == (2, 1, 0)
    reads.end()
    assert [(each.read_, each.closed) for each in reads.client.streams[1:]] in ([], [(False, True)])
    assert reads.client.cancelled == (0 if reads.loop is None else 1)


@pytest.mark.parametrize("first_fails_first", [True, False])
def test_when_both_fail_the_first_ones_error_is_told(reads: Reads, first_fails_first: bool) -> None:
    if first_fails_first:
        replies = Reply(SLOW, after="both", tells=""), Reply(BROKEN, after="both", tells="both")
    else:
        replies = Reply(SLOW, after="both"), Reply(BROKEN, tells="both")
    with pytest.raises(StorageUnavailableError, match="SlowDown") as caught:
        reads.read(*replies)
    assert (caught.value.status, caught.value.attempts) == (503, 1)
    assert reads.hedges == (2, 1, 0)
    assert reads.failures == 1, "it is one request to the circuit breaker"


def test_an_error_of_the_first_waits_for_the_second(reads: Reads) -> None:
    reads.client.event("asked")
    first, second = Reply(SLOW, after="both"), Reply(b"two", after="both", tells="both")
    assert reads.read(first, second) == Body(b"two", "e", 3)
    assert (reads.hedges, reads.failures) == ((2, 1, 1), 0)


def test_an_error_of_the_second_waits_for_the_first(reads: Reads) -> None:
    assert reads.read(Reply(b"one", after="both"), Reply(SLOW, tells="both")) == Body(b"one", "e", 3)
    assert (reads.hedges, reads.failures) == ((2, 1, 0), 0)


def test_a_losers_error_is_nobodys(reads: Reads) -> None:
    assert reads.read(Reply(SLOW, after=END), Reply(b"two")) == Body(b"two", "e", 3)
    reads.end()
    assert (reads.hedges, reads.failures) == ((2, 1, 1), 0)


def test_that_there_is_no_object_is_an_answer(reads: Reads) -> None:
    assert reads.read(Reply(b"one", after=END), Reply(client_error("NoSuchKey", 404))) == Missing()
    assert reads.hedges == (2, 1, 1)


def test_a_loser_tries_no_more(reads: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    real = race.calling
    monkeypatch.setattr(race, "calling", lambda call: calls.append(call) or real(call))
    reads.read(Reply(b"one", after=END), Reply(b"two"))
    assert [call.once for call in calls][1] is True
    if reads.loop is None:
        assert [call.once for call in calls] == [True, True]


def test_without_a_share_left_a_slow_read_is_sent_once(reads: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
    def take() -> bool:
        reads.client.event("asked").set()
        return False

    monkeypatch.setattr(reads.store.shared.hedges, "take", take)
    assert reads.read(Reply(b"one", after="asked")) == Body(b"one", "e", 3)
    assert reads.hedges == (1, 0, 0)


def test_a_store_that_is_always_slow_is_asked_no_more_than_the_share(reads: Reads) -> None:
    answered = 0
    for number in range(30):
        if answered and not reads.store.shared.hedges._saved >= 1:  # type: ignore[union-attr]
            break
        reads.read(
            Reply(b"one", after=f"{number}"),
            Reply(b"two", tells=f"{number}", after=f"{number}"),
            plan=ask(GetObject(f"{number}")),
        )
        answered += 1
    assert reads.hedges[1] == answered <= 0.05 * (LEAST + answered)


def test_many_at_once(reads: Reads) -> None:
    """A batch of five slow reads: more than enough for each of them to be sent twice."""
    plan = together([GetObject(f"{number}") for number in range(5)])
    replies = [Reply(b"one", after=END) for _ in range(5)] + [Reply(b"two") for _ in range(5)]
    assert reads.read(*replies, plan=plan) == [Body(b"two", "e", 3)] * 5
    assert reads.hedges == (10, 5, 5)


@pytest.mark.parametrize("share", [0.0, 0.05])
def test_off_or_too_early_it_costs_no_thread(loop: asyncio.AbstractEventLoop | None, share: float) -> None:
    reads = Reads(loop, hedged_reads=share)
    for number in range(LEAST - 1):
        reads.read(Reply(b"one"), plan=ask(GetObject(f"{number}")))
    assert set(reads.client.threads) == {threading.current_thread().name}
    assert reads.store._racers._pool is None
    assert reads.hedges == (LEAST - 1, 0, 0)
    assert (reads.store.shared.hedges is None) == (share == 0)
    if share and loop is None:
        for number in range(2):
            reads.read(Reply(b"one"), plan=ask(GetObject(f"more {number}")))
        assert "race" in reads.client.threads[-1]
    reads.end()


class TestThreads:
    @pytest.fixture
    def loop(self) -> None:
        return None

    def test_a_second_request_never_waits_for_a_thread(
        self, reads: Reads, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One thread: the first has it, so there is no second, and whoever comes now reads by itself."""
        monkeypatch.setattr(race, "_THREADS", 1)
        start = reads.store._racers._start

        def watched(*arguments: Any) -> Any:
            started = start(*arguments)
            if started is None:
                reads.client.event("none free").set()
            return started

        monkeypatch.setattr(reads.store._racers, "_start", watched)
        assert reads.read(Reply(b"one", after="none free")) == Body(b"one", "e", 3)
        assert reads.hedges == (1, 0, 0)
        first = reads.store._racers._start(lambda: MagicMock(), lambda: reads.client.event(END).wait(20))
        assert first is not None
        assert reads.read(Reply(b"two"), plan=ask(GetObject("l"))) == Body(b"two", "e", 3)
        assert reads.client.threads[-1] == threading.current_thread().name

    def test_losers_give_their_threads_back(self, reads: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(race, "_THREADS", 2)
        for number in range(3):
            end = f"end {number}"
            reads.read(Reply(b"one", after=end), Reply(b"two"), plan=ask(GetObject(f"{number}")))
            reads.client.event(end).set()
            free = reads.store._racers._pool[2]  # type: ignore[index]
            assert free.acquire(timeout=10)
            assert free.acquire(timeout=10)
            free.release(2)
        assert reads.hedges == (6, 3, 3)

    def test_where_no_thread_can_be_started_the_caller_reads_by_itself(
        self, reads: Reads, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(race.ThreadPoolExecutor, "submit", MagicMock(side_effect=RuntimeError))
        assert reads.read(Reply(b"one")) == Body(b"one", "e", 3)
        assert reads.client.threads == [threading.current_thread().name]

    def test_ctrl_c_discards_both(self, reads: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
        waited = []

        def wait(*arguments: Any, **keywords: Any) -> Any:
            waited.append(real(*arguments, timeout=0.001))
            if len(waited) > 1:
                raise KeyboardInterrupt
            return waited[0]

        real = race.wait
        monkeypatch.setattr(race, "wait", wait)
        with pytest.raises(KeyboardInterrupt):
            reads.read(Reply(b"one", after=END), Reply(b"two", after=END))
        reads.end()
        assert [(each.read_, each.closed) for each in reads.client.streams] == [(False, True)] * 2


class TestTasks:
    @pytest.fixture
    def loop(self) -> Iterator[asyncio.AbstractEventLoop]:
        made = asyncio.new_event_loop()
        yield made
        made.run_until_complete(made.shutdown_asyncgens())
        made.close()

    def cancel(self, reads: Reads, when: str, *replies: Reply, then: str = "") -> None:
        reads.client.replies = list(replies)

        async def use() -> None:
            task = asyncio.ensure_future(reads.store.arun(ask(GetObject("k"))))
            await reads.client.event(when).wait()
            task.cancel()
            await asyncio.sleep(0)
            if then:
                reads.client.event(then).set()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert asyncio.all_tasks() == {asyncio.current_task()}

        assert reads.loop is not None
        reads.loop.run_until_complete(use())

    def test_a_cancelled_read_cancels_both(self, reads: Reads) -> None:
        self.cancel(reads, "both", Reply(b"one", after=END), Reply(b"two", after=END, tells="both"))
        assert (reads.client.cancelled, reads.client.streams) == (2, [])

    def test_a_cancelled_read_cancels_the_only_one(self, reads: Reads) -> None:
        reads.store.shared.hedges._saved = 0  # type: ignore[union-attr]
        self.cancel(reads, "one", Reply(b"one", after=END, tells="one"))
        assert (reads.client.cancelled, reads.client.streams) == (1, [])

    def test_cancelled_while_the_loser_ends_the_winner_is_closed(self, reads: Reads) -> None:
        first = Reply(b"one", after=END, stubborn="let go")
        self.cancel(reads, "held up", first, Reply(b"two"), then="let go")
        [two] = reads.client.streams
        assert (two.data, two.read_, two.closed) == (b"two", False, True)
