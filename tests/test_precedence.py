"""Precedence of the settings that say where the store is, however a saver is made, sync and async."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

import boto3
import pytest
from aiobotocore.session import AioSession

from langgraph_checkpoint_s3 import InvalidConfigError, S3Saver
from langgraph_checkpoint_s3.encryption import KmsKeys
from langgraph_checkpoint_s3.plans.plan import ask
from langgraph_checkpoint_s3.s3.requests import PutObject
from tests.support import inside
from tests.support.sampling import combined
from tests.support.surroundings import (
    DRIVERS,
    EVERYHOW,
    MAKES,
    TWO_MAKES,
    WORLDS,
    client_of,
    surroundings,
    write_profile,
)

__all__ = ["surroundings"]
pytestmark = pytest.mark.usefixtures("surroundings")

# From the weakest to the strongest: each wins over all before it. `None` is the default.
REGIONS = {
    "default": "us-east-1",
    "profile": "eu-north-1",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_REGION": "eu-west-1",
    "explicit": "sa-east-1",
}
ENDPOINTS = {
    "default": "https://s3.amazonaws.com",
    "profile": "http://profile.example.org",
    "AWS_ENDPOINT_URL": "http://aws.example.org",
    "AWS_ENDPOINT_URL_S3": "http://s3.example.org",
    "S3_ENDPOINT_URL": "http://ours.example.org",
    "explicit": "http://said.example.org",
}


def said(
    order: dict[str, str],
    sources: tuple[str, ...],
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> dict[str, str]:
    """Say a setting in these sources; returns what is to be said explicitly."""
    for source in sources:
        if source == "profile":
            write_profile(tmp_path, **{name: order[source]})
        elif source.isupper():
            monkeypatch.setenv(source, order[source])
    return {name: order["explicit"]} if "explicit" in sources else {}


def up_to_each(order: dict[str, str]) -> dict[str, tuple[str, ...]]:
    """Each source, with all that are weaker."""
    found = itertools.accumulate(((each,) for each in order), lambda weaker, each: weaker + each)
    return {"+".join(sources): sources for sources in found}


@combined(sources=up_to_each(REGIONS), make=MAKES, asynchronous=DRIVERS)
def test_the_region(
    make: Any, asynchronous: bool, sources: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = said(REGIONS, sources, "region", monkeypatch, tmp_path)
    with make(**settings) as saver:
        client = client_of(saver, asynchronous)
    assert client.meta.region_name == REGIONS[sources[-1]]


@combined(sources=up_to_each(ENDPOINTS), make=MAKES, asynchronous=DRIVERS)
def test_the_endpoint_and_what_it_decides(
    make: Any, asynchronous: bool, sources: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Stores that aren't AWS are asked for checksums only where they are required, whoever named one."""
    settings = said(ENDPOINTS, sources, "endpoint_url", monkeypatch, tmp_path)
    with make(**settings) as saver:
        client = client_of(saver, asynchronous)
    assert client.meta.endpoint_url == ENDPOINTS[sources[-1]]
    expected = "when_supported" if sources == ("default",) else "when_required"
    assert client.meta.config.request_checksum_calculation == expected
    assert client.meta.config.response_checksum_validation == expected


@WORLDS
def test_the_region_of_a_session_is_an_explicit_one(
    asynchronous: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS Lambda always sets AWS_REGION: the session tells a bucket elsewhere."""
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    aio = AioSession()
    aio.set_config_variable("region", "eu-west-1")
    sessions: dict[str, Any] = {"session": boto3.Session(region_name="eu-west-1"), "aio_session": aio}
    for saver in (S3Saver("bucket", **sessions), S3Saver.from_env(**sessions)):
        with saver:
            assert client_of(saver, asynchronous).meta.region_name == "eu-west-1"
    with S3Saver.from_env(region="sa-east-1", **sessions) as saver:
        assert client_of(saver, asynchronous).meta.region_name == "sa-east-1"


@combined(
    explicit=[None, True, False], variable=[None, "true", "false"], make=TWO_MAKES, asynchronous=DRIVERS
)
def test_where_the_bucket_goes(
    make: Any,
    asynchronous: bool,
    variable: str | None,
    explicit: bool | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("S3_ENDPOINT_URL", "http://ours.example.org")
    if variable is not None:
        monkeypatch.setenv("S3_FORCE_PATH_STYLE", variable)
    settings = {} if explicit is None else {"force_path_style": explicit}
    with make(**settings) as saver:
        style = client_of(saver, asynchronous).meta.config.s3["addressing_style"]
    wanted = explicit if explicit is not None else variable != "false"
    assert style == ("path" if wanted else "virtual")


@EVERYHOW
def test_an_explicit_address_of_aws_leads_back_there(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_ENDPOINT_URL", "http://ours.example.org")
    with make(endpoint_url="https://s3.eu-west-1.amazonaws.com") as saver:
        client = client_of(saver, False)
    assert client.meta.endpoint_url == "https://s3.eu-west-1.amazonaws.com"
    assert client.meta.config.request_checksum_calculation == "when_supported"


@WORLDS
@EVERYHOW
def test_a_variable_that_cannot_be_is_named(
    make: Any, asynchronous: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S3_FORCE_PATH_STYLE", "perhaps")
    plan = ask(PutObject("k", b""))

    def use() -> None:
        with make() as saver:
            store = inside.store(saver)
            asyncio.run(store.arun(plan, "test")) if asynchronous else store.run(plan, "test")

    with pytest.raises(InvalidConfigError, match="S3_FORCE_PATH_STYLE='perhaps'"):
        use()


def test_kms_is_asked_in_the_same_region(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_profile(tmp_path, region="eu-north-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    for keys, region in (
        (KmsKeys("alias/x"), "eu-west-1"),
        (KmsKeys("alias/x", session=boto3.Session()), "eu-west-1"),
        (KmsKeys("alias/x", session=boto3.Session(region_name="sa-east-1")), "sa-east-1"),
        (KmsKeys("alias/x", region="us-west-2"), "us-west-2"),
        (KmsKeys("arn:aws:kms:us-west-1:123456789012:key/x"), "us-west-1"),
    ):
        assert keys._client._make().meta.region_name == region
        keys.close()
