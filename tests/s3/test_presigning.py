"""Signed URLs as our own clients make them: of version 4, for the bucket's region, by both drivers."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.credentials import RefreshableCredentials
from botocore.session import Session

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.plans.plan import ask
from langgraph_checkpoint_s3.s3.admin_requests import Sign, Signed
from tests.support import inside

ELSEWHERE = {"endpoint_url": "http://localhost:9000"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")


def signed(asynchronous: bool, request: Sign, **settings: Any) -> Signed:
    with S3Saver("bucket", **settings) as saver:
        store = inside.store(saver)
        return (
            asyncio.run(store.arun(ask(request), "test")) if asynchronous else store.run(ask(request), "test")
        )


BOTH = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


@BOTH
@pytest.mark.parametrize("method", ["GET", "PUT"])
@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({}, "https://bucket.s3.amazonaws.com/a.2F/k"),
        ({"region": "us-east-1"}, "https://bucket.s3.amazonaws.com/a.2F/k"),
        ({"region": "eu-west-1"}, "https://bucket.s3.eu-west-1.amazonaws.com/a.2F/k"),
        ({**ELSEWHERE}, "http://localhost:9000/bucket/a.2F/k"),
        ({**ELSEWHERE, "region": "us-east-1"}, "http://localhost:9000/bucket/a.2F/k"),
        ({"use_accelerate": True}, "https://bucket.s3-accelerate.amazonaws.com/a.2F/k"),
        ({"requester_pays": True}, "https://bucket.s3.amazonaws.com/a.2F/k"),
        ({"expected_bucket_owner": "123456789012"}, "https://bucket.s3.amazonaws.com/a.2F/k"),
    ],
)
def test_urls_are_of_version_4(asynchronous: bool, method: Any, settings: dict[str, Any], where: str) -> None:
    made = signed(asynchronous, Sign(method, "a.2F/k", 61), **settings)
    parts = urlsplit(made.url)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == where
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    assert query["X-Amz-Algorithm"] == "AWS4-HMAC-SHA256"
    assert query["X-Amz-Expires"] == "61"
    assert query["X-Amz-SignedHeaders"] == "host"  # whoever has it needs to send nothing else
    assert query.get("x-amz-request-payer") == ("requester" if settings.get("requester_pays") else None)
    assert f"/{settings.get('region', 'us-east-1')}/s3/" in query["X-Amz-Credential"]
    assert made == Signed(made.url)


@BOTH
def test_of_a_session_token_nobody_knows_when_it_ends(
    asynchronous: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    made = signed(asynchronous, Sign("GET", "k", 60))
    assert made == Signed(made.url, temporary=True)


def ending(minutes: int) -> Any:
    end = (datetime.now(timezone.utc) + timedelta(minutes=minutes)).isoformat()
    found = {"access_key": "key", "secret_key": "secret", "token": "token", "expiry_time": end}
    return RefreshableCredentials.create_from_metadata(found, lambda: found, "test", advisory_timeout=1)


@BOTH
def test_of_a_role_it_is_known(asynchronous: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "get_credentials", lambda self: ending(90))
    hour, day = (signed(asynchronous, Sign("GET", "k", seconds)) for seconds in (3600, 86_400))
    assert hour == Signed(hour.url)
    assert day == Signed(day.url, outlives_credentials=True)


def test_a_client_handed_in_signs_as_it_was_made() -> None:
    client = boto3.session.Session().client("s3", region_name="us-east-1")
    made = signed(False, Sign("GET", "k", 60), client=client)
    assert "X-Amz-Signature=" not in made.url
    client.close()
