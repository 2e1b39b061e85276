"""An admin's operations on many checkpoints or threads at once."""

from __future__ import annotations

from langgraph_checkpoint_s3.admin.base import BaseAdmin


class Batches(BaseAdmin):
    """An admin's operations on many checkpoints or threads at once."""
