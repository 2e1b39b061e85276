"""Batches on real servers."""

from __future__ import annotations

from tests.contract.admin.test_bulk import TestBatches

__all__ = ["TestBatches"]
