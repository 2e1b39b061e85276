"""S3 servers, buckets and clients for the integration tests.

Every test that asks for `s3_server` runs once on each server: one after the other, or with
`-n 3 --dist loadgroup` side by side. One that can't be installed here is skipped with the reason, unless
`S3_TEST_REQUIRE` (a comma list, such as `rclone,ceph`) names it: then its tests fail. With
`S3_TEST_ENDPOINT` or `S3_ENDPOINT_URL` set, only that store is tested.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.fixtures import (
    calls,
    driver,
    front,
    make_admin,
    make_calls,
    make_saver,
    no_wait,
    place,
    session_front,
)
from tests.servers import Server, Unavailable, running
from tests.servers.base import connect
from tests.servers.external import address

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
    "session_front",
]

SERVERS = ("external",) if address() else ("local", "rclone", "ceph", "localstack")
REQUIRED = {name.strip() for name in os.environ.get("S3_TEST_REQUIRE", "").split(",")}


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # This hook sees the items of the whole run, not only those of this folder.
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.integration)
            parameters = getattr(getattr(item, "callspec", None), "params", {})
            item.add_marker(pytest.mark.xdist_group(parameters.get("s3_server", "none")))


@pytest.fixture(scope="session", params=SERVERS)
def s3_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running S3 server, started when the first test asks for it; pytest groups the tests by server."""
    name: str = request.param
    server = running(name, tmp_path_factory.mktemp(name))
    try:
        started = server.__enter__()
    except Unavailable as reason:
        if name in REQUIRED:
            pytest.fail(f"{name} is required, and not available: {reason}")
        pytest.skip(f"{name} is not available: {reason}")
    try:
        yield started
    finally:
        server.__exit__(None, None, None)


@pytest.fixture(scope="session")
def s3_client(s3_server: Server) -> Iterator[S3Client]:
    """A boto3 client for `s3_server`, set up as the saver sets up its own for a compatible store."""
    client = make_client(s3_server)
    yield client
    client.close()


@pytest.fixture
def bucket(s3_server: Server, s3_client: S3Client) -> Iterator[str]:
    """The name of a fresh bucket, which is emptied and removed after the test."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    s3_client.create_bucket(Bucket=name)
    yield name
    try:
        empty(s3_client, name, versions=s3_server.features.versioning)
        s3_client.delete_bucket(Bucket=name)
    except ClientError as error:
        # A test may have locked or removed its bucket; those of a store that stays are worth a word.
        if s3_server.name == "external":
            print(f"bucket {name} is left behind: {error}")


def make_client(server: Server, *, secret_key: str | None = None) -> S3Client:
    """A boto3 client for a server, with its own credentials or a wrong secret."""
    return connect(server, secret_key=secret_key)


def empty(client: Any, bucket: str, *, versions: bool) -> None:
    """Delete every object of a bucket, with all versions where the store keeps them."""
    operation = "list_object_versions" if versions else "list_objects_v2"
    for page in client.get_paginator(operation).paginate(Bucket=bucket):
        found = [item for kind in ("Versions", "DeleteMarkers", "Contents") for item in page.get(kind, ())]
        if found:
            objects = [{name: item[name] for name in ("Key", "VersionId") if name in item} for item in found]
            client.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
