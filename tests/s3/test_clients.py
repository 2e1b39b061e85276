"""A client that can't be made is an error of ours too, and both clients read a broken body again."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import io
import platform
import socket
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any
from unittest.mock import MagicMock

import boto3
import botocore
import pytest
from botocore import useragent
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from moto import mock_aws
from urllib3 import HTTPResponse

from benchmarks.bucket import Answer, Bucket, Request
from benchmarks.server import Server
from langgraph_checkpoint_s3 import InvalidConfigError, S3Saver, __version__
from langgraph_checkpoint_s3.plans.plan import ask
from langgraph_checkpoint_s3.s3 import per_loop
from langgraph_checkpoint_s3.s3.admin_requests import Sign
from langgraph_checkpoint_s3.s3.requests import Body, DeleteObjects, GetObject
from langgraph_checkpoint_s3.s3.store import Store
from tests.support import inside

CONFIG: Any = {"configurable": {"thread_id": "1"}}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "AWS_PROFILE",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


def blocking(store: Store, request: GetObject) -> Any:
    return store.run(ask(request), "test")


def in_a_loop(store: Store, request: GetObject) -> Any:
    return asyncio.run(store.arun(ask(request), "test"))


Run = Callable[[Store, GetObject], Any]
BOTH = pytest.mark.parametrize("run", [blocking, in_a_loop])


@BOTH
@pytest.mark.parametrize("region", ["no region", "../x"])
def test_an_impossible_region_is_a_config_error(
    run: Run, region: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidConfigError, match="region"):
        S3Saver("bucket", region=region)
    monkeypatch.setenv("AWS_REGION", region)
    with S3Saver("bucket") as saver, pytest.raises(InvalidConfigError, match="region"):
        run(inside.store(saver), GetObject("k"))


@BOTH
def test_an_unknown_profile_is_a_config_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    with S3Saver("bucket") as saver, pytest.raises(InvalidConfigError, match="no-such-profile"):
        run(inside.store(saver), GetObject("k"))


@BOTH
def test_an_impossible_endpoint_of_the_environment_is_a_config_error(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "localhost")
    with S3Saver("bucket") as saver, pytest.raises(InvalidConfigError, match="localhost"):
        run(inside.store(saver), GetObject("k"))


HEAD = b'HTTP/1.1 200 OK\r\nContent-Length: 8\r\nETag: "e"\r\nConnection: close\r\n\r\n'


@contextlib.contextmanager
def server(*answers: bytes) -> Iterator[str]:
    """A server that gives these answers, one a connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            for answer in answers:
                with contextlib.suppress(OSError):
                    connection, _ = listening.accept()
                    with connection:
                        connection.recv(65_536)
                        connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@BOTH
def test_a_body_that_breaks_off_is_read_again(run: Run) -> None:
    with server(HEAD + b"who", HEAD + b"whole it") as url, S3Saver("bucket", endpoint_url=url) as saver:
        assert run(inside.store(saver), GetObject("k")) == Body(b"whole it", "e", 8)
        assert saver.stats().requests == {"GetObject": 2}


@pytest.mark.parametrize(
    ("settings", "begins"),
    [
        ({}, "https://bucket.s3.eu-west-1.amazonaws.com/k?"),
        ({"force_path_style": True}, "https://s3.eu-west-1.amazonaws.com/bucket/k?"),
        ({"endpoint_url": "https://s3.example.org"}, "https://s3.example.org/bucket/k?"),
        (
            {"endpoint_url": "https://s3.example.org", "force_path_style": False},
            "https://bucket.s3.example.org/k?",
        ),
    ],
)
def test_where_the_bucket_is_in_the_address(settings: dict[str, Any], begins: str) -> None:
    with S3Saver("bucket", region="eu-west-1", **settings) as saver:
        signed = inside.store(saver).run(ask(Sign("GET", "k", 60)), "test")
    assert signed.url.startswith(begins)


@BOTH
@pytest.mark.parametrize("app_id", [None, "app-1"])
def test_who_calls_is_said_once_a_client(
    run: Run, app_id: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for an application that gives itself a name: that one is only in botocore's own text."""
    built: list[Any] = []
    general = useragent.modify_components

    def listen(parts: Any) -> Any:
        built.append(parts)
        return general(parts)

    monkeypatch.setattr(useragent, "modify_components", listen)
    if app_id is not None:
        monkeypatch.setenv("AWS_SDK_UA_APP_ID", app_id)
    with Server() as server, S3Saver("bucket", endpoint_url=server.endpoint_url, transport="sdk") as saver:
        run(inside.store(saver), GetObject("k"))
    assert bool(built) == (app_id is not None)


@BOTH
@pytest.mark.parametrize("transport", ["http", "sdk"])
def test_the_user_agent(run: Run, transport: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SDK_UA_APP_ID", "app-1")
    heard: list[str] = []
    answer = Bucket.answer

    def listen(bucket: Bucket, request: Request) -> Answer:
        heard.append(request.headers["user-agent"])
        return answer(bucket, request)

    monkeypatch.setattr(Bucket, "answer", listen)
    with (
        Server() as server,
        S3Saver("bucket", endpoint_url=server.endpoint_url, transport=transport) as saver,
    ):
        run(inside.store(saver), GetObject("k"))
    assert (f"otocore/{botocore.__version__} " in f"{heard[0]} ") == (transport == "sdk")
    assert "app/app-1" in heard[0]
    assert platform.python_version() in heard[0]
    assert f" langgraph-checkpoint-s3/{__version__}" in heard[0]


@pytest.mark.parametrize("url", [None, "https://s3.example.org"])
def test_other_stores_than_aws_get_an_md5_where_a_checksum_is_required(url: str | None) -> None:
    sent: dict[str, Any] = {}

    def answer(request: Any, **_: Any) -> AWSResponse:
        sent.update(request.headers, body=request.body)
        return AWSResponse(
            request.url,
            200,
            HTTPHeaders(),
            HTTPResponse(
                io.BytesIO(b"<DeleteResult><Deleted><Key>k</Key></Deleted></DeleteResult>"),
                preload_content=False,
            ),
        )

    with S3Saver("bucket", endpoint_url=url, transport="sdk") as saver:
        client = inside.store(saver)._boto.get().client
        client.meta.events.register("before-send.s3", answer)
        inside.store(saver).run(ask(DeleteObjects(("k",))), "test")
    digest = base64.b64encode(hashlib.md5(sent["body"], usedforsecurity=False).digest())
    assert sent.get("Content-MD5") == (digest if url else None)
    assert sent["x-amz-checksum-crc32"]


async def lifetime() -> AsyncGenerator[None, None]:
    yield


def test_a_loop_that_is_closed_just_then_has_closed_its_client() -> None:
    loop = MagicMock()
    loop.is_closed.return_value = False
    loop.call_soon_threadsafe.side_effect = RuntimeError("Event loop is closed")
    per_loop._close_soon(loop, lifetime())


def test_what_closes_a_client_is_held_until_it_has() -> None:
    async def use() -> None:
        held = lifetime()
        await anext(held)
        per_loop._close_soon(asyncio.get_running_loop(), held)
        await asyncio.sleep(0)
        [task] = per_loop._closing
        await task
        await asyncio.sleep(0)
        assert not per_loop._closing
        assert [each async for each in held] == []

    asyncio.run(use())


@BOTH
def test_moto_in_the_same_process_is_asked(run: Run) -> None:
    """`mock_aws` stands in for S3 within the SDK, where applications' own tests count on it."""
    with mock_aws():
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="bucket")
        boto3.client("s3", region_name="us-east-1").put_object(Bucket="bucket", Key="k", Body=b"moto's")
        with S3Saver("bucket", region="us-east-1") as saver:
            found = run(inside.store(saver), GetObject("k"))
            assert found.data == b"moto's"
