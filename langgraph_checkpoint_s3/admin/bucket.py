"""An admin's operations that set the bucket up."""

from __future__ import annotations

from langgraph_checkpoint_s3.admin.base import BaseAdmin


class BucketSetup(BaseAdmin):
    """An admin's operations that set the bucket up."""
