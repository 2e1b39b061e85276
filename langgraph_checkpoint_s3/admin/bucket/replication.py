"""Replication of a prefix to another bucket: one rule, beside the rules of others."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypedDict

from langgraph_checkpoint_s3.admin.bucket.configure import default_encryption
from langgraph_checkpoint_s3.admin.bucket.policies import bucket_arn, named_bucket
from langgraph_checkpoint_s3.admin.lifecycle.policy import rule_id
from langgraph_checkpoint_s3.admin.setting_changes import Change, normalized, replace_setting
from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.plans.plan import Plan, ask, ask_all
from langgraph_checkpoint_s3.s3.bucket_settings import ENCRYPTION, REPLICATION, VERSIONING, GetSetting
from langgraph_checkpoint_s3.s3.requests import Attempted, Failure, Request

_KIND: Final = "replication"
_ROLE: Final = re.compile(r"arn:([a-z0-9-]+):iam::[0-9]{12}:role/.+")


class ReplicationOptions(TypedDict, total=False):
    """Keywords of `S3Admin.enable_replication`, described there."""

    storage_class: str | None
    delete_markers: bool
    priority: int | None
    replica_kms_key_id: str | None


@dataclass(frozen=True, slots=True)
class Replica:
    """Destination of a replication, and its options. See `S3Admin.enable_replication`."""

    destination: str
    role: str
    storage_class: str | None = None
    delete_markers: bool = False
    priority: int | None = None
    replica_kms_key_id: str | None = None

    def rule(self, config: S3Config, priority: int) -> dict[str, Any]:
        """Return the replication rule as S3 has it. Raise `InvalidConfigError` if a value is invalid."""
        match = _ROLE.fullmatch(self.role)
        if match is None:
            raise InvalidConfigError(
                f"role={self.role!r} is not a role's ARN, such as arn:aws:iam::123456789012:role/replication."
            )
        arn = bucket_arn(self.destination, match[1])
        if arn.rpartition(":")[2] == config.bucket:
            raise InvalidConfigError("destination is the bucket itself: S3 replicates to another one only.")
        if not 0 <= priority < 2**31:
            raise InvalidConfigError(f"priority={priority} must be from 0 to {2**31 - 1}.")
        destination: dict[str, Any] = {"Bucket": arn}
        if self.storage_class is not None:
            destination["StorageClass"] = self.storage_class
        rule: dict[str, Any] = {
            "ID": rule_id(config.prefix, _KIND),
            "Priority": priority,
            "Status": "Enabled",
            "Filter": {"Prefix": config.prefix},
            "Destination": destination,
            "DeleteMarkerReplication": {"Status": "Enabled" if self.delete_markers else "Disabled"},
        }
        if self.replica_kms_key_id is not None:
            destination["EncryptionConfiguration"] = {"ReplicaKmsKeyID": self.replica_kms_key_id}
            rule["SourceSelectionCriteria"] = {"SseKmsEncryptedObjects": {"Status": "Enabled"}}
        return rule


def enable(config: S3Config, replica: Replica) -> Plan[list[Change]]:
    """Replicate new objects below the prefix. Keep the rules of others."""
    named_bucket(config.bucket)
    replica.rule(config, replica.priority or 0)  # checks the values before anything is sent
    _check_encryption(replica, config.server_side_encryption)
    requests: list[Request[Any]] = [GetSetting(VERSIONING), GetSetting(REPLICATION)]
    if config.server_side_encryption in ("auto", "off"):
        requests.append(Attempted(GetSetting(ENCRYPTION)))
    versioning, before, *encryption = yield from ask_all(requests)
    if (versioning or {}).get("Status") != "Enabled":
        raise InvalidConfigError(
            "S3 replicates only between buckets that keep versions: call enable_versioning() on this bucket, "
            "and see that the destination's is on too."
        )
    for document in encryption:  # the saver leaves the encryption to the bucket
        if not isinstance(document, Failure):
            _, default = default_encryption(document)
            _check_encryption(replica, default.get("SSEAlgorithm", ""))
    ours, others = _rules(before, config)
    _check_others(replica, others, before or {})
    rule = replica.rule(config, _priority(replica, ours, others))
    if normalized(ours) == normalized([rule]) and before["Role"] == replica.role:
        return []
    after = {"Role": replica.role, "Rules": [*others, rule]}
    return (yield from replace_setting(REPLICATION, after, before=before))


def disable(config: S3Config) -> Plan[list[Change]]:
    """Remove the prefix's rule, and the whole setting if no other rule is left."""
    named_bucket(config.bucket)
    before = yield from ask(GetSetting(REPLICATION))
    ours, others = _rules(before, config)
    if not ours:
        return []
    after = {**before, "Rules": others} if others else None
    return (yield from replace_setting(REPLICATION, after, before=before))


def _rules(document: Any, config: S3Config) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Return the prefix's rules, and those of others."""
    rules = (document or {}).get("Rules", ())
    own = rule_id(config.prefix, _KIND)
    ours = [rule for rule in rules if rule.get("ID") == own]
    return ours, [rule for rule in rules if rule.get("ID") != own]


def _check_others(replica: Replica, others: Sequence[Mapping[str, Any]], before: Mapping[str, Any]) -> None:
    """Check that the new rule is compatible with others': all share one role and one schema version."""
    old = [str(rule.get("ID", "?")) for rule in others if "Filter" not in rule]
    if old:
        raise InvalidConfigError(
            f"The bucket has replication rules of S3's first version, which have a Prefix and no Filter "
            f"({', '.join(old)}), and S3 takes no mixture of the two: write those with a Filter, a Priority "
            "and DeleteMarkerReplication first."
        )
    if others and before.get("Role") != replica.role:
        raise InvalidConfigError(
            f"All replication rules of a bucket share one role, and there are others' with the role "
            f"{before.get('Role')}: pass that one, and let it write to the destination too."
        )
    taken = {rule.get("Priority") for rule in others}
    if replica.priority is not None and replica.priority in taken:
        raise InvalidConfigError(
            f"priority={replica.priority} is that of another replication rule: each needs its own."
        )


def _priority(
    replica: Replica, ours: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]
) -> int:
    if replica.priority is not None:
        return replica.priority
    taken = {int(rule.get("Priority", 0)) for rule in others}
    for rule in ours:
        if rule.get("Priority") not in {None, *taken}:
            return int(rule["Priority"])
    return max(taken, default=0) + 1


def _check_encryption(replica: Replica, mode: str) -> None:
    if mode.startswith("aws:kms") and replica.replica_kms_key_id is None:
        raise InvalidConfigError(
            f"The checkpoints are encrypted with {mode}, and S3 doesn't replicate such objects unless it is "
            "told a key for their replicas: pass replica_kms_key_id, a key in the destination's region."
        )
