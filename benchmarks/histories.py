"""Time and requests of reads: long threads compared with short ones, and 50 tasks' writes."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from benchmarks.cold import quartiles
from benchmarks.instant import checkpoint_of
from benchmarks.measured import Measured, paired
from benchmarks.served import Served
from langgraph_checkpoint_s3 import S3Saver

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import BaseCheckpointSaver

LIMIT: Final = 20
"""Checkpoints of a page of history."""
_SHORT: Final = {"latest": 10, "by id": 10, "history": 50, "history, before": 50}
"""Length of the short thread that each read is compared with: a page must be full in both."""
TASKS: Final = 50
_TRIPS: Final = 2

Read = Callable[[], Any]


@dataclass(frozen=True)
class Thread:
    """A thread that was created."""

    name: str
    ids: Sequence[str]

    def config(self, checkpoint_id: str | None = None) -> dict[str, Any]:
        """Return the config of the thread, or of one of its checkpoints."""
        named = {"checkpoint_id": checkpoint_id} if checkpoint_id else {}
        return {"configurable": {"thread_id": self.name, "checkpoint_ns": "", **named}}

    @property
    def middle(self) -> dict[str, Any]:
        """The config of the checkpoint in the middle."""
        return self.config(self.ids[len(self.ids) // 2])


def history(served: Served, length: int, latencies: Sequence[float], pairs: int) -> Iterator[Measured]:
    """Yield reads of a long thread by a new saver, compared with those of a short one."""
    bucket = served.bucket()
    threads = {
        count: Thread(name, served.ask("fill", bucket=bucket, thread=name, count=count))
        for count, name in {each: f"thread-{each}" for each in (length, *_SHORT.values())}.items()
    }
    for mode in ("sync", "async"):
        with S3Saver(bucket, endpoint_url=served.endpoint_url, cache_bytes=0) as saver:
            loop = asyncio.new_event_loop()
            for latency in latencies:
                served.ask("latency", milliseconds=latency)
                for what, short in _SHORT.items():
                    ours, other = (
                        _read(saver, threads[count], what, loop if mode == "async" else None)
                        for count in (length, short)
                    )
                    sent = [_counted(served, bucket, read) for read in (ours, other)]
                    found = paired(ours, other, pairs)
                    yield Measured(
                        "history",
                        f"{what}, {latency:g} ms",
                        mode,
                        found.found,
                        found.beside,
                        found.ratio,
                        1.1 if what == "latest" else None,
                        *sent,
                    )
            loop.run_until_complete(saver.aclose())
            loop.close()
    served.ask("latency", milliseconds=0)
    served.ask("drop", bucket=bucket)


def _counted(served: Served, bucket: str, read: Read) -> dict[str, int]:
    """Return the requests of a read, after a first one that connects."""
    read()
    served.requests(bucket)
    read()
    return served.requests(bucket)


def _read(
    saver: BaseCheckpointSaver[Any], thread: Thread, what: str, loop: asyncio.AbstractEventLoop | None
) -> Read:
    config: Any = thread.middle if what == "by id" else thread.config()
    before: Any = thread.middle if what == "history, before" else None
    limit = min(LIMIT, len(thread.ids) // 2)

    async def page() -> None:
        found = [each async for each in saver.alist(config, before=before, limit=limit)]
        assert len(found) == limit

    async def one() -> None:
        assert await saver.aget_tuple(config)

    def blocking() -> None:
        if what.startswith("history"):
            assert len(list(saver.list(config, before=before, limit=limit))) == limit
        else:
            assert saver.get_tuple(config)

    if loop is None:
        return blocking
    return lambda: loop.run_until_complete(page() if what.startswith("history") else one())


def writes(served: Served, latency: float, rounds: int) -> Iterator[Measured]:
    """Yield reads of a checkpoint and 50 tasks' writes by a new saver, in round trips."""
    loop = asyncio.new_event_loop()
    config: Any = {"configurable": {"thread_id": "1", "checkpoint_ns": ""}}
    for how in ("at once", "one by one"):
        bucket = served.bucket()
        with S3Saver(bucket, endpoint_url=served.endpoint_url) as saver:
            where = saver.put(config, checkpoint_of(["question"], 1), {"source": "loop", "step": 0}, {})
            if how == "at once":
                loop.run_until_complete(_write_at_once(saver, where))
            else:
                for task in range(TASKS):
                    saver.put_writes(where, [("results", f"result {task}")], f"task-{task}")
        served.ask("latency", milliseconds=latency)
        for mode in ("sync", "async"):
            with S3Saver(bucket, endpoint_url=served.endpoint_url, cache_bytes=0) as saver:

                def read(saver: S3Saver = saver, mode: str = mode) -> None:
                    found = (
                        saver.get_tuple(config)
                        if mode == "sync"
                        else loop.run_until_complete(saver.aget_tuple(config))
                    )
                    assert found
                    assert len(found.pending_writes or ()) == TASKS

                sent = _counted(served, bucket, read)
                seconds = [_seconds(read) for _ in range(rounds)]
                found = statistics.median(seconds) * 1e3
                trips = quartiles([each * 1e3 / latency for each in seconds])
                what, beside = f"{TASKS} tasks, {how}", _TRIPS * latency
                yield Measured("writes", what, mode, found, beside, trips, float(_TRIPS), sent)
                loop.run_until_complete(saver.aclose())
        served.ask("latency", milliseconds=0)
        served.ask("drop", bucket=bucket)
    loop.close()


async def _write_at_once(saver: S3Saver, where: RunnableConfig) -> None:
    tasks = (
        saver.aput_writes(where, [("results", f"result {task}")], f"task-{task}") for task in range(TASKS)
    )
    await asyncio.gather(*tasks)
    await saver.aclose()


def _seconds(read: Read) -> float:
    began = time.perf_counter()
    read()
    return time.perf_counter() - began
