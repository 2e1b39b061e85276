"""Bucket administration: versions, retention, signed URLs, set-up, batches, usage, moves.

    from langgraph_checkpoint_s3.admin import S3Admin

    admin = S3Admin(saver)

Each subject has a folder, with its public methods in `api.py` beside the plans that they run.
"""

from langgraph_checkpoint_s3.admin.admin import S3Admin
from langgraph_checkpoint_s3.admin.bucket.configure import IntelligentTieringArchive
from langgraph_checkpoint_s3.admin.bulk.batches import BatchResult
from langgraph_checkpoint_s3.admin.changes.changes import Changes, WrittenObject
from langgraph_checkpoint_s3.admin.check.report import CheckReport, Finding
from langgraph_checkpoint_s3.admin.lifecycle.archive import RestoreStatus
from langgraph_checkpoint_s3.admin.lifecycle.policy import LifecyclePolicy, LifecycleWarning
from langgraph_checkpoint_s3.admin.migration.migrate import Migrated, MigrationError, MigrationFailure
from langgraph_checkpoint_s3.admin.retention.idle import IdleThread, PrunedIdle
from langgraph_checkpoint_s3.admin.retention.orphans import Orphan, Orphans
from langgraph_checkpoint_s3.admin.retention.policy import RetentionPolicy
from langgraph_checkpoint_s3.admin.retention.prune import Pruned, PrunedCheckpoint
from langgraph_checkpoint_s3.admin.setting_changes import Change
from langgraph_checkpoint_s3.admin.signed_urls.api import SignedUrlWarning
from langgraph_checkpoint_s3.admin.signed_urls.download import (
    aload_signed_url,
    fetch_signed_url,
    load_signed_url,
)
from langgraph_checkpoint_s3.admin.signed_urls.signing import SignedUpload
from langgraph_checkpoint_s3.admin.transfer.dumps import (
    Description,
    KeyDescription,
    describe,
    describe_key,
    dumps,
    loads,
)
from langgraph_checkpoint_s3.admin.transfer.export_import import Exported, Imported
from langgraph_checkpoint_s3.admin.usage.history import History, HistoryEntry
from langgraph_checkpoint_s3.admin.usage.resume_point import ResumePoint
from langgraph_checkpoint_s3.admin.usage.steps import StepSummary
from langgraph_checkpoint_s3.admin.usage.usage import CheckpointSize, ClassUsage, Prices, UsageReport
from langgraph_checkpoint_s3.admin.versions.purge import Purged
from langgraph_checkpoint_s3.admin.versions.receipt import PurgedObject, PurgeReceipt
from langgraph_checkpoint_s3.admin.versions.restore import Undeleted
from langgraph_checkpoint_s3.admin.versions.versions import CheckpointVersion
from langgraph_checkpoint_s3.plans.pins import Pinned

__all__ = [
    "BatchResult",
    "Change",
    "Changes",
    "CheckReport",
    "CheckpointSize",
    "CheckpointVersion",
    "ClassUsage",
    "Description",
    "Exported",
    "Finding",
    "History",
    "HistoryEntry",
    "IdleThread",
    "Imported",
    "IntelligentTieringArchive",
    "KeyDescription",
    "LifecyclePolicy",
    "LifecycleWarning",
    "Migrated",
    "MigrationError",
    "MigrationFailure",
    "Orphan",
    "Orphans",
    "Pinned",
    "Prices",
    "Pruned",
    "PrunedCheckpoint",
    "PrunedIdle",
    "PurgeReceipt",
    "Purged",
    "PurgedObject",
    "RestoreStatus",
    "ResumePoint",
    "RetentionPolicy",
    "S3Admin",
    "SignedUpload",
    "SignedUrlWarning",
    "StepSummary",
    "Undeleted",
    "UsageReport",
    "WrittenObject",
    "aload_signed_url",
    "describe",
    "describe_key",
    "dumps",
    "fetch_signed_url",
    "load_signed_url",
    "loads",
]
