"""Histories of a few processes on one bucket, request by request: what was acknowledged is there, and right.

`SIMULATIONS=10000 pytest tests/simulation` plays that many others, each time; `SIMULATION_SEED=7` plays
one again. `python -m tests.simulation` counts what many of them show, by kind.

What a history is made of is in `history.py`; what can go wrong on the way in `world.py`; what is demanded
in `oracle.py`. A store without conditions promises less: what was deleted may come back, and first writes
may be overwritten.

That the oracle notices is shown by breaking one thing at a time (`BROKEN`); `python -m tests.simulation
--broken "has no clock"` does it by hand. Or take a guard out of the package: without the rewriting of
borrowers before a deletion comes "acknowledged, and can't be read"; without `If-Match`, "deleted, and
there"; without first writes that stay, "the first write isn't kept".
"""

from __future__ import annotations

import os
import random

import pytest

from langgraph_checkpoint_s3.s3 import requests
from tests.simulation.bucket import BROKEN
from tests.simulation.history import History, play
from tests.simulation.schedule import SimulationError
from tests.support.sampling import sample

SEED = os.environ.get("SIMULATION_SEED")
SIMULATIONS = os.environ.get("SIMULATIONS")
BLOCK = 25
BLOCKS = 1 if SEED else -(-int(SIMULATIONS or 75) // BLOCK)
WAITING = {"keeps no notice", "waits for nobody", "has no clock"}
"""Faults that only matter to deletions that leave a notice."""
RARE = {
    "copies less": 12,
    "has no clock": 197,
    "has no conditions": 174,
    "keeps no notice": 24,
    "waits for nobody": 43,
}
"""Faults that few histories show, and the seed to begin with."""


@pytest.mark.parametrize("block", range(BLOCKS))
def test_whatever_happens_what_was_acknowledged_is_there(block: int) -> None:
    if SEED:
        seeds = [int(SEED)]
    elif SIMULATIONS:
        seeds = [random.randrange(1 << 40) for _ in range(BLOCK)]
    else:
        seeds = list(sample(range(block * BLOCK, (block + 1) * BLOCK), 15))
    for seed in seeds:
        play(seed)


@pytest.mark.parametrize("broken", BROKEN)
def test_the_oracle_notices(broken: str) -> None:
    if broken in WAITING and not hasattr(requests, "Sleep"):
        pytest.skip("no deletion waits")
    kinds = BROKEN[broken].split("|")
    first = RARE.get(broken, 0)
    for seed in range(first, first + 400):
        try:
            play(seed, broken=broken)
        except SimulationError as error:
            if any(error.kind.startswith(kind) for kind in kinds):
                return
    pytest.fail("nothing was noticed")


def test_a_history_is_the_same_each_time() -> None:
    seeds = [seed for seed in range(12) if not History(seed).sealed]  # nonces differ, and so do ETags
    for seed in seeds:
        first, second = report(seed), report(seed)
        assert first == second
        assert len(first.splitlines()) > 20


def report(seed: int) -> str:
    try:
        return play(seed).report()
    except SimulationError as error:
        return str(error)
