"""Two processes on one thread, on real servers."""

from __future__ import annotations

from tests.contract.test_forks import TestForks

__all__ = ["TestForks"]
