"""Run plans on a bucket: `Store.run` blocking, in threads, and `Store.arun` in tasks of an event loop.

Each operation has at most `max_concurrency` requests under way, whatever others do. Both drivers wait for all
requests of a batch, then throw its first error into the plan, and send what the plan asks for to clean up.
The state of single requests is in `request_state.py`.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import sys
from collections.abc import Callable, Generator, Hashable, Sequence
from typing import Any, Final, TypeAlias, TypeVar, cast

from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.errors import AccessDeniedError, S3CheckpointError
from langgraph_checkpoint_s3.s3 import async_client
from langgraph_checkpoint_s3.s3.client import AsyncClient, Client
from langgraph_checkpoint_s3.s3.coalescing import Coalescer
from langgraph_checkpoint_s3.s3.deadline import IdleDeadline
from langgraph_checkpoint_s3.s3.driver import Ended, advance, clear_frames
from langgraph_checkpoint_s3.s3.hedged_call import THREADS, acall_hedged, call_hedged
from langgraph_checkpoint_s3.s3.request_state import RequestState, SaverState
from langgraph_checkpoint_s3.s3.requests import Attempted, Body, Call, Failure, Request, Sleep, Tick
from langgraph_checkpoint_s3.s3.rest.client import RestClients
from langgraph_checkpoint_s3.s3.rest.endpoint import NeedsSdk
from langgraph_checkpoint_s3.s3.stats import Counts
from langgraph_checkpoint_s3.s3.sync_client import BotoClient
from langgraph_checkpoint_s3.s3.thread_pool import Stop, Threads, outcome_of, split
from langgraph_checkpoint_s3.s3.translate import DATA_PLANE

T = TypeVar("T")
Item = TypeVar("Item")
_Make: TypeAlias = Callable[[], tuple[Hashable, Item]]
_Plan: TypeAlias = Generator[Sequence[Request[Any]], list[Any], T]

_IN_THREADS: Final = (
    "The coroutines run boto3 in threads: a client without an aio_session was handed in, the extra "
    "`aiobotocore` isn't installed for transport='sdk', or moto's mock_aws is active"
)
_BLOCKING_SIZE: Final = 256 * 1024
"""Bytes whose encoding or decoding would block an event loop for milliseconds."""
_MAX_THREADS: Final = 256
"""Threads of one saver for all of its operations, besides the callers' own."""


class Store:
    """A saver's bucket: its clients and its state, and the drivers that run plans on them.

    Args:
        config: The saver's.
        user_agent: The text that is added to the `User-Agent` header.
        client: A boto3 S3 client passed in by the user.
        session: A `boto3.Session` passed in by the user.
        aio_session: An `aiobotocore` or `aioboto3` session passed in by the user.
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
        self._user_agent = user_agent
        self._given = {"client": client, "session": session, "aio_session": aio_session}
        state = self.saver_state = SaverState(config)
        self._boto = BotoClient(config, user_agent, state.use_attempts, client, session)
        # A client or session passed in may have credentials that the default chain doesn't find. So the SDK's
        # requests of coroutines use it too, in threads, unless an asyncio session came with it.
        native = aio_session is not None or (client is None and session is None and async_client.available())
        self._aio = (
            async_client.AioClients(config, user_agent, state.use_attempts, aio_session) if native else None
        )
        self._threads = Threads(max(_MAX_THREADS, config.max_concurrency), "langgraph-checkpoint-s3")
        self._rest: RestClients | None = None
        self._async_rest: RestClients | None = None
        if config.transport == "http" and client is None:
            self._rest = self._async_rest = RestClients(config, user_agent, state, self._threads, session)
        if config.transport == "http" and aio_session is not None:
            self._async_rest = RestClients(config, user_agent, state, self._threads, aio_session)
        self._hedge_threads = Threads(THREADS, "langgraph-checkpoint-s3-hedge")
        self._coalescer = Coalescer()

    def for_bucket(self, bucket: str) -> Store:
        """Return a store on another bucket, with the same settings and credentials.

        Raises:
            InvalidConfigError: The name isn't one of a bucket.
        """
        # What is said of the saver's own bucket may not hold for the other one.
        config = self.config.replace(bucket=bucket, use_accelerate=False, expected_bucket_owner=None)
        return Store(config, self._user_agent, **self._given)

    def run(self, plan: _Plan[T], operation: str) -> T:
        """Run a plan to its end, blocking.

        Args:
            plan: The plan.
            operation: Its name in counts and telemetry.
        """
        with self.saver_state.operation(operation) as counts:
            return self._run(plan, counts, None)

    async def arun(self, plan: _Plan[T], operation: str, *, weight: int = 0) -> T:
        """Run a plan to its end, as a coroutine.

        Args:
            plan: The plan.
            operation: As for `run`.
            weight: About how many bytes its first step encodes. Steps that encode or decode much run in a
                thread, so that they don't block the loop's other tasks.
        """
        with self.saver_state.operation(operation) as counts:
            return await self._arun(plan, counts, weight)

    def run_coalesced(
        self, make: _Make[Item], plan: Callable[[Sequence[Item]], _Plan[None]], name: str
    ) -> None:
        """Run one plan for an item and for those of calls that come meanwhile.

        Args:
            make: Returns a key and the item; items with the same key may be in one plan.
            plan: Returns the plan for some items.
            name: The operation's name in counts and telemetry. Requests count for the call that sends them.
        """
        with self.saver_state.operation(name) as counts:
            key, item = make()
            self._coalescer.run(key, item, lambda items: self._run(plan(items), counts, None))

    async def arun_coalesced(
        self, make: _Make[Item], plan: Callable[[Sequence[Item]], _Plan[None]], name: str
    ) -> None:
        """`run_coalesced`, as a coroutine."""
        with self.saver_state.operation(name) as counts:
            key, item = make()
            await self._coalescer.arun(key, item, lambda items: self._arun(plan(items), counts, 0))

    def _run(self, plan: _Plan[T], counts: Counts, stop: Stop | None) -> T:
        answers: list[Any] | None = None
        failure: BaseException | None = None
        try:
            while True:
                step = advance(plan, answers, failure)
                if isinstance(step, Ended):
                    return cast("T", step.result)
                try:
                    answers, failure = self._send_batch(step, counts, stop)
                except BaseException as error:  # noqa: BLE001  # Ctrl-C between two requests: the plan cleans up
                    answers, failure = [], error
                if stop is not None:
                    failure = stop.due() or failure
        except BaseException as error:
            if isinstance(error, S3CheckpointError):
                self.saver_state.failed(error)
            step, answers, failure = (), None, None
            clear_frames(error)
            raise
        finally:
            plan.close()

    async def _arun(self, plan: _Plan[T], counts: Counts, weight: int) -> T:
        if sdk_is_mocked() or (self._aio is None and self._async_rest is None):
            self.saver_state.log_once(logging.INFO, _IN_THREADS)
            return await self._in_thread(functools.partial(self._run, plan, counts))
        answers: list[Any] | None = None
        failure: BaseException | None = None
        try:
            while True:
                if weight < _BLOCKING_SIZE:
                    step = advance(plan, answers, failure)
                else:
                    step = await _step_in_thread(plan, answers, failure)
                if isinstance(step, Ended):
                    return cast("T", step.result)
                answers, failure = await self._asend_batch(step, counts)
                weight = sum(
                    answer.size if answer.landed else len(answer.data)
                    for answer in answers
                    if isinstance(answer, Body)
                )
                weight += sum(request.weight for request in step if isinstance(request, Call))
        except BaseException as error:
            if isinstance(error, S3CheckpointError):
                self.saver_state.failed(error)
            step, answers, failure = (), None, None
            clear_frames(error)
            raise
        finally:
            plan.close()

    def close(self) -> None:
        """Close the blocking client and its threads. The next use makes new ones."""
        self._threads.close()
        self._hedge_threads.close()
        self._boto.close()
        for clients in (self._rest, self._async_rest):
            if clients is not None:
                clients.close()

    async def aclose(self) -> None:
        """Close the running loop's client, and the blocking one."""
        for clients in (self._aio, self._async_rest):
            if clients is not None:
                await clients.aclose()
        await asyncio.to_thread(self.close)

    def _send_batch(
        self, batch: Sequence[Request[Any]], counts: Counts, stop: Stop | None
    ) -> tuple[list[Any], BaseException | None]:
        if pause := _pause(batch):
            try:
                self.saver_state.deadline(stop).sleep(pause)
            except BaseException as error:  # noqa: BLE001  # Ctrl-C: thrown into the plan
                return [], error
        deadline = self.saver_state.deadline(stop)
        if len(batch) == 1:
            try:
                return [self._send(batch[0], deadline, counts, stop)], None
            except BaseException as error:  # noqa: BLE001  # thrown into the plan
                return [], error

        def send(request: Request[Any]) -> Any:
            return self._send(request, deadline, counts, stop)

        return self._threads.each(send, batch, self.config.max_concurrency)

    async def _asend_batch(
        self, batch: Sequence[Request[Any]], counts: Counts
    ) -> tuple[list[Any], BaseException | None]:
        if pause := _pause(batch):
            try:
                await asyncio.sleep(pause)
            except BaseException as error:  # noqa: BLE001  # cancelled: thrown into the plan
                return [], error
        deadline = self.saver_state.deadline()
        if len(batch) == 1:
            try:
                return [await self._asend(batch[0], deadline, counts)], None
            except BaseException as error:  # noqa: BLE001  # thrown into the plan
                return [], error
        limit = asyncio.Semaphore(self.config.max_concurrency)

        async def send(request: Request[Any]) -> Any:
            async with limit:
                return await self._asend(request, deadline, counts)

        tasks = [asyncio.ensure_future(send(request)) for request in batch]
        try:
            await asyncio.wait(tasks)
        except BaseException as error:  # noqa: BLE001  # cancelled: no request outlives the batch
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            return [], error
        return split([outcome_of(task.result) for task in tasks])

    def _send(self, request: Request[Any], deadline: IdleDeadline, counts: Counts, stop: Stop | None) -> Any:
        if isinstance(request, Attempted):
            try:
                return self._send(request.request, deadline, counts, stop)
            except S3CheckpointError as error:
                return Failure(error)
        deadline.check()
        if isinstance(request, Call):
            if request.coroutine is not None and stop is not None:  # this thread works for an event loop
                return stop.run(request.coroutine)
            return request.function()
        if isinstance(request, (Tick, Sleep)):
            return self.saver_state.tick() if isinstance(request, Tick) else None
        state = RequestState(self.saver_state, request, deadline, counts)
        if state.done:  # by the cache: there may be no client yet
            return state.answer
        with self.saver_state.creating_client():
            client = self._client(request)
        translator = client.translator
        while not state.done:
            deadline.check()
            send = functools.partial(client.fetch, *state.prepare(translator))
            try:
                state.succeeded(translator, *call_hedged(self._hedge_threads, state, send))
            except Exception as error:  # noqa: BLE001  # classified by the state
                try:
                    deadline.sleep(state.failed(error, retried=client.retries))
                except AccessDeniedError as refusal:
                    if refusal.unauthenticated:
                        client.refused()
                    raise
        return state.answer

    async def _asend(self, request: Request[Any], deadline: IdleDeadline, counts: Counts) -> Any:
        if isinstance(request, Attempted):
            try:
                return await self._asend(request.request, deadline, counts)
            except S3CheckpointError as error:
                return Failure(error)
        if isinstance(request, Call):
            return await (request.coroutine or functools.partial(asyncio.to_thread, request.function))()
        if isinstance(request, (Tick, Sleep)):
            return self.saver_state.tick() if isinstance(request, Tick) else None
        state = RequestState(self.saver_state, request, deadline, counts)
        if state.done:
            return state.answer
        with self.saver_state.creating_client():
            client = await self._async_client(request)
        if client is None:
            return await self._in_thread(functools.partial(self._send, request, deadline, counts))
        translator = client.translator
        while not state.done:
            send = functools.partial(client.fetch, *state.prepare(translator))
            try:
                state.succeeded(translator, *await acall_hedged(state, send))
            except Exception as error:  # noqa: BLE001  # classified by the state
                try:
                    await asyncio.sleep(state.failed(error, retried=client.retries))
                except AccessDeniedError as refusal:
                    if refusal.unauthenticated:
                        await client.refused()
                    raise
        return state.answer

    async def _in_thread(self, call: Callable[[Stop], T]) -> T:
        """Call a function in a thread. If this is cancelled, it is asked to stop, and its end is awaited."""
        stop = Stop(asyncio.get_running_loop())
        return await self._threads.awaited(functools.partial(call, stop), stop.ask)

    def _client(self, request: Request[Any]) -> Client:
        """Return the blocking client for a request."""
        if self._rest is not None and type(request) in DATA_PLANE and not sdk_is_mocked():
            try:
                return self._rest.get()
            except NeedsSdk as reason:
                self._use_sdk(reason)
        return self._boto.get()

    async def _async_client(self, request: Request[Any]) -> AsyncClient | None:
        """Return the running loop's client for a request; `None` if only the blocking client can send it."""
        if self._async_rest is not None and type(request) in DATA_PLANE:
            try:
                return await self._async_rest.get_async()
            except NeedsSdk as reason:
                self._use_sdk(reason)
        return None if self._aio is None else await self._aio.get()

    def _use_sdk(self, reason: NeedsSdk) -> None:
        """Send all requests with the SDK from now on."""
        self.saver_state.log_once(logging.INFO, "Requests are sent with the SDK: %s", reason)
        self._rest = self._async_rest = None


def sdk_is_mocked() -> bool:
    """Return whether somebody stands in for S3 within the SDK: moto's `mock_aws`, in tests of applications.

    Requests that don't go through boto3 would leave the machine: moto knows no other client.
    """
    if "moto" not in sys.modules:
        return False
    handlers = getattr(sys.modules.get("botocore.handlers"), "BUILTIN_HANDLERS", ())
    return any(
        event == "before-send" and getattr(handler, "enabled", False) for event, handler, *_ in handlers
    )


def _pause(batch: Sequence[Request[Any]]) -> float:
    """Return the seconds that a batch waits before it is sent."""
    pause = 0.0
    for request in batch:
        plain = request.request if isinstance(request, Attempted) else request
        if isinstance(plain, Sleep):
            pause = max(pause, plain.seconds)
    return pause


async def _step_in_thread(
    plan: _Plan[Any],
    answers: list[Any] | None,
    failure: BaseException | None,
) -> Sequence[Request[Any]] | Ended:
    """`advance`, in a thread."""
    thread = asyncio.ensure_future(asyncio.to_thread(advance, plan, answers, failure))
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError as cancelled:
        await asyncio.wait([thread])  # a generator can't be closed while it runs
        if thread.exception() is None and not isinstance(thread.result(), Ended):
            return advance(plan, None, cancelled)
        raise
