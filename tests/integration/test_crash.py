"""Workers that are killed with SIGKILL, on a store that outlives them.

make crash                               200 kills on Ceph
CRASHES=50 CRASH_SEED=7 make crash       fewer, and those of a seed again, as far as moments can come again
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.contract.support import Place
from tests.crash.sweep import sweep

CRASHES = int(os.environ.get("CRASHES", "12"))
SEED = int(os.environ.get("CRASH_SEED", "2026")) or random.randrange(1, 1 << 32)


def test_workers_killed_at_random_moments(place: Place, tmp_path: Path) -> None:
    if place.server.name not in ("ceph", "external"):
        pytest.skip("for a production store to show")
    print(f"CRASH_SEED={SEED}")  # pytest shows it with a failure
    report = sweep(place, tmp_path, kills=CRASHES, seed=SEED)
    print(report)
    assert report.kills >= CRASHES
    if CRASHES >= 50:
        assert report.settled > CRASHES / 2
        assert report.again
