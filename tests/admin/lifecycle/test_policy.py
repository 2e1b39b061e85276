"""Lifecycle policies: validation, conversion to S3 rules and back, and ownership of rules."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timezone
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from langgraph_checkpoint_s3 import InvalidConfigError
from langgraph_checkpoint_s3.admin.check.findings import acts_on, lifecycle_findings
from langgraph_checkpoint_s3.admin.lifecycle.policy import (
    LifecyclePolicy,
    Reach,
    added_days,
    extra_days,
    horizon_days,
    is_rule_of,
    is_rule_of_policy,
    policy_of,
    rule_id,
    rules_of,
    same,
)
from langgraph_checkpoint_s3.admin.lifecycle.transitions import CLASSES
from tests.support.lifecycle import ORDER, SUPPORTED, chains

DAY = 24 * 3600.0
MAX_ID = 255
S3 = botocore.session.Session().get_service_model("s3")

days = st.integers(1, 36_500)
texts = st.text(st.characters(codec="utf-8"), max_size=40)
tags = st.tuples(texts.filter(lambda text: text and not text.startswith("aws:")), texts)
prefixes = st.lists(st.text("abz-_.=", min_size=1, max_size=90), max_size=4).map(
    lambda parts: "".join(f"{part}/" for part in parts)
)


def later_chains(end: int | None) -> st.SearchStrategy[dict[str, int]]:
    """Chains of moves before a day, some of them later than S3's earliest."""
    limit = 36_500 if end is None else end
    fitting = [chain for chain in chains() if max(chain.values()) < limit]
    if not fitting:
        return st.just({})

    def delay(chain: dict[str, int], most: int) -> st.SearchStrategy[dict[str, int]]:
        return st.integers(0, most).map(lambda more: {name: each + more for name, each in chain.items()})

    return st.sampled_from(fitting).flatmap(
        lambda chain: delay(chain, min(limit - 1 - max(chain.values()), 9)) | st.just(chain)
    )


@st.composite
def policies(draw: st.DrawFn) -> LifecyclePolicy:
    """Draw any valid policy."""
    deletion = draw(st.none() | st.integers(100, 36_500))
    noncurrent = draw(st.none() | days)
    settings: dict[str, Any] = {
        "days_until_deletion": deletion,
        "noncurrent_version_days": noncurrent,
        "newer_noncurrent_versions": draw(st.none() | st.integers(1, 100)) if noncurrent else None,
        "object_tag": draw(st.none() | tags),
    }
    moves = draw(st.just({}) | later_chains(deletion))
    old = draw(st.just({}) | later_chains(noncurrent))
    if moves or old:
        settings["minimum_object_size"] = draw(st.none() | st.integers(1, 2**40))
    settings |= {"transitions": {**moves}, "noncurrent_transitions": old, "allow_offline_archive": True}
    if moves.get("INTELLIGENT_TIERING") == 0 and draw(st.booleans()):
        settings["intelligent_tiering"] = True
        del settings["transitions"]["INTELLIGENT_TIERING"]
    archives: Any = sorted(settings["transitions"].keys() - {"INTELLIGENT_TIERING"})
    if archives and draw(st.booleans()):
        name = settings["archive_storage_class"] = draw(st.sampled_from(archives))
        settings["days_until_archive"] = settings["transitions"].pop(name)
    something = deletion or noncurrent or moves or old
    settings["abort_incomplete_uploads_days"] = draw(st.none() | days if something else days)
    return LifecyclePolicy(**settings)


class TestValidation:
    @pytest.mark.parametrize(
        ("settings", "reason"),
        [
            ({"days_until_archive": 30, "days_until_deletion": 30}, "nothing would be left to archive"),
            ({"days_until_archive": 31, "days_until_deletion": 30}, "nothing would be left to archive"),
            ({"days_until_archive": 1, "archive_storage_class": "GLACIER"}, "allow_offline_archive=True"),
            ({"days_until_archive": 1, "archive_storage_class": "DEEP_ARCHIVE"}, "GLACIER_IR reads at once"),
            ({"days_until_archive": 29, "archive_storage_class": "STANDARD_IA"}, "first 30 days"),
            ({"days_until_archive": 29, "archive_storage_class": "ONEZONE_IA"}, "first 30 days"),
            (
                {"days_until_archive": 9, "archive_storage_class": "INTELLIGENT_TIERING"},
                "intelligent_tiering=",
            ),
            ({"days_until_archive": 9, "archive_storage_class": "STANDARD"}, "is none of STANDARD_IA"),
            ({"archive_storage_class": "STANDARD_IA"}, "needs days_until_archive"),
            ({"intelligent_tiering": True, "days_until_archive": 0}, "isn't after the move to INTELLIGENT_T"),
            (
                {
                    "intelligent_tiering": True,
                    "days_until_archive": 40,
                    "archive_storage_class": "STANDARD_IA",
                },
                "intelligent_tiering=0 isn't after the move to STANDARD_IA, 40 days",
            ),
            ({"transitions": {"GLACIER_IR": 7}, "days_until_archive": 9}, "both moves to GLACIER_IR"),
            (
                {"transitions": {"INTELLIGENT_TIERING": 7}, "intelligent_tiering": True},
                "both moves to INTELLIGENT_TIERING",
            ),
            ({"transitions": {"STANDARD_IA": 29}}, "transitions['STANDARD_IA']=29: S3 moves nothing to"),
            ({"transitions": {"STANDARD": 30}}, "transitions: 'STANDARD' is none of STANDARD_IA"),
            ({"transitions": {"STANDARD_IA": None}}, "STANDARD_IA has no days"),
            ({"transitions": {"STANDARD_IA": 30.5}}, "transitions['STANDARD_IA']=30.5 must be a whole"),
            ({"transitions": [("STANDARD_IA", 30)]}, "must be a mapping"),
            ({"transitions": {"ONEZONE_IA": 30, "GLACIER_IR": 90}}, "nothing from ONEZONE_IA to GLACIER_IR"),
            ({"transitions": {"STANDARD_IA": 30, "GLACIER_IR": 59}}, "so 60 is the least here"),
            (
                {"transitions": {"STANDARD_IA": 30}, "days_until_archive": 59},
                "days_until_archive=59: S3 moves objects on from STANDARD_IA after 30 days at least",
            ),
            ({"transitions": {"GLACIER_IR": 30, "STANDARD_IA": 60}}, "isn't after the move to STANDARD_IA"),
            (
                {"transitions": {"GLACIER": 30, "DEEP_ARCHIVE": 119}, "allow_offline_archive": True},
                "transitions['DEEP_ARCHIVE']=119: S3 moves objects on from GLACIER after 90 days",
            ),
            ({"transitions": {"DEEP_ARCHIVE": 90}}, "DEEP_ARCHIVE is offline"),
            ({"transitions": {"GLACIER_IR": 30}, "days_until_deletion": 30}, "nothing would be left"),
            ({"noncurrent_transitions": {"GLACIER": 30}}, "GLACIER is offline"),
            (
                {"noncurrent_transitions": {"GLACIER_IR": 7}, "noncurrent_version_days": 7},
                "noncurrent_transitions['GLACIER_IR']=7 isn't before noncurrent_version_days=7",
            ),
            ({"noncurrent_transitions": {"STANDARD_IA": 1}}, "first 30 days"),
            ({"minimum_object_size": 1000, "days_until_deletion": 3}, "deletion knows no size"),
            ({"newer_noncurrent_versions": 3}, "noncurrent_version_days"),
            ({"abort_incomplete_uploads_days": None}, "does nothing"),
            ({"days_until_deletion": 0}, "from 1 to 36,500"),
            ({"days_until_deletion": 36_501}, "from 1 to 36,500"),
            ({"days_until_deletion": 1.5}, "whole number"),
            ({"days_until_deletion": True}, "whole number"),
            ({"days_until_archive": -1}, "from 0 to 36,500"),
            ({"noncurrent_version_days": 0}, "from 1 to 36,500"),
            ({"noncurrent_version_days": 1, "newer_noncurrent_versions": 101}, "from 1 to 100"),
            ({"abort_incomplete_uploads_days": 0}, "from 1 to 36,500"),
            ({"intelligent_tiering": True, "minimum_object_size": 0}, "from 1 to"),
            ({"intelligent_tiering": 1}, "True or False"),
            ({"object_tag": "team=a"}, "a tuple"),
            ({"object_tag": ("team",)}, "a tuple"),
            ({"object_tag": ("", "a")}, "1 to 128"),
            ({"object_tag": ("aws:team", "a")}, "aws:"),
            ({"object_tag": ("team", "a" * 257)}, "at most 256"),
        ],
    )
    def test_invalid_policies_are_refused_with_the_reason(
        self, settings: dict[str, Any], reason: str
    ) -> None:
        with pytest.raises(InvalidConfigError) as refused:
            LifecyclePolicy(**settings)
        assert reason in str(refused.value)

    @pytest.mark.parametrize("target", ["GLACIER", "DEEP_ARCHIVE"])
    def test_offline_classes_need_consent(self, target: str) -> None:
        settings: Any = {"days_until_archive": 30, "archive_storage_class": target}
        policy = LifecyclePolicy(**settings, allow_offline_archive=True)
        assert policy.archive_storage_class == target

    def test_the_default_is_to_abort_uploads_after_a_week_and_to_archive_where_it_can_be_read(self) -> None:
        assert LifecyclePolicy().abort_incomplete_uploads_days == 7
        assert LifecyclePolicy(days_until_archive=0).archive_storage_class == "GLACIER_IR"

    def test_it_is_frozen(self) -> None:
        with pytest.raises(dataclasses.FrozenInstanceError):
            LifecyclePolicy().days_until_deletion = 3  # type: ignore[misc]  # it is frozen


class TestMoves:
    """Every combination of moves that S3 supports, and none besides."""

    @pytest.mark.parametrize("moves", list(chains()), ids="-".join)
    def test_a_chain_is_a_policy_and_a_day_earlier_is_none(self, moves: dict[str, int]) -> None:
        for name in ("transitions", "noncurrent_transitions"):
            shuffled = dict(reversed(moves.items()))
            policy = LifecyclePolicy(**{name: shuffled}, allow_offline_archive=True)  # type: ignore[arg-type]  # by name
            assert list(getattr(policy, name).items()) == list(moves.items())
            for target, day in moves.items():
                earlier: Any = {name: {**moves, target: day - 1}, "allow_offline_archive": True}
                with pytest.raises(InvalidConfigError):
                    LifecyclePolicy(**earlier)
        last = max(moves.values())
        settings: Any = {"transitions": moves, "allow_offline_archive": True}
        assert LifecyclePolicy(**settings, days_until_deletion=last + 1).moves == moves
        with pytest.raises(InvalidConfigError, match=r"nothing would be left|from 1 to"):
            LifecyclePolicy(**settings, days_until_deletion=last)

    def test_there_are_as_many_as_s3_has(self) -> None:
        assert len(list(chains())) == 63 - 16  # sets of classes, but those with a move that isn't supported
        for moves in chains():
            names = list(moves)
            for target in set(SUPPORTED) - set(moves) - {"STANDARD"}:
                if target not in SUPPORTED[names[-1]]:
                    days: Any = {**moves, target: max(moves.values()) + 180}
                    with pytest.raises(InvalidConfigError):
                        LifecyclePolicy(transitions=days, allow_offline_archive=True)

    def test_tiering_at_once_then_an_archive_then_the_end(self) -> None:
        policy = LifecyclePolicy(days_until_deletion=30, days_until_archive=7, intelligent_tiering=True)
        assert policy.moves == {"INTELLIGENT_TIERING": 0, "GLACIER_IR": 7}
        deletion, archive, _ = rules_of(policy, "a/", 1)
        assert deletion["Expiration"] == {"Days": 31}
        assert archive["Transitions"] == [
            {"Days": 0, "StorageClass": "INTELLIGENT_TIERING"},
            {"Days": 7, "StorageClass": "GLACIER_IR"},
        ]

    def test_moves_are_the_same_however_they_are_given(self) -> None:
        one = LifecyclePolicy(days_until_archive=7, intelligent_tiering=True)
        other = LifecyclePolicy(transitions={"GLACIER_IR": 7, "INTELLIGENT_TIERING": 0})
        assert one == other
        assert hash(one) == hash(other)
        assert one != LifecyclePolicy(transitions={"GLACIER_IR": 8, "INTELLIGENT_TIERING": 0})
        assert one != "policy"

    def test_what_is_given_can_not_be_changed_later(self) -> None:
        moves = {"STANDARD_IA": 30}
        policy = LifecyclePolicy(transitions=moves)
        moves["STANDARD_IA"] = 1
        assert policy.transitions == {"STANDARD_IA": 30}

    def test_only_offline_moves_wait_for_those_that_borrow(self) -> None:
        policy = LifecyclePolicy(
            transitions={"GLACIER_IR": 30, "GLACIER": 120},
            noncurrent_transitions={"GLACIER_IR": 1, "DEEP_ARCHIVE": 91},
            noncurrent_version_days=365,
            allow_offline_archive=True,
            abort_incomplete_uploads_days=None,
        )
        _, archive, _ = rules_of(policy, "a/", 2)
        assert archive["Transitions"] == [
            {"Days": 30, "StorageClass": "GLACIER_IR"},
            {"Days": 122, "StorageClass": "GLACIER"},
        ]
        assert archive["NoncurrentVersionTransitions"] == [
            {"NoncurrentDays": 1, "StorageClass": "GLACIER_IR"},
            {"NoncurrentDays": 93, "StorageClass": "DEEP_ARCHIVE"},
        ]
        assert archive["ID"].endswith(":archive:+2d")


class TestBotocoresModel:
    """What AWS's own description of the request says."""

    def test_all_storage_classes_can_be_moved_to(self) -> None:
        shape: Any = S3.shape_for("TransitionStorageClass")
        assert set(CLASSES) == set(shape.enum)
        assert list(CLASSES) == list(ORDER)

    @given(policies(), prefixes, st.integers(0, 7))
    def test_every_policy_is_a_valid_request(
        self, policy: LifecyclePolicy, prefix: str, horizon: int
    ) -> None:
        shape: Any = S3.operation_model("PutBucketLifecycleConfiguration").input_shape
        request = {
            "Bucket": "bucket",
            "LifecycleConfiguration": {"Rules": rules_of(policy, prefix, horizon)},
        }
        report = ParamValidator().validate(request, shape)
        assert not report.has_errors(), report.generate_report()


class TestWarnings:
    def test_each_move_has_its_own(self) -> None:
        settings: Any = {"transitions": {"STANDARD_IA": 30, "GLACIER": 60}, "allow_offline_archive": True}
        [warning] = LifecyclePolicy(**settings).warnings
        assert "128 kB to STANDARD_IA and GLACIER" in warning
        some = LifecyclePolicy(**settings, minimum_object_size=5000, days_until_deletion=149).warnings
        assert ["STANDARD_IA bills" in some[0], "GLACIER bills" in some[1]] == [True, True]
        assert some[2] == "GLACIER is billed for 90 days at least, and objects are in it for 89 only."

    def test_moves_of_old_versions_have_theirs(self) -> None:
        moves: Any = {"noncurrent_transitions": {"GLACIER_IR": 1}, "minimum_object_size": 200_000}
        [warning] = LifecyclePolicy(**moves, noncurrent_version_days=31).warnings
        assert "billed for 90 days at least, and objects are in it for 30 only" in warning

    def test_a_move_that_s3_does_not_do_for_small_objects(self) -> None:
        [warning] = LifecyclePolicy(days_until_archive=30).warnings
        assert "128 kB" in warning
        assert "minimum_object_size" in warning
        [warning] = LifecyclePolicy(intelligent_tiering=True).warnings
        assert "128 kB to INTELLIGENT_TIERING" in warning

    @pytest.mark.parametrize(
        ("settings", "price"),
        [
            ({"days_until_archive": 90}, "as at least 128 kB"),
            ({"days_until_archive": 90, "archive_storage_class": "STANDARD_IA"}, "as at least 128 kB"),
            ({"days_until_archive": 90, "archive_storage_class": "GLACIER"}, "40 kB more"),
            ({"intelligent_tiering": True}, "as if they were used all the time"),
        ],
    )
    def test_small_objects_are_dear_there(self, settings: dict[str, Any], price: str) -> None:
        [warning] = LifecyclePolicy(**settings, minimum_object_size=5000, allow_offline_archive=True).warnings
        assert price in warning
        settings["minimum_object_size"] = 128 * 1024
        assert LifecyclePolicy(**settings, allow_offline_archive=True).warnings == ()

    def test_objects_deleted_before_the_minimum_billing_period(self) -> None:
        policy: Any = {"days_until_archive": 30, "minimum_object_size": 200_000}
        [warning] = LifecyclePolicy(**policy, days_until_deletion=119).warnings
        assert "billed for 90 days at least, and objects are in it for 89 only" in warning
        assert LifecyclePolicy(**policy, days_until_deletion=120).warnings == ()

    def test_most_policies_have_none(self) -> None:
        assert LifecyclePolicy(days_until_deletion=30, noncurrent_version_days=7).warnings == ()


class TestRules:
    def test_deletion_waits_for_those_that_borrow(self) -> None:
        policy = LifecyclePolicy(
            days_until_deletion=30, noncurrent_version_days=7, newer_noncurrent_versions=2
        )
        deletion, cleanup = rules_of(policy, "a/", 2)
        assert deletion == {
            "ID": "langgraph-checkpoint-s3:a/:delete:+2d",
            "Status": "Enabled",
            "Filter": {"Prefix": "a/"},
            "Expiration": {"Days": 32},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 9, "NewerNoncurrentVersions": 2},
        }
        assert cleanup == {
            "ID": "langgraph-checkpoint-s3:a/:cleanup",
            "Status": "Enabled",
            "Filter": {"Prefix": "a/"},
            "Expiration": {"ExpiredObjectDeleteMarker": True},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
        }

    def test_a_move_to_where_nothing_can_be_read_waits_too(self) -> None:
        settings: Any = {"days_until_archive": 30, "abort_incomplete_uploads_days": None}
        [online] = rules_of(LifecyclePolicy(**settings), "a/", 1)
        assert online["Transitions"] == [{"Days": 30, "StorageClass": "GLACIER_IR"}]
        settings |= {"archive_storage_class": "GLACIER", "allow_offline_archive": True}
        [offline] = rules_of(LifecyclePolicy(**settings), "a/", 1)
        assert offline["Transitions"] == [{"Days": 31, "StorageClass": "GLACIER"}]

    def test_tags_and_sizes_are_in_no_rule_that_s3_refuses_them_in(self) -> None:
        policy = LifecyclePolicy(
            days_until_deletion=90,
            noncurrent_version_days=7,
            intelligent_tiering=True,
            minimum_object_size=5000,
            object_tag=("team", "a"),
        )
        deletion, move, cleanup = rules_of(policy, "a/", 1)
        tag = {"Key": "team", "Value": "a"}
        assert deletion["Filter"] == {"And": {"Prefix": "a/", "Tags": [tag]}}
        assert move["Filter"] == {"And": {"Prefix": "a/", "Tags": [tag], "ObjectSizeGreaterThan": 4999}}
        assert move["Transitions"] == [{"Days": 0, "StorageClass": "INTELLIGENT_TIERING"}]
        assert cleanup["Filter"] == {"Prefix": "a/"}
        assert cleanup["ID"] == "langgraph-checkpoint-s3:a/:cleanup:team=a"

    def test_an_and_has_more_than_one_condition(self) -> None:
        assert Reach().filter() == {"Prefix": ""}
        assert Reach("", frozenset({("k", "v")})).filter() == {"Tag": {"Key": "k", "Value": "v"}}
        assert Reach("", above=5).filter() == {"ObjectSizeGreaterThan": 5}
        assert Reach("a/", above=5).filter() == {"And": {"Prefix": "a/", "ObjectSizeGreaterThan": 5}}

    @given(policies(), prefixes, st.integers(0, 7))
    def test_a_policy_comes_back_as_it_was_set(
        self, policy: LifecyclePolicy, prefix: str, horizon: int
    ) -> None:
        rules = rules_of(policy, prefix, horizon)
        assert policy_of(reversed(rules), prefix, policy.object_tag) == policy
        assert policy_of(rules, f"{prefix}x/", policy.object_tag) is None
        assert policy_of(rules, prefix, ("another", "tag")) is None
        assert all(is_rule_of_policy(prefix, policy.object_tag)(rule) for rule in rules)
        assert all(len(rule["ID"]) <= MAX_ID for rule in rules)
        assert len({rule["ID"] for rule in rules}) == len(rules)

    def test_rules_that_are_switched_off_are_no_policy(self) -> None:
        rules = rules_of(LifecyclePolicy(days_until_deletion=3), "a/", 1)
        assert policy_of([{**rule, "Status": "Disabled"} for rule in rules], "a/", None) is None

    def test_days_changed_by_others_are_read(self) -> None:
        [rule] = rules_of(
            LifecyclePolicy(days_until_deletion=30, abort_incomplete_uploads_days=None), "a/", 1
        )
        changed = policy_of([{**rule, "Expiration": {"Days": 61}}], "a/", None)
        assert changed is not None
        assert changed.days_until_deletion == 60
        with pytest.raises(InvalidConfigError, match=r"changed by somebody else.*from 1 to"):
            policy_of([{**rule, "Expiration": {"Days": 1}}], "a/", None)

    def test_a_date_that_others_set_is_no_policy(self) -> None:
        policy = LifecyclePolicy(days_until_archive=30, abort_incomplete_uploads_days=None)
        [rule] = rules_of(policy, "a/", 1)
        step = {"Date": datetime(2030, 1, 1, tzinfo=timezone.utc), "StorageClass": "GLACIER_IR"}
        with pytest.raises(InvalidConfigError, match=r"changed by somebody else.*from 0 to"):
            policy_of([{**rule, "Transitions": [step]}], "a/", None)

    def test_the_horizon_is_whole_days(self) -> None:
        assert [horizon_days(seconds) for seconds in (0, 1, DAY, DAY + 1, 7 * DAY)] == [0, 1, 1, 2, 7]


class TestNames:
    @given(
        st.lists(
            st.tuples(prefixes, st.sampled_from(["delete", "cleanup"]), st.none() | tags),
            min_size=2,
            max_size=2,
        ),
        st.integers(0, 7),
    )
    def test_a_rule_is_of_one_prefix_kind_and_tag(self, names: list[Any], extra: int) -> None:
        one, other = names
        rule = {"ID": rule_id(*one, extra_days=extra)}
        assert extra_days(rule, *one) == extra
        assert added_days(rule) == extra
        assert is_rule_of(*other)(rule) == (one == other)

    def test_nested_prefixes_are_distinguished(self) -> None:
        for one, other in (("a/", "a/b/"), ("", "a/"), ("a/", "")):
            assert not is_rule_of(one, "delete")({"ID": rule_id(other, "delete")})

    def test_long_names_are_cut_and_stay_distinct(self) -> None:
        one, other = (f"{'long/' * 150}{end}/" for end in "ab")
        tag = ("é" * 128, "ü" * 256)
        assert len(rule_id(one, "archive", tag, extra_days=7)) <= MAX_ID
        assert rule_id(one, "archive", tag) != rule_id(other, "archive", tag)
        assert rule_id(one, "archive", tag) != rule_id(one, "archive", (tag[0], tag[1][:-1]))

    @pytest.mark.parametrize("name", [None, "", "delete", "langgraph-checkpoint-s3:a/:delete:+1", "+1d"])
    def test_others_rules_are_not_ours(self, name: str | None) -> None:
        assert not is_rule_of("a/", "delete")({"ID": name} if name is not None else {})


class TestSame:
    BASE: Any = {  # noqa: RUF012  # nobody changes it
        "ID": "x",
        "Status": "Enabled",
        "Filter": {"And": {"Prefix": "a/", "Tags": [{"Key": "k", "Value": "v"}, {"Key": "l", "Value": ""}]}},
        "Transitions": [{"Days": 0, "StorageClass": "GLACIER_IR"}, {"Days": 90, "StorageClass": "GLACIER"}],
    }

    @pytest.mark.parametrize(
        "other",
        [
            {"Transitions": list(reversed(BASE["Transitions"]))},
            {"Filter": {"And": {**BASE["Filter"]["And"], "Tags": BASE["Filter"]["And"]["Tags"][::-1]}}},
            {"Filter": {"And": {"Prefix": "a/", "Tags": [{"Key": "l"}, {"Key": "k", "Value": "v"}]}}},
            {"Expiration": {"ExpiredObjectDeleteMarker": False}, "NoncurrentVersionTransitions": []},
        ],
    )
    def test_order_and_empty_fields_make_no_difference(self, other: Any) -> None:
        assert same(self.BASE, {**self.BASE, **other})

    @pytest.mark.parametrize(
        "other",
        [
            {"ID": "y"},
            {"Status": "Disabled"},
            {"Filter": {"Prefix": "a/"}},
            {"Filter": {"And": {**BASE["Filter"]["And"], "ObjectSizeGreaterThan": 0}}},
            {"Transitions": BASE["Transitions"][:1]},
            {"Transitions": [{"Days": 1, "StorageClass": "GLACIER_IR"}, BASE["Transitions"][1]]},
            {"Expiration": {"Days": 3}},
        ],
    )
    def test_all_else_does(self, other: Any) -> None:
        assert not same(self.BASE, {**self.BASE, **other})

    def test_a_bare_prefix_is_a_filter(self) -> None:
        assert same({"ID": "x", "Prefix": "a/"}, {"ID": "x", "Filter": {"Prefix": "a/"}})


def rule(name: str, prefix: str, **actions: Any) -> dict[str, Any]:
    return {"ID": name, "Status": "Enabled", "Filter": {"Prefix": prefix}, **actions}


ABORT = rule("abort", "", AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1})


class TestFindings:
    @pytest.mark.parametrize(
        ("rule_prefix", "acts"),
        [
            ("", True),
            ("a", True),
            ("a/", True),
            ("a/x", True),
            ("a/x.thread/", True),
            ("a/x.thread/.ns/", True),
            ("a/.exports/", False),
            ("a/below/", False),
            ("a/below/x.thread/", False),
            ("b/", False),
            ("ab", False),
        ],
    )
    def test_rules_that_act_on_a_savers_checkpoints(self, rule_prefix: str, acts: bool) -> None:
        assert acts_on(rule_prefix, "a/") == acts
        found = lifecycle_findings([ABORT, rule("r", rule_prefix, Expiration={"Days": 30})], "a/", DAY)
        assert bool(found) == acts

    def test_no_finding_for_a_bucket_that_only_aborts_uploads(self) -> None:
        assert lifecycle_findings([ABORT], "a/", DAY) == []
        off = {**rule("r", "", Expiration={"Days": 30}), "Status": "Disabled"}
        assert lifecycle_findings([ABORT, off], "a/", DAY) == []

    def test_uploads_without_a_rule_that_aborts_them(self) -> None:
        [finding] = lifecycle_findings([], "a/", DAY)
        assert "multipart uploads below 'a/'" in finding
        narrow = rule("r", "a/x", AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1})
        assert lifecycle_findings([narrow], "a/", DAY) == [finding]

    def test_our_rules_are_reported_without_the_horizon(self) -> None:
        policy = LifecyclePolicy(days_until_deletion=30)
        [finding] = lifecycle_findings(rules_of(policy, "a/", 1), "a/", DAY)
        assert "langgraph-checkpoint-s3:a/:delete:+1d" in finding
        assert "31 days after" in finding
        assert "delta channels" in finding
        assert "horizon" not in finding
        [finding] = lifecycle_findings(rules_of(policy, "a/", 1), "a/", 2 * DAY)
        assert "checkpoints of more than 29 days" in finding

    def test_others_do_not_leave_the_horizon(self) -> None:
        [finding] = lifecycle_findings([ABORT, rule("r", "", Expiration={"Days": 30})], "a/", DAY)
        assert "'r' deletes objects 30 days after" in finding
        assert "checkpoints of more than 29 days may be there and can't be read" in finding
        [finding] = lifecycle_findings([ABORT, rule("r", "", Expiration={"Days": 1})], "a/", DAY)
        assert "even new checkpoints" in finding

    def test_dates_tags_and_sizes_are_named(self) -> None:
        date = datetime(2030, 1, 1, tzinfo=timezone.utc)
        dated = {
            "Status": "Enabled",
            "Filter": {
                "And": {"Prefix": "a/", "Tags": [{"Key": "k", "Value": "v"}], "ObjectSizeLessThan": 5000}
            },
            "Expiration": {"Date": date},
            "Transitions": [{"Date": date, "StorageClass": "GLACIER"}],
        }
        deletes, moves = lifecycle_findings([ABORT, dated], "a/", DAY)
        what = "objects below 'a/' tagged k=v of less than 5,000 bytes"
        assert f"(without a name)' deletes {what} from 2030-01-01 on" in deletes
        assert f"moves {what} to GLACIER from 2030-01-01 on" in moves

    def test_only_offline_moves_are_reported(self) -> None:
        moves: Any = [{"Days": 9, "StorageClass": "GLACIER_IR"}, {"Days": 90, "StorageClass": "DEEP_ARCHIVE"}]
        [finding] = lifecycle_findings([ABORT, rule("r", "a/", Transitions=moves)], "a/", DAY)
        assert "to DEEP_ARCHIVE 90 days after" in finding
        assert "restore_archived" in finding
