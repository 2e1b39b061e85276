"""`load_signed_url` with arbitrary responses: typed errors, bounded reads, and no URL in messages."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
import traceback
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from langgraph_checkpoint_s3 import (
    AccessDeniedError,
    BucketNotFoundError,
    CheckpointArchivedError,
    CorruptObjectError,
    InvalidConfigError,
    InvalidKeyError,
    S3CheckpointError,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.admin.signed_urls.download import aload_signed_url, load_signed_url
from langgraph_checkpoint_s3.admin.transfer.dumps import dumps
from tests.admin.transfer.test_portable_file import FILE, OBJECT, PLAIN, made
from tests.support.checkpoints import shown
from tests.support.hanging import HANG

SECRET = "0123456789abcdef"
KEY = "bucket/agents/t.2F1.thread/.ns/cdz/checkpoint.p1.kloop.s1.rr"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@contextlib.contextmanager
def serving(answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Run a server with one response. Yield its address and the requests that arrive."""
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection:
                        seen.append(connection.recv(65536))
                        connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}", seen
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(HANG)  # before the next server gets the number of this one's file descriptor


def answer(body: bytes, status: str = "200 OK", length: int | None = None, *more: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *more]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + body


def error(status: str, code: str) -> bytes:
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{SECRET}</Message></Error>'
    return answer(body.encode(), status)


def moved(status: str, where: str) -> bytes:
    return answer(FILE, status, None, f"Location: {where}")


def query(age: timedelta = timedelta(0), seconds: int = 3600) -> str:
    begun = datetime.now(timezone.utc) - age
    return f"X-Amz-Date={begun:%Y%m%dT%H%M%SZ}&X-Amz-Expires={seconds}&X-Amz-Signature={SECRET}"


def load(reply: bytes, path: str = "bucket/file.zip", asked: str | None = None, **keywords: Any) -> Any:
    with serving(reply) as (url, _):
        return load_signed_url(f"{url}/{path}?{asked or query()}", **keywords)


def test_a_portable_file() -> None:
    with serving(answer(FILE)) as (url, seen):
        found = load_signed_url(f"{url}/bucket/.exports/t/x.zip?{query()}")
    assert shown(found) == shown(made())
    [request] = seen
    assert request.startswith(b"GET /bucket/.exports/t/x.zip?X-Amz-Date=")
    assert b"Authorization" not in request


@pytest.mark.parametrize(
    "path", [KEY, f"a/b/c/{KEY}", KEY.removeprefix("bucket/"), KEY.replace("/.ns", "/%2Ens")]
)
def test_an_object_is_of_the_thread_that_the_url_names(path: str) -> None:
    assert shown(load(answer(OBJECT), path)) == shown(made("t/1", writes=[]))


def test_an_object_under_a_foreign_key() -> None:
    found = load(answer(OBJECT), "d/file.bin")
    assert found.config["configurable"]["thread_id"] == ""


def test_an_object_under_another_ones_key_is_refused() -> None:
    with pytest.raises(CorruptObjectError, match="another one's key"):
        load(answer(OBJECT), KEY.replace("cdz", "cez"))
    with pytest.raises(CorruptObjectError):
        load(answer(PLAIN[next(name for name in PLAIN if "writes" in name)]), KEY)


def test_as_a_coroutine() -> None:
    with serving(answer(FILE)) as (url, _):
        assert shown(asyncio.run(aload_signed_url(f"{url}/x?{query()}"))) == shown(made())


REFUSALS: list[tuple[bytes, str, type[S3CheckpointError], str]] = [
    (error("403 Forbidden", "AccessDenied"), "old", AccessDeniedError, "has expired, at 20"),
    (error("400 Bad Request", "ExpiredToken"), "old", AccessDeniedError, "has expired"),
    (error("400 Bad Request", "ExpiredToken"), "new", AccessDeniedError, "credentials.* have ended"),
    (error("403 Forbidden", "SignatureDoesNotMatch"), "new", AccessDeniedError, "was changed"),
    (error("403 Forbidden", "AccessDenied"), "new", AccessDeniedError, "may not read"),
    (error("400 Bad Request", "AuthorizationQueryParametersError"), "new", AccessDeniedError, "isn't valid"),
    (answer(b"", "401 Unauthorized"), "odd", AccessDeniedError, "401"),
    (error("403 Forbidden", "InvalidObjectState"), "old", CheckpointArchivedError, "restore"),
    (error("404 Not Found", "NoSuchKey"), "new", InvalidKeyError, "nothing where"),
    (answer(b"<html>", "404 Not Found"), "new", InvalidKeyError, "nothing where"),
    (error("404 Not Found", "NoSuchBucket"), "new", BucketNotFoundError, "bucket"),
    (error("503 Slow Down", "SlowDown"), "new", StorageUnavailableError, "503 SlowDown"),
    (answer(b"\xff" * 100, "500 Oh"), "new", StorageUnavailableError, "500"),
    (answer(b"", "204 No Content"), "new", StorageUnavailableError, "204"),
    (moved("301 Moved", "http://127.0.0.1:1/"), "new", StorageUnavailableError, "redirect"),
    (moved("307 Moved", "file:///etc/passwd"), "new", StorageUnavailableError, "redirect"),
    (answer(FILE[:50], length=len(FILE)), "new", StorageUnavailableError, "broke off|IncompleteRead"),
    (b"hello, this isn't HTTP\r\n\r\n", "new", StorageUnavailableError, "can't be reached"),
    (b"", "new", StorageUnavailableError, "can't be reached"),
    (answer(b"hello"), "new", CorruptObjectError, "ZIP"),
    (answer(FILE[:-1]), "new", CorruptObjectError, "ZIP"),
    (answer(b""), "new", CorruptObjectError, "ZIP"),
]


@pytest.mark.parametrize("number", range(len(REFUSALS)))  # the answers themselves differ from run to run
def test_every_other_answer_is_a_typed_error(number: int) -> None:
    reply, age, kind, match = REFUSALS[number]
    asked = {
        "old": query(timedelta(hours=2)),
        "new": query(),
        "odd": "X-Amz-Date=x&X-Amz-Expires=99999999999",
    }
    with pytest.raises(kind, match=match) as raised:
        load(reply, KEY if kind is BucketNotFoundError else "bucket/x.zip", asked[age])
    assert type(raised.value) is kind
    if isinstance(raised.value, StorageUnavailableError) and reply.startswith(b"HTTP/1.1 5"):
        assert raised.value.status in (500, 503)
    assert_secret(raised.value)


def assert_secret(error: BaseException | None) -> None:
    """Check that neither the error nor its causes show the signature."""
    assert error is not None
    assert SECRET not in "".join(traceback.format_exception(error))
    while error is not None:
        assert SECRET not in f"{error!s}{error!r}{error.__dict__!r}{error.args!r}"
        assert error.__cause__ is None or isinstance(error, CorruptObjectError)
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize(
    "url",
    [
        f"ftp://host/x?{SECRET}",
        f"file:///etc/passwd?{SECRET}",
        f"s3://bucket/x?{SECRET}",
        f"https:///x?{SECRET}",
        f"host/x?{SECRET}",
        f"http://[::1/x?{SECRET}",
        f"http://127.0.0.1:port/x?{SECRET}",
        f"http://127.0.0.1:99999/x?{SECRET}",
        f"http://127.0.0.1:1/x y?{SECRET}",
        f"http://127.0.0.1:1/x\n?{SECRET}é",
        f"http://{'a' * 70}.example/x?{SECRET}",
        "",
        None,
        7,
        b"http://127.0.0.1:1/x",
    ],
)
def test_invalid_urls(url: Any) -> None:
    with pytest.raises((InvalidConfigError, StorageUnavailableError)) as raised:
        load_signed_url(url, timeout=HANG)
    assert_secret(raised.value)


def test_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(StorageUnavailableError, match="can't be reached") as raised:
        load_signed_url(f"http://127.0.0.1:{port}/x?{query()}")
    assert_secret(raised.value)
    assert SECRET not in caplog.text


def test_a_server_that_says_nothing_isnt_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/x?{query()}"
        with pytest.raises(StorageUnavailableError, match="was cut after") as raised:
            load_signed_url(url, timeout=0.05)
    assert_secret(raised.value)


@pytest.mark.parametrize("chunked", [False, True])
def test_an_answer_is_read_up_to_a_bound(chunked: bool) -> None:
    body = b"x" * 200_000
    if chunked:
        reply = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n30d40\r\n" + body + b"\r\n0\r\n\r\n"
    else:
        reply = answer(body)
    with pytest.raises(CorruptObjectError, match="max_bytes=1000"):
        load(reply, max_bytes=1_000)
    with pytest.raises(CorruptObjectError, match="ZIP"):
        load(reply, max_bytes=200_000)


def test_content_that_unpacks_too_large_is_refused() -> None:
    data = dumps(made(text="x" * 100_000))
    with pytest.raises(CorruptObjectError, match=f"max_bytes is {len(data)}"):
        load(answer(data), max_bytes=len(data))
