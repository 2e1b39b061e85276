"""Bucket configuration on the fake S3: requests, changes, and settings of others that are kept."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.admin import LifecyclePolicy, S3Admin
from langgraph_checkpoint_s3.admin.bucket.configure import IntelligentTieringArchive
from langgraph_checkpoint_s3.s3 import bucket_settings
from tests.admin.bucket.bucket_setup import ALL, ARCHIVE, FOREIGN, ID, NOTHING, names, policy, written
from tests.support.fake_s3 import BUCKET, FakeS3
from tests.support.fake_store import make_saver


@pytest.fixture
def admin(saver: S3Saver) -> S3Admin:
    return S3Admin(saver)


class TestConfigure:
    def test_defaults(self, admin: S3Admin, fake: FakeS3) -> None:
        changes = admin.configure_bucket()
        assert names(changes) == ["bucket policy", "default encryption", "lifecycle configuration"]
        assert all(change.before is None and change.after for change in changes)
        assert policy(fake) == [
            {
                "Sid": "LanggraphCheckpointS3TlsOnly",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ]
        assert written(fake, bucket_settings.ENCRYPTION) == {
            "Rules": [
                {
                    "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"},
                    "BucketKeyEnabled": False,
                }
            ]
        }
        assert written(fake, bucket_settings.LIFECYCLE) == {
            "Rules": [
                {
                    "ID": "langgraph-checkpoint-s3:checkpoints/:cleanup",
                    "Status": "Enabled",
                    "Filter": {"Prefix": "checkpoints/"},
                    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
                }
            ]
        }

    def test_public_access_is_blocked_on_aws_or_where_it_is_asked_for(
        self, admin: S3Admin, fake: FakeS3, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[str] = []

        def is_aws(url: str) -> bool:
            asked.append(url)
            return True

        monkeypatch.setattr("langgraph_checkpoint_s3.admin.bucket.api.is_aws", is_aws)
        [change] = admin.configure_bucket(**NOTHING | {"block_public_access": "auto"})
        assert change.after == written(fake, bucket_settings.PUBLIC_ACCESS)
        assert set(change.after.values()) == {True}
        assert len(change.after) == 4
        assert asked[0].startswith("https://fake/")
        fake.settings.clear()
        [change] = admin.configure_bucket(**NOTHING | {"block_public_access": True})
        assert len(asked) == 1

    def test_a_second_time_changes_nothing_and_reads_all_at_once(self, admin: S3Admin, fake: FakeS3) -> None:
        everything = {**ALL, "block_public_access": True}
        assert len(admin.configure_bucket(**everything)) == 7
        with fake.counted() as count:
            assert admin.configure_bucket(**everything) == []
        assert count.kinds == {"Sign": 1, "GetSetting": 7 + 1}  # the lifecycle is read again to be merged
        assert [len(batch) for batch in count.batches] == [1, 7, 1]

    def test_nothing_asked_for_is_nothing_sent(self, admin: S3Admin, fake: FakeS3) -> None:
        with fake.counted() as count:
            assert admin.configure_bucket(**NOTHING) == []
        assert count.requests == []

    def test_metrics_acceleration_and_tiering(self, admin: S3Admin, fake: FakeS3) -> None:
        changes = admin.configure_bucket(**NOTHING, **ALL)
        assert names(changes) == [
            "transfer acceleration",
            f"request metrics {ID}",
            f"Intelligent-Tiering configuration {ID}",
        ]
        assert written(fake, bucket_settings.ACCELERATION) == {"Status": "Enabled"}
        assert written(fake, bucket_settings.METRICS, ID) == {"Id": ID, "Filter": {"Prefix": "checkpoints/"}}
        assert written(fake, bucket_settings.TIERING, ID) == {
            "Id": ID,
            "Status": "Enabled",
            "Filter": {"Prefix": "checkpoints/"},
            "Tierings": [{"Days": 90, "AccessTier": "ARCHIVE_ACCESS"}],
        }
        both = IntelligentTieringArchive(
            archive_after_days=100, deep_archive_after_days=200, allow_offline_archive=True
        )
        [change] = admin.configure_bucket(**NOTHING, intelligent_tiering=both)
        assert change.after["Tierings"] == [
            {"Days": 100, "AccessTier": "ARCHIVE_ACCESS"},
            {"Days": 200, "AccessTier": "DEEP_ARCHIVE_ACCESS"},
        ]
        off: dict[str, Any] = {"request_metrics": False, "accelerate": False, "intelligent_tiering": False}
        assert [(each.setting, each.after) for each in admin.configure_bucket(**NOTHING, **off)] == [
            ("transfer acceleration", {"Status": "Suspended"}),
            (f"request metrics {ID}", None),
            (f"Intelligent-Tiering configuration {ID}", None),
        ]
        assert admin.configure_bucket(**NOTHING, **off) == []

    def test_without_a_prefix_there_is_no_filter(self, fake: FakeS3) -> None:
        admin = S3Admin(make_saver(fake, prefix=""))
        metrics, tiering = admin.configure_bucket(
            **NOTHING, request_metrics=True, intelligent_tiering=ARCHIVE
        )
        assert metrics.after == {"Id": "langgraph-checkpoint-s3."}
        assert "Filter" not in tiering.after

    def test_prefixes_have_names_of_their_own(self, fake: FakeS3) -> None:
        long = [f"{'a' * 60}/{end}/" for end in "xy"]
        for prefix in ("a/", "a.2F/", "a=b/", "a/b/", *long):
            S3Admin(make_saver(fake, prefix=prefix)).configure_bucket(**NOTHING, request_metrics=True)
        ids = [str(name) for setting, name in fake.settings if setting == bucket_settings.METRICS.name]
        assert len(ids) == 6
        assert all(len(name) <= 64 for name in ids)
        assert all(character.isalnum() or character in "-_." for character in "".join(ids))


class TestEncryption:
    def test_auto_leaves_a_default_that_is_there(self, admin: S3Admin, fake: FakeS3) -> None:
        there = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]}
        fake.settings[bucket_settings.ENCRYPTION.name, None] = there
        assert "default encryption" not in names(admin.configure_bucket())
        assert written(fake, bucket_settings.ENCRYPTION) is there

    def test_a_key_and_the_rest_of_the_rule(self, admin: S3Admin, fake: FakeS3) -> None:
        blocked = {"BlockedEncryptionTypes": {"EncryptionType": ["SSE-C"]}}
        there = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, **blocked}]}
        fake.settings[bucket_settings.ENCRYPTION.name, None] = there
        key = "arn:aws:kms:us-east-1:123456789012:key/abc"
        wanted: dict[str, Any] = {**NOTHING, "encryption": "aws:kms", "kms_key_id": key}
        [change] = admin.configure_bucket(**wanted)
        assert change.before is there
        assert change.after == {
            "Rules": [
                {
                    "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key},
                    "BucketKeyEnabled": True,
                    **blocked,
                }
            ]
        }
        assert admin.configure_bucket(**wanted) == []
        [change] = admin.configure_bucket(**wanted, bucket_key=False)
        assert change.after["Rules"][0]["BucketKeyEnabled"] is False
        [change] = admin.configure_bucket(**{**NOTHING, "encryption": "AES256"})
        assert change.after["Rules"][0]["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}

    @pytest.mark.parametrize(
        ("there", "wanted", "same"),
        [
            ({"SSEAlgorithm": "AES256"}, {"encryption": "AES256"}, True),
            ({"SSEAlgorithm": "aws:kms"}, {"encryption": "AES256"}, False),
            ({"SSEAlgorithm": "aws:kms"}, {"encryption": "aws:kms:dsse"}, False),
            ({"SSEAlgorithm": "aws:kms:dsse"}, {"encryption": "aws:kms:dsse"}, True),
            (
                {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "arn:aws:kms:eu-west-1:1:key/abc"},
                {"encryption": "aws:kms", "kms_key_id": "abc", "bucket_key": False},
                True,
            ),
            (
                {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "arn:aws:kms:eu-west-1:1:key/abc"},
                {"encryption": "aws:kms", "kms_key_id": "bc", "bucket_key": False},
                False,
            ),
            (
                {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "arn:aws:kms:eu-west-1:1:alias/aws/s3"},
                {"encryption": "aws:kms", "bucket_key": False},
                True,
            ),
            (
                {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "abc"},
                {"encryption": "aws:kms", "bucket_key": False},
                False,
            ),
            ({"SSEAlgorithm": "aws:kms"}, {"encryption": "aws:kms"}, False),  # without the bucket key
        ],
    )
    def test_stores_write_it_down_in_their_own_way(
        self, admin: S3Admin, fake: FakeS3, there: dict[str, str], wanted: dict[str, Any], same: bool
    ) -> None:
        document = {"Rules": [{"ApplyServerSideEncryptionByDefault": there}]}
        fake.settings[bucket_settings.ENCRYPTION.name, None] = document
        assert (admin.configure_bucket(**{**NOTHING, **wanted}) == []) is same


class TestTheOthers:
    """What is there already, of whomever."""

    @pytest.mark.parametrize("missing", [None, "BlockPublicPolicy"])
    def test_public_access(self, admin: S3Admin, fake: FakeS3, missing: str | None) -> None:
        flags = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
        there = {flag: flag != missing for flag in flags} | {"More": "of the store's own"}
        fake.settings[bucket_settings.PUBLIC_ACCESS.name, None] = there
        changes = admin.configure_bucket(**{**NOTHING, "block_public_access": True})
        assert bool(changes) is (missing is not None)

    def test_a_policy_is_merged(self, admin: S3Admin, fake: FakeS3) -> None:
        document = {"Version": "2008-10-17", "Id": "x", "Statement": [FOREIGN, {**FOREIGN, "Sid": "ä"}]}
        fake.settings[bucket_settings.POLICY.name, None] = json.dumps(document)
        wanted: dict[str, Any] = {**NOTHING, "tls_only": True}
        [change] = admin.configure_bucket(**wanted)
        merged = json.loads(change.after)
        assert merged["Statement"][:2] == document["Statement"]
        assert merged["Statement"][2]["Sid"] == "LanggraphCheckpointS3TlsOnly"
        assert {**merged, "Statement": ()} == {**document, "Statement": ()}
        assert list(merged) == list(document)
        assert admin.configure_bucket(**wanted) == []
        [change] = admin.configure_bucket(**{**NOTHING, "tls_only": False})
        assert json.loads(change.after) == document
        assert admin.configure_bucket(**{**NOTHING, "tls_only": False}) == []

    def test_a_single_statement_needs_no_list(self, admin: S3Admin, fake: FakeS3) -> None:
        fake.settings[bucket_settings.POLICY.name, None] = json.dumps({"Statement": FOREIGN})
        admin.configure_bucket()
        assert [statement["Sid"] for statement in policy(fake)] == ["Theirs", "LanggraphCheckpointS3TlsOnly"]

    def test_our_statement_alone_goes_with_the_policy(self, admin: S3Admin, fake: FakeS3) -> None:
        admin.configure_bucket()
        [change] = admin.configure_bucket(**{**NOTHING, "tls_only": False})
        assert change.after is None
        assert written(fake, bucket_settings.POLICY) is None

    def test_an_equivalent_statement_is_enough(self, admin: S3Admin, fake: FakeS3) -> None:
        theirs = {
            "Sid": "AllowSSLRequestsOnly",
            "Effect": "Deny",
            "Principal": {"AWS": "*"},
            "Action": ["s3:*"],
            "Resource": [f"arn:aws:s3:::{BUCKET}/*", f"arn:aws:s3:::{BUCKET}"],
            "Condition": {"Bool": {"aws:SecureTransport": [False]}},
        }
        fake.settings[bucket_settings.POLICY.name, None] = json.dumps({"Statement": [theirs]})
        assert admin.configure_bucket(**{**NOTHING, "tls_only": True}) == []

    def test_our_statement_is_put_right(self, admin: S3Admin, fake: FakeS3) -> None:
        wrong = {**FOREIGN, "Sid": "LanggraphCheckpointS3TlsOnly"}
        fake.settings[bucket_settings.POLICY.name, None] = json.dumps({"Statement": [wrong, FOREIGN]})
        admin.configure_bucket()
        theirs, ours = policy(fake)
        assert theirs == FOREIGN
        assert ours["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}

    @pytest.mark.parametrize(
        ("region", "partition"),
        [
            ("eu-west-1", "aws"),
            ("cn-north-1", "aws-cn"),
            ("us-gov-west-1", "aws-us-gov"),
            ("eusc-de-east-1", "aws-eusc"),
            ("us-iso-east-1", "aws-iso"),
            ("us-isob-east-1", "aws-iso-b"),
            ("cn-hangzhou", "aws"),  # of another cloud
        ],
    )
    def test_arns_are_of_the_regions_partition(self, fake: FakeS3, region: str, partition: str) -> None:
        S3Admin(make_saver(fake, region=region)).configure_bucket()
        assert policy(fake)[0]["Resource"][0] == f"arn:{partition}:s3:::{BUCKET}"

    def test_lifecycle_rules_of_others_stay(self, admin: S3Admin, fake: FakeS3) -> None:
        theirs = {"ID": "x", "Status": "Enabled", "Filter": {"Prefix": "x/"}, "Expiration": {"Days": 3}}
        fake.settings[bucket_settings.LIFECYCLE.name, None] = {"Rules": [theirs]}
        admin.configure_bucket()
        [change] = admin.configure_bucket(abort_incomplete_uploads_days=3)
        assert change.after["Rules"][0] == theirs
        assert change.after["Rules"][1]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 3}
        assert len(change.after["Rules"]) == 2


class TestAbortOfUploads:
    """One rule, which `configure_bucket` and a lifecycle policy without a tag share."""

    DELETION = LifecyclePolicy(days_until_deletion=30, noncurrent_version_days=7)

    def rules(self, fake: FakeS3) -> list[dict[str, Any]]:
        rules: list[dict[str, Any]] = (written(fake, bucket_settings.LIFECYCLE) or {"Rules": []})["Rules"]
        return rules

    def days(self, fake: FakeS3) -> list[int]:
        return [
            rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"]
            for rule in self.rules(fake)
            if "AbortIncompleteMultipartUpload" in rule
        ]

    def configure(self, admin: S3Admin, days: Any) -> list[Any]:
        return admin.configure_bucket(**{**NOTHING, "abort_incomplete_uploads_days": days})

    def test_the_last_call_wins(self, admin: S3Admin, fake: FakeS3) -> None:
        assert self.configure(admin, 3)
        assert admin.get_lifecycle_policy() == LifecyclePolicy(abort_incomplete_uploads_days=3)
        admin.set_lifecycle_policy(self.DELETION)
        assert self.days(fake) == [7]
        assert self.configure(admin, 7) == []
        assert self.configure(admin, 3)
        assert self.days(fake) == [3]
        assert admin.get_lifecycle_policy() == replace(self.DELETION, abort_incomplete_uploads_days=3)

    def test_a_policy_without_days_removes_it(self, admin: S3Admin, fake: FakeS3) -> None:
        self.configure(admin, 3)
        admin.set_lifecycle_policy(replace(self.DELETION, abort_incomplete_uploads_days=None))
        assert self.days(fake) == []

    def test_removing_the_policy_removes_it(self, admin: S3Admin, fake: FakeS3) -> None:
        self.configure(admin, 3)
        admin.set_lifecycle_policy(self.DELETION)
        admin.remove_lifecycle_policy()
        assert self.rules(fake) == []
        self.configure(admin, 3)
        admin.remove_lifecycle_policy()
        assert self.rules(fake) == []
        assert self.configure(admin, False) == []

    def test_false_removes_it_and_keeps_the_rest_of_the_policy(self, admin: S3Admin, fake: FakeS3) -> None:
        admin.set_lifecycle_policy(self.DELETION)
        [change] = self.configure(admin, False)
        assert change.before != change.after
        assert self.days(fake) == []
        assert admin.get_lifecycle_policy() == replace(self.DELETION, abort_incomplete_uploads_days=None)
        assert self.configure(admin, False) == []
        admin.set_lifecycle_policy(LifecyclePolicy())
        assert self.configure(admin, False)
        assert self.rules(fake) == []

    def test_none_leaves_it(self, admin: S3Admin, fake: FakeS3) -> None:
        admin.set_lifecycle_policy(LifecyclePolicy())
        assert self.configure(admin, None) == []
        assert self.days(fake) == [7]

    def test_a_policy_with_a_tag_has_its_own(self, admin: S3Admin, fake: FakeS3) -> None:
        tagged = LifecyclePolicy(days_until_deletion=30, object_tag=("team", "a"))
        admin.set_lifecycle_policy(tagged)
        self.configure(admin, 3)
        assert sorted(self.days(fake)) == [3, 7]
        self.configure(admin, False)
        assert admin.get_lifecycle_policy(("team", "a")) == tagged
        assert admin.get_lifecycle_policy() is None

    @pytest.mark.parametrize("days", [3, False])
    def test_an_older_rule_of_its_own_is_replaced(self, admin: S3Admin, fake: FakeS3, days: Any) -> None:
        older = {
            "ID": "langgraph-checkpoint-s3:checkpoints/:abort-uploads",
            "Status": "Enabled",
            "Filter": {"Prefix": "checkpoints/"},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 5},
        }
        fake.settings[bucket_settings.LIFECYCLE.name, None] = {"Rules": [older]}
        assert admin.get_lifecycle_policy() == LifecyclePolicy(abort_incomplete_uploads_days=5)
        self.configure(admin, days)
        assert self.days(fake) == ([days] if days else [])
        fake.settings[bucket_settings.LIFECYCLE.name, None] = {"Rules": [older]}
        admin.set_lifecycle_policy(self.DELETION)
        assert self.days(fake) == [7]
        fake.settings[bucket_settings.LIFECYCLE.name, None] = {"Rules": [older]}
        admin.remove_lifecycle_policy()
        assert self.rules(fake) == []

    def test_disabled_rules_stay_disabled(self, admin: S3Admin, fake: FakeS3) -> None:
        admin.set_lifecycle_policy(LifecyclePolicy(noncurrent_version_days=7))
        for rule in self.rules(fake):
            rule["Status"] = "Disabled"
        self.configure(admin, 3)
        assert admin.get_lifecycle_policy() == LifecyclePolicy(abort_incomplete_uploads_days=3)
