"""Settings of a whole run: profiles of the property tests, and measures that keep many tests quick."""

from __future__ import annotations

import gc
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.quick_sdk import make_sessions_quick

APART = {"benchmarks", "browser", "integration", "langgraph_dev"}
"""Folders in which every test has the marker `integration`."""

# Enough examples to find something, in seconds. A busy machine is slow, no fault of the code: no deadline,
# and no complaint about slow data.
settings.register_profile(
    "suite", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")

make_sessions_quick()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Don't import what the default run would deselect: each worker would."""
    apart = collection_path.name in APART and collection_path.parent == Path(__file__).parent
    return True if apart and config.option.markexpr == "not integration" else None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep what is collected out of garbage collections: each would go through a million objects."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()
