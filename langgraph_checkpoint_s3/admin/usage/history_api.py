"""What an admin tells of a thread over time: its history, as a tree."""

from __future__ import annotations

from langgraph_checkpoint_s3.admin.base import BaseAdmin
from langgraph_checkpoint_s3.admin.usage.history import History, history
from langgraph_checkpoint_s3.format.ids import thread_name
from langgraph_checkpoint_s3.plans.plan import Plan


class Histories(BaseAdmin):
    """What an admin tells of a thread over time: its history, as a tree."""

    def history(
        self, thread_id: str, checkpoint_ns: str | None = None, *, limit: int | None = 100
    ) -> History:
        """A thread's checkpoints, the newest first: forks, steps, sources, sizes, what waits for an answer.

        It can be printed, and a notebook shows it as a tree, with forks as branches.

            print(admin.history("customer-42"))

        The requests are those of `list`, and a LIST for 1,000 objects of the thread, for the sizes: a GET for
        each checkpoint that is told of and for each object of its writes, and a range GET for each that it
        borrows from. What this process wrote or read before costs no GET. States aren't kept.

        Needs `s3:ListBucket` and `s3:GetObject`.

        Args:
            thread_id: The thread.
            checkpoint_ns: One namespace; `""` is the root. By default all of them: a subgraph has its own.
            limit: How many checkpoints at most, the newest; `None` takes all. The history's `more` tells
                whether there are older ones.

        Returns:
            The history: a sequence of entries. It is empty if there is no such thread.

        Raises:
            InvalidKeyError: The thread_id is empty.
            CorruptObjectError: An object is damaged, or not ours.
            DecryptionError: A checkpoint is encrypted, and its key is missing.
            S3CheckpointError: The store can't be reached, refuses, or has no such bucket.
        """
        return self._run(self._history(thread_id, checkpoint_ns, limit))

    async def ahistory(
        self, thread_id: str, checkpoint_ns: str | None = None, *, limit: int | None = 100
    ) -> History:
        """`history`, as a coroutine."""
        return await self._arun(self._history(thread_id, checkpoint_ns, limit))

    def _history(self, thread_id: str, checkpoint_ns: str | None, limit: int | None) -> Plan[History]:
        return history(self._context, thread_name(thread_id), checkpoint_ns, limit)
