"""Batches on real servers."""

from __future__ import annotations

from tests.contract.admin.test_bulk import TestBatches, TestConcurrency, TestSavedStates

__all__ = ["TestBatches", "TestConcurrency", "TestSavedStates"]
