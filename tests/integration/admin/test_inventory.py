"""Inventory reports that a test writes, on real servers: the contract's scenarios, as they are."""

from __future__ import annotations

from tests.contract.admin.test_inventory import TestInventory, reports

__all__ = ["TestInventory", "reports"]
