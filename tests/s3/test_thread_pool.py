"""Threads of a saver: each operation has its share, none is kept for nothing, and a cancelled plan stops."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import time
import weakref
from typing import Any
from unittest.mock import MagicMock

import pytest

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.plans.plan import Plan, ask, ask_all
from langgraph_checkpoint_s3.s3.coalescing import MAX_SENDING, Coalescer
from langgraph_checkpoint_s3.s3.requests import AbortUpload, GetObject
from langgraph_checkpoint_s3.s3.thread_pool import Threads
from tests.support import inside
from tests.support.hanging import HANG

NAME = "langgraph-checkpoint-s3"


class Client:
    """A boto3 client whose answers for keys that begin with `slow` wait for a gate."""

    def __init__(self) -> None:
        self.meta = MagicMock(endpoint_url="http://s3", region_name="here")
        self.gate = threading.Event()
        self.lock = threading.Lock()
        self.keys: list[str] = []
        self.now = self.most = 0

    def get_object(self, **arguments: Any) -> Any:
        key: str = arguments["Key"]
        with self.lock:
            self.keys.append(key)
            self.now += 1
            self.most = max(self.most, self.now)
        if key.startswith("slow"):
            assert self.gate.wait(60)
        with self.lock:
            self.now -= 1
        return {"ETag": '"e"', "Body": MagicMock(read=lambda: b"data", __enter__=lambda body: body)}

    def abort_multipart_upload(self, **arguments: Any) -> Any:
        self.keys.append("abort")
        return {}

    def reached(self, count: int) -> None:
        """Wait until so many calls have been made."""
        until = time.monotonic() + 60
        while len(self.keys) < count and time.monotonic() < until:
            time.sleep(0.001)
        assert len(self.keys) >= count


@pytest.fixture
def client() -> Client:
    return Client()


def reads(prefix: str, count: int) -> Plan[list[Any]]:
    return ask_all([GetObject(f"{prefix}{number}") for number in range(count)])


def test_closing_while_a_thread_is_being_started(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, started = Threads(2, "test"), threading.Event()
    begin = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        pool.close()  # by somebody else, just before it runs
        begin(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    pool.start(started.set)
    monkeypatch.undo()
    assert started.wait(HANG)
    pool.close()


def test_an_operation_does_not_wait_for_another_ones_batch(client: Client) -> None:
    with S3Saver("bucket", client=client, max_concurrency=4) as saver:
        thread = threading.Thread(target=inside.store(saver).run, args=(reads("slow", 200), "test"))
        thread.start()
        client.reached(4)
        assert len(inside.store(saver).run(reads("fast", 3), "test")) == 3
        assert len([key for key in client.keys if key.startswith("slow")]) == 4
        client.gate.set()
        thread.join()
        assert len(client.keys) == 203


def test_each_operation_has_max_concurrency_requests_at_once(client: Client) -> None:
    with S3Saver("bucket", client=client, max_concurrency=4) as saver:
        threads = [
            threading.Thread(target=inside.store(saver).run, args=(reads("slow", 10), "test"))
            for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        client.reached(12)
        client.gate.set()
        for thread in threads:
            thread.join()
        assert client.most == 12


def test_where_no_thread_is_left_the_caller_does_all_of_it(client: Client) -> None:
    with S3Saver("bucket", client=client, max_concurrency=8) as saver:
        inside.store(saver)._threads._most = 2
        thread = threading.Thread(target=inside.store(saver).run, args=(reads("slow", 3), "test"))
        thread.start()
        client.reached(3)
        assert len(inside.store(saver).run(reads("fast", 20), "test")) == 20
        client.gate.set()
        thread.join()


def test_single_requests_need_no_thread(client: Client) -> None:
    with S3Saver("bucket", client=client) as saver:
        for number in range(5):
            inside.store(saver).run(ask(GetObject(f"{number}")), "test")
        assert not inside.store(saver)._threads._workers


def test_idle_threads_end_and_come_back() -> None:
    pool = Threads(3, "idle", idle=0.01)
    assert pool.each(str, range(9), 4) == ([str(each) for each in range(9)], None)
    until = time.monotonic() + 60
    while pool._workers and time.monotonic() < until:
        time.sleep(0.001)
    assert not pool._workers
    assert not [each for each in threading.enumerate() if each.name.startswith("idle-")]
    assert pool.each(str, range(9), 4) == ([str(each) for each in range(9)], None)
    pool.close()


def test_threads_are_used_again() -> None:
    pool = Threads(3, "again", idle=60)
    for _ in range(20):
        pool.each(str, range(2), 2)
    assert pool._made <= 3
    pool.close()
    assert not [each for each in threading.enumerate() if each.name.startswith("again-")]


def test_where_no_thread_can_be_started_all_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Any) -> None:
        raise RuntimeError("can't start new thread")

    pool = Threads(3, "none")
    monkeypatch.setattr("threading.Thread.start", refuse)
    assert pool.each(str, range(5), 4) == ([str(each) for each in range(5)], None)
    assert not pool._workers


def test_idle_threads_do_not_hold_up_the_processs_end() -> None:
    program = (
        "from langgraph_checkpoint_s3.s3.thread_pool import Threads\n"
        "print(Threads(4, 'x', idle=3600).each(str, range(5), 5)[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, timeout=60, check=True, text=True
    )
    assert (done.stdout, done.stderr) == ("['0', '1', '2', '3', '4']\n", "")


class TestCancelling:
    """The asyncio methods run boto3 in threads, since a client was handed in."""

    def run(self, saver: S3Saver, plan: Plan[Any], client: Client, calls: int) -> None:
        """Run a plan, cancel it once so many calls are made, and let those be answered."""

        async def use() -> None:
            task = asyncio.ensure_future(inside.store(saver).arun(plan, "test"))
            await asyncio.to_thread(client.reached, calls)
            task.cancel()
            await asyncio.sleep(0.01)
            assert not task.done(), "it is settled first"
            client.gate.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            made = len(client.keys)
            await asyncio.sleep(0.02)
            assert len(client.keys) == made, "it went on"

        asyncio.run(use())

    def test_a_plan_stops_at_its_next_step(self, client: Client) -> None:
        seen: list[str] = []

        def plan() -> Plan[None]:
            try:
                for step in range(100):
                    yield from ask(GetObject(f"slow-{step}"))
            except asyncio.CancelledError:
                seen.append("cancelled")
                yield from ask(AbortUpload("k", "id"))
                seen.append("aborted")
                raise

        with S3Saver("bucket", client=client) as saver:
            self.run(saver, plan(), client, 1)
        assert seen == ["cancelled", "aborted"]
        assert client.keys == ["slow-0", "abort"]

    def test_of_a_batch_the_rest_is_not_sent(self, client: Client) -> None:
        with S3Saver("bucket", client=client, max_concurrency=4) as saver:
            self.run(saver, reads("slow", 200), client, 4)
        assert len(client.keys) == 4

    def test_what_waits_for_a_retry_stops_at_once(self, client: Client) -> None:
        class Failing(Client):
            def get_object(self, **arguments: Any) -> Any:
                self.keys.append(arguments["Key"])
                error: Any = type("Broken", (OSError,), {})
                if len(self.keys) > 50:
                    raise AssertionError("it tries on")
                return {"ETag": '"e"', "Body": MagicMock(read=MagicMock(side_effect=error()))}

        failing = Failing()

        async def use(saver: S3Saver) -> None:
            task = asyncio.ensure_future(inside.store(saver).arun(ask(GetObject("k")), "test"))
            await asyncio.to_thread(failing.reached, 3)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        with S3Saver("bucket", client=failing, max_attempts=100) as saver:
            asyncio.run(use(saver))
        assert len(failing.keys) < 50

    def test_many_at_once_do_not_wait_for_the_loops_own_threads(self, client: Client) -> None:
        async def use(saver: S3Saver) -> None:
            tasks = [
                asyncio.ensure_future(inside.store(saver).arun(ask(GetObject(f"slow{n}")), "test"))
                for n in range(50)
            ]
            await asyncio.to_thread(client.reached, 50)
            client.gate.set()
            await asyncio.gather(*tasks)

        with S3Saver("bucket", client=client) as saver:
            asyncio.run(use(saver))
        assert client.most == 50


@pytest.mark.filterwarnings("ignore:coroutine")
def test_loops_that_are_closed_in_the_midst_of_calls_leave_nothing() -> None:
    coalescer = Coalescer()
    loops = []
    for _ in range(40):
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda *_: None)  # of tasks that were pending, as is meant here

        async def never(items: Any) -> None:
            await asyncio.get_running_loop().create_future()

        tasks = [loop.create_task(coalescer.arun("a", number, never)) for number in range(MAX_SENDING + 2)]
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        loops.append(weakref.ref(loop))
        del loop, tasks
    gc.collect()
    assert not [each for each in loops if each() is not None]
    assert not coalescer._queues
