"""What a `LifecyclePolicy` is, and how it becomes lifecycle rules of S3 and back. Pure.

A policy has at most three rules, by what they may be narrowed to:

    delete    prefix and tag         deletion by age, of current and of noncurrent versions
    archive   prefix, tag and size   the move into another storage class
    cleanup   prefix alone           unfinished uploads and lone delete markers, which have no tags or sizes

Days of deletion, and those of a move to where nothing can be read, have the borrowing horizon added; the
rule's name says how many days that was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from langgraph_checkpoint_s3.admin.lifecycle.rules import Reach, Rule, extra_days, is_rule_of, rule_id
from langgraph_checkpoint_s3.errors import InvalidConfigError

OFFLINE: Final = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""The storage classes whose objects can't be read before they are restored."""

_CLASSES: Final = {"STANDARD_IA": 30, "ONEZONE_IA": 30, "GLACIER_IR": 90, "GLACIER": 90, "DEEP_ARCHIVE": 180}
"""The storage classes to archive into, and for how many days each is billed at least
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-class-intro.html#sc-compare)."""
_LEAST_IA_DAYS: Final = 30
_TIERING: Final = "INTELLIGENT_TIERING"
_SMALL: Final = 128 * 1024
_DAY: Final = 24 * 3600
_MOST_DAYS: Final = 36_500
_MOST_VERSIONS: Final = 100
_LARGEST: Final = 5 * 1024**4
_KINDS: Final = ("delete", "archive", "cleanup")


class LifecycleWarning(UserWarning):
    """A lifecycle policy does less, or costs more, than it looks like."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LifecyclePolicy:
    """What becomes of checkpoints as they age. Checked when it is made.

    S3 counts days from when an object was written, and acts at the next midnight UTC or later
    (https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html).

    Attributes:
        days_until_deletion: Deletes each object that was written this long ago (1 to 36,500 days;
            default: never). It stays as much longer as others may borrow from it (`borrow_horizon`).
            In a bucket that keeps versions this leaves a delete marker; there it is
            `noncurrent_version_days` that frees the space.
        days_until_archive: Moves each object that was written this long ago into
            `archive_storage_class` (0 to 36,500 days; default: never).
        archive_storage_class: `GLACIER_IR`, which is read as quickly as ever, `STANDARD_IA`,
            `ONEZONE_IA`, or, with `allow_offline_archive`, `GLACIER` or `DEEP_ARCHIVE`. To those two
            objects move as much later as others may borrow from them.
        intelligent_tiering: Moves each object to `INTELLIGENT_TIERING` at once, which goes by its use.
        noncurrent_version_days: In a bucket that keeps versions, deletes for good what was deleted or
            replaced this long ago (1 to 36,500 days; default: never), and delete markers behind which
            nothing is left. The horizon is added, as for deletion.
        newer_noncurrent_versions: Of each object, keeps so many deleted or replaced versions for longer
            than that (1 to 100).
        abort_incomplete_uploads_days: Aborts multipart uploads that were begun this long ago and never
            completed (1 to 36,500 days; `None`: never). Their parts are billed until then, and no listing
            of objects shows them. An upload has no tags yet, so this is for the whole prefix.
        object_tag: Narrows the rest to objects with this tag, a name and a value: those of savers that
            have it in their `object_tags`. A prefix takes a policy for each tag, and one without; but that
            one acts on tagged objects too, and what is due first is done.
        minimum_object_size: The least size in bytes of what is archived or tiered (1 byte to 5 TiB). By
            default S3 moves nothing that is smaller than 128 kB, as most checkpoints are. A size set
            here, larger or smaller, takes the place of that
            (https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLifecycleConfiguration.html).
        allow_offline_archive: Agrees that archived checkpoints can't be read until
            `S3Admin.restore_archived` has brought them back, which takes minutes to days: an agent that
            goes on with such a thread gets a `CheckpointArchivedError`. It is consent, and no part of
            what a policy is: it doesn't count in a comparison.

    Raises:
        InvalidConfigError: A value is out of range, or the policy can't do what it says. The message has
            the reason.
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
            _check_number(name, getattr(self, name), 1, _MOST_DAYS)
        _check_number("days_until_archive", self.days_until_archive, 0, _MOST_DAYS)
        _check_number("newer_noncurrent_versions", self.newer_noncurrent_versions, 1, _MOST_VERSIONS)
        _check_number("minimum_object_size", self.minimum_object_size, 1, _LARGEST)
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
        """What to know of this policy before it is set. `set_lifecycle_policy` warns of it."""
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
        if target in ("STANDARD_IA", "ONEZONE_IA") and days < _LEAST_IA_DAYS:
            raise InvalidConfigError(
                f"days_until_archive={days}: S3 moves nothing to {target} in its first {_LEAST_IA_DAYS} days."
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
    """Check a tag that narrows a policy.

    Raises:
        InvalidConfigError: It isn't a name and a value as S3 takes them.
    """
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
    """The borrowing horizon in S3's whole days."""
    return math.ceil(seconds / _DAY)


def rules_of(policy: LifecyclePolicy, prefix: str, horizon: int) -> list[Rule]:
    """The rules that a policy is.

    Args:
        policy: The policy.
        prefix: The saver's prefix.
        horizon: By how many days an object may be older than what borrows from it.
    """
    tag = policy.object_tag
    tags = frozenset([tag] if tag else ())
    size = policy.minimum_object_size
    later = horizon if policy.archive_storage_class in OFFLINE else 0
    made = [
        ("delete", Reach(prefix, tags), horizon, _deletion(policy, horizon)),
        ("archive", Reach(prefix, tags, None if size is None else size - 1), later, _move(policy, later)),
        ("cleanup", Reach(prefix), 0, _cleanup(policy)),
    ]
    return [
        {
            "ID": rule_id(prefix, kind, tag, extra_days=extra),
            "Status": "Enabled",
            "Filter": reach.filter(),
            **actions,
        }
        for kind, reach, extra, actions in made
        if actions
    ]


def is_rule_of_policy(prefix: str, tag: tuple[str, str] | None) -> Callable[[Rule], bool]:
    """Tells whether a rule is of the policy of this prefix and tag."""
    ours = [is_rule_of(prefix, kind, tag) for kind in _KINDS]
    return lambda rule: any(is_ours(rule) for is_ours in ours)


def policy_of(rules: Iterable[Rule], prefix: str, tag: tuple[str, str] | None) -> LifecyclePolicy | None:
    """The policy that a bucket's rules are, or `None`. Rules that are switched off don't count.

    Raises:
        InvalidConfigError: Somebody changed our rules into what is no policy.
    """
    found: dict[str, Any] = {}
    for rule in rules:
        for kind in _KINDS:
            extra = extra_days(rule, prefix, kind, tag)
            if extra is not None and rule.get("Status") == "Enabled":
                found |= _settings(rule, extra)
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
        actions["NoncurrentVersionExpiration"] = {"NoncurrentDays": policy.noncurrent_version_days + extra}
        if policy.newer_noncurrent_versions is not None:
            actions["NoncurrentVersionExpiration"]["NewerNoncurrentVersions"] = (
                policy.newer_noncurrent_versions
            )
    return actions


def _move(policy: LifecyclePolicy, extra: int) -> dict[str, Any]:
    if policy.intelligent_tiering:
        return {"Transitions": [{"Days": 0, "StorageClass": _TIERING}]}
    if policy.days_until_archive is None:
        return {}
    days = policy.days_until_archive + extra
    return {"Transitions": [{"Days": days, "StorageClass": policy.archive_storage_class}]}


def _cleanup(policy: LifecyclePolicy) -> dict[str, Any]:
    actions: dict[str, Any] = {}
    if policy.noncurrent_version_days is not None:
        actions["Expiration"] = {"ExpiredObjectDeleteMarker": True}
    if policy.abort_incomplete_uploads_days is not None:
        days = policy.abort_incomplete_uploads_days
        actions["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": days}
    return actions


def _settings(rule: Rule, extra: int) -> dict[str, Any]:
    """What a rule of ours says in a policy's words."""
    said: dict[str, Any] = {}
    if (days := (rule.get("Expiration") or {}).get("Days")) is not None:
        said["days_until_deletion"] = days - extra
    noncurrent = rule.get("NoncurrentVersionExpiration") or {}
    if (days := noncurrent.get("NoncurrentDays")) is not None:
        said["noncurrent_version_days"] = days - extra
    if (newer := noncurrent.get("NewerNoncurrentVersions")) is not None:
        said["newer_noncurrent_versions"] = newer
    for step in rule.get("Transitions") or ():
        if step["StorageClass"] == _TIERING:
            said["intelligent_tiering"] = True
        else:
            said["days_until_archive"] = step.get("Days", 0) - extra
            said["archive_storage_class"] = step["StorageClass"]
        if (above := Reach.of(rule).above) is not None:
            said["minimum_object_size"] = above + 1
    if (days := (rule.get("AbortIncompleteMultipartUpload") or {}).get("DaysAfterInitiation")) is not None:
        said["abort_incomplete_uploads_days"] = days
    return said


def _check_number(name: str, value: object, least: int, most: int) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidConfigError(f"{name}={value!r} must be a whole number.")
    if not least <= value <= most:
        raise InvalidConfigError(f"{name}={value} must be from {least:,} to {most:,}.")
