"""Public methods for lifecycle policies and archived threads."""

from __future__ import annotations

import warnings

from langgraph_checkpoint_s3.admin.base import BaseAdmin
from langgraph_checkpoint_s3.admin.lifecycle import archive
from langgraph_checkpoint_s3.admin.lifecycle.archive import RestoreStatus
from langgraph_checkpoint_s3.admin.lifecycle.classes import set_class_policies
from langgraph_checkpoint_s3.admin.lifecycle.memory_rules import check_consent
from langgraph_checkpoint_s3.admin.lifecycle.policy import (
    LifecyclePolicy,
    LifecycleWarning,
    get_policy,
    horizon_of,
    remove_policy,
    set_policy,
)
from langgraph_checkpoint_s3.admin.setting_changes import Change
from langgraph_checkpoint_s3.plans.plan import Plan
from langgraph_checkpoint_s3.s3.admin_requests import RestoreTier


class Lifecycle(BaseAdmin):
    """Operations of `S3Admin` on lifecycle policies and archived threads."""

    def set_lifecycle_policy(self, policy: LifecyclePolicy | None = None) -> list[Change]:
        """Have S3 delete, archive and clean up objects below the saver's prefix, by age.

            admin.set_lifecycle_policy(LifecyclePolicy(days_until_deletion=30))

        **Each object is deleted by its own age**, whatever thread it belongs to. In a thread that is in use,
        checkpoints older than `days_until_deletion` are deleted. The latest one stays as long as the thread
        is used within those days, and is then deleted too. A delta channel (LangGraph's `DeltaChannel`)
        can't be rebuilt if it needs older writes. `prune_older_than` deletes by age as well, and keeps each
        thread's latest checkpoint and what that needs.

        Nothing that is kept can have borrowed from what is deleted: the rules have `days_until_deletion`
        plus the saver's `borrow_horizon` (24 hours by default), in whole days; with `borrow=False` nothing is
        added. If savers with different horizons share a prefix, set the policy with the longest.

        **Rules of others are kept.** S3 replaces a bucket's rules all at once, so they are read first, and
        written only if anything differs. Of two such changes at the same moment, one can undo the other: S3
        has no condition for it. The policy's rules are named `langgraph-checkpoint-s3:{prefix}:…`, with the
        tag if there is one, so that several savers and tags share a bucket. A rule for `a/` also applies to a
        saver at `a/b/`. S3 needs some minutes to take up new rules, and applies them once a day
        (https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lifecycle-mgmt.html).

        **Without a policy** it sets one for each of the saver's retention classes (`retention`), in one
        write: deletion of the objects with its tag, and for `default` also the abort of unfinished uploads.
        Policies of other classes stay: `remove_lifecycle_policy(("langgraph-retention", "trial"))` removes
        one.

        **Long-term memory (`S3Store`) lies below the same prefix**, and S3's rules have no exceptions. So a
        policy that deletes, or archives offline, is refused if there are items that it would act on. Give the
        store a prefix of its own, or consent by `LifecyclePolicy(include_memories=True)`. This is one LIST
        more.

        Needs `s3:GetLifecycleConfiguration` and `s3:PutLifecycleConfiguration`, and `s3:ListBucket` to see
        whether there is long-term memory; without that it isn't looked for.

        Args:
            policy: The policy. It replaces the one with the same `object_tag`, or without one. What it leaves
                out is removed. Default: those of the saver's retention classes.

        Returns:
            The changes; empty if the policy is set already.

        Warns:
            LifecycleWarning: The policy does less, or costs more, than it seems to
                (`LifecyclePolicy.warnings`). The warning comes before anything is sent.

        Raises:
            InvalidConfigError: The bucket would have more than 1,000 rules, the policy would act on long-term
                memory without consent, or there is no policy and the saver has no classes. Nothing was
                written.
            NotSupportedError: The store has no lifecycle rules, or none of this kind.
        """
        if policy is None:
            return self._run(set_class_policies(self.config), "admin.set_lifecycle_policy")
        for text in policy.warnings:
            warnings.warn(text, LifecycleWarning, stacklevel=2)
        return self._run(self._set_policy(policy), "admin.set_lifecycle_policy")

    async def aset_lifecycle_policy(self, policy: LifecyclePolicy | None = None) -> list[Change]:
        """`set_lifecycle_policy`, as a coroutine."""
        if policy is None:
            return await self._arun(set_class_policies(self.config), "admin.set_lifecycle_policy")
        for text in policy.warnings:
            warnings.warn(text, LifecycleWarning, stacklevel=2)
        return await self._arun(self._set_policy(policy), "admin.set_lifecycle_policy")

    def _set_policy(self, policy: LifecyclePolicy) -> Plan[list[Change]]:
        yield from check_consent(policy, self.config)
        return (yield from set_policy(policy, self.config.prefix, horizon_of(self.config)))

    def get_lifecycle_policy(self, object_tag: tuple[str, str] | None = None) -> LifecyclePolicy | None:
        """Return the lifecycle policy of the saver's prefix. Needs `s3:GetLifecycleConfiguration`.

        Args:
            object_tag: The tag that the policy is restricted to; `None` is the one without a tag.

        Returns:
            The policy as it was set, its days without the horizon; `None` if there is none, or its rules are
            disabled. Rules of others aren't included: `check()` reports those that matter. Without a tag,
            the days of `configure_bucket(abort_incomplete_uploads_days=…)` are part of it.

        Raises:
            InvalidConfigError: The tag is invalid, or somebody changed the rules so that they no longer
                make a valid policy.
            NotSupportedError: The store has no lifecycle rules.
        """
        plan = get_policy(self.config.prefix, object_tag)
        return self._run(plan, "admin.get_lifecycle_policy")

    async def aget_lifecycle_policy(
        self, object_tag: tuple[str, str] | None = None
    ) -> LifecyclePolicy | None:
        """`get_lifecycle_policy`, as a coroutine."""
        plan = get_policy(self.config.prefix, object_tag)
        return await self._arun(plan, "admin.get_lifecycle_policy")

    def remove_lifecycle_policy(self, object_tag: tuple[str, str] | None = None) -> list[Change]:
        """Remove the lifecycle policy of the saver's prefix. Rules of others are kept.

        Without a tag this also removes the rule of `configure_bucket(abort_incomplete_uploads_days=…)`.
        Needs `s3:GetLifecycleConfiguration` and `s3:PutLifecycleConfiguration`.

        Args:
            object_tag: The tag that the policy is restricted to; `None` is the one without a tag.

        Returns:
            The changes; empty if there was no policy.

        Raises:
            InvalidConfigError: The tag is invalid.
            NotSupportedError: The store has no lifecycle rules.
        """
        plan = remove_policy(self.config.prefix, object_tag)
        return self._run(plan, "admin.remove_lifecycle_policy")

    async def aremove_lifecycle_policy(self, object_tag: tuple[str, str] | None = None) -> list[Change]:
        """`remove_lifecycle_policy`, as a coroutine."""
        plan = remove_policy(self.config.prefix, object_tag)
        return await self._arun(plan, "admin.remove_lifecycle_policy")

    def restore_archived(
        self, thread_id: str, days: int = 7, tier: RestoreTier = "Standard"
    ) -> RestoreStatus:
        """Request a restore of a thread from an offline archive class.

        S3 makes a temporary copy of each archived object, which can be read for some days
        (https://docs.aws.amazon.com/AmazonS3/latest/userguide/restoring-objects.html). The whole thread is
        restored, as its checkpoints may borrow from one another. A second call requests only what isn't
        being restored yet, and copies that would expire before these days are over. Objects in an archive
        tier of Intelligent-Tiering are restored for good, whatever `days` says. To keep a restored thread,
        copy it while it can be read (`copy_thread`).

        Needs `s3:ListBucket`, `s3:GetObject` and `s3:RestoreObject`. Costs a LIST per 1,000 objects, a HEAD
        for each one that may be offline, a restore request for each that is, and S3's price of retrieval.

        Args:
            thread_id: The thread.
            days: Days that the copies are kept, 1 to 36,500.
            tier: `Standard` (3 to 5 hours from `GLACIER`, 12 from `DEEP_ARCHIVE`), `Bulk` (5 to 12, or 48
                hours; the cheapest), or `Expedited` (minutes; not from `DEEP_ARCHIVE`).

        Returns:
            The progress. `ready` is true once all of the thread can be read.

        Raises:
            InvalidConfigError: `days` or `tier` is invalid, or a storage class doesn't offer the tier.
            NotSupportedError: The store can't restore.
        """
        plan = archive.restore_archived(self._context, thread_id, days, tier, self._now())
        return self._run(plan, "admin.restore_archived")

    async def arestore_archived(
        self, thread_id: str, days: int = 7, tier: RestoreTier = "Standard"
    ) -> RestoreStatus:
        """`restore_archived`, as a coroutine."""
        plan = archive.restore_archived(self._context, thread_id, days, tier, self._now())
        return await self._arun(plan, "admin.restore_archived")

    def restore_status(self, thread_id: str) -> RestoreStatus:
        """Return how much of a thread can be read, is being restored, or is archived offline.

        Needs `s3:ListBucket` and `s3:GetObject`. Costs a LIST per 1,000 objects, and a HEAD for each one that
        may be offline.

        Args:
            thread_id: The thread.

        Returns:
            The counts of its objects; all zero if there is no such thread.

        Raises:
            InvalidKeyError: The thread_id is empty.
            S3CheckpointError: The store can't be reached, refuses, or has no such bucket.
        """
        return self._run(archive.restore_status(self._context, thread_id), "admin.restore_status")

    async def arestore_status(self, thread_id: str) -> RestoreStatus:
        """`restore_status`, as a coroutine."""
        return await self._arun(archive.restore_status(self._context, thread_id), "admin.restore_status")
