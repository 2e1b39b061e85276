"""An admin's check of the bucket, and the policies that its users need."""

from __future__ import annotations

from langgraph_checkpoint_s3.admin.base import BaseAdmin


class Doctor(BaseAdmin):
    """An admin's check of the bucket, and the policies that its users need."""
