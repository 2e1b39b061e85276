"""Two calls for one read, by both drivers, on clients whose answers come when the test lets them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ResponseStreamingError

from langgraph_checkpoint_s3 import StorageUnavailableError
from langgraph_checkpoint_s3.plans.plan import ask, ask_all
from langgraph_checkpoint_s3.s3 import hedged_call
from langgraph_checkpoint_s3.s3.hedging import LEAST
from langgraph_checkpoint_s3.s3.requests import NotFound
from tests.s3.racing import END, ONE, TWO, Reads, Reply, Stream, small
from tests.support.fake_s3 import client_error
from tests.support.hanging import HANG

SLOW = client_error("SlowDown", 503)
BROKEN = client_error("InternalError", 500)


@pytest.fixture(params=["sync", "async"])
def loop(request: pytest.FixtureRequest) -> Iterator[asyncio.AbstractEventLoop | None]:
    if request.param == "sync":
        yield None
        assert not [each.name for each in threading.enumerate() if "hedge" in each.name]
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
    assert made.open == []


def test_the_second_wins_and_the_first_is_dropped(reads: Reads) -> None:
    assert reads.read(Reply(b"one", after=END), Reply(b"two")) == TWO
    assert reads.hedges == (2, 1, 1)
    assert reads.read() == TWO, "it isn't the winner that is in the cache"
    reads.end()
    two, *others = reads.client.streams
    assert (two.reply.answer, two.read_, two.closed) == (b"two", True, True)
    if reads.loop is None:  # a thread can't be cancelled
        assert [(one.reply.answer, one.closed) for one in others] == [(b"one", True)]
    else:
        assert (others, reads.client.cancelled) == ([], 1)
    assert reads.read() == TWO, "a loser's answer got into the cache"
    assert reads.saver.stats().bytes_received == 3


def test_the_first_wins_and_the_second_is_dropped(reads: Reads) -> None:
    assert reads.read(Reply(b"one", after="both"), Reply(b"two", after=END, tells="both")) == ONE
    assert reads.hedges == (2, 1, 0)
    reads.end()
    assert reads.open == []
    assert reads.client.cancelled == (0 if reads.loop is None else 1)


def test_a_body_that_is_slow_to_come_is_slow_too(reads: Reads) -> None:
    assert reads.read(Reply(b"one", body_after=END), Reply(b"two")) == TWO
    assert reads.hedges == (2, 1, 1)
    reads.end()
    assert reads.open == []
    assert [stream.read_ for stream in reads.client.streams] == [reads.loop is None, True]


def test_an_answer_that_has_begun_wins_nothing(reads: Reads) -> None:
    """The second one's head comes first, and the first one's body."""
    second = Reply(b"two", tells="both", body_after=END)
    assert reads.read(Reply(b"one", after="both"), second) == ONE
    assert reads.hedges == (2, 1, 0)


@pytest.mark.parametrize("first_fails_first", [True, False])
def test_when_both_fail_the_first_ones_error_is_told(reads: Reads, first_fails_first: bool) -> None:
    if first_fails_first:
        replies = Reply(SLOW, after="both"), Reply(BROKEN, after="both", tells="both")
    else:
        replies = Reply(SLOW, after="both"), Reply(BROKEN, tells="both")
    with pytest.raises(StorageUnavailableError, match="SlowDown") as caught:
        reads.read(*replies)
    assert (caught.value.status, caught.value.attempts) == (503, 1)
    assert reads.hedges == (2, 1, 0)
    assert reads.failures == 1, "it is one request to the circuit breaker"


def test_an_error_of_the_first_waits_for_the_second(reads: Reads) -> None:
    first, second = Reply(SLOW, after="both"), Reply(b"two", after="both", tells="both")
    assert reads.read(first, second) == TWO
    assert (reads.hedges, reads.failures) == ((2, 1, 1), 0)


def test_an_error_of_the_second_waits_for_the_first(reads: Reads) -> None:
    assert reads.read(Reply(b"one", after="both"), Reply(SLOW, tells="both")) == ONE
    assert (reads.hedges, reads.failures) == ((2, 1, 0), 0)


def test_a_losers_error_is_nobodys(reads: Reads) -> None:
    assert reads.read(Reply(SLOW, after=END), Reply(b"two")) == TWO
    reads.end()
    assert (reads.hedges, reads.failures) == ((2, 1, 1), 0)


def test_that_there_is_no_object_is_an_answer(reads: Reads) -> None:
    assert reads.read(Reply(b"one", after=END), Reply(client_error("NoSuchKey", 404))) == NotFound()
    assert reads.hedges == (2, 1, 1)


def test_absence_is_one_too_while_the_first_ones_body_is_read(reads: Reads) -> None:
    first, second = Reply(b"one", body_after=END), Reply(client_error("NoSuchKey", 404))
    assert reads.read(first, second) == NotFound()


@pytest.mark.parametrize("times", [1, 2])
def test_a_body_that_breaks_off_is_read_again(
    loop: asyncio.AbstractEventLoop | None, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """By the second call, or if that breaks off too, by another try."""
    reads = Reads(loop, max_attempts=2)
    reads.learn()
    left = [ResponseStreamingError(error="gone") for _ in range(times)]

    def read(stream: Stream) -> Any:
        if loop is not None:
            return aread(stream)
        assert stream.client.event("both").wait(HANG)
        return taken(stream)

    async def aread(stream: Stream) -> Any:
        await stream.client.when("both")
        return taken(stream)

    def taken(stream: Stream) -> Any:
        if left:
            raise left.pop()
        return stream.reply.answer

    monkeypatch.setattr(Stream, "read", read)
    replies = [Reply(b"two"), Reply(b"two", tells="both"), Reply(b"two")]
    assert reads.read(*replies) == TWO
    assert (reads.client.calls, reads.failures) == (1 + times, 0)
    reads.end()
    assert reads.open == []


def test_without_a_share_left_a_slow_read_is_sent_once(reads: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
    def take() -> bool:
        reads.client.event("asked").set()
        return False

    monkeypatch.setattr(reads.store.saver_state.hedges, "take", take)
    assert reads.read(Reply(b"one", after="asked")) == ONE
    assert reads.hedges == (1, 0, 0)


def test_many_at_once(reads: Reads) -> None:
    """A batch of five slow reads, all of which may be sent twice."""
    plan = ask_all([small(f"{number}") for number in range(5)])
    reads.learn()
    reads.client.again = Reply(b"two")
    assert reads.read(*[Reply(b"one", after=END)] * 5, plan=plan) == [TWO] * 5
    assert reads.hedges == (10, 5, 5)


@pytest.mark.parametrize("share", [0.0, 0.05])
def test_off_or_too_early_it_costs_no_thread(loop: asyncio.AbstractEventLoop | None, share: float) -> None:
    reads = Reads(loop, hedged_reads=share)
    for number in range(LEAST):
        reads.read(Reply(b"one"), plan=ask(small(f"{number}")))
    assert set(reads.client.threads) == {threading.current_thread().name}
    assert reads.hedges == (LEAST, 0, 0)
    reads.read(
        Reply(b"one", after="more"), Reply(b"two", tells="more"), plan=ask(small("more"))
    ) if share else 0
    assert ("hedge" in reads.client.threads[-1]) == (bool(share) and loop is None)
    reads.end()


class TestThreads:
    @pytest.fixture
    def loop(self) -> None:
        return None

    @pytest.mark.parametrize("ending", [0, 1])
    def test_where_no_thread_can_be_started_the_caller_reads_by_itself(
        self, reads: Reads, monkeypatch: pytest.MonkeyPatch, ending: int
    ) -> None:
        """Neither for the first, nor for the second one."""
        real = reads.store._hedge_threads.start
        left = [real] * ending

        def start(*arguments: Any) -> Any:
            reads.client.event("asked").set() if not left else None
            if not left:
                raise RuntimeError("can't start new thread")
            return left.pop()(*arguments)

        monkeypatch.setattr(reads.store._hedge_threads, "start", start)
        assert reads.read(Reply(b"one", after="asked")) == ONE
        assert reads.client.calls == 1
        assert ("hedge" in reads.client.threads[0]) == bool(ending)

    def test_ctrl_c_drops_both(self, reads: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
        waited = []

        def wait(bell: Any, seconds: float | None) -> None:
            waited.append(seconds)
            if len(waited) > 1:
                raise KeyboardInterrupt
            real(bell, seconds)

        real: Any = hedged_call.__dict__["_wait"]
        monkeypatch.setattr(hedged_call, "_wait", wait)
        with pytest.raises(KeyboardInterrupt):
            reads.read(Reply(b"one", after=END), Reply(b"two", after=END))
        reads.end()
        assert (len(reads.client.streams), reads.open) == (2, [])


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
            task = asyncio.ensure_future(reads.store.arun(ask(small()), "test"))
            await reads.client.when(when)
            task.cancel()
            await asyncio.sleep(0)
            if then:
                assert not task.done()
                reads.client.event(then).set()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert asyncio.all_tasks() == {asyncio.current_task()}

        assert reads.loop is not None
        reads.loop.run_until_complete(use())

    def test_a_cancelled_read_cancels_both(self, reads: Reads) -> None:
        self.cancel(reads, "both", Reply(b"one", after=END), Reply(b"two", after=END, tells="both"))
        assert (reads.client.cancelled, reads.client.streams) == (2, [])

    def test_a_cancelled_read_closes_both_bodies(self, reads: Reads) -> None:
        self.cancel(reads, "both", Reply(b"one", body_after=END), Reply(b"two", body_after=END, tells="both"))
        assert (len(reads.client.streams), reads.open) in [(1, []), (2, [])]

    def test_a_cancelled_read_cancels_the_only_one(self, reads: Reads) -> None:
        reads.store.saver_state.hedges._saved = 0
        self.cancel(reads, "one", Reply(b"one", after=END, tells="one"))
        assert (reads.client.cancelled, reads.client.streams) == (1, [])

    def test_cancelled_while_the_loser_ends_it_still_waits_for_that(self, reads: Reads) -> None:
        first = Reply(b"one", after=END, stubborn="let go")
        self.cancel(reads, "held up", first, Reply(b"two"), then="let go")
        assert reads.client.cancelled == 1
