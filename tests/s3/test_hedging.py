"""When a read is sent a second time: the running quantile, and what bounds the share. No clients, no time."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_checkpoint_s3 import S3Config
from langgraph_checkpoint_s3.plans.load import read_heads
from langgraph_checkpoint_s3.plans.transfer import Sizes, fetch
from langgraph_checkpoint_s3.s3.hedging import BURST, LEAST, MOST, WINDOW, Hedges, Times, kind_of
from langgraph_checkpoint_s3.s3.request_state import RequestState, SaverState
from langgraph_checkpoint_s3.s3.requests import (
    CompareAndSwap,
    CopyObject,
    DeleteObjects,
    Entry,
    GetObject,
    GetWithAge,
    HeadObject,
    ListObjects,
    PutObject,
)
from langgraph_checkpoint_s3.s3.translate import Translator
from tests.s3.racing import small
from tests.s3.test_deadline import Clock
from tests.support import inside
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import FakeTranslator, make_saver

SHARES = st.sampled_from([0.001, 0.01, 0.02, 0.05, 0.1])


def learnt(saver_state: SaverState, seconds: float = 1.0, reads: int = LEAST) -> Hedges:
    """A saver's hedges that have seen so many GETs."""
    for _ in range(reads):
        saver_state.hedges.answered("small object", seconds)
    return saver_state.hedges


class TestTimes:
    @given(st.lists(st.floats(0, 100), max_size=3 * LEAST), SHARES)
    def test_no_more_than_the_share_took_longer_and_nothing_less_would_do(
        self, taken: list[float], share: float
    ) -> None:
        times = Times(share)
        for seconds in taken:
            times.add(seconds)
        slow = times.slow
        if len(taken) < LEAST:
            assert slow is None
            return
        assert slow in taken
        assert sum(seconds > slow for seconds in taken) <= share * len(taken)
        assert sum(seconds >= slow for seconds in taken) > share * len(taken) - 1

    @given(st.lists(st.floats(0, 100), max_size=20), st.integers())
    def test_only_the_latest_count(self, old: list[float], seed: int) -> None:
        chance = random.Random(seed)
        new = [chance.random() for _ in range(WINDOW)]
        one, other = Times(0.05), Times(0.05)
        for seconds in old + new:
            one.add(seconds)
        for seconds in new:
            other.add(seconds)
        assert one.slow == other.slow

    def test_five_of_a_hundred(self) -> None:
        times = Times(0.05)
        for number in random.Random(1).sample(range(1, 101), 100):
            assert times.slow is None
            times.add(number)
        assert times.slow == 95


class TestTheShare:
    @given(SHARES, st.lists(st.booleans(), max_size=2000))
    def test_is_never_exceeded(self, share: float, asked: list[bool]) -> None:
        """`True` is a slow read that asks for a second request, `False` one that is answered."""
        hedges, taken, answered = Hedges(share), 0, 0
        for ask in asked:
            if ask:
                taken += hedges.take()
            else:
                hedges.answered("small object", 1)
                answered += 1
            assert taken <= share * answered + 1e-9

    def test_is_used(self) -> None:
        hedges, taken = Hedges(0.05), 0
        for _ in range(2000):
            hedges.answered("small object", 1)
            taken += hedges.take()
        assert 99 <= taken <= 100

    def test_quiet_times_save_no_more_than_a_burst(self) -> None:
        hedges = Hedges(0.05)
        for _ in range(100_000):
            hedges.answered("small object", 1)
        assert sum(hedges.take() for _ in range(100)) == BURST

    def test_a_store_that_answers_nothing_any_more_gets_no_more_than_a_burst(self) -> None:
        saver_state = SaverState(S3Config(bucket="bucket", hedged_reads=0.05))
        learnt(saver_state, reads=10_000)
        reads = [RequestState(saver_state, small(), saver_state.deadline()) for _ in range(1000)]
        assert sum(read.second_attempt() is not None for read in reads) == BURST

    def test_a_store_that_gets_slow_is_not_asked_twice_as_much(self) -> None:
        hedges, taken = Hedges(0.05), 0
        for _ in range(1000):
            hedges.answered("small object", 0.02)
        slow = hedges.after("small object")
        for _ in range(1000):
            limit = hedges.after("small object")
            assert limit is not None
            taken += limit < 2 and hedges.take()
            hedges.answered("small object", 2)
        assert slow == 0.02
        assert hedges.after("small object") == 2  # that is what is usual now
        assert taken <= 25 + BURST
        assert taken <= 0.05 * 1000

    @pytest.mark.parametrize("share", [0.02, 0.05])
    def test_second_requests_do_not_move_the_measure(self, share: float) -> None:
        """Were the second request's own time recorded, twice as many reads would be called slow."""
        chance, hedges, slow, taken, reads = random.Random(7), Hedges(share), 0, 0, 20_000
        for _ in range(reads):
            seconds = chance.lognormvariate(0, 1)
            limit = hedges.after("small object")
            if limit is not None and seconds > limit:
                slow += 1
                if hedges.take():
                    taken += 1
                    seconds = min(seconds, limit + chance.lognormvariate(0, 1))
            hedges.answered("small object", seconds)
        assert 0.8 * share < slow / reads < 1.3 * share
        assert 0.8 * share < taken / reads <= share


class TestWhatIsSentTwice:
    @pytest.mark.parametrize(
        "request_",
        [
            PutObject("k", b""),
            CompareAndSwap("k", b"", "e"),
            GetWithAge("k"),
            HeadObject("k"),
            DeleteObjects(("k",)),
            CopyObject("k", "l"),
        ],
        ids=lambda request: type(request).__name__,
    )
    def test_no_writes_and_nothing_that_decides_on_one(self, request_: Any) -> None:
        assert kind_of(request_) is None
        saver_state = SaverState(S3Config(bucket="bucket", hedged_reads=0.05))
        learnt(saver_state)
        assert RequestState(saver_state, request_, saver_state.deadline()).hedge_after() is None

    @pytest.mark.parametrize(
        ("read", "kind"),
        [
            (GetObject("k"), None),  # who knows how large it is
            (GetObject("k", first=5), None),
            (GetObject("k", listed=MOST), "object"),
            (GetObject("k", listed=MOST + 1), None),
            (GetObject("k", first=5, length=MOST, listed=2 * MOST), "object"),
            (GetObject("k", length=MOST + 1, listed=5), None),
            (GetObject("k", listed=65_536), "small object"),
            (GetObject("k", listed=65_537), "object"),
            (GetObject("k", "e", 5, 7, version="v"), "small object"),
            (ListObjects("p", 5), "short listing"),
            (ListObjects("p", start_after="k"), "listing"),
        ],
    )
    def test_reads_of_known_small_size_and_listings_each_by_their_own_times(
        self, read: Any, kind: str | None
    ) -> None:
        assert kind_of(read) == kind

    def test_what_a_listing_showed_says_its_size(self) -> None:
        entry = Entry("k", 7, "e", datetime.now(timezone.utc))
        sizes = Sizes(10, 5)
        for plan in (
            fetch([replace(entry, size=5)], sizes),
            read_heads(inside.context(make_saver(FakeS3())), [entry]),
        ):
            for request in next(plan):
                assert kind_of(request) == "small object"
            plan.close()

    def test_what_is_received_into_the_memory_of_another_read_is_sent_once(self) -> None:
        """One that lost would go on writing into it."""
        entry = Entry("k", 11, "e", datetime.now(timezone.utc))
        plan = fetch([entry], Sizes(10, 5))
        assert [kind_of(request) for request in next(plan)] == [None] * 3
        plan.close()


FAKE: Any = FakeTranslator()


class TestARequestState:
    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def saver_state(self, clock: Clock) -> SaverState:
        settings: dict[str, Any] = {"hedged_reads": 0.05, "circuit_breaker": 1, "operation_timeout": 10}
        saver_state = SaverState(S3Config(bucket="bucket", **settings))
        saver_state.clock = clock
        return saver_state

    def read(self, saver_state: SaverState) -> RequestState:
        state = RequestState(saver_state, small(), saver_state.deadline())
        state.prepare(FAKE)
        return state

    def test_waits_until_enough_is_known(self, saver_state: SaverState) -> None:
        learnt(saver_state, reads=LEAST - 1)
        assert self.read(saver_state).hedge_after() is None
        learnt(saver_state, reads=1)
        assert self.read(saver_state).hedge_after() == 1

    def test_is_timed_from_the_first_sending(self, saver_state: SaverState, clock: Clock) -> None:
        state = self.read(saver_state)
        for _ in range(LEAST):
            clock.now += 3
            state.succeeded(Translator(saver_state.config, "http://s3", None), {"ETag": "e"}, b"")
            state = self.read(saver_state)
        assert state.hedge_after() == 3

    def test_is_counted_as_a_request(self, saver_state: SaverState) -> None:
        learnt(saver_state)
        state = self.read(saver_state)
        call = state.second_attempt()
        assert call is not None
        state.answered_by(state.attempt)
        assert saver_state.stats().hedges_won == 0
        state.answered_by(call)
        stats = saver_state.stats()
        assert (stats.requests, stats.hedges, stats.hedges_won) == ({"GetObject": 2}, 1, 1)

    def test_is_not_sent_beside_a_retry(self, saver_state: SaverState) -> None:
        learnt(saver_state)
        state = self.read(saver_state)
        state.failed(ConnectionResetError("x"))
        state.prepare(FAKE)
        assert state.second_attempt() is None

    def test_does_not_ask_a_store_twice_that_is_only_tried(
        self, saver_state: SaverState, clock: Clock
    ) -> None:
        learnt(saver_state)
        state = self.read(saver_state)
        saver_state.breaker.failed()
        assert state.second_attempt() is None
        clock.now += 10
        state = self.read(saver_state)
        assert saver_state.breaker.state == "half-open"
        assert state.second_attempt() is None
        saver_state.breaker.succeeded()
        assert state.second_attempt() is not None

    def test_sends_nothing_when_its_time_is_over(self, saver_state: SaverState, clock: Clock) -> None:
        learnt(saver_state)
        state = self.read(saver_state)
        clock.now += 10
        assert state.second_attempt() is None
        assert saver_state.stats().hedges == 0

    def test_off_is_never(self) -> None:
        saver_state = SaverState(S3Config(bucket="bucket"))
        learnt(saver_state, reads=1000)
        state = self.read(saver_state)
        assert (state.hedge_after(), state.second_attempt()) == (None, None)
        assert saver_state.hedges._times == {}
