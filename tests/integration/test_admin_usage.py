"""Threads and what they take, on real servers."""

from __future__ import annotations

from tests.contract.fixtures import (
    driver,
    front,
    make_admin,
    make_calls,
    make_saver,
    one_loader,
    place,
    session_front,
)
from tests.contract.test_admin_usage import TestThreads, TestUsage

__all__ = [
    "TestThreads",
    "TestUsage",
    "driver",
    "front",
    "make_admin",
    "make_calls",
    "make_saver",
    "one_loader",
    "place",
    "session_front",
]
