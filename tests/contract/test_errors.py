"""Errors of the bucket, permissions, network and conditions are raised as the classes documented for them."""

from __future__ import annotations

import json
import logging
import socket
import threading

import pytest

from langgraph_checkpoint_s3 import (
    AccessDeniedError,
    BucketNotFoundError,
    InvalidConfigError,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.testing.faults import Seen
from tests.contract.admin.drivers import async_mostly, sync_mostly
from tests.contract.front import Answer, BreakOff, Fault, Front, HangUp, Park, Reply
from tests.contract.operations import ALL, READS, WRITES
from tests.contract.support import (
    Calls,
    MakeCalls,
    MakeSaver,
    Place,
    at,
    build_thread,
    checkpoint,
    metadata,
)
from tests.support.pauses import shorten_pauses
from tests.support.sampling import combined


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the client library try again at once."""
    shorten_pauses(monkeypatch)


class TestTheBucket:
    def test_a_missing_bucket_is_named(self, make_calls: MakeCalls) -> None:
        calls = make_calls(bucket="there-is-no-such-bucket")
        for call in ALL.values():
            with pytest.raises(BucketNotFoundError, match=r"setup\(\)") as caught:
                call(calls)
            assert caught.value.bucket == "there-is-no-such-bucket"
            assert isinstance(caught.value, LookupError)
            assert caught.value.__cause__ is not None

    @async_mostly
    def test_setup_makes_it(self, make_calls: MakeCalls, place: Place, driver: str) -> None:
        name = f"{place.bucket}-{driver}"
        calls = make_calls(bucket=name)
        calls.setup()
        try:
            calls.setup()
            build_thread(calls)
            assert len(calls.list(at())) == 3
            calls.delete_thread("thread")
            assert "Contents" not in place.client.list_objects_v2(Bucket=name)  # the probe is gone too
        finally:
            place.client.delete_bucket(Bucket=name)


DENIED = [
    ("get_tuple", "ListObjectsV2", "s3:ListBucket"),
    ("get_tuple", "GetObject", "s3:GetObject"),
    ("list filtered", "GetObject", "s3:GetObject"),
    ("history", "GetObject", "s3:GetObject"),
    ("put", "PutObject", "s3:PutObject"),
    ("put large", "CreateMultipartUpload", "s3:PutObject"),
    ("put_writes", "PutObject", "s3:PutObject"),
    ("copy_thread", "CopyObject", "s3:GetObject and s3:PutObject"),
    ("delete_thread", "DeleteObjects", "s3:DeleteObject"),
]
"""An operation, the request that is denied, and the actions that it needs."""


class TestPermissions:
    @sync_mostly
    def test_a_denied_action_is_named(
        self, make_calls: MakeCalls, make_saver: MakeSaver, place: Place
    ) -> None:
        build_thread(make_saver())
        before = place.objects()
        for name, operation, action in DENIED:
            place.front.fail(operation, Answer(403, "AccessDenied", "Access Denied"), times=1000)
            with pytest.raises(AccessDeniedError, match=action) as caught:
                ALL[name](make_calls())
            assert caught.value.action == action, name
            assert caught.value.bucket == place.bucket, name
            assert caught.value.request_ids == ("REQUEST", "HOST"), name
            assert isinstance(caught.value, PermissionError), name
            place.front.reset()
            assert place.objects() == before, name

    def test_amazons_own_words_count_more(self, calls: Calls, front: Front) -> None:
        message = (
            "User: arn:aws:iam::1:user/me is not authorized to perform: kms:GenerateDataKey on resource: k"
        )
        front.fail("PutObject", Answer(403, "AccessDenied", message))
        with pytest.raises(AccessDeniedError) as caught:
            WRITES["put"](calls)
        assert caught.value.action == "kms:GenerateDataKey"

    @pytest.mark.parametrize("action", ["PutObject", "GetObject"])
    def test_a_bucket_policy(
        self, make_calls: MakeCalls, make_saver: MakeSaver, place: Place, action: str
    ) -> None:
        if not place.server.features.bucket_policy:
            pytest.skip("no policies here")
        build_thread(make_saver())
        arn = f"arn:aws:s3:::{place.bucket}"
        deny = {"Effect": "Deny", "Principal": "*", "Action": f"s3:{action}", "Resource": f"{arn}/*"}
        policy = {"Version": "2012-10-17", "Statement": [deny]}
        place.client.put_bucket_policy(Bucket=place.bucket, Policy=json.dumps(policy))
        try:
            with pytest.raises(AccessDeniedError) as caught:
                (WRITES["put"] if action == "PutObject" else READS["get_tuple"])(make_calls())
            with pytest.raises(AccessDeniedError, match=f"s3:{action}"):
                make_calls().setup()
        finally:
            place.client.delete_bucket_policy(Bucket=place.bucket)
        assert caught.value.action == f"s3:{action}"

    @pytest.mark.parametrize(
        ("status", "code", "words"),
        [
            (403, "InvalidAccessKeyId", "access key id"),
            (403, "SignatureDoesNotMatch", "secret access key"),
            (400, "ExpiredToken", "expired"),
            (403, "RequestTimeTooSkewed", "clock"),
        ],
    )
    def test_wrong_credentials(
        self, make_calls: MakeCalls, front: Front, status: int, code: str, words: str
    ) -> None:
        front.fail("*", Answer(status, code), times=100)
        for call in (READS["get_tuple"], WRITES["put"], lambda calls: calls.setup()):
            with pytest.raises(AccessDeniedError, match=words) as caught:
                call(make_calls())
            assert caught.value.action is None

    def test_a_wrong_secret(
        self, make_calls: MakeCalls, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if not place.server.features.credentials:
            pytest.skip("no credentials here")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-wrong-one")
        with pytest.raises(AccessDeniedError, match="secret access key"):
            READS["get_tuple"](make_calls())
        with pytest.raises(AccessDeniedError, match="secret access key"):
            WRITES["put"](make_calls())

    @pytest.mark.parametrize("name", ["get_tuple", "list", "put", "put_writes"])
    def test_no_credentials(
        self, make_calls: MakeCalls, front: Front, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        with pytest.raises(AccessDeniedError, match="AWS_ACCESS_KEY_ID"):
            ALL[name](make_calls())
        assert front.log == []


class TestTheWayThere:
    @pytest.fixture(autouse=True)
    def short_pauses(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """botocore pauses for up to a second before its first retry."""
        shorten_pauses(monkeypatch, 0.01)

    def test_a_refused_connection(self, make_calls: MakeCalls) -> None:
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
            calls = make_calls(endpoint_url=url, max_attempts=2)
            for call in (READS["get_tuple"], WRITES["put"]):
                with pytest.raises(StorageUnavailableError, match="endpoint_url") as caught:
                    call(calls)
                assert isinstance(caught.value, ConnectionError)
                assert caught.value.bucket
                assert caught.value.attempts == 2

    @pytest.mark.parametrize(
        ("status", "code"),
        [
            (301, "PermanentRedirect"),
            (400, "AuthorizationHeaderMalformed"),
            (400, "IllegalLocationConstraintException"),
        ],
    )
    def test_a_wrong_region(self, make_calls: MakeCalls, front: Front, status: int, code: str) -> None:
        # Amazon names the right region, and botocore follows it once.
        front.fail("*", Answer(status, code, headers={"x-amz-bucket-region": "eu-west-1"}), times=100)
        with pytest.raises(InvalidConfigError, match="set region"):
            READS["get_tuple"](make_calls())

    def test_a_server_that_does_not_answer(self, make_calls: MakeCalls, front: Front) -> None:
        event = threading.Event()
        front.fail("*", Park(event), times=100)
        with pytest.raises(StorageUnavailableError) as caught:
            READS["get_tuple"](make_calls(read_timeout=0.2, max_attempts=2))
        event.set()
        assert caught.value.attempts == len(front.log) == 2

    @async_mostly
    def test_slow_down_that_stays(self, make_calls: MakeCalls, make_saver: MakeSaver, place: Place) -> None:
        build_thread(make_saver(), checkpoints=1)
        before = place.objects()
        for name in ("get_tuple", "put", "put_writes", "put large", "delete_thread"):
            place.front.fail("*", Answer(503, "SlowDown", "Please reduce your request rate."), times=1000)
            with pytest.raises(StorageUnavailableError, match="SlowDown") as caught:
                ALL[name](make_calls(max_attempts=2))
            assert (caught.value.status, caught.value.attempts) == (503, 2), name
            place.front.reset()
            assert place.objects() == before, name

    @pytest.mark.parametrize(("setting", "attempts"), [(None, 2), (3, 3)])
    def test_the_number_of_attempts_is_awss_own_unless_it_is_set(
        self,
        make_calls: MakeCalls,
        front: Front,
        monkeypatch: pytest.MonkeyPatch,
        setting: int | None,
        attempts: int,
    ) -> None:
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
        front.fail("*", Answer(500, "InternalError"), times=100)
        with pytest.raises(StorageUnavailableError) as caught:
            READS["get_tuple"](make_calls(max_attempts=setting))
        assert caught.value.attempts == len(front.log) == attempts

    @combined(
        name=["get_tuple", "list", "put", "put_writes", "delete_thread", "copy_thread"],
        driver=["sync", "async"],
    )
    def test_what_passes_is_not_noticed(
        self, make_calls: MakeCalls, make_saver: MakeSaver, front: Front, name: str
    ) -> None:
        calls = make_calls()
        for fault in (Answer(503, "SlowDown"), Answer(500, "InternalError"), HangUp()):
            build_thread(make_saver(), checkpoints=1)
            front.reset()
            front.fail("*", fault)
            ALL[name](calls)
            assert len(front.log) >= 2

    def test_a_body_that_breaks_off_is_read_again(
        self, make_calls: MakeCalls, make_saver: MakeSaver, front: Front
    ) -> None:
        whole = make_saver()
        build_thread(whole, checkpoints=1, tasks=0)
        reader = make_calls()
        front.reset()
        front.fail("GetObject", BreakOff(100), times=2)
        assert reader.get_tuple(at()) == whole.get_tuple(at())
        assert front.counts()["GetObject"] == 3

    def test_a_listing_that_breaks_off_is_read_again(
        self, make_calls: MakeCalls, make_saver: MakeSaver, front: Front
    ) -> None:
        build_thread(make_saver(), checkpoints=2)
        front.fail("ListObjectsV2", BreakOff(150))
        assert len(make_calls().list(at())) == 2

    def test_a_body_that_always_breaks_off_is_an_error(
        self, make_calls: MakeCalls, make_saver: MakeSaver, place: Place
    ) -> None:
        build_thread(make_saver(), checkpoints=1, tasks=0)
        [key] = place.listing()
        place.front.fail("GetObject", BreakOff(100), times=1000)
        with pytest.raises(StorageUnavailableError) as caught:
            make_calls(max_attempts=3).get_tuple(at())
        assert (caught.value.attempts, caught.value.key) == (3, key)

    @pytest.mark.parametrize("operation", ["CompleteMultipartUpload", "CopyObject"])
    def test_an_error_under_status_200_is_one(
        self, make_calls: MakeCalls, place: Place, operation: str
    ) -> None:
        calls = make_calls(max_attempts=2)
        build_thread(calls, checkpoints=1, tasks=0)
        fault = Reply(b'<?xml version="1.0"?><Error><Code>InternalError</Code><Message>m</Message></Error>')
        name = "copy_thread" if operation == "CopyObject" else "put large"
        place.front.fail(operation, fault)
        WRITES[name](calls)
        calls.delete_thread("new")
        before = place.objects()
        place.front.fail(operation, fault, times=100)
        with pytest.raises(StorageUnavailableError):
            WRITES[name](calls)
        assert place.objects() == before
        assert place.uploads() == []


class TestOlderStores:
    def test_what_needs_a_checksum_has_the_old_one_too(
        self, calls: Calls, place: Place, front: Front
    ) -> None:
        def strict(seen: Seen) -> Fault | None:
            lacks = seen.operation == "DeleteObjects" and "content-md5" not in seen.headers
            return Answer(400, "MissingContentMD5") if lacks else None

        build_thread(calls)
        front.schedule = strict
        calls.delete_thread("thread")
        assert place.listing() == []
        assert front.counts()["DeleteObjects"] == 1


class TestConditions:
    def test_a_conflict_is_tried_again(self, calls: Calls, front: Front) -> None:
        front.fail("PutObject", Answer(409, "ConditionalRequestConflict"), times=2)
        config = calls.put(at(), checkpoint(), metadata(), {})
        front.fail("PutObject", Answer(409, "ConditionalRequestConflict"), times=2)
        calls.put_writes(config, [("a", 1)], "task")
        assert front.counts() == {"PutObject": 6}
        assert calls.get_tuple(at()).pending_writes == [("task", "a", 1)]

    def test_a_conflict_that_stays_is_an_error(self, make_calls: MakeCalls, place: Place) -> None:
        place.front.fail("PutObject", Answer(409, "ConditionalRequestConflict"), times=100)
        with pytest.raises(StorageUnavailableError, match="ConditionalRequestConflict") as caught:
            WRITES["put_writes"](make_calls(max_attempts=3))
        assert caught.value.attempts == 3
        assert caught.value.bucket == place.bucket
        assert caught.value.key
        assert place.front.counts() == {"PutObject": 3}
        assert place.listing() == []

    def test_a_store_without_conditions_is_written_without_and_said_once(
        self, calls: Calls, front: Front, caplog: pytest.LogCaptureFixture
    ) -> None:
        front.fail("PutObject", Answer(501, "NotImplemented"))
        config = at(checkpoint_id="1")
        with caplog.at_level(logging.WARNING, "langgraph_checkpoint_s3"):
            calls.put_writes(config, [("a", 1)], "one")
            calls.put_writes(config, [("a", 1)], "two")
        assert ["if-none-match" in seen.headers for seen in front.log] == [True, False, False]
        [record] = [record for record in caplog.records if record.name == "langgraph_checkpoint_s3"]
        assert record.levelno == logging.WARNING
        assert "conditional" in record.getMessage()

    def test_501_to_a_plain_put_is_an_error(self, make_calls: MakeCalls, front: Front) -> None:
        front.fail("PutObject", Answer(501, "NotImplemented", "a header you provided implies"), times=100)
        with pytest.raises(StorageUnavailableError, match="doesn't offer"):
            WRITES["put"](make_calls())
        with pytest.raises(StorageUnavailableError, match="doesn't offer"):
            WRITES["put_writes"](make_calls())

    def test_setup_says_whether_the_store_keeps_first_writes(
        self, calls: Calls, place: Place, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING, "langgraph_checkpoint_s3"):
            calls.setup()
        warned = [record for record in caplog.records if record.name == "langgraph_checkpoint_s3"]
        assert len(warned) == (0 if place.server.features.conditional_put else 1)

    def test_the_first_write_stays(self, make_calls: MakeCalls, make_saver: MakeSaver, place: Place) -> None:
        one, other = make_calls(), make_saver()
        config = one.put(at(), checkpoint(), metadata(), {})
        one.put_writes(config, [("a", "first"), ("b", "first")], "task")
        other.put_writes(config, [("a", "second"), ("b", "second")], "task")
        if place.server.features.conditional_put:
            want = [("task", "a", "first"), ("task", "b", "first")]
            assert one.get_tuple(at()).pending_writes == want
            assert make_saver().get_tuple(at()).pending_writes == want  # type: ignore[union-attr]  # it isn't `None`
        one.put_writes(config, [("__error__", "first")], "task")
        other.put_writes(config, [("__error__", "second")], "task")
        assert ("task", "__error__", "second") in one.get_tuple(at()).pending_writes

    @pytest.mark.parametrize("applied", [False, True])
    def test_a_reply_that_is_lost_is_no_conflict(self, calls: Calls, front: Front, applied: bool) -> None:
        config = calls.put(at(), checkpoint(), metadata(), {})
        front.fail("PutObject", HangUp(applied=applied))
        calls.put_writes(config, [("a", "mine")], "task")
        assert calls.get_tuple(at()).pending_writes == [("task", "a", "mine")]
