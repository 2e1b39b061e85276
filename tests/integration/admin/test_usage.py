"""Threads and their storage on real servers."""

from __future__ import annotations

from tests.contract.admin.test_history import TestHistory
from tests.contract.admin.test_usage import TestThreads, TestUsage

__all__ = ["TestHistory", "TestThreads", "TestUsage"]
