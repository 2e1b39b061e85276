"""`check()` on a store: its findings, and its clean-up."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest

from langgraph_checkpoint_s3 import S3Config
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.admin.check.findings import FINDINGS, RETENTION
from langgraph_checkpoint_s3.admin.check.report import CheckReport
from langgraph_checkpoint_s3.admin.lifecycle.policy import LifecyclePolicy
from langgraph_checkpoint_s3.plans.setup import PROBE
from tests.contract.admin.drivers import async_mostly, async_only, sync_mostly, sync_only
from tests.contract.front import Answer, Front, Reply
from tests.contract.support import MakeCalls, Place
from tests.servers import Server
from tests.servers.base import free_port
from tests.support.sampling import combined

OF_NEW_BUCKETS = ("encryption", "public access")
"""Findings about settings that some stores, as Amazon's, make for new buckets."""

DENIED_ACTIONS = {
    "GetObject": ("reads", "s3:GetObject"),
    "ListObjectsV2": ("lists", "s3:ListBucket"),
    "CopyObject": ("copies", "s3:GetObject and s3:PutObject"),
    "DeleteObjects": ("deletes", "s3:DeleteObject"),
    "AbortMultipartUpload": ("multipart", "s3:AbortMultipartUpload"),
}
DENIED_SETTINGS = {
    "GetBucketVersioning": ("versioning", "s3:GetBucketVersioning"),
    "GetBucketEncryption": ("encryption", "s3:GetEncryptionConfiguration"),
    "GetPublicAccessBlock": ("public access", "s3:GetBucketPublicAccessBlock"),
    "GetBucketPolicy": ("TLS only", "s3:GetBucketPolicy"),
    "GetBucketLifecycleConfiguration": ("lifecycle", "s3:GetLifecycleConfiguration"),
}


def statuses(report: CheckReport) -> dict[str, str]:
    return {finding.name: finding.status for finding in report}


def seen(report: CheckReport) -> dict[str, str]:
    return {
        name: "known" if name in OF_NEW_BUCKETS and status in ("ok", "warning") else status
        for name, status in statuses(report).items()
    }


def expected(server: Server, *, versioned: bool = False) -> dict[str, str]:
    """Return the statuses of a new bucket's report, by the server's `Features`."""
    features = server.features

    def of(feature: bool, otherwise: str = "ok") -> str:
        return otherwise if feature else "not supported"

    return dict.fromkeys([name for name in FINDINGS if name != RETENTION], "ok") | {
        "conditional writes": of(features.conditional_versioned if versioned else features.conditional_put),
        "conditional uploads": of(features.conditional_multipart),
        "versioning": of(features.versioning, "warning" if versioned else "ok"),
        "encryption": of(features.encryption, "known"),
        "public access": of(features.policies, "known"),
        "TLS only": of(features.policies, "warning"),
        "lifecycle": of(features.lifecycle, "warning"),
    }


class TestCheck:
    def test_a_new_bucket(self, make_admin: MakeCalls, place: Place, front: Front) -> None:
        """The report agrees with the store's features, requests are counted, and nothing is left behind."""
        admin = make_admin()
        report = admin.check()
        assert seen(report) == expected(place.server), report
        assert report.ok
        assert report.place == f"s3://{place.bucket}/checkpoints/"
        counted: S3Admin = admin.saver
        assert sum(counted.saver.stats().requests.values()) == sum(front.counts().values()) == 33
        assert place.listing() == []
        assert place.uploads() == []
        place.client.head_bucket(Bucket=place.bucket)

    @async_only
    def test_a_bucket_with_versions(self, make_admin: MakeCalls, place: Place) -> None:
        if not place.server.features.versioning:
            pytest.skip("no versions here")
        make_admin().enable_versioning()
        report = make_admin().check()
        assert seen(report) == expected(place.server, versioned=True), report
        found = place.client.list_object_versions(Bucket=place.bucket)
        assert "Versions" not in found
        assert "DeleteMarkers" not in found

    @async_only
    def test_its_recommendations_can_be_followed(self, make_admin: MakeCalls, place: Place) -> None:
        features = place.server.features
        if not (features.encryption and features.policies and features.lifecycle and features.versioning):
            pytest.skip("no settings here")
        admin = make_admin()
        admin.enable_versioning()
        admin.configure_bucket(block_public_access=True)
        admin.set_lifecycle_policy(LifecyclePolicy(noncurrent_version_days=30))
        # The policy that refuses plain HTTP isn't set through plain HTTP.
        bad = {name: status for name, status in statuses(admin.check()).items() if status != "ok"}
        assert bad == {"TLS only": "warning"}


class TestFindings:
    def test_denied_actions(self, make_admin: MakeCalls, front: Front) -> None:
        for operation in (*DENIED_ACTIONS, *DENIED_SETTINGS):
            front.fail(operation, Answer(403, "AccessDenied"), times=9)
        report = make_admin().check()
        for finding, action in DENIED_ACTIONS.values():
            assert report[finding].status == "missing"
            assert report[finding].remedy.startswith(f"Allow {action} on ")
        for finding, action in DENIED_SETTINGS.values():
            assert report[finding].status == "unknown"
            assert action in report[finding].remedy
        assert not report.ok

    @sync_only
    def test_a_bucket_policy(self, make_admin: MakeCalls, place: Place) -> None:
        if not place.server.features.bucket_policy:
            pytest.skip("no policies here")
        arn = f"arn:aws:s3:::{place.bucket}"
        deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": f"{arn}/*"}
        policy = {"Version": "2012-10-17", "Statement": [deny]}
        place.client.put_bucket_policy(Bucket=place.bucket, Policy=json.dumps(policy))
        try:
            report = make_admin().check()
        finally:
            place.client.delete_bucket_policy(Bucket=place.bucket)
        assert report["writes"].status == "missing"
        assert report["reads"].status == "unknown"
        assert report["lists"].status == "ok"

    @sync_mostly
    def test_a_range_that_is_answered_with_everything(
        self, make_admin: MakeCalls, front: Front, place: Place
    ) -> None:
        front.fail(
            "GetObject", Reply(PROBE, headers={"ETag": '"e"'}), times=6
        )  # one read, and each try of the piece
        report = make_admin().check()
        assert report["reads"].status == "ok"
        assert report["range reads"].status == "missing"
        assert not report.ok
        assert place.listing() == []


class TestConnection:
    @async_mostly
    def test_no_bucket(self, make_admin: MakeCalls, front: Front) -> None:
        report = make_admin(bucket="not-there-at-all").check()
        assert report["connection"].status == report["credentials"].status == "ok"
        assert report["bucket"].status == "missing"
        assert {report[name].status for name in ("writes", "lists", "multipart", "lifecycle")} == {"unknown"}
        assert sum(front.counts().values()) == 8

    def test_a_store_that_is_not_there(self, make_admin: MakeCalls) -> None:
        report = make_admin(endpoint_url=f"http://127.0.0.1:{free_port()}", max_attempts=1).check()
        assert report["connection"].status == "missing"
        assert report["credentials"].status == report["bucket"].status == report["clock"].status == "unknown"
        assert not report.ok

    def test_a_wrong_secret(
        self, make_admin: MakeCalls, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if not place.server.features.credentials:
            pytest.skip("no credentials here")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
        report = make_admin().check()
        assert report["connection"].status == "ok"
        assert report["credentials"].status == "missing"
        assert "wrong-secret" not in str(report)
        assert report["bucket"].status == "unknown"

    def test_a_client_that_cannot_be_made(
        self, make_admin: MakeCalls, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_PROFILE", "absent")
        report = make_admin().check()
        assert (report["connection"].status, "absent" in report["connection"].detail) == ("missing", True)
        assert report["clock"].status == "unknown"

    def test_no_credentials(self, make_admin: MakeCalls, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        assert make_admin().check()["credentials"].status == "missing"

    @sync_only
    def test_an_error_of_every_request(self, make_admin: MakeCalls, front: Front) -> None:
        front.fail("*", Answer(403, "SignatureDoesNotMatch"), times=99)
        report = make_admin().check()
        assert report["credentials"].status == "missing"
        assert report["writes"].status == "unknown"

    @combined(status=[200, 403], driver=["sync", "async"])
    def test_region_and_clock(self, make_admin: MakeCalls, front: Front, status: int) -> None:
        ahead = datetime.now(timezone.utc) + timedelta(minutes=10)
        headers = {"x-amz-bucket-region": "eu-west-1", "Date": format_datetime(ahead, usegmt=True)}
        front.fail("HeadBucket", Answer(status, "", headers=headers))
        report = make_admin(region="us-west-2").check()
        assert report["region"].status == "warning"
        assert report["region"].remedy == "Set region='eu-west-1'"
        assert "us-west-2" in report["region"].detail
        assert report["clock"].status == "warning"
        assert "behind" in report["clock"].detail
        assert report.ok

    @sync_only
    def test_the_region_that_the_environment_says(
        self, make_admin: MakeCalls, front: Front, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_DEFAULT_REGION", "ap-south-1")
        front.fail("HeadBucket", Answer(200, "", headers={"x-amz-bucket-region": "eu-west-1"}))
        assert "ap-south-1" in make_admin(region=None).check()["region"].detail


class TestProbe:
    @async_mostly
    def test_the_probe_is_written_as_checkpoints_are(
        self, make_admin: MakeCalls, front: Front, place: Place
    ) -> None:
        report = make_admin(object_tags={"team": "a b"}).check()
        sent = [each for each in front.log if each.operation in ("PutObject", "CreateMultipartUpload")]
        assert {each.headers.get("x-amz-tagging") for each in sent} == {"team=a%20b"}
        assert report["writes"].detail == "An object was written with 1 tags"
        assert seen(report) == expected(place.server)

    @async_only
    def test_tags_that_are_denied(self, make_admin: MakeCalls, front: Front) -> None:
        message = "User: arn:aws:iam::1:user/me is not authorized to perform: s3:PutObjectTagging on x"
        front.fail("PutObject", Answer(403, "AccessDenied", message), times=9)
        report = make_admin(object_tags={"team": "a"}).check()
        assert "s3:PutObjectTagging" in report["writes"].remedy

    def test_an_admin_of_settings_alone(self, place: Place) -> None:
        with S3Admin(S3Config(**place.arguments())) as admin:
            assert admin.check().ok
