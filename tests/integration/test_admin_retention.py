"""Pruning, and removing what nobody needs, on real servers."""

from __future__ import annotations

from tests.contract.test_admin_retention import TestOrphans, TestPruning

__all__ = ["TestOrphans", "TestPruning"]
