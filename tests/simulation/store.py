"""Runner of a saver's plans in a history, in place of its store: each batch is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from langgraph_checkpoint_s3 import S3CheckpointError, S3Config
from langgraph_checkpoint_s3.s3.driver import Ended, advance
from langgraph_checkpoint_s3.s3.request_state import RequestState, SaverState
from langgraph_checkpoint_s3.s3.requests import Attempted, Body, Call, Failure, Request
from tests.simulation.bucket import Bucket
from tests.support.fake_store import FakeTranslator

if TYPE_CHECKING:
    from tests.simulation.world import World


TRANSLATOR: Final[Any] = FakeTranslator()


@dataclass(frozen=True, eq=False)
class Batch:
    """Batch of requests that a coroutine waits for."""

    store: Store
    requests: Sequence[Request[Any]]

    def __await__(self) -> Generator[Batch, Any, Any]:
        return (yield self)


class Store:
    """Stands in for `Store`: coroutines wait for a `Batch`, and blocking methods have it at once.

    Args:
        world: The world.
        bucket: The bucket.
        config: The saver's.
        offset: By how many seconds the process's monotonic clock is ahead of the world's.

    Attributes:
        together: Where calls of `put_writes` wait for one another, if they do.
    """

    def __init__(self, world: World, bucket: Bucket, config: S3Config, offset: float) -> None:
        self.world = world
        self.bucket = bucket
        self.config = config
        self.offset = offset
        self.saver_state = SaverState(config)
        self.saver_state.clock = self.clock
        self.together: list[tuple[Any, Any]] | None = None

    def clock(self) -> float:
        """The process's monotonic clock."""
        if self.bucket.broken == "has no clock":
            return 0.0
        return self.world.now + self.offset

    def run(self, plan: Any, operation: str = "") -> Any:
        """Run a plan while everything else stands still."""
        coroutine = self.arun(plan)
        answers: Any = None
        while True:
            try:
                batch = coroutine.send(answers)
            except StopIteration as stop:
                return stop.value
            answers = self._at_once(batch.requests)

    async def arun(self, plan: Any, operation: str = "", *, weight: int = 0) -> Any:
        """Run a plan."""
        answers: list[Any] | None = None
        failure: BaseException | None = None
        try:
            while True:
                batch = advance(plan, answers, failure)
                if isinstance(batch, Ended):
                    return batch.result
                assert batch, "a plan yielded an empty batch"
                try:
                    answers, failure = await Batch(self, batch)
                except asyncio.CancelledError as error:
                    answers, failure = [], error
        except S3CheckpointError as error:
            self.saver_state.failed(error)
            raise
        finally:
            plan.close()

    def run_coalesced(self, make: Any, plan: Any, name: str) -> None:
        """Run a plan for one item."""
        self.run(plan([make()[1]]), name)

    async def arun_coalesced(self, make: Any, plan: Any, name: str) -> None:
        """`run_coalesced`, as a coroutine."""
        if self.together is not None:
            self.together.append((make()[1], plan))
        else:
            await self.arun(plan([make()[1]]), name)

    def close(self) -> None:
        """Nothing is open."""

    async def aclose(self) -> None:
        """Nothing is open."""

    def _at_once(self, requests: Sequence[Request[Any]]) -> tuple[list[Any], BaseException | None]:
        answers: list[Any] = []
        failure: BaseException | None = None
        deadline = self.saver_state.deadline()
        for request in requests:
            plain: Any = request.request if isinstance(request, Attempted) else request
            try:
                answers.append(self._answer(plain, deadline))
            except S3CheckpointError as error:
                answers.append(Failure(error))
                if not isinstance(request, Attempted):
                    failure = failure or error
        return answers, failure

    def _answer(self, request: Any, deadline: Any) -> Any:
        if isinstance(request, Call):
            return request.function()
        if name_of(request) == "Tick":
            return self.clock()
        if name_of(request) == "Sleep":
            self.world.now += request.seconds
            return None
        state = RequestState(self.saver_state, request, deadline)
        while not state.done:
            _, arguments = state.prepare(TRANSLATOR)
            try:
                answer = self.bucket.execute(request, conditional=arguments["conditional"])
            except Exception as error:  # noqa: BLE001  # classified by the state
                state.failed(error)
            else:
                state.succeeded(TRANSLATOR, {"answer": answer}, data_of(answer))
        return state.answer


def name_of(request: object) -> str:
    """Return the kind of a request."""
    return type(request).__name__


def data_of(answer: Any) -> bytes:
    return answer.data if isinstance(answer, Body) else b""
