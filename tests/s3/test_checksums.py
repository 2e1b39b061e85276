"""Checksums: whose setting holds, and the digest that goes where none does."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from aiobotocore.session import AioSession

from benchmarks.bucket import Answer, Bucket, Request
from benchmarks.server import Server
from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.plans.plan import Plan, ask
from langgraph_checkpoint_s3.s3.requests import (
    CompareAndSwap,
    CreateUpload,
    DeleteObjects,
    PutObject,
    UploadPart,
)
from tests.support import inside
from tests.support.sampling import combined
from tests.support.surroundings import (
    DRIVERS,
    TWO_MAKES,
    WORLDS,
    client_of,
    surroundings,
    write_profile,
)

__all__ = ["surroundings"]
pytestmark = pytest.mark.usefixtures("surroundings")


def set_variables(monkeypatch: pytest.MonkeyPatch, _: Path, value: str) -> None:
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", value)
    monkeypatch.setenv("AWS_RESPONSE_CHECKSUM_VALIDATION", value)


SETS: dict[str, Callable[[pytest.MonkeyPatch, Path, str], None]] = {
    "variables": set_variables,
    "profile": lambda _, tmp_path, value: write_profile(
        tmp_path, request_checksum_calculation=value, response_checksum_validation=value
    ),
}


@combined(
    where=list(SETS),
    value=["when_supported", "when_required"],
    url=["https://s3.eu-west-1.amazonaws.com", "http://ours.example.org"],
    make=TWO_MAKES,
    asynchronous=DRIVERS,
)
def test_who_sets_checksums_is_heeded(
    make: Any,
    asynchronous: bool,
    url: str,
    value: str,
    where: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    SETS[where](monkeypatch, tmp_path, value)
    with make(endpoint_url=url) as saver:
        config = client_of(saver, asynchronous).meta.config
    assert (config.request_checksum_calculation, config.response_checksum_validation) == (value, value)


@WORLDS
def test_who_sets_checksums_in_a_session_is_heeded(asynchronous: bool) -> None:
    from botocore.config import Config

    session, aio = boto3.Session(), AioSession()
    for core in (session._session, aio):
        core.set_default_client_config(Config(request_checksum_calculation="when_supported"))
    sessions: dict[str, Any] = {"session": session, "aio_session": aio}
    with S3Saver("bucket", endpoint_url="http://ours.example.org", **sessions) as saver:
        config = client_of(saver, asynchronous).meta.config
    assert config.request_checksum_calculation == "when_supported"
    assert config.response_checksum_validation == "when_required"


BODY = b"what is stored"


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """Return the requests that the server got."""
    found: list[Request] = []
    answer = Bucket.answer

    def listen(bucket: Bucket, request: Request) -> Answer:
        found.append(request)
        return answer(bucket, request)

    monkeypatch.setattr(Bucket, "answer", listen)
    return found


def write(saver: S3Saver, asynchronous: bool) -> None:
    """Send one of each request that writes."""

    def plan() -> Plan[None]:
        yield from ask(PutObject("k", BODY))
        yield from ask(CompareAndSwap("l", BODY, None))
        upload = yield from ask(CreateUpload("m"))
        yield from ask(UploadPart("m", upload, 1, memoryview(BODY)))
        yield from ask(DeleteObjects(("k",)))

    if asynchronous:
        asyncio.run(inside.store(saver).arun(plan(), "test"))
    else:
        inside.store(saver).run(plan(), "test")


def sums(heard: list[Request]) -> dict[str, tuple[bool, bool]]:
    """For each operation that needs one: whether an MD5 went along (which is checked), and a checksum.

    A SHA-256 in the signature counts as one.
    """
    found = {}
    for request in heard:
        md5 = request.headers.get("content-md5")
        right = base64.b64encode(hashlib.md5(request.body, usedforsecurity=False).digest()).decode()
        assert md5 in (None, right)
        checksum = any(name.startswith(("x-amz-checksum-crc", "x-amz-trailer")) for name in request.headers)
        signed = request.headers.get("x-amz-content-sha256") == hashlib.sha256(request.body).hexdigest()
        found[request.operation] = md5 is not None, checksum or (signed and md5 is None)
    return {name: found[name] for name in ("PutObject", "UploadPart", "DeleteObjects")}


NEITHER, MD5, CHECKSUM, BOTH = (False, False), (True, False), (False, True), (True, True)


@WORLDS
@pytest.mark.parametrize("how", ["ours", "a session", "a client"])
@pytest.mark.parametrize("value", [None, "when_required", "when_supported"])
def test_what_is_written_carries_a_digest_where_no_checksum_goes(
    asynchronous: bool, how: str, value: str | None, heard: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    """This transport is no TLS, so signatures have a SHA-256. The SDK sends an MD5 besides."""
    if value is not None:
        monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", value)
    given: dict[str, Any] = {}
    with Server() as server:
        url = server.endpoint_url
        if how == "a session":
            given = {"session": boto3.Session(), "aio_session": AioSession()}
        elif how == "a client":
            given = {"client": boto3.client("s3", endpoint_url=url, region_name="us-east-1")}
        with S3Saver("bucket", endpoint_url=url, **given) as saver:
            write(saver, asynchronous)
        for client in given.values():
            if how == "a client":
                client.close()
    required = CHECKSUM if how == "a client" else BOTH  # botocore's own, and what older stores want
    written = MD5 if how == "a client" and value == "when_required" else CHECKSUM
    assert sums(heard) == {
        "PutObject": written,
        "UploadPart": written,
        "DeleteObjects": required,
    }


@WORLDS
@pytest.mark.parametrize("missing", [AttributeError, ValueError])
def test_where_there_is_no_md5_nothing_fails(
    asynchronous: bool, missing: type[Exception], heard: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Take MD5 away, as OpenSSL may in FIPS mode."""

    def none(*_: Any, **__: Any) -> Any:
        raise missing("unsupported hash type md5")

    with Server() as server, S3Saver("bucket", endpoint_url=server.endpoint_url) as saver:
        client_of(saver, False)
        with monkeypatch.context() as patched:
            patched.setattr(hashlib, "md5", none)
            write(saver, asynchronous)
    assert set(sums(heard).values()) == {CHECKSUM}


@WORLDS
def test_who_does_not_sign_sends_an_md5(
    asynchronous: bool, heard: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else lets the store compare what it got. Over TLS it is the same: the body isn't signed."""
    from botocore import UNSIGNED
    from botocore.config import Config

    session = boto3.Session()
    session._session.set_default_client_config(Config(signature_version=UNSIGNED))
    aio = AioSession()
    aio.set_default_client_config(Config(signature_version=UNSIGNED))
    with (
        Server() as server,
        S3Saver("bucket", endpoint_url=server.endpoint_url, session=session, aio_session=aio) as saver,
    ):
        write(saver, asynchronous)
    assert sums(heard) == {"PutObject": MD5, "UploadPart": MD5, "DeleteObjects": BOTH}


@WORLDS
@pytest.mark.parametrize("code", ["MissingContentMD5", "InvalidRequest"])
def test_a_store_that_wants_an_md5_besides_is_asked_once(
    asynchronous: bool, code: str, heard: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bucket with Object Lock may."""
    answer = Bucket.answer

    def strict(bucket: Bucket, request: Request) -> Answer:
        if request.operation in ("PutObject", "UploadPart") and "content-md5" not in request.headers:
            heard.append(request)
            wanted = "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests"
            return Answer(400, f"<Error><Code>{code}</Code><Message>{wanted}</Message></Error>".encode())
        return answer(bucket, request)

    monkeypatch.setattr(Bucket, "answer", strict)
    with Server() as server, S3Saver("bucket", endpoint_url=server.endpoint_url) as saver:
        write(saver, asynchronous)
        write(saver, asynchronous)
        assert saver.stats().retries == 0
    lacking = [each for each in heard if each.operation != "DeleteObjects" and each.body]
    assert ["content-md5" in each.headers for each in lacking] == [False] + [True] * (len(lacking) - 1)
    assert sums(heard)["PutObject"] == MD5
