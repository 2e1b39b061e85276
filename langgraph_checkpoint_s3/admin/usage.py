"""What an admin tells of threads: which there are, and what they take and cost."""

from __future__ import annotations

from langgraph_checkpoint_s3.admin.base import BaseAdmin


class Usage(BaseAdmin):
    """What an admin tells of threads: which there are, and what they take and cost."""
