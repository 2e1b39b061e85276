"""moto for the contract tests: one server a session, a fresh bucket a test."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config
from moto.s3.models import s3_backends

from tests.contract.fixtures import (
    calls,
    driver,
    front,
    make_admin,
    make_calls,
    make_saver,
    no_wait,
    place,
    released,
    run,
    session_front,
)
from tests.servers import Server, running

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = [
    "calls",
    "driver",
    "front",
    "make_admin",
    "make_calls",
    "make_saver",
    "no_wait",
    "place",
    "released",
    "run",
    "session_front",
]


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with running("moto", tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture(scope="session")
def s3_client(s3_server: Server) -> Iterator[S3Client]:
    client = boto3.session.Session().client(
        "s3",
        endpoint_url=s3_server.endpoint_url,
        region_name=s3_server.region,
        aws_access_key_id=s3_server.access_key,
        aws_secret_access_key=s3_server.secret_key,
        config=Config(s3={"addressing_style": "path"}),
    )
    yield client
    client.close()


@pytest.fixture
def bucket(s3_client: S3Client) -> Iterator[str]:
    name = f"test-{uuid.uuid4().hex[:12]}"
    s3_client.create_bucket(Bucket=name)
    yield name
    # moto takes a minute to delete 9,000 objects by request. A cancelled request may still arrive.
    s3_backends.bucket_accounts.pop(name, None)
    keys = s3_backends["123456789012"]["aws"].buckets.pop(name).keys
    for found in [version for key in list(keys) for version in keys.getlist(key)]:
        if hasattr(found, "dispose"):  # a delete marker holds nothing
            found.dispose()
