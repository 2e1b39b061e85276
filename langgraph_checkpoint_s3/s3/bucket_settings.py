"""A bucket's settings: S3's operations of each, where its document is, and how S3 answers if it is absent.

S3 has three operations for each setting, which differ in their names only. So there are three requests
(`GetSetting`, `PutSetting`, `DeleteSetting`), and a table of `Setting`s. Documents are S3's own, in
botocore's form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, ClassVar, Final

from langgraph_checkpoint_s3.s3.requests import Done, Record, Request


@dataclass(slots=True, eq=False, repr=False)
class Setting(Record):
    """One of a bucket's settings.

    Attributes:
        name: Its name in messages.
        get: The operation that reads it.
        put: The operation that replaces it.
        delete: The operation that removes it; `None` where there is none.
        argument: The argument of `put` that takes the document.
        member: The member of `get`'s answer that is the document; `None` where the answer itself is.
        absent: The error codes that mean that there is none; if empty, an empty answer means it.
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


@dataclass(slots=True, eq=False, repr=False)
class GetSetting(Request["Any"]):
    """Read a setting: its document, or `None` where there is none.

    Attributes:
        setting: The setting.
        id: Its id, for settings that a bucket may have several of (metrics, tiering).
    """

    # Properties, since they depend on the setting.
    operation: ClassVar[Any] = property(attrgetter("setting.get"))
    action: ClassVar[Any] = property(attrgetter("setting.read_action"))

    setting: Setting
    id: str | None = None


@dataclass(slots=True, eq=False, repr=False)
class PutSetting(Request[Done]):
    """Replace a setting.

    Attributes:
        setting: The setting.
        document: Its new document.
        id: Its id, for settings that a bucket may have several of.
        more: Further arguments of the operation.
    """

    operation: ClassVar[Any] = property(attrgetter("setting.put"))
    action: ClassVar[Any] = property(attrgetter("setting.write_action"))

    setting: Setting
    document: Any
    id: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True, eq=False, repr=False)
class DeleteSetting(Request[Done]):
    """Remove a setting. Only after a `GetSetting` that found one: some stores take it for DeleteBucket."""

    operation: ClassVar[Any] = property(attrgetter("setting.delete"))
    action: ClassVar[Any] = property(attrgetter("setting.write_action"))

    setting: Setting
    id: str | None = None
