"""An admin's operations that delete what is old or was abandoned."""

from __future__ import annotations

from langgraph_checkpoint_s3.admin.base import BaseAdmin


class Retention(BaseAdmin):
    """An admin's operations that delete what is old or was abandoned."""
