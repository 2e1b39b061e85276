"""64 concurrent conversations in one process, compared with the same requests sent by the bare client.

One more conversation plays each turn alone, at a latency that shows which requests wait for others. 64 tasks
or threads then send its requests to the same objects, without saver and graph. The graph alone, on a saver in
memory, shows LangGraph's own time.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from benchmarks.graphs import GRAPHS, INPUTS
from benchmarks.limit import Limit
from benchmarks.measured import Measured, Paired
from benchmarks.served import Served
from langgraph_checkpoint_s3 import S3Config, S3Saver
from langgraph_checkpoint_s3.s3.rest.settings import read_settings
from langgraph_checkpoint_s3.s3.sync_client import client_arguments, tune

if TYPE_CHECKING:
    from typing_extensions import Self

SLOWER: Final = 1 / 0.8
"""Ratio of times at four fifths of the throughput."""
_CALM: Final = 25.0
"""Latency in milliseconds while the additional conversation plays."""
_SETTLED: Final = 2
"""Turns played before any is counted: clients connect, and threads start."""

Sent = Mapping[str, Any]
"""A request, as the server logged it."""


def crowd(served: Served, size: int, latencies: Sequence[float], rounds: int) -> Iterator[Measured]:
    """Yield measurements of concurrent conversations; each round is a turn of all of them."""
    for latency in latencies:
        for mode in ("sync", "async"):
            bucket = served.bucket()
            with Crowd(served, bucket, size, mode) as conversations:
                found = conversations.play(latency, rounds)
            yield found
            served.ask("drop", bucket=bucket)
    served.ask("latency", milliseconds=0)


class Crowd:
    """Conversations that share one saver, and bare clients of the same settings."""

    def __init__(self, served: Served, bucket: str, size: int, mode: str) -> None:
        self._served, self._bucket, self._size, self._mode = served, bucket, size, mode
        self._config = S3Config(bucket=bucket, endpoint_url=served.endpoint_url)
        self._saver = S3Saver(config=self._config)
        self._graph = GRAPHS["chat"](self._saver, mode == "async")
        self._alone_graph = GRAPHS["chat"](Limit(), mode == "async")  # in memory, without latency
        self._loop = asyncio.new_event_loop()
        self._stack = AsyncExitStack()
        self._threads = ThreadPoolExecutor(size)
        self._others = ThreadPoolExecutor(size)  # for concurrent requests of one conversation
        self._numbers = count()

    def __enter__(self) -> Self:
        self._client = self._loop.run_until_complete(self._connect())
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown()
        self._others.shutdown()
        self._loop.run_until_complete(self._stack.aclose())
        self._loop.run_until_complete(self._saver.aclose())
        self._loop.close()

    def play(self, latency: float, rounds: int) -> Measured:
        """Play all turns: with the saver, with bare requests, and with the graph alone."""
        ours: list[float] = []
        bare: list[float] = []
        graph: list[float] = []
        sent: list[float] = []
        requests: dict[str, int] = {}
        for number in range(_SETTLED + rounds):
            turn = self._alone()
            self._served.ask("latency", milliseconds=latency)
            times = {}
            threads = [f"thread-{each}" for each in range(self._size)]
            kinds: dict[str, Callable[[], None]] = {
                "ours": partial(self._turns, self._graph, threads),
                "bare": partial(self._bare, turn),
                "graph": partial(self._turns, self._alone_graph, threads),
            }
            for kind, work in sorted(kinds.items(), reverse=number % 2 == 0):
                self._served.requests(self._bucket)
                began = time.perf_counter()
                work()
                times[kind] = time.perf_counter() - began
                if kind == "ours":
                    requests = self._served.requests(self._bucket)
            if number >= _SETTLED:
                ours.append(times["ours"])
                bare.append(times["bare"])
                graph.append(times["graph"])
                sent.append(sum(map(len, turn)))
        # One interpreter runs both, so their times add up.
        found = Paired(ours, [one + other for one, other in zip(bare, graph, strict=True)])
        seconds, others = statistics.median(ours), statistics.median(bare)
        return Measured(
            "crowd",
            f"{self._size} conversations, {latency:g} ms",
            self._mode,
            found.found,
            found.beside,
            found.ratio,
            SLOWER,
            {kind: each / self._size for kind, each in requests.items()},
            {"in all": statistics.median(sent)},
            {
                "turns/s": self._size / seconds,
                "requests/s": sum(requests.values()) / seconds,
                "bare, ms": others * 1e3,
                "graph alone, ms": statistics.median(graph) * 1e3,
                "bare requests/s": statistics.median(sent) * self._size / others,
            },
        )

    def _alone(self) -> list[list[Sent]]:
        """Play a turn of the additional conversation, and return its requests in waves."""
        self._served.ask("latency", milliseconds=_CALM)
        self._served.requests(self._bucket)
        self._turns(self._graph, ["alone"])
        return waves(self._served.ask("take", bucket=self._bucket)["log"], _CALM / 1e3)

    def _turns(self, graph: Any, threads: Sequence[str]) -> None:
        configs: list[Any] = [{"configurable": {"thread_id": each}} for each in threads]
        inputs = [INPUTS["chat"]() for _ in configs]
        if self._mode == "sync":
            list(self._threads.map(graph.invoke, inputs, configs))
            return

        async def together() -> None:
            pairs = zip(inputs, configs, strict=True)
            await asyncio.gather(*(graph.ainvoke(given, config) for given, config in pairs))

        self._loop.run_until_complete(together())

    def _bare(self, turn: Sequence[Sequence[Sent]]) -> None:
        """Send the same requests by as many tasks or threads, without saver and graph."""
        each = [[[self._call(sent) for sent in wave] for wave in turn] for _ in range(self._size)]
        if self._mode == "sync":
            list(self._threads.map(self._send, each))
            return

        async def one(waves: Sequence[Sequence[Any]]) -> None:
            for wave in waves:
                await asyncio.gather(*(_afetch(getattr(self._client, name), given) for name, given in wave))

        async def together() -> None:
            await asyncio.gather(*map(one, each))

        self._loop.run_until_complete(together())

    def _send(self, waves: Sequence[Sequence[Any]]) -> None:
        for wave in waves:
            methods = [(getattr(self._client, name), given) for name, given in wave]
            rest = [self._others.submit(_fetch, *each) for each in methods[1:]]
            _fetch(*methods[0])
            for future in rest:
                future.result()

    def _call(self, sent: Sent) -> tuple[str, dict[str, Any]]:
        """Return the client's method for a logged request, and its arguments. Each PUT gets a new key."""
        base: dict[str, Any] = {"Bucket": self._bucket}
        operation = sent["operation"]
        if operation == "PutObject":
            unique = {"Key": f"bare/{sent['key'][-200:]}.{next(self._numbers)}", "Body": bytes(sent["size"])}
            return "put_object", {**base, **unique, **({"IfNoneMatch": "*"} if sent["new"] else {})}
        if operation == "ListObjectsV2":
            query = sent["query"]
            return "list_objects_v2", {
                **base,
                "Prefix": query["prefix"],
                "MaxKeys": int(query.get("max-keys", 1000)),
            }
        method = {"GetObject": "get_object", "HeadObject": "head_object"}[operation]
        return method, {**base, "Key": sent["key"]}

    async def _connect(self) -> Any:
        """Create a client with the saver's settings."""
        arguments = client_arguments(self._config, "")
        if self._mode == "sync":
            import boto3
            from botocore.config import Config

            session: Any = boto3.Session()
            client: Any = session.client("s3", **{**arguments, "config": Config(**arguments["config"])})
        else:
            from aiobotocore.config import AioConfig
            from aiobotocore.session import AioSession

            session = AioSession()
            made = session.create_client("s3", **{**arguments, "config": AioConfig(**arguments["config"])})
            client = await self._stack.enter_async_context(made)
        tune(client, read_settings(self._config, session))
        return client


def waves(log: Sequence[Sent], latency: float) -> list[list[Sent]]:
    """Group requests that were concurrent into waves, in order.

    Args:
        log: The requests, in order of arrival.
        latency: Minimum time of each request, in seconds: one that arrived sooner didn't wait for the wave.
    """
    found: list[list[Sent]] = []
    for sent in log:
        if found and sent["at"] < found[-1][0]["at"] + latency:
            found[-1].append(sent)
        else:
            found.append([sent])
    return found


def _fetch(method: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
    answer = method(**arguments)
    if "Body" in answer:
        with answer["Body"] as body:
            body.read()


async def _afetch(method: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
    answer = await method(**arguments)
    if "Body" in answer:
        async with answer["Body"] as body:
            await body.read()
