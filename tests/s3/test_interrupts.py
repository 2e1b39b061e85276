"""Ctrl-C at every step of what waits for threads: nothing hangs, nothing is held, and the saver goes on."""

from __future__ import annotations

import linecache
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any
from unittest.mock import MagicMock

import pytest
from typing_extensions import Self

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.plans.plan import Plan, ask, ask_all
from langgraph_checkpoint_s3.s3 import coalescing, store, thread_pool
from langgraph_checkpoint_s3.s3.coalescing import Coalescer
from langgraph_checkpoint_s3.s3.requests import AbortUpload, Body, GetObject
from langgraph_checkpoint_s3.s3.thread_pool import Threads
from tests.support import inside

HERE = {Path(module.__file__ or "").resolve() for module in (store, coalescing, thread_pool)}


class Interrupt:
    """Raises `KeyboardInterrupt` before the n-th line that this thread runs in the modules that wait."""

    def __init__(self, number: int) -> None:
        self.left = number
        self.where = ""

    def __enter__(self) -> Self:
        self.before = sys.gettrace()
        sys.settrace(self.trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self.before)

    def trace(self, frame: FrameType, event: str, _: Any) -> Any:
        if Path(frame.f_code.co_filename) not in HERE:
            return None
        # A `with` is traced again when it is left, before its lock is released: no signal is looked at there.
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).lstrip()
        if event == "line" and not self.where and not line.startswith("with "):
            self.left -= 1
            if self.left < 0:
                self.where = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
                raise KeyboardInterrupt
        return self.trace


def at_every_line(body: Callable[[], None], check: Callable[[str], None]) -> int:
    """Run a body with an interrupt at its first line, then at its second, and so on; how many there were."""
    for number in range(10_000):
        with Interrupt(number) as interrupt:
            try:
                body()
            except KeyboardInterrupt:
                pass
            else:
                # Who is interrupted while he cleans up may have come to his end all the same.
                if not interrupt.where:
                    return number
        check(interrupt.where)
    raise AssertionError("it never ends")


def test_a_batch_can_be_interrupted_at_every_line() -> None:
    pool = Threads(8, "interrupted")
    under_way: set[int] = set()
    lock = threading.Lock()

    def call(item: int) -> int:
        with lock:
            under_way.add(item)
        threading.Event().wait(0.0005)
        with lock:
            under_way.discard(item)
        return item

    def check(where: str) -> None:
        assert not under_way, f"interrupted at {where}, it ended before its calls did"
        answers, failure = pool.each(call, range(6), 4)
        assert (answers, failure) == (list(range(6)), None), where

    def body() -> None:
        _, failure = pool.each(call, range(12), 4)
        if failure is not None:
            raise failure

    assert at_every_line(body, check) > 90
    closing = threading.Thread(target=pool.close, daemon=True)
    closing.start()
    closing.join(60)
    assert not closing.is_alive()


def test_a_joint_call_can_be_interrupted_at_every_line() -> None:
    """While fewer calls are under way than may be, and while it waits in a queue."""
    coalescer = Coalescer()
    stored: list[int] = []

    def send(items: Sequence[int]) -> None:
        stored.extend(items)

    def check(where: str) -> None:
        left = [queue for queue in coalescer._queues.values() if queue.sending or queue.waiting]
        assert not left, f"interrupted at {where}, it is still in its queue"

    assert at_every_line(lambda: coalescer.run("a", 1, send), check) > 20


def test_a_call_that_waits_in_a_queue_can_be_interrupted_at_every_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(coalescing, "MAX_SENDING", 1)
    coalescer = Coalescer()

    def body() -> None:
        gate, begun = threading.Event(), threading.Semaphore(0)
        stored: list[Any] = []

        def slow(items: Sequence[Any]) -> None:
            begun.release()
            gate.wait()
            stored.extend(items)

        others = [threading.Thread(target=coalescer.run, args=("a", number, slow)) for number in range(1)]
        for thread in others:
            thread.start()
        for _ in others:
            begun.acquire()
        late = threading.Thread(target=coalescer.run, args=("a", "late", stored.extend))

        def open_up() -> None:
            late.start()
            while sum(len(queue.waiting) for queue in coalescer._queues.values()) < 2 and not left.is_set():
                pass
            gate.set()

        left = threading.Event()
        opener = threading.Thread(target=open_up)
        opener.start()
        try:
            coalescer.run("a", "mine", stored.extend)
        finally:
            left.set()
            for thread in (opener, *others, late):
                thread.join(60)
                assert not thread.is_alive(), "somebody waits for ever"
            assert {0, "late"} <= set(stored)

    def check(where: str) -> None:
        left = [queue for queue in coalescer._queues.values() if queue.sending or queue.waiting]
        assert not left, f"interrupted at {where}, it is still in its queue"

    assert at_every_line(body, check) > 20


class Client:
    """A boto3 client that raises what it is told to at its n-th call."""

    def __init__(self) -> None:
        self.meta = MagicMock(endpoint_url="http://s3", region_name="here")
        self.calls: list[str] = []
        self.fails_at = -1
        self.lock = threading.Lock()

    def get_object(self, **arguments: Any) -> Any:
        with self.lock:
            self.calls.append(arguments["Key"])
            if len(self.calls) - 1 == self.fails_at:
                raise KeyboardInterrupt
        return {"ETag": '"e"', "Body": MagicMock(read=lambda: b"data", __enter__=lambda body: body)}

    def abort_multipart_upload(self, **arguments: Any) -> Any:
        self.calls.append("abort")
        return {}


@pytest.fixture
def client() -> Client:
    return Client()


def reading(count: int) -> Plan[int]:
    """A plan that reads, and cleans up if it is interrupted."""
    try:
        return len((yield from ask_all([GetObject(f"{number}") for number in range(count)])))
    except KeyboardInterrupt:
        yield from ask(AbortUpload("k", "id"))
        raise


@pytest.mark.parametrize("concurrency", [1, 2, 16])
@pytest.mark.parametrize("number", range(6))
def test_a_client_that_is_interrupted_ends_the_batch_and_the_plan_cleans_up(
    client: Client, number: int, concurrency: int
) -> None:
    client.fails_at = number
    with S3Saver("bucket", client=client, max_concurrency=concurrency) as saver:
        with pytest.raises(KeyboardInterrupt):
            inside.store(saver).run(reading(6), "test")
        assert client.calls[-1] == "abort"
        assert inside.store(saver).run(reading(6), "test") == 6


def test_an_operation_can_be_interrupted_at_every_line(client: Client) -> None:
    with S3Saver("bucket", client=client, cache_bytes=0, max_concurrency=3) as saver:
        assert inside.store(saver).run(reading(4), "test") == 4

        def check(where: str) -> None:
            assert inside.store(saver).run(reading(4), "test") == 4, where
            assert inside.store(saver).run(ask(GetObject("k")), "test") == Body(b"data", "e", 4)

        assert at_every_line(lambda: inside.store(saver).run(reading(4), "test"), check) > 50  # type: ignore[arg-type]  # a plan of the test
