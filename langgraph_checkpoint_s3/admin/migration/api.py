"""An admin's operation that brings threads over from another saver."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from langgraph_checkpoint_s3.admin.jobs import Job
from langgraph_checkpoint_s3.admin.jobs_api import Jobs
from langgraph_checkpoint_s3.admin.migration import migrate
from langgraph_checkpoint_s3.admin.migration.migrate import Migrated
from langgraph_checkpoint_s3.admin.migration.source import Source
from langgraph_checkpoint_s3.admin.progress import Progress, no_progress
from langgraph_checkpoint_s3.saver import internals_of

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver


class Migration(Jobs):
    """An admin's operation that brings threads over from another saver."""

    def migrate(
        self,
        source: BaseCheckpointSaver[Any],
        thread_ids: Iterable[str] | None = None,
        *,
        verify: bool = True,
        concurrency: int = 16,
        progress: Progress | None = None,
    ) -> Migrated:
        """Bring threads over from another saver: SQLite, Postgres, Redis, memory, another bucket.

        Every checkpoint of every namespace comes with its ids, metadata, parent and pending writes, the
        oldest of a thread first: meanwhile the thread here looks like its own past, and then goes on here
        as it would have gone on there. What checkpoints share with their parents is stored once,
        as with `put`. The source is only read. Stop the agents that use the threads before.

        It can be cut short at any point, and done again: what is here already isn't put again. Nothing
        that is here is ever overwritten or deleted.

        The source's `list` is read once for each thread, for the ids; the checkpoints are then read one by
        one, and one of each of `concurrency` threads is in memory. (Some savers, Postgres' among
        them, read all that they list at once: that takes the memory of a thread's whole history, and
        without `thread_ids` that of all threads.) Where its `list` shows but the root
        namespace of a thread, the others are found only without `thread_ids`.

        Not kept is what LangGraph's savers don't tell: the paths of tasks that wrote (their order is kept)
        and when an object was written.

        Needs `s3:PutObject`, `s3:GetObject`, `s3:AbortMultipartUpload` and `s3:ListBucket`.

        Args:
            source: The saver to read from. Here its blocking methods are used, so for one that only has
                coroutines, such as `AsyncSqliteSaver`, there is `amigrate`. That uses the
                coroutines, and in a thread the blocking methods of a saver that has none.
            thread_ids: Which threads, taken from the iterable as needed. Default: all that
                `source.list(None)` shows; some savers (DynamoDB, some for S3) don't do that, and of a large
                database a query for the ids is faster.
            verify: Whether each checkpoint is read back from the store and compared: one that was put
                now, and one that was here before.
            concurrency: How many threads are moved side by side. A thread's checkpoints are
                put one after another.
            progress: Called now and then with how many checkpoints are done, and how many there are
                (`None` with `thread_ids`).

        Returns:
            How many threads and checkpoints that were.

        Raises:
            MigrationError: Some checkpoints couldn't be put, or aren't here as the source has them; all
                others are. It names the first, and `migrated.failures` has up to 100.
            InvalidConfigError: The source can't list its threads, so `thread_ids` are needed.
            InvalidKeyError: `thread_ids` is a single id, or one of them can't be an id.
            S3CheckpointError: The store can't be reached or refuses. What was moved stays.
            Exception: What the source raises comes out as it is. What was moved stays.
        """
        return self._work(self._migrate(thread_ids, verify, concurrency, progress), Source(source))

    async def amigrate(
        self,
        source: BaseCheckpointSaver[Any],
        thread_ids: Iterable[str] | None = None,
        *,
        verify: bool = True,
        concurrency: int = 16,
        progress: Progress | None = None,
    ) -> Migrated:
        """`migrate`, as a coroutine."""
        return await self._awork(self._migrate(thread_ids, verify, concurrency, progress), Source(source))

    def _migrate(
        self, thread_ids: Iterable[str] | None, verify: bool, concurrency: int, progress: Progress | None
    ) -> Job[Migrated]:
        return migrate.migrate(
            self._context,
            thread_ids,
            internals_of(self._saver).now,
            verify=verify,
            concurrency=concurrency,
            progress=progress or no_progress,
        )
