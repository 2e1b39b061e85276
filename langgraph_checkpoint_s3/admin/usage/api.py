"""What an admin tells of threads: which there are, and what they take and cost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from langgraph_checkpoint_s3.admin.base import BaseAdmin
from langgraph_checkpoint_s3.admin.usage.history import History, history
from langgraph_checkpoint_s3.admin.usage.threads import ThreadListing
from langgraph_checkpoint_s3.admin.usage.usage import CheckpointSize, UsageReport, checkpoint_sizes, usage
from langgraph_checkpoint_s3.format.ids import thread_name
from langgraph_checkpoint_s3.plans.context import Address
from langgraph_checkpoint_s3.plans.plan import Plan


class Usage(BaseAdmin):
    """What an admin tells of threads: which there are, and what they take and cost."""

    def threads(self, prefix: str = "", limit: int | None = None) -> Iterator[str]:
        """The ids of the threads, in the order of their keys.

        One LIST for 1,000 threads, however many checkpoints they have; the next one is sent when the
        iteration gets there. A thread shows as long as it has any object. Threads of savers whose prefixes
        lie below this one's are not shown, nor folders that no saver makes.

        Names that are hashed in keys, with `private_keys` or because they are too long for keys, are read
        from one object each: a LIST and a GET more for each such thread. `prefix` doesn't narrow those down,
        and they come in the order of their hashes. A thread whose key this saver lacks shows as its hash, an
        `str` that the other methods take for the thread.

        Needs `s3:ListBucket`; where names are hashed, `s3:GetObject` too.

        Args:
            prefix: What the ids begin with; it narrows the LIST down, and long names are a LIST of their own.
            limit: How many at most. By default all of them.

        Yields:
            Thread ids.

        Raises:
            InvalidKeyError: The prefix has no UTF-8 form.
            S3CheckpointError: The store can't be reached, refuses, or has no such bucket.
        """
        listing = ThreadListing(self._context, prefix, limit)
        while not listing.done:
            yield from self._run(listing.page(), "admin.threads")

    async def athreads(self, prefix: str = "", limit: int | None = None) -> AsyncIterator[str]:
        """`threads`, as an async iterator."""
        listing = ThreadListing(self._context, prefix, limit)
        while not listing.done:
            for thread_id in await self._arun(listing.page(), "admin.threads"):
                yield thread_id

    def usage(self, thread_id: str | None = None) -> UsageReport:
        """Count and weigh the checkpoints of a thread, or of all threads, and when they were written.

        From LISTs alone: one for 1,000 objects, and one for exports. Any number of objects takes the same
        memory. Noncurrent versions and unfinished uploads aren't counted; exports are told apart from the
        rest. What savers with prefixes below this one's have is listed too, but not counted.

        `print(admin.usage())` tells it in a line; `.monthly_cost()` is what storing it costs.

        Needs `s3:ListBucket`.

        Args:
            thread_id: The thread. By default all of them.

        Returns:
            Counts, bytes by storage class, and the times of the oldest and the newest object. Of a
            thread that isn't there, zeros.

        Raises:
            InvalidKeyError: The thread_id is empty.
            CorruptObjectError: There is a key in a thread's folder that no saver wrote.
            S3CheckpointError: The store can't be reached, refuses, or has no such bucket.
        """
        return self._run(self._usage(thread_id), "admin.usage")

    async def ausage(self, thread_id: str | None = None) -> UsageReport:
        """`usage`, as a coroutine."""
        return await self._arun(self._usage(thread_id), "admin.usage")

    def checkpoint_sizes(self, thread_id: str) -> list[CheckpointSize]:
        """Weigh each checkpoint of a thread, with its writes, by what it stores.

        From LISTs alone: one for 1,000 objects. What a checkpoint borrows from earlier ones is counted
        there, so one that adds little to a large state is small.

        Needs `s3:ListBucket`.

        Args:
            thread_id: The thread.

        Returns:
            The checkpoints, namespace by namespace, in the order of their keys. None of a thread that isn't
            there; writes without a checkpoint aren't among them.

        Raises:
            InvalidKeyError: The thread_id is empty.
            CorruptObjectError: There is a key in the thread's folder that no saver wrote.
            S3CheckpointError: The store can't be reached, refuses, or has no such bucket.
        """
        plan = checkpoint_sizes(self._context, thread_name(thread_id))
        return self._run(plan, "admin.checkpoint_sizes")

    async def acheckpoint_sizes(self, thread_id: str) -> list[CheckpointSize]:
        """`checkpoint_sizes`, as a coroutine."""
        plan = checkpoint_sizes(self._context, thread_name(thread_id))
        return await self._arun(plan, "admin.checkpoint_sizes")

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
        return self._run(self._history(thread_id, checkpoint_ns, limit), "admin.history")

    async def ahistory(
        self, thread_id: str, checkpoint_ns: str | None = None, *, limit: int | None = 100
    ) -> History:
        """`history`, as a coroutine."""
        return await self._arun(self._history(thread_id, checkpoint_ns, limit), "admin.history")

    def _usage(self, thread_id: str | None) -> Plan[UsageReport]:
        return usage(self._context, None if thread_id is None else thread_name(thread_id))

    def _history(self, thread_id: str, checkpoint_ns: str | None, limit: int | None) -> Plan[History]:
        configurable = {"thread_id": thread_id, "checkpoint_ns": checkpoint_ns}
        return history(self._context, Address.of({"configurable": configurable}), limit)
