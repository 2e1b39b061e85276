"""An admin's operations that delete what is old or was abandoned."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from langgraph_checkpoint_s3.admin.base import BaseAdmin
from langgraph_checkpoint_s3.admin.calls import Progress
from langgraph_checkpoint_s3.admin.retention.orphans import Orphans, find_orphans, remove_orphans
from langgraph_checkpoint_s3.admin.retention.prune import Pruned, newest, prune, written_since
from langgraph_checkpoint_s3.format.ids import threads_of
from langgraph_checkpoint_s3.plans.delete import Stay
from langgraph_checkpoint_s3.plans.plan import Plan

_A_DAY = timedelta(days=1)


class Retention(BaseAdmin):
    """An admin's operations that delete what is old or was abandoned."""

    def prune_older_than(
        self,
        age: timedelta | datetime,
        *,
        keep_latest: bool = True,
        thread_ids: Iterable[str] | None = None,
        dry_run: bool = True,
        progress: Progress | None = None,
    ) -> Pruned:
        """Delete the checkpoints that were written long ago, with their writes.

        A checkpoint's age is that of the newest of its objects, its writes included, by S3's `LastModified`.
        What was copied, restored or rewritten is as young as that. What stays and borrows from what goes is
        rewritten first, with what it borrows in it: that begins its time anew.

        What stays can be read as before. Of each namespace the latest checkpoint stays however old it is, so
        that no thread loses its state; and so do the ancestors from which their delta channels are rebuilt.
        Those of such an ancestor itself may need more than that, and are no longer whole then. Writes
        without a checkpoint stay too: `remove_orphans` is for them.

        Threads are handled 16 at a time, each as one listing shows it. If it is cut short, everything left is
        whole, and calling it again goes on. With versioning on, S3 keeps what goes as noncurrent versions.

        Needs `s3:ListBucket` and `s3:GetObject`; to delete also `s3:DeleteObject`, `s3:PutObject` and
        `s3:AbortMultipartUpload`.

        Args:
            age: How long ago, or the moment (with its time zone): what was written before it goes.
            keep_latest: Whether threads stay in which nothing was written since. With `False` they
                go as a whole, writes without a checkpoint included.
            thread_ids: Which threads. By default all of them.
            dry_run: Whether to leave it at saying what would go. Then LISTs and reads of heads are all
                that is sent.
            progress: Is told after each few threads how many are done, and of how many if they were named.

        Returns:
            What went, or would go. What failed for a thread is in its `errors`, and ends nothing else;
            `raise_errors()` raises it.

        Raises:
            InvalidConfigError: The age isn't more than nothing, or the moment isn't past or has no time
                zone. Nothing was sent.
            InvalidKeyError: A thread_id is empty. Nothing was sent.
            S3CheckpointError: The threads can't be listed.
        """
        stay = written_since(age, self._now, keep_latest=keep_latest)
        plan = self._prune(stay, thread_ids, dry_run, progress)
        return self._run(plan, "admin.prune_older_than")

    async def aprune_older_than(
        self,
        age: timedelta | datetime,
        *,
        keep_latest: bool = True,
        thread_ids: Iterable[str] | None = None,
        dry_run: bool = True,
        progress: Progress | None = None,
    ) -> Pruned:
        """`prune_older_than`, as a coroutine."""
        stay = written_since(age, self._now, keep_latest=keep_latest)
        plan = self._prune(stay, thread_ids, dry_run, progress)
        return await self._arun(plan, "admin.prune_older_than")

    def prune_threads(
        self,
        keep_last: int,
        *,
        thread_ids: Iterable[str] | None = None,
        dry_run: bool = True,
        progress: Progress | None = None,
    ) -> Pruned:
        """Delete all but the newest checkpoints of each namespace, with their writes.

        A subgraph's namespace counts by itself.

        Beside the newest, the ancestors stay from which their delta channels are rebuilt: the newest can be
        read as before. The delta channels of such an ancestor itself may need more than that, and are no
        longer whole then. What stays and borrows from what goes is rewritten first, with what it borrows in
        it. Writes without a checkpoint stay: `remove_orphans` is for them.

        Threads are handled 16 at a time, each as one listing shows it. If it is cut short, everything left is
        whole, and calling it again goes on. With versioning on, S3 keeps what goes as noncurrent versions.

        Needs `s3:ListBucket` and `s3:GetObject`; to delete also `s3:DeleteObject`, `s3:PutObject` and
        `s3:AbortMultipartUpload`.

        Args:
            keep_last: How many checkpoints of each namespace stay, at least 1.
            thread_ids: Which threads. By default all of them.
            dry_run: Whether to leave it at saying what would go. Then LISTs and reads of heads are all
                that is sent.
            progress: Is told after each few threads how many are done, and of how many if they were named.

        Returns:
            What went, or would go. What failed for a thread is in its `errors`, and ends nothing else;
            `raise_errors()` raises it.

        Raises:
            InvalidConfigError: `keep_last` is less than 1. Nothing was sent.
            InvalidKeyError: A thread_id is empty. Nothing was sent.
            S3CheckpointError: The threads can't be listed.
        """
        plan = self._prune(newest(keep_last), thread_ids, dry_run, progress)
        return self._run(plan, "admin.prune_threads")

    async def aprune_threads(
        self,
        keep_last: int,
        *,
        thread_ids: Iterable[str] | None = None,
        dry_run: bool = True,
        progress: Progress | None = None,
    ) -> Pruned:
        """`prune_threads`, as a coroutine."""
        plan = self._prune(newest(keep_last), thread_ids, dry_run, progress)
        return await self._arun(plan, "admin.prune_threads")

    def find_orphans(self, older_than: timedelta = _A_DAY) -> Orphans:
        """Find what nobody needs any more and nothing else deletes.

        That is writes whose checkpoint isn't there; exports whose signed URLs have all expired; what checks
        of the bucket left behind when they were cut short; and multipart uploads that were neither completed
        nor aborted. Nothing of other savers, also where their prefixes lie below this one's.

        Lists all of the prefix: one LIST for 1,000 objects, and one for 1,000 uploads.

        Needs `s3:ListBucket` and `s3:ListBucketMultipartUploads`.

        Args:
            older_than: How old it must be, by S3's `LastModified`: a checkpoint's writes may come before
                it. Exports are at least 8 days old, since signed URLs live for up to 7.

        Returns:
            Each with its key, size and age; and in `not_supported` what the store doesn't offer to look for.

        Raises:
            InvalidConfigError: `older_than` isn't more than nothing. Nothing was sent.
            CorruptObjectError: There is a key in a thread's folder that no saver wrote.
            S3CheckpointError: The store can't be reached, refuses, or has no such bucket.
        """
        return self._run(find_orphans(self._context, older_than, self._now), "admin.find_orphans")

    async def afind_orphans(self, older_than: timedelta = _A_DAY) -> Orphans:
        """`find_orphans`, as a coroutine."""
        return await self._arun(find_orphans(self._context, older_than, self._now), "admin.find_orphans")

    def remove_orphans(self, older_than: timedelta = _A_DAY, *, dry_run: bool = True) -> Orphans:
        """Remove what nobody needs any more, as `find_orphans` finds it.

        Right before a checkpoint's writes are deleted they are listed again: if the checkpoint came
        meanwhile, or further writes, they stay. With versioning on, S3 keeps what is deleted as noncurrent
        versions.

        Needs `s3:ListBucket` and `s3:ListBucketMultipartUploads`; to remove also `s3:DeleteObject` and
        `s3:AbortMultipartUpload`.

        Args:
            older_than: How old it must be. An upload that takes longer than that is ended by this.
            dry_run: Whether to leave it at saying what would go: then it is `find_orphans`.

        Returns:
            What was removed, or would be.

        Raises:
            InvalidConfigError: `older_than` isn't more than nothing. Nothing was sent.
            CorruptObjectError: There is a key in a thread's folder that no saver wrote. Nothing was removed.
            S3CheckpointError: Something couldn't be removed; calling it again goes on.
        """
        return self._run(self._orphans(older_than, dry_run), "admin.remove_orphans")

    async def aremove_orphans(self, older_than: timedelta = _A_DAY, *, dry_run: bool = True) -> Orphans:
        """`remove_orphans`, as a coroutine."""
        return await self._arun(self._orphans(older_than, dry_run), "admin.remove_orphans")

    def _orphans(self, older_than: timedelta, dry_run: bool) -> Plan[Orphans]:
        plan = find_orphans if dry_run else remove_orphans
        return plan(self._context, older_than, self._now)

    def _prune(
        self, stay: Stay, thread_ids: Iterable[str] | None, dry_run: bool, progress: Progress | None
    ) -> Plan[Pruned]:
        named = None if thread_ids is None else list(threads_of(thread_ids))
        return prune(self._context, stay, named, progress, dry_run=dry_run)
