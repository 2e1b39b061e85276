"""Replication on the fake S3: our rule beside foreign ones, and conflicting rules."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_checkpoint_s3 import InvalidConfigError, NotSupportedError, S3Saver
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.s3 import bucket_settings
from tests.support.fake_s3 import BUCKET, FakeS3
from tests.support.fake_store import make_saver

ROLE = "arn:aws:iam::123456789012:role/replication"
ID = "langgraph-checkpoint-s3:checkpoints/:replication"
RULE = {
    "ID": ID,
    "Priority": 1,
    "Status": "Enabled",
    "Filter": {"Prefix": "checkpoints/"},
    "Destination": {"Bucket": "arn:aws:s3:::other-bucket"},
    "DeleteMarkerReplication": {"Status": "Disabled"},
}
THEIRS = {**RULE, "ID": "theirs", "Priority": 7, "Filter": {"Prefix": "x/"}}
KEY = "arn:aws:kms:eu-west-1:123456789012:key/k"


@pytest.fixture
def admin(saver: S3Saver, fake: FakeS3) -> S3Admin:
    fake.set_versioning("Enabled")
    return S3Admin(saver)


def put(fake: FakeS3, *rules: Any, role: str = ROLE) -> None:
    fake.settings[bucket_settings.REPLICATION.name, None] = {"Role": role, "Rules": list(rules)}


def stored(fake: FakeS3) -> Any:
    return fake.settings.get((bucket_settings.REPLICATION.name, None))


def test_it_is_set_once_and_taken_away(admin: S3Admin, fake: FakeS3) -> None:
    with fake.counted() as count:
        [change] = admin.enable_replication("other-bucket", ROLE)
    assert change.setting == "replication"
    assert change.before is None
    assert change.after == {"Role": ROLE, "Rules": [RULE]}
    assert [len(batch) for batch in count.batches] == [3, 1]
    assert admin.enable_replication("arn:aws:s3:::other-bucket", ROLE) == []
    [change] = admin.disable_replication()
    assert change.after is None
    assert stored(fake) is None
    assert admin.disable_replication() == []


def test_all_options(admin: S3Admin) -> None:
    said: dict[str, Any] = {
        "storage_class": "STANDARD_IA",
        "delete_markers": True,
        "priority": 3,
        "replica_kms_key_id": KEY,
    }
    [change] = admin.enable_replication("other-bucket", ROLE, **said)
    assert change.after["Rules"] == [
        {
            **RULE,
            "Priority": 3,
            "Destination": {
                "Bucket": "arn:aws:s3:::other-bucket",
                "StorageClass": "STANDARD_IA",
                "EncryptionConfiguration": {"ReplicaKmsKeyID": KEY},
            },
            "SourceSelectionCriteria": {"SseKmsEncryptedObjects": {"Status": "Enabled"}},
            "DeleteMarkerReplication": {"Status": "Enabled"},
        }
    ]
    assert admin.enable_replication("other-bucket", ROLE, **said) == []
    [change] = admin.enable_replication("other-bucket", ROLE)
    assert change.after["Rules"] == [{**RULE, "Priority": 3}]  # it keeps its place


def test_the_rules_of_others_stay(admin: S3Admin, fake: FakeS3) -> None:
    put(fake, THEIRS, {**RULE, "Status": "Disabled"})
    [change] = admin.enable_replication("other-bucket", ROLE)
    assert change.after["Rules"] == [THEIRS, RULE]
    [change] = admin.disable_replication()
    assert change.after == {"Role": ROLE, "Rules": [THEIRS]}
    assert admin.disable_replication() == []
    [change] = admin.enable_replication("other-bucket", ROLE)
    assert change.after["Rules"] == [THEIRS, {**RULE, "Priority": 8}]


def test_savers_of_a_bucket_have_rules_of_their_own(admin: S3Admin, fake: FakeS3) -> None:
    other = S3Admin(make_saver(fake, prefix="checkpoints/nested/"))
    admin.enable_replication("other-bucket", ROLE)
    other.enable_replication("other-bucket", ROLE)
    assert [rule["Priority"] for rule in stored(fake)["Rules"]] == [1, 2]
    admin.disable_replication()
    assert [rule["Filter"] for rule in stored(fake)["Rules"]] == [{"Prefix": "checkpoints/nested/"}]


def test_a_store_may_write_it_down_in_its_own_way(admin: S3Admin, fake: FakeS3) -> None:
    put(fake, {**dict(reversed(RULE.items())), "SourceSelectionCriteria": {}, "Prefix": None})
    assert admin.enable_replication("other-bucket", ROLE) == []


@pytest.mark.parametrize("status", [None, "Suspended"])
def test_it_needs_versions(saver: S3Saver, fake: FakeS3, status: str | None) -> None:
    if status:
        fake.set_versioning(status)
    with pytest.raises(InvalidConfigError, match=r"enable_versioning\(\)"):
        S3Admin(saver).enable_replication("other-bucket", ROLE)
    assert stored(fake) is None


@pytest.mark.parametrize(
    ("rule", "asked", "said"),
    [
        ({"ID": "old", "Prefix": "x/", "Status": "Enabled"}, {}, "first version.*old"),
        (THEIRS, {"priority": 7}, "that of another"),
        (THEIRS, {"role": "arn:aws:iam::123456789012:role/other"}, f"share one role.*{ROLE}"),
    ],
)
def test_conflicts_with_foreign_rules(
    admin: S3Admin, fake: FakeS3, rule: Any, asked: dict[str, Any], said: str
) -> None:
    put(fake, rule)
    with pytest.raises(InvalidConfigError, match=said):
        admin.enable_replication(**{"destination": "other-bucket", "role": ROLE, **asked})
    assert stored(fake)["Rules"] == [rule]


def test_our_own_role_may_change(admin: S3Admin) -> None:
    admin.enable_replication("other-bucket", ROLE)
    [change] = admin.enable_replication("other-bucket", f"{ROLE}-2")
    assert change.after["Role"] == f"{ROLE}-2"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"role": "replication"}, "not a role's ARN"),
        ({"destination": BUCKET}, "the bucket itself"),
        ({"destination": f"arn:aws:s3:::{BUCKET}"}, "the bucket itself"),
        ({"destination": "a bucket"}, "neither a bucket's name nor its ARN"),
        ({"destination": "arn:aws:s3:::other/key"}, "neither a bucket's name nor its ARN"),
        ({"priority": -1}, "from 0 to"),
        ({"priority": 2**31}, "from 0 to"),
    ],
)
def test_invalid_arguments_are_refused_before_any_request(
    admin: S3Admin, fake: FakeS3, asked: dict[str, Any], said: str
) -> None:
    with fake.counted() as count, pytest.raises(InvalidConfigError, match=said):
        admin.enable_replication(**{"destination": "other-bucket", "role": ROLE, **asked})
    assert count.requests == []


def test_the_destination_is_in_the_roles_partition(admin: S3Admin) -> None:
    [change] = admin.enable_replication("other-bucket", ROLE.replace("aws", "aws-cn"))
    assert change.after["Rules"][0]["Destination"]["Bucket"] == "arn:aws-cn:s3:::other-bucket"


class TestObjectsThatKmsEncrypts:
    def test_the_savers_own(self, admin: S3Admin, fake: FakeS3) -> None:
        kms = S3Admin(make_saver(fake, server_side_encryption="aws:kms"))
        with pytest.raises(InvalidConfigError, match="replica_kms_key_id"):
            kms.enable_replication("other-bucket", ROLE)
        assert kms.enable_replication("other-bucket", ROLE, replica_kms_key_id=KEY)

    @pytest.mark.parametrize("mode", ["auto", "off"])
    def test_the_buckets(self, admin: S3Admin, fake: FakeS3, mode: str) -> None:
        default = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]}
        fake.settings[bucket_settings.ENCRYPTION.name, None] = default
        off = S3Admin(make_saver(fake, server_side_encryption=mode))
        with pytest.raises(InvalidConfigError, match="replica_kms_key_id"):
            off.enable_replication("other-bucket", ROLE)
        assert off.enable_replication("other-bucket", ROLE, replica_kms_key_id=KEY)
        fake.unsupported = {bucket_settings.ENCRYPTION.name}  # then it isn't that either
        assert off.enable_replication("other-bucket", ROLE)


def test_a_store_that_does_not_replicate(admin: S3Admin, fake: FakeS3) -> None:
    fake.unsupported = {bucket_settings.REPLICATION.name}
    with pytest.raises(NotSupportedError, match="replication"):
        admin.enable_replication("other-bucket", ROLE)
    with pytest.raises(NotSupportedError, match="replication"):
        admin.disable_replication()
