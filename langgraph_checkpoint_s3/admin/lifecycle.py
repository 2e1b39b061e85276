"""An admin's operations on lifecycle policies and archived threads."""

from __future__ import annotations

from langgraph_checkpoint_s3.admin.base import BaseAdmin


class Lifecycle(BaseAdmin):
    """An admin's operations on lifecycle policies and archived threads."""
