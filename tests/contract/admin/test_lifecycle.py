"""Lifecycle policies and archived threads on a store, beside foreign rules."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest

from langgraph_checkpoint_s3 import CheckpointArchivedError, InvalidConfigError, NotSupportedError
from langgraph_checkpoint_s3.admin.lifecycle.policy import LifecyclePolicy, Reach
from tests.contract.admin.drivers import async_mostly, async_only, sync_mostly, sync_only
from tests.contract.front import Front
from tests.contract.support import Calls, MakeCalls, Place, at, build_thread
from tests.support.lifecycle import chains
from tests.support.sampling import sample

_SIZE = "TransitionDefaultMinimumObjectSize"
DATE = datetime(2031, 1, 1, tzinfo=timezone.utc)
FOREIGN: list[dict[str, Any]] = [
    {"ID": "a date", "Filter": {"Prefix": "old/"}, "Status": "Disabled", "Expiration": {"Date": DATE}},
    {
        "ID": "all at once",
        "Filter": {
            "And": {
                "Prefix": "data/",
                "Tags": [{"Key": "team", "Value": "ü & <b>"}, {"Key": "keep", "Value": "no"}],
            }
        },
        "Status": "Enabled",
        "Expiration": {"Days": 400},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 5},
    },
    {
        "ID": "langgraph-checkpoint-s3:agents/nested/:delete:+1d",
        "Filter": {"Prefix": "agents/nested/"},
        "Status": "Enabled",
        "Expiration": {"Days": 8},
    },
    {
        "ID": "markers",
        "Filter": {"Prefix": "m/"},
        "Status": "Enabled",
        "Expiration": {"ExpiredObjectDeleteMarker": True},
    },
    {
        "ID": "uploads",
        "Filter": {"Prefix": ""},
        "Status": "Enabled",
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2},
    },
]
TAGGED: list[dict[str, Any]] = [
    {
        "ID": "a prefix and a tag",
        "Filter": {"And": {"Prefix": "p/", "Tags": [{"Key": "k", "Value": "v"}]}},
        "Status": "Enabled",
        "Expiration": {"Days": 5},
    },
    {
        "ID": "a tag alone",
        "Filter": {"Tag": {"Key": "k", "Value": "v"}},
        "Status": "Enabled",
        "Expiration": {"Days": 6},
    },
    {
        "ID": "tags alone",
        "Filter": {"And": {"Tags": [{"Key": "k", "Value": "v"}, {"Key": "l", "Value": "w"}]}},
        "Status": "Enabled",
        "Expiration": {"Days": 7},
    },
]
LEGACY: list[dict[str, Any]] = [
    {"ID": "a legacy prefix", "Prefix": "logs/", "Status": "Enabled", "Expiration": {"Days": 3}},
]
MOVES: list[dict[str, Any]] = [
    {
        "ID": "moves",
        "Filter": {"Tag": {"Key": "cold", "Value": "yes"}},
        "Status": "Enabled",
        "Transitions": [
            {"Days": 40, "StorageClass": "STANDARD_IA"},
            {"Days": 100, "StorageClass": "GLACIER"},
        ],
        "NoncurrentVersionTransitions": [{"NoncurrentDays": 30, "StorageClass": "STANDARD_IA"}],
    },
]
SIZES: list[dict[str, Any]] = [
    {
        "ID": "sizes",
        "Filter": {"And": {"Prefix": "s/", "ObjectSizeGreaterThan": 500, "ObjectSizeLessThan": 70_000}},
        "Status": "Enabled",
        "Expiration": {"Days": 4},
    },
    {
        "ID": "one size",
        "Filter": {"ObjectSizeGreaterThan": 10**9},
        "Status": "Enabled",
        "Expiration": {"Days": 4},
    },
    {
        "ID": "versions",
        "Filter": {"Prefix": "v/"},
        "Status": "Enabled",
        "NoncurrentVersionExpiration": {"NoncurrentDays": 5, "NewerNoncurrentVersions": 3},
        "NoncurrentVersionTransitions": [
            {"NoncurrentDays": 1, "NewerNoncurrentVersions": 2, "StorageClass": "GLACIER_IR"}
        ],
    },
]


def foreign(place: Place) -> list[dict[str, Any]]:
    """Return the foreign rules that the store supports."""
    features = place.server.features
    return [
        *FOREIGN,
        *TAGGED,
        *(LEGACY if features.lifecycle_legacy else ()),
        *(MOVES if features.archive else ()),
        *(SIZES if features.lifecycle_exact else ()),
    ]


def configure(place: Place, rules: list[Any], **more: Any) -> list[Any]:
    """Set foreign rules, and return them as the store shows them."""
    place.client.put_bucket_lifecycle_configuration(
        Bucket=place.bucket, LifecycleConfiguration={"Rules": rules}, **more
    )
    return shown(place)


def shown(place: Place) -> list[Any]:
    """Return the bucket's rules by name, as a store may list them in another order."""
    found: Any = place.client.get_bucket_lifecycle_configuration(Bucket=place.bucket)["Rules"]
    return sorted(found, key=lambda rule: str(rule["ID"]))


def skip_without_lifecycle(place: Place) -> None:
    if not place.server.features.lifecycle:
        pytest.skip("the store has no lifecycle rules")


class TestLifecyclePolicies:
    def test_a_policy_is_set_read_and_removed(
        self, make_admin: MakeCalls, place: Place, front: Front
    ) -> None:
        skip_without_lifecycle(place)
        admin = make_admin(prefix="agents/")
        assert admin.get_lifecycle_policy() is None
        assert admin.remove_lifecycle_policy() == []
        policy = LifecyclePolicy(days_until_deletion=30, noncurrent_version_days=7)
        front.reset()
        [change] = admin.set_lifecycle_policy(policy)
        assert [each.operation[:3] for each in front.log] == ["Lis", "Get", "Put"]
        assert (change.setting, change.before) == ("lifecycle configuration", None)
        assert len(change.after["Rules"]) == len(shown(place)) == 2
        assert admin.get_lifecycle_policy() == policy
        front.reset()
        assert admin.set_lifecycle_policy(policy) == []
        assert len(front.log) == 2
        assert len(admin.set_lifecycle_policy(LifecyclePolicy(abort_incomplete_uploads_days=1))) == 1
        assert admin.get_lifecycle_policy() == LifecyclePolicy(abort_incomplete_uploads_days=1)
        assert len(shown(place)) == 1
        front.reset()
        [change] = admin.remove_lifecycle_policy()
        assert [each.operation[:3] for each in front.log] == ["Get", "Del"]
        assert change.after is None
        assert admin.get_lifecycle_policy() is None
        assert place.client.head_bucket(Bucket=place.bucket)  # some stores take it for the bucket's deletion
        with pytest.raises(place.client.exceptions.ClientError, match="NoSuchLifecycleConfiguration"):
            shown(place)

    @sync_only
    def test_rules_as_the_store_shows_them(self, make_admin: MakeCalls, place: Place) -> None:
        skip_without_lifecycle(place)
        policy = LifecyclePolicy(days_until_deletion=30, noncurrent_version_days=7, object_tag=("team", "a"))
        make_admin(prefix="agents/").set_lifecycle_policy(policy)
        cleanup, deletion = shown(place)
        assert deletion["ID"] == "langgraph-checkpoint-s3:agents/:delete:team=a:+1d"
        assert deletion["Expiration"]["Days"] == 31
        assert deletion["NoncurrentVersionExpiration"]["NoncurrentDays"] == 8
        assert Reach.of(deletion) == Reach("agents/", frozenset({("team", "a")}))
        assert Reach.of(cleanup) == Reach("agents/")
        assert cleanup["ID"] == "langgraph-checkpoint-s3:agents/:cleanup:team=a"
        assert cleanup["Expiration"]["ExpiredObjectDeleteMarker"] is True
        assert cleanup["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}

    @sync_mostly
    def test_foreign_rules_are_kept(self, make_admin: MakeCalls, place: Place) -> None:
        skip_without_lifecycle(place)
        before = configure(place, foreign(place))
        if place.server.features.lifecycle_exact:
            assert before == sorted(foreign(place), key=lambda rule: str(rule["ID"]))
        admin = make_admin(prefix="agents/")
        assert admin.remove_lifecycle_policy() == []
        assert shown(place) == before
        policy = LifecyclePolicy(days_until_deletion=30, noncurrent_version_days=9)
        admin.set_lifecycle_policy(policy)
        names = {rule["ID"] for rule in before}
        assert [rule for rule in shown(place) if rule["ID"] in names] == before
        assert len(shown(place)) == len(before) + 2
        assert admin.get_lifecycle_policy() == policy
        admin.set_lifecycle_policy(LifecyclePolicy())
        assert [rule for rule in shown(place) if rule["ID"] in names] == before
        admin.remove_lifecycle_policy()
        assert shown(place) == before

    @async_only
    def test_savers_and_tags_share_a_bucket(self, make_admin: MakeCalls, place: Place) -> None:
        skip_without_lifecycle(place)
        policies = {
            (prefix, tag): LifecyclePolicy(days_until_deletion=days, object_tag=tag)
            for days, (prefix, tag) in enumerate(
                [(prefix, tag) for prefix in ("", "a/", "a/b/") for tag in (None, ("t", "1"), ("t", "é /"))],
                1,
            )
        }
        admins = {prefix: make_admin(prefix=prefix) for prefix in ("", "a/", "a/b/")}
        for (prefix, _), policy in policies.items():
            admins[prefix].set_lifecycle_policy(policy)
        for (prefix, tag), policy in policies.items():
            assert admins[prefix].get_lifecycle_policy(tag) == policy
        for prefix, tag in list(policies):
            assert admins[prefix].remove_lifecycle_policy(tag)
            del policies[prefix, tag]
            for (other, its), policy in policies.items():
                assert admins[other].get_lifecycle_policy(its) == policy

    @sync_only
    def test_archiving_and_tiering(self, make_admin: MakeCalls, place: Place) -> None:
        skip_without_lifecycle(place)
        if not place.server.features.archive:
            pytest.skip("the store has no such storage classes")
        admin = make_admin(prefix="agents/")
        exact = place.server.features.lifecycle_exact
        moves: list[dict[str, Any]] = [
            {"days_until_archive": 30, "days_until_deletion": 400},
            {"days_until_archive": 30, "archive_storage_class": "STANDARD_IA"},
            {"days_until_archive": 9, "archive_storage_class": "DEEP_ARCHIVE", "allow_offline_archive": True},
            {"intelligent_tiering": True},
            {"intelligent_tiering": True, "object_tag": ("k", "v")},
        ]
        for settings in moves:
            size = 200_000 if exact else None
            policy = LifecyclePolicy(**settings, minimum_object_size=size)
            if exact:
                admin.set_lifecycle_policy(policy)
                assert admin.set_lifecycle_policy(policy) == []
            else:
                with pytest.warns(UserWarning, match="128 kB"):
                    admin.set_lifecycle_policy(policy)
            assert admin.get_lifecycle_policy(policy.object_tag) == policy

    @sync_only
    @pytest.mark.filterwarnings("ignore::langgraph_checkpoint_s3.admin.LifecycleWarning")
    def test_every_combination_of_moves_is_taken(self, make_admin: MakeCalls, place: Place) -> None:
        skip_without_lifecycle(place)
        if not place.server.features.archive:
            pytest.skip("the store has no such storage classes")
        admin = make_admin(prefix="agents/")
        for number, moves in enumerate(sample(list(chains()), 15)):
            settings: dict[str, Any] = {"transitions": moves, "noncurrent_transitions": moves}
            if number % 2:
                last = max(moves.values())
                settings |= {"days_until_deletion": last + 1, "noncurrent_version_days": last + 1}
            policy = LifecyclePolicy(**settings, allow_offline_archive=True)
            admin.set_lifecycle_policy(policy)
            assert admin.get_lifecycle_policy() == policy
            assert admin.set_lifecycle_policy(policy) == []

    @sync_only
    @pytest.mark.filterwarnings("ignore::langgraph_checkpoint_s3.admin.LifecycleWarning")
    def test_tiering_archive_and_deletion_in_one_policy(
        self, make_admin: MakeCalls, place: Place, front: Front
    ) -> None:
        skip_without_lifecycle(place)
        if not place.server.features.archive:
            pytest.skip("the store has no such storage classes")
        admin = make_admin(prefix="agents/")
        policy = LifecyclePolicy(days_until_deletion=30, days_until_archive=7, intelligent_tiering=True)
        admin.set_lifecycle_policy(policy)
        assert front.counts() == {
            "ListObjectsV2": 1,
            "GetBucketLifecycleConfiguration": 1,
            "PutBucketLifecycleConfiguration": 1,
        }
        found = admin.get_lifecycle_policy()
        assert (found.days_until_deletion, found.days_until_archive, found.intelligent_tiering) == (
            30,
            7,
            True,
        )
        moves = [step for rule in shown(place) for step in rule.get("Transitions", ())]
        assert moves == [
            {"Days": 0, "StorageClass": "INTELLIGENT_TIERING"},
            {"Days": 7, "StorageClass": "GLACIER_IR"},
        ]

    @async_mostly
    def test_the_size_below_which_s3_moves_nothing_is_kept(
        self, make_admin: MakeCalls, place: Place, front: Front
    ) -> None:
        skip_without_lifecycle(place)
        said: Any = {_SIZE: "varies_by_storage_class"}
        configure(place, FOREIGN[:1], **said)
        size = place.client.get_bucket_lifecycle_configuration(Bucket=place.bucket).get(_SIZE)
        if size is None:
            pytest.skip("the store has no such setting")
        assert size == "varies_by_storage_class" or not place.server.features.lifecycle_exact
        admin = make_admin(prefix="agents/")
        admin.set_lifecycle_policy(LifecyclePolicy())
        admin.remove_lifecycle_policy()
        sent = [
            seen.headers.get("x-amz-transition-default-minimum-object-size")
            for seen in front.log
            if seen.operation == "PutBucketLifecycleConfiguration"
        ]
        assert sent == [size, size]
        assert size == place.client.get_bucket_lifecycle_configuration(Bucket=place.bucket).get(_SIZE)

    def test_a_store_without_lifecycle_rules_says_so(self, make_admin: MakeCalls, place: Place) -> None:
        if place.server.features.lifecycle:
            pytest.skip("this one has them")
        place.write("kept", b"x")
        admin = make_admin()
        calls: tuple[Callable[[], Any], ...] = (
            lambda: admin.set_lifecycle_policy(LifecyclePolicy()),
            admin.get_lifecycle_policy,
            admin.remove_lifecycle_policy,
        )
        for call in calls:
            with pytest.raises(NotSupportedError):
                call()
        assert place.listing() == ["kept"]


def move(place: Place, storage_class: Any, prefix: str = "") -> int:
    """Move objects to a storage class, as a lifecycle rule does."""
    keys = place.listing(prefix)
    for key in keys:
        place.client.put_object(
            Bucket=place.bucket, Key=key, Body=place.read(key), StorageClass=storage_class
        )
    return len(keys)


class TestRestoring:
    def test_an_archived_thread_is_brought_back(
        self, make_calls: MakeCalls, make_admin: MakeCalls, place: Place
    ) -> None:
        if not place.server.features.archive:
            pytest.skip("the store has no such storage classes")
        saver, admin = make_calls(prefix="agents/", cache_bytes=0), make_admin(prefix="agents/")
        build_thread(saver, "thread", checkpoints=3, tasks=1)
        build_thread(saver, "other", checkpoints=1, tasks=1)
        before = saver.list(at("thread"))
        assert admin.restore_status("thread").readable == 6
        assert move(place, "GLACIER", "agents/thread.thread/") == 6
        with pytest.raises(CheckpointArchivedError, match="restore_archived"):
            saver.get_tuple(at("thread"))
        status = admin.restore_status("thread")
        assert (status.archived, status.ready) == (6, False)
        begun = admin.restore_archived("thread", days=3)
        assert (begun.archived, begun.restoring) == (0, 6)
        place.finish_restores(days=3)
        _until_ready(admin, "thread")
        status = admin.restore_archived("thread", days=3)
        assert (status.restored, status.ready) == (6, True)
        assert status.until is not None
        assert saver.list(at("thread")) == before
        longer = admin.restore_archived("thread", days=30)
        assert longer.until is not None
        assert longer.until > status.until
        assert admin.restore_status("other").readable == 2

    def test_a_missing_thread_has_nothing_to_restore(self, make_admin: MakeCalls) -> None:
        status = make_admin().restore_archived("nobody")
        assert (status.readable, status.archived, status.ready) == (0, 0, True)

    def test_an_invalid_tier_is_refused(self, make_admin: MakeCalls) -> None:
        with pytest.raises(InvalidConfigError, match="tier"):
            make_admin().restore_archived("thread", tier="Soon")


def _until_ready(admin: Calls, thread_id: str) -> None:
    """Wait for a restore, which takes a moment on test servers."""
    for _ in range(100):
        if admin.restore_status(thread_id).ready:
            return
    raise AssertionError("it isn't restored")
