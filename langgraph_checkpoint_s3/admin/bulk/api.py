"""An admin's operations on many checkpoints or threads at once."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import TYPE_CHECKING

from langgraph.checkpoint.base import CheckpointTuple

from langgraph_checkpoint_s3.admin.bulk import batches
from langgraph_checkpoint_s3.admin.bulk.batches import BatchResult
from langgraph_checkpoint_s3.admin.jobs import Job
from langgraph_checkpoint_s3.admin.jobs_api import Jobs
from langgraph_checkpoint_s3.admin.progress import Progress, no_progress
from langgraph_checkpoint_s3.saver import internals_of

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig


class Batches(Jobs):
    """An admin's operations on many checkpoints or threads at once.

    Each takes its items from the iterable a window at a time, and has a result or an error for every one
    of them: what is wrong with an item (its ids, its values, an object that is damaged, a request that the
    store refuses) ends nothing else. What the iterable or the progress callback raises
    comes out as it is, once what was under way is done. Doing a batch again does no harm.
    """

    def batch_put(
        self, items: Iterable[CheckpointTuple], *, concurrency: int = 16, progress: Progress | None = None
    ) -> list[BatchResult[RunnableConfig]]:
        """Put checkpoints, each with its pending writes. The requests are those of as many `put`s.

        A checkpoint is put after its writes, so one that is there has all of them. One whose parent
        came before it borrows from that as with `put`, and for that it waits for the parent if that is in the
        same window. So give the oldest first; `saver.list` gives the newest first, of which each is
        stored whole. Neither the items nor what they were made into is kept: any number of them takes
        the memory of a window, beside the saver's cache (`cache_bytes`) and the results.

        Meant for checkpoints that the store doesn't have, or has from a batch that was cut short.
        A tuple doesn't tell the paths of the tasks that wrote, nor the places of their writes among
        special ones (errors, interrupts): the order of the tasks is kept, and so is that of a
        task's writes.

        Needs `s3:PutObject`, `s3:GetObject`, `s3:AbortMultipartUpload` and `s3:ListBucket`.

        Args:
            items: The checkpoints, as a saver's `list` gives them: `config`, `checkpoint`, `metadata`,
                `parent_config` and `pending_writes`.
            concurrency: How many are put at once, and are in memory. Their requests share the
                saver's `max_concurrency`, so more than that only fills gaps.
            progress: Called after each window with how many are done, and how many there are
                (`None` if the iterable has no length).

        Returns:
            One for each item, in their order; its `value` is the config that points at the checkpoint.

        Raises:
            InvalidKeyError: This is one item rather than many.
            InvalidConfigError: `concurrency` is less than 1.
        """
        return self._work(self._put_all(items, concurrency, progress))

    async def abatch_put(
        self, items: Iterable[CheckpointTuple], *, concurrency: int = 16, progress: Progress | None = None
    ) -> list[BatchResult[RunnableConfig]]:
        """`batch_put`, as a coroutine."""
        return await self._awork(self._put_all(items, concurrency, progress))

    def batch_get(
        self, configs: Iterable[RunnableConfig], *, concurrency: int = 16, progress: Progress | None = None
    ) -> Iterator[BatchResult[CheckpointTuple | None]]:
        """Read checkpoints, each as `get_tuple` does, a window at a time as the iteration goes on.

        Needs `s3:ListBucket` and `s3:GetObject`.

        Args:
            configs: Which ones: `thread_id`, and optionally `checkpoint_ns` and `checkpoint_id`
                (the latest by default).
            concurrency: How many are read at once, and are in memory. Their requests share the
                saver's `max_concurrency`, so more than that only fills gaps.
            progress: Called after each window with how many are read, and how many there are
                (`None` if the iterable has no length).

        Returns:
            One for each config, in their order; its `value` is the checkpoint, `None` if there is none.

        Raises:
            InvalidKeyError: This is one config rather than many.
            InvalidConfigError: `concurrency` is less than 1.
        """
        done = 0
        for window in batches.windows(configs, concurrency):
            context = self._context
            found = deque(self._settle([batches.read_one(context, config) for config in window]))
            self._report(progress, done + len(window), configs)
            for config in window:
                yield batches.result_of(done, config, found.popleft())
                done += 1

    async def abatch_get(
        self, configs: Iterable[RunnableConfig], *, concurrency: int = 16, progress: Progress | None = None
    ) -> AsyncIterator[BatchResult[CheckpointTuple | None]]:
        """`batch_get`, as an async iterator."""
        done = 0
        for window in batches.windows(configs, concurrency):
            context = self._context
            found = deque(await self._asettle([batches.read_one(context, config) for config in window]))
            self._report(progress, done + len(window), configs)
            for config in window:
                yield batches.result_of(done, config, found.popleft())
                done += 1

    def batch_delete(
        self,
        items: Iterable[str | RunnableConfig],
        *,
        concurrency: int = 16,
        progress: Progress | None = None,
    ) -> list[BatchResult[None]]:
        """Delete threads, and single checkpoints with their writes. Nothing asks whether you are sure.

        A thread takes one LIST and one DeleteObjects per 1,000 objects, as with `delete_thread`. For
        checkpoints, their namespace is listed once for up to 1,000 items, and what borrows from them is
        rewritten first, with what it borrows in it. What isn't there is no error. Delta channels
        that were rebuilt from a checkpoint that goes can't be any more, as with every saver.

        Needs `s3:ListBucket` and `s3:DeleteObject`; for single checkpoints also `s3:GetObject`,
        `s3:PutObject` and `s3:AbortMultipartUpload`.

        Args:
            items: A string is a thread's id, and all of the thread goes. A config with a
                `checkpoint_id` is that checkpoint, in the root namespace unless it names another; one
                without is refused, as it could mean anything.
            concurrency: How many threads and namespaces are worked on at once. Their requests share
                the saver's `max_concurrency`.
            progress: Called with how many items are done, and how many there are (`None` if the
                iterable has no length).

        Returns:
            One for each item, in their order, without a `value`.

        Raises:
            InvalidKeyError: This is one item rather than many.
            InvalidConfigError: `concurrency` is less than 1.
        """
        return self._work(batches.delete_all(self._context, items, concurrency, progress or no_progress))

    async def abatch_delete(
        self,
        items: Iterable[str | RunnableConfig],
        *,
        concurrency: int = 16,
        progress: Progress | None = None,
    ) -> list[BatchResult[None]]:
        """`batch_delete`, as a coroutine."""
        return await self._awork(
            batches.delete_all(self._context, items, concurrency, progress or no_progress)
        )

    def _put_all(
        self, items: Iterable[CheckpointTuple], concurrency: int, progress: Progress | None
    ) -> Job[list[BatchResult[RunnableConfig]]]:
        return batches.put_all(
            self._context, items, concurrency, progress or no_progress, internals_of(self._saver).now
        )

    @staticmethod
    def _report(progress: Progress | None, done: int, items: Iterable[object]) -> None:
        if progress is not None:
            progress(done, batches.total_of(items))
