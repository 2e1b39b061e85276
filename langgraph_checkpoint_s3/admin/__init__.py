"""For those who run the bucket: versions, retention, signed URLs, set-up, batches, usage, moves.

    from langgraph_checkpoint_s3.admin import S3Admin

    admin = S3Admin(saver)

`admin.py` puts `S3Admin` together from one file a subject, each of which names its plans in `plans/`.
"""

from langgraph_checkpoint_s3.admin.admin import S3Admin
from langgraph_checkpoint_s3.admin.describing import Description, describe
from langgraph_checkpoint_s3.admin.download import aload_signed_url, load_signed_url
from langgraph_checkpoint_s3.admin.plans.archive import RestoreStatus
from langgraph_checkpoint_s3.admin.plans.batches import BatchResult
from langgraph_checkpoint_s3.admin.plans.change import Change
from langgraph_checkpoint_s3.admin.plans.findings import CheckReport, Finding
from langgraph_checkpoint_s3.admin.plans.history import History, HistoryEntry
from langgraph_checkpoint_s3.admin.plans.lifecycle_policy import LifecyclePolicy, LifecycleWarning
from langgraph_checkpoint_s3.admin.plans.migration import Failure, Migrated, MigrationError
from langgraph_checkpoint_s3.admin.plans.moving import Exported, Imported
from langgraph_checkpoint_s3.admin.plans.orphans import Orphan, Orphans
from langgraph_checkpoint_s3.admin.plans.purge import Purged
from langgraph_checkpoint_s3.admin.plans.retention import Pruned, Victim
from langgraph_checkpoint_s3.admin.plans.signing import SignedUpload
from langgraph_checkpoint_s3.admin.plans.undelete import Undeleted
from langgraph_checkpoint_s3.admin.plans.usage import CheckpointSize, ClassUsage, Prices, UsageReport
from langgraph_checkpoint_s3.admin.plans.versions import CheckpointVersion
from langgraph_checkpoint_s3.admin.plans.wanted import IntelligentTieringArchive
from langgraph_checkpoint_s3.admin.portable import dumps, loads
from langgraph_checkpoint_s3.admin.signing import SignedUrlWarning

__all__ = [
    "BatchResult",
    "Change",
    "CheckReport",
    "CheckpointSize",
    "CheckpointVersion",
    "ClassUsage",
    "Description",
    "Exported",
    "Failure",
    "Finding",
    "History",
    "HistoryEntry",
    "Imported",
    "IntelligentTieringArchive",
    "LifecyclePolicy",
    "LifecycleWarning",
    "Migrated",
    "MigrationError",
    "Orphan",
    "Orphans",
    "Prices",
    "Pruned",
    "Purged",
    "RestoreStatus",
    "S3Admin",
    "SignedUpload",
    "SignedUrlWarning",
    "Undeleted",
    "UsageReport",
    "Victim",
    "aload_signed_url",
    "describe",
    "dumps",
    "load_signed_url",
    "loads",
]
