"""Fixtures of the admin module's tests: those of the plans' tests, on the fake S3."""

from __future__ import annotations

from tests.plans.conftest import fake, mode, pytest_generate_tests, saver

__all__ = ["fake", "mode", "pytest_generate_tests", "saver"]
