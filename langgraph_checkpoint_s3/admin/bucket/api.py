"""Public methods that set up the bucket: settings, replication, and IAM policies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from langgraph_checkpoint_s3.admin.base import BaseAdmin
from langgraph_checkpoint_s3.admin.bucket import policies, replication
from langgraph_checkpoint_s3.admin.bucket.configure import BucketOptions, BucketSettings, configure, create
from langgraph_checkpoint_s3.admin.bucket.policies import Role
from langgraph_checkpoint_s3.admin.bucket.replication import Replica, ReplicationOptions
from langgraph_checkpoint_s3.admin.setting_changes import Change
from langgraph_checkpoint_s3.validation import is_aws

if TYPE_CHECKING:
    from typing_extensions import Unpack


class BucketSetup(BaseAdmin):
    """Operations of `S3Admin` that set up the bucket."""

    def configure_bucket(self, **settings: Unpack[BucketOptions]) -> list[Change]:
        """Set up an existing bucket: encryption, public access, TLS, clean-up, metrics, tiers.

        Each requested setting is read first, and written only if it differs, so that a second call changes
        nothing. For each of them `None` leaves the bucket as it is, `True` (or a value) sets it, and `False`
        removes what this package had set. Settings of others are kept.

        Needs the IAM actions `s3:Get…` and `s3:Put…` of each requested setting: `EncryptionConfiguration`,
        `BucketPublicAccessBlock`, `BucketPolicy`, `LifecycleConfiguration`, `MetricsConfiguration`,
        `AccelerateConfiguration`, `IntelligentTieringConfiguration`. `iam_policy(("administration",))` has
        them all.

        Keyword Args:
            encryption (str | None): Default encryption of new objects. `auto` (the default) sets `AES256`
                where the bucket has no default yet. `AES256`, `aws:kms` or `aws:kms:dsse` replace the
                default. A saver's own `server_side_encryption` takes precedence. Existing objects stay as
                they are.
            kms_key_id (str | None): Key for `aws:kms` and `aws:kms:dsse`, preferably its ARN. Default: the
                account's `aws/s3`.
            bucket_key (bool): With `aws:kms`, use an S3 Bucket Key, which saves most requests to KMS
                (https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-key.html). Default: `True`.
            block_public_access (bool | Literal["auto"] | None): Block public ACLs and policies, old and new.
                `auto` (the default) does so on AWS. Elsewhere, try it first: Ceph 16 then refuses every
                `put`, the owner's too. `False` is refused.
            tls_only (bool | Literal["auto"] | None): Add a statement to the bucket's policy that denies plain
                HTTP. It covers the whole bucket, and all savers of the bucket share it. `auto` (the default)
                adds it if this client itself uses https.
            abort_incomplete_uploads_days (int | Literal[False] | None): Days after which S3 removes the parts
                of a multipart upload that was never completed (1 to 36,500; default: 7). This is the
                lifecycle rule that `set_lifecycle_policy` sets too, for a policy without a tag: the last call
                wins.
            request_metrics (bool | None): Publish request metrics of the prefix to CloudWatch, by the minute,
                under the filter ID `langgraph-checkpoint-s3.…`. CloudWatch bills them
                (https://docs.aws.amazon.com/AmazonS3/latest/userguide/metrics-configurations.html).
            accelerate (bool | None): Turn Transfer Acceleration on or off, for clients far from the region. A
                saver uses it with `use_accelerate=True`. Each gigabyte costs extra, and the bucket's name may
                have no dots.
            intelligent_tiering (IntelligentTieringArchive | Literal[False] | None): An
                `IntelligentTieringArchive`: when the class `INTELLIGENT_TIERING` archives unread objects
                below the prefix.

        Returns:
            The changes, with S3's documents before and after; empty if nothing differed.

        Raises:
            InvalidConfigError: A value is invalid; among them `tls_only=True` through an http:// endpoint,
                which would lock this client out. Nothing was written.
            NotSupportedError: The store doesn't know some of the settings. The message names them all, and
                what to pass to do without. Nothing was written.
            AccessDeniedError: Permissions are missing; the message names them. If a later setting was
                refused, it names the ones that had been changed before.
            BucketNotFoundError: There is no bucket; see `create_bucket`.
        """
        return self._run(configure(self.config, BucketSettings(**settings), is_aws), "admin.configure_bucket")

    async def aconfigure_bucket(self, **settings: Unpack[BucketOptions]) -> list[Change]:
        """`configure_bucket`, as a coroutine."""
        return await self._arun(
            configure(self.config, BucketSettings(**settings), is_aws), "admin.configure_bucket"
        )

    def create_bucket(self, **settings: Unpack[BucketOptions]) -> list[Change]:
        """Create the bucket in the saver's region if there is none, and set it up with `configure_bucket`.

        The keywords are those of `configure_bucket`, with the same defaults. Needs the IAM actions
        `s3:ListBucket` and `s3:CreateBucket` besides those of `configure_bucket`.

        Returns:
            The changes. A new bucket is the change `bucket` from `None` to its name.

        Raises:
            BucketNotFoundError: The name is taken by another account.
            InvalidConfigError: As for `configure_bucket`; the bucket may have been created, and the message
                says so.
            NotSupportedError: The same.
            AccessDeniedError: The same.
        """
        return self._run(create(self.config, BucketSettings(**settings), is_aws), "admin.create_bucket")

    async def acreate_bucket(self, **settings: Unpack[BucketOptions]) -> list[Change]:
        """`create_bucket`, as a coroutine."""
        return await self._arun(
            create(self.config, BucketSettings(**settings), is_aws), "admin.create_bucket"
        )

    def enable_replication(
        self, destination: str, role: str, **options: Unpack[ReplicationOptions]
    ) -> list[Change]:
        """Have S3 copy new objects below the prefix to another bucket.

        Both buckets have to keep versions; this one is checked. The rule is named by the prefix, and the
        rules of others are kept.

        Existing objects aren't copied (S3 Batch Replication does that). A new checkpoint may borrow from one
        of them for as long as `borrow_horizon` (a day): until then, or until the old ones are copied too, a
        replica can be unreadable. Copies usually arrive within minutes, in no order. Deletions of versions
        aren't replicated: to erase data for good, erase it in both buckets. See
        https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-what-is-isnot-replicated.html

        Needs the IAM actions `s3:GetReplicationConfiguration`, `s3:PutReplicationConfiguration`,
        `s3:GetBucketVersioning`, `iam:PassRole` for the role, and `s3:GetEncryptionConfiguration`
        unless `server_side_encryption` names an encryption.

        Args:
            destination: The other bucket, by its name or ARN, in any region.
            role: The ARN of the role that S3 assumes, such as
                `arn:aws:iam::123456789012:role/replication`
                (https://docs.aws.amazon.com/AmazonS3/latest/userguide/setting-repl-config-perm-overview.html).
                All rules of a bucket share one.

        Keyword Args:
            storage_class (str | None): Storage class of the copies, such as `STANDARD_IA`. Default: that of
                the original. In `GLACIER` and `DEEP_ARCHIVE` they can't be read until they are restored.
            delete_markers (bool): Replicate delete markers. Default: `False`, so that copies of deleted
                objects stay.
            priority (int | None): Which rule counts where several apply to an object; higher ones win.
                Default: above all others, and unchanged once it is set.
            replica_kms_key_id (str | None): The ARN of a key in the destination's region, for copies of
                objects that are encrypted with KMS. S3 leaves such objects out without it.

        Returns:
            The changes; empty if nothing differed.

        Raises:
            InvalidConfigError: Versioning is off, objects are encrypted with KMS and there is no
                `replica_kms_key_id`, or existing rules conflict with this one. Nothing was written.
            NotSupportedError: The store doesn't replicate.
            AccessDeniedError: An action is missing.
        """
        plan = replication.enable(self.config, Replica(destination, role, **options))
        return self._run(plan, "admin.enable_replication")

    async def aenable_replication(
        self, destination: str, role: str, **options: Unpack[ReplicationOptions]
    ) -> list[Change]:
        """`enable_replication`, as a coroutine."""
        plan = replication.enable(self.config, Replica(destination, role, **options))
        return await self._arun(plan, "admin.enable_replication")

    def disable_replication(self) -> list[Change]:
        """Remove the prefix's replication rule. Copies and the rules of others stay.

        Needs the IAM actions `s3:GetReplicationConfiguration` and `s3:PutReplicationConfiguration`, and
        `iam:PassRole` if there are other rules.

        Returns:
            The changes; empty if the prefix had no rule.

        Raises:
            NotSupportedError: The store doesn't replicate.
            AccessDeniedError: An action is missing.
        """
        return self._run(replication.disable(self.config), "admin.disable_replication")

    async def adisable_replication(self) -> list[Change]:
        """`disable_replication`, as a coroutine."""
        return await self._arun(replication.disable(self.config), "admin.disable_replication")

    def iam_policy(
        self,
        features: Sequence[Role] = ("runtime",),
        *,
        kms_key_id: str | None = None,
        replication_role: str | None = None,
        partition: str | None = None,
        whole_bucket: bool = False,
    ) -> dict[str, Any]:
        """Return the least-privilege IAM policy of some roles, for `json.dumps`. Sends nothing.

        - `runtime`: all of LangGraph's methods, and `setup()` of an existing bucket. Also signed URLs,
          exports, imports, batches and pruning, which send the same requests.
        - `read-only`: `get_tuple`, `list` and `get_delta_channel_history`, `usage`, exports.
        - `retention`: `runtime`, and old versions, unfinished uploads and archived objects: for purging
          threads and memories, undeleting, restoring and the search for orphans.
        - `administration`: the bucket and its settings, and no object in it: setting it up, versioning,
          lifecycle, replication. It may list the whole bucket, as HeadBucket can't be restricted to a prefix.

        - `memory`: all methods of `S3Store` and `S3Cache` but `setup()`, and the import of memories, below
          `PREFIX.store/` and `PREFIX.cache/` only: no thread can be read. `runtime` has all of it too.
        - `memory-read-only`: `get`, `search` and `list_namespaces` of `S3Store`, `get` of `S3Cache`, and the
          export of memories. A search writes no index then, and no time to live is refreshed.

        All but `administration` reach no object outside the prefix, and can't change the bucket.

        Args:
            features: The roles; several make one policy.
            kms_key_id: Key of the bucket's default encryption, by its ARN, ID or alias. Default: the saver's
                own `kms_key_id`.
            replication_role: The role that `enable_replication` passes to S3. Without it, the policy
                allows no role to be passed.
            partition: `aws`, `aws-cn`, `aws-us-gov`, … Default: that of the saver's `region`, or of the
                access point that `bucket` names.
            whole_bucket: Don't restrict listing to the prefix, and allow deletions on the bucket too. Ceph
                16 needs both: it answers 403 for an absent object if listing is restricted to a prefix,
                and checks a batch of deletions against the bucket first. All keys of the bucket can be
                listed then; objects outside the prefix stay out of reach, on Ceph and on AWS.

        Returns:
            A policy document. As a bucket policy, its statements need a `Principal` too.

        Raises:
            InvalidConfigError: There is no such role, or it doesn't fit the kind of `bucket`: an access
                point has no administration, and a directory bucket or an alias no policy of this kind.
        """
        return policies.iam_policy(
            self.config,
            features,
            kms_key_id=kms_key_id,
            replication_role=replication_role,
            partition=partition,
            whole_bucket=whole_bucket,
        )
