"""Bucket configuration on a store: foreign settings, unsupported ones, and repetition."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from langgraph_checkpoint_s3 import (
    AccessDeniedError,
    BucketNotFoundError,
    InvalidConfigError,
    NotSupportedError,
)
from langgraph_checkpoint_s3.admin.bucket.configure import IntelligentTieringArchive
from langgraph_checkpoint_s3.admin.setting_changes import Change
from tests.contract.admin.drivers import async_mostly, sync_mostly, sync_only
from tests.contract.front import Front
from tests.contract.support import MakeCalls, MakeSaver, Place, at, build_thread
from tests.contract.test_async import self_signed

FLAGS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
KEY = "arn:aws:kms:us-east-1:000000000000:key/11111111-2222-3333-4444-555555555555"
ROLE = "arn:aws:iam::123456789012:role/replication"
ARCHIVE = IntelligentTieringArchive(
    archive_after_days=120, deep_archive_after_days=240, allow_offline_archive=True
)
WANTED: dict[str, tuple[str, Any]] = {
    "tls_only": ("policies", "auto"),
    "block_public_access": ("public_access", True),
    "encryption": ("encryption", "AES256"),
    "abort_incomplete_uploads_days": ("lifecycle", 7),
    "accelerate": ("acceleration", True),
    "request_metrics": ("request_metrics", True),
    "intelligent_tiering": ("request_metrics", ARCHIVE),
}
"""Arguments of `configure_bucket`, with the feature of a store that each needs."""


@pytest.fixture
def tls(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The store's address over TLS."""
    certificate = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    with Front(place.server.endpoint_url, context) as front:
        yield front.url


def known(place: Place, **wanted: Any) -> dict[str, Any]:
    """Return all arguments, with `None` for those that the store doesn't support."""
    features = place.server.features
    found = {name: value if getattr(features, feature) else None for name, (feature, value) in WANTED.items()}
    return {**found, **wanted}


class TestConfigureBucket:
    def test_all_that_the_store_knows(self, make_admin: MakeCalls, place: Place) -> None:
        features, admin = place.server.features, make_admin()
        wanted = known(place)
        changes = admin.configure_bucket(**wanted)
        assert admin.configure_bucket(**wanted) == []
        tls = place.front.url.startswith("https://")  # or `auto` is off
        asked = [value for value in wanted.values() if value is not None and (tls or value != "auto")]
        already = 2 if place.server.name in ("localstack", "external") else 0  # as on AWS itself
        assert len(asked) - already <= len(changes) <= len(asked)
        bucket = {"Bucket": place.bucket}
        if features.public_access:
            block = place.client.get_public_access_block(**bucket)["PublicAccessBlockConfiguration"]
            assert [value for name, value in block.items() if name in FLAGS] == [True] * 4
        if features.encryption:
            found = place.client.get_bucket_encryption(**bucket)["ServerSideEncryptionConfiguration"]
            assert found["Rules"][0]["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
        if features.lifecycle:
            [rule] = place.client.get_bucket_lifecycle_configuration(**bucket)["Rules"]
            assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
        if features.acceleration:
            acceleration = place.client.get_bucket_accelerate_configuration(Bucket=place.bucket)
            assert acceleration["Status"] == "Enabled"
            [change] = admin.configure_bucket(**known(place, accelerate=False))
            assert change.after == {"Status": "Suspended"}
        build_thread(admin.saver.saver)
        assert place.listing()

    @sync_mostly
    def test_unsupported_settings_are_named_together(
        self, tls: str, make_admin: MakeCalls, make_saver: MakeSaver, place: Place
    ) -> None:
        unknown = [name for name, value in known(place).items() if value is None]
        if not unknown:
            pytest.skip("this store knows all of them")
        build_thread(make_saver())
        before = place.objects()
        admin = make_admin(endpoint_url=tls)
        with pytest.raises(NotSupportedError) as caught:
            admin.configure_bucket(**{name: value for name, (_, value) in WANTED.items()})
        named = {name for name in WANTED if f"{name}=None" in str(caught.value)}
        expected = {*unknown, "accelerate"}  # of which no store says whether it knows it
        if place.server.features.policies:
            expected.discard("block_public_access")  # it is taken, if only to its owner's harm
        assert named == expected
        assert {name for name in place.front.counts() if "Bucket" in name} == set()
        assert place.objects() == before
        wanted = known(place, tls_only=None)
        assert len(admin.configure_bucket(**wanted)) == len([each for each in wanted.values() if each])

    @async_mostly
    def test_metrics_and_tiers(self, make_admin: MakeCalls, place: Place) -> None:
        asked: dict[str, Any] = {"request_metrics": True, "intelligent_tiering": ARCHIVE}
        nothing = dict.fromkeys(WANTED)
        admin = make_admin(prefix="agents/")
        if not place.server.features.request_metrics:
            with pytest.raises(NotSupportedError, match="request_metrics=None, intelligent_tiering=None"):
                admin.configure_bucket(**{**nothing, **asked})
            return
        name = "langgraph-checkpoint-s3.agents.2F"
        theirs = {"Id": "theirs", "Filter": {"Prefix": "x/"}}
        place.client.put_bucket_metrics_configuration(
            Bucket=place.bucket,
            Id="theirs",
            MetricsConfiguration=theirs,  # type: ignore[arg-type]  # a plain dict
        )
        metrics, tiering = admin.configure_bucket(**{**nothing, **asked})
        assert (metrics.before, tiering.before) == (None, None)
        assert admin.configure_bucket(**{**nothing, **asked}) == []
        found = place.client.list_bucket_metrics_configurations(Bucket=place.bucket)
        assert {each["Id"]: each["Filter"] for each in found["MetricsConfigurationList"]} == {
            name: {"Prefix": "agents/"},
            "theirs": {"Prefix": "x/"},
        }
        [tiers] = place.client.list_bucket_intelligent_tiering_configurations(Bucket=place.bucket)[
            "IntelligentTieringConfigurationList"
        ]
        assert {tier["AccessTier"]: tier["Days"] for tier in tiers["Tierings"]} == {
            "ARCHIVE_ACCESS": 120,
            "DEEP_ARCHIVE_ACCESS": 240,
        }
        off: dict[str, Any] = {"request_metrics": False, "intelligent_tiering": False}
        assert [change.after for change in admin.configure_bucket(**{**nothing, **off})] == [None, None]
        assert admin.configure_bucket(**{**nothing, **off}) == []
        found = place.client.list_bucket_metrics_configurations(Bucket=place.bucket)
        assert [each["Id"] for each in found["MetricsConfigurationList"]] == ["theirs"]

    @sync_only
    def test_a_customer_managed_key(self, make_admin: MakeCalls, place: Place) -> None:
        if not place.server.features.encryption:
            pytest.skip("no default encryption here")
        admin = make_admin()
        asked: dict[str, Any] = {**dict.fromkeys(WANTED), "encryption": "aws:kms", "kms_key_id": KEY}
        [change] = admin.configure_bucket(**asked)
        assert change.setting == "default encryption"
        assert admin.configure_bucket(**asked) == []
        found = place.client.get_bucket_encryption(Bucket=place.bucket)["ServerSideEncryptionConfiguration"]
        [rule] = found["Rules"]
        assert rule["BucketKeyEnabled"]
        assert rule["ApplyServerSideEncryptionByDefault"] == {
            "SSEAlgorithm": "aws:kms",
            "KMSMasterKeyID": KEY,
        }
        assert admin.configure_bucket(**{**asked, "encryption": "auto", "kms_key_id": None}) == []
        [change] = admin.configure_bucket(**asked, bucket_key=False)
        assert not change.after["Rules"][0]["BucketKeyEnabled"]

    def test_a_bucket_that_is_missing(self, make_admin: MakeCalls) -> None:
        with pytest.raises(BucketNotFoundError) as caught:
            make_admin(bucket="there-is-no-such-bucket").configure_bucket(
                **dict.fromkeys(WANTED) | {"abort_incomplete_uploads_days": 3}
            )
        assert "Before that" not in str(caught.value)


class TestThePolicy:
    def test_it_is_merged_over_tls(self, tls: str, make_admin: MakeCalls, place: Place) -> None:
        if not place.server.features.policies:
            pytest.skip("no policies here")
        arn = f"arn:aws:s3:::{place.bucket}"
        theirs = {
            "Sid": "Theirs",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:PutObject",
            "Resource": f"{arn}/locked/*",
        }
        policy = {"Version": "2012-10-17", "Id": "mine", "Statement": theirs}
        place.client.put_bucket_policy(Bucket=place.bucket, Policy=json.dumps(policy))
        admin, nothing = make_admin(endpoint_url=tls), dict.fromkeys(WANTED)
        try:
            [change] = admin.configure_bucket(**{**nothing, "tls_only": "auto"})
            assert change.setting == "bucket policy"
            assert admin.configure_bucket(**{**nothing, "tls_only": True}) == []
            found = json.loads(place.client.get_bucket_policy(Bucket=place.bucket)["Policy"])
            assert (found["Version"], found["Id"]) == ("2012-10-17", "mine")
            assert found["Statement"][0] == theirs
            assert found["Statement"][1]["Resource"] == [arn, f"{arn}/*"]
            if place.server.features.bucket_policy and place.server.features.policy_conditions:
                build_thread(admin.saver.saver)
                with pytest.raises(AccessDeniedError):
                    build_thread(make_admin(endpoint_url=tls, prefix="locked/").saver.saver)
            [change] = admin.configure_bucket(**{**nothing, "tls_only": False})
            found = json.loads(place.client.get_bucket_policy(Bucket=place.bucket)["Policy"])
            assert found["Statement"] == [theirs]
        finally:
            place.client.delete_bucket_policy(Bucket=place.bucket)


class TestPlainHttp:
    def test_tls_only_is_refused_over_plain_http(self, make_admin: MakeCalls, place: Place) -> None:
        admin = make_admin()
        with pytest.raises(InvalidConfigError, match=r"plain http.*tls_only=None"):
            admin.configure_bucket(tls_only=True)
        assert place.front.counts() == {}


class TestCreateBucket:
    def test_it_is_made_and_set_up(self, make_admin: MakeCalls, place: Place, driver: str) -> None:
        name = f"{place.bucket}-{driver}"
        admin = make_admin(bucket=name)
        wanted = known(place)
        changes = admin.create_bucket(**wanted)
        try:
            assert changes[0] == Change("bucket", None, name)
            configured = make_admin().configure_bucket(**wanted)
            assert [each.setting for each in changes[1:]] == [each.setting for each in configured]
            assert make_admin().create_bucket(**wanted) == []
            assert admin.create_bucket(**wanted) == []
            assert place.front.counts()["CreateBucket"] == 1
            build_thread(admin.saver.saver)
            assert admin.saver.saver.get_tuple(at())
        finally:
            admin.saver.saver.delete_thread("thread")
            place.client.delete_bucket(Bucket=name)


class TestReplication:
    @sync_mostly
    def test_rules_of_others_stay(self, make_admin: MakeCalls, place: Place) -> None:
        features, admin = place.server.features, make_admin(prefix="agents/")
        if features.versioning:
            with pytest.raises(InvalidConfigError, match=r"enable_versioning\(\)"):
                admin.enable_replication("other-bucket", ROLE)
            place.client.put_bucket_versioning(
                Bucket=place.bucket, VersioningConfiguration={"Status": "Enabled"}
            )
        if not features.replication:
            if place.server.name != "moto":  # which takes a rule, and forgets its prefix
                with pytest.raises(NotSupportedError, match="replication"):
                    admin.enable_replication("other-bucket", ROLE)
            return
        other = f"{place.bucket}-other"
        place.client.create_bucket(Bucket=other)
        try:
            place.client.put_bucket_versioning(Bucket=other, VersioningConfiguration={"Status": "Enabled"})
            theirs: Any = {
                "ID": "theirs",
                "Priority": 4,
                "Status": "Enabled",
                "Filter": {"And": {"Prefix": "x/", "Tags": [{"Key": "a", "Value": "b"}]}},
                "Destination": {"Bucket": f"arn:aws:s3:::{other}", "StorageClass": "GLACIER"},
                "DeleteMarkerReplication": {"Status": "Disabled"},
            }
            place.client.put_bucket_replication(
                Bucket=place.bucket, ReplicationConfiguration={"Role": ROLE, "Rules": [theirs]}
            )
            said: dict[str, Any] = {"storage_class": "STANDARD_IA", "delete_markers": True}
            [change] = admin.enable_replication(other, ROLE, **said)
            assert admin.enable_replication(other, ROLE, **said) == []
            found = self.rules(place)
            assert found[0] == theirs
            assert found[1] == change.after["Rules"][1]
            assert found[1]["Filter"] == {"Prefix": "agents/"}
            assert found[1]["Priority"] == 5
            admin.disable_replication()
            assert self.rules(place) == [theirs]
            assert admin.disable_replication() == []
            place.client.delete_bucket_replication(Bucket=place.bucket)
            admin.enable_replication(other, ROLE, replica_kms_key_id=KEY)
            assert admin.enable_replication(other, ROLE, replica_kms_key_id=KEY) == []
            [change] = admin.disable_replication()
            assert change.after is None
        finally:
            place.client.delete_bucket(Bucket=other)

    @staticmethod
    def rules(place: Place) -> list[Any]:
        found = place.client.get_bucket_replication(Bucket=place.bucket)["ReplicationConfiguration"]
        assert found["Role"] == ROLE
        return list(found["Rules"])
