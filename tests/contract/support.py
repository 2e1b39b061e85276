"""Helpers of the contract tests: checkpoints to store, and coroutines run under blockbuster."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import random
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime, timezone
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from blockbuster import blockbuster_ctx
from langgraph.checkpoint.base import Checkpoint, CheckpointMetadata, CheckpointTuple
from langgraph.checkpoint.base.id import uuid6

from langgraph_checkpoint_s3 import S3Saver
from tests.contract.front import Front
from tests.servers import Server

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from mypy_boto3_s3 import S3Client
    from typing_extensions import Self

T = TypeVar("T")

MIB = 1024 * 1024
TRANSPORT: Any = os.environ.get("S3_TEST_TRANSPORT", "http")
"""The savers' transport."""


class MakeSaver(Protocol):
    """Makes a saver on the test's bucket; the fixture closes it."""

    def __call__(self, **settings: Any) -> S3Saver: ...


class MakeCalls(Protocol):
    """Makes a saver on the test's bucket, to be called by the test's driver."""

    def __call__(self, **settings: Any) -> Calls: ...


@dataclass(frozen=True)
class Place:
    """A bucket on a server, behind the front."""

    server: Server
    front: Front
    bucket: str
    client: S3Client

    def listing(self, prefix: str = "") -> list[str]:
        """All keys in the bucket."""
        return list(self.objects(prefix))

    def objects(self, prefix: str = "") -> dict[str, str]:
        """All keys in the bucket, with their ETags, which tell one content from another."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return {item["Key"]: item["ETag"] for page in pages for item in page.get("Contents", ())}

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """All keys in the bucket, with their objects' sizes."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", ())}

    def read(self, key: str) -> bytes:
        return self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def write(self, key: str, body: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=key, Body=body)

    def uploads(self) -> list[str]:
        """The keys of unfinished multipart uploads."""
        try:
            found = self.client.list_multipart_uploads(Bucket=self.bucket)
        except self.client.exceptions.NoSuchUpload:  # rclone's way of saying none
            return []
        return [upload["Key"] for upload in found.get("Uploads", ())]

    def now(self) -> datetime:
        """The time by the store's clock."""
        return datetime.now(timezone.utc)

    def wait_for_next_second(self) -> None:
        """Return in the next second of the clock: stores tell the time of objects in whole seconds."""
        time.sleep(1.01 - time.time() % 1)

    def finish_restores(self, days: int) -> None:
        """Finish restores from the archive, for this many days. Test servers do so by themselves."""

    def arguments(self, **settings: Any) -> dict[str, Any]:
        """A saver's arguments."""
        return {
            "bucket": self.bucket,
            "endpoint_url": self.front.url,
            "region": self.server.region,
            "transport": TRANSPORT,
            "multipart_threshold": 5 * MIB,  # the least: what goes in parts need not be large
            **settings,
        }


def guarded(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a new loop where nothing may block, the first use of anything included."""
    with blockbuster_ctx():
        return asyncio.run(coroutine)


class Calls:
    """A saver's or an admin's methods, by one of the drivers: the blocking ones, or coroutines on a loop."""

    def __init__(self, saver: Any, *, asynchronous: bool, guard: bool = True) -> None:
        self.saver = saver
        self._guard = guard  # of the whole process: several threads can't put it up at once
        self._loop = asyncio.new_event_loop() if asynchronous else None

    @property
    def asynchronous(self) -> bool:
        return self._loop is not None

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if self._loop is None:
            blocking: Callable[..., Any] = getattr(self.saver, name)
            return blocking
        coroutine_function = getattr(self.saver, f"a{name}")

        def call(*args: Any, **kwargs: Any) -> Any:
            return self.run(coroutine_function(*args, **kwargs))

        return call

    def list(self, *args: Any, **kwargs: Any) -> list[CheckpointTuple]:
        if self._loop is None:
            return list(self.saver.list(*args, **kwargs))

        async def collect() -> list[CheckpointTuple]:
            return [shown async for shown in self.saver.alist(*args, **kwargs)]

        found: list[CheckpointTuple] = self.run(collect())
        return found

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine where nothing may block, the first use of anything included."""
        assert self._loop is not None
        with blockbuster_ctx() if self._guard else contextlib.nullcontext():
            return self._loop.run_until_complete(coroutine)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """Close the loop, as `asyncio.run` does."""
        if self._loop is not None:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.run_until_complete(farewell())
            self._loop.close()


async def farewell() -> None:
    """Give connections that are closing the time that they need: TLS takes leave in round trips.

    aiohttp closes a connection that the server won't keep without waiting for it, and names this
    among its traps ("Graceful Shutdown" in its documentation). What is open, and stays so, still warns.
    """
    selector = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]  # of selector event loops
    for _ in range(1000):
        if len(selector.get_map()) <= 1:  # the loop's own
            break
        await asyncio.sleep(0.01)


def at(thread_id: str = "thread", *, ns: str | None = "", checkpoint_id: str | None = None) -> RunnableConfig:
    """A config; `ns=None` names no namespace."""
    configurable: dict[str, Any] = {"thread_id": thread_id}
    if ns is not None:
        configurable["checkpoint_ns"] = ns
    if checkpoint_id is not None:
        configurable["checkpoint_id"] = checkpoint_id
    return {"configurable": configurable}


def checkpoint(values: dict[str, Any] | None = None, *, checkpoint_id: str | None = None) -> Checkpoint:
    """A checkpoint with these channels."""
    values = {"text": "hello", "number": 1} if values is None else values
    return {
        "v": 4,
        "id": checkpoint_id or str(uuid6(clock_seq=-1)),
        "ts": "2025-01-01T00:00:00+00:00",
        "channel_values": values,
        "channel_versions": dict.fromkeys(values, f"{1:032}.{0:016}"),
        "versions_seen": {},
        "updated_channels": None,
    }


def metadata(step: int = 0, **more: Any) -> CheckpointMetadata:
    made: dict[str, Any] = {"source": "loop", "step": step, "parents": {}, **more}
    return made  # type: ignore[return-value]  # a plain dict


@functools.lru_cache(8)
def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that no codec makes smaller."""
    return random.Random(seed).randbytes(size)


def build_thread(
    saver: S3Saver | Calls, thread_id: str = "thread", *, ns: str = "", checkpoints: int = 3, tasks: int = 2
) -> list[RunnableConfig]:
    """Put a chain of checkpoints, each with some tasks' writes; the configs, oldest first."""
    config = at(thread_id, ns=ns)
    made: list[RunnableConfig] = []
    for step in range(checkpoints):
        values = {"text": f"step {step}", "list": list(range(step)), "raw": bytes([step])}
        config = saver.put(config, checkpoint(values), metadata(step, run_id=f"run-{step % 2}"), {})
        for task in range(tasks):
            saver.put_writes(
                config, [("text", f"write {step}.{task}"), ("list", [task])], f"task-{task}", f"~path-{task}"
            )
        made.append(config)
    return made
