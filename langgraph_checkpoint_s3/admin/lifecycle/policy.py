"""`LifecyclePolicy`, its conversion to and from S3's lifecycle rules, and the plans that read and write it.

A rule is S3's own document, as botocore has it. Rules of this package have the IDs

    langgraph-checkpoint-s3:{prefix}:{kind}
    langgraph-checkpoint-s3:{prefix}:{kind}:{tag}={value}

with `:+{days}d` appended if days were added to those of the policy. No prefix contains a colon, and a tag is
encoded like a key's component. So different rules have different IDs, and nested prefixes (`a/` and `a/b/`)
are told apart.

A policy has at most four rules, by the filters that S3 allows for their actions:

    delete    prefix and tag         deletion by age, of current and of noncurrent versions
    cache     the node cache alone   deletion by age of its values
    archive   prefix, tag and size   the moves into other storage classes
    cleanup   prefix alone           unfinished uploads and lone delete markers, which have no tags or sizes

The borrowing horizon is added to days of deletion, and of a move to an offline storage class.
`configure_bucket` sets the abort of unfinished uploads in the `cleanup` rule of the policy without a tag.

S3 has no request for one rule: a PUT replaces all of a bucket's rules. So each change here reads all of them
and writes all of them, those of others as they were read.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from langgraph_checkpoint_s3.admin.lifecycle.transitions import (
    CLASSES,
    OFFLINE,
    TIERING,
    check_moves,
    check_transitions,
    in_order,
    move_warnings,
)
from langgraph_checkpoint_s3.admin.setting_changes import (
    Change,
    check_days,
    check_number,
    normalized,
    replace_setting,
)
from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.format.key_encoding import encode_component
from langgraph_checkpoint_s3.memory.shelf import CACHE
from langgraph_checkpoint_s3.plans.plan import Plan, ask
from langgraph_checkpoint_s3.s3.bucket_settings import LIFECYCLE, GetSetting

if TYPE_CHECKING:
    from langgraph_checkpoint_s3.config import S3Config

Rule: TypeAlias = Mapping[str, Any]
"""A lifecycle rule, as botocore has it."""

_OWNER: Final = "langgraph-checkpoint-s3"
_MAX_PART: Final = 96
_EXTRA: Final = re.compile(r":\+([0-9]+)d$")
_DEFAULT_CLASS: Final = "GLACIER_IR"
_NO_DAYS: Final = -1
_DAY: Final = 24 * 3600
_MAX_VERSIONS: Final = 100
_MAX_SIZE: Final = 5 * 1024**4
_CLEANUP: Final = ("cleanup", "abort-uploads")
"""`cleanup`, and the rule that `configure_bucket` once had to itself, which it replaces."""
_CACHE: Final = "cache"
_KINDS: Final = ("delete", "archive", _CACHE, *_CLEANUP)
_DELETION: Final = ("days_until_deletion", "noncurrent_version_days", "newer_noncurrent_versions")
_ABORT: Final = "AbortIncompleteMultipartUpload"
_MEMBERS: Final = {
    "days_until_deletion": ("Expiration", "Days", True),
    "noncurrent_version_days": ("NoncurrentVersionExpiration", "NoncurrentDays", True),
    "newer_noncurrent_versions": ("NoncurrentVersionExpiration", "NewerNoncurrentVersions", False),
    "abort_incomplete_uploads_days": (_ABORT, "DaysAfterInitiation", False),
}
"""Places of a policy's numbers in rules: the action, its member, and whether the horizon is added."""
_MAX_RULES: Final = 1000
"""S3's limit for one bucket
(https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLifecycleConfiguration.html)."""
_DEFAULT_SIZE: Final = "TransitionDefaultMinimumObjectSize"


def rule_id(prefix: str, kind: str, tag: tuple[str, str] | None = None, *, extra_days: int = 0) -> str:
    """Return the ID of a rule. S3 allows 255 characters: long parts are cut, and end in a digest."""
    parts = [_OWNER, _short(prefix), kind]
    if tag is not None:
        parts.append(_short("=".join(encode_component(text, "object_tag") for text in tag)))
    if extra_days:
        parts.append(f"+{extra_days}d")
    return ":".join(parts)


def is_rule_of(prefix: str, kind: str, tag: tuple[str, str] | None = None) -> Callable[[Rule], bool]:
    """Return a test whether a rule is of this prefix, kind and tag, whatever days were added."""
    return lambda rule: extra_days(rule, prefix, kind, tag) is not None


def extra_days(rule: Rule, prefix: str, kind: str, tag: tuple[str, str] | None = None) -> int | None:
    """Return the days that were added to a rule of this prefix, kind and tag; `None` if it isn't one."""
    name, base = str(rule.get("ID", "")), rule_id(prefix, kind, tag)
    if name == base:
        return 0
    match = _EXTRA.fullmatch(name.removeprefix(base)) if name.startswith(base) else None
    return int(match[1]) if match else None


def added_days(rule: Rule) -> int:
    """Return the days that were added to any rule of this package; 0 for other rules."""
    name = str(rule.get("ID", ""))
    match = _EXTRA.search(name) if name.startswith(f"{_OWNER}:") else None
    return int(match[1]) if match else 0


@dataclass(frozen=True, slots=True)
class Reach:
    """The objects that a rule applies to, whether it has a bare prefix, a filter, or an `And` of filters.

    Attributes:
        prefix: Prefix of the keys.
        tags: Tags of the objects.
        above: Size in bytes that they exceed.
        below: Size in bytes that they stay below.
    """

    prefix: str = ""
    tags: frozenset[tuple[str, str]] = frozenset()
    above: int | None = None
    below: int | None = None

    @classmethod
    def of(cls, rule: Rule) -> Reach:
        """Return the reach of a rule."""
        filters = rule.get("Filter") or {}
        parts = {"Prefix": rule.get("Prefix"), **filters, **(filters.get("And") or {})}
        tags = [*parts.get("Tags", ()), *([parts["Tag"]] if parts.get("Tag") else ())]
        return cls(
            parts.get("Prefix") or "",
            frozenset((tag["Key"], tag.get("Value", "")) for tag in tags),
            parts.get("ObjectSizeGreaterThan"),
            parts.get("ObjectSizeLessThan"),
        )

    def filter(self) -> dict[str, Any]:
        """Return the rule's `Filter`, with an `And` around several conditions."""
        parts: dict[str, Any] = {"Prefix": self.prefix} if self.prefix else {}
        if self.tags:
            parts["Tags"] = [{"Key": key, "Value": value} for key, value in sorted(self.tags)]
        if self.above is not None:
            parts["ObjectSizeGreaterThan"] = self.above
        if self.below is not None:
            parts["ObjectSizeLessThan"] = self.below
        if not parts:
            return {"Prefix": ""}
        if len(parts) > 1 or len(self.tags) > 1:
            return {"And": parts}
        return {"Tag": parts["Tags"][0]} if self.tags else parts


def as_read(rule: Rule) -> Rule:
    """Return a rule as it can be written back.

    Ceph shows a filter's prefix beside its `And`, where S3 has it inside. Written back like that, Ceph drops
    the prefix, and the rule would apply to the whole bucket.
    """
    return {**rule, "Filter": Reach.of(rule).filter()} if len(rule.get("Filter") or ()) > 1 else rule


def same(one: Rule, other: Rule) -> bool:
    """Return whether two rules are equivalent, however a store spells them."""
    documents = [normalized({**rule, "Filter": None, "Prefix": None}) for rule in (one, other)]
    return Reach.of(one) == Reach.of(other) and bool(documents[0] == documents[1])


def _short(text: str) -> str:
    if len(text) <= _MAX_PART:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    return f"{text[: _MAX_PART - len(digest) - 1]}~{digest}"


class LifecycleWarning(UserWarning):
    """A lifecycle policy does less, or costs more, than it looks like."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
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
        intelligent_tiering: Move each object to `INTELLIGENT_TIERING` at once, which tiers it by use until it
            is archived or deleted.
        transitions: Further moves: storage classes, each with the age in days, such as
            `{"STANDARD_IA": 30, "GLACIER_IR": 90}`. Together with the two above they must be in S3's order,
            `STANDARD_IA`, `INTELLIGENT_TIERING`, `ONEZONE_IA`, `GLACIER_IR`, `GLACIER`, `DEEP_ARCHIVE`
            (but not from `ONEZONE_IA` to `GLACIER_IR`), 30 days or more after a move to an infrequent-access
            class, and 90 after one to `GLACIER_IR` or `GLACIER`; all of them before the deletion.
        noncurrent_version_days: In a bucket that keeps versions, days after which a deleted or replaced
            version is deleted for good (1 to 36,500; default: never). Delete markers with no version left
            are removed too. The horizon is added, as for deletion.
        newer_noncurrent_versions: Number of deleted or replaced versions of each object that are kept for
            longer than that (1 to 100).
        noncurrent_transitions: Moves of deleted or replaced versions: storage classes, each with the days
            since then, by the same rules.
        abort_incomplete_uploads_days: Days after which a multipart upload that was never completed is
            aborted (1 to 36,500; `None`: never). Its parts are billed until then, and no listing of
            objects shows them. An upload has no tags yet, so this applies to the whole prefix. Without
            `object_tag` it is the same setting as `configure_bucket`'s.
        cache_days: Age in days at which a value of the node cache (`S3Cache`) is deleted (1 to 36,500;
            default: never, or with everything else after `days_until_deletion`). Not together with
            `object_tag`: set it in the prefix's policy without a tag.
        object_tag: A tag's name and value: restricts the rest to objects with this tag, which savers write
            with `object_tags`. A prefix may have a policy for each tag, and one without, which applies to
            tagged objects too. Of several actions on an object, S3 does the one that is due first.
        minimum_object_size: Smallest object to archive or tier, in bytes (1 byte to 5 TB). By default S3
            moves nothing smaller than 128 kB, as most checkpoints are. This replaces that limit
            (https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLifecycleConfiguration.html).
        allow_offline_archive: Consent that archived checkpoints can't be read until
            `S3Admin.restore_archived` has restored them, which takes minutes to days: an agent that
            continues such a thread gets a `CheckpointArchivedError`. Ignored in comparisons.
        include_memories: Consent that the policy also deletes, or archives offline, the items of long-term
            memory (`S3Store`) below the prefix, however often they are read. Ignored in comparisons.

    Policies are equal if they do the same, however their moves are given.

    Raises:
        InvalidConfigError: A value is out of range, or the policy can't work. The message has the reason.
    """

    days_until_deletion: int | None = None
    days_until_archive: int | None = None
    archive_storage_class: str = _DEFAULT_CLASS
    intelligent_tiering: bool = False
    transitions: Mapping[str, int] = field(default_factory=dict)
    noncurrent_version_days: int | None = None
    newer_noncurrent_versions: int | None = None
    noncurrent_transitions: Mapping[str, int] = field(default_factory=dict)
    abort_incomplete_uploads_days: int | None = 7
    cache_days: int | None = None
    object_tag: tuple[str, str] | None = None
    minimum_object_size: int | None = None
    allow_offline_archive: bool = False
    include_memories: bool = False

    def __post_init__(self) -> None:
        for name in ("intelligent_tiering", "allow_offline_archive", "include_memories"):
            if not isinstance(getattr(self, name), bool):
                raise InvalidConfigError(f"{name}={getattr(self, name)!r} must be True or False.")
        days = (
            "days_until_deletion",
            "noncurrent_version_days",
            "abort_incomplete_uploads_days",
            "cache_days",
        )
        for name in days:
            check_days(name, getattr(self, name))
        check_days("days_until_archive", self.days_until_archive, 0)
        check_number("newer_noncurrent_versions", self.newer_noncurrent_versions, 1, _MAX_VERSIONS)
        check_number("minimum_object_size", self.minimum_object_size, 1, _MAX_SIZE)
        check_tag(self.object_tag)
        for name in ("transitions", "noncurrent_transitions"):
            object.__setattr__(self, name, check_transitions(name, getattr(self, name)))
        self._check_moves()
        if self.newer_noncurrent_versions is not None and self.noncurrent_version_days is None:
            raise InvalidConfigError(
                "newer_noncurrent_versions says which versions stay for longer than noncurrent_version_days: "
                "set that too."
            )
        if self.cache_days is not None and self.object_tag is not None:
            raise InvalidConfigError(
                "cache_days is for all values of the node cache, and object_tag for some objects only: set "
                "cache_days in the policy without a tag."
            )
        others = self.abort_incomplete_uploads_days or self.cache_days
        if not (self._moves_any or self._deletes or others):
            raise InvalidConfigError(
                "A lifecycle policy that does nothing: set one of its days, or remove the policy with "
                "remove_lifecycle_policy()."
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LifecyclePolicy):
            return NotImplemented
        return self._effect == other._effect

    def __hash__(self) -> int:
        return hash(self._effect)

    @property
    def moves(self) -> dict[str, int]:
        """All moves of current objects: storage classes in S3's order, each with the age in days."""
        found = list(self.transitions.items())
        if self.intelligent_tiering:
            found.append((TIERING, 0))
        if self.days_until_archive is not None:
            found.append((self.archive_storage_class, self.days_until_archive))
        return in_order(found)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about this policy, which `set_lifecycle_policy` gives."""
        size = self.minimum_object_size
        current = move_warnings(self.moves, self.days_until_deletion, size)
        noncurrent = move_warnings(self.noncurrent_transitions, self.noncurrent_version_days, size)
        return tuple(dict.fromkeys([*current, *noncurrent]))

    @property
    def _effect(self) -> tuple[object, ...]:
        """Effect of the policy, for comparisons."""
        return (
            tuple(self.moves.items()),
            tuple(self.noncurrent_transitions.items()),
            *(getattr(self, name) for name in _MEMBERS),
            self.cache_days,
            self.object_tag,
            self.minimum_object_size,
        )

    @property
    def _moves_any(self) -> bool:
        return bool(self.moves or self.noncurrent_transitions)

    @property
    def _deletes(self) -> bool:
        return self.days_until_deletion is not None or self.noncurrent_version_days is not None

    def _check_moves(self) -> None:
        target, days = self.archive_storage_class, self.days_until_archive
        if target not in CLASSES or target == TIERING:
            raise InvalidConfigError(
                f"archive_storage_class={target!r} is none of "
                f"{', '.join(name for name in CLASSES if name != TIERING)}. "
                "For INTELLIGENT_TIERING, set intelligent_tiering=True."
            )
        if days is None and target != _DEFAULT_CLASS:
            raise InvalidConfigError(
                f"archive_storage_class={target!r} needs days_until_archive: when to move."
            )
        moves = self.moves
        names = {name: f"transitions[{name!r}]" for name in self.transitions}
        for name, move, moved in (
            ("days_until_archive", target, days is not None),
            ("intelligent_tiering", TIERING, self.intelligent_tiering),
        ):
            if moved and move in names:
                raise InvalidConfigError(
                    f"{name} and {names[move]} are both moves to {move}: S3 takes one for each class."
                )
            if moved:
                names[move] = name
        offline = OFFLINE & {target, *moves, *self.noncurrent_transitions}
        if offline and not self.allow_offline_archive:
            raise InvalidConfigError(
                f"{min(offline)} is offline: a checkpoint in it can't be read until it is restored, which "
                "takes minutes to days, so no agent can go on with an archived thread. GLACIER_IR reads at "
                "once. If offline is what you want, say allow_offline_archive=True."
            )
        if self.minimum_object_size is not None and not self._moves_any:
            raise InvalidConfigError(
                "minimum_object_size is of what is archived or tiered; deletion knows no size. Set "
                "days_until_archive, intelligent_tiering or transitions too."
            )
        check_moves(moves, self.days_until_deletion, names, "days_until_deletion")
        old = self.noncurrent_transitions
        names = {name: f"noncurrent_transitions[{name!r}]" for name in old}
        check_moves(old, self.noncurrent_version_days, names, "noncurrent_version_days")


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


def horizon_of(config: S3Config) -> float:
    """Return for how long others may borrow from an object, in seconds: 0 where nothing borrows."""
    return config.borrow_horizon if config.borrow else 0.0


def horizon_days(seconds: float) -> int:
    """Return the borrowing horizon in whole days, rounded up."""
    return math.ceil(seconds / _DAY)


def rules_of(policy: LifecyclePolicy, prefix: str, horizon: int) -> list[Rule]:
    """Return the rules of a policy. The borrowing horizon is in days."""
    tag = policy.object_tag
    tags = frozenset([tag] if tag else ())
    above = None if policy.minimum_object_size is None else policy.minimum_object_size - 1
    moves, noncurrent = policy.moves, policy.noncurrent_transitions
    later = horizon if OFFLINE & {*moves, *noncurrent} else 0
    deletion = _numbers(policy, _DELETION, horizon)
    archive = {
        **_transitions("Transitions", "Days", moves, later),
        **_transitions("NoncurrentVersionTransitions", "NoncurrentDays", noncurrent, later),
    }
    cached = {"Expiration": {"Days": policy.cache_days}} if policy.cache_days else {}
    markers = policy.noncurrent_version_days is not None
    cleanup = _cleanup(markers=markers, abort_days=policy.abort_incomplete_uploads_days)
    rules = [
        (rule_id(prefix, "delete", tag, extra_days=horizon), Reach(prefix, tags), deletion),
        (rule_id(prefix, "archive", tag, extra_days=later), Reach(prefix, tags, above), archive),
        (rule_id(prefix, _CACHE), Reach(prefix + CACHE), cached),
        (rule_id(prefix, "cleanup", tag), Reach(prefix), cleanup),
    ]
    return [new_rule(name, reach, actions) for name, reach, actions in rules if actions]


def new_rule(name: str, reach: Reach, actions: Mapping[str, Any]) -> Rule:
    """Return an enabled rule."""
    return {"ID": name, "Status": "Enabled", "Filter": reach.filter(), **actions}


def is_rule_of_policy(
    prefix: str, tag: tuple[str, str] | None, kinds: Sequence[str] = _KINDS
) -> Callable[[Rule], bool]:
    """Return a test whether a rule is one of these kinds of the policy of this prefix and tag."""
    tests = [is_rule_of(prefix, kind, tag) for kind in kinds]
    return lambda rule: any(test(rule) for test in tests)


def policy_of(rules: Iterable[Rule], prefix: str, tag: tuple[str, str] | None) -> LifecyclePolicy | None:
    """Return the policy that a bucket's enabled rules make up, or `None`."""
    found: dict[str, Any] = {}
    for rule in rules:
        for kind in _KINDS:
            extra = extra_days(rule, prefix, kind, tag)
            if extra is None or rule.get("Status") != "Enabled":
                continue
            if kind == _CACHE:
                found["cache_days"] = (rule.get("Expiration") or {}).get("Days", _NO_DAYS)
            else:
                found |= _settings_of(rule, extra)
    if not found:
        return None
    settings = {"abort_incomplete_uploads_days": None, **found, "object_tag": tag}
    targets = {settings.get("archive_storage_class")}
    targets |= {*settings.get("transitions", ()), *settings.get("noncurrent_transitions", ())}
    try:
        return LifecyclePolicy(**settings, allow_offline_archive=bool(OFFLINE & targets))
    except InvalidConfigError as error:
        raise InvalidConfigError(
            f"The bucket's rules {rule_id(prefix, '…', tag)} were changed by somebody else, into what is no "
            f"policy: {error.reason} set_lifecycle_policy() and remove_lifecycle_policy() replace them."
        ) from error


def _numbers(policy: LifecyclePolicy, names: Iterable[str], extra: int) -> dict[str, Any]:
    """Return the actions for some of a policy's numbers. `extra` days are added for the horizon."""
    actions: dict[str, Any] = {}
    for name in names:
        value = getattr(policy, name)
        if value is not None:
            action, member, counts_horizon = _MEMBERS[name]
            actions.setdefault(action, {})[member] = value + (extra if counts_horizon else 0)
    return actions


def _cleanup(*, markers: bool, abort_days: int | None) -> dict[str, Any]:
    actions: dict[str, Any] = {"Expiration": {"ExpiredObjectDeleteMarker": True}} if markers else {}
    if abort_days is not None:
        actions[_ABORT] = {"DaysAfterInitiation": abort_days}
    return actions


def _settings_of(rule: Rule, extra: int) -> dict[str, Any]:
    """Return the attributes of a policy that one of its rules sets."""
    found: dict[str, Any] = {}
    for name, (action, member, counts_horizon) in _MEMBERS.items():
        if (value := (rule.get(action) or {}).get(member)) is not None:
            found[name] = value - (extra if counts_horizon else 0)
    moves = _moves_of(rule, "Transitions", "Days", extra)
    noncurrent = _moves_of(rule, "NoncurrentVersionTransitions", "NoncurrentDays", extra)
    if moves.get(TIERING) == 0:
        del moves[TIERING]
        found["intelligent_tiering"] = True
    if len(moves) == 1 and TIERING not in moves:
        [(found["archive_storage_class"], found["days_until_archive"])] = moves.items()
    elif moves:
        found["transitions"] = moves
    if noncurrent:
        found["noncurrent_transitions"] = noncurrent
    if rule.get("Transitions") or noncurrent:
        above = Reach.of(rule).above
        if above is not None:
            found["minimum_object_size"] = above + 1
    return found


def _transitions(action: str, member: str, moves: Mapping[str, int], later: int) -> dict[str, Any]:
    """Return the action of a rule that moves objects. Moves into offline classes come some days later."""
    steps = [
        {member: days + (later if target in OFFLINE else 0), "StorageClass": target}
        for target, days in moves.items()
    ]
    return {action: steps} if steps else {}


def _moves_of(rule: Rule, action: str, member: str, extra: int) -> dict[str, int]:
    """Return the moves of a rule, without the days that were added to those into offline classes."""
    return {
        # A date, which no policy has, becomes a number of days that none may have.
        step["StorageClass"]: step.get(member, _NO_DAYS) - (extra if step["StorageClass"] in OFFLINE else 0)
        for step in rule.get(action) or ()
    }


def merge_rules(
    is_ours: Callable[[Rule], bool], rules: Sequence[Rule] | Callable[[Sequence[Rule]], Sequence[Rule]]
) -> Plan[list[Change]]:
    """Replace this package's rules, and keep all others. Write nothing if they are the same.

    Without new rules, remove the old ones, and the configuration if nothing is left in it.

    Args:
        is_ours: Returns whether a rule is to be replaced. It is true for all of `rules`.
        rules: The new rules, or a function that returns them, given the old ones.
    """
    before = yield from ask(GetSetting(LIFECYCLE))
    current: list[Rule] = list((before or {}).get("Rules", ()))
    ours = [rule for rule in current if is_ours(rule)]
    new = rules(ours) if callable(rules) else rules
    if len(ours) == len(new) and all(any(same(old, rule) for old in ours) for rule in new):
        return []
    after = [*(as_read(rule) for rule in current if not is_ours(rule)), *new]
    if len(after) > _MAX_RULES:
        raise InvalidConfigError(
            f"The bucket would have {len(after)} lifecycle rules, and S3 takes {_MAX_RULES}. Remove rules "
            "that aren't needed, or put some of the savers into another bucket."
        )
    # A member of the whole configuration, not of a rule. A PUT without it resets it.
    more = {_DEFAULT_SIZE: before[_DEFAULT_SIZE]} if before and before.get(_DEFAULT_SIZE) else {}
    document, old = ({"Rules": each} if each else None for each in (after, current))
    return (yield from replace_setting(LIFECYCLE, document, before=old, more=more))


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

    def cleanup(ours: Sequence[Rule]) -> Sequence[Rule]:
        if days is None and not any(rule.get(_ABORT) for rule in ours):
            return ours
        enabled = [rule.get("Expiration") or {} for rule in ours if rule.get("Status") == "Enabled"]
        markers = any(expiration.get("ExpiredObjectDeleteMarker") for expiration in enabled)
        actions = _cleanup(markers=markers, abort_days=days)
        return [new_rule(rule_id(prefix, "cleanup"), Reach(prefix), actions)] if actions else []

    return (yield from merge_rules(is_rule_of_policy(prefix, None, _CLEANUP), cleanup))
