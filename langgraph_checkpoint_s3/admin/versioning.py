"""An admin's operations on versions of checkpoints and deleted threads."""

from __future__ import annotations

from langgraph_checkpoint_s3.admin.base import BaseAdmin


class Versioning(BaseAdmin):
    """An admin's operations on versions of checkpoints and deleted threads."""
