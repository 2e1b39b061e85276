"""`RetentionPolicy`: which checkpoints of a thread to keep, for the API and the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.format.ids import time_of_id
from langgraph_checkpoint_s3.format.keys import Layout
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.list_checkpoints import has_metadata
from langgraph_checkpoint_s3.plans.load import error_context, load_heads
from langgraph_checkpoint_s3.plans.place import Place
from langgraph_checkpoint_s3.plans.plan import Plan, batched
from langgraph_checkpoint_s3.plans.scan import Folder, latest

_AN_HOUR: Final = timedelta(hours=1)
_A_DAY: Final = timedelta(days=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_AT_ONCE: Final = 256


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """Rules for the checkpoints of each namespace to keep: those that any of them names. The others go.

    The latest checkpoint of a namespace always stays, and so does what kept ones are rebuilt from.

        RetentionPolicy(last=10, first=1, sources=["update", "fork"])
        RetentionPolicy(last=1, hourly=timedelta(days=1), daily=timedelta(days=30))

    A checkpoint's time is the one in its id, as LangGraph makes ids (UUIDs of version 6, or 7), by the
    writer's clock. It stays the same when an object is copied, imported or rewritten. For other ids it is
    S3's `LastModified` of the checkpoint's object.

    Attributes:
        last: Keep this many of the newest.
        first: Keep this many of the oldest.
        within: Keep those that aren't older than this.
        hourly: Keep the last one of each hour (in UTC), of those that aren't older than this.
        daily: Keep the last one of each day (in UTC), of those that aren't older than this.
        sources: Keep those with one of these sources, by their metadata: `input`, `loop`, `update` or `fork`.
        metadata: Keep those whose metadata has all of these values, as `list(filter=…)` compares them. Unless
            keys tell (`source`, `step`, `run_id`), the head of each checkpoint that would go is read.

    Raises:
        InvalidConfigError: There is no rule, or a value is of the wrong type or out of range.
    """

    last: int | None = None
    first: int | None = None
    within: timedelta | None = None
    hourly: timedelta | None = None
    daily: timedelta | None = None
    sources: Sequence[str] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("last", "first"):
            _check_count(name, getattr(self, name))
        for name in ("within", "hourly", "daily"):
            _check_time(name, getattr(self, name))
        sources: Any = self.sources
        if isinstance(sources, (str, bytes)) or not isinstance(sources, Iterable):
            raise InvalidConfigError(f"sources must be a list of names, [{sources!r}], not {sources!r}.")
        object.__setattr__(self, "sources", tuple(sources))
        each: Any
        for each in self.sources:
            if not isinstance(each, str) or not each:
                raise InvalidConfigError(f"sources must be names such as 'update', and {each!r} isn't one.")
        metadata: Any = self.metadata
        if not isinstance(metadata, Mapping) or not all(isinstance(name, str) for name in metadata):
            raise InvalidConfigError(
                f"metadata must be names with values, such as {{'tag': 'gold'}}, not {metadata!r}."
            )
        object.__setattr__(self, "metadata", dict(metadata))
        if not any(getattr(self, each.name) for each in fields(self)):
            raise InvalidConfigError(
                "A retention policy needs a rule, or all but the latest checkpoints would go. To have that, "
                "say RetentionPolicy(last=1)."
            )


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """A policy as a rule for pruning, which decides by keys and the listing.

    Attributes:
        policy: The policy.
        layout: The saver's keys.
        clock: The store's time, which is known once the store has answered.
        matched: The checkpoints that have the policy's metadata, if their heads were read.
    """

    policy: RetentionPolicy
    layout: Layout
    clock: Callable[[], datetime]
    matched: AbstractSet[Place] = frozenset()

    def __call__(self, folders: Sequence[Folder]) -> list[Folder]:
        """Return the checkpoints to keep."""
        now, namespaces = self.clock(), _namespaces(folders)
        kept = {folder.path: folder for folder in latest(folders)}
        for checkpoints in namespaces:
            for folder in self._kept(checkpoints, now):
                kept[folder.path] = folder
        return list(kept.values())

    def read(self, context: Context, listed: Sequence[Folder]) -> Plan[PolicyRule]:
        """Return the rule for a thread, with the checkpoints that have the policy's metadata.

        Their heads are read, unless keys tell enough or they stay anyway.

        Args:
            context: The saver's.
            listed: The folders of the thread.
        """
        wanted, layout = self.policy.metadata, self.layout
        if not wanted:
            return self
        kept = {folder.path for folder in self(listed)}
        indexed, tags = layout.index_filter(wanted), layout.index_tags(wanted)
        possible = [
            folder
            for folder in listed
            if folder.checkpoints
            and folder.path not in kept
            and (folder.leaf is None or folder.leaf.may_match(indexed, tags))
        ]
        matched: set[Place] = set()
        for some in batched(possible, _AT_ONCE):
            for folder, record in zip(some, (yield from load_heads(context, some)), strict=True):
                if record is None:  # it was deleted meanwhile
                    continue
                with error_context(folder.key):
                    if has_metadata(record.metadata(context.serde), wanted):
                        matched.add(folder.place)
        return replace(self, matched=matched)

    def _kept(self, checkpoints: Sequence[Folder], now: datetime) -> Iterable[Folder]:
        """Return those of a namespace that the rules name. They are sorted, the newest first."""
        policy = self.policy
        if policy.last:
            yield from checkpoints[: policy.last]
        if policy.first:
            yield from checkpoints[-policy.first :]
        sources = {
            source
            for each in policy.sources
            for source in (each, self.layout.index_filter({"source": each}).get("source"))
        }
        for folder in checkpoints if sources else ():
            if any(leaf.source in sources for leaf in folder.leaves):
                yield folder
        for folder in checkpoints if self.matched else ():
            if folder.place in self.matched:
                yield folder
        if not (policy.within or policy.hourly or policy.daily):
            return
        times = [(time_of(folder), folder) for folder in checkpoints]
        for time, folder in times:
            if policy.within and time >= _ago(now, policy.within):
                yield folder
        for span, every in ((policy.hourly, _AN_HOUR), (policy.daily, _A_DAY)):
            newest: dict[int, tuple[datetime, Folder]] = {}
            for time, folder in times if span else ():
                if span and time >= _ago(now, span):
                    number = (time - _EPOCH) // every
                    if number not in newest or time > newest[number][0]:
                        newest[number] = (time, folder)
            yield from (folder for _, folder in newest.values())


def time_of(folder: Folder) -> datetime:
    """Return the time of a checkpoint: that in its id, or else when its object was written."""
    written = max(entry.modified for entry in folder.checkpoints)
    return time_of_id(folder.checkpoint_id) or written


def _namespaces(folders: Iterable[Folder]) -> list[list[Folder]]:
    """Return the checkpoints of each namespace, the newest first."""
    namespaces: dict[str, list[Folder]] = {}
    for folder in folders:
        if folder.checkpoints:
            namespaces.setdefault(folder.namespace, []).append(folder)
    return [
        sorted(each, key=lambda folder: folder.checkpoint_id, reverse=True) for each in namespaces.values()
    ]


def _ago(now: datetime, span: timedelta) -> datetime:
    try:
        return now - span
    except OverflowError:  # before the year 1
        return datetime.min.replace(tzinfo=timezone.utc)


def _check_count(name: str, value: object) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise InvalidConfigError(f"{name} must be a whole number of at least 1, not {value!r}.")


def _check_time(name: str, value: object) -> None:
    if value is not None and (not isinstance(value, timedelta) or value <= timedelta(0)):
        raise InvalidConfigError(
            f"{name} must be a timedelta of more than nothing, such as timedelta(days=1), not {value!r}."
        )


def keep_rule(keep: object, layout: Layout, clock: Callable[[], datetime]) -> PolicyRule:
    """Return the rule of a policy, or of a number of checkpoints to keep.

    Raises:
        InvalidConfigError: It is neither.
    """
    if isinstance(keep, RetentionPolicy):
        return PolicyRule(keep, layout, clock)
    if isinstance(keep, bool) or not isinstance(keep, int) or keep < 1:
        raise InvalidConfigError(
            f"keep must be a whole number of at least 1, or a RetentionPolicy, not {keep!r}."
        )
    return PolicyRule(RetentionPolicy(last=keep), layout, clock)
