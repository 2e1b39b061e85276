"""Export and import of threads on real servers."""

from __future__ import annotations

from tests.contract.admin.test_transfer import TestMoving, other_bucket

__all__ = ["TestMoving", "other_bucket"]
