"""Histories of the store and the node cache, request by request: what was acknowledged is found, and right.

`SIMULATIONS=10000 pytest tests/simulation/memory` plays that many others, each time; `SIMULATION_SEED=7`
plays one again. `tests/simulation/world.py` has what can go wrong on the way, `oracle.py` what is demanded.
"""

from __future__ import annotations

import os
import random
from typing import Any
from unittest import mock

import pytest

from langgraph_checkpoint_s3.memory.view import ItemCache, _State
from langgraph_checkpoint_s3.s3.requests import Entry
from tests.simulation.memory.history import MemoryHistory, play
from tests.simulation.schedule import SimulationError
from tests.support.sampling import sample

SEED = os.environ.get("SIMULATION_SEED")
SIMULATIONS = os.environ.get("SIMULATIONS")
BLOCK = 25
BLOCKS = 1 if SEED else -(-int(SIMULATIONS or 100) // BLOCK)


@pytest.mark.parametrize("block", range(BLOCKS))
def test_whatever_happens_what_was_acknowledged_is_found(block: int) -> None:
    if SEED:
        seeds = [int(SEED)]
    elif SIMULATIONS:
        seeds = [random.randrange(1 << 40) for _ in range(BLOCK)]
    else:
        seeds = list(sample(range(block * BLOCK, (block + 1) * BLOCK), 15))
    for seed in seeds:
        play(seed)


def _trusting(state: Any, entry: Entry) -> Any:
    return next((source[entry.key] for source in state._sources if entry.key in source), None)


def _remembering(cache: Any, rows: Any, state: object) -> None:
    for key, row in rows.items():
        cache._lru.keep(key, row, row.record.size)


@pytest.mark.parametrize(
    ("broken", "kinds", "first"),
    [
        ("loses PUTs", ["acknowledged and gone", "replaced, deleted or expired"], 0),
        ("deletes nothing", ["replaced, deleted or expired", "a namespace of deleted"], 0),
        ("lists less", ["acknowledged and gone", "a namespace is missing"], 0),
        ("has no conditions", ["an update was lost", "replaced, deleted or expired"], 26),
        (mock.patch.object(_State, "known", _trusting), ["replaced, deleted or expired"], 0),
        (mock.patch.object(ItemCache, "add_read", _remembering), ["replaced, deleted or expired"], 66),
    ],
)
def test_the_oracle_notices(broken: Any, kinds: list[str], first: int) -> None:
    """A bucket that does something wrong, or the store or cache without one of its guards.

    What few histories show is looked for from the first of those on.
    """
    for seed in range(first, first + 400):
        try:
            if isinstance(broken, str):
                play(seed, broken)
            else:
                with broken:
                    play(seed)
        except SimulationError as error:
            if any(error.kind.startswith(kind) for kind in kinds):
                return
    pytest.fail("nothing was noticed")


def test_a_history_is_the_same_each_time() -> None:
    for seed in [seed for seed in range(20) if not MemoryHistory(seed).sealed][:5]:
        # Tokens of conditional puts are random, and so are the ETags of what has them.
        first, second = ([line.split()[:4] for line in play(seed).report().splitlines()] for _ in range(2))
        assert first == second
        assert len(first) > 10
