"""Lifecycle policies on the fake S3: requests, and foreign rules that are kept."""

from __future__ import annotations

import copy
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_checkpoint_s3 import (
    AccessDeniedError,
    InvalidConfigError,
    NotSupportedError,
)
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.admin.lifecycle.policy import (
    LifecyclePolicy,
    LifecycleWarning,
    is_rule_of,
    merge_rules,
    rule_id,
)
from langgraph_checkpoint_s3.s3.bucket_settings import LIFECYCLE, PutSetting
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver
from tests.support.hooks import failing

KEY = (LIFECYCLE.name, None)
FOREIGN: list[dict[str, Any]] = [
    {"ID": "logs", "Status": "Enabled", "Prefix": "logs/", "Expiration": {"Days": 3}},
    {
        "ID": "langgraph-checkpoint-s3:other/:delete:+1d",
        "Status": "Enabled",
        "Filter": {"Prefix": "other/"},
        "Expiration": {"Days": 2},
    },
    {
        "Status": "Disabled",
        "Filter": {"And": {"Prefix": "x/", "Tags": [{"Key": "k", "Value": "v"}], "ObjectSizeLessThan": 9}},
        "Transitions": [{"Date": datetime(2030, 1, 1, tzinfo=timezone.utc), "StorageClass": "GLACIER"}],
    },
]


def make_admin(fake: FakeS3, **settings: Any) -> S3Admin:
    return S3Admin(make_saver(fake, **settings))


@pytest.fixture
def admin(fake: FakeS3) -> S3Admin:
    return make_admin(fake, prefix="agents/")


def rules(fake: FakeS3) -> list[Any]:
    found: list[Any] = fake.settings.get(KEY, {"Rules": []})["Rules"]
    return found


class TestSetting:
    def test_an_equal_policy_writes_nothing_in_any_order_of_rules(self, fake: FakeS3, admin: S3Admin) -> None:
        fake.settings[KEY] = {"Rules": copy.deepcopy(FOREIGN)}
        policy = LifecyclePolicy(days_until_deletion=30, noncurrent_version_days=3, object_tag=("k", "v"))
        admin.set_lifecycle_policy(policy)
        rules(fake).reverse()
        with fake.counted() as count:
            assert admin.set_lifecycle_policy(policy) == []
        assert count.kinds == {"GetSetting": 1}

    def test_the_horizon_is_the_savers(self, fake: FakeS3) -> None:
        admin = make_admin(fake, prefix="agents/", borrow_horizon=3 * 24 * 3600.0 + 1)
        admin.set_lifecycle_policy(LifecyclePolicy(days_until_deletion=30))
        assert [rule["Expiration"]["Days"] for rule in rules(fake) if "Expiration" in rule] == [34]
        # Whoever reads it with another horizon, reads what was said.
        other = make_admin(fake, prefix="agents/")
        assert other.get_lifecycle_policy() == LifecyclePolicy(days_until_deletion=30)
        assert other.set_lifecycle_policy(LifecyclePolicy(days_until_deletion=30))
        assert [rule["Expiration"]["Days"] for rule in rules(fake) if "Expiration" in rule] == [31]

    def test_where_nothing_borrows_30_days_are_30(self, fake: FakeS3) -> None:
        admin = make_admin(fake, prefix="agents/", borrow=False)
        policy = LifecyclePolicy(days_until_deletion=30)
        admin.set_lifecycle_policy(policy)
        assert [rule["Expiration"]["Days"] for rule in rules(fake) if "Expiration" in rule] == [30]
        assert admin.get_lifecycle_policy() == policy
        assert admin.set_lifecycle_policy(policy) == []
        # A saver that borrows is told that the rules don't suffice, and sets its own.
        finding = {
            each: make_admin(fake, prefix="agents/", borrow=each).check()["lifecycle"].detail
            for each in (False, True)
        }
        assert "borrowing horizon" not in finding[False]
        assert "checkpoints of more than 29 days" in finding[True]
        assert make_admin(fake, prefix="agents/").set_lifecycle_policy(policy)
        assert [rule["Expiration"]["Days"] for rule in rules(fake) if "Expiration" in rule] == [31]

    def test_a_rule_that_was_switched_off_is_switched_on(self, fake: FakeS3, admin: S3Admin) -> None:
        admin.set_lifecycle_policy(LifecyclePolicy())
        rules(fake)[0]["Status"] = "Disabled"
        assert admin.get_lifecycle_policy() is None
        assert admin.set_lifecycle_policy(LifecyclePolicy())
        assert admin.get_lifecycle_policy() == LifecyclePolicy()

    def test_the_size_below_which_s3_moves_nothing_is_passed_on(self, fake: FakeS3, admin: S3Admin) -> None:
        size = {"TransitionDefaultMinimumObjectSize": "varies_by_storage_class"}
        fake.settings[KEY] = {"Rules": copy.deepcopy(FOREIGN), **size}
        with fake.counted() as count:
            admin.set_lifecycle_policy(LifecyclePolicy())
        [put] = [request for request in count.requests if isinstance(request, PutSetting)]
        assert put.more == size
        assert set(put.document) == {"Rules"}

    def test_1000_rules_are_the_limit(self, fake: FakeS3, admin: S3Admin) -> None:
        fake.settings[KEY] = {"Rules": [{**FOREIGN[0], "ID": str(number)} for number in range(999)]}
        admin.set_lifecycle_policy(LifecyclePolicy())
        with fake.counted() as count, pytest.raises(InvalidConfigError, match=r"1001 lifecycle rules.*1000"):
            admin.set_lifecycle_policy(LifecyclePolicy(days_until_deletion=3))
        assert count.kinds == {"ListObjects": 1, "GetSetting": 1}
        assert len(rules(fake)) == 1000

    def test_a_warning_comes_before_anything_is_sent(self, fake: FakeS3, admin: S3Admin) -> None:
        policy = LifecyclePolicy(days_until_archive=30)
        with (
            fake.counted() as count,
            pytest.raises(LifecycleWarning, match="128 kB"),
        ):  # warnings are errors here
            admin.set_lifecycle_policy(policy)
        assert count.requests == []
        with pytest.warns(LifecycleWarning, match="128 kB") as warned:
            admin.set_lifecycle_policy(policy)
        assert warned[0].filename == __file__
        assert admin.get_lifecycle_policy() == policy

    def test_a_prefix_beside_an_and_is_written_back_within_it(self, fake: FakeS3, admin: S3Admin) -> None:
        """Ceph shows a rule this way, and would otherwise apply it to the whole bucket."""
        tags = [{"Key": "k", "Value": "v"}]
        for shown in ({"Prefix": "x/", "And": {"Tags": tags}}, {"Prefix": "x/", "Tag": tags[0]}):
            fake.settings[KEY] = {"Rules": [{"ID": "x", "Status": "Enabled", "Filter": shown}]}
            admin.set_lifecycle_policy(LifecyclePolicy())
            assert rules(fake)[0]["Filter"] == {"And": {"Prefix": "x/", "Tags": tags}}

    def test_a_store_without_lifecycle_rules(self, fake: FakeS3, admin: S3Admin) -> None:
        fake.unsupported.add(LIFECYCLE.name)
        for call in (
            lambda: admin.set_lifecycle_policy(LifecyclePolicy()),
            admin.get_lifecycle_policy,
            admin.remove_lifecycle_policy,
        ):
            with pytest.raises(NotSupportedError, match="lifecycle configuration"):
                call()

    def test_a_denied_write_names_the_action(self, fake: FakeS3, admin: S3Admin) -> None:
        fake.settings[KEY] = {"Rules": copy.deepcopy(FOREIGN)}
        fake.hook = failing(PutSetting, "AccessDenied", 403)
        with pytest.raises(AccessDeniedError, match="s3:PutLifecycleConfiguration"):
            admin.set_lifecycle_policy(LifecyclePolicy())
        assert rules(fake) == FOREIGN


class TestRemoving:
    def test_an_invalid_tag(self, fake: FakeS3, admin: S3Admin) -> None:
        with fake.counted() as count:
            for wrong in ("k=v", ("k",), ("", "v")):
                with pytest.raises(InvalidConfigError, match="object_tag"):
                    admin.remove_lifecycle_policy(wrong)  # type: ignore[arg-type]  # wrong on purpose
                with pytest.raises(InvalidConfigError, match="object_tag"):
                    admin.get_lifecycle_policy(wrong)  # type: ignore[arg-type]  # wrong on purpose
        assert count.requests == []


PREFIXES = ("", "a/", "a/b/", "b/")
TAGS = (None, ("k", "v"), ("k", "w"))


class TestMany:
    @given(
        st.lists(
            st.tuples(st.sampled_from(PREFIXES), st.sampled_from(TAGS), st.none() | st.integers(1, 99)),
            max_size=12,
        ),
        st.permutations(FOREIGN),
    )
    def test_savers_and_tags_share_a_bucket_with_others(self, history: list[Any], foreign: list[Any]) -> None:
        fake = FakeS3()
        fake.settings[KEY] = {"Rules": copy.deepcopy(foreign)}
        admins = {prefix: make_admin(fake, prefix=prefix) for prefix in PREFIXES}
        expected: dict[Any, LifecyclePolicy] = {}
        for prefix, tag, days in history:
            if days is None:
                changed = admins[prefix].remove_lifecycle_policy(tag)
                assert bool(changed) == (expected.pop((prefix, tag), None) is not None)
            else:
                policy = LifecyclePolicy(days_until_deletion=days, object_tag=tag)
                changed = admins[prefix].set_lifecycle_policy(policy)
                assert bool(changed) == (expected.get((prefix, tag)) != policy)
                expected[prefix, tag] = policy
        for prefix in PREFIXES:
            for tag in TAGS:
                assert admins[prefix].get_lifecycle_policy(tag) == expected.get((prefix, tag))
        assert rules(fake)[: len(foreign)] == foreign


class TestMerging:
    def test_rules_of_other_kinds_are_not_the_policys(self, fake: FakeS3, admin: S3Admin) -> None:
        mine = {"ID": rule_id("agents/", "exports"), "Status": "Enabled", "Expiration": {"Days": 1}}
        run = admin._run
        assert run(merge_rules(is_rule_of("agents/", "exports"), [mine]), "test")
        admin.set_lifecycle_policy(LifecyclePolicy(days_until_deletion=9))
        assert run(merge_rules(is_rule_of("agents/", "exports"), [mine]), "test") == []
        admin.remove_lifecycle_policy()
        assert rules(fake) == [mine]
