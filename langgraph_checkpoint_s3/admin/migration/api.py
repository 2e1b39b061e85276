"""Migration of threads from another saver."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from langgraph_checkpoint_s3.admin.base import BaseAdmin
from langgraph_checkpoint_s3.admin.bulk.batches import check_concurrency
from langgraph_checkpoint_s3.admin.calls import Progress
from langgraph_checkpoint_s3.admin.migration.migrate import Migrated, Migrator, SourceSaver
from langgraph_checkpoint_s3.format.ids import unique_thread_ids
from langgraph_checkpoint_s3.plans.plan import Plan
from langgraph_checkpoint_s3.saver import internals_of

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver


class Migration(BaseAdmin):
    """Migration of threads from another saver."""

    def migrate(
        self,
        source: BaseCheckpointSaver[Any],
        thread_ids: Iterable[str] | None = None,
        *,
        verify: bool = True,
        concurrency: int = 16,
        progress: Progress | None = None,
    ) -> Migrated:
        """Copy threads from another saver: SQLite, Postgres, Redis, memory, another bucket.

        Every checkpoint of every namespace keeps its ids, metadata, parent and pending writes. A thread's
        oldest checkpoint comes first, so meanwhile the thread here looks like its own past. Data that
        checkpoints share with their parents is stored once, as with `put`. The source is only read. Stop the
        agents that use the threads before.

        The migration can be interrupted and repeated: checkpoints that are here aren't put again, and
        nothing is overwritten or deleted.

        The source's `list` is read once per thread, for the ids. The checkpoints are then read one by one,
        and one of each of `concurrency` threads is in memory. (Some savers, Postgres' among them, read all
        that they list at once: that takes the memory of a thread's whole history, and without `thread_ids`
        that of all threads.) If the source's `list` shows only the root namespace of a thread, the others
        are found only without `thread_ids`.

        LangGraph's savers don't return the paths of the tasks that wrote (their order is kept) or the time at
        which an object was written: these are lost.

        Needs `s3:PutObject`, `s3:GetObject`, `s3:AbortMultipartUpload` and `s3:ListBucket`.

        Args:
            source: The saver to read from. `migrate` uses its blocking methods; for a saver that has only
                coroutines, such as `AsyncSqliteSaver`, use `amigrate`, which uses the coroutines, or the
                blocking methods in a thread if there are none.
            thread_ids: The threads, taken from the iterable as needed. Default: all that `source.list(None)`
                shows. Some savers (DynamoDB, some for S3) don't support that, and in a large database a query
                for the ids is faster.
            verify: Whether to read each checkpoint back from the store and compare it, also those that were
                here before.
            concurrency: How many threads are copied side by side. A thread's checkpoints are put one after
                another.
            progress: Called now and then with the number of checkpoints done and the total (`None` with
                `thread_ids`).

        Returns:
            The numbers of threads and checkpoints.

        Raises:
            MigrationError: Some checkpoints couldn't be put, or differ from the source's; all others are
                here. It names the first, and `migrated.failures` has up to 100.
            InvalidConfigError: The source can't list its threads, so `thread_ids` are needed.
            InvalidKeyError: `thread_ids` is a single id, or one of them can't be an id.
            S3CheckpointError: The store can't be reached or refuses. Copied checkpoints stay.
            Exception: An exception of the source propagates. Copied checkpoints stay.
        """
        plan = self._migrate(source, thread_ids, verify, concurrency, progress)
        return self._run(plan, "admin.migrate")

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
        plan = self._migrate(source, thread_ids, verify, concurrency, progress)
        return await self._arun(plan, "admin.migrate")

    def _migrate(
        self,
        source: BaseCheckpointSaver[Any],
        thread_ids: Iterable[str] | None,
        verify: bool,
        concurrency: int,
        progress: Progress | None,
    ) -> Plan[Migrated]:
        check_concurrency(concurrency)
        queue = None if thread_ids is None else unique_thread_ids(thread_ids)
        reading, clock = SourceSaver(source), internals_of(self._saver).now
        migrator = Migrator(self._context, reading, clock, verify, progress, self._note_error)
        return migrator.migrate(queue, concurrency)
