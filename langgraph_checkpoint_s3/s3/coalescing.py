"""Calls that would wait for a connection wait for one another instead, and are sent as one.

A superstep of many tasks ends in as many calls at once. The first few of them are sent as they come.
What comes while those are under way waits in a line, and the first that is done takes the whole line
along. So nobody waits longer than for one that was before him, and fifty calls are a handful of requests.

Ctrl-C may come at any step. So leaving a line is one function for all ways to leave it (done, failed,
cancelled, interrupted), whose steps may be done again from the first. And a line lives as long as a call
stands in it: an event loop that is closed in the midst of calls leaves nothing here.
"""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import Awaitable, Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, Final
from weakref import WeakValueDictionary

from langgraph_checkpoint_s3.errors import S3CheckpointError
from langgraph_checkpoint_s3.fork_safety import renew_after_fork

LANES: Final = 8
"""Calls of one kind that are under way at once. LangGraph's blocking methods come from cores + 4 threads,
which should seldom wait here; and what goes together should be few requests."""


class _Call:
    """One call.

    Attributes:
        item: What to send.
        wake: Wakes who waits for it. It may be called too often.
        turn: The calls that this one is to send, itself the first; `None` while it waits, or others send it.
        settled: Whether it was sent, or failed.
        failure: What its own sending failed with.
        error: What the sending by another one failed with.
        gone: Whether nobody is interested in it any more.
    """

    def __init__(self, item: Any, wake: Callable[[], object]) -> None:
        self.item = item
        self.wake = wake
        self.turn: list[_Call] | None = None
        self.settled = False
        self.failure: Exception | None = None
        self.error: Exception | None = None
        self.gone = False

    @property
    def waits(self) -> bool:
        """Return if there is nothing to do for it yet."""
        return self.turn is None and not self.settled

    @property
    def items(self) -> list[Any]:
        """Return the items that it is to send."""
        return [each.item for each in self.turn or () if not each.gone]


class _Line:
    """The calls of one kind that are under way, and those that wait."""

    def __init__(self) -> None:
        self.sending: list[_Call] = []
        self.waiting: list[_Call] = []


class Joint:
    """The lines of one saver, by what may be sent together."""

    def __init__(self) -> None:
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Forget all calls: they are the parent's."""
        self._lock = threading.RLock()  # a dropped coroutine leaves its line whenever memory is tidied up
        self._lines: WeakValueDictionary[Hashable, _Line] = WeakValueDictionary()

    def run(self, key: Hashable, item: Any, send: Callable[[Sequence[Any]], None]) -> None:
        """Send an item, or have it sent together with others.

        Args:
            key: What may be sent together.
            item: What to send.
            send: Sends some items, and returns when all are stored.

        Raises:
            Exception: What `send` raised for the items that this one was among.
        """
        bell: SimpleQueue[None] = SimpleQueue()
        call = _Call(item, lambda: bell.put(None))
        with self._standing(self._line(None, key), call):
            while call.waits:
                bell.get()
            if call.turn is not None:
                send(call.items)
                call.settled = True
        if call.error is not None:
            raise call.error

    async def arun(self, key: Hashable, item: Any, send: Callable[[Sequence[Any]], Awaitable[None]]) -> None:
        """`run`, as a coroutine. Only calls of one event loop are sent together."""
        loop = asyncio.get_running_loop()
        bell = loop.create_future()

        def wake() -> None:
            if not bell.done() and not loop.is_closed():
                bell.set_result(None)

        call = _Call(item, wake)
        with self._standing(self._line(loop, key), call):
            if call.waits:
                await bell
            if call.turn is not None:
                await send(call.items)
                call.settled = True
        if call.error is not None:
            raise call.error

    def _line(self, loop: asyncio.AbstractEventLoop | None, key: Hashable) -> _Line:
        """The line of a kind. No other loop has this one's id: a call in the line holds its loop."""
        with self._lock:
            line = self._lines.get((id(loop), key))
            if line is None:
                line = self._lines[id(loop), key] = _Line()
            return line

    @contextmanager
    def _standing(self, line: _Line, call: _Call) -> Iterator[None]:
        """Let a call stand in a line meanwhile."""
        try:
            try:
                self._enter(line, call)
                yield
            except Exception as error:
                call.failure = error
                raise
            finally:
                self._leave(line, call)
        finally:
            self._leave(line, call)  # once more, if Ctrl-C came in the midst of the first time
            call.failure = None  # which holds this frame

    def _enter(self, line: _Line, call: _Call) -> None:
        with self._lock:
            if len(line.sending) < LANES:
                call.turn = [call]
                line.sending.append(call)
            else:
                line.waiting.append(call)

    def _leave(self, line: _Line, call: _Call) -> None:
        if call.gone:
            return
        with self._lock:
            if call in line.waiting:
                line.waiting.remove(call)
            if call in line.sending:
                self._pass_on(line, call)
                line.sending.remove(call)
            for each in (*(call.turn or ()), *line.sending):
                if each is not call:
                    each.wake()
            call.gone = True

    def _pass_on(self, line: _Line, call: _Call) -> None:
        """Tell those whom a call sent what came of it, and give its lane to who is next."""
        others = [each for each in call.turn or () if each is not call and not each.gone]
        if call.settled or call.failure is not None:
            for each in others:
                each.error = None if call.failure is None else _twin(call.failure)
                each.settled = True
            others = []
        first = others or line.waiting  # where who sent them was only stopped, they go on
        if first:
            first[0].turn = first
            if first[0] not in line.sending:
                line.sending.append(first[0])
            if first is line.waiting:
                line.waiting = []


def _twin(error: Exception) -> Exception:
    """An error for one more to raise: a traceback is one thread's."""
    if not isinstance(error, S3CheckpointError):
        return error
    twin = copy.copy(error)
    twin.__cause__ = error.__cause__
    return twin
