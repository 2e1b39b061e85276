"""Leases on the fake: who gets one, what it takes, lost replies, takeovers, and who is refused."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from langgraph_checkpoint_s3 import (
    ConflictError,
    InvalidConfigError,
    Lease,
    S3Saver,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.lease import Clock
from langgraph_checkpoint_s3.plans.lease import MARGIN
from langgraph_checkpoint_s3.s3.requests import CompareAndSwap, Request
from tests.plans.helpers import once, put
from tests.plans.leasing import KEY, TTL, Time, lease, said, time
from tests.support import inside
from tests.support.checkpoints import place
from tests.support.fake_s3 import FakeS3, client_error
from tests.support.fake_store import make_saver

__all__ = ["time"]


def lost_reply(kind: type[Request[Any]] = CompareAndSwap, *, refused: bool = True) -> Any:
    """A hook: the first such request has its effect, and its reply is lost; a retry's own 412 comes back."""

    def lose(request: Request[Any]) -> None:
        if refused:
            raise client_error("PreconditionFailed", 412, request)
        raise client_error("InternalError", 500, request)

    return once(kind, lose, "after")


class TestTaking:
    def test_it_takes_a_get_and_a_put(self, fake: FakeS3, saver: S3Saver, time: Time) -> None:
        with fake.counted() as count, lease(saver, time) as held:
            assert held.remaining == TTL
            assert not held.lost
            held.check()
        # Once a saver three more make sure of the store; the last is of the release.
        assert count.kinds == {"GetWithAge": 1, "CompareAndSwap": 1 + 3 + 1}
        with fake.counted() as count, lease(saver, time):
            assert count.kinds == {"GetWithAge": 1, "CompareAndSwap": 1}
            before = said(fake)["write"]
        assert count.kinds == {"GetWithAge": 1, "CompareAndSwap": 2}
        assert said(fake)["released"]
        assert said(fake)["write"] > before

    def test_the_second_gets_the_holder_and_the_expiry(self, saver: S3Saver, time: Time) -> None:
        with lease(saver, time, "the first"):
            time.passes(10)
            with pytest.raises(ConflictError, match=r"the first holds .*'t'; it ends in 5\d s") as refused:
                lease(saver, time, "the second").acquire()
        assert refused.value.key == KEY
        assert lease(saver, time, "the second").acquire().remaining == TTL

    def test_threads_do_not_exclude_each_other(self, saver: S3Saver, time: Time) -> None:
        with lease(saver, time), lease(saver, time, thread="t2"), lease(saver, time, thread="t.lease"):
            pass

    def test_tokens_only_grow(self, fake: FakeS3, saver: S3Saver, time: Time) -> None:
        ticks = iter(range(10**18, 10**19, 10**7))  # 10 ms apart
        inside.set_clock(saver, lambda: next(ticks))
        tokens = []
        for number in range(6):
            with lease(saver, time) as held:
                tokens.append(held.token)
                held.renew()
                assert held.token == tokens[-1], "a renewal is no new holder"
            if number == 3:
                fake.delete(KEY)  # by a lifecycle rule, say
        assert tokens == sorted(set(tokens))

    def test_waiting_ends_with_the_holders_release(self, saver: S3Saver, time: Time) -> None:
        first = lease(saver, time).acquire()
        second = lease(saver, time, wait=30)

        def sleep(seconds: float) -> None:
            time.sleep(seconds)
            if len(time.pauses) == 5:
                first.release()

        second._clock = Clock(lambda: time.now, sleep)
        with second:
            assert len(time.pauses) == 5
            assert second.token > first.token

    def test_waiting_ends_in_time(self, saver: S3Saver, time: Time) -> None:
        lease(saver, time).acquire()
        with pytest.raises(ConflictError):
            lease(saver, time, wait=20).acquire()
        assert sum(time.pauses) == pytest.approx(20)
        assert max(time.pauses) <= 2

    def test_one_object_is_one_holder(self, saver: S3Saver, time: Time) -> None:
        held = lease(saver, time).acquire()
        with pytest.raises(InvalidConfigError, match="held already"):
            held.acquire()

    def test_it_shows_nowhere_else(self, fake: FakeS3, saver: S3Saver, time: Time) -> None:
        put(saver, "1")
        with lease(saver, time):
            assert len(list(saver.list(None))) == 1
            saver.delete_thread("t")
            assert fake.keys() == [KEY], "who deletes a thread under its lease keeps the lease"
            assert saver.get_tuple(place("t")) is None

    def test_a_purge_takes_it_too(self, fake: FakeS3, saver: S3Saver, time: Time) -> None:
        """The lease's key is the thread's id. The lease of a thread with a similar name stays."""
        put(saver, "1")
        lease(saver, time).acquire()
        with lease(saver, time, thread="t2"), lease(saver, time, thread="t.lease"):
            assert S3Admin(saver).purge_thread("t").versions == 2
            S3Admin(saver).purge_thread("t", dry_run=False)
            left = [inside.layout(saver).lease(name) for name in ("t.lease", "t2")]
            assert fake.keys() == left


class TestTheEnd:
    def test_a_lease_that_has_ended_is_taken_over(self, saver: S3Saver, time: Time) -> None:
        first = lease(saver, time, "the first").acquire()
        time.passes(TTL)
        assert first.remaining == 0
        with pytest.raises(ConflictError, match="has ended"):
            first.check()
        with pytest.raises(ConflictError, match="the first"):
            lease(saver, time).acquire()  # the store's clock has seconds, and machines
        time.passes(MARGIN)
        second = lease(saver, time, "the second").acquire()
        assert second.token > first.token
        with pytest.raises(ConflictError, match="the second took it over"):
            first.renew()
        assert first.lost
        with pytest.raises(ConflictError, match="lost"):
            first.check()
        with pytest.raises(ConflictError, match="lost"):
            first.release()
        second.renew()

    def test_for_its_holder_it_ends_first(self, saver: S3Saver, time: Time) -> None:
        """However long the request was on its way, and however late its reply."""
        store: Any = inside.store(saver)
        store.fake.hook = lambda moment, request: time.passes(3)
        first = lease(saver, time).acquire()
        store.fake.hook = None
        while first.remaining:
            with pytest.raises(ConflictError):
                lease(saver, time).acquire()
            time.passes(1)

    def test_a_renewal_makes_it_hold_on(self, saver: S3Saver, time: Time) -> None:
        with lease(saver, time) as held:
            for _ in range(5):
                time.passes(TTL / 2)
                held.renew()
                assert held.remaining == TTL
                with pytest.raises(ConflictError):
                    lease(saver, time).acquire()

    def test_what_nobody_took_over_goes_on(self, saver: S3Saver, time: Time) -> None:
        with lease(saver, time) as held:
            time.passes(2 * TTL)
            held.renew()  # nobody else has had it: the object is as it was left
            held.check()

    def test_a_body_whose_lease_was_lost_ends_with_an_error(self, saver: S3Saver, time: Time) -> None:
        def body() -> None:
            with lease(saver, time):
                time.passes(2 * TTL)
                lease(saver, time).acquire()

        with pytest.raises(ConflictError, match="lost"):
            body()

    def test_the_bodys_own_error_comes_first(self, saver: S3Saver, time: Time) -> None:
        def body() -> None:
            with lease(saver, time):
                time.passes(2 * TTL)
                lease(saver, time).acquire()
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            body()

    def test_the_coroutines_do_the_same(self, saver: S3Saver, time: Time) -> None:
        async def use() -> None:
            async with lease(saver, time) as held:
                await held.arenew()
                with pytest.raises(ConflictError):
                    await lease(saver, time).aacquire()
                time.passes(2 * TTL)
                other = await lease(saver, time, "the other").aacquire()
                with pytest.raises(ConflictError, match="the other"):
                    await held.arenew()
                await other.arelease()

        with pytest.raises(ConflictError, match="lost"):
            asyncio.run(use())


class TestLostReplies:
    @pytest.mark.parametrize("first", [True, False])
    def test_of_the_taking(self, fake: FakeS3, saver: S3Saver, time: Time, first: bool) -> None:
        if not first:
            lease(saver, time).acquire().release()
        fake.hook = lost_reply()
        with lease(saver, time) as held:
            assert said(fake)["token"] == held.token

    def test_of_a_renewal(self, fake: FakeS3, saver: S3Saver, time: Time) -> None:
        with lease(saver, time) as held:
            fake.hook = lost_reply()
            held.renew()
            held.renew()

    def test_of_the_release(self, fake: FakeS3, saver: S3Saver, time: Time) -> None:
        with lease(saver, time):
            fake.hook = lost_reply()
        assert said(fake)["released"]

    @pytest.mark.parametrize(("later", "reported"), [(0.0, False), (2 * TTL, True)])
    def test_of_the_release_while_another_is_faster(
        self, fake: FakeS3, saver: S3Saver, time: Time, later: float, reported: bool
    ) -> None:
        """Within the ttl, that he has it shows that it was released. Later, nobody can tell."""
        other = lease(make_saver(fake), time, "the faster one")

        def overtake(request: Request[Any]) -> None:
            fake.hook = None
            time.passes(later)
            other.acquire()
            raise client_error("PreconditionFailed", 412, request)

        held = lease(saver, time).acquire()
        fake.hook = once(CompareAndSwap, overtake, "after")
        with pytest.raises(ConflictError, match="lost") if reported else contextlib.nullcontext():
            held.release()
        other.renew()

    def test_of_a_renewal_that_failed(self, fake: FakeS3, saver: S3Saver, time: Time) -> None:
        """It may have had its effect: the next one finds its own writing, and isn't lost."""
        with lease(saver, time) as held:
            fake.hook = lost_reply(refused=False)
            with pytest.raises(StorageUnavailableError):
                held.renew()
            held.renew()

    def test_somebody_elses_412_is_never_taken_for_ones_own(
        self, fake: FakeS3, saver: S3Saver, time: Time
    ) -> None:
        lease(saver, time).acquire().release()
        other = lease(make_saver(fake), time, "the faster one")

        def overtake(request: Request[Any]) -> None:
            other.acquire()

        fake.hook = once(CompareAndSwap, overtake)
        with pytest.raises(ConflictError, match="the faster one"):
            lease(saver, time).acquire()
        other.renew()


@pytest.mark.parametrize("before", ["nothing", "a released one", "one that has ended"])
def test_of_many_at_once_one_gets_it(fake: FakeS3, saver: S3Saver, time: Time, before: str) -> None:
    """At each request of the one, another one tries it too."""
    if before != "nothing":
        old = lease(saver, time).acquire()
        old.release() if before == "a released one" else time.passes(2 * TTL)
    earlier = fake.snapshot()
    for at in range(12):
        here = earlier.snapshot()
        rival_time = Time(here)
        winners: list[Lease] = []
        requests = iter(range(100))

        def hook(moment: Any, request: Request[Any]) -> None:
            if next(requests) == at:  # noqa: B023  # called within the same round
                take(make_saver(here))  # noqa: B023  # called within the same round

        def take(one: S3Saver) -> None:
            with contextlib.suppress(ConflictError):
                winners.append(lease(one, rival_time).acquire())  # noqa: B023  # called within the same round

        here.hook = hook
        take(make_saver(here))
        here.hook = None
        assert len(winners) == 1
        winners[0].renew()
