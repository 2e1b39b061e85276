"""Threads as files, on real servers."""

from __future__ import annotations

from tests.contract.test_admin_moving import TestMoving, other_bucket

__all__ = ["TestMoving", "other_bucket"]
