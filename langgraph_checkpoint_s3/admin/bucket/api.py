"""An admin's operations that set the bucket up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from langgraph_checkpoint_s3.admin.base import BaseAdmin
from langgraph_checkpoint_s3.admin.bucket import configure, iam, replication
from langgraph_checkpoint_s3.admin.bucket.desired_state import (
    BucketSettings,
    Encryption,
    IntelligentTieringArchive,
)
from langgraph_checkpoint_s3.admin.bucket.iam import Role
from langgraph_checkpoint_s3.admin.bucket.replication import Replica
from langgraph_checkpoint_s3.admin.setting_changes import Change
from langgraph_checkpoint_s3.validation import is_aws


class BucketSetup(BaseAdmin):
    """An admin's operations that set the bucket up."""

    def configure_bucket(
        self,
        *,
        encryption: Encryption | None = "auto",
        kms_key_id: str | None = None,
        bucket_key: bool = True,
        block_public_access: bool | Literal["auto"] | None = "auto",
        tls_only: bool | Literal["auto"] | None = "auto",
        abort_incomplete_uploads_days: int | None = 7,
        request_metrics: bool | None = None,
        accelerate: bool | None = None,
        intelligent_tiering: IntelligentTieringArchive | Literal[False] | None = None,
    ) -> list[Change]:
        """Set up a bucket that is there: encryption, public access, TLS, clean-up, metrics, tiers.

        Every setting that is asked for is read first, all at once; what is so already isn't written, so that
        a second call changes nothing. For each of them `None` leaves the bucket as it is, `True` (or a value)
        sets it, and `False` takes away what this package had set. Whatever others have set beside it stays.

        Reading and writing take the IAM actions `s3:Get…` and `s3:Put…` of each setting that is asked for:
        `EncryptionConfiguration`, `BucketPublicAccessBlock`, `BucketPolicy`, `LifecycleConfiguration`,
        `MetricsConfiguration`, `AccelerateConfiguration`, `IntelligentTieringConfiguration`.
        `iam_policy(("administration",))` has them all.

        Args:
            encryption: How S3 encrypts objects that say nothing of it. `auto` is `AES256` where the bucket
                has no default yet, and otherwise leaves the default that there is. `AES256`, `aws:kms` or
                `aws:kms:dsse` make it so. What a saver says itself (`server_side_encryption`; nothing, by
                default) wins over it. It is about new objects: those that are there stay as they are.
            kms_key_id: The key for `aws:kms` and `aws:kms:dsse`, best by its ARN. Default: the account's
                `aws/s3`.
            bucket_key: With `aws:kms`, whether an S3 Bucket Key spares most requests to KMS
                (https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-key.html).
            block_public_access: Block public ACLs and policies, old and new. `auto` does so on AWS.
                Elsewhere, try it first: with it, Ceph 16 refuses every `put`, the owner's too. It is never
                taken away from here.
            tls_only: Add a statement to the bucket's policy that refuses plain HTTP to everybody. It is the
                whole bucket's, and savers that share the bucket share it. `auto` does so where this client
                itself uses https.
            abort_incomplete_uploads_days: Days after which S3 throws away what a crash in the middle of a
                large `put` left of its upload. It is a lifecycle rule of the prefix; other rules are kept.
            request_metrics: Publish the prefix's requests to CloudWatch, by the minute, under the filter id
                `langgraph-checkpoint-s3.…`. CloudWatch bills them
                (https://docs.aws.amazon.com/AmazonS3/latest/userguide/metrics-configurations.html).
            accelerate: Turn Transfer Acceleration on or off, for clients far from the region. A saver uses it
                with `use_accelerate=True`. Each gigabyte costs extra, and the bucket's name may have no dots.
            intelligent_tiering: When the class `INTELLIGENT_TIERING` may archive what nobody reads, for
                objects below the prefix.

        Returns:
            What was changed, with S3's documents before and after; nothing if all was so already.

        Raises:
            InvalidConfigError: A setting can't be; among them `tls_only=True` through an http:// endpoint,
                which would lock this client out. Nothing was written.
            NotSupportedError: The store doesn't know some of the settings. The message names them all, and
                what to pass to do without. Nothing was written.
            AccessDeniedError: Permissions are missing; the message names them. Where a later setting was
                refused, it says which ones had been changed before.
            BucketNotFoundError: There is no bucket; see `create_bucket`.
        """
        wanted = BucketSettings(
            encryption,
            kms_key_id,
            bucket_key,
            block_public_access,
            tls_only,
            abort_incomplete_uploads_days,
            request_metrics,
            accelerate,
            intelligent_tiering,
        )
        return self._run(configure.configure(self.config, wanted, is_aws))

    async def aconfigure_bucket(
        self,
        *,
        encryption: Encryption | None = "auto",
        kms_key_id: str | None = None,
        bucket_key: bool = True,
        block_public_access: bool | Literal["auto"] | None = "auto",
        tls_only: bool | Literal["auto"] | None = "auto",
        abort_incomplete_uploads_days: int | None = 7,
        request_metrics: bool | None = None,
        accelerate: bool | None = None,
        intelligent_tiering: IntelligentTieringArchive | Literal[False] | None = None,
    ) -> list[Change]:
        """`configure_bucket`, as a coroutine."""
        wanted = BucketSettings(
            encryption,
            kms_key_id,
            bucket_key,
            block_public_access,
            tls_only,
            abort_incomplete_uploads_days,
            request_metrics,
            accelerate,
            intelligent_tiering,
        )
        return await self._arun(configure.configure(self.config, wanted, is_aws))

    def create_bucket(
        self,
        *,
        encryption: Encryption | None = "auto",
        kms_key_id: str | None = None,
        bucket_key: bool = True,
        block_public_access: bool | Literal["auto"] | None = "auto",
        tls_only: bool | Literal["auto"] | None = "auto",
        abort_incomplete_uploads_days: int | None = 7,
        request_metrics: bool | None = None,
        accelerate: bool | None = None,
        intelligent_tiering: IntelligentTieringArchive | Literal[False] | None = None,
    ) -> list[Change]:
        """Create the bucket in the saver's region if there is none, and set it up as `configure_bucket` does.

        Needs the IAM actions `s3:ListBucket` and `s3:CreateBucket` besides those of `configure_bucket`.

        Args:
            encryption: As for `configure_bucket`, and so are all others.
            kms_key_id: The key.
            bucket_key: Whether it is used through an S3 Bucket Key.
            block_public_access: Block public ACLs and policies.
            tls_only: Refuse plain HTTP.
            abort_incomplete_uploads_days: Days until unfinished uploads are thrown away.
            request_metrics: Publish request metrics.
            accelerate: Transfer Acceleration.
            intelligent_tiering: Intelligent-Tiering's archive tiers.

        Returns:
            What was changed. A bucket that was made is the change `bucket` from `None` to its name.

        Raises:
            BucketNotFoundError: The name is taken by another account.
            InvalidConfigError: As for `configure_bucket`; the bucket may have been made, and the message says
                so.
            NotSupportedError: The same.
            AccessDeniedError: The same.
        """
        wanted = BucketSettings(
            encryption,
            kms_key_id,
            bucket_key,
            block_public_access,
            tls_only,
            abort_incomplete_uploads_days,
            request_metrics,
            accelerate,
            intelligent_tiering,
        )
        return self._run(configure.create(self.config, wanted, is_aws))

    async def acreate_bucket(
        self,
        *,
        encryption: Encryption | None = "auto",
        kms_key_id: str | None = None,
        bucket_key: bool = True,
        block_public_access: bool | Literal["auto"] | None = "auto",
        tls_only: bool | Literal["auto"] | None = "auto",
        abort_incomplete_uploads_days: int | None = 7,
        request_metrics: bool | None = None,
        accelerate: bool | None = None,
        intelligent_tiering: IntelligentTieringArchive | Literal[False] | None = None,
    ) -> list[Change]:
        """`create_bucket`, as a coroutine."""
        wanted = BucketSettings(
            encryption,
            kms_key_id,
            bucket_key,
            block_public_access,
            tls_only,
            abort_incomplete_uploads_days,
            request_metrics,
            accelerate,
            intelligent_tiering,
        )
        return await self._arun(configure.create(self.config, wanted, is_aws))

    def enable_replication(
        self,
        destination: str,
        role: str,
        *,
        storage_class: str | None = None,
        delete_markers: bool = False,
        priority: int | None = None,
        replica_kms_key_id: str | None = None,
    ) -> list[Change]:
        """Have S3 copy what is written below the prefix from now on to another bucket, as it is written.

        Both buckets have to keep versions; this one is checked. The rule is named by the prefix, and the
        rules of others are kept.

        What it doesn't do: objects that are there already aren't copied (S3 Batch Replication does that), and
        a new checkpoint may borrow from one of them for as long as `borrow_horizon` (a day) says: until
        then, or until the old ones were copied too, a replica can be unreadable. Copies arrive within
        minutes as a rule, in no order. Versions that are deleted for good here stay there: who has the right
        to be forgotten has to be forgotten in both buckets. See
        https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-what-is-isnot-replicated.html

        Needs the IAM actions `s3:GetReplicationConfiguration`, `s3:PutReplicationConfiguration`,
        `s3:GetBucketVersioning`, `iam:PassRole` for the role, and `s3:GetEncryptionConfiguration`
        unless `server_side_encryption` names an encryption.

        Args:
            destination: The other bucket, by its name or ARN, in any region.
            role: The ARN of the role that S3 takes on for it, such as
                `arn:aws:iam::123456789012:role/replication`
                (https://docs.aws.amazon.com/AmazonS3/latest/userguide/setting-repl-config-perm-overview.html).
                All rules of a bucket share one.
            storage_class: Of the copies, such as `STANDARD_IA`. Default: as here. In `GLACIER` and
                `DEEP_ARCHIVE` they can't be read until they are restored.
            delete_markers: Whether what is deleted here is deleted there, too. By default it stays there.
            priority: Which rule counts where several apply to an object; higher ones win. Default: above all
                others, and as it is once it is set.
            replica_kms_key_id: The ARN of a key in the destination's region, for the copies of objects that
                are encrypted with KMS. S3 leaves such objects out without it.

        Returns:
            What was changed; nothing if all was so already.

        Raises:
            InvalidConfigError: Versioning is off, objects are encrypted with KMS and there is no
                `replica_kms_key_id`, or the rules that are there don't go with this one. Nothing was written.
            NotSupportedError: The store doesn't replicate.
            AccessDeniedError: An action is missing.
        """
        replica = Replica(destination, role, storage_class, delete_markers, priority, replica_kms_key_id)
        return self._run(replication.enable(self.config, replica))

    async def aenable_replication(
        self,
        destination: str,
        role: str,
        *,
        storage_class: str | None = None,
        delete_markers: bool = False,
        priority: int | None = None,
        replica_kms_key_id: str | None = None,
    ) -> list[Change]:
        """`enable_replication`, as a coroutine."""
        replica = Replica(destination, role, storage_class, delete_markers, priority, replica_kms_key_id)
        return await self._arun(replication.enable(self.config, replica))

    def disable_replication(self) -> list[Change]:
        """Copy no more of what is written below the prefix. Copies stay, and so do the rules of others.

        Needs the IAM actions `s3:GetReplicationConfiguration` and `s3:PutReplicationConfiguration`, and
        `iam:PassRole` if other rules are there.

        Returns:
            What was changed; nothing if there was no rule of this prefix.

        Raises:
            NotSupportedError: The store doesn't replicate.
            AccessDeniedError: An action is missing.
        """
        return self._run(replication.disable(self.config))

    async def adisable_replication(self) -> list[Change]:
        """`disable_replication`, as a coroutine."""
        return await self._arun(replication.disable(self.config))

    def iam_policy(
        self,
        features: Sequence[Role] = ("runtime",),
        *,
        kms_key_id: str | None = None,
        replication_role: str | None = None,
        partition: str | None = None,
        whole_bucket: bool = False,
    ) -> dict[str, Any]:
        """The IAM policy with the least that credentials need, for `json.dumps`.

        Nothing is sent for it, and so it has no twin.

        - `runtime`: what a saver does: all of LangGraph's methods, and `setup()` of a bucket that is there.
          Also signed URLs, exports, imports, batches and pruning, which are made of the same requests.
        - `read-only`: `get_tuple`, `list` and `get_delta_channel_history`, `usage`, exports.
        - `retention`: `runtime`, and old versions, unfinished uploads and archived objects: what purging,
          undeleting, restoring and the search for orphans take.
        - `administration`: the bucket itself and its settings, and no object in it: setting it up,
          versioning, lifecycle, replication. It may list the bucket beyond the prefix, as HeadBucket can't be
          narrowed to one.

        The first three reach no object outside of the prefix, and change nothing of the bucket.

        Args:
            features: The roles; several make one policy for all of them.
            kms_key_id: A key that the bucket's default encryption uses, by its ARN, id or alias. Default: the
                saver's own `kms_key_id`.
            replication_role: The role that `enable_replication` is to pass to S3. Without it, the policy
                doesn't allow to pass any.
            partition: `aws`, `aws-cn`, `aws-us-gov`, … Default: the one of the saver's `region`, or of the
                access point that `bucket` names.
            whole_bucket: Don't narrow listing to the prefix, and allow deletions on the bucket besides. Ceph
                16 needs both: it says 403 of an absent object to who may list below a prefix only, and holds
                a batch of deletions against the bucket before it looks at the objects. All keys of the bucket
                can be seen then; objects outside of the prefix stay out of reach, on Ceph and on AWS.

        Returns:
            A policy document. As a bucket policy, its statements need a `Principal` besides.

        Raises:
            InvalidConfigError: There is no such role, or it doesn't go with what `bucket` names: an access
                point has no administration, and a directory bucket or an alias no policy of this kind.
        """
        return iam.iam_policy(
            self.config,
            features,
            kms_key_id=kms_key_id,
            replication_role=replication_role,
            partition=partition,
            whole_bucket=whole_bucket,
        )
