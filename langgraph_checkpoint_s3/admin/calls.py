"""Calls that admin plans make beside requests to S3: progress callbacks, user iterables, files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any, TypeAlias, TypeVar

from langgraph_checkpoint_s3.errors import S3CheckpointError
from langgraph_checkpoint_s3.plans.plan import Plan, ask
from langgraph_checkpoint_s3.s3.requests import Call

T = TypeVar("T")

Progress: TypeAlias = Callable[[int, "int | None"], None]
"""Called with how many items are done, and how many there are in all (`None` while that isn't known)."""


def report(progress: Progress | None, done: int, total: int | None) -> Plan[None]:
    """Call a progress callback, if there is one."""
    if progress is not None:
        yield from in_caller(progress, done, total)


def next_item(iterator: Iterator[T]) -> Plan[T | None]:
    """Take the next item of a user's iterable; `None` at its end."""
    item: T | None = yield from in_caller(next, iterator, None)
    return item


def in_caller(function: Callable[..., T], *arguments: object) -> Plan[T]:
    """Call a function in the caller's thread, or on the caller's event loop."""

    async def coroutine() -> T:
        return function(*arguments)

    return (yield from call(partial(function, *arguments), coroutine))


def in_thread(function: Callable[..., T], *arguments: object) -> Plan[T]:
    """Call a function; the async driver calls it in a thread, and waits for its end even when cancelled."""
    bound = partial(function, *arguments)
    return (yield from call(bound, partial(_finish_in_thread, bound)))


def call(function: Callable[[], T], coroutine: Callable[[], Coroutine[Any, Any, T]]) -> Plan[T]:
    """Call a function, or await its coroutine. Their errors aren't about the saver's bucket."""
    try:
        return (yield from ask(Call(function, coroutine)))
    except S3CheckpointError as error:
        error.bucket = error.bucket or ""
        raise


def then_close(plan: Plan[T], close: Callable[[], None]) -> Plan[T]:
    """Run a plan, and close its file in a thread, whatever the plan's end."""
    try:
        result = yield from plan
    except GeneratorExit:  # the driver is gone, and takes no more requests
        close()
        raise
    except BaseException:
        yield from in_thread(close)
        raise
    yield from in_thread(close)
    return result


async def _finish_in_thread(function: Callable[[], T]) -> T:
    """Call a function in a thread and wait for its end, so that a file has one user at a time."""
    running = asyncio.ensure_future(asyncio.to_thread(function))
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        running.exception()  # or the loop would log that it was never retrieved
        raise cancelled
    return running.result()
