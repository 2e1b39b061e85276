"""The bucket's lifecycle configuration: ours in it, and everybody else's.

S3 has no request for one rule: a PUT replaces all of a bucket's. So each change here reads all of
them, and writes all of them, those that are not ours as they were read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from langgraph_checkpoint_s3.admin.lifecycle.policy import (
    LifecyclePolicy,
    check_tag,
    horizon_days,
    is_rule_of_policy,
    policy_of,
    rules_of,
)
from langgraph_checkpoint_s3.admin.lifecycle.rules import Rule, as_read, is_rule_of, rule_id, same
from langgraph_checkpoint_s3.admin.setting_changes import Change, replace_setting
from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.plans.plan import Plan, ask
from langgraph_checkpoint_s3.s3.bucket_settings import LIFECYCLE, GetSetting

__all__ = [
    "MAX_RULES",
    "get_policy",
    "is_rule_of",
    "merge_rules",
    "read_rules",
    "remove_policy",
    "rule_id",
    "set_policy",
]

MAX_RULES: Final = 1000
"""S3's limit for one bucket
(https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLifecycleConfiguration.html)."""

_DEFAULT_SIZE: Final = "TransitionDefaultMinimumObjectSize"


def merge_rules(is_ours: Callable[[Rule], bool], rules: Sequence[Rule]) -> Plan[list[Change]]:
    """Put rules in the place of ours, and keep all others; nothing is written if they are so already.

    Without rules, ours are removed, and so is the configuration if nothing is left in it.

    Args:
        is_ours: Whether a rule is one to replace, such as `is_rule_of(prefix, kind)`.
        rules: The new ones, each with an ID that `is_ours` knows, such as `rule_id(prefix, kind)`.

    Raises:
        InvalidConfigError: The bucket would have more rules than S3 takes. Nothing was written.
    """
    before = yield from ask(GetSetting(LIFECYCLE))
    there: list[Rule] = list((before or {}).get("Rules", ()))
    ours = [rule for rule in there if is_ours(rule)]
    if len(ours) == len(rules) and all(any(same(old, new) for old in ours) for new in rules):
        return []
    after = [as_read(rule) for rule in there if not is_ours(rule)] + list(rules)
    if len(after) > MAX_RULES:
        raise InvalidConfigError(
            f"The bucket would have {len(after)} lifecycle rules, and S3 takes {MAX_RULES}. Remove rules "
            "that aren't needed, or put some of the savers into another bucket."
        )
    # Of the whole configuration, and not one of its rules; a PUT without it sets it back.
    more = {_DEFAULT_SIZE: before[_DEFAULT_SIZE]} if before and before.get(_DEFAULT_SIZE) else {}
    return (
        yield from replace_setting(
            LIFECYCLE,
            {"Rules": after} if after else None,
            before={"Rules": there} if there else None,
            more=more,
        )
    )


def read_rules() -> Plan[list[dict[str, Any]]]:
    """The rules of the bucket, whoever's they are."""
    found = yield from ask(GetSetting(LIFECYCLE))
    return list((found or {}).get("Rules", ()))


def set_policy(policy: LifecyclePolicy, prefix: str, horizon: float) -> Plan[list[Change]]:
    """Put a policy's rules in the place of those of the one before it, of the same prefix and tag.

    Args:
        policy: The policy.
        prefix: The saver's prefix.
        horizon: The borrowing horizon in seconds.
    """
    rules = rules_of(policy, prefix, horizon_days(horizon))
    return (yield from merge_rules(is_rule_of_policy(prefix, policy.object_tag), rules))


def get_policy(prefix: str, tag: tuple[str, str] | None) -> Plan[LifecyclePolicy | None]:
    """The policy of a prefix and tag, as it was set."""
    check_tag(tag)
    return policy_of((yield from read_rules()), prefix, tag)


def remove_policy(prefix: str, tag: tuple[str, str] | None) -> Plan[list[Change]]:
    """Remove the rules of a policy."""
    check_tag(tag)
    return (yield from merge_rules(is_rule_of_policy(prefix, tag), []))
