"""Marks for tests whose requests other tests of their class send by both drivers."""

from __future__ import annotations

import time

import pytest

sync_only = pytest.mark.parametrize("driver", ["sync"])
async_only = pytest.mark.parametrize("driver", ["async"])


def wait_for_next_second() -> None:
    """Return in the next second of the clock: stores tell the time of objects in whole seconds."""
    time.sleep(1.01 - time.time() % 1)
