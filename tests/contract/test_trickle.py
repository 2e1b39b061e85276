"""A store that sends one byte now and then, or reads as slowly: each request has an end all the same."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
    """Savers on trickling servers, by one of the drivers."""

    def __init__(self, driver: str) -> None:
        self.asynchronous = driver == "async"
        self.savers: list[Calls] = []

    def on(self, server: Trickle, **settings: Any) -> S3Saver:
        arguments = {
            "connect_timeout": 0.7,
            "read_timeout": 0.5,
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

    def end(self) -> None:
        for calls in self.savers:
            calls.saver.close()
            calls.end()


def by_both(case: Callable[..., None], *parameters: tuple[Any, ...]) -> None:
    """Call a function with each of the parameters, by both drivers: all at once, since all of them wait."""
    callers = [(Caller(driver), given) for given in parameters or ((),) for driver in ("sync", "async")]
    with ThreadPoolExecutor(len(callers)) as pool:
        running = [pool.submit(case, caller, *given) for caller, given in callers]
    for caller, _ in callers:
        caller.end()
    for each in running:
        each.result()


def test_an_answer_that_trickles_is_cut_tried_again_and_given_up() -> None:
    def case(caller: Caller, part: Part, request: Request[Any], body: bytes) -> None:
        with Trickle(body, part) as server:
            saver = caller.on(server)
            begun = time.monotonic()
            with pytest.raises(StorageUnavailableError, match=r"cut after \d.* bytes of an answer") as caught:
                caller.run(saver, ask(request))
            soon(begun)
            assert caught.value.attempts == server.requests == 2

    by_both(
        case,
        ("headers", GetObject("k"), ENDLESS),
        ("body", GetObject("k"), ENDLESS),
        ("headers", ListObjects("p", max_keys=1), LIST),
        ("body", ListObjects("p", max_keys=1), LIST),
    )


def test_over_tls_it_is_cut_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))

    def case(caller: Caller) -> None:
        with Trickle(ENDLESS, "body", tls=context) as server:
            saver = caller.on(server, connect_timeout=3.0, max_attempts=1)
            with pytest.raises(StorageUnavailableError, match="cut after"):
                caller.run(saver, ask(GetObject("k")))
            assert server.requests == 1

    by_both(case)


def test_one_that_is_cut_is_answered_the_second_time() -> None:
    def case(caller: Caller, part: Part) -> None:
        with Trickle(ENDLESS, part, times=1) as server:
            saver = caller.on(server, read_timeout=1.0)
            assert caller.run(saver, ask(GetObject("k"))) == Body(ENDLESS, "e", len(ENDLESS))
            assert saver.stats().retries == 1

    by_both(case, ("headers",), ("body",))


def test_operation_timeout_ends_it_too() -> None:
    def case(caller: Caller) -> None:
        with Trickle(ENDLESS, "body") as server:
            saver = caller.on(server, read_timeout=3600.0, operation_timeout=1.0)
            begun = time.monotonic()
            with pytest.raises(StorageUnavailableError, match=r"operation_timeout=1\).*cut after") as caught:
                caller.run(saver, ask(GetObject("k")))
            soon(begun)
            assert caught.value.attempts == server.requests == 1

    by_both(case)


def test_all_of_a_batch_ends() -> None:
    def case(caller: Caller) -> None:
        with Trickle(ENDLESS, "body") as server:
            saver = caller.on(server, max_attempts=1)
            begun = time.monotonic()
            with pytest.raises(StorageUnavailableError):
                caller.run(saver, ask_all([GetObject(f"{number}") for number in range(8)]))
            soon(begun)
            assert server.requests == 8

    by_both(case)


def test_a_body_that_is_read_slowly_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline, "RATE", 10**9)
    body = bytes(8 * 1024 * 1024)

    def case(caller: Caller, request: Request[Any]) -> None:
        with Trickle(b"", "reading") as server:
            saver = caller.on(server)
            begun = time.monotonic()
            with pytest.raises(StorageUnavailableError) as caught:
                caller.run(saver, ask(request))
            soon(begun)
            assert caught.value.attempts == server.requests == 2

    by_both(case, (PutObject("k", body),), (UploadPart("k", "id", 1, body),))


def test_what_gets_on_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes several times the fixed time, and comes at more than the least rate."""
    monkeypatch.setattr("langgraph_checkpoint_s3.request_timeout.RATE", 1)

    def case(caller: Caller) -> None:
        with Trickle(bytes(40), "body", pause=0.05) as server:
            saver = caller.on(server, connect_timeout=0.2, read_timeout=0.2)
            assert caller.run(saver, ask(GetObject("k"))).data == bytes(40)
            assert server.requests == 1

    by_both(case)


def test_a_saver_ends_too() -> None:
    def case(caller: Caller) -> None:
        with Trickle(LIST, "body") as server:
            saver = caller.on(server, operation_timeout=0.5)
            [calls] = caller.savers
            begun = time.monotonic()
            with pytest.raises(StorageUnavailableError):
                calls.get_tuple(at())
            soon(begun)
            assert saver.stats().requests == {"ListObjectsV2": 1}

    by_both(case)


def test_a_signed_url_that_trickles_is_given_up() -> None:
    def aload(url: str, *, timeout: float) -> Any:
        return asyncio.run(aload_signed_url(url, timeout=timeout))

    def case(caller: Caller, part: Part) -> None:
        with Trickle(ENDLESS, part) as server:
            begun = time.monotonic()
            url = f"{server.url}/bucket/k"
            load = aload if caller.asynchronous else load_signed_url
            with pytest.raises(StorageUnavailableError, match="cut after"):
                load(url, timeout=0.5)
            soon(begun)
            assert server.requests == 1

    by_both(case, ("headers",), ("body",))
