"""Lifecycle policies and archived threads on real servers."""

from __future__ import annotations

from tests.contract.fixtures import (
    calls,
    driver,
    front,
    make_admin,
    make_calls,
    make_saver,
    one_loader,
    place,
    session_front,
)
from tests.contract.test_admin_lifecycle import TestLifecyclePolicies, TestRestoring

__all__ = [
    "TestLifecyclePolicies",
    "TestRestoring",
    "calls",
    "driver",
    "front",
    "make_admin",
    "make_calls",
    "make_saver",
    "one_loader",
    "place",
    "session_front",
]
