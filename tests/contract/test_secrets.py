"""Keys, tokens, signed URLs and payloads are in no log, repr, error, cause or context."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

import langgraph_checkpoint_s3
from langgraph_checkpoint_s3 import InvalidConfigError, S3CheckpointError, S3Config
from langgraph_checkpoint_s3.admin import dumps, load_signed_url, loads
from langgraph_checkpoint_s3.s3.requests import Body, PutObject
from tests.contract.front import Answer, BreakOff
from tests.contract.operations import ALL
from tests.contract.support import MakeCalls, MakeSaver, Place, at, build_thread, checkpoint, metadata
from tests.support.hanging import HANG
from tests.support.sampling import combined

SECRET_KEY = "canary-of-the-secret-key"
TOKEN = "canary-of-the-session-token"
PAYLOAD = "canary-of-the-payload"
CANARIES = (SECRET_KEY, TOKEN, PAYLOAD)
ECHO = (
    f"<Token-0>{TOKEN}</Token-0><StringToSign>x-amz-security-token:{TOKEN}</StringToSign>"
    f"<CanonicalRequest>x-amz-security-token:{TOKEN}</CanonicalRequest>"
)
"""The parts of a refused request that S3 returns in its answer."""


@pytest.fixture(autouse=True)
def canaries(place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    caplog.set_level(logging.DEBUG, "langgraph_checkpoint_s3")


class Talkative(JsonPlusSerializer):
    """Says what it can't read, as `json` does in its errors' attributes."""

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        try:
            return super().loads_typed(data)
        except Exception as error:
            raise ValueError(data, f"can't read {data[1]!r}") from error


class Unreadable(Talkative):
    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        kind, raw = super().dumps_typed(obj)
        return ("odd", raw) if PAYLOAD.encode() in raw else (kind, raw)


def texts_of(error: BaseException) -> Iterator[str]:
    """Yield all texts of an error: of itself and its attributes, its causes, contexts and notes."""
    seen: list[BaseException] = []
    waiting = [error]
    while waiting:
        each = waiting.pop()
        if each in seen:
            continue
        seen.append(each)
        yield from (str(each), repr(each), repr(each.args), repr(vars(each)))
        yield from getattr(each, "__notes__", ())
        waiting += [more for more in (each.__cause__, each.__context__) if more is not None]


def check(error: BaseException, *more: str) -> None:
    for text in texts_of(error):
        for canary in (*CANARIES, *more):
            assert canary not in text


def quiet(caplog: pytest.LogCaptureFixture, *more: str) -> None:
    ours = [record for record in caplog.records if record.name.startswith("langgraph_checkpoint_s3")]
    for record in ours:
        for canary in (*CANARIES, *more):
            assert canary not in record.getMessage()
            assert canary not in repr(record.args)


def fill(saver: Any) -> None:
    build_thread(saver, checkpoints=1)
    config = saver.put(at(), checkpoint({"text": PAYLOAD, "list": [PAYLOAD]}), metadata(9, mark=PAYLOAD), {})
    saver.put_writes(config, [("text", PAYLOAD)], "task")


FAULTS: dict[str, Any] = {
    "denied": Answer(403, "AccessDenied", "no", details=ECHO),
    "token": Answer(400, "InvalidToken", "The provided token is malformed.", details=ECHO),
    "slow": Answer(503, "SlowDown", "slower", details=ECHO),
    "cut": BreakOff(3),
}
WRITING = ("PutObject", "CreateMultipartUpload", "CopyObject", "DeleteObjects")


@combined(fault=FAULTS, driver=["sync", "async"])
def test_of_whatever_fails(
    make_calls: MakeCalls, make_saver: MakeSaver, place: Place, caplog: pytest.LogCaptureFixture, fault: Any
) -> None:
    failed = 0
    writer, calls = make_saver(), make_calls(max_attempts=1, cache_bytes=0)
    for operations in (("GetObject",), ("ListObjectsV2",), WRITING):
        fill(writer)
        for operation in operations:
            place.front.fail(operation, fault, times=100)
        if operations == ("GetObject",):
            with pytest.raises(S3CheckpointError) as caught:
                make_calls(max_attempts=2).get_tuple(at())
            check(caught.value)
        for do in ALL.values():
            try:
                do(calls)
            except S3CheckpointError as error:
                failed += 1
                check(error)
        assert all(canary not in repr(calls.saver) + repr(calls.saver.config) for canary in CANARIES)
        place.front.reset()
    assert failed
    quiet(caplog)


def test_of_what_the_serializer_cannot_read(
    make_calls: MakeCalls, make_saver: MakeSaver, caplog: pytest.LogCaptureFixture
) -> None:
    fill(make_saver(serde=Unreadable()))
    calls = make_calls(serde=Talkative())
    reads = (
        lambda: calls.get_tuple(at()),
        lambda: calls.list(at()),
        lambda: calls.list(at(), filter={"mark": PAYLOAD}),
        lambda: calls.prune(["thread"]),
        lambda: calls.get_delta_channel_history(config=at(), channels=["text"]),
    )
    failed = []
    for read in reads:
        try:
            read()
        except S3CheckpointError as error:
            check(error)
            assert error.key  # noqa: PT017  # some reads succeed
            failed.append(error)
    assert len(failed) >= 3
    found = make_saver(serde=Unreadable()).get_tuple
    with pytest.raises(S3CheckpointError) as caught:
        found(at())
    check(caught.value)
    quiet(caplog)


def test_of_what_is_handed_over(make_saver: MakeSaver) -> None:
    saver = make_saver()
    fill(saver)
    found = saver.get_tuple(at())
    assert found is not None
    data = dumps(found, serde=Unreadable(), compression="none")
    assert PAYLOAD.encode() in data
    with pytest.raises(S3CheckpointError) as caught:
        loads(data, serde=Talkative())
    check(caught.value)
    for place_ in range(0, len(data), 97):
        for damaged in (data[:place_], data[:place_] + b"\xff" + data[place_ + 1 :]):
            with pytest.raises(S3CheckpointError) as caught:
                loads(damaged, serde=Talkative())
            check(caught.value)


def test_of_a_signed_url(make_admin: MakeCalls, place: Place, caplog: pytest.LogCaptureFixture) -> None:
    admin = make_admin()
    fill(admin.saver.saver)
    newest = admin.saver.saver.get_tuple(at())
    with pytest.warns(UserWarning, match="temporary") as warned:  # noqa: PT031  # both warn
        url = admin.signed_url("thread", newest.checkpoint["id"], timedelta(minutes=5))
        upload = admin.signed_upload_url("thread")
    signature = url.rpartition("X-Amz-Signature=")[2]
    assert TOKEN in url
    for text in (repr(upload), *(str(each.message) for each in warned)):
        assert all(canary not in text for canary in (*CANARIES, "X-Amz-Signature"))
    key = url.partition("?")[0].partition(place.bucket + "/")[2]
    place.write(key, b"damaged" * 9)
    place.front.fail("GetObject", Answer(403, "AccessDenied", url.replace("&", "&amp;")), times=1)
    for asked in (url, url, url.replace("http://", "http://nobody.invalid/"), url + "\n", url[4:]):
        with pytest.raises(S3CheckpointError) as caught:
            load_signed_url(asked, timeout=HANG)
        check(caught.value, signature, url)
    quiet(caplog, signature)


def test_of_a_bad_setting() -> None:
    for uri in (
        f"s3://AKIA:{SECRET_KEY}@bucket/prefix",
        f"s3://bucket/prefix?aws_secret_access_key={SECRET_KEY}",
        f"s3://bucket/prefix?endpoint_url=https://me:{SECRET_KEY}@host",
        f"s3://[{SECRET_KEY}",
        f"postgres://me:{SECRET_KEY}@host/db",
    ):
        with pytest.raises(InvalidConfigError) as caught:
            S3Config.from_conn_string(uri)
        check(caught.value)


def test_no_repr_shows_bytes(make_saver: MakeSaver) -> None:
    """Requests and answers are what a debugger, or an error reporter, finds in a traceback's frames."""
    for shown in (PutObject("key", PAYLOAD.encode()), Body(PAYLOAD.encode(), "etag", 1)):
        assert PAYLOAD not in repr(shown)
    saver = make_saver(compression="none")
    with suppress(S3CheckpointError):
        fill(saver)
    module = langgraph_checkpoint_s3.__name__ + "."
    ours = [each for each in gc.get_objects() if str(type(each).__module__).startswith(module)]
    assert ours
    assert not [type(each) for each in ours if PAYLOAD in repr(each)]
