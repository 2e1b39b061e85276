"""An admin's signed URLs."""

from __future__ import annotations

from langgraph_checkpoint_s3.admin.base import BaseAdmin


class Signing(BaseAdmin):
    """An admin's signed URLs."""
