"""Coalesce concurrent `put_writes` calls: those that come together go out as one batch.

A superstep of many tasks ends in as many calls at once. Up to `MAX_SENDING` batches are sent at once; later
calls wait in a queue. When a batch is stored, one queued call becomes the leader, and sends the whole queue.
So no call waits longer than for one that came before it.

In an event loop the first call is a leader, too. Before it sends, it lets other tasks run, for as long as
that brings more calls, and takes these along: fifty calls are one request. It waits for nothing else, so a
call that comes alone is sent at once. Threads don't do this: to pass the interpreter's lock around took
longer than their requests.

Ctrl-C may come at any step. So a call leaves its queue by one function, however it ended (done, failed,
cancelled, interrupted), and each step of that function may be repeated. A queue lives as long as a call is in
it, so an event loop that is closed in the midst of calls leaves nothing behind.
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

MAX_SENDING: Final = 8
"""Batches of one kind that are under way at once."""
_MOST_YIELDS: Final = 64
"""How often a leader lets others run at most."""
_QUIET_YIELDS: Final = 2
"""How often in a row that must bring no call before it sends. A task that another one begins runs in the
event loop's next turn."""


class _Call:
    """One call.

    Attributes:
        item: Its item.
        wake: Wakes the waiting caller; it may be called too often.
        queue: The queue, until it has left. No frame of a caller has it: an error's traceback would keep it.
        batch: The calls that this one, as their leader, is to send, itself the first; `None` while it waits,
            or another one sends it.
        gathers: Whether it lets others run before it sends.
        yields: How often it has let others run.
        quiet: How often in a row that brought no call.
        seen: The calls that had come by then.
        done: Whether its item was sent, or failed.
        failure: The error of its own sending.
        error: The error of the leader that sent it.
    """

    def __init__(self, item: Any, wake: Callable[[], object], queue: _Queue) -> None:
        self.item = item
        self.wake = wake
        self.queue: _Queue | None = queue
        self.batch: list[_Call] | None = None
        self.gathers = False
        self.yields = 0
        self.quiet = -1
        self.seen = 0
        self.done = False
        self.failure: Exception | None = None
        self.error: Exception | None = None

    @property
    def is_waiting(self) -> bool:
        """True if there is nothing to do for it yet."""
        return self.batch is None and not self.done

    @property
    def items(self) -> list[Any]:
        """The items that it is to send. Calls that were cancelled meanwhile are left out."""
        return [each.item for each in self.batch or () if each.queue is not None]


class _Queue:
    """The calls of one kind that are sending, and those that wait.

    Attributes:
        sending: Leaders.
        gathering: The leader that lets others run before it sends.
        waiting: Calls for the next batch.
    """

    def __init__(self) -> None:
        self.sending: list[_Call] = []
        self.gathering: _Call | None = None
        self.waiting: list[_Call] = []


class Coalescer:
    """The queues of one saver."""

    def __init__(self) -> None:
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Forget all calls, which are the parent's."""
        # Reentrant: the garbage collector may drop a coroutine at any step, which then leaves its queue.
        self._lock = threading.RLock()
        self._queues: WeakValueDictionary[Hashable, _Queue] = WeakValueDictionary()

    def run(self, key: Hashable, item: Any, send: Callable[[Sequence[Any]], None]) -> None:
        """Send an item, or have it sent together with others.

        Args:
            key: Items with the same key may be sent together.
            item: The item.
            send: Sends some items, and returns once all are stored.

        Raises:
            Exception: The error of the `send` that this item was among.
        """
        woken: SimpleQueue[None] = SimpleQueue()
        call = _Call(item, lambda: woken.put(None), self._queue(None, key))
        with self._queued(call):
            while call.is_waiting:
                woken.get()
            if call.batch is not None:
                send(call.items)
                call.done = True
        if call.error is not None:
            raise call.error

    async def arun(self, key: Hashable, item: Any, send: Callable[[Sequence[Any]], Awaitable[None]]) -> None:
        """`run`, as a coroutine. Only calls of one event loop are sent together.

        An item with an attribute `gathers` that is `False` neither waits for others nor is waited for.
        """
        loop = asyncio.get_running_loop()
        woken = loop.create_future()

        def wake() -> None:
            if not woken.done() and not loop.is_closed():
                woken.set_result(None)

        call = _Call(item, wake, self._queue(loop, key))
        with self._queued(call, gathers=getattr(item, "gathers", True)):
            while self._gathers(call):  # noqa: ASYNC110  # it waits for no event
                await asyncio.sleep(0)
            if call.is_waiting:
                await woken
            if call.batch is not None:
                await send(call.items)
                call.done = True
        if call.error is not None:
            raise call.error

    def _queue(self, loop: asyncio.AbstractEventLoop | None, key: Hashable) -> _Queue:
        """Return the queue of a key, on this loop."""
        with self._lock:
            # A loop's id isn't reused while its queue lives: the calls in the queue keep the loop alive.
            queue = self._queues.get((id(loop), key))
            if queue is None:
                queue = self._queues[id(loop), key] = _Queue()
            return queue

    @contextmanager
    def _queued(self, call: _Call, *, gathers: bool = False) -> Iterator[None]:
        """Keep a call in its queue meanwhile. As a leader, it may let others run before it sends."""
        try:
            try:
                self._enter(call, gathers)
                yield
            except Exception as error:
                call.failure = error
                raise
            finally:
                self._leave(call)
        finally:
            self._leave(call)  # once more, if Ctrl-C came in the midst of the first time
            call.failure = None  # its traceback holds this frame: no reference cycle

    def _enter(self, call: _Call, gathers: bool) -> None:
        with self._lock:
            queue = call.queue
            assert queue is not None  # noqa: S101  # for mypy
            if len(queue.sending) < MAX_SENDING and (queue.gathering is None or not gathers):
                call.batch = [call]
                queue.sending.append(call)
                if gathers:
                    queue.gathering = call
                    call.gathers = True
            else:
                queue.waiting.append(call)

    def _gathers(self, call: _Call) -> bool:
        """Return whether a leader should let others run once more. If not, it takes along those that came."""
        with self._lock:
            queue = call.queue
            if queue is None or not call.gathers:
                return False
            call.quiet = call.quiet + 1 if len(queue.waiting) == call.seen else 0
            call.seen = len(queue.waiting)
            call.yields += 1
            if call.quiet < _QUIET_YIELDS and call.yields <= _MOST_YIELDS:
                return True
            call.batch = [call, *queue.waiting]
            queue.waiting = []
            queue.gathering, call.gathers = None, False
            return False

    def _leave(self, call: _Call) -> None:
        queue = call.queue
        if queue is None:
            return
        with self._lock:
            if call in queue.waiting:
                queue.waiting.remove(call)
            if queue.gathering is call:
                queue.gathering = None
            call.gathers = False
            if call in queue.sending:
                self._pass_on(queue, call)
                queue.sending.remove(call)
            for each in (*(call.batch or ()), *queue.sending):
                if each is not call:
                    each.wake()
            call.queue = None  # the last step: until here an interrupted call leaves once more

    def _pass_on(self, queue: _Queue, call: _Call) -> None:
        """Tell the calls that a leader sent their outcome, and make the next leader."""
        others = [each for each in call.batch or () if each is not call and each.queue is not None]
        if call.done or call.failure is not None:
            for each in others:
                each.error = None if call.failure is None else _copy_error(call.failure)
                each.done = True
            others = []
        # A leader that was cancelled or interrupted may have sent nothing: its batch is sent without it.
        batch = others or ([] if queue.gathering else queue.waiting)
        if batch:
            leader = batch[0]
            leader.batch = batch
            if leader not in queue.sending:
                queue.sending.append(leader)
            if batch is queue.waiting:
                queue.waiting = []


def _copy_error(error: Exception) -> Exception:
    """Return a copy for another thread to raise, as a traceback belongs to one."""
    if not isinstance(error, S3CheckpointError):
        return error
    other = copy.copy(error)
    other.__cause__ = error.__cause__
    return other
