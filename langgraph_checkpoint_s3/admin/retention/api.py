"""Deleting old checkpoints and orphaned objects."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from langgraph_checkpoint_s3.admin.base import BaseAdmin, Inventory
from langgraph_checkpoint_s3.admin.calls import Progress
from langgraph_checkpoint_s3.admin.retention.idle import PrunedIdle, prune_idle
from langgraph_checkpoint_s3.admin.retention.orphans import Orphans, check_age, find_orphans, remove_orphans
from langgraph_checkpoint_s3.admin.retention.policy import RetentionPolicy, keep_rule
from langgraph_checkpoint_s3.admin.retention.prune import Pruned, moment_of, prune, written_since
from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.format.ids import unique_thread_ids

_A_DAY = timedelta(days=1)


class Retention(BaseAdmin):
    """Deleting old checkpoints and orphaned objects."""

    def prune_older_than(
        self,
        age: timedelta | datetime,
        *,
        keep_latest: bool = True,
        thread_ids: Iterable[str] | None = None,
        inventory: Inventory | None = None,
        dry_run: bool = True,
        progress: Progress | None = None,
    ) -> Pruned:
        """Delete old checkpoints, with their writes.

        A checkpoint's age is that of the newest of its objects, including writes, by S3's `LastModified`:
        copying, restoring or rewriting resets it. Kept checkpoints that borrow from deleted ones are first
        rewritten with the borrowed bytes, which resets their age.

        Kept checkpoints can be read as before. The latest checkpoint of each namespace is kept however old it
        is, so that no thread loses its state. What delta channels of kept checkpoints are rebuilt from is
        gathered in one object beside them. Writes without a checkpoint are kept: `remove_orphans` deletes
        them. Subgraph calls whose caller is deleted go as a whole, also if they are younger.

        Threads are pruned 64 at a time, each as one listing shows it: without `thread_ids` that of the
        prefix, one LIST per 1,000 objects. If interrupted, everything left is intact; call it again to
        resume. With versioning on, S3 keeps deleted objects as noncurrent versions.

        With `inventory`, the prefix isn't listed: an S3 Inventory report tells which threads have anything to
        delete, and each of these is listed before anything of it is deleted. So what was written since the
        report decides as well, and nothing of it is lost; what became deletable only since then stays until
        the next report. A dry run shows what would be deleted as of the report, whose time is `as_of`.

        Needs `s3:ListBucket` and `s3:GetObject`; to delete also `s3:DeleteObject`, `s3:PutObject` and
        `s3:AbortMultipartUpload`. A report needs what `usage` says.

        Args:
            age: The minimal age of deleted checkpoints, or the time (with a time zone) before which they
                were written.
            keep_latest: Whether to keep the latest checkpoints of threads without newer ones. With `False`
                such threads are deleted whole, including writes without a checkpoint.
            thread_ids: The threads. By default all of them.
            inventory: An S3 Inventory report to read in place of listing, as for `usage`. Not with
                `thread_ids`.
            dry_run: Whether to only return what would be deleted. Then LISTs are sent, and GETs only for
                threads with delta channels, borrowing checkpoints or hashed names.
            progress: Called after each few threads with the number done, and the total if `thread_ids` are
                given.

        Returns:
            The deleted checkpoints, or those that would be. A thread's error is in `errors`, and doesn't end
            the others; `raise_errors()` raises it.

        Raises:
            InvalidConfigError: The age isn't positive, or the time isn't past or has no time zone. Nothing
                was sent.
            InvalidKeyError: A thread_id is empty. Nothing was sent.
            S3CheckpointError: The threads can't be listed, or the report can't be used, as for `usage`.
        """
        stay = written_since(age, self._now, keep_latest=keep_latest)
        named = _named(thread_ids, inventory)
        with self._report(inventory) as report:
            plan = prune(self._context, stay, named, progress, report, dry_run=dry_run)
            return self._run(plan, "admin.prune_older_than")

    async def aprune_older_than(
        self,
        age: timedelta | datetime,
        *,
        keep_latest: bool = True,
        thread_ids: Iterable[str] | None = None,
        inventory: Inventory | None = None,
        dry_run: bool = True,
        progress: Progress | None = None,
    ) -> Pruned:
        """`prune_older_than`, as a coroutine."""
        stay = written_since(age, self._now, keep_latest=keep_latest)
        named = _named(thread_ids, inventory)
        async with self._areport(inventory) as report:
            plan = prune(self._context, stay, named, progress, report, dry_run=dry_run)
            return await self._arun(plan, "admin.prune_older_than")

    def prune_threads(
        self,
        keep: int | RetentionPolicy,
        *,
        thread_ids: Iterable[str] | None = None,
        inventory: Inventory | None = None,
        dry_run: bool = True,
        progress: Progress | None = None,
    ) -> Pruned:
        """Delete all but some checkpoints of each namespace, with their writes.

            admin.prune_threads(10)  # all but the newest ten
            admin.prune_threads(RetentionPolicy(last=10, first=1, daily=timedelta(days=30)))

        A policy may leave gaps: a kept checkpoint's parent may be deleted, and is then missing from its
        history. Subgraphs have namespaces of their own, and a call's goes with its caller. All else is as for
        `prune_older_than`: delta channels, borrowing checkpoints, writes without a checkpoint,
        interruptions, and inventory reports.

        Needs `s3:ListBucket` and `s3:GetObject`; to delete also `s3:DeleteObject`, `s3:PutObject` and
        `s3:AbortMultipartUpload`.

        Args:
            keep: How many checkpoints of each namespace to keep, at least 1, or a policy that says which.
            thread_ids: The threads. By default all of them.
            inventory: As for `prune_older_than`.
            dry_run: Whether to only return what would be deleted. `draw` shows it in a thread's history.
            progress: As for `prune_older_than`.

        Returns:
            The deleted checkpoints, or those that would be, and the errors of threads.

        Raises:
            InvalidConfigError: `keep` is less than 1, or something else. Nothing was sent.
            InvalidKeyError: A thread_id is empty. Nothing was sent.
            S3CheckpointError: The threads can't be listed, or the report can't be used, as for `usage`.
        """
        stay, named = keep_rule(keep, self._context.layout, self._now), _named(thread_ids, inventory)
        with self._report(inventory) as report:
            plan = prune(self._context, stay, named, progress, report, dry_run=dry_run)
            return self._run(plan, "admin.prune_threads")

    async def aprune_threads(
        self,
        keep: int | RetentionPolicy,
        *,
        thread_ids: Iterable[str] | None = None,
        inventory: Inventory | None = None,
        dry_run: bool = True,
        progress: Progress | None = None,
    ) -> Pruned:
        """`prune_threads`, as a coroutine."""
        stay, named = keep_rule(keep, self._context.layout, self._now), _named(thread_ids, inventory)
        async with self._areport(inventory) as report:
            plan = prune(self._context, stay, named, progress, report, dry_run=dry_run)
            return await self._arun(plan, "admin.prune_threads")

    def prune_idle(
        self,
        idle: timedelta | datetime,
        *,
        thread_ids: Iterable[str] | None = None,
        inventory: Inventory | None = None,
        dry_run: bool = True,
        progress: Progress | None = None,
    ) -> PrunedIdle:
        """Delete threads that nobody has used for a time, as a whole. Threads in use keep all of their past.

        A thread's last activity is the time of the newest of its objects, including writes, in any namespace,
        by S3's `LastModified`, or that of its lease's last use. Copying, restoring, importing or rewriting a
        checkpoint counts as activity.

        One LIST per 1,000 objects of the prefix, and one per 1,000 leases, decide. Nothing is read, but for
        an object of each thread that goes where names are hashed. With `thread_ids`, each thread takes a LIST
        of its own. To be deleted, a thread is listed again, and its lease is read, in one round trip: it
        stays if it was written to meanwhile, or if its lease is held. A checkpoint that is put in the round
        trip after that stays, but not the thread's past.

        With `inventory`, an S3 Inventory report tells which threads were idle when it was made, and only
        these are listed. Those used since stay. A dry run shows what would be deleted as of the report.

        If interrupted, call it again. With versioning on, S3 keeps deleted objects as noncurrent versions.
        Leases, exports and tombstones stay.

        Needs `s3:ListBucket`; to delete also `s3:GetObject`, `s3:DeleteObject` and `s3:PutObject`. A
        report needs what `usage` says.

        Args:
            idle: How long nothing was written to a thread, or the time (with a time zone) since which nothing
                was.
            thread_ids: The threads. By default all of them.
            inventory: As for `prune_older_than`.
            dry_run: Whether to only return what would be deleted.
            progress: As for `prune_older_than`.

        Returns:
            The deleted threads, or those that would be; those that stay because of their lease; the errors of
            threads, which don't end the others (`raise_errors()` raises the first).

        Raises:
            InvalidConfigError: The time isn't positive, or not past, or has no time zone. Nothing was sent.
            InvalidKeyError: A thread_id is empty. Nothing was sent.
            S3CheckpointError: The threads can't be listed, or the report can't be used, as for `usage`.
        """
        moment_of(idle, self._now())
        named = _named(thread_ids, inventory)
        with self._report(inventory) as report:
            plan = prune_idle(self._context, idle, self._now, named, progress, report, dry_run=dry_run)
            return self._run(plan, "admin.prune_idle")

    async def aprune_idle(
        self,
        idle: timedelta | datetime,
        *,
        thread_ids: Iterable[str] | None = None,
        inventory: Inventory | None = None,
        dry_run: bool = True,
        progress: Progress | None = None,
    ) -> PrunedIdle:
        """`prune_idle`, as a coroutine."""
        moment_of(idle, self._now())
        named = _named(thread_ids, inventory)
        async with self._areport(inventory) as report:
            plan = prune_idle(self._context, idle, self._now, named, progress, report, dry_run=dry_run)
            return await self._arun(plan, "admin.prune_idle")

    def find_orphans(self, older_than: timedelta = _A_DAY, *, inventory: Inventory | None = None) -> Orphans:
        """Find objects that are no longer needed, and that nothing else deletes.

        These are writes without their checkpoint; exports whose signed URLs have expired; probe objects of
        interrupted bucket checks; and multipart uploads that were neither completed nor aborted. Objects of
        other savers are left out, also if their prefixes are below this one's.

        Lists all of the prefix: one LIST per 1,000 objects, and one per 1,000 uploads.

        With `inventory`, the objects are those of an S3 Inventory report, and ages are counted from when it
        was made, `as_of`. Uploads are listed.

        Needs `s3:ListBucket` and `s3:ListBucketMultipartUploads`. A report needs what `usage` says.

        Args:
            older_than: The minimal age, by S3's `LastModified`: writes may be put before their checkpoint.
                For exports it is at least 8 days, since signed URLs are valid for up to 7.
            inventory: An S3 Inventory report to read in place of listing, as for `usage`.

        Returns:
            Each with its key, size and age; `not_supported` names what the store can't list.

        Raises:
            InvalidConfigError: `older_than` isn't positive. Nothing was sent.
            CorruptObjectError: A thread's folder has a key that no saver wrote.
            S3CheckpointError: The store can't be reached, refuses, or has no such bucket; or the report can't
                be used, as for `usage`.
        """
        check_age(older_than)
        with self._report(inventory) as report:
            plan = find_orphans(self._context, older_than, self._now, report)
            return self._run(plan, "admin.find_orphans")

    async def afind_orphans(
        self, older_than: timedelta = _A_DAY, *, inventory: Inventory | None = None
    ) -> Orphans:
        """`find_orphans`, as a coroutine."""
        check_age(older_than)
        async with self._areport(inventory) as report:
            plan = find_orphans(self._context, older_than, self._now, report)
            return await self._arun(plan, "admin.find_orphans")

    def remove_orphans(
        self,
        older_than: timedelta = _A_DAY,
        *,
        inventory: Inventory | None = None,
        dry_run: bool = True,
    ) -> Orphans:
        """Remove objects that are no longer needed, as found by `find_orphans`.

        Everything is listed again right before its deletion: writes are kept if their checkpoint or more
        writes were put meanwhile, other objects if they were replaced. So a report, by which it was found,
        may be old. With one, tombstones are removed a day later than without. With versioning on, S3 keeps
        deleted objects as noncurrent versions.

        Needs `s3:ListBucket` and `s3:ListBucketMultipartUploads`; to remove also `s3:DeleteObject` and
        `s3:AbortMultipartUpload`. A report needs what `usage` says.

        Args:
            older_than: The minimal age. A multipart upload that takes longer is aborted.
            inventory: As for `find_orphans`.
            dry_run: Whether to only return what would be removed, as `find_orphans` does.

        Returns:
            What was removed, or would be.

        Raises:
            InvalidConfigError: `older_than` isn't positive. Nothing was sent.
            CorruptObjectError: A thread's folder has a key that no saver wrote. Nothing was removed.
            S3CheckpointError: Something couldn't be removed; call it again to resume.
        """
        check_age(older_than)
        orphans = find_orphans if dry_run else remove_orphans
        with self._report(inventory) as report:
            plan = orphans(self._context, older_than, self._now, report)
            return self._run(plan, "admin.remove_orphans")

    async def aremove_orphans(
        self,
        older_than: timedelta = _A_DAY,
        *,
        inventory: Inventory | None = None,
        dry_run: bool = True,
    ) -> Orphans:
        """`remove_orphans`, as a coroutine."""
        check_age(older_than)
        orphans = find_orphans if dry_run else remove_orphans
        async with self._areport(inventory) as report:
            plan = orphans(self._context, older_than, self._now, report)
            return await self._arun(plan, "admin.remove_orphans")


def _named(thread_ids: Iterable[str] | None, inventory: Inventory | None) -> list[str] | None:
    """Return the threads that a caller named."""
    if thread_ids is None:
        return None
    if inventory is not None:
        raise InvalidConfigError(
            "thread_ids and inventory don't go together: a report tells which threads there are, and threads "
            "that are named are listed by themselves."
        )
    return list(unique_thread_ids(thread_ids))
