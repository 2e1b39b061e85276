"""`LifecyclePolicy`, and its conversion to and from S3's lifecycle rules.

A policy has at most three rules, by the filters that S3 allows for their actions:

    delete    prefix and tag         deletion by age, of current and of noncurrent versions
    archive   prefix, tag and size   the move into another storage class
    cleanup   prefix alone           unfinished uploads and lone delete markers, which have no tags or sizes

The borrowing horizon is added to days of deletion, and of a move to an offline storage class. The rule's ID
has the number of days that were added. `configure_bucket` sets the abort of unfinished uploads in the same
`cleanup` rule that a policy without a tag has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from langgraph_checkpoint_s3.admin.lifecycle.rules import Reach, Rule, extra_days, is_rule_of, rule_id
from langgraph_checkpoint_s3.admin.setting_changes import check_days, check_number
from langgraph_checkpoint_s3.errors import InvalidConfigError

OFFLINE: Final = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Storage classes whose objects can't be read before they are restored."""

_CLASSES: Final = {"STANDARD_IA": 30, "ONEZONE_IA": 30, "GLACIER_IR": 90, "GLACIER": 90, "DEEP_ARCHIVE": 180}
"""Storage classes to archive into, each with the minimum number of days that S3 bills
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-class-intro.html#sc-compare)."""
_MIN_IA_DAYS: Final = 30
_TIERING: Final = "INTELLIGENT_TIERING"
_SMALL: Final = 128 * 1024
_DAY: Final = 24 * 3600
_MAX_VERSIONS: Final = 100
_MAX_SIZE: Final = 5 * 1024**4
_KINDS: Final = ("delete", "archive", "cleanup")
_OLD_KIND: Final = "abort-uploads"
"""A rule that `configure_bucket` once had to itself; `cleanup` replaces it."""


class LifecycleWarning(UserWarning):
    """A lifecycle policy does less, or costs more, than it looks like."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LifecyclePolicy:
    """Deletion and archiving of checkpoints by age.

    S3 counts days from when an object was written, and acts at the next midnight UTC or later
    (https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html).

    Attributes:
        days_until_deletion: Age in days at which an object is deleted (1 to 36,500; default: never). The
            time in which others may borrow from it (`borrow_horizon`) is added. In a bucket that keeps
            versions this leaves a delete marker; `noncurrent_version_days` frees the space there.
        days_until_archive: Age in days at which an object moves to `archive_storage_class` (0 to 36,500;
            default: never).
        archive_storage_class: `GLACIER_IR`, which is read as quickly as before, `STANDARD_IA`,
            `ONEZONE_IA`, or, with `allow_offline_archive`, `GLACIER` or `DEEP_ARCHIVE`. For the last two
            the horizon is added, as for deletion.
        intelligent_tiering: Move each object to `INTELLIGENT_TIERING` at once, which tiers it by use.
        noncurrent_version_days: In a bucket that keeps versions, days after which a deleted or replaced
            version is deleted for good (1 to 36,500; default: never). Delete markers with no version left
            are removed too. The horizon is added, as for deletion.
        newer_noncurrent_versions: Number of deleted or replaced versions of each object that are kept for
            longer than that (1 to 100).
        abort_incomplete_uploads_days: Days after which a multipart upload that was never completed is
            aborted (1 to 36,500; `None`: never). Its parts are billed until then, and no listing of
            objects shows them. An upload has no tags yet, so this applies to the whole prefix. Without
            `object_tag` it is the same setting as `configure_bucket`'s.
        object_tag: A tag's name and value: restricts the rest to objects with this tag, which savers write
            with `object_tags`. A prefix may have a policy for each tag, and one without, which applies to
            tagged objects too. Of several actions on an object, S3 does the one that is due first.
        minimum_object_size: Smallest object to archive or tier, in bytes (1 byte to 5 TiB). By default S3
            moves nothing smaller than 128 kB, as most checkpoints are. This replaces that limit
            (https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLifecycleConfiguration.html).
        allow_offline_archive: Consent that archived checkpoints can't be read until
            `S3Admin.restore_archived` has restored them, which takes minutes to days: an agent that
            continues such a thread gets a `CheckpointArchivedError`. Ignored in comparisons.

    Raises:
        InvalidConfigError: A value is out of range, or the policy can't work. The message has the reason.
    """

    days_until_deletion: int | None = None
    days_until_archive: int | None = None
    archive_storage_class: str = "GLACIER_IR"
    intelligent_tiering: bool = False
    noncurrent_version_days: int | None = None
    newer_noncurrent_versions: int | None = None
    abort_incomplete_uploads_days: int | None = 7
    object_tag: tuple[str, str] | None = None
    minimum_object_size: int | None = None
    allow_offline_archive: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("intelligent_tiering", "allow_offline_archive"):
            if not isinstance(getattr(self, name), bool):
                raise InvalidConfigError(f"{name}={getattr(self, name)!r} must be True or False.")
        for name in ("days_until_deletion", "noncurrent_version_days", "abort_incomplete_uploads_days"):
            check_days(name, getattr(self, name))
        check_days("days_until_archive", self.days_until_archive, 0)
        check_number("newer_noncurrent_versions", self.newer_noncurrent_versions, 1, _MAX_VERSIONS)
        check_number("minimum_object_size", self.minimum_object_size, 1, _MAX_SIZE)
        check_tag(self.object_tag)
        self._check_moves()
        if self.newer_noncurrent_versions is not None and self.noncurrent_version_days is None:
            raise InvalidConfigError(
                "newer_noncurrent_versions says which versions stay for longer than noncurrent_version_days: "
                "set that too."
            )
        if not (self._moves or self._deletes or self.abort_incomplete_uploads_days):
            raise InvalidConfigError(
                "A lifecycle policy that does nothing: set one of its days, or remove the policy with "
                "remove_lifecycle_policy()."
            )

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about this policy, which `set_lifecycle_policy` gives."""
        return tuple(self._warnings())

    @property
    def _moves(self) -> bool:
        return self.intelligent_tiering or self.days_until_archive is not None

    @property
    def _deletes(self) -> bool:
        return self.days_until_deletion is not None or self.noncurrent_version_days is not None

    @property
    def _target(self) -> str:
        return _TIERING if self.intelligent_tiering else self.archive_storage_class

    def _check_moves(self) -> None:
        target, days = self.archive_storage_class, self.days_until_archive
        if target not in _CLASSES:
            raise InvalidConfigError(
                f"archive_storage_class={target!r} is none of {', '.join(_CLASSES)}. "
                "For INTELLIGENT_TIERING, set intelligent_tiering=True."
            )
        if days is None and target != "GLACIER_IR":
            raise InvalidConfigError(
                f"archive_storage_class={target!r} needs days_until_archive: when to move."
            )
        if target in OFFLINE and not self.allow_offline_archive:
            raise InvalidConfigError(
                f"{target} is offline: a checkpoint in it can't be read until it is restored, which takes "
                "minutes to days, so no agent can go on with an archived thread. GLACIER_IR reads at once. "
                "If offline is what you want, say allow_offline_archive=True."
            )
        if days is None:
            if self.minimum_object_size is not None and not self.intelligent_tiering:
                raise InvalidConfigError(
                    "minimum_object_size is of what is archived or tiered; deletion knows no size. Set "
                    "days_until_archive or intelligent_tiering too."
                )
            return
        if self.intelligent_tiering:
            raise InvalidConfigError(
                "intelligent_tiering moves objects by their use, days_until_archive by their age: choose one."
            )
        if target in ("STANDARD_IA", "ONEZONE_IA") and days < _MIN_IA_DAYS:
            raise InvalidConfigError(
                f"days_until_archive={days}: S3 moves nothing to {target} in its first {_MIN_IA_DAYS} days."
            )
        if self.days_until_deletion is not None and days >= self.days_until_deletion:
            raise InvalidConfigError(
                f"days_until_archive={days} isn't before days_until_deletion={self.days_until_deletion}: "
                "nothing would be left to archive."
            )

    def _warnings(self) -> Iterable[str]:
        if not self._moves:
            return
        size, target = self.minimum_object_size, self._target
        if size is None:
            yield (
                f"S3 moves no object of less than 128 kB to {target}, and most checkpoints are smaller, so "
                "this may move little or nothing. minimum_object_size=… says from which size on objects move."
            )
        elif size < _SMALL:
            price = "bills each object as at least 128 kB"
            if target in OFFLINE:
                price = "bills each object as 40 kB more than it has"
            elif target == _TIERING:
                price = "bills objects of less than 128 kB as if they were used all the time"
            yield (
                f"minimum_object_size={size}: {target} {price}, and each move costs a request, so moving "
                "small objects may cost more than it saves."
            )
        if self.days_until_archive is not None and self.days_until_deletion is not None:
            days, least = self.days_until_deletion - self.days_until_archive, _CLASSES[target]
            if days < least:
                yield f"{target} is billed for {least} days at least, and objects are in it for {days} only."


def check_tag(tag: object) -> None:
    """Raise `InvalidConfigError` unless a tag is `None`, or a name and a value that S3 allows."""
    if tag is None:
        return
    if not isinstance(tag, tuple) or len(tag) != 2 or not all(isinstance(text, str) for text in tag):
        raise InvalidConfigError(f"object_tag={tag!r} must be a tuple of a tag's name and value.")
    if not 1 <= len(tag[0]) <= 128 or len(tag[1]) > 256 or tag[0].startswith("aws:"):
        raise InvalidConfigError(
            f"object_tag={tag!r}: a tag's name has 1 to 128 characters and doesn't begin with aws:, and its "
            "value has at most 256."
        )


def horizon_days(seconds: float) -> int:
    """Return the borrowing horizon in whole days, rounded up."""
    return math.ceil(seconds / _DAY)


def rules_of(policy: LifecyclePolicy, prefix: str, horizon: int) -> list[Rule]:
    """Return the rules of a policy. The borrowing horizon is in days."""
    tag = policy.object_tag
    tags = frozenset([tag] if tag else ())
    size = policy.minimum_object_size
    later = horizon if policy.archive_storage_class in OFFLINE else 0
    above = None if size is None else size - 1
    markers = policy.noncurrent_version_days is not None
    rules = [
        (rule_id(prefix, "delete", tag, extra_days=horizon), Reach(prefix, tags), _deletion(policy, horizon)),
        (rule_id(prefix, "archive", tag, extra_days=later), Reach(prefix, tags, above), _move(policy, later)),
        (
            rule_id(prefix, "cleanup", tag),
            Reach(prefix),
            _cleanup(markers=markers, abort_days=policy.abort_incomplete_uploads_days),
        ),
    ]
    return [_rule(name, reach, actions) for name, reach, actions in rules if actions]


def is_cleanup_of(prefix: str) -> Callable[[Rule], bool]:
    """Return a test whether a rule is the clean-up of a prefix's policy without a tag."""
    is_cleanup, is_old = is_rule_of(prefix, "cleanup"), is_rule_of(prefix, _OLD_KIND)
    return lambda rule: is_cleanup(rule) or is_old(rule)


def cleanup_rules(rules: Iterable[Rule], prefix: str, abort_days: int | None) -> list[Rule]:
    """Return the clean-up rule of the policy without a tag, with new days until uploads are aborted."""
    ours = [rule for rule in rules if is_cleanup_of(prefix)(rule)]
    if abort_days is None and not any(rule.get("AbortIncompleteMultipartUpload") for rule in ours):
        return ours
    enabled = [rule.get("Expiration") or {} for rule in ours if rule.get("Status") == "Enabled"]
    markers = any(expiration.get("ExpiredObjectDeleteMarker") for expiration in enabled)
    actions = _cleanup(markers=markers, abort_days=abort_days)
    return [_rule(rule_id(prefix, "cleanup"), Reach(prefix), actions)] if actions else []


def _rule(name: str, reach: Reach, actions: dict[str, Any]) -> Rule:
    return {"ID": name, "Status": "Enabled", "Filter": reach.filter(), **actions}


def is_rule_of_policy(prefix: str, tag: tuple[str, str] | None) -> Callable[[Rule], bool]:
    """Return a test whether a rule is part of the policy of this prefix and tag."""
    tests = [is_rule_of(prefix, kind, tag) for kind in _kinds(tag)]
    return lambda rule: any(test(rule) for test in tests)


def _kinds(tag: tuple[str, str] | None) -> Sequence[str]:
    return _KINDS if tag else (*_KINDS, _OLD_KIND)


def policy_of(rules: Iterable[Rule], prefix: str, tag: tuple[str, str] | None) -> LifecyclePolicy | None:
    """Return the policy that a bucket's enabled rules make up, or `None`."""
    found: dict[str, Any] = {}
    for rule in rules:
        for kind in _kinds(tag):
            extra = extra_days(rule, prefix, kind, tag)
            if extra is not None and rule.get("Status") == "Enabled":
                found |= _settings_of(rule, extra)
    if not found:
        return None
    settings = {"abort_incomplete_uploads_days": None, **found, "object_tag": tag}
    offline = settings.get("archive_storage_class") in OFFLINE
    try:
        return LifecyclePolicy(**settings, allow_offline_archive=offline)
    except InvalidConfigError as error:
        raise InvalidConfigError(
            f"The bucket's rules {rule_id(prefix, '…', tag)} were changed by somebody else, into what is no "
            f"policy: {error.reason} set_lifecycle_policy() and remove_lifecycle_policy() replace them."
        ) from error


def _deletion(policy: LifecyclePolicy, extra: int) -> dict[str, Any]:
    actions: dict[str, Any] = {}
    if policy.days_until_deletion is not None:
        actions["Expiration"] = {"Days": policy.days_until_deletion + extra}
    if policy.noncurrent_version_days is not None:
        expiration = {"NoncurrentDays": policy.noncurrent_version_days + extra}
        if policy.newer_noncurrent_versions is not None:
            expiration["NewerNoncurrentVersions"] = policy.newer_noncurrent_versions
        actions["NoncurrentVersionExpiration"] = expiration
    return actions


def _move(policy: LifecyclePolicy, extra: int) -> dict[str, Any]:
    if policy.intelligent_tiering:
        return {"Transitions": [{"Days": 0, "StorageClass": _TIERING}]}
    if policy.days_until_archive is None:
        return {}
    days = policy.days_until_archive + extra
    return {"Transitions": [{"Days": days, "StorageClass": policy.archive_storage_class}]}


def _cleanup(*, markers: bool, abort_days: int | None) -> dict[str, Any]:
    actions: dict[str, Any] = {}
    if markers:
        actions["Expiration"] = {"ExpiredObjectDeleteMarker": True}
    if abort_days is not None:
        actions["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": abort_days}
    return actions


def _settings_of(rule: Rule, extra: int) -> dict[str, Any]:
    """Return the attributes of a policy that one of its rules sets."""
    found: dict[str, Any] = {}
    if (days := (rule.get("Expiration") or {}).get("Days")) is not None:
        found["days_until_deletion"] = days - extra
    noncurrent = rule.get("NoncurrentVersionExpiration") or {}
    if (days := noncurrent.get("NoncurrentDays")) is not None:
        found["noncurrent_version_days"] = days - extra
    if (newer := noncurrent.get("NewerNoncurrentVersions")) is not None:
        found["newer_noncurrent_versions"] = newer
    for step in rule.get("Transitions") or ():
        if step["StorageClass"] == _TIERING:
            found["intelligent_tiering"] = True
        else:
            found["days_until_archive"] = step.get("Days", 0) - extra
            found["archive_storage_class"] = step["StorageClass"]
        if (above := Reach.of(rule).above) is not None:
            found["minimum_object_size"] = above + 1
    if (days := (rule.get("AbortIncompleteMultipartUpload") or {}).get("DaysAfterInitiation")) is not None:
        found["abort_incomplete_uploads_days"] = days
    return found
