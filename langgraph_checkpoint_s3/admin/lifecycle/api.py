"""An admin's operations on lifecycle policies and archived threads."""

from __future__ import annotations

import warnings

from langgraph_checkpoint_s3.admin.base import BaseAdmin
from langgraph_checkpoint_s3.admin.lifecycle import archive, configuration
from langgraph_checkpoint_s3.admin.lifecycle.archive import RestoreStatus
from langgraph_checkpoint_s3.admin.lifecycle.policy import LifecyclePolicy, LifecycleWarning
from langgraph_checkpoint_s3.admin.setting_changes import Change
from langgraph_checkpoint_s3.s3.admin_requests import RestoreTier

__all__ = ["Lifecycle", "LifecyclePolicy", "LifecycleWarning", "RestoreStatus"]


class Lifecycle(BaseAdmin):
    """An admin's operations on lifecycle policies and archived threads."""

    def set_lifecycle_policy(self, policy: LifecyclePolicy) -> list[Change]:
        """Make S3 delete, archive and clean up below the saver's prefix, by age.

            admin.set_lifecycle_policy(LifecyclePolicy(days_until_deletion=30))

        **Deletion is by each object's own age.** S3 knows nothing of threads. Of a thread that is in use,
        the checkpoints that are older than `days_until_deletion` go: the latest one stays as long as
        the thread is used within those days, and then goes too. A delta channel (LangGraph's
        `DeltaChannel`) is rebuilt from writes that may be older than that, and can't be rebuilt then.
        `prune_older_than` deletes by age as well, and keeps each thread's latest and what that needs.

        What is deleted has lent nothing to what is still wanted: S3 is told `days_until_deletion` plus the
        saver's `borrow_horizon` (24 hours by default), in whole days. Where savers with different horizons
        share a prefix, set the policy with the longest.

        **Others' rules stay as they are.** S3 replaces a bucket's rules all at once, so they are read,
        those of the policy before are exchanged, and all are written, if anything differs. A policy's
        rules are named `langgraph-checkpoint-s3:{prefix}:…`, with the tag if there is one, so that several
        savers and tags share a bucket. Two such changes at the same moment can undo one another: S3
        has no condition for it. And a rule for `a/` also acts on a saver below it, at `a/b/`.

        It takes S3 some minutes to take rules up, and it acts on them once a day
        (https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lifecycle-mgmt.html).

        Needs `s3:GetLifecycleConfiguration` and `s3:PutLifecycleConfiguration`.

        Args:
            policy: The policy. It replaces the one before it of the same `object_tag`, or without one. What
                it leaves out is removed.

        Returns:
            What was changed: nothing if the policy is set already.

        Warns:
            LifecycleWarning: It does less, or costs more, than it looks like (`LifecyclePolicy.warnings`). It
                comes before anything is sent. It is a warning of Python's, so that nobody who sets a policy
                misses it, and what comes back are the changes, as from all else that changes settings.

        Raises:
            InvalidConfigError: The bucket would have more than 1,000 rules. Nothing was written.
            NotSupportedError: The store has no lifecycle rules, or none of this kind.
        """
        for text in policy.warnings:
            warnings.warn(text, LifecycleWarning, stacklevel=2)
        return self._run(configuration.set_policy(policy, self.config.prefix, self.config.borrow_horizon))

    async def aset_lifecycle_policy(self, policy: LifecyclePolicy) -> list[Change]:
        """`set_lifecycle_policy`, as a coroutine."""
        for text in policy.warnings:
            warnings.warn(text, LifecycleWarning, stacklevel=2)
        return await self._arun(
            configuration.set_policy(policy, self.config.prefix, self.config.borrow_horizon)
        )

    def get_lifecycle_policy(self, object_tag: tuple[str, str] | None = None) -> LifecyclePolicy | None:
        """Show the lifecycle policy that is set for the saver's prefix.

        Needs `s3:GetLifecycleConfiguration`.

        Args:
            object_tag: The tag that the policy is narrowed to; `None` is the one without a tag.

        Returns:
            The policy as it was set, its days without the horizon; `None` if there is none, or if somebody
            switched its rules off. Others' rules don't show: `check()` tells of those that matter.

        Raises:
            InvalidConfigError: The tag can't be one; or somebody changed the rules into what is no policy.
            NotSupportedError: The store has no lifecycle rules.
        """
        return self._run(configuration.get_policy(self.config.prefix, object_tag))

    async def aget_lifecycle_policy(
        self, object_tag: tuple[str, str] | None = None
    ) -> LifecyclePolicy | None:
        """`get_lifecycle_policy`, as a coroutine."""
        return await self._arun(configuration.get_policy(self.config.prefix, object_tag))

    def remove_lifecycle_policy(self, object_tag: tuple[str, str] | None = None) -> list[Change]:
        """Remove the lifecycle policy of the saver's prefix. Others' rules stay as they are.

        Needs `s3:GetLifecycleConfiguration` and `s3:PutLifecycleConfiguration`.

        Args:
            object_tag: The tag that the policy is narrowed to; `None` is the one without a tag.

        Returns:
            What was changed: nothing if there was no policy.

        Raises:
            InvalidConfigError: The tag can't be one.
            NotSupportedError: The store has no lifecycle rules.
        """
        return self._run(configuration.remove_policy(self.config.prefix, object_tag))

    async def aremove_lifecycle_policy(self, object_tag: tuple[str, str] | None = None) -> list[Change]:
        """`remove_lifecycle_policy`, as a coroutine."""
        return await self._arun(configuration.remove_policy(self.config.prefix, object_tag))

    def restore_archived(
        self, thread_id: str, days: int = 7, tier: RestoreTier = "Standard"
    ) -> RestoreStatus:
        """Begin to bring a thread back that lies in an offline archive class.

        S3 makes a copy that can be read for some days, beside the archived object
        (https://docs.aws.amazon.com/AmazonS3/latest/userguide/restoring-objects.html). All of the thread is
        restored, as its checkpoints may borrow from one another. Calling it again asks only for what isn't
        under way yet, and for what would go offline again before these days are over. What
        Intelligent-Tiering put into an archive tier comes back for good, whatever `days` says. To keep a
        restored thread, copy it while it can be read (`copy_thread`).

        Needs `s3:ListBucket`, `s3:GetObject` and `s3:RestoreObject`. Costs a LIST per 1,000 objects, a HEAD
        for each one that may be offline, a restore request for each that is, and S3's price of retrieval.

        Args:
            thread_id: The thread.
            days: For how many days, 1 to 36,500.
            tier: `Standard` (3 to 5 hours from `GLACIER`, 12 from `DEEP_ARCHIVE`), `Bulk` (5 to 12, or 48
                hours; the cheapest), or `Expedited` (minutes; not from `DEEP_ARCHIVE`).

        Returns:
            How far it is. `ready` is true once all of the thread can be read.

        Raises:
            InvalidConfigError: `days` or `tier` can't be, or the tier isn't there for a storage class.
            NotSupportedError: The store can't restore.
        """
        return self._run(archive.restore_archived(self._context, thread_id, days, tier, self._now()))

    async def arestore_archived(
        self, thread_id: str, days: int = 7, tier: RestoreTier = "Standard"
    ) -> RestoreStatus:
        """`restore_archived`, as a coroutine."""
        return await self._arun(archive.restore_archived(self._context, thread_id, days, tier, self._now()))

    def restore_status(self, thread_id: str) -> RestoreStatus:
        """Tell how much of a thread can be read, is being restored, or lies in an offline archive class.

        Needs `s3:ListBucket` and `s3:GetObject`. Costs a LIST per 1,000 objects, and a HEAD for each one that
        may be offline.

        Args:
            thread_id: The thread.

        Returns:
            The counts of its objects. A thread that isn't there has none.

        Raises:
            InvalidKeyError: The thread_id is empty.
            S3CheckpointError: The store can't be reached, refuses, or has no such bucket.
        """
        return self._run(archive.restore_status(self._context, thread_id))

    async def arestore_status(self, thread_id: str) -> RestoreStatus:
        """`restore_status`, as a coroutine."""
        return await self._arun(archive.restore_status(self._context, thread_id))
