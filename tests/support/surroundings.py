"""Surroundings of a saver, and the ways to make one: for tests of settings and credentials."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from aiobotocore.session import AioSession

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.cli.runtime import open_saver
from langgraph_checkpoint_s3.s3.sync_client import model_loader
from tests.support import inside

VARIABLES = (
    *("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"),
    *("S3_ENDPOINT_URL", "S3_FORCE_PATH_STYLE", "S3_KEY_PREFIX", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"),
    *("AWS_REQUEST_CHECKSUM_CALCULATION", "AWS_RESPONSE_CHECKSUM_VALIDATION"),
)


@pytest.fixture
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "S3_BUCKET_NAME": "bucket",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
    }.items():
        monkeypatch.setenv(name, value)


def write_profile(tmp_path: Path, **settings: str) -> None:
    lines = [f"{name} = {value}" for name, value in settings.items()]
    (tmp_path / "config").write_text("\n".join(["[default]", *lines, ""]))


def uri(**settings: Any) -> str:
    query = "&".join(f"{name}={str(value).lower()}" for name, value in settings.items())
    return f"s3://bucket?{query}" if query else "s3://bucket"


def sessions() -> dict[str, Any]:
    """Sessions of the user's own, that needn't read the service's model again."""
    session, aio = boto3.Session(), AioSession()
    for core in (session._session, aio):
        core.register_component("data_loader", model_loader())
    return {"session": session, "aio_session": aio}


# What a saver can be made by, and how a setting is said explicitly there.
MAKES: dict[str, Callable[..., S3Saver]] = {
    "keywords": lambda **settings: S3Saver("bucket", **settings),
    "a URI": lambda **settings: S3Saver.from_conn_string(uri(**settings)),
    "a URI and keywords": lambda **settings: S3Saver.from_conn_string("s3://bucket", **settings),
    "the environment": S3Saver.from_env,
    "the command line's --uri": lambda **settings: open_saver(uri(**settings)),
    "the command line": lambda **settings: open_saver(None, **settings),
    "a session": lambda **settings: S3Saver("bucket", **sessions(), **settings),
}
TWO_MAKES = {name: MAKES[name] for name in ("a URI", "a session")}
EVERYHOW = pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
DRIVERS = {"sync": False, "async": True}
WORLDS = pytest.mark.parametrize("asynchronous", DRIVERS.values(), ids=DRIVERS)


def client_of(saver: S3Saver, asynchronous: bool) -> Any:
    """The client of the SDK that a saver would use."""
    if not asynchronous:
        return inside.store(saver)._boto.get().client

    async def made() -> Any:
        store: Any = inside.store(saver)
        made = await store._aio.get()
        await saver.aclose()
        return made.client

    return asyncio.run(made())
