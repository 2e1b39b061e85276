"""An admin's operations that move threads between buckets and savers."""

from __future__ import annotations

from langgraph_checkpoint_s3.admin.base import BaseAdmin


class Moving(BaseAdmin):
    """An admin's operations that move threads between buckets and savers."""
