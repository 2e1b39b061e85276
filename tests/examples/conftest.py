"""Where the examples of these tests find their bucket: rclone, or moto where conditions have to be heeded."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.testing import LocalS3, local_s3
from tests.servers import moto_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalS3]:
    with local_s3(tmp_path_factory.mktemp("s3"), buckets=["checkpoints"]) as running:
        yield running


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """The URL of moto's server."""
    with moto_server.running(Path()) as running:
        yield running.endpoint_url


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the developer has set for AWS is no concern of these tests."""
    for name in os.environ:
        if name.startswith(("AWS_", "S3_", "BOOKINGS_", "LANGSMITH_", "LANGCHAIN_")):
            monkeypatch.delenv(name)


@pytest.fixture
def on_moto(endpoint: str, clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket of moto's in the environment, with a prefix of the test's own."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "S3_ENDPOINT_URL": endpoint,
        "S3_BUCKET_NAME": "checkpoints",
        "S3_KEY_PREFIX": f"{uuid.uuid4().hex}/",
    }.items():
        monkeypatch.setenv(name, value)
    with S3Saver.from_env() as saver:
        saver.setup()
