"""An admin's operations on versions of checkpoints and deleted threads."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from langgraph.checkpoint.base import CheckpointTuple

from langgraph_checkpoint_s3.admin.base import BaseAdmin
from langgraph_checkpoint_s3.admin.setting_changes import Change
from langgraph_checkpoint_s3.admin.versions import purge, restore, undelete, versions
from langgraph_checkpoint_s3.admin.versions.purge import Purged
from langgraph_checkpoint_s3.admin.versions.undelete import Undeleted
from langgraph_checkpoint_s3.admin.versions.versions import CheckpointVersion, VersioningStatus
from langgraph_checkpoint_s3.format.ids import id_text, thread_name
from langgraph_checkpoint_s3.plans.plan import Plan

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig


class Versioning(BaseAdmin):
    """An admin's operations on versions of checkpoints and deleted threads."""

    def enable_versioning(self) -> list[Change]:
        """Have the bucket keep what is overwritten and deleted, in all of its prefixes.

        From then on, `delete_thread`, `prune` and the like hide objects behind delete markers, and
        `undelete_thread` brings them back. They are stored, and paid for, until a lifecycle rule removes
        them (`LifecyclePolicy(noncurrent_version_days=…)`) or `purge_thread` does. Where it is on
        already, nothing is sent but a read. MFA delete stays as it is.

        After the first time, AWS advises to wait 15 minutes before anything is written
        (https://docs.aws.amazon.com/AmazonS3/latest/userguide/manage-versioning-examples.html).

        Needs `s3:GetBucketVersioning` and `s3:PutBucketVersioning`.

        Returns:
            The change, with S3's document before and after; empty where it was on.

        Raises:
            NotSupportedError: The store keeps no versions.
            AccessDeniedError: A permission is missing; or the bucket has MFA delete, and so its versioning
                can only be changed with the device.
        """
        return self._run(versions.set_versioning("Enabled"), "admin.enable_versioning")

    async def aenable_versioning(self) -> list[Change]:
        """`enable_versioning`, as a coroutine."""
        return await self._arun(versions.set_versioning("Enabled"), "admin.enable_versioning")

    def suspend_versioning(self) -> list[Change]:
        """Have the bucket keep no new versions. Those that there are stay, and are paid for.

        What is deleted from then on and was written after it can't be brought back. S3 refuses it in a
        bucket with Object Lock or replication. Where versioning was never on, nothing is changed, since
        no bucket goes back from `suspended` to `off`.

        Needs `s3:GetBucketVersioning` and `s3:PutBucketVersioning`.

        Returns:
            The change, with S3's document before and after; empty where there was none.

        Raises:
            S3CheckpointError: The store can't be reached, refuses, or has no such bucket.
        """
        return self._run(versions.set_versioning("Suspended"), "admin.suspend_versioning")

    async def asuspend_versioning(self) -> list[Change]:
        """`suspend_versioning`, as a coroutine."""
        return await self._arun(versions.set_versioning("Suspended"), "admin.suspend_versioning")

    def versioning_status(self) -> VersioningStatus:
        """Whether the bucket keeps versions.

        Needs `s3:GetBucketVersioning`.

        Returns:
            `enabled`; `suspended`, where older versions may still be there; or `off`: it was never on,
            or the store keeps no versions.

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
        """The versions of a checkpoint's object and its delete markers, newest first. One LIST.

        There is more than one version where a checkpoint was deleted and came back, where `prune` wrote
        into it what it had borrowed, and where somebody overwrote it. Its pending writes are objects of
        their own, and not among them.

        Needs `s3:ListBucketVersions`.

        Args:
            thread_id: The thread.
            checkpoint_id: The checkpoint.
            checkpoint_ns: Its namespace; the root one by default.

        Returns:
            The versions; none if there never was such a checkpoint. In a bucket without versioning, the
            one that is there, as `null`.

        Raises:
            InvalidKeyError: An id is missing.
            NotSupportedError: The store can't list versions.
        """
        address = versions.address_of(thread_id, checkpoint_id, checkpoint_ns)
        return self._run(
            versions.checkpoint_versions(self._context, address), "admin.list_checkpoint_versions"
        )

    async def alist_checkpoint_versions(
        self, thread_id: str, checkpoint_id: str, checkpoint_ns: str = ""
    ) -> list[CheckpointVersion]:
        """`list_checkpoint_versions`, as a coroutine."""
        address = versions.address_of(thread_id, checkpoint_id, checkpoint_ns)
        return await self._arun(
            versions.checkpoint_versions(self._context, address), "admin.list_checkpoint_versions"
        )

    def get_checkpoint_version(
        self, thread_id: str, checkpoint_id: str, version_id: str, checkpoint_ns: str = ""
    ) -> CheckpointTuple | None:
        """A version of a checkpoint, as it was. Also one that was deleted, with what it borrowed.

        What it borrows and isn't there any more is read from old versions. Its `pending_writes` are the
        checkpoint's, as they are now; those that were deleted, as they were last.

        Needs `s3:ListBucketVersions`, `s3:GetObject` and `s3:GetObjectVersion`.

        Args:
            thread_id: The thread.
            checkpoint_id: The checkpoint.
            version_id: One of `list_checkpoint_versions`.
            checkpoint_ns: The namespace; the root one by default.

        Returns:
            The checkpoint, whose config names it and not the version; `None` if there is no such version.

        Raises:
            InvalidKeyError: An id is missing, or the version is a delete marker.
            CorruptObjectError: It is damaged, or borrows from an object that is gone with all of its
                versions; the message names that.
            CheckpointArchivedError: It lies in an offline archive class.
            NotSupportedError: The store can't list versions.
        """
        address = versions.address_of(thread_id, checkpoint_id, checkpoint_ns)
        version = id_text(version_id, "version_id")
        return self._run(
            versions.get_version(self._context, address, version), "admin.get_checkpoint_version"
        )

    async def aget_checkpoint_version(
        self, thread_id: str, checkpoint_id: str, version_id: str, checkpoint_ns: str = ""
    ) -> CheckpointTuple | None:
        """`get_checkpoint_version`, as a coroutine."""
        address = versions.address_of(thread_id, checkpoint_id, checkpoint_ns)
        version = id_text(version_id, "version_id")
        return await self._arun(
            versions.get_version(self._context, address, version), "admin.get_checkpoint_version"
        )

    def restore_checkpoint_version(
        self, thread_id: str, checkpoint_id: str, version_id: str, checkpoint_ns: str = ""
    ) -> RunnableConfig:
        """Make a version of a checkpoint the current one again, and bring its deleted writes back before.

        It is read first, so nothing is changed if it is damaged, and then written anew, with what it
        borrows in it; its age for lifecycle rules begins again. What was deleted or damaged comes back
        under its own key. Other content that is there is not overwritten, for later checkpoints may
        borrow from it: what is restored is then put beside it, and counts as the later one. No version is
        lost. Where it is the current one already, nothing is written.

        Other checkpoints of the thread stay as they are: a graph goes on from the thread's *latest*.

        Needs `s3:ListBucketVersions`, `s3:GetObject`, `s3:GetObjectVersion`, `s3:PutObject`,
        `s3:AbortMultipartUpload`, and `s3:PutObjectTagging` if the saver tags objects; and for writes that
        come back `s3:DeleteObjectVersion`, which removes their markers.

        Args:
            thread_id: The thread.
            checkpoint_id: The checkpoint.
            version_id: One of `list_checkpoint_versions`.
            checkpoint_ns: The namespace; the root one by default.

        Returns:
            The config that points at it.

        Raises:
            InvalidKeyError: An id is missing, there is no such version, or it is a delete marker.
            CorruptObjectError: It is damaged, or borrows from an object that is gone with all of its
                versions. Nothing was changed.
            ConflictError: Versions were deleted at the same time.
            NotSupportedError: The store can't list versions.
        """
        return self._run(
            self._restore(thread_id, checkpoint_id, version_id, checkpoint_ns),
            "admin.restore_checkpoint_version",
        )

    async def arestore_checkpoint_version(
        self, thread_id: str, checkpoint_id: str, version_id: str, checkpoint_ns: str = ""
    ) -> RunnableConfig:
        """`restore_checkpoint_version`, as a coroutine."""
        return await self._arun(
            self._restore(thread_id, checkpoint_id, version_id, checkpoint_ns),
            "admin.restore_checkpoint_version",
        )

    def undelete_thread(
        self, thread_id: str, before: datetime | None = None, *, dry_run: bool = False
    ) -> Undeleted:
        """Bring a deleted thread back: its checkpoints and pending writes, as they were last.

        Removes the delete markers that hide them, up to 1,000 in a request: writes first, then checkpoints
        from the oldest on, so that the thread looks like its own past until it is whole. If it is cut
        short, doing it again goes on. No object is read or written, so their age stays what it was, and
        a lifecycle rule that deleted them will do so again. Not for what was deleted before
        versioning was on, or is gone by `noncurrent_version_days`: see `lost`.

        What the thread holds now stays: one that was put to since is merged with what comes back.

        Needs `s3:ListBucketVersions` and `s3:DeleteObjectVersion`, and `s3:GetBucketVersioning` where there
        is nothing to bring back.

        Args:
            thread_id: The thread.
            before: Bring back only what existed at this time, so that what was pruned or expired before it
                stays so: a little before the thread was deleted, say. It needs a time zone, and is compared
                with the store's clock, in seconds. By default all that is hidden comes back, whenever
                it was deleted.
            dry_run: Whether to leave it at saying what would come back.

        Returns:
            What came back; nothing for a thread that isn't known, or isn't deleted.

        Raises:
            InvalidConfigError: `before` has no time zone. Nothing was sent.
            NotSupportedError: The bucket never kept versions, or the store can't list them.
            AccessDeniedError: A marker may not be removed; the message says how many were.
        """
        return self._run(self._undelete(thread_id, before, dry_run), "admin.undelete_thread")

    async def aundelete_thread(
        self, thread_id: str, before: datetime | None = None, *, dry_run: bool = False
    ) -> Undeleted:
        """`undelete_thread`, as a coroutine."""
        return await self._arun(self._undelete(thread_id, before, dry_run), "admin.undelete_thread")

    def purge_thread(self, thread_id: str, *, dry_run: bool = True) -> Purged:
        """Remove all of a thread for good: the right to be forgotten.

        Every version and delete marker of its objects, whatever they are, its unfinished uploads, its
        exports and its lease. It is first deleted as usual, and then version by version, so that at no
        time an old version shows; what is left is listed again until there is nothing. If it is cut
        short, doing it again goes on. Drops what this process has in memory.

        Not reached are: what Object Lock or MFA delete protects (an error says so; purge again once that
        has ended), replicas in other buckets (S3 doesn't replicate the deletion of versions), backups,
        what was downloaded or moved elsewhere, access logs, which hold keys, the memory of other
        processes, and copies under another thread_id (`copy_thread`). Stop what runs on the thread first.

        Needs `s3:ListBucketVersions`, `s3:ListBucket`, `s3:DeleteObject`, `s3:DeleteObjectVersion`,
        `s3:ListBucketMultipartUploads` and `s3:AbortMultipartUpload`.

        Args:
            thread_id: The thread.
            dry_run: Whether to leave it at saying what would go. This is the default.

        Returns:
            What there was. On a store that can't list versions, only what was there last is deleted, and
            `unseen` says so.

        Raises:
            AccessDeniedError: Something may not be deleted; the message says how many were.
            ConflictError: Somebody goes on writing to the thread.
        """
        return self._run(
            purge.purge_thread(self._context, thread_name(thread_id), dry_run=dry_run), "admin.purge_thread"
        )

    async def apurge_thread(self, thread_id: str, *, dry_run: bool = True) -> Purged:
        """`purge_thread`, as a coroutine."""
        return await self._arun(
            purge.purge_thread(self._context, thread_name(thread_id), dry_run=dry_run), "admin.purge_thread"
        )

    def _restore(
        self, thread_id: str, checkpoint_id: str, version_id: str, checkpoint_ns: str
    ) -> Plan[RunnableConfig]:
        address = versions.address_of(thread_id, checkpoint_id, checkpoint_ns)
        version = id_text(version_id, "version_id")
        return restore.restore_version(self._context, address, version, self._saver.clock())

    def _undelete(self, thread_id: str, before: datetime | None, dry_run: bool) -> Plan[Undeleted]:
        return undelete.undelete_thread(self._context, thread_name(thread_id), before, dry_run=dry_run)
