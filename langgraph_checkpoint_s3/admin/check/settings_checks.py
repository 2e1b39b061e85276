"""What the doctor finds of the bucket's settings: versions, encryption, access, lifecycle. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from langgraph_checkpoint_s3.admin.bucket.arns import Arns, partition_of
from langgraph_checkpoint_s3.admin.bucket.tls_policy import merge, tls_statement
from langgraph_checkpoint_s3.admin.check.lifecycle_checks import lifecycle_findings
from langgraph_checkpoint_s3.admin.check.observations import Case
from langgraph_checkpoint_s3.admin.check.report import Finding, unseen
from langgraph_checkpoint_s3.admin.lifecycle.rules import Reach, Rule
from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.errors import InvalidConfigError, NotSupportedError
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
"""What these findings are made from."""

_TLS: Final = "admin.configure_bucket(tls_only=True) sets one"


def versioning(case: Case) -> Finding:
    """Whether the bucket keeps what is deleted or replaced, and for how long."""
    name, document, config = "versioning", case.answers[VERSIONING.name], case.config
    found = _unread(case, name, VERSIONING)
    unknown = case.error("versioned")
    if not document and isinstance(unknown, NotSupportedError):  # some stores say "off", and can't
        found = Finding(name, "not supported", unknown.reason)
    if found and found.status == "not supported" and config.versioning:
        return Finding(name, "missing", found.detail, "Use a store that has it, or make the saver without")
    if found:
        return found
    status = (document or {}).get("Status", "")
    if status != "Enabled":
        state = status.lower() or "off"
        if config.versioning:
            return Finding(name, "missing", f"It is {state}, and the saver's is True", "Call saver.setup()")
        detail = f"It is {state}: what is deleted or replaced is gone"
        return Finding(name, "ok", detail, "admin.enable_versioning() keeps it")
    rules = case.answers[LIFECYCLE.name]
    if case.error(LIFECYCLE.name):
        return Finding(name, "ok", "It is on; see lifecycle for what becomes of old versions")
    if any(_expires_versions(rule, case) for rule in _rules(rules)):
        return Finding(name, "ok", "It is on, and old versions expire")
    return Finding(
        name,
        "warning",
        "It is on, and nothing removes old versions: what was deleted or replaced is billed for ever",
        "admin.set_lifecycle_policy(LifecyclePolicy(noncurrent_version_days=30))",
    )


def encryption(case: Case) -> Finding:
    """Whether objects are encrypted where they lie."""
    asked = case.config.server_side_encryption
    own = "" if asked in ("auto", "off") else f"; the saver asks for {asked} with each object"
    found = _unread(case, "encryption", ENCRYPTION)
    if found:
        return Finding(found.name, found.status, found.detail + own, found.remedy)
    rules = (case.answers[ENCRYPTION.name] or {}).get("Rules") or [{}]
    default = rules[0].get("ApplyServerSideEncryptionByDefault") or {}
    algorithm = default.get("SSEAlgorithm")
    if algorithm:
        key = f" with the key {default['KMSMasterKeyID']}" if default.get("KMSMasterKeyID") else ""
        if algorithm == "aws:kms":
            key += f", bucket key {'on' if rules[0].get('BucketKeyEnabled') else 'off'}"
        detail = f"The bucket's default is {algorithm}{key}{own}"
        if own and algorithm.startswith("aws:kms") and not _keeps_the_key(case.config, algorithm, default):
            remedy = "Leave server_side_encryption out, or name the bucket's key in kms_key_id"
            return Finding(
                "encryption", "warning", f"{detail}, which overrides the default and its key", remedy
            )
        return Finding("encryption", "ok", detail)
    if own:
        return Finding("encryption", "ok", f"The bucket has no default{own}")
    remedy = "admin.configure_bucket() sets one"
    return Finding("encryption", "warning", "The bucket has no default encryption", remedy)


def _keeps_the_key(config: S3Config, algorithm: str, default: Mapping[str, str]) -> bool:
    """Check that the saver's encryption is no weaker than the bucket's default, and its key was chosen."""
    asked = config.server_side_encryption
    chosen = config.kms_key_id is not None or not default.get("KMSMasterKeyID")
    return asked.startswith("aws:kms") and len(asked) >= len(algorithm) and chosen


def public_access(case: Case) -> Finding:
    """Whether the bucket's public access is blocked."""
    found = _unread(case, "public access", PUBLIC_ACCESS)
    if found:
        return found
    document = case.answers[PUBLIC_ACCESS.name] or {}
    names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    off = [name for name in names if not document.get(name)]
    if not off:
        return Finding("public access", "ok", "It is blocked")
    which = "all of it" if len(off) == len(names) else ", ".join(off)
    remedy = (
        "admin.configure_bucket(block_public_access=True) blocks it. On other stores than AWS, try that on "
        "another bucket first: Ceph 16 then refuses all writes"
    )
    return Finding("public access", "warning", f"The bucket doesn't block it ({which} is off)", remedy)


def tls_only(case: Case) -> Finding:
    """Whether the bucket's policy refuses plain HTTP."""
    name, policy = "TLS only", case.answers[POLICY.name]
    found = _unread(case, name, POLICY)
    if found:
        return found
    head = case.answers["head"]
    where = case.config.region or (head.region if isinstance(head, BucketHead) else None)
    try:
        arns = Arns.of(case.config.bucket, partition_of(where))
        there = merge(policy, tls_statement(arns)) == policy
    except NotSupportedError as error:
        return Finding(name, "not supported", error.reason)
    except InvalidConfigError as error:
        return Finding(name, "unknown", error.reason)
    if there:
        return Finding(name, "ok", "The bucket's policy refuses plain HTTP")
    if case.address.startswith("http:"):
        detail, remedy = "This saver itself uses plain HTTP", f"Use an https:// address; then {_TLS}"
        return Finding(name, "warning", detail, remedy)
    return Finding(name, "warning", "No statement of the bucket's policy refuses plain HTTP", _TLS)


def lifecycle(case: Case) -> Finding:
    """What the lifecycle rules do to checkpoints, and whether abandoned uploads go."""
    found = _unread(case, "lifecycle", LIFECYCLE)
    if found:
        return found
    rules = _rules(case.answers[LIFECYCLE.name])
    said = lifecycle_findings(rules, case.config.prefix, case.config.borrow_horizon)
    if said:
        return Finding("lifecycle", "warning", " ".join(said))
    return Finding("lifecycle", "ok", "Abandoned uploads are aborted, and no checkpoints are deleted by age")


def _unread(case: Case, name: str, setting: Setting) -> Finding | None:
    """The finding for a setting that couldn't be read."""
    error = case.error(setting.name)
    return unseen(name, error, case.config.bucket) if error else None


def _rules(document: Any) -> list[Rule]:
    return list((document or {}).get("Rules", ()))


def _expires_versions(rule: Rule, case: Case) -> bool:
    reach = Reach.of(rule)
    return bool(
        rule.get("Status") == "Enabled"
        and rule.get("NoncurrentVersionExpiration")
        and case.config.prefix.startswith(reach.prefix)
        and reach.tags <= set(case.config.object_tags.items())
        and not reach.above
        and reach.below is None
    )
