"""Pruning and orphan removal on real servers."""

from __future__ import annotations

from tests.contract.admin.test_retention import TestOrphans, TestPruning

__all__ = ["TestOrphans", "TestPruning"]
