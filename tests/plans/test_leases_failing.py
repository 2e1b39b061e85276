"""A taking of a lease that fails on its way keeps nobody out by what it wrote, and can be tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from langgraph_checkpoint_s3 import ConflictError, Lease, S3Saver, StorageUnavailableError
from langgraph_checkpoint_s3.s3.requests import CompareAndSwap, Request
from tests.plans.leasing import KEY, TTL, Time, lease, said, time
from tests.support import inside
from tests.support.fake_s3 import FakeS3, client_error
from tests.support.fake_store import make_saver

__all__ = ["time"]

REQUESTS = 5
"""Requests of an acquisition that also checks if the store honours conditions."""
ERRORS: dict[str, Callable[[Request[Any]], BaseException]] = {
    "500": lambda request: client_error("InternalError", 500, request),
    "403": lambda request: client_error("AccessDenied", 403, request),
    "Ctrl-C": lambda _: KeyboardInterrupt(),
    "cancelled": lambda _: asyncio.CancelledError(),
}


def take(held: Lease, asynchronous: bool) -> None:
    if asynchronous:
        asyncio.run(held.aacquire())
    else:
        held.acquire()


class Failing:
    """A hook: the n-th of a taking's requests fails, before or after its effect."""

    def __init__(self, number: int, moment: str, error: Callable[[Request[Any]], BaseException]) -> None:
        self.left = number
        self.moment = moment
        self.error = error
        self.done = False

    def __call__(self, moment: str, request: Request[Any]) -> None:
        if moment == self.moment and not self.done:
            self.left -= 1
            if self.left < 0:
                self.done = True
                raise self.error(request)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("number", range(REQUESTS))
def test_each_request_of_a_taking_may_fail(
    fake: FakeS3, saver: S3Saver, time: Time, number: int, moment: str, error: str, asynchronous: bool
) -> None:
    mine = lease(saver, time)
    failing = Failing(number, moment, ERRORS[error])
    fake.hook = failing
    expected = (KeyboardInterrupt, asyncio.CancelledError, StorageUnavailableError, PermissionError)
    with pytest.raises(expected):
        take(mine, asynchronous)
    assert failing.done
    fake.hook = None
    assert (mine.remaining, mine.lost) == (0, False)
    with pytest.raises(ConflictError, match="isn't held"):
        mine.check()
    assert KEY not in fake.objects or said(fake)["released"]
    other = lease(make_saver(fake), time, "another").acquire()
    other.release()
    take(mine, asynchronous)
    assert mine.remaining == TTL
    assert mine.token > other.token


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_one_that_took_long_and_cannot_be_renewed_is_given_back(
    fake: FakeS3, saver: S3Saver, time: Time, asynchronous: bool
) -> None:
    inside.shared(saver).compares = True
    swaps = []

    def slow(moment: str, request: Request[Any]) -> None:
        if isinstance(request, CompareAndSwap) and moment == "before":
            swaps.append(request)
            time.passes(TTL / 2)
            if len(swaps) == 2:
                raise client_error("InternalError", 500, request)

    fake.hook = slow
    mine = lease(saver, time)
    with pytest.raises(StorageUnavailableError):
        take(mine, asynchronous)
    fake.hook = None
    assert said(fake)["released"]
    take(mine, asynchronous)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_where_no_thread_can_renew_it_is_given_back(
    fake: FakeS3, saver: S3Saver, time: Time, monkeypatch: pytest.MonkeyPatch, asynchronous: bool
) -> None:
    mine = lease(saver, time)
    mine._settings = type(mine._settings).of(TTL, 0.0, "me", auto_renew=True)

    def refuse(*_: Any, **__: Any) -> None:
        for each in _:
            if asyncio.iscoroutine(each):
                each.close()
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr("threading.Thread.start", refuse)
        patch.setattr("langgraph_checkpoint_s3.lease.asyncio.create_task", refuse)
        with pytest.raises(RuntimeError):
            take(mine, asynchronous)
    assert said(fake)["released"]
    lease(saver, time, "another").acquire().release()


def test_what_cannot_be_given_back_either_can_be_taken_by_the_same_lease(
    fake: FakeS3, saver: S3Saver, time: Time
) -> None:
    mine = lease(saver, time)
    seen = []

    def down(moment: str, request: Request[Any]) -> None:
        seen.append(type(request))
        if CompareAndSwap in seen and moment == "after":
            raise client_error("InternalError", 500, request)

    fake.hook = down
    with pytest.raises(StorageUnavailableError):
        mine.acquire()
    fake.hook = None
    assert not said(fake)["released"]
    with pytest.raises(ConflictError, match="me holds"):
        lease(saver, time, "another").acquire()
    assert mine.acquire().remaining == TTL


def test_where_the_store_is_down_nothing_more_is_asked(fake: FakeS3, saver: S3Saver, time: Time) -> None:
    fake.hook = Failing(0, "before", ERRORS["500"])
    with fake.counted() as count, pytest.raises(StorageUnavailableError):
        lease(saver, time).acquire()
    assert count.kinds == {"GetWithAge": 1}


def test_another_holders_lease_is_left_alone(fake: FakeS3, saver: S3Saver, time: Time) -> None:
    """The taking fails after somebody else was faster."""
    other = lease(make_saver(fake), time, "the faster one")

    def overtake(moment: str, request: Request[Any]) -> None:
        if isinstance(request, CompareAndSwap) and moment == "before":
            fake.hook = None
            other.acquire()
            raise client_error("InternalError", 500, request)

    fake.hook = overtake
    with pytest.raises(StorageUnavailableError):
        lease(saver, time).acquire()
    other.renew()
    assert said(fake)["holder"] == "the faster one"


def test_in_a_forked_process_it_is_not_held(saver: S3Saver, time: Time) -> None:
    held = lease(saver, time).acquire()
    held._lock.acquire()  # as a thread of the parent's might have
    held.after_fork()
    assert held.remaining == 0
    with pytest.raises(ConflictError, match="forked from"):
        held.check()
    with pytest.raises(ConflictError, match="forked from"):
        held.renew()
    held.release()
