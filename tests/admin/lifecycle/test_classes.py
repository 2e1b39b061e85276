"""One lifecycle policy for each retention class, among rules of others."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from langgraph_checkpoint_s3 import InvalidConfigError, NotSupportedError
from langgraph_checkpoint_s3.admin import LifecyclePolicy, S3Admin
from langgraph_checkpoint_s3.format.retention import TAG
from langgraph_checkpoint_s3.s3.bucket_settings import LIFECYCLE
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver

CLASSES = {"default": timedelta(days=90), "trial": timedelta(days=7)}
OTHERS = {"ID": "logs", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 1}}


def admin(fake: FakeS3, **settings: Any) -> S3Admin:
    return S3Admin(make_saver(fake, **{"retention": CLASSES, "prefix": "a/", **settings}))


def rules(fake: FakeS3) -> dict[str, Any]:
    return {rule["ID"]: rule for rule in fake.settings[LIFECYCLE.name, None]["Rules"]}


def test_each_class_gets_its_rule_in_one_write() -> None:
    fake = FakeS3()
    fake.settings[LIFECYCLE.name, None] = {"Rules": [OTHERS]}
    with fake.counted() as count:
        [change] = admin(fake).set_lifecycle_policy()
    assert count.kinds == {"GetSetting": 1, "PutSetting": 1}
    assert change.before == {"Rules": [OTHERS]}
    begin = "langgraph-checkpoint-s3:a/"
    found = rules(fake)
    assert found.keys() == {
        "logs",
        f"{begin}:delete:langgraph-retention=default:+1d",
        f"{begin}:cleanup:langgraph-retention=default",
        f"{begin}:delete:langgraph-retention=trial:+1d",
    }
    trial = found[f"{begin}:delete:langgraph-retention=trial:+1d"]
    assert trial["Expiration"] == {"Days": 8}
    assert trial["Filter"] == {"And": {"Prefix": "a/", "Tags": [{"Key": TAG, "Value": "trial"}]}}
    assert asyncio.run(admin(fake).aset_lifecycle_policy()) == []


def test_a_changed_class_replaces_its_rule_and_one_that_is_left_out_stays() -> None:
    fake = FakeS3()
    admin(fake).set_lifecycle_policy()
    fewer = admin(fake, retention={"default": timedelta(days=30)})
    fewer.set_lifecycle_policy()
    kept = {name: fewer.get_lifecycle_policy((TAG, name)) for name in CLASSES}
    assert {name: each.days_until_deletion for name, each in kept.items() if each} == {
        "default": 30,
        "trial": 7,
    }
    assert fewer.remove_lifecycle_policy((TAG, "trial"))
    assert fewer.get_lifecycle_policy((TAG, "trial")) is None


def test_a_policy_without_a_tag_stays_beside_them() -> None:
    """Such as one for old versions: `check` warns if it deletes current objects."""
    fake = FakeS3()
    versions = LifecyclePolicy(noncurrent_version_days=14)
    admin(fake).set_lifecycle_policy(versions)
    admin(fake).set_lifecycle_policy()
    assert admin(fake).get_lifecycle_policy() == versions


def test_without_classes_and_policy_there_is_nothing_to_set() -> None:
    fake = FakeS3()
    with pytest.raises(InvalidConfigError, match="retention="):
        admin(fake, retention={}).set_lifecycle_policy()
    with pytest.raises(InvalidConfigError, match="retention="):
        asyncio.run(admin(fake, retention={}).aset_lifecycle_policy())
    assert fake.settings == {}


def test_a_store_without_rules_says_so() -> None:
    fake = FakeS3()
    fake.unsupported = {LIFECYCLE.name}
    with pytest.raises(NotSupportedError):
        admin(fake).set_lifecycle_policy()


def test_setup_finds_a_store_that_loses_tags() -> None:
    fake = FakeS3()
    saver = make_saver(fake, retention=CLASSES)
    with fake.counted() as count:
        saver.setup()
    assert count.kinds["GetTags"] == 1
    with fake.counted() as count:
        make_saver(fake).setup()
    assert "GetTags" not in count.kinds

    class Forgetful(FakeS3):
        def put(self, key: str, data: bytes, tag: str | None = None) -> Any:
            return super().put(key, data)

    forgetful = Forgetful()
    with pytest.raises(NotSupportedError, match="tags"):
        make_saver(forgetful, retention=CLASSES).setup()
    assert forgetful.keys() == []
