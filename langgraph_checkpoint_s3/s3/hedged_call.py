"""Hedged reads: send a slow read a second time, and take the first good response.

Response and body together decide: a call wins once it is read whole. Of two errors the first call's is
raised, as it would have been without a second one. On an event loop the other call is cancelled and its
connection closed before the answer is returned. A thread can't be cancelled: what the other call still
receives is read, so that its connection can be reused, and dropped. For that reason only small reads are
hedged. `hedging.py` decides when.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping
from contextvars import copy_context
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar

from langgraph_checkpoint_s3.s3.client import Fetched
from langgraph_checkpoint_s3.s3.deadline import Attempt
from langgraph_checkpoint_s3.s3.request_state import RequestState
from langgraph_checkpoint_s3.s3.thread_pool import Threads

C = TypeVar("C", "_ThreadCall", "asyncio.Future[Any]")

THREADS: Final = 1000
"""The most threads for hedged reads: more than there are callers, so that none waits for a thread."""


def call_hedged(threads: Threads, state: RequestState, send: Callable[[Attempt], Fetched]) -> Fetched:
    """Send a request, hedged if it is a slow read.

    Args:
        threads: The threads for hedged reads. None is used while too few reads were timed.
        state: The request's.
        send: Calls the client, and reads its response.
    """
    after = state.hedge_after()
    ended: SimpleQueue[None] = SimpleQueue()
    first = None if after is None else _start(threads, send, state.attempt, ended)
    if first is None:  # never hedged, or no thread can be started
        return send(state.attempt)
    calls = {first: state.attempt}
    _wait(ended, after)
    second = None if first.done() else state.second_attempt()
    other = None if second is None else _start(threads, send, second, ended)
    if second is not None and other is not None:
        calls[other] = second
    while (winner := _winner(calls, state)) is None:
        _wait(ended, None)
    return winner.result()


async def acall_hedged(
    state: RequestState, send: Callable[[Attempt], Coroutine[Any, Any, Fetched]]
) -> Fetched:
    """`call_hedged`, as a coroutine."""
    after = state.hedge_after()
    if after is None:
        return await send(state.attempt)
    first = asyncio.ensure_future(send(state.attempt))
    calls: dict[asyncio.Future[Any], Attempt] = {first: state.attempt}
    try:
        await asyncio.wait(calls, timeout=after)
        second = None if first.done() else state.second_attempt()
        if second is not None:
            calls[asyncio.ensure_future(send(second))] = second
        while (winner := _winner(calls, state)) is None:
            await asyncio.wait(_pending(calls), return_when=asyncio.FIRST_COMPLETED)
        fetched: Fetched = winner.result()
        return fetched
    finally:
        for call in calls:
            call.cancel()
        # Waits for all of them, even if this task is cancelled meanwhile: none outlives the operation.
        await asyncio.gather(*calls, return_exceptions=True)


class _ThreadCall:
    """A call in a thread, with a future's methods.

    It has no lock: Ctrl-C may interrupt the waiting thread at any step, which must not leave one held.
    """

    def __init__(
        self, send: Callable[[Attempt], Fetched], attempt: Attempt, ended: SimpleQueue[None]
    ) -> None:
        self._send = send
        self._attempt = attempt
        self._ended = ended
        self._fetched: Fetched | None = None
        self._error: BaseException | None = None
        self._done = False

    def run(self) -> None:
        """Make the call."""
        try:
            self._fetched = self._send(self._attempt)
        except BaseException as error:  # noqa: BLE001  # for the waiting thread
            self._error = error
        self._done = True
        self._ended.put(None)

    def done(self) -> bool:
        """Return whether the call has ended."""
        return self._done

    def exception(self) -> BaseException | None:
        """Return the error that it raised."""
        return self._error

    def result(self) -> Fetched:
        """Return its result, or raise its error."""
        if self._fetched is None:
            raise self._error or AssertionError
        return self._fetched


def _start(
    threads: Threads, send: Callable[[Attempt], Fetched], attempt: Attempt, ended: SimpleQueue[None]
) -> _ThreadCall | None:
    call = _ThreadCall(send, attempt, ended)
    try:
        threads.start(partial(copy_context().run, call.run))
    except RuntimeError:  # the interpreter is ending, or there can be no more threads
        return None
    return call


def _wait(ended: SimpleQueue[None], seconds: float | None) -> None:
    """Wait until one more call has ended."""
    with contextlib.suppress(Empty):
        ended.get(timeout=seconds)


def _winner(calls: Mapping[C, Attempt], state: RequestState) -> C | None:
    """Return the call whose answer or error counts; `None` while that is open."""
    for call, attempt in calls.items():
        if call.done() and state.is_answered(call.exception()):
            state.answered_by(attempt)
            return call
    return None if _pending(calls) else next(iter(calls))


def _pending(calls: Mapping[C, Attempt]) -> list[C]:
    return [call for call in calls if not call.done()]
