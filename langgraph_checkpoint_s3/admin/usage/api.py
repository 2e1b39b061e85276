"""Listing threads, their history, sizes and costs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from typing import Any

from langgraph_checkpoint_s3.admin.base import BaseAdmin, Inventory
from langgraph_checkpoint_s3.admin.inventory.report import Report, from_report
from langgraph_checkpoint_s3.admin.usage.history import History, history, history_of_keys
from langgraph_checkpoint_s3.admin.usage.resume_point import ResumePoint, resume_point
from langgraph_checkpoint_s3.admin.usage.thread_search import ThreadSearch
from langgraph_checkpoint_s3.admin.usage.threads import ThreadListing
from langgraph_checkpoint_s3.admin.usage.usage import CheckpointSize, UsageReport, checkpoint_sizes, usage
from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.format.ids import thread_name
from langgraph_checkpoint_s3.plans.place import Place


class Usage(BaseAdmin):
    """Listing threads, their history, sizes and costs."""

    def threads(
        self,
        prefix: str = "",
        limit: int | None = None,
        *,
        metadata: Mapping[str, Any] | None = None,
        inventory: Inventory | None = None,
    ) -> Iterator[str]:
        """Iterate over the ids of the threads, in the order of their keys.

        One LIST per 1,000 threads, however many checkpoints they have, sent during the iteration. A thread is
        listed as long as it has any object. Threads of savers with prefixes below this one's are not listed.

        Names that are hashed in keys, with `private_keys` or because they are too long, are read from one
        object each: a LIST and a GET more per such thread. `prefix` doesn't narrow their LIST, and they come
        in the order of their hashes. If this saver lacks a thread's encryption key, the id is the hash, a
        `str` that the other methods accept.

        With `metadata`, they are the threads that have a checkpoint with all of these values, as what their
        runs' config said: `threads(metadata={"user_id": "42"})`. It takes one LIST per 1,000 objects. Keys
        tell `source`, `step`, `run_id`, and what the setting `indexed_metadata` names; nothing is read then.
        Of checkpoints whose keys don't tell, such as those from before the setting, the heads are read, a GET
        each, until one of the thread matches.

        Needs `s3:ListBucket`; where names are hashed or metadata is read, `s3:GetObject` too.

        Args:
            prefix: The prefix of the ids. It narrows the LIST, unless there is `metadata`; long names take a
                LIST of their own.
            limit: The maximal number of ids. By default all of them.
            metadata: Values that a checkpoint of the thread has, compared as by `list(filter=…)`.
            inventory: An S3 Inventory report to read in place of listing, as for `usage`: the threads are
                those that it has. A hashed name is the hash if the thread has been deleted since.

        Yields:
            Thread ids.

        Raises:
            InvalidKeyError: The prefix has no UTF-8 form.
            InvalidConfigError: The metadata is empty, or no mapping, or goes with an inventory. Nothing was
                sent.
            S3CheckpointError: The store can't be reached, refuses, or has no such bucket; or the report can't
                be used, as for `usage`.
        """
        _check_search(metadata, inventory)
        with self._report(inventory) as report:
            listing = self._listing(prefix, limit, metadata, report)
            while not listing.done:
                yield from self._run(listing.page(), "admin.threads")

    async def athreads(
        self,
        prefix: str = "",
        limit: int | None = None,
        *,
        metadata: Mapping[str, Any] | None = None,
        inventory: Inventory | None = None,
    ) -> AsyncIterator[str]:
        """`threads`, as an async iterator."""
        _check_search(metadata, inventory)
        async with self._areport(inventory) as report:
            listing = self._listing(prefix, limit, metadata, report)
            while not listing.done:
                for thread_id in await self._arun(listing.page(), "admin.threads"):
                    yield thread_id

    def _listing(
        self, prefix: str, limit: int | None, metadata: Mapping[str, Any] | None, report: Report | None
    ) -> ThreadListing | ThreadSearch:
        if metadata is None:
            return ThreadListing(self._context, prefix, limit, report)
        return ThreadSearch(self._context, metadata, prefix, limit)

    def usage(self, thread_id: str | None = None, *, inventory: Inventory | None = None) -> UsageReport:
        """Measure the storage used by a thread, or by all threads.

        Takes one LIST per 1,000 objects, in constant memory, and one more for a thread's exports; without a
        thread three, for exports, long-term memory (`S3Store`) and the node cache (`S3Cache`), which are
        counted apart. Noncurrent versions and unfinished uploads aren't counted, nor objects of savers with
        prefixes below this one's. `print(admin.usage())` prints a line; `.monthly_cost()` returns the price.

        With `inventory`, the numbers come from an S3 Inventory report, and are those of `as_of`: the report
        is up to a day or a week old, and may lack what was written or deleted shortly before it. Takes a GET
        for the manifest, for its checksum and per part of a data file, and one or two LISTs of the prefix.
        The files are copied to a temporary folder and sorted there in about 0.5 GB of memory. Needs the extra
        `inventory` (DuckDB).

        Needs `s3:ListBucket`; for a report `s3:GetObject` on its objects, `s3:ListBucket` on its bucket if a
        folder is named, and `kms:Decrypt` if it is encrypted with a KMS key.

        Args:
            thread_id: The thread. By default all of them.
            inventory: An S3 Inventory report of the bucket, as Parquet or CSV: `s3://bucket/key` or a local
                path of its `manifest.json`, of that one's folder, or of the folder of an inventory's reports,
                of which the newest is read. By default the prefix is listed.

        Returns:
            Counts, sizes by storage class, and the times of the oldest and the newest object. Zeros if
            there is no such thread.

        Raises:
            InvalidKeyError: The thread_id is empty.
            InvalidConfigError: There is no such report, it is about another bucket or prefix, or DuckDB isn't
                installed.
            NotSupportedError: The report is in the format ORC, or lacks one of the fields Size,
                LastModifiedDate, ETag and StorageClass.
            CorruptObjectError: A thread's folder has a key that no saver wrote, or the report is damaged.
            S3CheckpointError: The store can't be reached, refuses, or has no such bucket.
        """
        name = None if thread_id is None else thread_name(thread_id)
        with self._report(inventory) as report:
            used = self._run(from_report(report, usage(self._context, name)), "admin.usage")
        return replace(used, as_of=report.created) if report else used

    async def ausage(
        self, thread_id: str | None = None, *, inventory: Inventory | None = None
    ) -> UsageReport:
        """`usage`, as a coroutine."""
        name = None if thread_id is None else thread_name(thread_id)
        async with self._areport(inventory) as report:
            used = await self._arun(from_report(report, usage(self._context, name)), "admin.usage")
        return replace(used, as_of=report.created) if report else used

    def checkpoint_sizes(self, thread_id: str) -> list[CheckpointSize]:
        """Measure the storage used by each checkpoint of a thread, with its writes.

        Takes one LIST per 1,000 objects. Borrowed bytes count for the earlier checkpoint that stores them, so
        a checkpoint that adds little to a large state is small. Needs `s3:ListBucket`.

        Args:
            thread_id: The thread.

        Returns:
            The checkpoints, by namespace, in the order of their keys; none if there is no such thread.
            Writes without a checkpoint aren't included.

        Raises:
            InvalidKeyError: The thread_id is empty.
            CorruptObjectError: The thread's folder has a key that no saver wrote.
            S3CheckpointError: The store can't be reached, refuses, or has no such bucket.
        """
        plan = checkpoint_sizes(self._context, thread_name(thread_id))
        return self._run(plan, "admin.checkpoint_sizes")

    async def acheckpoint_sizes(self, thread_id: str) -> list[CheckpointSize]:
        """`checkpoint_sizes`, as a coroutine."""
        plan = checkpoint_sizes(self._context, thread_name(thread_id))
        return await self._arun(plan, "admin.checkpoint_sizes")

    def history(
        self,
        thread_id: str,
        checkpoint_ns: str | None = None,
        *,
        limit: int | None = 100,
        read: bool = True,
    ) -> History:
        """Read a thread's checkpoints, the newest first: forks, steps, sources, sizes, pending interrupts.

        It can be printed, and a notebook shows it as a tree, with forks as branches.

            print(admin.history("customer-42"))

        The requests are those of `list`, and a LIST per 1,000 objects of the thread, for the sizes: a GET for
        each checkpoint and each object of its writes, and a range GET for each object that it borrows from.
        Cached objects cost no GET. States aren't kept.

        Needs `s3:ListBucket` and `s3:GetObject`.

        Args:
            thread_id: The thread.
            checkpoint_ns: One namespace; `""` is the root. By default all, also those of subgraphs.
            limit: The maximal number of checkpoints, the newest; `None` is all. The history's `more` says
                whether there are older ones.
            read: Whether to read the checkpoints. `False` tells only what keys do, by a LIST per 1,000
                objects: ids, parents, sources, steps, times (those in ids) and sizes. Pending writes count
                as none then, and what is hashed in keys is `None`.

        Returns:
            The history, a sequence of entries; empty if there is no such thread.

        Raises:
            InvalidKeyError: The thread_id is empty.
            CorruptObjectError: An object is damaged, or wasn't written by a saver.
            DecryptionError: A checkpoint is encrypted, and its key is missing.
            S3CheckpointError: The store can't be reached, refuses, or has no such bucket.
        """
        plan = (history if read else history_of_keys)(
            self._context, thread_name(thread_id), checkpoint_ns, limit
        )
        return self._run(plan, "admin.history")

    async def ahistory(
        self,
        thread_id: str,
        checkpoint_ns: str | None = None,
        *,
        limit: int | None = 100,
        read: bool = True,
    ) -> History:
        """`history`, as a coroutine."""
        plan = (history if read else history_of_keys)(
            self._context, thread_name(thread_id), checkpoint_ns, limit
        )
        return await self._arun(plan, "admin.history")

    def resume_point(
        self, thread_id: str, checkpoint_ns: str = "", checkpoint_id: str | None = None
    ) -> ResumePoint | None:
        """Derive where a thread would continue, as far as the stored state tells, without its graph.

            point = admin.resume_point("customer-42")
            print(point.state, point.next, point.interrupts)  # waiting ('approve',) ['Refund 40 EUR?']

        It agrees with LangGraph's `get_state`. It is derived from channels that a node hasn't seen, from
        sends, and from pending writes. That doesn't cover a node that has never run and that no edge of
        LangGraph's `StateGraph` leads to, nor a graph whose code has changed since.

        The requests are those of `get_tuple`. Needs `s3:ListBucket` and `s3:GetObject`.

        Args:
            thread_id: The thread.
            checkpoint_ns: The namespace; the root one by default.
            checkpoint_id: A checkpoint to continue from. LangGraph runs all tasks again of a checkpoint that
                is named by its id. Default: the latest one, where tasks that have a result don't run again.

        Returns:
            The point; `None` if there is no such checkpoint.

        Raises:
            InvalidKeyError: An id is empty or invalid.
            CorruptObjectError: An object is damaged, or wasn't written by a saver.
            DecryptionError: The checkpoint is encrypted, and its key is missing.
            S3CheckpointError: The store can't be reached, refuses, or has no such bucket.
        """
        plan = resume_point(self._context, _place(thread_id, checkpoint_ns, checkpoint_id))
        return self._run(plan, "admin.resume_point")

    async def aresume_point(
        self, thread_id: str, checkpoint_ns: str = "", checkpoint_id: str | None = None
    ) -> ResumePoint | None:
        """`resume_point`, as a coroutine."""
        plan = resume_point(self._context, _place(thread_id, checkpoint_ns, checkpoint_id))
        return await self._arun(plan, "admin.resume_point")


def _check_search(metadata: object, inventory: object) -> None:
    if metadata is not None and inventory is not None:
        raise InvalidConfigError(
            "metadata and inventory don't go together: what keys don't tell is read from objects, and a "
            "report may have some that are gone."
        )


def _place(thread_id: str, checkpoint_ns: str, checkpoint_id: str | None) -> Place:
    configurable = {"thread_id": thread_id, "checkpoint_ns": checkpoint_ns, "checkpoint_id": checkpoint_id}
    return Place.of({"configurable": configurable})
