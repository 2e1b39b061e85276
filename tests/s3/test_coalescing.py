"""Calls that are sent together: who waits for whom, and what becomes of them if it fails."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import pytest

from langgraph_checkpoint_s3 import AccessDeniedError
from langgraph_checkpoint_s3.s3.coalescing import _MOST_YIELDS, MAX_SENDING, Coalescer
from tests.support.hanging import HANG

T = TypeVar("T")

MANY = 50


class Gate:
    """Sends nothing until it is told to, and notes what was sent together."""

    def __init__(self) -> None:
        self.sent: list[list[Any]] = []
        self.waiting: list[asyncio.Future[None]] = []

    async def send(self, items: Sequence[Any]) -> None:
        self.sent.append(list(items))
        self.waiting.append(asyncio.get_running_loop().create_future())
        await self.waiting[-1]


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def waiting(coalescer: Coalescer) -> int:
    """Count the threads whose calls wait."""
    queue = coalescer._queues.get((id(None), "a"))
    return 0 if queue is None else len(queue.waiting)


def fill_threads(pool: ThreadPoolExecutor, coalescer: Coalescer, call: Callable[[int], T]) -> list[Future[T]]:
    """Start as many calls one by one as may be sent at once."""
    futures: list[Future[T]] = []
    for number in range(MAX_SENDING):
        futures.append(pool.submit(call, number))
        while True:
            queue = coalescer._queues.get((id(None), "a"))
            if queue is not None and len(queue.sending) == number + 1 and queue.gathering is None:
                break
    return futures


def start(coalescer: Coalescer, gate: Gate, items: Sequence[Any], key: str = "a") -> list[asyncio.Task[None]]:
    return [asyncio.ensure_future(coalescer.arun(key, item, gate.send)) for item in items]


async def fill(coalescer: Coalescer, gate: Gate, count: int) -> list[asyncio.Task[None]]:
    """Start as many calls one by one as may be sent at once, and then the others, which wait."""
    tasks: list[asyncio.Task[None]] = []
    for number in range(MAX_SENDING):
        tasks += start(coalescer, gate, [number])
        await settle()
    tasks += start(coalescer, gate, range(MAX_SENDING, count))
    await settle()
    return tasks


def run(body: Callable[[Coalescer, Gate], Awaitable[None]]) -> None:
    coalescer = Coalescer()

    async def whole() -> None:
        await body(coalescer, Gate())
        gc.collect()
        assert not coalescer._queues  # nothing is left behind

    asyncio.run(whole())


def test_calls_that_come_together_go_as_one() -> None:
    async def body(coalescer: Coalescer, gate: Gate) -> None:
        tasks = start(coalescer, gate, range(MANY))
        await settle()
        assert gate.sent == [list(range(MANY))]
        assert not any(task.done() for task in tasks)
        gate.waiting[0].set_result(None)
        await settle()
        assert all(task.done() for task in tasks)

    run(body)


def test_calls_that_come_one_after_the_other_are_waited_for() -> None:
    """As long as each turn of the event loop brings another one, but not for ever."""

    async def body(coalescer: Coalescer, gate: Gate) -> None:
        tasks: list[asyncio.Task[None]] = []
        for number in range(3 * _MOST_YIELDS):
            tasks += start(coalescer, gate, [number])
            await asyncio.sleep(0)
        await settle()
        assert 3 <= len(gate.sent) <= 4
        assert [item for items in gate.sent for item in items] == list(range(3 * _MOST_YIELDS))
        for each in gate.waiting:
            each.set_result(None)
        await asyncio.gather(*tasks)

    run(body)


class Alone(int):
    """An item that doesn't wait for others."""

    gathers = False


def test_items_that_do_not_gather_go_at_once() -> None:
    async def body(coalescer: Coalescer, gate: Gate) -> None:
        tasks = start(coalescer, gate, [0, Alone(1), 2, Alone(3), 4])
        await settle()
        assert sorted(gate.sent) == [[0, 2, 4], [1], [3]]
        many = start(coalescer, gate, [Alone(number) for number in range(MANY)])
        await settle()
        assert len(gate.sent) == MAX_SENDING
        for _ in range(2):
            for each in gate.waiting:
                if not each.done():
                    each.set_result(None)
            await settle()
        assert len(gate.sent) == MAX_SENDING + 1
        await asyncio.gather(*tasks, *many)

    run(body)


def test_the_first_go_at_once_and_the_rest_as_one() -> None:
    async def body(coalescer: Coalescer, gate: Gate) -> None:
        tasks = await fill(coalescer, gate, MANY)
        assert gate.sent == [[number] for number in range(MAX_SENDING)]
        gate.waiting[0].set_result(None)
        await settle()
        assert gate.sent[MAX_SENDING:] == [list(range(MAX_SENDING, MANY))]
        assert [task.done() for task in tasks] == [True] + [False] * (MANY - 1)
        gate.waiting[MAX_SENDING].set_result(None)
        await settle()
        assert [task.done() for task in tasks] == [True] + [False] * (MAX_SENDING - 1) + [True] * (
            MANY - MAX_SENDING
        )
        for each in gate.waiting[1:MAX_SENDING]:
            each.set_result(None)
        await asyncio.gather(*tasks)

    run(body)


@pytest.mark.parametrize("turns", range(6))
def test_the_others_are_sent_where_the_leader_is_cancelled_before_it_sends(turns: int) -> None:
    async def body(coalescer: Coalescer, gate: Gate) -> None:
        tasks = start(coalescer, gate, range(4))
        for _ in range(turns):
            await asyncio.sleep(0)
        tasks[0].cancel()
        late = start(coalescer, gate, ["late"])
        await settle()
        for each in gate.waiting:
            if not each.done():
                each.set_result(None)
        found = await asyncio.gather(*tasks, *late, return_exceptions=True)
        assert [isinstance(each, asyncio.CancelledError) for each in found] == [True] + [False] * 4
        assert {1, 2, 3, "late"} <= {item for items in gate.sent for item in items}

    run(body)


def test_other_keys_have_lanes_of_their_own() -> None:
    async def body(coalescer: Coalescer, gate: Gate) -> None:
        tasks = await fill(coalescer, gate, MAX_SENDING) + start(coalescer, gate, ["other"], "b")
        await settle()
        assert gate.sent[-1] == ["other"]
        for each in gate.waiting:
            each.set_result(None)
        await asyncio.gather(*tasks)

    run(body)


def test_an_error_is_that_of_all_that_were_sent_together_and_of_no_other() -> None:
    async def body(coalescer: Coalescer, gate: Gate) -> None:
        tasks = await fill(coalescer, gate, MAX_SENDING + 3)
        gate.waiting[0].set_result(None)
        await settle()
        cause = ValueError("cause")
        error = AccessDeniedError("no", action="s3:PutObject", key="k")
        error.__cause__ = cause
        gate.waiting[MAX_SENDING].set_exception(error)
        for each in gate.waiting[1:MAX_SENDING]:
            each.set_result(None)
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert found[:MAX_SENDING] == [None] * MAX_SENDING
        errors = [each for each in found[MAX_SENDING:] if isinstance(each, AccessDeniedError)]
        assert len({id(each) for each in errors}) == 3
        for told in errors:
            assert (str(told), told.action, told.__cause__) == (str(error), "s3:PutObject", cause)
        again = start(coalescer, gate, ["again"])  # the lane is free
        await settle()
        gate.waiting[-1].set_result(None)
        await asyncio.gather(*again)

    run(body)


def test_who_is_cancelled_in_the_queue_is_not_sent() -> None:
    async def body(coalescer: Coalescer, gate: Gate) -> None:
        tasks = await fill(coalescer, gate, MAX_SENDING + 3)
        tasks[MAX_SENDING].cancel()
        gate.waiting[0].set_result(None)  # before the cancelled one has noticed
        await settle()
        assert gate.sent[MAX_SENDING:] == [[MAX_SENDING + 1, MAX_SENDING + 2]]
        for each in gate.waiting[1:]:
            each.set_result(None)
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [isinstance(each, asyncio.CancelledError) for each in found] == [
            number == MAX_SENDING for number in range(MAX_SENDING + 3)
        ]

    run(body)


def test_the_others_are_sent_where_who_sends_them_is_cancelled() -> None:
    async def body(coalescer: Coalescer, gate: Gate) -> None:
        tasks = await fill(coalescer, gate, MAX_SENDING + 3)
        gate.waiting[0].set_result(None)
        await settle()
        tasks[MAX_SENDING].cancel()
        await settle()
        assert gate.sent[MAX_SENDING:] == [
            [MAX_SENDING, MAX_SENDING + 1, MAX_SENDING + 2],
            [MAX_SENDING + 1, MAX_SENDING + 2],
        ]
        for each in gate.waiting:
            if not each.done():
                each.set_result(None)
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [number for number, each in enumerate(found) if each is not None] == [MAX_SENDING]

    run(body)


def test_the_turn_goes_on_where_who_has_it_is_cancelled_before_he_knows() -> None:
    async def body(coalescer: Coalescer, gate: Gate) -> None:
        tasks = await fill(coalescer, gate, MAX_SENDING + 2)
        gate.waiting[0].set_result(None)
        for _ in range(5):
            if any(queue.waiting for queue in coalescer._queues.values()):
                await asyncio.sleep(0)
        tasks[MAX_SENDING].cancel()  # it leads, and hasn't run since
        await settle()
        assert gate.sent[-1] == [MAX_SENDING + 1]
        for each in gate.waiting:
            if not each.done():
                each.set_result(None)
        await asyncio.gather(*tasks, return_exceptions=True)

    run(body)


def test_the_queue_moves_up_where_all_of_a_batch_are_cancelled() -> None:
    async def body(coalescer: Coalescer, gate: Gate) -> None:
        def cancel() -> None:
            for task in tasks[MAX_SENDING:]:
                task.cancel()

        tasks = await fill(coalescer, gate, MAX_SENDING + 2)
        gate.waiting[0].set_result(None)  # hands the queue to the two that wait,
        late = start(coalescer, gate, ["late"])  # behind whom another one comes,
        asyncio.get_running_loop().call_soon(cancel)  # before they know of it
        await settle()
        assert gate.sent[-1] == ["late"]
        for each in gate.waiting:
            if not each.done():
                each.set_result(None)
        await asyncio.gather(*tasks, *late, return_exceptions=True)

    run(body)


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_cancelled_or_fails_each_other_call_is_sent_once_it_returns(seed: int) -> None:
    dice = random.Random(seed)

    async def body(coalescer: Coalescer, _: Gate) -> None:
        stored: set[int] = set()

        async def send(items: Sequence[int]) -> None:
            for _ in range(dice.randrange(4)):
                await asyncio.sleep(0)
            if dice.random() < 0.2:
                raise AccessDeniedError("no")
            stored.update(items)

        tasks: list[asyncio.Task[None]] = []
        for number in range(200):
            tasks.append(asyncio.ensure_future(coalescer.arun("a", number, send)))
            if dice.random() < 0.3:
                dice.choice(tasks).cancel()
            if dice.random() < 0.3:
                await asyncio.sleep(0)
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert {number for number, each in enumerate(found) if each is None} <= stored
        assert all(
            each is None or isinstance(each, (AccessDeniedError, asyncio.CancelledError)) for each in found
        )

    run(body)


def test_in_threads_each_call_returns_when_its_own_is_stored() -> None:
    coalescer = Coalescer()
    first, lock = threading.Semaphore(0), threading.Lock()
    stored: list[list[int]] = []

    def send(items: Sequence[int]) -> None:
        if items[0] < MAX_SENDING and len(items) == 1:
            first.acquire()
        with lock:
            stored.append(list(items))

    def call(number: int) -> bool:
        coalescer.run("a", number, send)
        with lock:
            return any(number in items for items in stored)

    with ThreadPoolExecutor(MANY) as pool:
        early = fill_threads(pool, coalescer, call)
        late = [pool.submit(call, number) for number in range(MAX_SENDING, MANY)]
        while waiting(coalescer) < MANY - MAX_SENDING:
            pass
        first.release(MAX_SENDING)
        assert all(each.result(HANG) for each in early + late)
    assert sorted(map(len, stored)) == [1] * MAX_SENDING + [MANY - MAX_SENDING]
    gc.collect()
    assert not coalescer._queues


def test_in_threads_the_others_are_sent_where_who_sends_them_is_stopped() -> None:
    """Ctrl-C reaches one thread; the rest of its batch must not hang."""
    coalescer = Coalescer()
    gate = threading.Event()
    sent: list[list[int]] = []

    def send(items: Sequence[int]) -> None:
        gate.wait()
        sent.append(list(items))
        if items[0] >= MAX_SENDING and len(sent) == MAX_SENDING + 1:
            raise KeyboardInterrupt

    def call(number: int) -> type[BaseException] | None:
        try:
            coalescer.run("a", number, send)
        except BaseException as error:  # noqa: BLE001  # Ctrl-C, too
            return type(error)
        return None

    with ThreadPoolExecutor(MAX_SENDING + 3) as pool:
        futures = fill_threads(pool, coalescer, call)
        futures += [pool.submit(call, number) for number in range(MAX_SENDING, MAX_SENDING + 3)]
        while waiting(coalescer) < 3:
            pass
        gate.set()
        found = [future.result(60) for future in futures]
    assert found.count(KeyboardInterrupt) <= 1
    assert {number for items in sent for number in items} == set(range(MAX_SENDING + 3))
    gc.collect()
    assert not coalescer._queues
