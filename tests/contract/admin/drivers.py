"""Marks for tests whose requests other tests of their class send by both drivers."""

from __future__ import annotations

import pytest

from tests.support.sampling import is_exhaustive

sync_only = pytest.mark.parametrize("driver", ["sync"])
async_only = pytest.mark.parametrize("driver", ["async"])

# Both of them where everything is played.
_BOTH = ["sync", "async"] if is_exhaustive() else []
sync_mostly = pytest.mark.parametrize("driver", _BOTH or ["sync"])
async_mostly = pytest.mark.parametrize("driver", _BOTH or ["async"])
