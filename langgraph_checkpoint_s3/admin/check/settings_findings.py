"""Findings about the bucket's settings: versioning, encryption, public access, TLS, lifecycle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from langgraph_checkpoint_s3.admin.bucket.arns import Arns, partition_of
from langgraph_checkpoint_s3.admin.bucket.desired_state import PUBLIC_ACCESS_FLAGS, default_encryption
from langgraph_checkpoint_s3.admin.bucket.tls_policy import merge, tls_statement
from langgraph_checkpoint_s3.admin.check.observations import Observations
from langgraph_checkpoint_s3.admin.check.report import (
    Finding,
    missing,
    not_supported,
    ok,
    unknown,
    unseen,
    warning,
)
from langgraph_checkpoint_s3.admin.lifecycle.policy import OFFLINE, horizon_days
from langgraph_checkpoint_s3.admin.lifecycle.rules import Reach, Rule, added_days
from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.errors import InvalidConfigError, NotSupportedError
from langgraph_checkpoint_s3.format.keys import THREAD_SUFFIX
from langgraph_checkpoint_s3.s3.admin_requests import BucketHead
from langgraph_checkpoint_s3.s3.bucket_settings import (
    ENCRYPTION,
    LIFECYCLE,
    POLICY,
    PUBLIC_ACCESS,
    VERSIONING,
    Setting,
)

SETTINGS: Final = (VERSIONING, ENCRYPTION, PUBLIC_ACCESS, POLICY, LIFECYCLE)
"""The settings that these findings need."""

_TLS: Final = "admin.configure_bucket(tls_only=True) sets one"


def versioning(seen: Observations) -> Finding:
    """Check that versioning is as configured, and that old versions expire."""
    document, config = seen.answers[VERSIONING.name], seen.config
    found = _unread(seen, VERSIONING)
    error = seen.error("versioned")
    if not document and isinstance(error, NotSupportedError):  # some stores answer "off" without having it
        found = not_supported(error.reason)
    if found and found.status == "not supported" and config.versioning:
        return missing(found.detail, "Use a store that has it, or make the saver without")
    if found:
        return found
    status = (document or {}).get("Status", "")
    if status != "Enabled":
        state = status.lower() or "off"
        if config.versioning:
            return missing(f"It is {state}, and the saver's is True", "Call saver.setup()")
        detail = f"It is {state}: what is deleted or replaced is gone"
        return ok(detail, "admin.enable_versioning() keeps it")
    rules = seen.answers[LIFECYCLE.name]
    if seen.error(LIFECYCLE.name):
        return ok("It is on; see lifecycle for what becomes of old versions")
    if any(_expires_versions(rule, seen) for rule in _rules(rules)):
        return ok("It is on, and old versions expire")
    return warning(
        "It is on, and nothing removes old versions: what was deleted or replaced is billed for ever",
        "admin.set_lifecycle_policy(LifecyclePolicy(noncurrent_version_days=30))",
    )


def encryption(seen: Observations) -> Finding:
    """Check the default encryption, and that the saver's own isn't weaker."""
    mode = seen.config.server_side_encryption
    own = "" if mode in ("auto", "off") else f"; the saver asks for {mode} with each object"
    if found := _unread(seen, ENCRYPTION):
        return replace(found, detail=found.detail + own)
    rule, default = default_encryption(seen.answers[ENCRYPTION.name])
    algorithm = default.get("SSEAlgorithm")
    if algorithm:
        key = f" with the key {default['KMSMasterKeyID']}" if default.get("KMSMasterKeyID") else ""
        if algorithm == "aws:kms":
            key += f", bucket key {'on' if rule.get('BucketKeyEnabled') else 'off'}"
        detail = f"The bucket's default is {algorithm}{key}{own}"
        if own and algorithm.startswith("aws:kms") and not _keeps_the_key(seen.config, algorithm, default):
            remedy = "Leave server_side_encryption out, or name the bucket's key in kms_key_id"
            return warning(f"{detail}, which overrides the default and its key", remedy)
        return ok(detail)
    if own:
        return ok(f"The bucket has no default{own}")
    remedy = "admin.configure_bucket() sets one"
    return warning("The bucket has no default encryption", remedy)


def _keeps_the_key(config: S3Config, algorithm: str, default: Mapping[str, str]) -> bool:
    """Return whether the saver's encryption is no weaker than the bucket's, and doesn't override its key."""
    mode = config.server_side_encryption
    chosen = config.kms_key_id is not None or not default.get("KMSMasterKeyID")
    # `aws:kms:dsse` is the longer name, and the stronger encryption.
    return mode.startswith("aws:kms") and len(mode) >= len(algorithm) and chosen


def public_access(seen: Observations) -> Finding:
    """Check that public access is blocked."""
    if found := _unread(seen, PUBLIC_ACCESS):
        return found
    document = seen.answers[PUBLIC_ACCESS.name] or {}
    off = [flag for flag in PUBLIC_ACCESS_FLAGS if not document.get(flag)]
    if not off:
        return ok("It is blocked")
    which = "all of it" if len(off) == len(PUBLIC_ACCESS_FLAGS) else ", ".join(off)
    remedy = (
        "admin.configure_bucket(block_public_access=True) blocks it. On other stores than AWS, try that on "
        "another bucket first: Ceph 16 then refuses all writes"
    )
    return warning(f"The bucket doesn't block it ({which} is off)", remedy)


def tls_only(seen: Observations) -> Finding:
    """Check that the bucket's policy denies plain HTTP."""
    policy = seen.answers[POLICY.name]
    if found := _unread(seen, POLICY):
        return found
    head = seen.answers["head"]
    region = seen.config.region or (head.region if isinstance(head, BucketHead) else None)
    try:
        arns = Arns.of(seen.config.bucket, partition_of(region))
        denies_http = merge(policy, tls_statement(arns)) == policy
    except NotSupportedError as error:
        return not_supported(error.reason)
    except InvalidConfigError as error:
        return unknown(error.reason)
    if denies_http:
        return ok("The bucket's policy refuses plain HTTP")
    if seen.address.startswith("http:"):
        detail, remedy = "This saver itself uses plain HTTP", f"Use an https:// address; then {_TLS}"
        return warning(detail, remedy)
    return warning("No statement of the bucket's policy refuses plain HTTP", _TLS)


def lifecycle(seen: Observations) -> Finding:
    """Check that lifecycle rules abort unfinished uploads, and delete no checkpoints."""
    if found := _unread(seen, LIFECYCLE):
        return found
    rules = _rules(seen.answers[LIFECYCLE.name])
    problems = lifecycle_findings(rules, seen.config.prefix, seen.config.borrow_horizon)
    if problems:
        return warning(" ".join(problems))
    return ok("Abandoned uploads are aborted, and no checkpoints are deleted by age")


def _unread(seen: Observations, setting: Setting) -> Finding | None:
    """Return the finding for a setting that couldn't be read."""
    error = seen.error(setting.name)
    return unseen(error, seen.config.bucket) if error else None


def _rules(document: Any) -> list[Rule]:
    return list((document or {}).get("Rules", ()))


def _expires_versions(rule: Rule, seen: Observations) -> bool:
    reach = Reach.of(rule)
    return bool(
        rule.get("Status") == "Enabled"
        and rule.get("NoncurrentVersionExpiration")
        and seen.config.prefix.startswith(reach.prefix)
        and reach.tags <= set(seen.config.object_tags.items())
        and not reach.above
        and reach.below is None
    )


def lifecycle_findings(rules: Iterable[Rule], prefix: str, horizon: float) -> list[str]:
    """Return warnings about the effects of a bucket's rules on checkpoints. The horizon is in seconds."""
    acting = [
        (rule, reach)
        for rule in rules
        if rule.get("Status") == "Enabled" and acts_on((reach := Reach.of(rule)).prefix, prefix)
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
    """Return whether a rule's prefix has checkpoints of a saver's: all, or those of some threads.

    Objects in a folder that isn't a thread's belong to another saver, or aren't checkpoints.
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
