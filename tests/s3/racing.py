"""Clients of both kinds whose answers, and the bodies of those, come when the test lets them."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import MagicMock

from typing_extensions import Self

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.plans.plan import ask
from langgraph_checkpoint_s3.s3.hedging import LEAST
from langgraph_checkpoint_s3.s3.requests import Body, GetObject
from tests.support import inside
from tests.support.hanging import HANG

END = "end"
"""The event that the test sets only after the answer."""
ONE, TWO = Body(b"one", "e", 3), Body(b"two", "e", 3)


def small(key: str = "k") -> GetObject:
    """A read that may be sent twice."""
    return GetObject(key, "e", listed=3)


@dataclass
class Reply:
    """A client's answer to its next call.

    Attributes:
        answer: A body, or an error.
        after: What it waits for.
        tells: What has happened when it is called.
        body_after: What its body waits for.
        stubborn: What it waits for when it is cancelled.
    """

    answer: bytes | Exception
    after: str = ""
    tells: str = ""
    body_after: str = ""
    stubborn: str = ""


@dataclass
class Stream:
    """A body, of either client."""

    client: Client
    reply: Reply
    read_: bool = False
    closed: bool = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.closed = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.closed = True

    def read(self) -> Any:
        if self.client.loop is not None:
            return self._aread()
        if self.reply.body_after:
            assert self.client.event(self.reply.body_after).wait(HANG)
        self.read_ = True
        return self.reply.answer

    async def _aread(self) -> Any:
        if self.reply.body_after:
            await self.client.when(self.reply.body_after)
        self.read_ = True
        return self.reply.answer


@dataclass
class Client:
    """A client of boto3's or (with a loop) aiobotocore's kind.

    `again` is what it answers to any but the first call for a key, if that isn't by turn.
    """

    replies: list[Reply] = field(default_factory=list)
    loop: asyncio.AbstractEventLoop | None = None
    meta: Any = field(default_factory=lambda: MagicMock(endpoint_url="http://s3", region_name="here"))
    streams: list[Stream] = field(default_factory=list)
    events: dict[str, Any] = field(default_factory=dict)
    threads: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    again: Reply | None = None
    cancelled: int = 0

    def event(self, name: str) -> Any:
        return self.events.setdefault(name, threading.Event() if self.loop is None else asyncio.Event())

    @property
    def calls(self) -> int:
        return len(self.keys)

    async def when(self, name: str) -> None:
        """Wait for an event, but not for ever."""
        await asyncio.wait_for(self.event(name).wait(), HANG)

    def get_object(self, **arguments: Any) -> Any:
        second = self.again if arguments["Key"] in self.keys else None
        reply = second or self.replies.pop(0)
        self.keys.append(arguments["Key"])
        self.threads.append(threading.current_thread().name)
        if reply.tells:
            self.event(reply.tells).set()
        if self.loop is not None:
            return self._awaited(reply)
        if reply.after:
            assert self.event(reply.after).wait(HANG)
        return self._answer(reply)

    async def _awaited(self, reply: Reply) -> Any:
        try:
            if reply.after:
                await self.when(reply.after)
        except asyncio.CancelledError:
            self.cancelled += 1
            if reply.stubborn:
                self.event("held up").set()
                await self.when(reply.stubborn)
            raise
        return self._answer(reply)

    def _answer(self, reply: Reply) -> Any:
        if isinstance(reply.answer, Exception):
            raise reply.answer
        self.streams.append(Stream(self, reply))
        return {"Body": self.streams[-1], "ETag": '"e"'}

    def client(self, *_: Any, **__: Any) -> Self:  # it stands in for an aiobotocore session, too
        return self

    async def __aenter__(self) -> Self:
        return self

    async def close(self) -> None:
        pass


class Reads:
    """A saver's store and its client."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None, **settings: Any) -> None:
        self.loop = loop
        self.client = Client(loop=loop)
        arguments: dict[str, Any] = {"client": self.client} if loop is None else {"aio_session": self.client}
        settings = {
            "transport": "sdk",
            "hedged_reads": 0.05,
            "circuit_breaker": 2,
            "max_attempts": 1,
            **settings,
        }
        self.saver = S3Saver("bucket", **settings, **arguments)
        self.store = inside.store(self.saver)

    def learn(self) -> None:
        """From now on, what takes more than a millisecond is slow."""
        for _ in range(LEAST):
            self.store.saver_state.hedges.answered("small object", 0.001)

    def read(self, *replies: Reply, plan: Any = None) -> Any:
        self.client.replies = list(replies)
        plan = plan or ask(small())
        if self.loop is None:
            return self.store.run(plan, "test")
        return self.loop.run_until_complete(self.store.arun(plan, "test"))

    def end(self) -> None:
        """Let everything happen, and wait for it."""
        if self.loop is None:
            self.client.event(END).set()
            self.saver.close()
        else:
            self.loop.run_until_complete(self.saver.aclose())
            assert not asyncio.all_tasks(self.loop)

    @property
    def hedges(self) -> tuple[int, int, int]:
        """The numbers of requests, of second requests, and of second requests that won."""
        stats = self.saver.stats()
        assert sum(stats.requests.values()) == self.client.calls
        return self.client.calls, stats.hedges, stats.hedges_won

    @property
    def failures(self) -> int:
        """The number of consecutive failures that the circuit breaker has seen."""
        return self.store.saver_state.breaker._failures

    @property
    def open(self) -> list[bytes | Exception]:
        """The bodies that aren't closed."""
        return [stream.reply.answer for stream in self.client.streams if not stream.closed]
