"""An answer is checked to be S3's before anything of it is believed: each request, in each world."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_checkpoint_s3 import AccessDeniedError, StorageUnavailableError
from langgraph_checkpoint_s3.s3 import bucket_settings
from langgraph_checkpoint_s3.s3.admin_requests import (
    RestoreObject,
)
from langgraph_checkpoint_s3.s3.bucket_settings import PutSetting
from langgraph_checkpoint_s3.s3.requests import (
    Body,
    DeleteObjects,
    GetObject,
    GetWithAge,
    ListObjects,
    PutObject,
    Request,
    Stored,
)
from langgraph_checkpoint_s3.testing.faults import Reply
from tests.contract.front import Front
from tests.contract.operations import ALL
from tests.contract.support import MakeCalls, MakeSaver, Place, at, build_thread, checkpoint, metadata
from tests.contract.worlds import ADMIN, REQUESTS, Run
from tests.support.sampling import combined

PAGE = (
    b'<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE html>\n'
    b'<html xmlns="http://www.w3.org/1999/xhtml"><head><title>Sign in</title></head><body>Hello</body></html>'
)
HTML = {"Content-Type": "text/html"}
FALSE: dict[str, Reply] = {
    "an empty 200": Reply(b""),
    "a 204": Reply(b"", 204),
    "a page": Reply(PAGE, headers=HTML),
    "a page that is no XML": Reply(b"<!doctype html><html><p>Starting<br>up</html>", headers=HTML),
    "text": Reply(b"OK", headers={"Content-Type": "text/plain"}),
}
"""Answers of proxies, captive portals and gateways in place of S3's."""
RIGHT = {("abort an upload", "a 204")}
"""Combinations that are valid answers of S3."""


@pytest.mark.parametrize("name", REQUESTS)
def test_an_invalid_answer_is_retried_and_then_an_error(name: str, run: Run, front: Front) -> None:
    for kind, reply in FALSE.items():
        if (name, kind) in RIGHT:
            continue
        front.reset()
        front.fail("*", reply, times=None)
        with pytest.raises(StorageUnavailableError, match="isn't S3's answer") as caught:
            run(REQUESTS[name])
        assert caught.value.attempts == 2, kind
        # botocore counts a document that is no XML as a failure of the store's, a 500.
        assert caught.value.status in (reply.status, 500 if reply.body else None), kind
        assert len(front.log) == 2, kind
        message = str(caught.value)
        assert type(REQUESTS[name]).__name__ in message
        if reply.headers:
            assert reply.headers["Content-Type"] in message
        if reply.body.startswith(b"<") and name not in ("head", "inspect"):
            assert repr(reply.body[:60])[2:40] in message, "its first bytes"
        assert len(message) < 800


@pytest.mark.parametrize("request_", [RestoreObject("k", 1), PutSetting(bucket_settings.POLICY, "{}")])
def test_a_page_is_nothing_done(request_: Request[Any], run: Run, front: Front) -> None:
    front.fail("*", FALSE["a page"], times=None)
    with pytest.raises(StorageUnavailableError, match="it is a page"):
        run(request_)


def test_a_right_answer_after_a_false_one_is_believed(run: Run, front: Front, place: Place) -> None:
    front.fail("PutObject", Reply(b""))
    assert isinstance(run(PutObject("k", b"data")), Stored)
    front.fail("GetObject", FALSE["a page"])
    assert run(GetObject("k", keep=False)) == Body(b"data", place.objects()["k"].strip('"'), 4)
    front.fail("ListObjectsV2", Reply(b""))
    assert [entry.key for entry in run(ListObjects("")).entries] == ["k"]
    front.fail("DeleteObjects", Reply(b""))
    assert run(DeleteObjects(("k",))).failed == ()
    assert place.listing() == []


@pytest.mark.parametrize(
    ("request_", "reply"),
    [
        (GetObject("k", first=2, length=2, keep=False), Reply(b"whole object", headers={"ETag": '"e"'})),
        (
            GetObject("k", first=2, length=2, keep=False),
            Reply(b"ab", 206, {"ETag": '"e"', "Content-Range": "bytes 4-5/12"}),
        ),
        (
            GetObject("k", first=2, keep=False),
            Reply(b"abc", 206, {"ETag": '"e"', "Content-Range": "bytes 2-3/12"}),
        ),
        (GetWithAge("k"), Reply(b"x" * 5000, headers={"ETag": '"e"'})),
    ],
)
def test_other_bytes_than_those_that_were_asked_for(
    request_: Request[Any], reply: Reply, run: Run, front: Front
) -> None:
    front.fail("*", reply, times=None)
    with pytest.raises(StorageUnavailableError, match="were asked for") as caught:
        run(request_)
    assert "whole object" not in str(caught.value)  # what may be a state isn't shown


def test_an_error_in_a_200_is_an_error(run: Run, front: Front) -> None:
    error = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
    front.fail("*", Reply(error), times=None)
    for name in ("copy", "complete an upload", "list", "delete"):
        with pytest.raises((AccessDeniedError, StorageUnavailableError), match="AccessDenied"):
            run(REQUESTS[name])


def test_a_completion_without_an_etag_is_one_by_its_result(run: Run, front: Front) -> None:
    """Ceph 16 says no ETag there."""
    result = b"<CompleteMultipartUploadResult><Bucket>b</Bucket><Key>k</Key></CompleteMultipartUploadResult>"
    front.fail("*", Reply(result))
    assert run(REQUESTS["complete an upload"]) == Stored("")


class TestOperations:
    @combined(name=list(ALL), driver=["sync", "async"])
    def test_none_believes_what_is_no_answer(
        self, name: str, make_calls: MakeCalls, make_saver: MakeSaver, place: Place
    ) -> None:
        build_thread(make_saver())
        before = place.objects()
        for kind in ("an empty 200", "a page"):
            calls = make_calls(max_attempts=2)
            place.front.fail("*", FALSE[kind], times=None)
            with pytest.raises(StorageUnavailableError, match="isn't S3's answer"):
                ALL[name](calls)
            place.front.reset()
            assert place.objects() == before, kind

    @pytest.mark.parametrize("method", ADMIN)
    def test_nor_does_the_admin(self, method: str, make_admin: MakeCalls, front: Front) -> None:
        calls = make_admin(max_attempts=2)
        front.fail("*", Reply(b""), times=None)
        with pytest.raises(StorageUnavailableError, match="isn't S3's answer"):
            ADMIN[method](calls)

    def test_the_check_reports_it(self, make_admin: MakeCalls, front: Front) -> None:
        front.fail("*", Reply(b""), times=None)
        report = make_admin(max_attempts=2).check()
        assert not report.ok
        assert "isn't S3's answer" in report["connection"].detail


def test_a_saver_is_not_acknowledged_by_a_proxy(make_calls: MakeCalls, front: Front, place: Place) -> None:
    """A conversation of one checkpoint doesn't begin anew because a proxy answered once."""
    calls = make_calls()
    config = calls.put(at(), checkpoint(), metadata(), {})
    front.fail("*", FALSE["a page"])
    assert (
        calls.get_tuple(at()).config["configurable"]["checkpoint_id"]
        == config["configurable"]["checkpoint_id"]
    )
