"""One saver that plays turns on command, in a process and an environment of its own, for `turns`.

Commands and answers are lines of JSON.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import json
import statistics
import sys
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from benchmarks.environments import InstallError
from benchmarks.graphs import DEPTH, DURABILITY, GRAPHS, INPUTS, SENDS
from benchmarks.savers import LIMIT, SAVERS, versions_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from langgraph.checkpoint.base import BaseCheckpointSaver

METHODS: Final = ("get_tuple", "put", "put_writes", "get_delta_channel_history")
_CONFIG: Final[Any] = {"configurable": {"thread_id": "turns"}, "recursion_limit": 2 * DEPTH}
_COLD_LOADS: Final = 3
_ABSENT: Final[Any] = {"configurable": {"thread_id": "absent"}}

_within: Final = contextvars.ContextVar("_within", default=False)
"""Whether one of the saver's methods is running: its own calls aren't LangGraph's."""


class Stage:
    """A saver and its current conversation.

    Args:
        saver: Key of `SAVERS`.
        endpoint_url: URL of the server.
    """

    def __init__(self, saver: str, endpoint_url: str) -> None:
        self.of = SAVERS[saver]
        self.name = saver
        self.endpoint_url = endpoint_url
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)
        self.loop = asyncio.new_event_loop()
        self._timed: set[type] = set()
        self._sent: list[list[tuple[float, float]]] = []
        self._state: dict[str, Any] = {}

    def begin(self, workload: str, bucket: str, latency: float, asynchronous: bool) -> dict[str, Any]:
        """Start a conversation in a new bucket, and play a first turn, which isn't counted."""
        self.workload, self.bucket, self.asynchronous = workload, bucket, asynchronous
        try:
            self.loop.run_until_complete(self._begin())
        except (ImportError, InstallError) as error:
            return {"lacks": str(error)}
        self.play(1)
        if self.name == LIMIT:
            self.saver.latency = latency  # type: ignore[attr-defined]  # a Limit
        return {"versions": versions_of(self.of)}

    def play(self, turns: int) -> dict[str, Any]:
        """Play turns.

        Returns:
            Seconds of each turn, of LangGraph's calls by method, and of the 50 `Send`s' `put_writes` from the
            first one's start to the last one's end.
        """
        self.seconds.clear()
        self._sent.clear()
        walls = self.loop.run_until_complete(self._aplay(turns)) if self.asynchronous else self._play(turns)
        return {"walls": walls, "calls": dict(self.seconds), "sends": self._spans()}

    def check(self) -> dict[str, Any]:
        """End the conversation, and load its last state with a new saver.

        Returns:
            Whether it is the same state, and the seconds that loading takes.
        """
        found, took = self.loop.run_until_complete(self._check())
        return {"same": all(found.get(name) == value for name, value in self._state.items()), "took": took}

    async def _begin(self) -> None:
        self.saver = await self._make()
        self._time(type(self.saver))
        self.graph = GRAPHS[self.workload](self.saver, self.asynchronous)

    async def _make(self) -> BaseCheckpointSaver[Any]:
        # in a coroutine, since a peer's constructor needs the running loop
        make = self.of.make_async if self.asynchronous else self.of.make
        assert make
        return make(self.endpoint_url, self.bucket)

    def _play(self, turns: int) -> list[float]:
        walls: list[float] = []
        options = self._options()
        for _ in range(turns):
            inputs = INPUTS[self.workload]()
            self._sent.append([])
            started = time.perf_counter()
            self._state = self.graph.invoke(inputs, _CONFIG, **options)
            walls.append(time.perf_counter() - started)
        return walls

    async def _aplay(self, turns: int) -> list[float]:
        walls: list[float] = []
        options = self._options()
        for _ in range(turns):
            inputs = INPUTS[self.workload]()
            self._sent.append([])
            started = time.perf_counter()
            self._state = await self.graph.ainvoke(inputs, _CONFIG, **options)
            walls.append(time.perf_counter() - started)
        return walls

    def _options(self) -> dict[str, Any]:
        durability = DURABILITY.get(self.workload)
        return {"durability": durability} if durability else {}

    async def _check(self) -> tuple[Any, float]:
        savers = [await self._make() if self.of.remote else self.saver for _ in range(_COLD_LOADS)]
        took: list[float] = []
        found: Any = None
        for saver in savers:
            graph = GRAPHS[self.workload](saver, self.asynchronous)
            await self._load(graph, _ABSENT)  # creates and connects its client
            started = time.perf_counter()
            found = await self._load(graph, _CONFIG)
            took.append(time.perf_counter() - started)
        for saver in (*savers, self.saver):
            await self._close(saver)
        return found.values, statistics.median(took)

    async def _load(self, graph: Any, config: Any) -> Any:
        return await graph.aget_state(config) if self.asynchronous else graph.get_state(config)

    async def _close(self, saver: Any) -> None:
        """Close this package's saver; the peers' have no method for it."""
        if self.asynchronous and hasattr(saver, "aclose"):
            await saver.aclose()
        elif hasattr(saver, "close"):
            saver.close()

    def _time(self, kind: type) -> None:
        """Time LangGraph's calls of sync or async methods, from now on."""
        if kind in self._timed:
            return
        self._timed.add(kind)
        for name in METHODS:
            if not hasattr(kind, name):  # of an older LangGraph
                continue
            setattr(kind, name, self._blocking(name, getattr(kind, name)))
            setattr(kind, f"a{name}", self._coroutine(name, getattr(kind, f"a{name}")))

    def _blocking(self, name: str, method: Any) -> Any:
        @functools.wraps(method)
        def timed(*args: Any, **keywords: Any) -> Any:
            if self.asynchronous or _within.get():
                return method(*args, **keywords)  # called by another method, not by LangGraph
            token = _within.set(True)
            started = time.perf_counter()
            try:
                return method(*args, **keywords)
            finally:
                self._took(name, started)
                _within.reset(token)

        return timed

    def _coroutine(self, name: str, method: Any) -> Any:
        assert inspect.iscoroutinefunction(method)

        @functools.wraps(method)
        async def timed(*args: Any, **keywords: Any) -> Any:
            if _within.get():
                return await method(*args, **keywords)
            token = _within.set(True)
            started = time.perf_counter()
            try:
                return await method(*args, **keywords)
            finally:
                self._took(name, started)
                _within.reset(token)

        return timed

    def _took(self, name: str, started: float) -> None:
        ended = time.perf_counter()
        self.seconds[name].append(ended - started)
        if name == "put_writes":
            self._sent[-1].append((started, ended))

    def _spans(self) -> list[float]:
        """Return the seconds of the last 50 calls of each turn, which are those of the tasks."""
        if self.workload != "fan-out":
            return []
        turns = [sorted(calls)[-SENDS:] for calls in self._sent]
        return [max(end for _, end in calls) - calls[0][0] for calls in turns]


def main() -> None:
    """Run commands until the input ends."""
    stage = Stage(sys.argv[1], sys.argv[2])
    does: dict[str, Callable[..., dict[str, Any]]] = {
        "begin": stage.begin,
        "play": stage.play,
        "check": stage.check,
    }
    for line in sys.stdin:
        name, keywords = json.loads(line)
        print(json.dumps(does[name](**keywords)), flush=True)
    stage.loop.close()


if __name__ == "__main__":
    main()
