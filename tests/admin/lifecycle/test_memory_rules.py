"""Lifecycle rules and what lies beside threads: long-term memory is kept, the node cache goes by age."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_checkpoint_s3 import InvalidConfigError
from langgraph_checkpoint_s3.admin import LifecyclePolicy, S3Admin
from langgraph_checkpoint_s3.s3.bucket_settings import LIFECYCLE
from langgraph_checkpoint_s3.s3.requests import ListObjects
from tests.memory.support import make_store
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver
from tests.support.hooks import failing

KEY = (LIFECYCLE.name, None)
DELETION: dict[str, Any] = {"days_until_deletion": 30}
OFFLINE: dict[str, Any] = {"transitions": {"DEEP_ARCHIVE": 30}, "allow_offline_archive": True}


@pytest.fixture
def admin(fake: FakeS3) -> S3Admin:
    """An admin of a bucket with long-term memory, whose objects have a tag."""
    saver = make_saver(fake, prefix="agents/", object_tags={"team": "a"})
    make_store(fake, prefix="agents/").put(("users",), "a", {})
    return S3Admin(saver)


def lifecycle(admin: S3Admin) -> str:
    return admin.check()["lifecycle"].detail


@pytest.mark.parametrize("settings", [DELETION, OFFLINE, {**DELETION, "object_tag": ("team", "a")}], ids=str)
@pytest.mark.filterwarnings("ignore::langgraph_checkpoint_s3.admin.lifecycle.policy.LifecycleWarning")
def test_a_policy_that_acts_on_memories_needs_consent(
    fake: FakeS3, admin: S3Admin, settings: dict[str, Any]
) -> None:
    with pytest.raises(InvalidConfigError, match="include_memories=True"):
        admin.set_lifecycle_policy(LifecyclePolicy(**settings))
    assert KEY not in fake.settings
    policy = LifecyclePolicy(**settings, include_memories=True)
    assert admin.set_lifecycle_policy(policy)
    assert admin.get_lifecycle_policy(policy.object_tag) == policy == LifecyclePolicy(**settings)
    assert "long-term memory too" in lifecycle(admin)
    assert "prefix of its own" in lifecycle(admin)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"cache_days": 7},
        {"noncurrent_version_days": 3},
        {"days_until_archive": 30, "minimum_object_size": 200_000},
        {**DELETION, "object_tag": ("team", "b")},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore::langgraph_checkpoint_s3.admin.lifecycle.policy.LifecycleWarning")
def test_other_policies_need_none(admin: S3Admin, settings: dict[str, Any]) -> None:
    assert admin.set_lifecycle_policy(LifecyclePolicy(**settings))
    assert "memory" not in lifecycle(admin)


def test_without_memories_there_is_nothing_to_consent_to(fake: FakeS3, admin: S3Admin) -> None:
    other = S3Admin(make_saver(fake, prefix="agents/b/"))
    with fake.counted() as count:
        other.set_lifecycle_policy(LifecyclePolicy(**DELETION))
    assert count.kinds == {"ListObjects": 1, "GetSetting": 1, "PutSetting": 1}
    assert "memory" not in lifecycle(other)
    fake.hook = failing(ListObjects, "AccessDenied", 403)
    assert admin.set_lifecycle_policy(LifecyclePolicy(**DELETION)), "who may not look, may set it"


@pytest.mark.parametrize(
    ("rule", "warned"),
    [
        ({"Filter": {"Prefix": "agents/.store/users/"}, "Expiration": {"Days": 9}}, True),
        ({"Filter": {"Prefix": ""}, "Expiration": {"Days": 9}}, True),
        ({"Filter": {"Prefix": ""}, "Transitions": [{"Days": 1, "StorageClass": "GLACIER"}]}, True),
        ({"Filter": {"Prefix": "agents/.cache/"}, "Expiration": {"Days": 9}}, False),
        ({"Filter": {"Prefix": "agents/customer"}, "Expiration": {"Days": 9}}, False),
        ({"Filter": {"Tag": {"Key": "team", "Value": "b"}}, "Expiration": {"Days": 9}}, False),
        ({"Filter": {"Prefix": ""}, "Expiration": {"Days": 9}, "Status": "Disabled"}, False),
        ({"Filter": {"Prefix": ""}, "NoncurrentVersionExpiration": {"NoncurrentDays": 9}}, False),
    ],
    ids=str,
)
def test_rules_of_others(fake: FakeS3, admin: S3Admin, rule: dict[str, Any], warned: bool) -> None:
    fake.settings[KEY] = {"Rules": [{"ID": "theirs", "Status": "Enabled", **rule}]}
    assert ("'theirs'" in lifecycle(admin) and "memory" in lifecycle(admin)) == warned


def test_the_node_cache_goes_by_age(fake: FakeS3, admin: S3Admin) -> None:
    policy = LifecyclePolicy(cache_days=7, abort_incomplete_uploads_days=None)
    admin.set_lifecycle_policy(policy)
    assert fake.settings[KEY] == {
        "Rules": [
            {
                "ID": "langgraph-checkpoint-s3:agents/:cache",
                "Status": "Enabled",
                "Filter": {"Prefix": "agents/.cache/"},
                "Expiration": {"Days": 7},
            }
        ]
    }
    assert admin.get_lifecycle_policy() == policy
    assert policy != LifecyclePolicy(cache_days=8, abort_incomplete_uploads_days=None)
    assert admin.set_lifecycle_policy(policy) == []
    admin.set_lifecycle_policy(LifecyclePolicy(days_until_deletion=9, include_memories=True))
    found = admin.get_lifecycle_policy()
    assert found is not None
    assert found.cache_days is None
    admin.set_lifecycle_policy(LifecyclePolicy(days_until_deletion=9, cache_days=2, include_memories=True))
    assert admin.get_lifecycle_policy() == LifecyclePolicy(days_until_deletion=9, cache_days=2)
    admin.remove_lifecycle_policy()
    assert fake.settings.get(KEY) is None


@pytest.mark.parametrize(
    "settings",
    [
        {"cache_days": 0},
        {"cache_days": 36_501},
        {"cache_days": 1.5},
        {"cache_days": 7, "object_tag": ("a", "b")},
        {"include_memories": 1},
        {"include_memories": True, "abort_incomplete_uploads_days": None},
    ],
    ids=str,
)
def test_bad_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfigError):
        LifecyclePolicy(**settings)
