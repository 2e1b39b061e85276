"""`check()` on a fake S3: requests, connection problems, clean-up, and the report's text."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.admin.check.report import CheckReport, Finding
from langgraph_checkpoint_s3.plans.setup import NAMES
from langgraph_checkpoint_s3.s3.admin_requests import (
    BucketHead,
    DeleteVersions,
    InspectBucket,
    ListUploads,
    ListVersions,
    Sign,
)
from langgraph_checkpoint_s3.s3.requests import (
    AbortUpload,
    CreateUpload,
    DeleteObjects,
    PutObject,
    Request,
)
from tests.admin.check.odd_s3 import OddS3, bad, nothing_left, run, run_and_leave
from tests.support.fake_s3 import Moment, client_error
from tests.support.fake_store import make_saver


@pytest.fixture
def fake() -> OddS3:
    """A bucket without problems."""
    return OddS3()


class TestAGoodBucket:
    def test_everything_is_ok(self, fake: OddS3) -> None:
        report = run(fake)
        assert bad(report) == {}
        assert report.ok

    def test_it_takes_seven_round_trips(self, fake: OddS3) -> None:
        with fake.counted() as count:
            run(fake)
        assert [len(batch) for batch in count.batches] == [9, 15, 4, 1, 1, 2, 2]
        assert count.kinds == {
            "InspectBucket": 1,
            "Sign": 1,  # which isn't sent
            "GetSetting": 5,
            "PutObject": 11,
            "CreateUpload": 1,
            "GetObject": 2,
            "HeadObject": 1,
            "CopyObject": 1,
            "UploadPart": 1,
            "ListObjects": 6,
            "ListVersions": 1,
            "CompleteUpload": 1,
            "AbortUpload": 1,
            "DeleteObjects": 1,
        }

    def test_with_versions_it_takes_nine_and_removes_them(self, fake: OddS3) -> None:
        fake.set_versioning("Enabled")
        with fake.counted() as count:
            run(fake)
        assert [len(batch) for batch in count.batches] == [9, 15, 3, 1, 1, 2, 2, 1, 1]
        assert count.kinds["DeleteVersions"] == count.kinds["ListVersions"] == 1

    def test_the_probe_lies_where_no_thread_can(self, fake: OddS3) -> None:
        with fake.counted() as count:
            run(fake, prefix="a/b")
        keys = {key for request in count.requests if (key := getattr(request, "key", None))}
        assert keys == {f"a/b/.probe/nonce/{name}" for name in ("written", "copied", "absent", *NAMES)}

    def test_foreign_objects_stay(self, fake: OddS3) -> None:
        fake.put("checkpoints/t.thread/.ns/x", b"x")
        fake.put("checkpoints/.probe/other", b"x")
        S3Admin(make_saver(fake)).check()
        assert len(fake.keys()) == 2

    def test_two_checks_have_probes_of_their_own(self, fake: OddS3) -> None:
        admin = S3Admin(make_saver(fake))
        with fake.counted() as count:
            admin.check()
            admin.check()
        assert len({request.key for request in count.requests if isinstance(request, CreateUpload)}) == 2

    def test_the_coroutine_says_the_same(self, fake: OddS3) -> None:
        admin = S3Admin(make_saver(fake))
        assert [(each.name, each.status) for each in asyncio.run(admin.acheck())] == [
            (each.name, each.status) for each in admin.check()
        ]


class TestConnection:
    def test_no_bucket(self, fake: OddS3) -> None:
        fake.exists = False
        with fake.counted() as count:
            report = run(fake)
        assert count.round_trips == 1
        assert not report.ok
        assert report["connection"].status == report["credentials"].status == "ok"
        assert report["bucket"].status == "missing"
        assert "setup()" in report["bucket"].remedy
        assert {report[name].status for name in ("writes", "lists", "versioning", "lifecycle")} == {"unknown"}
        assert "bucket" in report["writes"].detail
        assert not fake.exists

    @pytest.mark.parametrize(
        ("code", "finding"),
        [
            ("InvalidAccessKeyId", "credentials"),
            ("SignatureDoesNotMatch", "credentials"),
            ("ExpiredToken", "credentials"),
            ("RequestTimeTooSkewed", "clock"),
            ("AuthorizationHeaderMalformed", "region"),
            ("PermanentRedirect", "region"),
            ("InvalidBucketName", "connection"),
            ("SlowDown", "connection"),
        ],
    )
    def test_an_error_of_every_request(self, fake: OddS3, code: str, finding: str) -> None:
        status = 503 if code == "SlowDown" else 403

        def hook(moment: Moment, request: Request[Any]) -> None:
            # The answer to a HEAD has no body, and so no code.
            raise client_error("403" if isinstance(request, InspectBucket) else code, status, request)

        fake.hook = hook
        with fake.counted() as count:
            report = run(fake)
        assert count.round_trips == 1
        assert report[finding].status == "missing"
        assert report[finding].remedy
        assert report["writes"] == Finding("writes", "unknown", f"Not tried: see {finding}")
        if finding != "connection":
            assert report["connection"].status == "ok"

    @pytest.mark.parametrize(
        ("error", "finding"),
        [
            (EndpointConnectionError(endpoint_url="http://127.0.0.1:9"), "connection"),
            (NoCredentialsError(), "credentials"),
        ],
    )
    def test_errors_before_requests_are_sent(self, fake: OddS3, error: Exception, finding: str) -> None:
        def hook(moment: Moment, request: Request[Any]) -> None:
            raise error

        fake.hook = hook
        assert run(fake)[finding].status == "missing"

    def test_everything_is_denied(self, fake: OddS3) -> None:
        fake.refuse(Request)
        report = run(fake, expected_bucket_owner="123456789012")
        assert report["credentials"].status == "ok"
        assert report["bucket"].status == "unknown"
        assert "123456789012" in report["bucket"].detail
        assert report["lists"].remedy == "Allow s3:ListBucket on fake-bucket"
        assert report["writes"].status == report["deletes"].status == "missing"
        assert report["versioning"].status == report["lifecycle"].status == "unknown"
        assert not report.ok

    def test_another_region_is_a_warning(self, fake: OddS3) -> None:
        fake.odd[InspectBucket] = lambda _, head: BucketHead("eu-west-1", head.date, "us-west-2")
        report = run(fake)
        assert bad(report) == {"region": "warning"}
        assert "eu-west-1" in report["region"].detail
        assert "us-west-2" in report["region"].detail
        assert report["region"].remedy == "Set region='eu-west-1'"
        assert report.ok

    def test_the_settings_say_the_region_where_the_client_does_not(self, fake: OddS3) -> None:
        assert run(fake, region="us-east-1")["region"].status == "ok"
        assert run(fake, region="eu-west-1")["region"].status == "warning"

    def test_a_store_without_regions(self, fake: OddS3) -> None:
        fake.odd[InspectBucket] = lambda _, head: replace(head, region=None)
        assert run(fake, region="here")["region"] == Finding(
            "region", "ok", "The store names none, and takes here"
        )

    def test_a_head_that_is_denied_is_no_finding_of_its_own(self, fake: OddS3) -> None:
        fake.refuse(InspectBucket)
        report = run(fake)
        assert bad(report) == {"region": "unknown", "clock": "unknown"}
        assert report.ok
        assert "s3:ListBucket" in report["region"].remedy

    def test_region_and_time_are_read_from_a_refusal(self, fake: OddS3) -> None:
        def hook(moment: Moment, request: Request[Any]) -> None:
            if isinstance(request, InspectBucket) and moment == "before":
                headers = {"x-amz-bucket-region": "eu-west-1", "date": "Thu, 01 Jan 2026 00:02:00 GMT"}
                response: Any = {
                    "Error": {"Code": "403"},
                    "ResponseMetadata": {"HTTPStatusCode": 403, "HTTPHeaders": headers},
                }
                raise ClientError(response, "HeadBucket")

        fake.hook = hook
        report = run(fake, region="us-east-1")
        assert bad(report) == {"region": "warning", "clock": "warning"}
        assert "behind" in report["clock"].detail

    @pytest.mark.parametrize(
        ("off", "status", "words"),
        [
            (timedelta(seconds=30), "ok", "within 29 s"),
            (timedelta(seconds=75), "warning", "74 s ahead of"),
            (timedelta(minutes=-20), "warning", "behind"),
            (timedelta(0), "ok", "agree"),
        ],
    )
    def test_clocks_that_differ(self, fake: OddS3, off: timedelta, status: str, words: str) -> None:
        clock = run(fake, clock=lambda: fake.now + off)["clock"]
        assert (clock.status, words in clock.detail) == (status, True), clock

    def test_a_round_trip_that_takes_long_is_no_skew(self, fake: OddS3) -> None:
        times = iter([fake.now - timedelta(minutes=5), fake.now + timedelta(minutes=5)])
        assert run(fake, clock=lambda: next(times))["clock"].status == "ok"

    def test_a_clock_whose_difference_is_known_from_answers(self, fake: OddS3) -> None:
        admin = S3Admin(make_saver(fake))
        store_time = admin._store.saver_state.store_time
        store_time.local = lambda: int((fake.now - timedelta(minutes=10)).timestamp()) * 1_000_000_000
        store_time.ahead = 600 * 1_000_000_000
        clock = admin.check()["clock"]
        assert (clock.status, "behind" in clock.detail) == ("warning", True), clock

    def test_a_clock_that_the_store_refuses(self, fake: OddS3) -> None:
        def hook(moment: Moment, request: Request[Any]) -> None:
            response: Any = {
                "Error": {"Code": "RequestTimeTooSkewed"},
                "ResponseMetadata": {
                    "HTTPStatusCode": 403,
                    "HTTPHeaders": {"date": "Thu, 01 Jan 2026 00:00:00 GMT"},
                },
            }
            raise ClientError(response, "x")

        fake.hook = hook
        clock = run(fake, clock=lambda: datetime(2026, 1, 1, 1, tzinfo=timezone.utc))["clock"]
        assert (clock.status, "3599 s ahead of" in clock.detail) == ("missing", True)

    def test_a_store_that_does_not_tell_the_time(self, fake: OddS3) -> None:
        fake.odd[InspectBucket] = lambda _, head: BucketHead(head.region, None)
        assert bad(run(fake)) == {"clock": "unknown"}


def with_versions(fake: OddS3, versioned: bool) -> OddS3:
    if versioned:
        fake.set_versioning("Enabled")
    return fake


def requests_of(fake: OddS3) -> list[Request[Any]]:
    with fake.counted() as count:
        S3Admin(make_saver(fake)).check()
    return count.requests


@pytest.mark.parametrize("versioned", [False, True])
class TestErrorsAndInterruptions:
    @pytest.mark.parametrize("moment", ["before", "after"])
    def test_nothing_stays_when_it_is_interrupted(self, fake: OddS3, moment: Moment, versioned: bool) -> None:
        with_versions(fake, versioned)
        cleaning = (DeleteObjects, AbortUpload, ListVersions, DeleteVersions, ListUploads)
        count = sum(not isinstance(each, cleaning) for each in requests_of(fake))
        for number in range(count):
            left = iter(range(count))

            def hook(now: Moment, request: Request[Any], number: int = number, left: Any = left) -> None:
                if now == moment and not isinstance(request, cleaning) and next(left) == number:
                    raise KeyboardInterrupt

            fake.hook = hook
            with pytest.raises(KeyboardInterrupt):
                S3Admin(make_saver(fake)).check()
            assert nothing_left(fake), number

    @pytest.mark.parametrize(
        ("code", "status", "moment"),
        [("AccessDenied", 403, "before"), ("InternalError", 500, "before"), ("InternalError", 500, "after")],
    )
    def test_an_error_of_any_request_is_a_finding(
        self, code: str, status: int, moment: Moment, versioned: bool
    ) -> None:
        for number, failing in enumerate(requests_of(with_versions(OddS3(), versioned))):
            bucket = with_versions(OddS3(), versioned)
            left = iter(range(99))

            def hook(now: Moment, request: Request[Any], number: int = number, left: Any = left) -> None:
                if now == moment and next(left) == number:
                    raise client_error(code, status, request)

            bucket.hook = hook
            report = run_and_leave(bucket)
            assert bad(report) or isinstance(failing, (ListVersions, DeleteVersions, Sign)), failing
            if not isinstance(failing, (DeleteObjects, AbortUpload, ListVersions, DeleteVersions)):
                assert nothing_left(bucket), failing


class TestTheReport:
    def test_it_is_a_table(self) -> None:
        report = CheckReport(
            "s3://bucket/a/",
            (
                Finding("connection", "ok", "It is there"),
                Finding("writes", "missing", "Denied:\n  really " + "very " * 20, "Allow s3:PutObject on x"),
                Finding("versioning", "ok", "Off", "not shown"),
                Finding("reads", "unknown", "Not tried: see writes"),
                Finding("copies", "unknown", "Not tried: see writes"),
            ),
        )
        text = str(report)
        lines = text.splitlines()
        assert lines[0] == "s3://bucket/a/: a saver can NOT work here (2 ok, 1 missing, 2 unknown)"
        assert lines[2] == "  ok             connection  It is there"
        assert lines[3].startswith("  MISSING        writes      Denied: really very")
        assert "                             do: Allow s3:PutObject on x" in lines
        assert "not shown" not in text
        assert lines[-1] == "  unknown        Not tried: see writes (reads, copies)"
        assert max(map(len, lines)) <= 100
        assert text.isascii()
        assert repr(report) == "<CheckReport of s3://bucket/a/: 2 ok, 1 missing, 2 unknown (writes)>"

    def test_findings_are_found_by_name(self) -> None:
        finding = Finding("writes", "warning", "x")
        report = CheckReport("s3://bucket/", (finding,))
        assert report["writes"] is finding
        assert list(report) == [finding]
        assert report.ok
        with pytest.raises(KeyError, match="writes"):
            report["wrties"]

    def test_our_own_words_are_plain_ascii(self, fake: OddS3) -> None:
        """Some terminals show nothing else."""
        fake.settings.clear()
        fake.plain = True
        assert str(run(fake)).isascii()
        fake.set_versioning("Enabled")
        fake.refuse(PutObject)
        assert str(run(fake)).isascii()
