"""The limit of a request in wall-clock time: what it comes to, and how coroutines keep it."""

from __future__ import annotations

import asyncio
import math

import pytest

from langgraph_checkpoint_s3.request_timeout import RATE, LimitTimer, TimeLimit, TooSlowError, limit_requests
from langgraph_checkpoint_s3.s3.bucket_settings import VERSIONING, GetSetting
from langgraph_checkpoint_s3.s3.deadline import IdleDeadline, allowance
from langgraph_checkpoint_s3.s3.requests import (
    CompleteUpload,
    CopyObject,
    DeleteObjects,
    GetObject,
    HeadObject,
    ListObjects,
    PutObject,
    UploadPart,
)

SECOND = bytes(RATE)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_attempt_has_its_time_and_a_second_for_what_came() -> None:
    clock = Clock()
    limit = TimeLimit(5, 2, clock=clock)
    assert limit.remaining == math.inf
    limit.start()
    assert limit.remaining == 7
    clock.now += 6
    limit.add_received(RATE * 3)
    assert limit.remaining == 4
    limit.count_with(lambda: RATE)
    assert limit.remaining == 5
    clock.now += 6
    assert limit.remaining < 0
    limit.stop()
    assert limit.remaining == math.inf
    limit.start()
    assert limit.remaining == 7, "each attempt has all of it"


def test_a_trickle_stretches_nothing() -> None:
    clock = Clock()
    limit = TimeLimit(3, clock=clock)
    limit.start()
    while limit.remaining > 0:
        clock.now += 0.5
        limit.add_received(1)
    assert clock.now == 3.5
    assert "3.5 s, with 7 bytes" in str(limit.expire())


def test_where_there_is_less_patience_that_counts() -> None:
    clock = Clock()
    patience = IdleDeadline(4, clock)
    limit = TimeLimit(25, 1, cap=patience.remaining, clock=clock)
    limit.start()
    assert limit.remaining == 5
    clock.now += 3
    patience.answered()  # another request of the batch: this one may take longer
    assert limit.remaining == 5
    clock.now += 6
    assert limit.remaining == -1


@pytest.mark.parametrize(
    ("request_", "seconds"),
    [
        (PutObject("k", SECOND * 8), 8),
        (UploadPart("k", "id", 1, memoryview(SECOND * 8)), 8),
        (CompleteUpload("k", "id", (), SECOND), 300),
        (CopyObject("k", "l"), 300),
        (ListObjects("p", max_keys=64), 2),
        (DeleteObjects(("k",) * 1000), 31.25),
        (HeadObject("k"), 0),
        (GetObject("k"), 0),
        (GetSetting(VERSIONING), 31.25),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_is_large_or_moved_by_the_store_has_more_time(request_: object, seconds: float) -> None:
    assert allowance(request_) == seconds  # type: ignore[arg-type]  # any request will do


def test_what_is_awaited_is_cut() -> None:
    async def wait() -> None:
        limit = TimeLimit(0.01)
        with limit_requests(limit):
            async with LimitTimer(limit):
                limit.start()
                await asyncio.sleep(3600)

    with pytest.raises(TooSlowError, match="cut after"):
        asyncio.run(wait())


def test_between_attempts_nothing_is_cut() -> None:
    async def wait() -> None:
        limit = TimeLimit(0.01)
        async with LimitTimer(limit):
            limit.start()
            limit.stop()
            await asyncio.sleep(0.05)

    asyncio.run(wait())


def test_who_is_cancelled_is_cancelled() -> None:
    async def wait() -> None:
        limit = TimeLimit(3600)
        async with LimitTimer(limit):
            limit.start()
            await asyncio.sleep(3600)

    async def both() -> None:
        task = asyncio.ensure_future(wait())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(both())


async def cut() -> None:
    limit = TimeLimit(0.01)
    async with LimitTimer(limit):
        limit.start()
        await asyncio.sleep(3600)


def test_after_a_cut_the_task_can_wait_again() -> None:
    async def wait() -> None:
        for _ in range(2):
            with pytest.raises(TooSlowError):
                await cut()
        await asyncio.sleep(0)
        task = asyncio.current_task()
        assert getattr(task, "cancelling", lambda: 0)() == 0

    asyncio.run(wait())
