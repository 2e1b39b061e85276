"""Calls that would wait for a connection wait for one another instead, and are sent as one.

A superstep of many tasks ends in as many calls at once. The first few of them are sent as they come.
What comes while those are under way waits in a line, and the first that is done takes the whole line
along. So nobody waits longer than for one that was before him, and fifty calls are a handful of requests.
"""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import Awaitable, Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final

from langgraph_checkpoint_s3.errors import S3CheckpointError

LANES: Final = 8
"""Calls of one kind that are under way at once. LangGraph's blocking methods come from cores + 4 threads,
which should seldom wait here; and what goes together should be few requests."""


@dataclass(slots=True, eq=False)
class _Call:
    """One that is under way, or waits. Its turn is `None` once others have sent it, or the calls to send."""

    item: Any
    turn: Future[list[_Call] | None] | asyncio.Future[list[_Call] | None]


@dataclass(slots=True)
class _Line:
    busy: int = 0
    waiting: list[_Call] = field(default_factory=list)


class Joint:
    """The lines of one saver, by what may be sent together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: dict[Hashable, _Line] = {}

    def run(self, key: Hashable, item: Any, send: Callable[[Sequence[Any]], None]) -> None:
        """Send an item, or have it sent together with others.

        Args:
            key: What may be sent together.
            item: What to send.
            send: Sends some items, and returns when all are stored.

        Raises:
            Exception: What `send` raised for the items that this one was among.
        """
        call = _Call(item, Future())
        calls: list[_Call] | None = [call]
        if not self._enter(key, call):
            try:
                calls = call.turn.result()
            except BaseException:
                self._give_up(key, call)
                raise
        if calls is None:
            return
        try:
            send([each.item for each in calls])
        except BaseException as error:
            self._failed(key, call, calls, error)
            raise
        self._done(key, calls)

    async def arun(self, key: Hashable, item: Any, send: Callable[[Sequence[Any]], Awaitable[None]]) -> None:
        """`run`, as a coroutine. Only calls of one event loop are sent together."""
        loop = asyncio.get_running_loop()
        key = (loop, key)
        call = _Call(item, loop.create_future())
        calls: list[_Call] | None = [call]
        if not self._enter(key, call):
            try:
                calls = await call.turn  # type: ignore[misc]  # it is the loop's
            except BaseException:
                self._give_up(key, call)
                raise
        if calls is None:
            return
        try:
            await send([each.item for each in calls])
        except BaseException as error:
            self._failed(key, call, calls, error)
            raise
        self._done(key, calls)

    def _enter(self, key: Hashable, call: _Call) -> bool:
        """Whether a call may be sent at once; it stands in the line otherwise."""
        with self._lock:
            line = self._lines.setdefault(key, _Line())
            if line.busy < LANES:
                line.busy += 1
                return True
            line.waiting.append(call)
            return False

    def _done(self, key: Hashable, calls: Sequence[_Call]) -> None:
        with self._lock:
            for call in calls:
                if not call.turn.done():
                    call.turn.set_result(None)
            self._next(key, [])

    def _failed(self, key: Hashable, own: _Call, calls: Sequence[_Call], error: BaseException) -> None:
        """Tell the others what failed. Where only who sent them was stopped, the next one goes on."""
        others = [call for call in calls if call is not own and not call.turn.done()]
        with self._lock:
            if isinstance(error, Exception):
                for call in others:
                    call.turn.set_exception(_twin(error))
                others = []
            self._next(key, others)

    def _give_up(self, key: Hashable, call: _Call) -> None:
        """A call was stopped while it waited; its turn may just have come."""
        with self._lock:
            line = self._lines.get(key)
            if line is not None and call in line.waiting:
                line.waiting.remove(call)
            elif call.turn.done() and not call.turn.cancelled() and call.turn.exception() is None:
                calls = call.turn.result()
                if calls is not None:
                    self._next(key, [each for each in calls if each is not call])

    def _next(self, key: Hashable, first: list[_Call]) -> None:
        """Give a lane that is free to who waits, or to those whose sender was stopped."""
        line = self._lines[key]
        calls = [call for call in first if not call.turn.done()]
        if not calls:
            calls, line.waiting = [call for call in line.waiting if not call.turn.done()], []
        if calls:
            calls[0].turn.set_result(calls)
            return
        line.busy -= 1
        if not line.busy:
            del self._lines[key]


def _twin(error: Exception) -> Exception:
    """An error for one more to raise: a traceback is one thread's."""
    if not isinstance(error, S3CheckpointError):
        return error
    twin = copy.copy(error)
    twin.__cause__ = error.__cause__
    return twin
