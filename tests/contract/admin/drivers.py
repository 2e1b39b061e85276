"""Marks for tests whose requests other tests of their class send by both drivers."""

from __future__ import annotations

import pytest

sync_only = pytest.mark.parametrize("driver", ["sync"])
async_only = pytest.mark.parametrize("driver", ["async"])
