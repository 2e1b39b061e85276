"""How an admin takes the steps of a job, blocking or async: plans on its store, reads from another saver."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from langgraph_checkpoint_s3.admin.base import BaseAdmin, operation_of
from langgraph_checkpoint_s3.admin.jobs import Job, ReadIds, ReadTuple, Run, Settle, clear_tracebacks
from langgraph_checkpoint_s3.admin.migration.source import Source
from langgraph_checkpoint_s3.errors import S3CheckpointError
from langgraph_checkpoint_s3.plans.plan import Plan, gather, return_errors

T = TypeVar("T")


class Jobs(BaseAdmin):
    """An admin that takes the steps of jobs. Not for use by itself."""

    def _work(self, job: Job[T], source: Source | None = None) -> T:
        """Do a job, blocking. `source` is what its reads are from."""
        answer: Any = None
        failure: BaseException | None = None
        try:
            while True:
                try:
                    step = job.send(answer) if failure is None else job.throw(failure)
                except StopIteration as stop:
                    return stop.value  # type: ignore[no-any-return]
                try:
                    answer, failure = self._take(step, source), None
                except BaseException as error:  # noqa: BLE001  # thrown into the job
                    failure = error
        finally:
            job.close()

    async def _awork(self, job: Job[T], source: Source | None = None) -> T:
        """Do a job, as a coroutine."""
        answer: Any = None
        failure: BaseException | None = None
        try:
            while True:
                try:
                    step = job.send(answer) if failure is None else job.throw(failure)
                except StopIteration as stop:
                    return stop.value  # type: ignore[no-any-return]
                try:
                    answer, failure = await self._atake(step, source), None
                except BaseException as error:  # noqa: BLE001  # thrown into the job
                    failure = error
        finally:
            job.close()

    def _settle(self, plans: Sequence[Plan[T]]) -> list[T | Exception]:
        """Run plans side by side, each to its result or its error."""
        return self._told(self._run(_side_by_side(plans), "admin.batch"))

    async def _asettle(self, plans: Sequence[Plan[T]], weight: int = 0) -> list[T | Exception]:
        """`_settle`, as a coroutine."""
        store = self._store
        return self._told(await store.arun(_side_by_side(plans), "admin.batch", weight=weight))

    def _take(self, step: Run | Settle | ReadIds | ReadTuple, source: Source | None) -> Any:
        match step:
            case Run(plan):
                return self._run(plan)
            case Settle(plans):
                return self._settle(plans)
            case ReadIds(config, note) if source is not None:
                return source.list(config, note)
            case ReadTuple(config) if source is not None:
                return source.get(config)
        raise AssertionError(f"there is nothing to take {step!r} with")

    async def _atake(self, step: Run | Settle | ReadIds | ReadTuple, source: Source | None) -> Any:
        match step:
            case Run(plan, weight):
                return await self._store.arun(plan, operation_of(plan), weight=weight)
            case Settle(plans, weight):
                return await self._asettle(plans, weight)
            case ReadIds(config, note) if source is not None:
                return await source.alist(config, note)
            case ReadTuple(config) if source is not None:
                return await source.aget(config)
        raise AssertionError(f"there is nothing to take {step!r} with")

    def _told(self, answers: list[T | Exception]) -> list[T | Exception]:
        """Results, once the store was told of the errors among them, as it is of those that end a plan."""
        for answer in answers:
            if isinstance(answer, S3CheckpointError):
                self._store.saver_state.failed(answer)
        clear_tracebacks(answers)
        return answers


def _side_by_side(plans: Sequence[Plan[T]]) -> Plan[list[T | Exception]]:
    return gather([return_errors(plan, Exception) for plan in plans])
