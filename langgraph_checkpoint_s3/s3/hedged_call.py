"""Reads, and where the answer is slow to come, the same once more beside it: the first good answer wins.

What wins is a whole answer, its body included. Of two errors the first request's is told, as it would have
been without a second one. A loser is cancelled on an event loop, and its connection closed; nothing of it is
left when the winner's answer is given. A thread can't be cancelled: there it tries no more, and what it
still gets is read, so that its connection can be used again, and dropped. That is why only what is small is
ever read twice. When it is, and whether, is the exchange's to say.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping
from contextvars import copy_context
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeAlias, TypeVar

from langgraph_checkpoint_s3.request_timeout import LimitTimer
from langgraph_checkpoint_s3.s3.deadline import Attempt, calling
from langgraph_checkpoint_s3.s3.request_state import RequestState
from langgraph_checkpoint_s3.s3.thread_pool import Threads

Fetched: TypeAlias = "tuple[Any, bytes]"
"""What a client answered, and the body of that."""

F = TypeVar("F", "_Runner", "asyncio.Future[Any]")

THREADS: Final = 1000
"""The most threads that reads race on: more than there are callers, so none waits for one."""


def fetch(client: Any, method: str, arguments: Mapping[str, Any], call: Attempt) -> Fetched:
    """Call a client's method, and read the body of its answer."""
    with calling(call):
        response = getattr(client, method)(**arguments)
        if not _has_body(response):
            return response, b""
        call.reading = True
        with response["Body"]:
            data = response["Body"].read()
    call.read(data)
    return response, data


async def afetch(client: Any, method: str, arguments: Mapping[str, Any], call: Attempt) -> Fetched:
    """`fetch`, awaited."""
    with calling(call):
        async with LimitTimer(call.limit):
            response = await getattr(client, method)(**arguments)
            if not _has_body(response):
                return response, b""
            call.reading = True
            async with response["Body"]:
                call.limit.count_with(_arrived(response["Body"]))
                data = await response["Body"].read()
    call.read(data)
    return response, data


def race(threads: Threads, exchange: RequestState, send: Callable[[Attempt], Fetched]) -> Fetched:
    """What a client answers to an exchange's request.

    Args:
        threads: Those to race on. None is needed before a read may be sent twice.
        exchange: The request's.
        send: Calls the client, and reads its answer.
    """
    after = exchange.hedge_after()
    bell: SimpleQueue[None] = SimpleQueue()
    first = None if after is None else _start(threads, send, exchange.called, bell)
    if first is None:
        return send(exchange.called)
    runners = {first: exchange.called}
    try:
        _wait(bell, after)
        second = None if first.done() else exchange.second()
        other = None if second is None else _start(threads, send, second, bell)
        if second is not None and other is not None:
            runners[other] = second
        while (winner := _winner(runners, exchange)) is None:
            _wait(bell, None)
        return winner.result()
    finally:
        for call in runners.values():
            call.once = True


async def arace(exchange: RequestState, send: Callable[[Attempt], Coroutine[Any, Any, Fetched]]) -> Fetched:
    """`race`, awaited."""
    after = exchange.hedge_after()
    if after is None:
        return await send(exchange.called)
    first = asyncio.ensure_future(send(exchange.called))
    runners: dict[asyncio.Future[Any], Attempt] = {first: exchange.called}
    try:
        await asyncio.wait(runners, timeout=after)
        second = None if first.done() else exchange.second()
        if second is not None:
            runners[asyncio.ensure_future(send(second))] = second
        while (winner := _winner(runners, exchange)) is None:
            await asyncio.wait(_running(runners), return_when=asyncio.FIRST_COMPLETED)
        fetched: Fetched = winner.result()
        return fetched
    finally:
        for runner in runners:
            runner.cancel()
        await asyncio.gather(*runners, return_exceptions=True)  # for all of them, even if cancelled itself


def _arrived(body: Any) -> Callable[[], int]:
    """Counter of the bytes of an asyncio client's body that have come so far."""
    content = getattr(getattr(body, "raw_stream", None), "content", None)
    return lambda: int(getattr(content, "total_bytes", 0))  # aiohttp's


def _has_body(response: Any) -> bool:
    return isinstance(response, dict) and "Body" in response  # a signed URL is text


class _Runner:
    """A call in a thread. It has no lock: who waits for it may be interrupted, and let it be."""

    def __init__(self, send: Callable[[Attempt], Fetched], call: Attempt, bell: SimpleQueue[None]) -> None:
        self._send = send
        self._call = call
        self._bell = bell
        self._fetched: Fetched | None = None
        self._error: BaseException | None = None
        self._done = False

    def run(self) -> None:
        """Make the call."""
        try:
            self._fetched = self._send(self._call)
        except BaseException as error:  # noqa: BLE001  # for who waits
            self._error = error
        self._done = True
        self._bell.put(None)

    def done(self) -> bool:
        """Return if the call has ended."""
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
    threads: Threads, send: Callable[[Attempt], Fetched], call: Attempt, bell: SimpleQueue[None]
) -> _Runner | None:
    runner = _Runner(send, call, bell)
    try:
        threads.start(partial(copy_context().run, runner.run))
    except RuntimeError:  # the interpreter is ending, or there can be no more threads
        return None
    return runner


def _wait(bell: SimpleQueue[None], seconds: float | None) -> None:
    """Wait until one more call has ended."""
    with contextlib.suppress(Empty):
        bell.get(timeout=seconds)


def _winner(runners: Mapping[F, Attempt], exchange: RequestState) -> F | None:
    """Whose answer or error counts, of those for one request in their order; `None` is not yet."""
    for runner, call in runners.items():
        if runner.done() and exchange.is_answered(runner.exception()):
            exchange.answered_by(call)
            return runner
    return None if _running(runners) else next(iter(runners))


def _running(runners: Mapping[F, Attempt]) -> list[F]:
    return [runner for runner in runners if not runner.done()]
