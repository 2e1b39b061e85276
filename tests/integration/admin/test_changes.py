"""Following what is written, on real servers."""

from __future__ import annotations

from tests.contract.admin.test_changes import TestChanges

__all__ = ["TestChanges"]
