"""Batches on real servers."""

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
from tests.contract.test_admin_batches import TestBatches

__all__ = [
    "TestBatches",
    "driver",
    "front",
    "make_admin",
    "make_calls",
    "make_saver",
    "one_loader",
    "place",
    "session_front",
]
