"""A fake S3 and a saver on it, fresh for each test."""

from __future__ import annotations

import pytest

from langgraph_checkpoint_s3 import (
    S3Saver,
)
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver


@pytest.fixture
def fake() -> FakeS3:
    return FakeS3()


@pytest.fixture
def saver(fake: FakeS3) -> S3Saver:
    return make_saver(fake)
