"""The examples' bucket, on the local server."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest

from langgraph_checkpoint_s3.testing import LocalS3, local_s3


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalS3]:
    with local_s3(tmp_path_factory.mktemp("s3"), buckets=["checkpoints"]) as running:
        yield running


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the developer's own settings for AWS."""
    for name in os.environ:
        if name.startswith(("AWS_", "S3_", "BOOKINGS_", "LANGSMITH_", "LANGCHAIN_")):
            monkeypatch.delenv(name)


@pytest.fixture
def bucket(server: LocalS3, clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket in the environment, with a prefix of the test's own."""
    variables = {"S3_BUCKET_NAME": "checkpoints", "S3_KEY_PREFIX": f"{uuid.uuid4().hex}/"}
    for name, value in (server.environment() | variables).items():
        monkeypatch.setenv(name, value)
