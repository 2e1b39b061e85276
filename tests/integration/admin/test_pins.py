"""Retention classes and pinned threads on real servers."""

from __future__ import annotations

from tests.contract.admin.test_pins import TestPins, TestStoresWithoutTags

__all__ = ["TestPins", "TestStoresWithoutTags"]
