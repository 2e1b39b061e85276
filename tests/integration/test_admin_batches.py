"""Batches on real servers."""

from __future__ import annotations

from tests.contract.test_admin_batches import TestBatches

__all__ = ["TestBatches"]
