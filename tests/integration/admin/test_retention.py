"""Pruning and orphan removal on real servers."""

from __future__ import annotations

from tests.contract.admin.test_retention import TestIdleThreads, TestOrphans, TestPruning

__all__ = ["TestIdleThreads", "TestOrphans", "TestPruning"]
