"""The drivers of a saver's requests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.s3.rest.scripted import Driver


@pytest.fixture(params=["sync", "async"])
def driver(request: pytest.FixtureRequest) -> Iterator[Driver]:
    made = Driver(request.param)
    yield made
    made.end()
