"""Pruning, and removing what nobody needs, on real servers."""

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
from tests.contract.test_admin_retention import TestOrphans, TestPruning

__all__ = [
    "TestOrphans",
    "TestPruning",
    "driver",
    "front",
    "make_admin",
    "make_calls",
    "make_saver",
    "one_loader",
    "place",
    "session_front",
]
