"""Lifecycle policies of retention classes: one for each class, with the tag that its objects have."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from langgraph_checkpoint_s3.admin.lifecycle.policy import (
    LifecyclePolicy,
    Reach,
    Rule,
    horizon_days,
    horizon_of,
    is_rule_of_policy,
    merge_rules,
    policy_of,
    rules_of,
)
from langgraph_checkpoint_s3.admin.setting_changes import Change
from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.format.retention import DEFAULT, TAG
from langgraph_checkpoint_s3.plans.plan import Plan


def class_policies(config: S3Config) -> list[LifecyclePolicy]:
    """Return the policy of each class of a saver's.

    Unfinished uploads have no tags, so that one policy aborts them for all.
    """
    return [
        LifecyclePolicy(
            days_until_deletion=kept.days,
            abort_incomplete_uploads_days=7 if name == DEFAULT else None,
            object_tag=(TAG, name),
        )
        for name, kept in sorted(config.retention.items())
    ]


def set_class_policies(config: S3Config) -> Plan[list[Change]]:
    """Replace the policies of a saver's classes, in one write. Those of other classes stay.

    Raises:
        InvalidConfigError: The saver has no classes.
    """
    policies = class_policies(config)
    if not policies:
        raise InvalidConfigError(
            "Without a policy, set_lifecycle_policy() sets those of the saver's retention classes, and it "
            "has none: pass a LifecyclePolicy, or set retention={'default': timedelta(days=…)}."
        )
    ours = [is_rule_of_policy(config.prefix, policy.object_tag) for policy in policies]
    horizon = horizon_days(horizon_of(config))
    rules = [rule for policy in policies for rule in rules_of(policy, config.prefix, horizon)]
    return (yield from merge_rules(lambda rule: any(test(rule) for test in ours), rules))


def retention_findings(
    rules: Iterable[Rule], config: S3Config, acts_on: Callable[[str, str], bool]
) -> list[str]:
    """Return warnings about what a bucket's rules do to classes and pinned threads.

    Args:
        rules: The bucket's rules.
        config: The saver's.
        acts_on: Returns whether a rule's prefix has checkpoints of a saver's prefix.
    """
    rules = list(rules)
    found: list[str] = []
    for name, kept in sorted(config.retention.items()):
        try:
            policy = policy_of(rules, config.prefix, (TAG, name))
            days = policy.days_until_deletion if policy else None
        except InvalidConfigError:
            days = -1
        if days is None:
            found.append(f"The class {name!r} has no rule, so its checkpoints stay for ever.")
        elif days != kept.days:
            had = "a rule that somebody changed" if days < 0 else f"a rule of {days} days"
            found.append(f"The class {name!r} is of {kept.days} days, and has {had}.")
    for rule in rules:
        reach = Reach.of(rule)
        deletes = (rule.get("Expiration") or {}).keys() & {"Days", "Date"}
        tagged = any(tag == TAG for tag, _ in reach.tags)
        if not deletes or tagged or rule.get("Status") != "Enabled":
            continue
        if acts_on(reach.prefix, config.prefix):
            found.append(
                f"The lifecycle rule {rule.get('ID') or '(without a name)'!r} deletes without regard to "
                "classes, and so pinned threads too."
            )
    return found
