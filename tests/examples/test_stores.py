"""The connection strings of S3's relatives lead where they say, and a conversation runs by them."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest

from examples import stores
from langgraph_checkpoint_s3 import S3Config, S3Saver
from langgraph_checkpoint_s3.plans.plan import ask
from langgraph_checkpoint_s3.s3.admin_requests import Sign
from tests.servers import Server, running
from tests.servers.base import client_of
from tests.support import inside

PAGE = (Path(__file__).parents[2] / "docs" / "stores.md").read_text(encoding="utf-8")

PLACES = {
    "Amazon S3": ("https://my-bucket.s3.eu-west-1.amazonaws.com/", "eu-west-1"),
    "Cloudflare R2": ("https://account.r2.cloudflarestorage.com/my-bucket/", "auto"),
    "Tigris": ("https://t3.storage.dev/my-bucket/", "auto"),
    "Backblaze B2": ("https://s3.us-west-004.backblazeb2.com/my-bucket/", "us-west-004"),
    "Google Cloud Storage": ("https://storage.googleapis.com/my-bucket/", "auto"),
    "DigitalOcean Spaces": ("https://fra1.digitaloceanspaces.com/my-bucket/", "fra1"),
    "Ceph": ("https://rgw.example.org/my-bucket/", "us-east-1"),
    "MinIO": ("http://localhost:9000/my-bucket/", "us-east-1"),
    "SeaweedFS": ("http://localhost:8333/my-bucket/", "us-east-1"),
    "Garage": ("http://localhost:3900/my-bucket/", "garage"),
    "LocalStack": ("http://localhost:4566/my-bucket/", "us-east-1"),
    "rclone": ("http://localhost:8080/my-bucket/", "us-east-1"),
}
"""Where requests go, and the region that they are signed for."""


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch, clean_environment: None) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test-secret")


@pytest.fixture
def moto(tmp_path: Path, credentials: None) -> Iterator[Server]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with running("moto", tmp_path) as started:
        client = boto3.client("s3", endpoint_url=started.endpoint_url, region_name=started.region)
        client.create_bucket(Bucket="stores")
        client.close()
        yield started


@pytest.mark.parametrize("name", stores.STORES)
@pytest.mark.usefixtures("credentials")
def test_where_a_connection_string_leads(name: str) -> None:
    uri = stores.STORES[name]
    config = S3Config.from_conn_string(uri)
    assert (config.bucket, config.prefix) == ("my-bucket", "agents/")
    assert config.server_side_encryption == "auto"
    with S3Saver.from_conn_string(uri) as saver:
        url = urlsplit(inside.store(saver).run(ask(Sign("GET", "agents/k", 60)), "test").url)
    begins, region = PLACES[name]
    assert f"{url.scheme}://{url.netloc.lower()}{url.path}" == f"{begins}agents/k"
    assert parse_qs(url.query)["X-Amz-Credential"][0].split("/")[2:] == [region, "s3", "aws4_request"]


def test_the_page_has_the_same_strings() -> None:
    assert set(re.findall(r"^s3://.*$", PAGE, flags=re.MULTILINE)) == set(stores.STORES.values())
    for name in stores.STORES:
        assert f"### {name}\n" in PAGE


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    stores.main()
    assert capsys.readouterr().out.count(" s3://my-bucket/agents?") == len(stores.STORES)


def test_a_conversation_on_moto(moto: Server, capsys: pytest.CaptureFixture[str]) -> None:
    uri = stores.STORES["LocalStack"].replace("http://localhost:4566", moto.endpoint_url)
    uri = uri.replace("my-bucket", "stores")
    stores.main(uri)
    answer, *wanting = capsys.readouterr().out.splitlines()
    assert answer == "You have told me 2 things, first: My name is Ada."
    assert "not supported: conditional writes" not in wanting
    with S3Saver.from_conn_string(uri) as saver:
        assert list(saver.list(None)) == []


def test_a_conversation_on_rclone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with running("rclone", tmp_path) as server, client_of(server) as client:
        client.create_bucket(Bucket="my-bucket")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.secret_key)
        uri = stores.STORES["rclone"].replace("http://localhost:8080", server.endpoint_url)
        stores.main(uri)
    printed = capsys.readouterr().out
    assert printed.startswith("You have told me 2 things, first: My name is Ada.\n")
    assert "not supported: conditional writes\n" in printed
