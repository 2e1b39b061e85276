"""Runs plans, and whole savers, on the fake S3, and counts what that takes."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Generator, Hashable, Sequence
from email.utils import format_datetime
from typing import Any, TypeVar

from langgraph_checkpoint_s3 import S3CheckpointError, S3Config, S3Saver
from langgraph_checkpoint_s3.plans.transfer import Sizes
from langgraph_checkpoint_s3.s3.coalescing import Coalescer
from langgraph_checkpoint_s3.s3.driver import Ended, advance
from langgraph_checkpoint_s3.s3.request_state import RequestState, SaverState
from langgraph_checkpoint_s3.s3.requests import Attempted, Body, Call, Failure, Request, Sleep, Tick
from tests.support import inside, modes
from tests.support.fake_s3 import BUCKET, FakeS3

T = TypeVar("T")

SMALLEST = 4096
"""Bytes from which values are borrowed here. It is less than usual, so that small states do."""
_STAMPS = itertools.count()
"""Offsets of the bucket's time, so that no two objects have the same."""


class FakeTranslator:
    """Stands in for `Translator`: a fake's answer needs no reading."""

    endpoint_url = "http://127.0.0.1:9000"

    def arguments(self, request: Request[Any], *, conditional: bool = True) -> dict[str, Any]:
        return {"conditional": conditional}

    def answer(
        self, request: Request[Any], response: dict[str, Any], data: bytes, received: Any = None
    ) -> Any:
        return response["answer"]


class _CalledFunction:
    """The outcome of a `Call`."""

    done = True

    def __init__(self) -> None:
        self.answer: Any = None
        self.error: BaseException | None = None

    def call(self, request: Call[Any]) -> _CalledFunction:
        try:
            self.answer = request.function()
        except BaseException as error:  # noqa: BLE001  # as the drivers do
            self.error = error
        return self

    async def acall(self, request: Call[Any]) -> _CalledFunction:
        if request.coroutine is None:
            return self.call(request)
        try:
            self.answer = await request.coroutine()
        except BaseException as error:  # noqa: BLE001  # as the drivers do
            self.error = error
        return self


class FakeStore:
    """Stands in for `Store`: runs plans on a fake, with the real request states and cache, at once.

    A batch is settled as the real drivers do it: all of it is sent, then the first error counts.
    """

    def __init__(self, fake: FakeS3, config: S3Config) -> None:
        self.fake = fake
        self.config = config
        self.saver_state = SaverState(config)
        self._coalescer = Coalescer()

    def for_bucket(self, bucket: str) -> FakeStore:
        """Return a store on another bucket; one that doesn't exist if the fake knows none."""
        absent = FakeS3()
        absent.exists = False
        return FakeStore(self.fake.beside.get(bucket, absent), self.config.replace(bucket=bucket))

    def run(self, plan: Generator[Sequence[Request[Any]], list[Any], T], operation: str = "") -> T:
        """Run a plan to its end."""
        steps = self._steps(plan)
        called: list[_CalledFunction] | None = None
        try:
            while True:
                calls = steps.send(called)
                called = [_CalledFunction().call(request) for request in calls]
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]  # a plan is untyped
        finally:
            steps.close()

    async def arun(
        self, plan: Generator[Sequence[Request[Any]], list[Any], T], operation: str = "", *, weight: int = 0
    ) -> T:
        """Run a plan to its end, letting other tasks in before every batch."""
        steps = self._steps(plan)
        called: list[_CalledFunction] | None = None
        try:
            while True:
                calls = steps.send(called)
                await asyncio.sleep(0)
                called = [await _CalledFunction().acall(request) for request in calls]
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]  # a plan is untyped
        finally:
            steps.close()

    def run_coalesced(
        self,
        make: Callable[[], tuple[Hashable, Any]],
        plan: Callable[[Sequence[Any]], Generator[Any, Any, None]],
        name: str,
    ) -> None:
        """Run a plan for an item, together with others that wait meanwhile."""
        key, item = make()
        self._coalescer.run(key, item, lambda items: self.run(plan(items), name))

    async def arun_coalesced(
        self,
        make: Callable[[], tuple[Hashable, Any]],
        plan: Callable[[Sequence[Any]], Generator[Any, Any, None]],
        name: str,
    ) -> None:
        """`run_coalesced`, as a coroutine."""
        key, item = make()
        await self._coalescer.arun(key, item, lambda items: self.arun(plan(items), name))

    def close(self) -> None:
        pass

    async def aclose(self) -> None:
        pass

    def _steps(
        self, plan: Generator[Sequence[Request[Any]], list[Any], T]
    ) -> Generator[list[Call[Any]], list[_CalledFunction] | None, T]:
        answers: list[Any] | None = None
        failure: BaseException | None = None
        try:
            while True:
                step = advance(plan, answers, failure)
                if isinstance(step, Ended):
                    return step.result  # type: ignore[no-any-return]  # a plan is untyped
                assert step, "a plan yielded an empty batch"
                answers, failure = self._send_batch(step, (yield self._calls(step)))
        except S3CheckpointError as error:
            if error.bucket is None:
                error.bucket = self.config.bucket
            raise
        finally:
            plan.close()

    def _calls(self, batch: Sequence[Request[Any]]) -> list[Call[Any]]:
        """Return what a batch calls, once its pause is over."""
        plain = [_plain(request) for request in batch]
        self.fake.seconds += max((each.seconds for each in plain if isinstance(each, Sleep)), default=0.0)
        return [request for request in map(self._unsent, plain) if isinstance(request, Call)]

    def _send_batch(
        self, batch: Sequence[Request[Any]], called: Sequence[_CalledFunction] | None = None
    ) -> tuple[list[Any], BaseException | None]:
        if called is None:
            called = [_CalledFunction().call(request) for request in self._calls(batch)]
        plain = [self._unsent(_plain(request)) for request in batch]
        deadline, calls = self.saver_state.deadline(), iter(called)
        states = [
            next(calls) if isinstance(request, Call) else RequestState(self.saver_state, request, deadline)
            for request in plain
        ]
        sent = [number for number, state in enumerate(states) if not state.done]
        if sent:
            self.fake.count([plain[number] for number in sent])
        if self.fake.shuffle is not None:
            self.fake.shuffle.shuffle(sent)
        failures: dict[int, BaseException] = {}
        for number, state in enumerate(states):
            if isinstance(state, _CalledFunction) and state.error is not None:
                if isinstance(batch[number], Attempted) and isinstance(state.error, S3CheckpointError):
                    state.answer = Failure(state.error)
                else:
                    failures[number] = state.error
        for number in sent:
            try:
                self._send(states[number])
            except BaseException as error:  # noqa: BLE001  # as the drivers do: all of it is settled
                if isinstance(batch[number], Attempted) and isinstance(error, S3CheckpointError):
                    states[number].answer = Failure(error)
                else:
                    failures[number] = error
        failure = failures[min(failures)] if failures else None
        return [state.answer for state in states], failure

    def _unsent(self, request: Request[Any]) -> Request[Any]:
        """Return what stands for a request that isn't for S3."""
        if isinstance(request, Tick):
            return Call(lambda: self.fake.seconds)
        return Call(lambda: None) if isinstance(request, Sleep) else request

    def _send(self, state: Any) -> None:
        translator: Any = FakeTranslator()
        while not state.done:
            _, arguments = state.prepare(translator)
            try:
                answer = self.fake.execute(state.request, conditional=arguments["conditional"])
                data = answer.data if isinstance(answer, Body) else b""
                date = format_datetime(self.fake.now, usegmt=True)
                metadata = {"HTTPHeaders": {"date": date}}
                state.succeeded(translator, {"answer": answer, "ResponseMetadata": metadata}, data)
            except Exception as error:  # noqa: BLE001  # classified by the state
                state.failed(error, retried=True)  # what fails here has failed for good


def _plain(request: Request[Any]) -> Request[Any]:
    return request.request if isinstance(request, Attempted) else request


def make_saver(fake: FakeS3, *, sizes: Sizes | None = None, serde: Any = None, **settings: Any) -> S3Saver:
    """A saver on a fake, on a machine whose clock is right: it is the fake's.

    Args:
        fake: The bucket.
        sizes: When to move objects in parts, also below what `S3Config` lets through.
        serde: As for `S3Saver`.
        **settings: As for `S3Saver`; `cache_bytes=0` is one without a cache.
    """
    settings.setdefault("bucket", BUCKET)
    if "encryption" not in settings:
        settings.update(modes.settings())
    saver = S3Saver(serde=serde, **settings)
    store: Any = FakeStore(fake, saver.config)
    inside.set_store(saver, store)
    inside.set_borrowing(saver, min_value=SMALLEST)
    store.saver_state.store_time.local = lambda: int(fake.now.timestamp() * 1_000_000_000)
    if sizes is not None:
        inside.set_sizes(saver, sizes)
    return saver
