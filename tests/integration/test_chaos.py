"""One request in five goes wrong, on real servers."""

from __future__ import annotations

from tests.contract.test_chaos import test_nothing_is_lost_or_doubled_and_what_is_deleted_stays_so

__all__ = ["test_nothing_is_lost_or_doubled_and_what_is_deleted_stays_so"]
