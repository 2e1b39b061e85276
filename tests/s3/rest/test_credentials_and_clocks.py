"""Requests that are refused for their credentials, their time or their region, and signed once more."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime, timezone
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from langgraph_checkpoint_s3 import AccessDeniedError, InvalidConfigError, S3Saver, StorageUnavailableError
from langgraph_checkpoint_s3.aws import Throttle
from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.s3.requests import GetObject, HeadObject, ListObjects, PutObject, Request
from langgraph_checkpoint_s3.s3.rest.api import RestApi, WrongRegion
from langgraph_checkpoint_s3.s3.rest.settings import read_settings
from langgraph_checkpoint_s3.s3.store_clock import StoreClock
from tests.s3.rest.scripted import Driver, Scripted, Seen, answering, ok, refusal
from tests.support import inside
from tests.support.hanging import until
from tests.support.surroundings import surroundings

__all__ = ["surroundings"]
pytestmark = pytest.mark.usefixtures("surroundings")

GET = GetObject("k", keep=False)


def key_of(seen: Seen) -> str:
    return seen.headers["authorization"].partition("Credential=")[2].partition("/")[0]


def region_of(seen: Seen) -> str:
    return seen.headers["authorization"].split("/")[2]


# Credentials


@pytest.mark.parametrize("place", ["environment", "file"])
def test_credentials_that_were_renewed(
    driver: Driver, place: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Throttle, "SECONDS", 0)

    def set_key(key: str) -> None:
        if place == "environment":
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
            monkeypatch.setenv("AWS_SESSION_TOKEN", f"token of {key}")
        else:
            (tmp_path / "credentials").write_text(
                f"[default]\naws_access_key_id = {key}\naws_secret_access_key = s\n"
                f"aws_session_token = token of {key}\n"
            )

    def respond(seen: Seen) -> bytes:
        assert seen.headers["x-amz-security-token"] == f"token of {key_of(seen)}"
        assert "x-amz-security-token" in seen.headers["authorization"]
        return ok() if key_of(seen) == valid else refusal("ExpiredToken", "400 Bad Request")

    if place == "file":
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
    valid = "OLD"
    set_key("OLD")
    with Scripted(answering(respond)) as server:
        saver = driver.saver(server.url)
        assert driver.send(saver, GET).data == b"x"
        valid = "NEW"
        with pytest.raises(AccessDeniedError) as caught:
            driver.send(saver, GET)
        assert caught.value.unauthenticated
        set_key("NEW")
        assert driver.send(saver, GET).data == b"x"
        assert key_of(server.seen[-1]) == "NEW"


def test_without_a_token_none_is_sent(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with Scripted(answering(lambda _: ok())) as server:
        driver.send(driver.saver(server.url), GET)
        [seen] = server.seen
        assert "x-amz-security-token" not in seen.headers
        assert key_of(seen) == "key"


# Clocks


def checking_dates(ahead: float) -> Callable[[Seen], bytes]:
    """A store whose clock is ahead, and that refuses as S3 does what was signed 15 minutes off."""

    def respond(seen: Seen) -> bytes:
        now = time.time() + ahead
        date = f"Date: {formatdate(now, usegmt=True)}"
        said = datetime.strptime(seen.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
        if abs(said.timestamp() - now) <= 900:
            return ok(b"x" if seen.method == "GET" else b"", date)
        if seen.method == "HEAD":
            return f"HTTP/1.1 403 Forbidden\r\n{date}\r\nContent-Type: application/xml\r\n\r\n".encode()
        return refusal("RequestTimeTooSkewed", "403 Forbidden", date)

    return respond


@pytest.mark.parametrize("ahead", [1200, -1200, 86_400 * 400])
@pytest.mark.parametrize(
    "request_", [GET, HeadObject("k"), PutObject("k", b"x")], ids=lambda each: type(each).__name__
)
def test_a_wrong_clock_is_set_right_by_the_first_refusal(
    driver: Driver, request_: Request[Any], ahead: int
) -> None:
    with Scripted(answering(checking_dates(ahead))) as server:
        saver = driver.saver(server.url)
        driver.send(saver, request_)
        assert len(server.seen) == 2
        assert saver.stats().retries == 1
        for _ in range(3):
            driver.send(saver, request_)
        assert len(server.seen) == 5
        assert saver.stats().retries == 1


def test_a_right_clock_is_not_tried_again(driver: Driver) -> None:
    date = f"Date: {formatdate(usegmt=True)}"
    with Scripted(answering(lambda _: refusal("AccessDenied", "403 Forbidden", date))) as server:
        with pytest.raises(AccessDeniedError):
            driver.send(driver.saver(server.url), GET)
        assert len(server.seen) == 1


def test_a_store_that_refuses_every_time_is_not_asked_for_ever(driver: Driver) -> None:
    moment = time.time() + 86_400
    date = f"Date: {formatdate(moment, usegmt=True)}"
    with Scripted(answering(lambda _: refusal("RequestTimeTooSkewed", "403 Forbidden", date))) as server:
        with pytest.raises(AccessDeniedError):
            driver.send(driver.saver(server.url), GET)
        assert len(server.seen) == 2


# Regions

ELSEWHERE = "Location: http://elsewhere.example/"
REDIRECTS: dict[str, tuple[Request[Any], Callable[[], bytes]]] = {
    "301": (
        GET,
        lambda: refusal(
            "PermanentRedirect", "301 Moved Permanently", ELSEWHERE, "x-amz-bucket-region: eu-west-3"
        ),
    ),
    "307": (
        GET,
        lambda: refusal(
            "TemporaryRedirect", "307 Temporary Redirect", ELSEWHERE, "x-amz-bucket-region: eu-west-3"
        ),
    ),
    "400": (
        GET,
        lambda: refusal("AuthorizationHeaderMalformed", "400 Bad Request", more="<Region>eu-west-3</Region>"),
    ),
    "HEAD 301": (
        HeadObject("k"),
        lambda: b"HTTP/1.1 301 Moved Permanently\r\nx-amz-bucket-region: eu-west-3\r\n\r\n",
    ),
    "HEAD 400": (
        HeadObject("k"),
        lambda: b"HTTP/1.1 400 Bad Request\r\nx-amz-bucket-region: eu-west-3\r\n\r\n",
    ),
    "LIST": (
        ListObjects("p"),
        lambda: refusal("PermanentRedirect", "301 Moved Permanently", "x-amz-bucket-region: eu-west-3"),
    ),
}
LISTED = b"<ListBucketResult><Name>bucket</Name><IsTruncated>false</IsTruncated></ListBucketResult>"


@pytest.mark.parametrize("kind", REDIRECTS)
def test_a_bucket_in_another_region(driver: Driver, kind: str) -> None:
    request, redirect = REDIRECTS[kind]

    def respond(seen: Seen) -> bytes:
        if region_of(seen) != "eu-west-3":
            return redirect()
        if seen.method == "HEAD":
            return b'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: 1\r\n\r\n'
        return ok(LISTED if "list-type" in seen.target else b"x")

    with Scripted(answering(respond)) as server:
        saver = driver.saver(server.url)
        driver.send(saver, request)
        assert [region_of(each) for each in server.seen] == ["us-east-1", "eu-west-3"]
        assert saver.stats().retries == 0
        for _ in range(3):
            driver.send(saver, request)
        assert [region_of(each) for each in server.seen[2:]] == ["eu-west-3"] * 3


def test_many_at_once_are_redirected(driver: Driver) -> None:
    def respond(seen: Seen) -> bytes:
        return ok() if region_of(seen) == "eu-west-3" else REDIRECTS["301"][1]()

    with Scripted(answering(respond)) as server:
        saver = driver.saver(server.url, max_concurrency=8)
        assert len(driver.send(saver, *[GET] * 20)) == 20
        driver.send(saver, GET)
        assert region_of(server.seen[-1]) == "eu-west-3"
        driver.close(saver)
        until(lambda: server.closed == server.accepted, "all are closed, those of replaced pools as well")


def test_a_redirect_is_followed_once(driver: Driver) -> None:
    """Each region names the other one."""

    def respond(seen: Seen) -> bytes:
        other = "us-east-1" if region_of(seen) == "eu-west-3" else "eu-west-3"
        return refusal("PermanentRedirect", "301 Moved Permanently", f"x-amz-bucket-region: {other}")

    with Scripted(answering(respond)) as server:
        with pytest.raises(InvalidConfigError, match="region doesn't fit"):
            driver.send(driver.saver(server.url), GET)
        assert len(server.seen) == 2


@pytest.mark.parametrize("region", ["evil.example/", "a b", "-x", "us-east-1", "x\ty"])
def test_a_region_that_is_none(driver: Driver, region: str) -> None:
    response = refusal("PermanentRedirect", "301 Moved Permanently", f"x-amz-bucket-region: {region}")
    with Scripted(answering(lambda _: response)) as server:
        with pytest.raises(InvalidConfigError, match="region doesn't fit"):
            driver.send(driver.saver(server.url), GET)
        assert len(server.seen) == 1


@pytest.mark.parametrize(
    "status", ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"]
)
def test_a_location_is_never_followed(driver: Driver, status: str) -> None:
    with Scripted(answering(lambda _: ok())) as other:
        response = ok(b"", f"Location: {other.url}/bucket/k?secret", status=status)
        with Scripted(answering(lambda _: response)) as server:
            with pytest.raises(StorageUnavailableError, match="redirects are not followed") as caught:
                driver.send(driver.saver(server.url), GET)
            assert "secret" not in str(caught.value)
            assert len(server.seen) == 1
        assert other.accepted == 0


def test_in_a_redirect_the_address_is_of_awss_rules() -> None:
    config = S3Config(bucket="bucket", region="us-east-1")
    api = RestApi(config, read_settings(config), "agent", StoreClock())
    assert api.target.endpoint.url == "https://bucket.s3.us-east-1.amazonaws.com"
    target = api.follow(WrongRegion("eu-west-3", ValueError()))
    assert target is api.target
    assert target.endpoint.url == "https://bucket.s3.eu-west-3.amazonaws.com"


# Access points


def test_an_access_point() -> None:
    arn = "arn:aws:s3:eu-west-1:123456789012:accesspoint/reads"
    config = S3Config(bucket=arn, region="us-east-1")
    target = RestApi(config, read_settings(config), "agent", StoreClock()).target
    assert target.endpoint.host == "reads-123456789012.s3-accesspoint.eu-west-1.amazonaws.com"
    assert (target.endpoint.base_path, target.endpoint.region) == ("", "eu-west-1")
    assert (target.route.host, target.route.port) == (target.endpoint.host, 443)


def test_a_multi_region_access_point_is_the_sdks(driver: Driver, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "langgraph_checkpoint_s3")
    arn = "arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap"
    saver = S3Saver(arn, region="us-east-1", max_attempts=1)
    store = inside.store(saver)
    if driver.loop is None:
        client: Any = store._client(GET)
    else:
        client = driver.loop.run_until_complete(store._async_client(GET))
    assert "rest" not in type(client).__module__
    assert store._rest is None
    [line] = [each.getMessage() for each in caplog.records if "with the SDK" in each.getMessage()]
    assert "sigv4a" in line
    driver.close(saver)
