"""`S3Admin`: everything that is done to a bucket beside running agents on it, room by room."""

from __future__ import annotations

from langgraph_checkpoint_s3.admin.bucket.api import BucketSetup
from langgraph_checkpoint_s3.admin.bulk.api import Batches
from langgraph_checkpoint_s3.admin.check.api import Doctor
from langgraph_checkpoint_s3.admin.lifecycle.api import Lifecycle
from langgraph_checkpoint_s3.admin.migration.api import Migration
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
    Doctor,
    Batches,
    Usage,
    Retention,
    Transfer,
    Migration,
):
    """Administers the bucket of a saver: versions, retention, signed URLs, set-up, batches, usage, moves.

        from langgraph_checkpoint_s3 import S3Saver
        from langgraph_checkpoint_s3.admin import S3Admin

        admin = S3Admin(S3Saver("my-bucket", prefix="agents/"))
        print(admin.check())

    Each operation `x` has a twin `ax` for asyncio, on the same plans and connections as the saver's
    own methods; each says which IAM actions it needs. What a store can't do is a
    `NotSupportedError`, and nothing was changed then. What deletes shows by default what it would delete.

    Args:
        saver: The saver, or the settings of one, which is then made here and closed with the admin.
    """
