"""Calls that admin plans make beside S3 requests: the thread or loop they run on, and cancellation."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from functools import partial
from typing import Any, Literal
from unittest.mock import MagicMock

import pytest

from langgraph_checkpoint_s3 import CorruptObjectError, S3CheckpointError, S3Saver
from langgraph_checkpoint_s3.admin.calls import (
    call,
    in_caller,
    in_thread,
    next_item,
    report,
    then_close,
)
from langgraph_checkpoint_s3.plans.plan import Plan, before_encoding
from tests.support import inside
from tests.support.hanging import HANG

Driver = Literal["sync", "threads", "native"]
DRIVERS: list[Driver] = ["sync", "threads", "native"]
ASYNC: list[Driver] = ["threads", "native"]


def make_saver(driver: Driver) -> S3Saver:
    """Return a saver whose coroutines run plans in threads, because it was given a client, or on the loop."""
    if driver == "native":
        return S3Saver("bucket")
    return S3Saver("bucket", client=MagicMock(meta=MagicMock(endpoint_url="http://s3", region_name="here")))


def run(driver: Driver, plan: Plan[Any]) -> Any:
    with make_saver(driver) as saver:
        if driver == "sync":
            return inside.store(saver).run(plan, "test")
        return asyncio.run(inside.store(saver).arun(plan, "test"))


@pytest.mark.parametrize("driver", DRIVERS)
def test_user_callbacks_run_in_the_callers_thread(driver: Driver) -> None:
    seen: list[tuple[int, int | None, int]] = []

    def idents() -> Iterator[int]:
        yield threading.get_ident()

    def plan() -> Plan[list[Any]]:
        yield from report(None, 0, 0)
        yield from report(lambda done, total: seen.append((done, total, threading.get_ident())), 1, None)
        items = idents()
        return [(yield from next_item(items)), (yield from next_item(items))]

    mine = threading.get_ident()
    assert run(driver, plan()) == [mine, None]
    assert seen == [(1, None, mine)]


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_file_is_used_in_a_thread_of_a_coroutines(driver: Driver) -> None:
    used = run(driver, in_thread(threading.get_ident))
    assert (used == threading.get_ident()) is (driver == "sync")


@pytest.mark.parametrize("driver", DRIVERS)
def test_coroutines_are_awaited_on_the_callers_loop(driver: Driver) -> None:
    async def loop_of() -> Any:
        return asyncio.get_running_loop()

    async def use(saver: S3Saver) -> None:
        found = await inside.store(saver).arun(call(lambda: None, loop_of), "test")
        assert found is asyncio.get_running_loop()

    with make_saver(driver) as saver:
        if driver == "sync":
            assert inside.store(saver).run(call(lambda: "function", loop_of), "test") == "function"
        else:
            asyncio.run(use(saver))


def test_large_checkpoints_are_encoded_off_the_loop() -> None:
    def plan(weight: int) -> Plan[int]:
        yield from before_encoding(weight)
        return threading.get_ident()

    assert run("native", plan(1000)) == threading.get_ident()
    assert run("native", plan(10_000_000)) != threading.get_ident()


@pytest.mark.parametrize("driver", DRIVERS)
def test_only_the_buckets_own_errors_name_it(driver: Driver) -> None:
    def fail() -> None:
        raise CorruptObjectError("damaged", key="member")

    def plan() -> Plan[None]:
        fail()
        yield from in_caller(fail)

    for calling in (in_caller, in_thread):
        with pytest.raises(CorruptObjectError) as caught:
            run(driver, calling(fail))
        assert str(caught.value) == "damaged (at member)"
    with pytest.raises(S3CheckpointError, match="at s3://bucket/member"):
        run(driver, plan())


class File:
    """A file whose use waits for a gate."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.gate = threading.Event()
        self.seen: list[str] = []

    def write(self) -> None:
        self.begun.set()
        assert self.gate.wait(HANG)
        self.seen.append("written")

    def close(self) -> None:
        self.seen.append("closed")


async def cancelled(saver: S3Saver, plan: Plan[Any], begun: threading.Event, gate: threading.Event) -> None:
    """Run a plan, and cancel it twice during a call."""
    task = asyncio.ensure_future(inside.store(saver).arun(plan, "test"))
    await asyncio.to_thread(begun.wait, HANG)
    for _ in range(2):
        task.cancel()
        await asyncio.sleep(0)
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("driver", ASYNC)
def test_a_file_that_is_in_use_is_closed_afterwards(driver: Driver) -> None:
    file = File()
    with make_saver(driver) as saver:
        asyncio.run(cancelled(saver, then_close(in_thread(file.write), file.close), file.begun, file.gate))
    assert file.seen == ["written", "closed"]


@pytest.mark.parametrize("driver", ASYNC)
def test_a_coroutine_is_cancelled_with_the_plan(driver: Driver) -> None:
    file = File()

    async def wait() -> None:
        file.begun.set()
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            file.seen.append("cancelled")
            raise

    def function() -> None:
        raise AssertionError("there is a coroutine")

    waiting: partial[Coroutine[Any, Any, None]] = partial(wait)
    with make_saver(driver) as saver:
        asyncio.run(cancelled(saver, then_close(call(function, waiting), file.close), file.begun, file.gate))
    assert file.seen == ["cancelled", "closed"]


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_file_is_always_closed(driver: Driver) -> None:
    file = File()

    def fail() -> None:
        raise KeyboardInterrupt

    assert run(driver, then_close(in_caller(lambda: 1), file.close)) == 1
    assert file.seen == ["closed"]
    if driver == "sync":  # a loop takes it for its own
        with pytest.raises(KeyboardInterrupt):
            run(driver, then_close(in_caller(fail), file.close))
        assert file.seen == ["closed"] * 2
    abandoned = then_close(in_caller(lambda: 1), file.close)
    next(abandoned)
    file.seen.clear()
    abandoned.close()
    assert file.seen == ["closed"]
