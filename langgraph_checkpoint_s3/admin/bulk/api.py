"""Operations on many checkpoints or threads at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from langgraph.checkpoint.base import CheckpointTuple

from langgraph_checkpoint_s3.admin.base import BaseAdmin
from langgraph_checkpoint_s3.admin.bulk import batches
from langgraph_checkpoint_s3.admin.bulk.batches import BatchResult
from langgraph_checkpoint_s3.admin.calls import Progress
from langgraph_checkpoint_s3.plans.plan import Plan
from langgraph_checkpoint_s3.saver import internals_of

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig


class Batches(BaseAdmin):
    """Operations on many checkpoints or threads at once.

    Each takes its items from the iterable a batch at a time, and returns a result or an error for every item.
    An item's error (invalid ids or values, a damaged object, a failed request) doesn't end the others. An
    exception of the iterable or of the progress callback propagates, once the requests under way are done.
    Repeating an operation does no harm; `batch_save_checkpoints` then makes further checkpoints.
    """

    def batch_put(
        self, items: Iterable[CheckpointTuple], *, concurrency: int = 16, progress: Progress | None = None
    ) -> list[BatchResult[RunnableConfig]]:
        """Put checkpoints, each with its pending writes. The requests are those of as many `put` calls.

        A checkpoint is put after its writes, so one that is present is complete. It borrows from its parent,
        as with `put`, if the parent came earlier; if both are in the same batch, it waits for the parent. So
        give the oldest first: `saver.list` gives the newest first, and each would be stored whole. Memory
        use is that of one batch, plus the saver's cache (`cache_bytes`) and the results.

        Meant for checkpoints that the store lacks, or has from a batch that was interrupted. A tuple lacks
        the paths of the tasks, and the positions of their writes among special ones (errors, interrupts):
        the order of the tasks is kept, and the order of each task's writes.

        Needs `s3:PutObject`, `s3:GetObject`, `s3:AbortMultipartUpload` and `s3:ListBucket`.

        Args:
            items: The checkpoints, as returned by a saver's `list`: `config`, `checkpoint`, `metadata`,
                `parent_config` and `pending_writes`.
            concurrency: How many are put at once, and held in memory. Their requests share the saver's
                `max_concurrency`, so a higher number only fills gaps.
            progress: Called after each batch with the number done and the total (`None` if the iterable has
                no length).

        Returns:
            A result for each item, in order. Its `value` is the config of the checkpoint.

        Raises:
            InvalidKeyError: `items` is one item rather than many.
            InvalidConfigError: `concurrency` is less than 1.
        """
        return self._run(self._batch_put(items, concurrency, progress), "admin.batch_put")

    async def abatch_put(
        self, items: Iterable[CheckpointTuple], *, concurrency: int = 16, progress: Progress | None = None
    ) -> list[BatchResult[RunnableConfig]]:
        """`batch_put`, as a coroutine."""
        return await self._arun(self._batch_put(items, concurrency, progress), "admin.batch_put")

    def batch_get(
        self, configs: Iterable[RunnableConfig], *, concurrency: int = 16, progress: Progress | None = None
    ) -> Iterator[BatchResult[CheckpointTuple | None]]:
        """Read checkpoints as `get_tuple` does, a batch at a time. Needs `s3:ListBucket` and `s3:GetObject`.

        Args:
            configs: The checkpoints: `thread_id`, and optionally `checkpoint_ns` and `checkpoint_id` (the
                latest by default).
            concurrency: How many are read at once, and held in memory; as for `batch_put`.
            progress: As for `batch_put`.

        Returns:
            A result for each config, in order. Its `value` is the checkpoint, or `None` if there is none.

        Raises:
            InvalidKeyError: `configs` is one config rather than many.
            InvalidConfigError: `concurrency` is less than 1.
        """
        done = 0
        for batch in batches.batched(configs, concurrency):
            plan = batches.get_batch(self._context, batch, self._note_error)
            outcomes = self._run(plan, "admin.batch_get")
            yield from batches.results_of(done, batch, outcomes, configs, progress)
            done += len(batch)

    async def abatch_get(
        self, configs: Iterable[RunnableConfig], *, concurrency: int = 16, progress: Progress | None = None
    ) -> AsyncIterator[BatchResult[CheckpointTuple | None]]:
        """`batch_get`, as an async iterator."""
        done = 0
        for batch in batches.batched(configs, concurrency):
            plan = batches.get_batch(self._context, batch, self._note_error)
            outcomes = await self._arun(plan, "admin.batch_get")
            for result in batches.results_of(done, batch, outcomes, configs, progress):
                yield result
                del result
            done += len(batch)

    def batch_delete(
        self,
        items: Iterable[str | RunnableConfig],
        *,
        concurrency: int = 16,
        progress: Progress | None = None,
    ) -> list[BatchResult[None]]:
        """Delete threads, and single checkpoints with their writes. There is no confirmation.

        A thread takes one LIST and one DeleteObjects per 1,000 objects, as with `delete_thread`. The
        checkpoints of a namespace take one listing of it per 1,000 items; checkpoints that borrow from them
        are first rewritten with the borrowed bytes. Deleting what doesn't exist is no error. Delta channels
        that were rebuilt from a deleted checkpoint are lost, as with every saver.

        Needs `s3:ListBucket` and `s3:DeleteObject`; for single checkpoints also `s3:GetObject`,
        `s3:PutObject` and `s3:AbortMultipartUpload`.

        Args:
            items: A string is the id of a thread, which is deleted whole. A config with a `checkpoint_id`
                is one checkpoint, by default of the root namespace. A config without one is refused, since
                it is ambiguous.
            concurrency: How many threads and namespaces are worked on at once; as for `batch_put`.
            progress: As for `batch_put`.

        Returns:
            A result for each item, in order, without a `value`.

        Raises:
            InvalidKeyError: `items` is one item rather than many.
            InvalidConfigError: `concurrency` is less than 1.
        """
        return self._run(self._batch_delete(items, concurrency, progress), "admin.batch_delete")

    async def abatch_delete(
        self,
        items: Iterable[str | RunnableConfig],
        *,
        concurrency: int = 16,
        progress: Progress | None = None,
    ) -> list[BatchResult[None]]:
        """`batch_delete`, as a coroutine."""
        return await self._arun(self._batch_delete(items, concurrency, progress), "admin.batch_delete")

    def batch_save_checkpoints(
        self,
        items: Iterable[tuple[str, Mapping[str, Any]]],
        *,
        concurrency: int = 16,
        progress: Progress | None = None,
    ) -> list[BatchResult[str]]:
        """Save threads' states without a graph, each as `S3Saver.save_checkpoint` does.

            results = admin.batch_save_checkpoints([("one", {"name": "Ada"}), ("two", {"name": "Bo"})])
            checkpoint_ids = [result.value for result in results]

        One LIST and one PUT an item, and a GET if the thread's latest checkpoint was written by another
        process. States of one thread are saved one after the other, in their order. Saving again does no
        harm, but makes another checkpoint. Needs `s3:ListBucket`, `s3:GetObject` and `s3:PutObject`.

        Args:
            items: The threads' ids, each with all of its values.
            concurrency: How many are saved at once, and held in memory; as for `batch_put`.
            progress: As for `batch_put`.

        Returns:
            A result for each item, in order. Its `value` is the checkpoint's id, its `item` the thread's.

        Raises:
            InvalidKeyError: `items` is one item rather than many.
            InvalidConfigError: `concurrency` is less than 1.
        """
        return self._run(self._batch_save(items, concurrency, progress), "admin.batch_save_checkpoints")

    async def abatch_save_checkpoints(
        self,
        items: Iterable[tuple[str, Mapping[str, Any]]],
        *,
        concurrency: int = 16,
        progress: Progress | None = None,
    ) -> list[BatchResult[str]]:
        """`batch_save_checkpoints`, as a coroutine."""
        return await self._arun(
            self._batch_save(items, concurrency, progress), "admin.batch_save_checkpoints"
        )

    def batch_delete_checkpoints(
        self,
        thread_ids: Iterable[str],
        checkpoint_ids: Iterable[str],
        *,
        concurrency: int = 16,
        progress: Progress | None = None,
    ) -> list[BatchResult[None]]:
        """Delete single checkpoints of the root namespace, with their writes. There is no confirmation.

        It is `batch_delete` with the ids in two lists: the first checkpoint is one of the first thread, and
        so on. Needs what `batch_delete` needs for single checkpoints: `s3:ListBucket`, `s3:GetObject`,
        `s3:PutObject` and `s3:DeleteObject`.

        Args:
            thread_ids: The threads, one for each checkpoint.
            checkpoint_ids: The checkpoints.
            concurrency: How many threads are worked on at once; as for `batch_put`.
            progress: As for `batch_put`.

        Returns:
            A result for each checkpoint, in order, without a `value`. Its `item` is the checkpoint's config.

        Raises:
            InvalidKeyError: An argument is one id rather than many, or they differ in length. Nothing was
                deleted.
            InvalidConfigError: `concurrency` is less than 1.
        """
        plan = self._batch_delete(batches.pairs(thread_ids, checkpoint_ids), concurrency, progress)
        return self._run(plan, "admin.batch_delete_checkpoints")

    async def abatch_delete_checkpoints(
        self,
        thread_ids: Iterable[str],
        checkpoint_ids: Iterable[str],
        *,
        concurrency: int = 16,
        progress: Progress | None = None,
    ) -> list[BatchResult[None]]:
        """`batch_delete_checkpoints`, as a coroutine."""
        plan = self._batch_delete(batches.pairs(thread_ids, checkpoint_ids), concurrency, progress)
        return await self._arun(plan, "admin.batch_delete_checkpoints")

    def _batch_save(
        self,
        items: Iterable[tuple[str, Mapping[str, Any]]],
        concurrency: int,
        progress: Progress | None,
    ) -> Plan[list[BatchResult[str]]]:
        some, total = batches.batched(items, concurrency), batches.total_of(items)
        clock, next_version = internals_of(self._saver).now, self._saver.get_next_version
        return batches.save_all(self._context, some, total, progress, clock, next_version, self._note_error)

    def _batch_put(
        self, items: Iterable[CheckpointTuple], concurrency: int, progress: Progress | None
    ) -> Plan[list[BatchResult[RunnableConfig]]]:
        put, total = batches.batched(items, concurrency), batches.total_of(items)
        clock = internals_of(self._saver).now
        return batches.put_all(self._context, put, total, progress, clock, self._note_error)

    def _batch_delete(
        self, items: Iterable[str | RunnableConfig], concurrency: int, progress: Progress | None
    ) -> Plan[list[BatchResult[None]]]:
        batches.check_concurrency(concurrency)
        deleted = batches.batched(items, max(concurrency, batches.DELETE_BATCH))
        total = batches.total_of(items)
        return batches.delete_all(self._context, deleted, total, concurrency, progress, self._note_error)
