"""Calls a client, and where the answer is slow to come, once more beside it: the first good answer wins.

What wins is an answer's beginning. Only the winner's body is read, so nothing is held twice in memory. Of
listings and errors, whose body the client library reads itself, it is the whole answer. Of two errors the
first request's is told, as it would have been without a second one. A loser is cancelled on an event loop. A
thread can't be: there it tries no more, and what it gets is closed unread. When a call is made a second time,
and whether, is the exchange's to say.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import Any, Final, TypeVar

from langgraph_checkpoint_s3.s3.exchange import Exchange
from langgraph_checkpoint_s3.s3.patience import Call, calling

F = TypeVar("F", "Future[Any]", "asyncio.Future[Any]")

_THREADS: Final = 128
"""The most of them. Reads beyond that are sent once, in their caller's thread."""


class Racers:
    """The threads that blocking calls race on. There are none before a call may be sent twice."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool: tuple[int, ThreadPoolExecutor, threading.Semaphore] | None = None

    def call(self, exchange: Exchange, send: Callable[[], Any]) -> Any:
        """What the client answers to an exchange's request."""
        after = exchange.hedge_after()
        first = None if after is None else self._start(lambda: exchange.called, send)
        if first is None:
            with calling(exchange.called):
                response = send()
        else:
            response = self._race(exchange, send, first, after)
        exchange.began()
        return response

    def close(self) -> None:
        """Wait for the losers, and end the threads. They come back with the next use."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None and pool[0] == os.getpid():
            pool[1].shutdown()

    def _race(
        self, exchange: Exchange, send: Callable[[], Any], first: Future[Any], after: float | None
    ) -> Any:
        calls, winner = [first], None
        try:
            if not wait(calls, timeout=after).done:
                second = self._start(exchange.second, send)
                if second is not None:
                    calls.append(second)
            while (winner := _winner(calls, exchange)) is None:
                wait(_running(calls), return_when=FIRST_COMPLETED)
        finally:
            if first is not winner:
                exchange.called.once = True
            for call in calls:
                if call is not winner:
                    call.add_done_callback(_discard)
        return winner.result()

    def _start(self, permit: Callable[[], Call | None], send: Callable[[], Any]) -> Future[Any] | None:
        """Call the client in a thread, if one is free and it may be called.

        So nothing ever waits for a thread: least of all a second request for its own first one's.
        """
        with self._lock:  # so that `close` can't come between
            if self._pool is None or self._pool[0] != os.getpid():
                pool = ThreadPoolExecutor(_THREADS, "langgraph-checkpoint-s3-race")
                self._pool = (os.getpid(), pool, threading.Semaphore(_THREADS))
            _, pool, free = self._pool
            if not free.acquire(blocking=False):
                return None
            call = permit()
            if call is None:
                free.release()
                return None
            try:
                started = pool.submit(copy_context().run, _called, call, send)
            except RuntimeError:  # the interpreter is ending, or there can be no more threads
                free.release()
                return None
        started.add_done_callback(lambda _: free.release())
        return started


async def acall(exchange: Exchange, send: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """What the client answers to an exchange's request, awaited."""
    after = exchange.hedge_after()
    if after is None:
        response = await _acalled(exchange.called, send)
    else:
        response = await _arace(exchange, send, after)
    exchange.began()
    return response


async def _arace(exchange: Exchange, send: Callable[[], Coroutine[Any, Any, Any]], after: float) -> Any:
    calls = [asyncio.ensure_future(_acalled(exchange.called, send))]
    try:
        await asyncio.wait(calls, timeout=after)
        if not calls[0].done():
            second = exchange.second()
            if second is not None:
                calls.append(asyncio.ensure_future(_acalled(second, send)))
        while (winner := _winner(calls, exchange)) is None:
            await asyncio.wait(_running(calls), return_when=asyncio.FIRST_COMPLETED)
        await _adiscard([call for call in calls if call is not winner])
    except BaseException:  # cancelled: nothing is left behind
        await _adiscard(calls)
        raise
    return winner.result()


def _winner(calls: Sequence[F], exchange: Exchange) -> F | None:
    """The call whose answer or error counts, of those to one request in their order; `None` is not yet."""
    for call in calls:
        if call.done() and exchange.is_answered(call.exception()):
            if call is not calls[0]:
                exchange.won()
            return call
    return None if _running(calls) else calls[0]


def _running(calls: Sequence[F]) -> list[F]:
    return [call for call in calls if not call.done()]


def _called(call: Call, send: Callable[[], Any]) -> Any:
    with calling(call):
        return send()


async def _acalled(call: Call, send: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    with calling(call):
        return await send()


def _discard(call: Future[Any]) -> None:
    if call.exception() is None and has_body(call.result()):
        with call.result()["Body"]:
            pass


async def _adiscard(calls: Sequence[asyncio.Future[Any]]) -> None:
    for call in calls:
        call.cancel()
    responses: list[Any] = await asyncio.gather(*calls, return_exceptions=True)
    for response in responses:
        if has_body(response):
            async with response["Body"]:
                pass


def has_body(response: Any) -> bool:
    """Whether a response's body is yet to be read."""
    return isinstance(response, dict) and "Body" in response  # a signed URL is text
