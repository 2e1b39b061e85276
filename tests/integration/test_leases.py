"""Leases on real servers: stores differ in how they want an ETag quoted, and in whether they heed it."""

from __future__ import annotations

from pathlib import Path

from tests.contract.support import Place
from tests.contract.test_leases import TestLeases, skip_without_conditions, take_turns

__all__ = ["TestLeases"]


class TestProcesses:
    def test_eight_take_turns_while_a_fifth_of_the_requests_fails(self, place: Place, tmp_path: Path) -> None:
        skip_without_conditions(place)
        workers = ["mortal", *(f"worker-{number}" for number in range(8))]
        take_turns(place, tmp_path / "log", workers=workers, turns=2, rate=0.2)
