"""Lifecycle policies and archived threads on real servers."""

from __future__ import annotations

from tests.contract.admin.test_lifecycle import TestLifecyclePolicies, TestRestoring

__all__ = ["TestLifecyclePolicies", "TestRestoring"]
