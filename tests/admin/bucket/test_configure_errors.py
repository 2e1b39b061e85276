"""Errors of bucket configuration: unsupported settings, failures half-way, and invalid arguments."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_checkpoint_s3 import (
    AccessDeniedError,
    BucketNotFoundError,
    InvalidConfigError,
    NotSupportedError,
    S3Saver,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.admin.bucket.configure import IntelligentTieringArchive
from langgraph_checkpoint_s3.s3 import bucket_settings
from langgraph_checkpoint_s3.s3.bucket_settings import GetSetting, PutSetting
from langgraph_checkpoint_s3.s3.requests import CreateBucket, ListObjects
from tests.admin.bucket.bucket_setup import names, refuse, writes
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver


@pytest.fixture
def admin(saver: S3Saver) -> S3Admin:
    return S3Admin(saver)


class TestUnsupportedSettings:
    def test_all_that_it_does_not_know_is_named_before_anything_is_written(
        self, admin: S3Admin, fake: FakeS3
    ) -> None:
        fake.unsupported = {bucket_settings.ENCRYPTION.name, bucket_settings.METRICS.name}
        with fake.counted() as count, pytest.raises(NotSupportedError) as caught:
            admin.configure_bucket(request_metrics=True)
        text = str(caught.value)
        assert "default encryption, request metrics" in text
        assert "encryption=None, request_metrics=None" in text
        assert writes(count.requests) == []
        assert fake.settings == {}
        admin.configure_bucket(encryption=None, request_metrics=None)

    def test_acceleration_shows_only_when_it_is_set(self, admin: S3Admin, fake: FakeS3) -> None:
        for code, status in (("InvalidArgument", 400), ("BucketAlreadyExists", 409), ("X", 501)):
            refuse(fake, PutSetting, code, status, bucket_settings.ACCELERATION)
            with pytest.raises(NotSupportedError, match="accelerate=None"):
                admin.configure_bucket(accelerate=True)
            assert fake.settings == {}

    def test_acceleration_is_named_beside_what_is_unknown(self, admin: S3Admin, fake: FakeS3) -> None:
        fake.unsupported = {bucket_settings.ENCRYPTION.name}
        with pytest.raises(NotSupportedError, match=r"pass encryption=None .* accelerate=None as well"):
            admin.configure_bucket(accelerate=True)
        fake.settings[bucket_settings.ACCELERATION.name, None] = {"Status": "Suspended"}  # it knows it
        with pytest.raises(NotSupportedError) as caught:
            admin.configure_bucket(accelerate=True)
        assert "accelerate" not in str(caught.value)

    def test_a_store_that_fails_is_not_one_that_can_not(self, admin: S3Admin, fake: FakeS3) -> None:
        refuse(fake, PutSetting, "InternalError", 500, bucket_settings.ACCELERATION)
        with pytest.raises(StorageUnavailableError):
            admin.configure_bucket(accelerate=True)

    def test_a_policy_that_is_none(self, admin: S3Admin, fake: FakeS3) -> None:
        fake.settings[bucket_settings.POLICY.name, None] = "[]"
        with pytest.raises(NotSupportedError, match="isn't one"):
            admin.configure_bucket()
        assert list(fake.settings) == [(bucket_settings.POLICY.name, None)]


class TestFailures:
    def test_missing_permissions_are_named_together(self, admin: S3Admin, fake: FakeS3) -> None:
        refuse(fake, GetSetting, "AccessDenied", 403, bucket_settings.ENCRYPTION, bucket_settings.POLICY)
        with pytest.raises(AccessDeniedError) as caught:
            admin.configure_bucket()
        assert "lack s3:GetBucketPolicy, s3:GetEncryptionConfiguration:" in str(caught.value)
        assert caught.value.action == "s3:GetBucketPolicy"
        assert fake.settings == {}

    def test_one_missing_permission_is_raised_unchanged(self, admin: S3Admin, fake: FakeS3) -> None:
        refuse(fake, GetSetting, "AccessDenied", 403, bucket_settings.ENCRYPTION)
        with pytest.raises(AccessDeniedError, match="need s3:GetEncryptionConfiguration"):
            admin.configure_bucket()

    def test_an_error_reports_earlier_changes(self, admin: S3Admin, fake: FakeS3) -> None:
        refuse(fake, PutSetting, "AccessDenied", 403, bucket_settings.ENCRYPTION)
        with pytest.raises(AccessDeniedError) as caught:
            admin.configure_bucket(block_public_access=True)
        assert "Before that, this was changed: bucket policy, public access block." in str(caught.value)
        assert caught.value.action == "s3:PutEncryptionConfiguration"
        fake.hook = None
        assert names(admin.configure_bucket()) == ["default encryption", "lifecycle configuration"]


class TestCreate:
    def test_setup_needs_no_permission_to_list(self, admin: S3Admin, fake: FakeS3) -> None:
        refuse(fake, ListObjects, "AccessDenied", 403)
        assert "bucket policy" in names(admin.create_bucket())

    def test_an_error_reports_that_the_bucket_was_created(self, admin: S3Admin, fake: FakeS3) -> None:
        fake.exists = False
        fake.unsupported = {bucket_settings.POLICY.name}
        with pytest.raises(NotSupportedError, match=r"tls_only=None.*Before that, this was changed: bucket"):
            admin.create_bucket()
        assert fake.exists

    def test_a_name_that_is_taken(self, admin: S3Admin, fake: FakeS3) -> None:
        fake.exists = False
        refuse(fake, CreateBucket, "BucketAlreadyExists", 409)
        with pytest.raises(BucketNotFoundError, match="taken"):
            admin.create_bucket()


class TestInvalidArguments:
    @pytest.mark.parametrize(
        ("asked", "said"),
        [
            ({"encryption": "rot13"}, "none of auto, AES256"),
            ({"kms_key_id": "k"}, "goes with encryption='aws:kms'"),
            ({"encryption": None, "kms_key_id": "k"}, "goes with encryption='aws:kms'"),
            ({"block_public_access": False}, "isn't opened from here"),
            ({"block_public_access": "no"}, "neither 'auto', True, False nor None"),
            ({"tls_only": "yes"}, "neither 'auto', True, False nor None"),
            ({"request_metrics": 1}, "neither True, False nor None"),
            ({"accelerate": "on"}, "neither True, False nor None"),
            ({"abort_incomplete_uploads_days": 0}, "from 1 to 36,500"),
            ({"abort_incomplete_uploads_days": 36_501}, "from 1 to 36,500"),
            ({"abort_incomplete_uploads_days": 1.5}, "whole number"),
            ({"abort_incomplete_uploads_days": True}, "whole number"),
            ({"intelligent_tiering": True}, "takes an IntelligentTieringArchive"),
        ],
    )
    def test_invalid_arguments_are_refused_before_any_request(
        self, admin: S3Admin, fake: FakeS3, asked: dict[str, Any], said: str
    ) -> None:
        with fake.counted() as count:
            for method in (admin.configure_bucket, admin.create_bucket):
                with pytest.raises(InvalidConfigError, match=said):
                    method(**asked)
        assert count.requests == []

    def test_an_unknown_keyword(self, admin: S3Admin) -> None:
        unknown: Any = {"encrypt": True}
        for method in (admin.configure_bucket, admin.create_bucket):
            with pytest.raises(TypeError, match="encrypt"):
                method(**unknown)
        with pytest.raises(TypeError, match="encrypt"):
            admin.enable_replication("other", "arn:aws:iam::123456789012:role/r", **unknown)

    def test_acceleration_of_a_bucket_with_dots(self, fake: FakeS3) -> None:
        admin = S3Admin(make_saver(fake, bucket="my.bucket"))
        with pytest.raises(InvalidConfigError, match="without dots"):
            admin.configure_bucket(accelerate=True)
        admin.configure_bucket(accelerate=False)

    def test_an_access_point(self, fake: FakeS3) -> None:
        arn = "arn:aws:s3:eu-west-1:123456789012:accesspoint/point"
        admin = S3Admin(make_saver(fake, bucket=arn))
        for call in (
            admin.configure_bucket,
            admin.create_bucket,
            admin.disable_replication,
            lambda: admin.enable_replication("other", "arn:aws:iam::123456789012:role/r"),
        ):
            with pytest.raises(InvalidConfigError, match="access point"):
                call()

    @pytest.mark.parametrize(
        ("asked", "said"),
        [
            ({}, "needs archive_after_days or deep_archive_after_days"),
            ({"archive_after_days": 89}, "from 90 to 730"),
            ({"archive_after_days": 731}, "from 90 to 730"),
            ({"deep_archive_after_days": 179}, "from 180 to 730"),
            ({"archive_after_days": 180, "deep_archive_after_days": 180}, "must be more than"),
            ({"archive_after_days": "90"}, "whole number"),
            ({"archive_after_days": 90}, "offline.*allow_offline_archive=True"),
        ],
    )
    def test_tiers(self, asked: dict[str, Any], said: str) -> None:
        with pytest.raises(InvalidConfigError, match=said):
            IntelligentTieringArchive(**asked, allow_offline_archive="offline" not in said)
