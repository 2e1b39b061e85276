"""The plan of `migrate`: moves threads of another saver side by side, each from its oldest checkpoint on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

from langgraph_checkpoint_s3.admin.bulk.batches import Item, NoteError, attempts, put_items, settle
from langgraph_checkpoint_s3.admin.calls import Progress, call, next_item, report
from langgraph_checkpoint_s3.admin.migration.compare import difference
from langgraph_checkpoint_s3.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    ConflictError,
    CorruptObjectError,
    InvalidConfigError,
    NotSupportedError,
    S3CheckpointError,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.format.ids import optional_id, required_id, thread_name
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.gather import put_gathered
from langgraph_checkpoint_s3.plans.get_tuple import find_folder
from langgraph_checkpoint_s3.plans.load import Loaded, load
from langgraph_checkpoint_s3.plans.parent_cache import ParentCache
from langgraph_checkpoint_s3.plans.place import Place
from langgraph_checkpoint_s3.plans.plan import Plan, gather
from langgraph_checkpoint_s3.plans.scan import Folder, Scan

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import DeltaChannelHistory

MOST: Final = 1_000_000
"""The limit for listings. Without one, some savers (Redis) silently stop at 10,000."""

Note: TypeAlias = Callable[[str, str, str], None]
"""Called with the thread, namespace and id of each checkpoint."""
_KEPT_FAILURES: Final = 100
_NAMED_FAILURES: Final = 3
_FATAL: Final = (AccessDeniedError, BucketNotFoundError, NotSupportedError, StorageUnavailableError)
"""Errors that concern more than one checkpoint, and end the migration. It can be resumed."""
_Remaining: TypeAlias = list[tuple[Place, bool]]
"""A thread's checkpoints still to move, the oldest last, and whether the target had each before."""


class SourceSaver:
    """A saver that is read from.

    A listing is read to its end before the next request, since some savers hold a lock meanwhile.

    Args:
        saver: The saver. The async driver uses its coroutines if it has them, and otherwise its blocking
            methods, in a thread.
    """

    def __init__(self, saver: BaseCheckpointSaver[Any]) -> None:
        self._saver = saver
        self._blocking = False

    def read_ids(self, config: RunnableConfig | None, note: Note) -> Plan[None]:
        """List checkpoints.

        Args:
            config: The thread or namespace; `None` is all.
            note: Called for each checkpoint.
        """
        yield from call(partial(self._list, config, note), partial(self._alist, config, note))

    def read(self, config: RunnableConfig) -> Plan[CheckpointTuple | None]:
        """Read a checkpoint."""
        return (yield from call(partial(self._saver.get_tuple, config), partial(self._aget, config)))

    def read_history(
        self, config: RunnableConfig, channels: Sequence[str]
    ) -> Plan[Mapping[str, DeltaChannelHistory]]:
        """Read what a checkpoint's delta channels are rebuilt from."""
        block = partial(self._saver.get_delta_channel_history, config=config, channels=channels)
        return (yield from call(block, partial(self._ahistory, config, channels)))

    def _list(self, config: RunnableConfig | None, note: Note) -> None:
        count = 0
        for found in self._saver.list(config, limit=MOST):
            note(*_place(found))
            count += 1
        _check(count)

    async def _alist(self, config: RunnableConfig | None, note: Note) -> None:
        count = 0
        if not self._blocking:
            try:
                async for found in self._saver.alist(config, limit=MOST):
                    note(*_place(found))
                    count += 1
            except NotImplementedError:
                if count:
                    raise
                self._blocking = True
        if self._blocking:
            await asyncio.to_thread(self._list, config, note)
        _check(count)

    async def _aget(self, config: RunnableConfig) -> CheckpointTuple | None:
        if self._blocking:
            return await asyncio.to_thread(self._saver.get_tuple, config)
        return await self._saver.aget_tuple(config)

    async def _ahistory(
        self, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        if self._blocking:
            block = partial(self._saver.get_delta_channel_history, config=config, channels=channels)
            return await asyncio.to_thread(block)
        return await self._saver.aget_delta_channel_history(config=config, channels=channels)


def _place(found: CheckpointTuple) -> tuple[str, str, str]:
    configurable: dict[str, Any] = found.config["configurable"]
    return (
        thread_name(configurable["thread_id"]),
        optional_id(configurable.get("checkpoint_ns"), "checkpoint_ns") or "",
        required_id(configurable["checkpoint_id"]),
    )


def _check(count: int) -> None:
    if count >= MOST:
        raise InvalidConfigError(
            f"The source lists {MOST:,} checkpoints or more at once, too many to be sure that none is left "
            "out; pass thread_ids, a part of them at a time."
        )


@dataclass(frozen=True, slots=True)
class MigrationFailure:
    """A checkpoint that wasn't moved, or differs in the target.

    Attributes:
        thread_id: Its thread.
        checkpoint_ns: Its namespace.
        checkpoint_id: Its id.
        error: What is wrong.
    """

    thread_id: str
    checkpoint_ns: str
    checkpoint_id: str
    error: Exception


@dataclass(frozen=True, slots=True)
class Migrated:
    """The outcome of a migration.

    Attributes:
        threads: How many threads of the source have checkpoints.
        checkpoints: How many checkpoints were put.
        skipped: How many were in the target already (and equal, if they were verified).
        failed: How many weren't moved, or differ from the source's.
        failures: The first 100 of those.
    """

    threads: int
    checkpoints: int
    skipped: int
    failed: int
    failures: tuple[MigrationFailure, ...]


class MigrationError(S3CheckpointError):
    """Error of a migration that moved only some checkpoints, or whose copies differ. All others are there.

    Attributes:
        migrated: The outcome, with the failures.
    """

    kind = "migration"

    def __init__(self, reason: str, *, migrated: Migrated | None = None) -> None:
        super().__init__(reason, bucket="")
        self.migrated = migrated


@dataclass(slots=True)
class Migrator:
    """One migration. Its arguments are those of `migrate`, and the target saver's parts."""

    context: Context
    source: SourceSaver
    clock: Callable[[], int]
    verify: bool
    progress: Progress | None
    note_error: NoteError
    total: int | None = None
    threads: int = 0
    checkpoints: int = 0
    skipped: int = 0
    failures: list[MigrationFailure] = field(default_factory=list)
    failed: int = 0
    listed: dict[str, set[Place]] = field(default_factory=dict)

    def migrate(self, queue: Iterator[str] | None, concurrency: int) -> Plan[Migrated]:
        """Move the threads in a queue, or all that the source lists, some side by side."""
        namespaces: dict[str, set[str]] = {}
        if queue is None:
            namespaces = yield from self._all_threads()
            queue = iter(namespaces)
        active: list[_Remaining] = []
        while True:
            active += yield from self._start(queue, namespaces, concurrency - len(active))
            if not active:
                break
            yield from self._move([remaining.pop() for remaining in active])
            yield from self._report()
            active = [remaining for remaining in active if remaining]
            moving = {remaining[0][0].thread_id for remaining in active}
            self.listed = {name: places for name, places in self.listed.items() if name in moving}
        failures = tuple(self.failures)
        migrated = Migrated(self.threads, self.checkpoints, self.skipped, self.failed, failures)
        if self.failed:
            raise MigrationError(_summary(migrated), migrated=migrated)
        return migrated

    def _report(self) -> Plan[None]:
        done = self.checkpoints + self.skipped + self.failed
        yield from report(self.progress, done, self.total)

    def _fail(self, place: Place, error: Exception) -> None:
        """Record a failure, or raise the error if it concerns more than this checkpoint."""
        if isinstance(error, _FATAL):
            raise error
        self.failed += 1
        if len(self.failures) < _KEPT_FAILURES:
            ids = place.thread_id, place.checkpoint_ns, place.checkpoint_id or ""
            self.failures.append(MigrationFailure(*ids, error))

    def _all_threads(self) -> Plan[dict[str, set[str]]]:
        """Return the source's threads with their namespaces, and count its checkpoints."""
        namespaces: dict[str, set[str]] = {}
        count = 0

        def note(thread_id: str, ns: str, _: str) -> None:
            nonlocal count
            namespaces.setdefault(thread_id, set()).add(ns)
            count += 1

        remedy = "Pass thread_ids: which threads to move."
        try:
            yield from self.source.read_ids(None, note)
        except Exception as error:
            raise InvalidConfigError(
                f"The source can't list all of its threads ({error!r:.300}). {remedy}", bucket=""
            ) from error
        if not count:
            raise InvalidConfigError(
                f"The source shows no checkpoint when it is asked for all: it is empty, or it lists only "
                f"threads that it is asked for. {remedy}",
                bucket="",
            )
        self.total = count
        return namespaces

    def _start(
        self, queue: Iterator[str], namespaces: Mapping[str, set[str]], wanted: int
    ) -> Plan[list[_Remaining]]:
        """Take threads from the queue until `wanted` of them have something to move."""
        layout = self.context.layout
        started: list[_Remaining] = []
        while len(started) < wanted:
            fresh: list[list[Place]] = []
            while len(started) + len(fresh) < wanted:
                thread_id = yield from next_item(queue)
                if thread_id is None:
                    break
                found = yield from self._list(thread_id, namespaces.get(thread_id, set()))
                if found:
                    fresh.append(found)
            if not fresh:
                break
            self.threads += len(fresh)
            presents = yield from gather(_present(self.context, places[0].thread_id) for places in fresh)
            for places, present in zip(fresh, presents, strict=True):
                self.listed[places[0].thread_id] = set(places)
                remaining = [(place, place.folder(layout) in present) for place in places]
                if not self.verify:
                    remaining = [(place, there) for place, there in remaining if not there]
                    self.skipped += len(places) - len(remaining)
                if remaining:
                    started.append(remaining)
            yield from self._report()
        return started

    def _list(self, thread_id: str, namespaces: set[str]) -> Plan[list[Place]]:
        """List a thread's checkpoints in the source, the newest first.

        Known namespaces are listed by name, too: some savers list only the root one otherwise.
        """
        found: set[tuple[str, str]] = set()

        def note(_: str, ns: str, checkpoint_id: str) -> None:
            found.add((checkpoint_id, ns))

        yield from self.source.read_ids({"configurable": {"thread_id": thread_id}}, note)
        for ns in sorted(namespaces - {ns for _, ns in found}):
            named: RunnableConfig = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ns}}
            yield from self.source.read_ids(named, note)
        return [Place(thread_id, ns, checkpoint_id) for checkpoint_id, ns in sorted(found, reverse=True)]

    def _move(self, places: Sequence[tuple[Place, bool]]) -> Plan[None]:
        """Move one checkpoint of each of several threads."""
        old: list[Item] = []
        new: list[Item] = []
        for place, present in places:
            found = yield from self.source.read(place.config())
            if found is None:
                self._fail(
                    place, ConflictError("The source has this checkpoint no more: was it deleted meanwhile?")
                )
                continue
            [item] = attempts(Item.of, [found._replace(config=place.config())])
            if isinstance(item, Exception):
                self._fail(place, item)
            else:
                (old if present else new).append(item)
        for item in new:
            yield from self._gather(item)
        put: list[Item] = []
        outcomes = yield from put_items(self.context, new, self.clock, self.note_error)
        for item, outcome in zip(new, outcomes, strict=True):
            if isinstance(outcome, Exception):
                self._fail(item.place, outcome)
            else:
                put.append(item)
        items = [*old, *put]
        answers: Sequence[str | Exception | None] = [None] * len(items)
        if self.verify:
            # The parent cache is empty, so that everything compared comes from the store.
            fresh = self.context._replace(parent_cache=ParentCache.none(), borrow=False)
            answers = yield from settle([_compare(fresh, item) for item in items], self.note_error)
        for number, (item, answer) in enumerate(zip(items, answers, strict=True)):
            present = number < len(old)
            if isinstance(answer, Exception):
                self._fail(item.place, answer)
            elif answer is not None:
                self._fail(item.place, _mismatch(answer, present=present))
            elif present:
                self.skipped += 1
            else:
                self.checkpoints += 1

    def _gather(self, item: Item) -> Plan[None]:
        """Put what a checkpoint's delta channels are rebuilt from, if the source has pruned its ancestors."""
        parent = item.parent
        if parent is None or item.place.with_id(parent) in self.listed[item.place.thread_id]:
            return
        checkpoint, metadata = item.found.checkpoint, item.found.metadata or {}
        counted = metadata.get("counters_since_delta_snapshot") or {}
        names = (counted.keys() & checkpoint["channel_versions"].keys()) - checkpoint["channel_values"].keys()
        if names:
            found = yield from self.source.read_history(item.place.config(), sorted(names))
            yield from put_gathered(self.context, item.place, parent, found, self.clock())


def _present(context: Context, thread_id: str) -> Plan[set[str]]:
    """Return the folders of the checkpoints in the target. Each was put after its writes: it is complete."""
    scan = Scan(context.layout, context.layout.thread(thread_id))
    present: set[str] = set()
    while not scan.done:
        folders = yield from scan.more()
        present |= {f"{each.path}/" for each in folders if each.checkpoints}
    return present


def _compare(context: Context, item: Item) -> Plan[str | None]:
    """Read a checkpoint back from the store, and return how it differs from the source's."""
    folder = yield from find_folder(context, item.place)
    [loaded] = (yield from load(context, [_uncached(folder)])) if folder else [None]
    if not isinstance(loaded, Loaded):
        return "it isn't there"
    return difference(item, loaded.tuple(context.serde))


def _uncached(folder: Folder) -> Folder:
    """Return a folder whose objects aren't answered by the cache, which knows them by their ETags."""
    folder.checkpoints = [replace(entry, etag="") for entry in folder.checkpoints]
    folder.writes = [replace(entry, etag="") for entry in folder.writes]
    return folder


def _mismatch(what: str, *, present: bool) -> S3CheckpointError:
    if present:
        return ConflictError(
            f"The target has this checkpoint already, and it differs from the source's: {what}. It was left "
            "as it is. If the thread went on in the target since it was moved, that is no harm"
        )
    return CorruptObjectError(
        f"The checkpoint was written, and reads back other than the source has it: {what}. The saver's "
        "serializer may not keep such a value"
    )


def _summary(migrated: Migrated) -> str:
    named = "; ".join(
        f"{each.checkpoint_id} of thread {each.thread_id!r}"
        + (f", namespace {each.checkpoint_ns!r}" if each.checkpoint_ns else "")
        + f": {each.error}"
        for each in migrated.failures[:_NAMED_FAILURES]
    )
    rest = migrated.failed - _NAMED_FAILURES
    more = f"; and {rest:,} more, see `migrated.failures`" if rest > 0 else ""
    return (
        f"{migrated.failed:,} checkpoints weren't moved, or aren't as the source has them; "
        f"{migrated.checkpoints:,} were moved and {migrated.skipped:,} there before. {named}{more}"
    )
