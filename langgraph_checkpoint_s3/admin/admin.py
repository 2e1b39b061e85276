"""`S3Admin`, composed of one class for each subject."""

from __future__ import annotations

from langgraph_checkpoint_s3.admin.bucket.api import BucketSetup
from langgraph_checkpoint_s3.admin.bulk.api import Batches
from langgraph_checkpoint_s3.admin.changes.api import Following
from langgraph_checkpoint_s3.admin.check.api import Check
from langgraph_checkpoint_s3.admin.lifecycle.api import Lifecycle
from langgraph_checkpoint_s3.admin.memories.api import Memories
from langgraph_checkpoint_s3.admin.migration.api import Migration
from langgraph_checkpoint_s3.admin.pins.api import Pins
from langgraph_checkpoint_s3.admin.retention.api import Retention
from langgraph_checkpoint_s3.admin.signed_urls.api import Signing
from langgraph_checkpoint_s3.admin.transfer.api import Transfer
from langgraph_checkpoint_s3.admin.usage.api import Usage
from langgraph_checkpoint_s3.admin.versions.api import Versioning


class S3Admin(
    Versioning,
    Lifecycle,
    Signing,
    BucketSetup,
    Check,
    Batches,
    Usage,
    Following,
    Retention,
    Pins,
    Transfer,
    Migration,
    Memories,
):
    """Administers the bucket of a saver: versions, retention, signed URLs, set-up, batches, usage, moves.

        from langgraph_checkpoint_s3 import S3Saver
        from langgraph_checkpoint_s3.admin import S3Admin

        admin = S3Admin(S3Saver("my-bucket", prefix="agents/"))
        print(admin.check())

    Each operation `x` has an asyncio twin `ax`. They use the connections of the saver, and each docstring
    names the IAM actions that are needed. If the store doesn't support an operation, it raises
    `NotSupportedError` and changes nothing. Most operations that delete are dry runs by default.

    Args:
        saver: The saver, or the configuration of one, which is then created here and closed with the admin.
    """
