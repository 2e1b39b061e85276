"""A fake S3, and stores and caches on it, each as in a process of its own."""

from __future__ import annotations

from tests.plans.conftest import fake, mode, pytest_generate_tests, saver

__all__ = ["fake", "mode", "pytest_generate_tests", "saver"]
