"""Runs plans: `Store.run` with boto3 on threads, `Store.arun` with aiobotocore as tasks.

Each operation has at most `max_concurrency` requests under way, whatever others do. Both settle a whole batch
before they go on, throw its first error into the plan, and let the plan ask for what cleans up. What a
request needs beyond the sending is in `request_state.py`.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Generator, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar, cast

from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.errors import AccessDeniedError, S3CheckpointError
from langgraph_checkpoint_s3.s3 import async_client
from langgraph_checkpoint_s3.s3.coalescing import Joint
from langgraph_checkpoint_s3.s3.deadline import IdleDeadline
from langgraph_checkpoint_s3.s3.hedged_call import THREADS, afetch, arace, fetch, race
from langgraph_checkpoint_s3.s3.request_state import RequestState, SaverState
from langgraph_checkpoint_s3.s3.requests import Attempted, Body, Call, Failure, Request, Sleep, Tick
from langgraph_checkpoint_s3.s3.stats import Counts
from langgraph_checkpoint_s3.s3.sync_client import BotoClient
from langgraph_checkpoint_s3.s3.thread_pool import Stop, Threads

T = TypeVar("T")
Item = TypeVar("Item")
_Make: TypeAlias = Callable[[], tuple[Hashable, Item]]
_Plan: TypeAlias = Generator[Sequence[Request[Any]], list[Any], T]

_IN_THREADS: Final = (
    "The coroutines run boto3 in threads: aiobotocore isn't installed (the extra `aio`), or a client or "
    "session without an aio_session was handed in"
)
_HEAVY: Final = 256 * 1024
"""Bytes whose encoding or decoding would hold up an event loop for milliseconds."""
_MOST_THREADS: Final = 256
"""Threads of one saver, for all of its operations together, besides the callers' own."""


class Store:
    """One bucket as one saver uses it: its clients, its cache, and how plans run on them.

    Args:
        config: The saver's.
        user_agent: What to say to the store of who calls.
        client: A boto3 S3 client of the user's own.
        session: A `boto3.Session` of the user's own.
        aio_session: An `aiobotocore` or `aioboto3` session of the user's own.
    """

    def __init__(
        self,
        config: S3Config,
        user_agent: str,
        *,
        client: Any = None,
        session: Any = None,
        aio_session: Any = None,
    ) -> None:
        self.config = config
        self.shared = SaverState(config)
        self._boto = BotoClient(config, user_agent, client, session)
        # A client or session handed in may know credentials that the default chain doesn't: then
        # the async methods use it too, in threads, unless there is an asyncio one beside it.
        native = aio_session is not None or (client is None and session is None and async_client.available())
        self._aio = async_client.AioClients(config, user_agent, aio_session) if native else None
        self._threads = Threads(max(_MOST_THREADS, config.max_concurrency), "langgraph-checkpoint-s3")
        self._racers = Threads(THREADS, "langgraph-checkpoint-s3-race")
        self._joint = Joint()

    def run(self, plan: _Plan[T], operation: str = "") -> T:
        """Run a plan to its end, blocking.

        Args:
            plan: The plan.
            operation: What it is called in counts and telemetry; as the plan is, if not said.
        """
        with self.shared.operation(operation or name_of(plan)) as counts:
            return self._run(plan, counts, None)

    async def arun(self, plan: _Plan[T], operation: str = "", *, weight: int = 0) -> T:
        """Run a plan to its end, as a coroutine.

        Args:
            plan: The plan.
            operation: As for `run`.
            weight: About how many bytes its first step has to encode. Steps that encode or decode
                much are computed in a thread, so that other tasks of the loop go on.
        """
        with self.shared.operation(operation or name_of(plan)) as counts:
            return await self._arun(plan, counts, weight)

    def run_joint(self, make: _Make[Item], plan: Callable[[Sequence[Item]], _Plan[None]], name: str) -> None:
        """Run a plan for an item, together with others that wait meanwhile.

        Args:
            make: Makes the item, and says whose items may be in one plan.
            plan: Makes the plan for some items.
            name: What a call is called in counts and telemetry. What is sent counts with who sends it.
        """
        with self.shared.operation(name) as counts:
            key, item = make()
            self._joint.run(key, item, lambda items: self._run(plan(items), counts, None))

    async def arun_joint(
        self, make: _Make[Item], plan: Callable[[Sequence[Item]], _Plan[None]], name: str
    ) -> None:
        """`run_joint`, as a coroutine."""
        with self.shared.operation(name) as counts:
            key, item = make()
            await self._joint.arun(key, item, lambda items: self._arun(plan(items), counts, 0))

    def _run(self, plan: _Plan[T], counts: Counts, stop: Stop | None) -> T:
        answers: list[Any] | None = None
        failure: BaseException | None = None
        try:
            while True:
                step = advance(plan, answers, failure)
                if isinstance(step, Ended):
                    return cast("T", step.result)
                try:
                    answers, failure = self._settle(step, counts, stop)
                except BaseException as error:  # noqa: BLE001  # Ctrl-C between two requests: the plan cleans up
                    answers, failure = [], error
                if stop is not None:
                    failure = stop.due() or failure
        except S3CheckpointError as error:
            self.shared.failed(error)
            raise
        finally:
            plan.close()

    async def _arun(self, plan: _Plan[T], counts: Counts, weight: int) -> T:
        clients = self._aio
        if clients is None:
            self.shared.tell_once(logging.INFO, _IN_THREADS)
            stop = Stop(asyncio.get_running_loop())
            return await self._threads.awaited(functools.partial(self._run, plan, counts, stop), stop.ask)
        answers: list[Any] | None = None
        failure: BaseException | None = None
        try:
            while True:
                if weight < _HEAVY:
                    step = advance(plan, answers, failure)
                else:
                    step = await _step_in_thread(plan, answers, failure)
                if isinstance(step, Ended):
                    return cast("T", step.result)
                answers, failure = await self._asettle(clients, step, counts)
                weight = sum(len(answer.data) for answer in answers if isinstance(answer, Body))
                weight += sum(request.weight for request in step if isinstance(request, Call))
        except S3CheckpointError as error:
            self.shared.failed(error)
            raise
        finally:
            plan.close()

    def close(self) -> None:
        """Close the blocking client and its threads. They come back with the next use."""
        self._threads.close()
        self._racers.close()
        self._boto.close()

    async def aclose(self) -> None:
        """Close the running loop's client, and the blocking one."""
        if self._aio is not None:
            await self._aio.aclose()
        await asyncio.to_thread(self.close)

    def _settle(
        self, batch: Sequence[Request[Any]], counts: Counts, stop: Stop | None
    ) -> tuple[list[Any], BaseException | None]:
        if pause := _pause(batch):
            try:
                self.shared.patience(stop).sleep(pause)
            except BaseException as error:  # noqa: BLE001  # Ctrl-C: thrown into the plan
                return [], error
        patience = self.shared.patience(stop)

        def send(request: Request[Any]) -> Any:
            return self._send(request, patience, counts, stop)

        if len(batch) == 1:
            return _results([_attempt(send, batch[0])])
        return self._threads.each(send, batch, self.config.max_concurrency)

    async def _asettle(
        self, clients: async_client.AioClients, batch: Sequence[Request[Any]], counts: Counts
    ) -> tuple[list[Any], BaseException | None]:
        if pause := _pause(batch):
            try:
                await asyncio.sleep(pause)
            except BaseException as error:  # noqa: BLE001  # cancelled: thrown into the plan
                return [], error
        patience = self.shared.patience()
        if len(batch) == 1:
            try:
                return [await self._asend(clients, batch[0], patience, counts)], None
            except BaseException as error:  # noqa: BLE001  # thrown into the plan
                return [], error
        limit = asyncio.Semaphore(self.config.max_concurrency)

        async def send(request: Request[Any]) -> Any:
            async with limit:
                return await self._asend(clients, request, patience, counts)

        tasks = [asyncio.ensure_future(send(request)) for request in batch]
        try:
            await asyncio.wait(tasks)
        except BaseException as error:  # noqa: BLE001  # cancelled: what has begun is settled all the same
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            return [], error
        return _results([_attempt(_result, task) for task in tasks])

    def _send(self, request: Request[Any], patience: IdleDeadline, counts: Counts, stop: Stop | None) -> Any:
        if isinstance(request, Attempted):
            try:
                return self._send(request.request, patience, counts, stop)
            except S3CheckpointError as error:
                return Failure(error)
        patience.check()
        if isinstance(request, Call):
            if request.coroutine is not None and stop is not None:  # this thread works for an event loop
                return stop.run(request.coroutine)
            return request.function()
        if isinstance(request, (Tick, Sleep)):
            return self.shared.tick() if isinstance(request, Tick) else None
        exchange = RequestState(self.shared, request, patience, counts)
        if exchange.settled:  # by the cache: no client is needed
            return exchange.answer
        with self.shared.making():
            client, wire = self._boto.get()
        while not exchange.settled:
            patience.check()
            send = functools.partial(fetch, client, *exchange.call(wire))
            try:
                exchange.succeeded(wire, *race(self._racers, exchange, send))
            except Exception as error:  # noqa: BLE001  # judged by the exchange
                try:
                    patience.sleep(exchange.failed(error))
                except AccessDeniedError as refusal:
                    if refusal.unauthenticated:
                        self._boto.refused(client)
                    raise
        return exchange.answer

    async def _asend(
        self, clients: async_client.AioClients, request: Request[Any], patience: IdleDeadline, counts: Counts
    ) -> Any:
        if isinstance(request, Attempted):
            try:
                return await self._asend(clients, request.request, patience, counts)
            except S3CheckpointError as error:
                return Failure(error)
        if isinstance(request, Call):
            return await (request.coroutine or functools.partial(asyncio.to_thread, request.function))()
        if isinstance(request, (Tick, Sleep)):
            return self.shared.tick() if isinstance(request, Tick) else None
        exchange = RequestState(self.shared, request, patience, counts)
        if exchange.settled:
            return exchange.answer
        with self.shared.making():
            client, wire = await clients.get()
        while not exchange.settled:
            send = functools.partial(afetch, client, *exchange.call(wire))
            try:
                exchange.succeeded(wire, *await arace(exchange, send))
            except Exception as error:  # noqa: BLE001  # judged by the exchange
                try:
                    await asyncio.sleep(exchange.failed(error))
                except AccessDeniedError as refusal:
                    if refusal.unauthenticated:
                        await clients.refused(client)
                    raise
        return exchange.answer


def _pause(batch: Sequence[Request[Any]]) -> float:
    """Return for how many seconds a batch waits before it is sent."""
    plain = (request.request if isinstance(request, Attempted) else request for request in batch)
    return max((request.seconds for request in plain if isinstance(request, Sleep)), default=0.0)


def name_of(plan: Any) -> str:
    """What a plan is called by default."""
    return str(getattr(plan, "__name__", "plan")).strip("_")


@dataclass(frozen=True, slots=True)
class Ended:
    """A plan's result. `StopIteration` itself can't leave a coroutine or a future."""

    result: Any


def advance(
    plan: _Plan[Any],
    answers: list[Any] | None,
    failure: BaseException | None,
) -> Sequence[Request[Any]] | Ended:
    """Send a plan what it waits for, on to its next batch or its end."""
    try:
        if failure is not None:
            return plan.throw(failure)
        return next(plan) if answers is None else plan.send(answers)
    except StopIteration as stop:
        return Ended(stop.value)


async def _step_in_thread(
    plan: _Plan[Any],
    answers: list[Any] | None,
    failure: BaseException | None,
) -> Sequence[Request[Any]] | Ended:
    """`advance`, without holding up the loop."""
    thread = asyncio.ensure_future(asyncio.to_thread(advance, plan, answers, failure))
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError as cancelled:
        await asyncio.wait([thread])  # a generator can't be closed while it runs
        if thread.exception() is None and not isinstance(thread.result(), Ended):
            return advance(plan, None, cancelled)
        raise


def _attempt(function: Any, argument: Any) -> tuple[Any, BaseException | None]:
    try:
        return function(argument), None
    except BaseException as error:  # noqa: BLE001  # thrown into the plan
        return None, error


def _results(pairs: Sequence[tuple[Any, BaseException | None]]) -> tuple[list[Any], BaseException | None]:
    """A settled batch: its answers, and the first error of one that failed."""
    failure = next((error for _, error in pairs if error is not None), None)
    return [answer for answer, _ in pairs], failure


def _result(future: asyncio.Future[Any]) -> Any:
    return future.result()
