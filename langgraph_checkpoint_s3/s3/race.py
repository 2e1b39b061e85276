"""Reads, and where the answer is slow to come, the same once more beside it: the first good answer wins.

What wins is a whole answer, its body included. Of two errors the first request's is told, as it would have
been without a second one. A loser is cancelled on an event loop, and its connection closed; nothing of it is
left when the winner's answer is given. A thread can't be cancelled: there it tries no more, and what it
still gets is read, so that its connection can be used again, and dropped. That is why only what is small is
ever read twice. When it is, and whether, is the exchange's to say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextvars import copy_context
from typing import Any, Final, TypeAlias, TypeVar

from langgraph_checkpoint_s3.s3.exchange import Exchange
from langgraph_checkpoint_s3.s3.patience import Call, calling
from langgraph_checkpoint_s3.s3.threads import Threads
from langgraph_checkpoint_s3.sockets import within

F = TypeVar("F", "Future[Any]", "asyncio.Future[Any]")

Fetched: TypeAlias = "tuple[Any, bytes]"
"""What a client answered, and the body of that."""

THREADS: Final = 1000
"""The most threads that reads race on: more than there are callers, so none waits for one."""


def fetch(client: Any, method: str, arguments: Mapping[str, Any], call: Call) -> Fetched:
    """Call a client's method, and read the body of its answer."""
    with calling(call):
        response = getattr(client, method)(**arguments)
        if not _has_body(response):
            return response, b""
        call.reading = True
        with response["Body"]:
            return response, response["Body"].read()


async def afetch(client: Any, method: str, arguments: Mapping[str, Any], call: Call) -> Fetched:
    """`fetch`, awaited."""
    with calling(call):
        async with within(call.limit):
            response = await getattr(client, method)(**arguments)
            if not _has_body(response):
                return response, b""
            call.reading = True
            async with response["Body"]:
                call.limit.follow(_arrived(response["Body"]))
                return response, await response["Body"].read()


def race(threads: Threads, exchange: Exchange, send: Callable[[Call], Fetched]) -> Fetched:
    """What a client answers to an exchange's request.

    Args:
        threads: Those to race on. None is needed before a read may be sent twice.
        exchange: The request's.
        send: Calls the client, and reads its answer.
    """
    after = exchange.hedge_after()
    first = None if after is None else _start(threads, send, exchange.called)
    if first is None:
        return send(exchange.called)
    runners = {first: exchange.called}
    try:
        wait(runners, timeout=after)
        second = None if first.done() else exchange.second()
        other = None if second is None else _start(threads, send, second)
        if second is not None and other is not None:
            runners[other] = second
        while (winner := _winner(runners, exchange)) is None:
            wait(_running(runners), return_when=FIRST_COMPLETED)
        fetched: Fetched = winner.result()
        return fetched
    finally:
        for call in runners.values():
            call.once = True


async def arace(exchange: Exchange, send: Callable[[Call], Coroutine[Any, Any, Fetched]]) -> Fetched:
    """`race`, awaited."""
    after = exchange.hedge_after()
    if after is None:
        return await send(exchange.called)
    first = asyncio.ensure_future(send(exchange.called))
    runners: dict[asyncio.Future[Any], Call] = {first: exchange.called}
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
    """What tells how many bytes of an asyncio client's body have come so far."""
    content = getattr(getattr(body, "raw_stream", None), "content", None)
    return lambda: int(getattr(content, "total_bytes", 0))  # aiohttp's


def _has_body(response: Any) -> bool:
    return isinstance(response, dict) and "Body" in response  # a signed URL is text


def _start(threads: Threads, send: Callable[[Call], Fetched], call: Call) -> Future[Any] | None:
    try:
        return threads.submit(copy_context().run, send, call)
    except RuntimeError:  # the interpreter is ending, or there can be no more threads
        return None


def _winner(runners: Mapping[F, Call], exchange: Exchange) -> F | None:
    """Whose answer or error counts, of those for one request in their order; `None` is not yet."""
    for runner, call in runners.items():
        if runner.done() and exchange.is_answered(runner.exception()):
            exchange.answered_by(call)
            return runner
    return None if _running(runners) else next(iter(runners))


def _running(runners: Mapping[F, Call]) -> list[F]:
    return [runner for runner in runners if not runner.done()]
