"""Fixtures of the admin module's tests: those of the plans' tests, and the contract's, on the fake S3."""

from __future__ import annotations

from typing import cast

import pytest

from tests.contract.fixtures import driver, make_admin, make_calls
from tests.contract.support import MakeSaver
from tests.plans.conftest import fake, mode, pytest_generate_tests, saver
from tests.support.fake_place import FakeFront, FakePlace, fake_place
from tests.support.fake_s3 import FakeS3

__all__ = [
    "driver",
    "fake",
    "front",
    "make_admin",
    "make_calls",
    "make_saver",
    "mode",
    "place",
    "pytest_generate_tests",
    "saver",
]


@pytest.fixture
def place(fake: FakeS3) -> FakePlace:
    """The fake's bucket, as the contract's tests see a server's."""
    return fake_place(fake)


@pytest.fixture
def front(place: FakePlace) -> FakeFront:
    return cast("FakeFront", place.front)


@pytest.fixture
def make_saver(place: FakePlace) -> MakeSaver:
    """Makes savers on the fake's buckets."""
    return place.saver
