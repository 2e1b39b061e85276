"""What to warn of in a bucket's lifecycle rules, whoever made them. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from langgraph_checkpoint_s3.admin.lifecycle.policy import OFFLINE, horizon_days
from langgraph_checkpoint_s3.admin.lifecycle.rules import Reach, Rule, added_days
from langgraph_checkpoint_s3.format.keys import THREAD_SUFFIX


def lifecycle_findings(rules: Iterable[Rule], prefix: str, horizon: float) -> list[str]:
    """What the rules do to checkpoints that whoever runs agents on them should know, a sentence or two each.

    Args:
        rules: All of the bucket's, as botocore has them.
        prefix: The saver's prefix.
        horizon: Its borrowing horizon in seconds.
    """
    acting = [
        (rule, reach)
        for rule, reach in ((rule, Reach.of(rule)) for rule in rules)
        if rule.get("Status") == "Enabled" and acts_on(reach.prefix, prefix)
    ]
    found = [finding for rule, reach in acting for finding in _of_rule(rule, reach, horizon_days(horizon))]
    if not any(
        rule.get("AbortIncompleteMultipartUpload") and prefix.startswith(reach.prefix)
        for rule, reach in acting
    ):
        found.append(
            f"No lifecycle rule aborts the multipart uploads below {prefix!r} that are never completed: "
            "their parts are billed, and no listing of objects shows them. "
            "set_lifecycle_policy(LifecyclePolicy()) sets a rule of 7 days."
        )
    return found


def acts_on(rule_prefix: str, prefix: str) -> bool:
    """Whether a rule's prefix holds checkpoints of a saver's: all, or some threads'.

    What lies below a folder that is no thread's is another saver's, or no checkpoint at all.
    """
    if prefix.startswith(rule_prefix):
        return True
    folder, slash, _ = rule_prefix.removeprefix(prefix).partition("/")
    return rule_prefix.startswith(prefix) and (not slash or folder.endswith(THREAD_SUFFIX))


def _of_rule(rule: Rule, reach: Reach, horizon: int) -> Iterable[str]:
    name = f"The lifecycle rule {rule.get('ID') or '(without a name)'!r}"
    what = _objects(reach)
    expiration = rule.get("Expiration") or {}
    days, date = expiration.get("Days"), expiration.get("Date")
    if days or date:
        when = f"{days} days after they were written" if days else f"from {date:%Y-%m-%d} on"
        text = (
            f"{name} deletes {what} {when}, each by its own age: so old checkpoints of live threads go, "
            "and delta channels that are rebuilt from older writes than that break. prune_older_than() "
            "deletes by age too, and keeps what is needed."
        )
        if days and added_days(rule) < horizon:
            left = days - horizon
            which = f"checkpoints of more than {left} days" if left > 0 else "even new checkpoints"
            text += (
                f" It doesn't count the borrowing horizon in (days: {horizon}), so {which} may be there and "
                "can't be read, because what they borrow is gone. set_lifecycle_policy() adds it."
            )
        yield text
    for step in rule.get("Transitions") or ():
        if step.get("StorageClass") in OFFLINE:
            date = step.get("Date")
            when = (
                f"from {date:%Y-%m-%d} on" if date else f"{step.get('Days', 0)} days after they were written"
            )
            yield (
                f"{name} moves {what} to {step['StorageClass']} {when}: checkpoints there can't be read "
                "until restore_archived() has brought them back."
            )


def _objects(reach: Reach) -> str:
    text = f"objects below {reach.prefix!r}" if reach.prefix else "objects"
    if reach.tags:
        text += f" tagged {', '.join(f'{key}={value}' for key, value in sorted(reach.tags))}"
    if reach.above is not None:
        text += f" of more than {reach.above:,} bytes"
    if reach.below is not None:
        text += f" of less than {reach.below:,} bytes"
    return text
