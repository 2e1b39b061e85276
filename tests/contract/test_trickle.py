"""A store that sends one byte now and then, or reads as slowly: each request has an end all the same."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from langgraph_checkpoint_s3 import S3Saver, StorageUnavailableError
from langgraph_checkpoint_s3.admin import aload_signed_url, load_signed_url
from langgraph_checkpoint_s3.plans.plan import Plan, ask, ask_all
from langgraph_checkpoint_s3.s3 import deadline
from langgraph_checkpoint_s3.s3.requests import (
    Body,
    GetObject,
    ListObjects,
    PutObject,
    Request,
    UploadPart,
)
from tests.contract.support import Calls, at
from tests.contract.test_async import self_signed
from tests.contract.trickle import Part, Trickle
from tests.support import inside
from tests.support.hanging import HANG

ENDLESS = bytes(10_000)
"""A body that takes over an hour, a byte at a time."""
LIST = (
    b'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>bucket</Name><IsTruncated>false'
    b"</IsTruncated><KeyCount>0</KeyCount>" + b" " * 10_000 + b"</ListBucketResult>"
)


def soon(begun: float) -> None:
    """Fail if what began then took as long as it does without a limit: over an hour."""
    if time.monotonic() - begun > HANG:
        raise AssertionError("It had no end")


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


class Caller:
    """A saver on a trickling server, by one of the drivers."""

    def __init__(self, driver: str) -> None:
        self.asynchronous = driver == "async"
        self.savers: list[Calls] = []

    def on(self, server: Trickle, **settings: Any) -> S3Saver:
        arguments = {
            "connect_timeout": 0.5,
            "read_timeout": 0.3,
            "operation_timeout": 20.0,
            "max_attempts": 2,
        }
        saver = S3Saver("bucket", endpoint_url=server.url, region="x", **{**arguments, **settings})
        self.savers.append(Calls(saver, asynchronous=self.asynchronous, guard=False))
        return saver

    def run(self, saver: S3Saver, plan: Plan[Any]) -> Any:
        [calls] = [each for each in self.savers if each.saver is saver]
        return (
            calls.run(inside.store(saver).arun(plan, "test"))
            if self.asynchronous
            else inside.store(saver).run(plan, "test")
        )


@pytest.fixture
def caller(driver: str) -> Iterator[Caller]:
    made = Caller(driver)
    yield made
    for calls in made.savers:
        calls.saver.close()
        calls.end()


@pytest.mark.parametrize(
    ("request_", "body"),
    [(GetObject("k"), ENDLESS), (ListObjects("p", max_keys=1), LIST)],
    ids=["GetObject", "ListObjects"],
)
@pytest.mark.parametrize("part", ["headers", "body"])
def test_an_answer_that_trickles_is_cut_tried_again_and_given_up(
    caller: Caller, part: Part, request_: Request[Any], body: bytes
) -> None:
    with Trickle(body, part) as server:
        saver = caller.on(server)
        begun = time.monotonic()
        with pytest.raises(StorageUnavailableError, match=r"cut after \d.* bytes of an answer") as caught:
            caller.run(saver, ask(request_))
        soon(begun)
        assert caught.value.attempts == server.requests == 2


def test_over_tls_it_is_cut_too(caller: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    with Trickle(ENDLESS, "body", tls=context) as server:
        saver = caller.on(server, connect_timeout=3.0, max_attempts=1)
        with pytest.raises(StorageUnavailableError, match="cut after"):
            caller.run(saver, ask(GetObject("k")))
        assert server.requests == 1


@pytest.mark.parametrize("part", ["headers", "body"])
def test_one_that_is_cut_is_answered_the_second_time(caller: Caller, part: Part) -> None:
    with Trickle(ENDLESS, part, times=1) as server:
        saver = caller.on(server, read_timeout=1.0)
        assert caller.run(saver, ask(GetObject("k"))) == Body(ENDLESS, "e", len(ENDLESS))
        assert saver.stats().retries == 1


def test_operation_timeout_ends_it_too(caller: Caller) -> None:
    with Trickle(ENDLESS, "body") as server:
        saver = caller.on(server, read_timeout=3600.0, operation_timeout=1.0)
        begun = time.monotonic()
        with pytest.raises(StorageUnavailableError, match=r"operation_timeout=1\).*cut after") as caught:
            caller.run(saver, ask(GetObject("k")))
        soon(begun)
        assert caught.value.attempts == server.requests == 1


def test_all_of_a_batch_ends(caller: Caller) -> None:
    with Trickle(ENDLESS, "body") as server:
        saver = caller.on(server, max_attempts=1)
        begun = time.monotonic()
        with pytest.raises(StorageUnavailableError):
            caller.run(saver, ask_all([GetObject(f"{number}") for number in range(8)]))
        soon(begun)
        assert server.requests == 8


@pytest.mark.parametrize("kind", [PutObject, UploadPart])
def test_a_body_that_is_read_slowly_is_cut(
    caller: Caller, kind: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadline, "RATE", 10**9)
    body = bytes(8 * 1024 * 1024)
    request = PutObject("k", body) if kind is PutObject else UploadPart("k", "id", 1, body)
    with Trickle(b"", "reading") as server:
        saver = caller.on(server)
        begun = time.monotonic()
        with pytest.raises(StorageUnavailableError) as caught:
            caller.run(saver, ask(request))
        soon(begun)
        assert caught.value.attempts == server.requests == 2


def test_what_gets_on_is_not_cut(caller: Caller) -> None:
    """It takes several times the fixed time, and comes at more than the least rate."""
    with Trickle(bytes(40), "body", pause=0.05) as server:
        saver = caller.on(server, connect_timeout=0.2, read_timeout=0.2)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("langgraph_checkpoint_s3.request_timeout.RATE", 1)
            assert caller.run(saver, ask(GetObject("k"))).data == bytes(40)
        assert server.requests == 1


def test_a_saver_ends_too(caller: Caller) -> None:
    with Trickle(LIST, "body") as server:
        saver = caller.on(server, operation_timeout=0.5)
        [calls] = caller.savers
        begun = time.monotonic()
        with pytest.raises(StorageUnavailableError):
            calls.get_tuple(at())
        soon(begun)
        assert saver.stats().requests == {"ListObjectsV2": 1}


@pytest.mark.parametrize("part", ["headers", "body"])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_signed_url_that_trickles_is_given_up(part: Part, asynchronous: bool) -> None:
    with Trickle(ENDLESS, part) as server:
        begun = time.monotonic()

        def load() -> None:
            url = f"{server.url}/bucket/k"
            if asynchronous:
                asyncio.run(aload_signed_url(url, timeout=0.5))
            else:
                load_signed_url(url, timeout=0.5)

        with pytest.raises(StorageUnavailableError, match="cut after"):
            load()
        soon(begun)
        assert server.requests == 1
