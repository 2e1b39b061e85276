"""Threads as files, on real servers."""

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
from tests.contract.test_admin_moving import TestMoving, other_bucket

__all__ = [
    "TestMoving",
    "calls",
    "driver",
    "front",
    "make_admin",
    "make_calls",
    "make_saver",
    "one_loader",
    "other_bucket",
    "place",
    "session_front",
]
