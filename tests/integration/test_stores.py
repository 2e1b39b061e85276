"""The connection strings of `examples/stores.py`, but for the address, on the servers that run here."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples import stores
from tests.contract.fixtures import environment
from tests.contract.support import Place
from tests.integration.conftest import REQUIRED, empty, make_client
from tests.servers import Server, Unavailable, running

REMEMBERED = "You have told me 2 things, first: My name is Ada."

_CONDITIONS = {"conditional writes", "conditional uploads"}
_BARE = {"encryption", "public access", "TLS only", "lifecycle"}
WANTING = {
    "local": _BARE,
    "rclone": _CONDITIONS | _BARE | {"versioning"},
    "ceph": _BARE | {"conditional uploads"},
    "localstack": {"lifecycle", "TLS only"},
    "seaweedfs": _BARE,
}
"""Findings of `check()` that aren't `ok`, in an empty bucket of each store; `docs/stores.md` lists them."""


def uri_of(store: str, server: Server, bucket: str) -> str:
    uri = stores.STORES[store].replace("my-bucket", bucket)
    address = uri.partition("endpoint_url=")[2].partition("&")[0]
    return uri.replace(address, server.endpoint_url)


def talk(server: Server, bucket: str, capsys: pytest.CaptureFixture[str]) -> None:
    name = next((store for store in stores.STORES if store.lower() == server.name), "MinIO")
    stores.main(uri_of(name, server, bucket))
    answer, *wanting = capsys.readouterr().out.splitlines()
    assert answer == REMEMBERED
    assert not [line for line in wanting if line.startswith(("missing", "unknown"))]
    if server.name in WANTING:
        assert {line.partition(": ")[2] for line in wanting} == WANTING[server.name]


def test_a_conversation(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    talk(place.server, place.bucket, capsys)
    assert place.listing() == []


def test_a_conversation_on_seaweedfs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        with running("seaweedfs", tmp_path) as server:
            for variable, value in environment(server).items():
                monkeypatch.setenv(variable, value)
            client = make_client(server)
            client.create_bucket(Bucket="agents")
            talk(server, "agents", capsys)
            empty(client, "agents", versions=True)
            client.delete_bucket(Bucket="agents")
            client.close()
    except Unavailable as reason:
        if "seaweedfs" in REQUIRED:
            raise
        pytest.skip(f"SeaweedFS is not available: {reason}")
