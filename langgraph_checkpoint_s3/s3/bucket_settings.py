"""A bucket's settings: for each, S3's operations, where its document is, and what "none" looks like.

S3 has three operations for each setting, and they differ in names alone. So there are three requests
(`GetSetting`, `PutSetting`, `DeleteSetting`), and this table says the rest. Documents are S3's own,
as botocore has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from langgraph_checkpoint_s3.s3.requests import Done, Request


@dataclass(frozen=True, slots=True)
class Setting:
    """One of a bucket's settings.

    Attributes:
        name: What to call it in messages.
        get: The operation that reads it.
        put: The operation that replaces it.
        delete: The operation that removes it; `None` where there is none.
        argument: The argument of `put` that takes the document.
        member: The member of `get`'s answer that is the document; `None` where the answer itself is.
        absent: The error codes that mean that there is none. Without one, "none" is an empty answer.
        read_action: The IAM action that `get` needs.
        write_action: The IAM action that `put` and `delete` need.
    """

    name: str
    get: str
    put: str
    delete: str | None
    argument: str
    member: str | None
    absent: frozenset[str]
    read_action: str
    write_action: str


LIFECYCLE: Final = Setting(
    "lifecycle configuration",
    "GetBucketLifecycleConfiguration",
    "PutBucketLifecycleConfiguration",
    "DeleteBucketLifecycle",
    "LifecycleConfiguration",
    None,
    frozenset({"NoSuchLifecycleConfiguration"}),
    "s3:GetLifecycleConfiguration",
    "s3:PutLifecycleConfiguration",
)
VERSIONING: Final = Setting(
    "versioning",
    "GetBucketVersioning",
    "PutBucketVersioning",
    None,
    "VersioningConfiguration",
    None,
    frozenset(),
    "s3:GetBucketVersioning",
    "s3:PutBucketVersioning",
)
ENCRYPTION: Final = Setting(
    "default encryption",
    "GetBucketEncryption",
    "PutBucketEncryption",
    "DeleteBucketEncryption",
    "ServerSideEncryptionConfiguration",
    "ServerSideEncryptionConfiguration",
    frozenset({"ServerSideEncryptionConfigurationNotFoundError"}),
    "s3:GetEncryptionConfiguration",
    "s3:PutEncryptionConfiguration",
)
PUBLIC_ACCESS: Final = Setting(
    "public access block",
    "GetPublicAccessBlock",
    "PutPublicAccessBlock",
    "DeletePublicAccessBlock",
    "PublicAccessBlockConfiguration",
    "PublicAccessBlockConfiguration",
    frozenset({"NoSuchPublicAccessBlockConfiguration"}),
    "s3:GetBucketPublicAccessBlock",
    "s3:PutBucketPublicAccessBlock",
)
POLICY: Final = Setting(
    "bucket policy",
    "GetBucketPolicy",
    "PutBucketPolicy",
    "DeleteBucketPolicy",
    "Policy",
    "Policy",
    frozenset({"NoSuchBucketPolicy"}),
    "s3:GetBucketPolicy",
    "s3:PutBucketPolicy",
)
METRICS: Final = Setting(
    "request metrics",
    "GetBucketMetricsConfiguration",
    "PutBucketMetricsConfiguration",
    "DeleteBucketMetricsConfiguration",
    "MetricsConfiguration",
    "MetricsConfiguration",
    frozenset({"NoSuchConfiguration"}),
    "s3:GetMetricsConfiguration",
    "s3:PutMetricsConfiguration",
)
ACCELERATION: Final = Setting(
    "transfer acceleration",
    "GetBucketAccelerateConfiguration",
    "PutBucketAccelerateConfiguration",
    None,
    "AccelerateConfiguration",
    None,
    frozenset(),
    "s3:GetAccelerateConfiguration",
    "s3:PutAccelerateConfiguration",
)
REPLICATION: Final = Setting(
    "replication",
    "GetBucketReplication",
    "PutBucketReplication",
    "DeleteBucketReplication",
    "ReplicationConfiguration",
    "ReplicationConfiguration",
    frozenset({"ReplicationConfigurationNotFoundError"}),
    "s3:GetReplicationConfiguration",
    "s3:PutReplicationConfiguration and iam:PassRole",
)
TIERING: Final = Setting(
    "Intelligent-Tiering configuration",
    "GetBucketIntelligentTieringConfiguration",
    "PutBucketIntelligentTieringConfiguration",
    "DeleteBucketIntelligentTieringConfiguration",
    "IntelligentTieringConfiguration",
    "IntelligentTieringConfiguration",
    frozenset({"NoSuchConfiguration"}),
    "s3:GetIntelligentTieringConfiguration",
    "s3:PutIntelligentTieringConfiguration",
)

ALL: Final = (
    LIFECYCLE,
    VERSIONING,
    ENCRYPTION,
    PUBLIC_ACCESS,
    POLICY,
    METRICS,
    ACCELERATION,
    REPLICATION,
    TIERING,
)


@dataclass(frozen=True, slots=True)
class GetSetting(Request["Any"]):
    """Read a setting: its document, or `None` where there is none.

    Attributes:
        setting: The setting.
        id: Which one, of those that a bucket may have several of (metrics, tiering).
    """

    setting: Setting
    id: str | None = None


@dataclass(frozen=True, slots=True)
class PutSetting(Request[Done]):
    """Replace a setting.

    Attributes:
        setting: The setting.
        document: Its new document.
        id: Which one, of those that a bucket may have several of.
        more: Further arguments of the operation.
    """

    setting: Setting
    document: Any
    id: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeleteSetting(Request[Done]):
    """Remove a setting. Only after a `GetSetting` that found one: some stores take it for DeleteBucket."""

    setting: Setting
    id: str | None = None
