"""Versions of checkpoints, deleted threads, and purging."""

from __future__ import annotations

import os
from datetime import datetime
from typing import TYPE_CHECKING

from langgraph.checkpoint.base import CheckpointTuple

from langgraph_checkpoint_s3.admin.base import BaseAdmin
from langgraph_checkpoint_s3.admin.setting_changes import Change
from langgraph_checkpoint_s3.admin.versions import purge, restore, versions
from langgraph_checkpoint_s3.admin.versions.purge import Purged, Subject
from langgraph_checkpoint_s3.admin.versions.receipt import ReceiptFile
from langgraph_checkpoint_s3.admin.versions.restore import Undeleted
from langgraph_checkpoint_s3.admin.versions.versions import CheckpointVersion, VersioningStatus, address_of
from langgraph_checkpoint_s3.format.ids import id_text, thread_name
from langgraph_checkpoint_s3.plans.plan import Plan
from langgraph_checkpoint_s3.saver import internals_of

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig


class Versioning(BaseAdmin):
    """Versions of checkpoints, deleted threads, and purging."""

    def enable_versioning(self) -> list[Change]:
        """Enable the bucket's versioning, for all of its prefixes.

        From then on, `delete_thread`, `prune` and the like hide objects behind delete markers, and
        `undelete_thread` restores them. They are billed until a lifecycle rule
        (`LifecyclePolicy(noncurrent_version_days=…)`) or `purge_thread` removes them. If versioning is on,
        only a read is sent. MFA delete isn't changed. After the first time, AWS advises waiting 15 minutes
        before writing (https://docs.aws.amazon.com/AmazonS3/latest/userguide/manage-versioning-examples.html).

        Needs `s3:GetBucketVersioning` and `s3:PutBucketVersioning`.

        Returns:
            The change, with S3's document before and after; empty if it was on.

        Raises:
            NotSupportedError: The store has no versioning.
            AccessDeniedError: A permission is missing; or the bucket has MFA delete, and its versioning can
                be changed only with the device.
        """
        return self._run(versions.set_versioning("Enabled"), "admin.enable_versioning")

    async def aenable_versioning(self) -> list[Change]:
        """`enable_versioning`, as a coroutine."""
        return await self._arun(versions.set_versioning("Enabled"), "admin.enable_versioning")

    def suspend_versioning(self) -> list[Change]:
        """Suspend the bucket's versioning. Existing versions stay, and are billed.

        Objects written from then on can't be restored once deleted. S3 refuses for a bucket with Object Lock
        or replication. If versioning was never on, nothing is changed, since a bucket can't go back from
        `suspended` to `off`.

        Needs `s3:GetBucketVersioning` and `s3:PutBucketVersioning`.

        Returns:
            The change, with S3's document before and after; empty if there was none.

        Raises:
            S3CheckpointError: The store can't be reached, refuses, or has no such bucket.
        """
        return self._run(versions.set_versioning("Suspended"), "admin.suspend_versioning")

    async def asuspend_versioning(self) -> list[Change]:
        """`suspend_versioning`, as a coroutine."""
        return await self._arun(versions.set_versioning("Suspended"), "admin.suspend_versioning")

    def versioning_status(self) -> VersioningStatus:
        """Return whether the bucket has versioning. Needs `s3:GetBucketVersioning`.

        Returns:
            `enabled`; `suspended`, when older versions may exist; or `off`, if it was never on or the store
            has no versioning.

        Raises:
            S3CheckpointError: The store can't be reached, refuses, or has no such bucket.
        """
        return self._run(versions.versioning_status(), "admin.versioning_status")

    async def aversioning_status(self) -> VersioningStatus:
        """`versioning_status`, as a coroutine."""
        return await self._arun(versions.versioning_status(), "admin.versioning_status")

    def list_checkpoint_versions(
        self, thread_id: str, checkpoint_id: str, checkpoint_ns: str = ""
    ) -> list[CheckpointVersion]:
        """List the versions and delete markers of a checkpoint's object, newest first. One LIST.

        A checkpoint has several versions if it was deleted and restored, if `prune` rewrote it with its
        borrowed bytes, or if somebody overwrote it. Its pending writes are separate objects, and not
        included.

        Needs `s3:ListBucketVersions`.

        Args:
            thread_id: The thread.
            checkpoint_id: The checkpoint.
            checkpoint_ns: Its namespace; the root one by default.

        Returns:
            The versions; none if there never was such a checkpoint. In a bucket without versioning, the
            current one, as `null`.

        Raises:
            InvalidKeyError: An id is missing.
            NotSupportedError: The store can't list versions.
        """
        address = address_of(thread_id, checkpoint_id, checkpoint_ns)
        plan = versions.checkpoint_versions(self._context, address)
        return self._run(plan, "admin.list_checkpoint_versions")

    async def alist_checkpoint_versions(
        self, thread_id: str, checkpoint_id: str, checkpoint_ns: str = ""
    ) -> list[CheckpointVersion]:
        """`list_checkpoint_versions`, as a coroutine."""
        address = address_of(thread_id, checkpoint_id, checkpoint_ns)
        plan = versions.checkpoint_versions(self._context, address)
        return await self._arun(plan, "admin.list_checkpoint_versions")

    def get_checkpoint_version(
        self, thread_id: str, checkpoint_id: str, version_id: str, checkpoint_ns: str = ""
    ) -> CheckpointTuple | None:
        """Read a version of a checkpoint, also one that was deleted.

        Borrowed bytes of deleted objects are read from old versions. The `pending_writes` are the
        checkpoint's current ones, and the last versions of deleted ones.

        Needs `s3:ListBucketVersions`, `s3:GetObject` and `s3:GetObjectVersion`.

        Args:
            thread_id: The thread.
            checkpoint_id: The checkpoint.
            version_id: One of `list_checkpoint_versions`.
            checkpoint_ns: The namespace; the root one by default.

        Returns:
            The checkpoint, whose config doesn't name the version; `None` if there is no such version.

        Raises:
            InvalidKeyError: An id is missing, or the version is a delete marker.
            CorruptObjectError: It is damaged, or borrows from an object whose versions are all gone; the
                message names it.
            CheckpointArchivedError: It is in an offline archive class.
            NotSupportedError: The store can't list versions.
        """
        address, version = address_of(thread_id, checkpoint_id, checkpoint_ns), _version(version_id)
        plan = versions.get_version(self._context, address, version)
        return self._run(plan, "admin.get_checkpoint_version")

    async def aget_checkpoint_version(
        self, thread_id: str, checkpoint_id: str, version_id: str, checkpoint_ns: str = ""
    ) -> CheckpointTuple | None:
        """`get_checkpoint_version`, as a coroutine."""
        address, version = address_of(thread_id, checkpoint_id, checkpoint_ns), _version(version_id)
        plan = versions.get_version(self._context, address, version)
        return await self._arun(plan, "admin.get_checkpoint_version")

    def restore_checkpoint_version(
        self, thread_id: str, checkpoint_id: str, version_id: str, checkpoint_ns: str = ""
    ) -> RunnableConfig:
        """Restore a checkpoint's deleted writes, and make a version of it the current one again.

        The version is read first, so nothing is changed if it is damaged. It is then written with its
        borrowed bytes, which resets its age for lifecycle rules. A deleted or damaged checkpoint is restored
        under its own key. Other current content isn't overwritten, since later checkpoints may borrow from
        it: the restored object is put beside it, and counts as the later one. No version is lost. If the
        version is the current one, nothing is written. Other checkpoints of the thread aren't changed: a
        graph continues from the thread's *latest*.

        Needs `s3:ListBucketVersions`, `s3:GetObject`, `s3:GetObjectVersion`, `s3:PutObject`,
        `s3:AbortMultipartUpload`, and `s3:PutObjectTagging` if the saver tags objects; to restore writes also
        `s3:DeleteObjectVersion`, which removes their markers.

        Args:
            thread_id: The thread.
            checkpoint_id: The checkpoint.
            version_id: One of `list_checkpoint_versions`.
            checkpoint_ns: The namespace; the root one by default.

        Returns:
            The config of the checkpoint.

        Raises:
            InvalidKeyError: An id is missing, there is no such version, or it is a delete marker.
            CorruptObjectError: It is damaged, or borrows from an object whose versions are all gone. Nothing
                was changed.
            ConflictError: Versions were deleted at the same time.
            NotSupportedError: The store can't list versions.
        """
        address, version = address_of(thread_id, checkpoint_id, checkpoint_ns), _version(version_id)
        plan = restore.restore_version(self._context, address, version, internals_of(self._saver).now())
        return self._run(plan, "admin.restore_checkpoint_version")

    async def arestore_checkpoint_version(
        self, thread_id: str, checkpoint_id: str, version_id: str, checkpoint_ns: str = ""
    ) -> RunnableConfig:
        """`restore_checkpoint_version`, as a coroutine."""
        address, version = address_of(thread_id, checkpoint_id, checkpoint_ns), _version(version_id)
        plan = restore.restore_version(self._context, address, version, internals_of(self._saver).now())
        return await self._arun(plan, "admin.restore_checkpoint_version")

    def undelete_thread(
        self, thread_id: str, before: datetime | None = None, *, dry_run: bool = False
    ) -> Undeleted:
        """Restore a deleted thread: the last versions of its checkpoints and pending writes.

        Removes their delete markers, up to 1,000 per request: writes first, then checkpoints from the oldest
        on, so that the thread looks like its own past until it is complete. If interrupted, call it again.
        No object is read or written, so a lifecycle rule that deleted them will do so again. Objects that
        were deleted before versioning was on, or whose versions were removed by `noncurrent_version_days`,
        can't be restored: see `lost`. Objects that the thread has now are kept: new checkpoints are merged
        with the restored ones.

        Needs `s3:ListBucketVersions` and `s3:DeleteObjectVersion`, and `s3:GetBucketVersioning` if there is
        nothing to restore.

        Args:
            thread_id: The thread.
            before: Restore only objects that existed at this time, such as a little before the thread was
                deleted, and not those that were pruned or expired earlier. It needs a time zone, and is
                compared with the store's clock, in seconds. By default all deleted objects are restored.
            dry_run: Whether to only return what would be restored.

        Returns:
            What was restored; nothing for a thread that is unknown, or isn't deleted.

        Raises:
            InvalidConfigError: `before` has no time zone. Nothing was sent.
            NotSupportedError: The bucket never had versioning, or the store can't list versions.
            AccessDeniedError: A marker may not be removed; the message says how many were.
        """
        plan = restore.undelete_thread(self._context, thread_name(thread_id), before, dry_run=dry_run)
        return self._run(plan, "admin.undelete_thread")

    async def aundelete_thread(
        self, thread_id: str, before: datetime | None = None, *, dry_run: bool = False
    ) -> Undeleted:
        """`undelete_thread`, as a coroutine."""
        plan = restore.undelete_thread(self._context, thread_name(thread_id), before, dry_run=dry_run)
        return await self._arun(plan, "admin.undelete_thread")

    def purge_thread(
        self, thread_id: str, *, dry_run: bool = True, receipt: str | os.PathLike[str] | None = None
    ) -> Purged:
        """Remove all of a thread permanently: the right to be forgotten.

        Removes every version and delete marker of its objects, its unfinished uploads, its exports and its
        lease. The thread is first deleted as usual, and then its versions, so that no old version becomes
        current; it is listed again until nothing is left. If interrupted, call it again. Clears this
        process's caches.

        It doesn't remove objects under Object Lock or MFA delete (an error says so; purge again once that has
        ended), replicas in other buckets (S3 doesn't replicate the deletion of versions), backups, downloads
        and exported files, access logs, which hold keys, caches of other processes, and copies under another
        thread_id (`copy_thread`). Stop the agents on the thread first.

        Needs `s3:ListBucketVersions`, `s3:ListBucket`, `s3:DeleteObject`, `s3:DeleteObjectVersion`,
        `s3:ListBucketMultipartUploads` and `s3:AbortMultipartUpload`.

        Args:
            thread_id: The thread.
            dry_run: Whether to only return what would be removed. This is the default.
            receipt: The path of a file for the receipt, a JSON document that only its owner may read. It is
                written before anything is removed, with what there is, and at the end, also of a purge that
                fails: it then says what was removed and what is left. A dry run writes none.

        Returns:
            What was removed, with the receipt. On a store that can't list versions, only current objects are
            deleted, and `unseen` says so.

        Raises:
            FileExistsError: There is a file at the receipt's path. Nothing was removed.
            OSError: The receipt can't be written.
            AccessDeniedError: Something may not be deleted; the message says how many were.
            ConflictError: The thread is being written to.
        """
        plan = self._purge(thread_id, dry_run, receipt)
        return self._run(plan, "admin.purge_thread")

    async def apurge_thread(
        self, thread_id: str, *, dry_run: bool = True, receipt: str | os.PathLike[str] | None = None
    ) -> Purged:
        """`purge_thread`, as a coroutine."""
        plan = self._purge(thread_id, dry_run, receipt)
        return await self._arun(plan, "admin.purge_thread")

    def _purge(self, thread_id: str, dry_run: bool, receipt: str | os.PathLike[str] | None) -> Plan[Purged]:
        file = None if receipt is None else ReceiptFile(receipt)
        location = f"s3://{self.config.bucket}/{self.config.prefix}"
        subject = Subject.of_thread(self._context.layout, thread_name(thread_id))
        return purge.purge(self._context, subject, self._now, location, file, dry_run=dry_run)


def _version(version_id: str) -> str:
    return id_text(version_id, "version_id")
