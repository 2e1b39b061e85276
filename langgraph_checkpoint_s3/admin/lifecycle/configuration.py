"""The bucket's lifecycle configuration: this package's rules, among those of others.

S3 has no request for one rule: a PUT replaces all of a bucket's rules. So each change here reads all of them
and writes all of them, those of others as they were read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from langgraph_checkpoint_s3.admin.lifecycle.policy import (
    LifecyclePolicy,
    check_tag,
    cleanup_rules,
    horizon_days,
    is_cleanup_of,
    is_rule_of_policy,
    policy_of,
    rules_of,
)
from langgraph_checkpoint_s3.admin.lifecycle.rules import Rule, as_read, is_rule_of, rule_id, same
from langgraph_checkpoint_s3.admin.setting_changes import Change, replace_setting
from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.plans.plan import Plan, ask
from langgraph_checkpoint_s3.s3.bucket_settings import LIFECYCLE, GetSetting

__all__ = ["is_rule_of", "merge_rules", "rule_id"]

MAX_RULES: Final = 1000
"""S3's limit for one bucket
(https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLifecycleConfiguration.html)."""

_DEFAULT_SIZE: Final = "TransitionDefaultMinimumObjectSize"


def merge_rules(is_ours: Callable[[Rule], bool], rules: Sequence[Rule]) -> Plan[list[Change]]:
    """Replace this package's rules, and keep all others. Write nothing if they are the same.

    Without new rules, remove the old ones, and the configuration if nothing is left in it. `is_ours` returns
    whether a rule is to be replaced, such as `is_rule_of(prefix, kind)`; it is true for all of `rules`.
    """
    before = yield from ask(GetSetting(LIFECYCLE))
    return (yield from _replace(before, is_ours, rules))


def _replace(before: Any, is_ours: Callable[[Rule], bool], rules: Sequence[Rule]) -> Plan[list[Change]]:
    current: list[Rule] = list((before or {}).get("Rules", ()))
    ours = [rule for rule in current if is_ours(rule)]
    if len(ours) == len(rules) and all(any(same(old, new) for old in ours) for new in rules):
        return []
    after = [as_read(rule) for rule in current if not is_ours(rule)] + list(rules)
    if len(after) > MAX_RULES:
        raise InvalidConfigError(
            f"The bucket would have {len(after)} lifecycle rules, and S3 takes {MAX_RULES}. Remove rules "
            "that aren't needed, or put some of the savers into another bucket."
        )
    # A member of the whole configuration, not of a rule. A PUT without it resets it.
    more = {_DEFAULT_SIZE: before[_DEFAULT_SIZE]} if before and before.get(_DEFAULT_SIZE) else {}
    return (
        yield from replace_setting(
            LIFECYCLE,
            {"Rules": after} if after else None,
            before={"Rules": current} if current else None,
            more=more,
        )
    )


def set_policy(policy: LifecyclePolicy, prefix: str, horizon: float) -> Plan[list[Change]]:
    """Replace the policy of the same prefix and tag. The borrowing horizon is in seconds."""
    rules = rules_of(policy, prefix, horizon_days(horizon))
    return (yield from merge_rules(is_rule_of_policy(prefix, policy.object_tag), rules))


def get_policy(prefix: str, tag: tuple[str, str] | None) -> Plan[LifecyclePolicy | None]:
    """Return the policy of a prefix and tag, as it was set."""
    check_tag(tag)
    found = yield from ask(GetSetting(LIFECYCLE))
    return policy_of((found or {}).get("Rules", ()), prefix, tag)


def remove_policy(prefix: str, tag: tuple[str, str] | None) -> Plan[list[Change]]:
    """Remove the rules of a policy."""
    check_tag(tag)
    return (yield from merge_rules(is_rule_of_policy(prefix, tag), []))


def set_abort_uploads(prefix: str, days: int | None) -> Plan[list[Change]]:
    """Set, or with `None` remove, the abort of unfinished uploads in the policy without a tag."""
    before = yield from ask(GetSetting(LIFECYCLE))
    rules = cleanup_rules((before or {}).get("Rules", ()), prefix, days)
    return (yield from _replace(before, is_cleanup_of(prefix), rules))
