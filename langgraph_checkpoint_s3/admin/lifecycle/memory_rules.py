"""Effects of lifecycle rules on the items of long-term memory, which lie below the same prefix as threads.

S3's rules have no exceptions: a rule for a prefix can't leave out one folder below it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from langgraph_checkpoint_s3.admin.lifecycle.policy import LifecyclePolicy, Reach, Rule, rules_of
from langgraph_checkpoint_s3.admin.lifecycle.transitions import OFFLINE
from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.errors import AccessDeniedError, InvalidConfigError
from langgraph_checkpoint_s3.memory.shelf import STORE
from langgraph_checkpoint_s3.plans.plan import Plan, ask, return_errors
from langgraph_checkpoint_s3.s3.requests import ListObjects

OTHERWISE = (
    "To keep items, give the S3Store a prefix of its own, or give threads retention classes, whose rules go "
    "by tags that items don't have."
)


def first_item(config: S3Config) -> ListObjects:
    """Return the request that tells whether there are any items."""
    return ListObjects(config.prefix + STORE, 1)


def memory_findings(rules: Iterable[Rule], config: S3Config) -> Iterator[str]:
    """Return warnings about the effects of a bucket's rules on items."""
    acting = [rule for rule in rules if _acts_on_items(rule, config)]
    for rule in acting:
        name = f"The lifecycle rule {rule.get('ID') or '(without a name)'!r}"
        if _deletes(rule):
            yield f"{name} deletes long-term memory too, however often it is read. {OTHERWISE}"
        elif _archives(rule):
            yield f"{name} moves long-term memory too to where it can't be read. {OTHERWISE}"


def check_consent(policy: LifecyclePolicy, config: S3Config) -> Plan[None]:
    """Check that a policy doesn't delete items, or make them unreadable, without the caller's consent.

    Raises:
        InvalidConfigError: It would.
    """
    rules = [rule for rule in rules_of(policy, config.prefix, 0) if _acts_on_items(rule, config)]
    if policy.include_memories or not any(_deletes(rule) or _archives(rule) for rule in rules):
        return
    # A caller that may not list objects can set a policy all the same. `check` warns, too.
    page = yield from return_errors(ask(first_item(config)), AccessDeniedError)
    if not isinstance(page, AccessDeniedError) and page.entries:
        raise InvalidConfigError(
            f"There is long-term memory below {config.prefix + STORE!r}, and the policy would delete or "
            f"archive it by its age, however often it is read. Nothing was changed. {OTHERWISE} If it is to "
            "go as well, pass include_memories=True."
        )


def _acts_on_items(rule: Rule, config: S3Config) -> bool:
    reach = Reach.of(rule)
    root = config.prefix + STORE
    return (
        rule.get("Status") == "Enabled"
        and (root.startswith(reach.prefix) or reach.prefix.startswith(root))
        and reach.tags <= set(config.object_tags.items())
    )


def _deletes(rule: Rule) -> bool:
    return bool((rule.get("Expiration") or {}).keys() & {"Days", "Date"})


def _archives(rule: Rule) -> bool:
    return any(step.get("StorageClass") in OFFLINE for step in rule.get("Transitions") or ())
