"""`migrate`: threads of another saver, each from its oldest checkpoint on, several threads side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from langgraph_checkpoint_s3.admin.bulk.batches import check_concurrency
from langgraph_checkpoint_s3.admin.bulk.items import Item, put_items
from langgraph_checkpoint_s3.admin.jobs import Job, attempts, read_ids, read_tuple, run, settle
from langgraph_checkpoint_s3.admin.migration.compare import difference
from langgraph_checkpoint_s3.admin.progress import Progress
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
from langgraph_checkpoint_s3.format.ids import unique_thread_ids
from langgraph_checkpoint_s3.format.keys import Layout
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.get_tuple import find_folder
from langgraph_checkpoint_s3.plans.load import Loaded, load
from langgraph_checkpoint_s3.plans.parent_cache import ParentCache
from langgraph_checkpoint_s3.plans.place import Place
from langgraph_checkpoint_s3.plans.plan import Plan, gather
from langgraph_checkpoint_s3.plans.scan import Folder, Scan

_TOLD: Final = 100
"""So many failures are kept; of the others, only how many there are."""
_NAMED: Final = 3
_FATAL: Final = (AccessDeniedError, BucketNotFoundError, NotSupportedError, StorageUnavailableError)
"""What isn't about one checkpoint, and ends all: doing it again goes on."""


@dataclass(frozen=True, slots=True)
class MigrationFailure:
    """A checkpoint that wasn't moved, or isn't in the target as the source has it.

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
    """What a migration did.

    Attributes:
        threads: How many threads the source showed checkpoints of.
        checkpoints: How many checkpoints were put.
        skipped: How many were in the target already (and equal, if they were verified).
        failed: How many weren't moved, or aren't as the source has them.
        failures: The first 100 of those.
    """

    threads: int
    checkpoints: int
    skipped: int
    failed: int
    failures: tuple[MigrationFailure, ...]


class MigrationError(S3CheckpointError):
    """Some checkpoints weren't moved, or aren't in the target as the source has them; all others are.

    Attributes:
        migrated: What was done, and what failed.
    """

    kind = "migration"

    def __init__(self, reason: str, *, migrated: Migrated | None = None) -> None:
        super().__init__(reason)
        self.migrated = migrated


@dataclass(slots=True)
class _Tally:
    """What was done so far."""

    progress: Progress
    total: int | None = None
    threads: int = 0
    checkpoints: int = 0
    skipped: int = 0
    failed: int = 0
    failures: list[MigrationFailure] = field(default_factory=list)

    def fail(self, address: Place, error: Exception) -> None:
        """Note a failure.

        Raises:
            S3CheckpointError: It isn't about this checkpoint alone.
        """
        if isinstance(error, _FATAL):
            raise error
        self.failed += 1
        if len(self.failures) < _TOLD:
            place = address.thread_id, address.checkpoint_ns, address.checkpoint_id or ""
            self.failures.append(MigrationFailure(*place, error))

    def tell(self) -> None:
        """Tell the user how far it is."""
        self.progress(self.checkpoints + self.skipped + self.failed, self.total)

    def result(self) -> Migrated:
        """All of it."""
        return Migrated(self.threads, self.checkpoints, self.skipped, self.failed, tuple(self.failures))


@dataclass(slots=True)
class _Thread:
    """A thread on its way: which of its checkpoints are still to be moved, and which were there before.

    Those still to be moved are ids with their namespaces, in order, the oldest last. Those that were there
    are their folders, since keys may have but hashes of names.
    """

    thread_id: str
    todo: list[tuple[str, str]] = field(default_factory=list)
    present: set[str] = field(default_factory=set)

    def next(self, layout: Layout) -> tuple[Place, bool]:
        """The oldest checkpoint that is left, and whether it was there before."""
        checkpoint_id, ns = self.todo.pop()
        folder = layout.checkpoint(self.thread_id, ns, checkpoint_id)
        return Place(self.thread_id, ns, checkpoint_id), folder in self.present


def migrate(
    context: Context,
    thread_ids: Iterable[str] | None,
    clock: Callable[[], int],
    *,
    verify: bool,
    concurrency: int,
    progress: Progress,
) -> Job[Migrated]:
    """Move threads.

    Raises:
        MigrationError: Some checkpoints failed; the others were moved.
        InvalidConfigError: The source can't list its threads.
    """
    check_concurrency(concurrency)
    queue = None if thread_ids is None else unique_thread_ids(thread_ids)
    tally = _Tally(progress)
    known: dict[str, set[str]] = {}
    if queue is None:
        known, tally.total = yield from _all_threads()
        queue = iter(known)
    active: list[_Thread] = []
    while True:
        active += yield from _start(context, queue, known, concurrency - len(active), tally, verify=verify)
        if not active:
            break
        places = [thread.next(context.layout) for thread in active]
        yield from _move(context, places, clock, tally, verify=verify)
        tally.tell()
        active = [thread for thread in active if thread.todo]
    if tally.failed:
        raise MigrationError(_told(tally), migrated=tally.result())
    return tally.result()


def _all_threads() -> Job[tuple[dict[str, set[str]], int]]:
    """The source's threads with their namespaces, and how many checkpoints there are."""
    namespaces: dict[str, set[str]] = {}
    count = 0

    def note(thread_id: str, ns: str, _: str) -> None:
        nonlocal count
        namespaces.setdefault(thread_id, set()).add(ns)
        count += 1

    remedy = "Pass thread_ids: which threads to move."
    try:
        yield from read_ids(None, note)
    except Exception as error:
        raise InvalidConfigError(
            f"The source can't list all of its threads ({error!r:.300}). {remedy}"
        ) from error
    if not count:
        raise InvalidConfigError(
            f"The source shows no checkpoint when it is asked for all: it is empty, or it lists only threads "
            f"that it is asked for. {remedy}"
        )
    return namespaces, count


def _start(
    context: Context,
    queue: Iterator[str],
    known: dict[str, set[str]],
    wanted: int,
    tally: _Tally,
    *,
    verify: bool,
) -> Job[list[_Thread]]:
    """The next threads that have something to move."""
    started: list[_Thread] = []
    while len(started) < wanted:
        fresh: list[_Thread] = []
        for thread_id in queue:
            thread = _Thread(thread_id)
            yield from _list(thread, known.get(thread_id, set()))
            if thread.todo:
                fresh.append(thread)
            if len(started) + len(fresh) == wanted:
                break
        if not fresh:
            break
        tally.threads += len(fresh)
        presents = yield from run(gather([_present(context, thread.thread_id) for thread in fresh]))
        for thread, present in zip(fresh, presents, strict=True):
            thread.present = present
            if not verify:
                count = len(thread.todo)
                where = thread.thread_id
                thread.todo = [
                    (checkpoint_id, ns)
                    for checkpoint_id, ns in thread.todo
                    if context.layout.checkpoint(where, ns, checkpoint_id) not in present
                ]
                tally.skipped += count - len(thread.todo)
        tally.tell()
        started += [thread for thread in fresh if thread.todo]
    return started


def _list(thread: _Thread, namespaces: set[str]) -> Job[None]:
    """List a thread's checkpoints in the source, newest first.

    Args:
        thread: The thread.
        namespaces: Those that are known of: some savers list but the root one unless another is named.
    """
    found: set[tuple[str, str]] = set()

    def note(_: str, ns: str, checkpoint_id: str) -> None:
        found.add((checkpoint_id, ns))

    yield from read_ids({"configurable": {"thread_id": thread.thread_id}}, note)
    for ns in sorted(namespaces - {ns for _, ns in found}):
        yield from read_ids({"configurable": {"thread_id": thread.thread_id, "checkpoint_ns": ns}}, note)
    thread.todo = sorted(found, reverse=True)


def _present(context: Context, thread_id: str) -> Plan[set[str]]:
    """The folders of the checkpoints that the target has. Each was put after its writes: it is complete."""
    scan = Scan(context.layout, context.layout.thread(thread_id))
    present: set[str] = set()
    while not scan.done:
        folders = yield from scan.more()
        present |= {f"{each.path}/" for each in folders if each.checkpoints}
    return present


def _move(
    context: Context,
    places: Sequence[tuple[Place, bool]],
    clock: Callable[[], int],
    tally: _Tally,
    *,
    verify: bool,
) -> Job[None]:
    """Move one checkpoint of each of several threads."""
    old: list[Item] = []
    new: list[Item] = []
    for address, present in places:
        found = yield from read_tuple(address.config())
        if found is None:
            tally.fail(
                address, ConflictError("The source has this checkpoint no more: was it deleted meanwhile?")
            )
            continue
        [item] = attempts(Item.of, [found._replace(config=address.config())])
        if isinstance(item, Exception):
            tally.fail(address, item)
        else:
            (old if present else new).append(item)
    put: list[Item] = []
    for item, outcome in zip(new, (yield from put_items(context, new, clock)), strict=True):
        if isinstance(outcome, Exception):
            tally.fail(item.address, outcome)
        else:
            put.append(item)
    items = [*old, *put]
    answers: Sequence[str | Exception | None] = [None] * len(items)
    if verify:
        fresh = replace(context, parent_cache=ParentCache.none(), borrow=False)
        answers = yield from settle([_compare(fresh, item) for item in items])
    for number, (item, answer) in enumerate(zip(items, answers, strict=True)):
        present = number < len(old)
        if isinstance(answer, Exception):
            tally.fail(item.address, answer)
        elif answer is not None:
            tally.fail(item.address, _mismatch(answer, present=present))
        elif present:
            tally.skipped += 1
        else:
            tally.checkpoints += 1


def _compare(fresh: Context, item: Item) -> Plan[str | None]:
    """Read a checkpoint back, from the store, and say how it differs from the source's.

    Args:
        fresh: The saver's context, with a memory of nothing.
        item: The source's.
    """
    folder = yield from find_folder(fresh, item.address)
    [loaded] = (yield from load(fresh, [_uncached(folder)])) if folder else [None]
    if not isinstance(loaded, Loaded):
        return "it isn't there"
    return difference(item, loaded.tuple(fresh.serde))


def _uncached(folder: Folder) -> Folder:
    """A folder whose objects the cache can't answer for: it knows no object without an ETag."""
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


def _told(tally: _Tally) -> str:
    named = "; ".join(
        f"{each.checkpoint_id} of thread {each.thread_id!r}"
        + (f", namespace {each.checkpoint_ns!r}" if each.checkpoint_ns else "")
        + f": {each.error}"
        for each in tally.failures[:_NAMED]
    )
    more = f"; and {tally.failed - _NAMED:,} more, see `migrated.failures`" if tally.failed > _NAMED else ""
    return (
        f"{tally.failed:,} checkpoints weren't moved, or aren't as the source has them; "
        f"{tally.checkpoints:,} were moved and {tally.skipped:,} there before. {named}{more}"
    )
