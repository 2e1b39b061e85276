"""`delete_thread`, `delete_for_runs` and `prune`.

Objects that may lend get tombstones before they are deleted, and checkpoints that stay and borrow from them
are rewritten whole (`tombstones.py`, `materialize.py`).

The order of deletion matters if it is interrupted. Checkpoints go before writes, and the newest first, so
that between two requests whatever is left is complete and can be rebuilt. One DeleteObjects request isn't
atomic: if it fails, S3 may have deleted any part of it, and the error says how much.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, TypeVar

from langgraph_checkpoint_s3.errors import AccessDeniedError, InvalidConfigError, StorageUnavailableError
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.materialize import (
    materialize_borrowers,
    unacknowledged,
    without_checkpoints,
)
from langgraph_checkpoint_s3.plans.plan import Plan, ask, ask_all, batched, gather
from langgraph_checkpoint_s3.plans.retention import is_pinned, may_be_pinned
from langgraph_checkpoint_s3.plans.scan import Folder, Scan, latest, list_thread
from langgraph_checkpoint_s3.plans.tombstones import add_tombstones, lenders_among
from langgraph_checkpoint_s3.s3.requests import DeleteObjects, Deletion, HeadObject, Request, Stored

if TYPE_CHECKING:
    from langgraph_checkpoint_s3.plans.gather import Gathering

T = TypeVar("T")

_ROUNDS: Final = 8
_BATCH: Final = 1000
"""The maximum number of keys in one DeleteObjects request."""
THREADS_AT_ONCE: Final = 64
"""Threads that are pruned side by side. They share the wait after their tombstones are written."""
_GONE: Final = frozenset({"NoSuchKey", "NoSuchVersion"})
_CHANGED: Final = frozenset({"PreconditionFailed"})
"""Error codes of some stores for deleting what doesn't exist. S3 reports success."""

KeepRule: TypeAlias = "Callable[[Sequence[Folder]], Iterable[Folder] | None]"
"""Returns the folders of a thread to keep. `None` deletes the thread, with its writes without checkpoints."""


def delete_thread(context: Context, thread_id: str) -> Plan[None]:
    """Delete a thread: one LIST and one DeleteObjects per 1,000 keys. A long one's LISTs go side by side.

    If anything in it may lend, tombstones cost a GET, a PUT and another LIST. There is no wait, as nothing
    stays: a put that is under way and borrows from the thread fails, or readers skip its checkpoint.
    """
    thread = context.layout.thread(thread_id)
    folders = yield from list_thread(context.layout, thread)
    yield from delete_listed(context, thread, folders)


def delete_listed(
    context: Context,
    thread: str,
    folders: Sequence[Folder],
    goes: Callable[[Sequence[Folder]], bool] | None = None,
) -> Plan[list[Folder]]:
    """Delete all folders of a thread, and those that appear before their tombstones are written.

    If there are retention classes, the mark of a pinned thread goes last: a GET more, and a deletion.

    Args:
        context: The saver's.
        thread: The thread's folder.
        folders: Its checkpoints' folders, as just listed.
        goes: Returns, from the last listing, whether the thread still is to be deleted.

    Returns:
        The deleted folders.
    """
    named: set[str] = set()
    look = may_be_pinned(context, folders)
    for _ in range(_ROUNDS):
        new = [entry for entry in lenders_among(folders) if entry.key not in named]
        if not new:
            break
        yield from add_tombstones(context, thread, new, "thread")
        named |= {entry.key for entry in new}
        folders = yield from list_thread(context.layout, thread)
    if goes is not None and not goes(folders):
        return []
    # A run may write on all the time. What has no tombstone yet must stay, since others may borrow from it.
    unnamed = {entry.key for entry in lenders_among(folders)} - named
    victims = without_checkpoints(folders, unnamed)
    yield from _delete_folders(context, victims)
    # Without looking, each deletion would leave a delete marker in a bucket with versions.
    if look and (yield from is_pinned(context, thread)):
        yield from delete_keys([context.layout.pin(thread)])
        context.parent_cache.lives.drop(thread)
    return victims


def delete_some(
    context: Context, *stages: Sequence[Folder], now: int = 0, checkpoints_first: bool = False
) -> Plan[None]:
    """Delete some of a thread's checkpoints, after making those that stay independent of them.

    Args:
        context: The saver's.
        stages: What to delete. What is in one stage goes before the next one.
        now: As for `add_tombstones`.
        checkpoints_first: Whether others may be about to rebuild delta channels from the checkpoints. Then
            these go before their writes, in requests of their own: whoever finds one has all of its writes.
    """
    yield from materialize_borrowers(context, [folder for stage in stages for folder in stage], now=now)
    for stage in stages:
        yield from _delete_folders(context, stage, checkpoints_first=checkpoints_first)


def delete_for_runs(context: Context, run_ids: Collection[str]) -> Plan[None]:
    """Delete the checkpoints of these runs, with their writes, in all threads.

    The whole prefix is listed. Keys tell the run, and whether a checkpoint borrows; only heads of borrowers
    are read. Threads are processed in groups while the listing goes on.
    """
    runs = frozenset(context.layout.run(run_id) for run_id in run_ids)
    scan = Scan(context.layout, context.layout.prefix)
    waiting: dict[str, list[Folder]] = {}
    while runs and not scan.done:
        last = ""
        for folder in (yield from scan.more()):
            last = folder.thread
            if any(leaf.run in runs for leaf in folder.leaves):
                waiting.setdefault(last, []).append(folder)
        if len(waiting) > THREADS_AT_ONCE:
            unfinished = {last: waiting.pop(last)} if last in waiting else {}  # its listing may go on
            yield from _delete_groups(context, waiting)
            waiting = unfinished
    yield from _delete_groups(context, waiting)


def _delete_groups(context: Context, victims: Mapping[str, list[Folder]]) -> Plan[None]:
    """Delete some checkpoints of each of many threads."""
    for some in batched(list(victims.values()), THREADS_AT_ONCE):
        yield from gather(delete_some(context, each) for each in some)


def prune(context: Context, thread_ids: Sequence[str], strategy: str) -> Plan[None]:
    """Delete threads, or all but the latest checkpoint of each of their namespaces.

    What the latest checkpoint's delta channels are rebuilt from is gathered beside it. Writes without a
    checkpoint are kept, since their checkpoint may be about to arrive. Subgraph calls that have ended go as a
    whole (`subgraph_calls.py`).

    Raises:
        InvalidConfigError: The strategy is unknown.
    """
    if strategy not in ("keep_latest", "delete", "delete_all"):
        raise InvalidConfigError(
            f"prune has no strategy {strategy!r}: it knows 'keep_latest' and 'delete' (or 'delete_all')."
        )
    for some in batched(list(dict.fromkeys(thread_ids)), THREADS_AT_ONCE):
        plans: list[Plan[Any]] = [
            _keep_latest(context, each) if strategy == "keep_latest" else delete_thread(context, each)
            for each in some
        ]
        yield from gather(plans)


class Pruning(NamedTuple):
    """The checkpoints of a thread that a rule lets go.

    Attributes:
        calls: The folders of subgraph calls that have ended, including writes without a checkpoint.
        others: The other checkpoints' folders.
        gatherings: What is to be gathered before, for the delta channels of those that stay.
        listed: All folders of the thread.
        whole: Whether the whole thread goes.
        failed_puts: Whether there are objects of failed puts.
    """

    calls: list[Folder]
    others: list[Folder]
    gatherings: list[Gathering]
    listed: list[Folder]
    whole: bool
    failed_puts: bool

    @property
    def victims(self) -> list[Folder]:
        """All folders to delete."""
        return [*self.calls, *self.others]


def choose_victims(context: Context, listed: list[Folder], rule: KeepRule) -> Plan[Pruning]:
    """Determine which checkpoints of a thread to delete, and what to gather before.

    A subgraph call goes with the checkpoint that it was called from, whatever the rule says of it.

    Args:
        context: The saver's.
        listed: The thread's folders.
        rule: Returns the checkpoints to keep.
    """
    # Imported on first use, since a process that only runs graphs doesn't prune.
    from langgraph_checkpoint_s3.plans.delta_ancestors import deletable
    from langgraph_checkpoint_s3.plans.subgraph_calls import ended_calls

    failed_puts = yield from unacknowledged(context, listed)
    folders = without_checkpoints(listed, failed_puts)
    chosen = rule(folders)
    if chosen is None:
        return Pruning([], folders, [], listed, True, bool(failed_puts))
    kept = list(chosen)
    ended = yield from ended_calls(context, folders, kept)
    calls = [folder for folder in listed if folder.namespace in ended]
    others, gatherings = yield from deletable(
        context,
        [folder for folder in folders if folder.namespace not in ended],
        [folder for folder in kept if folder.namespace not in ended],
    )
    return Pruning(calls, others, gatherings, listed, False, bool(failed_puts))


def delete_victims(context: Context, pruning: Pruning) -> Plan[None]:
    """Delete what `choose_victims` chose."""
    if pruning.whole:
        for folder in pruning.listed[:1]:
            yield from delete_listed(context, folder.thread, pruning.listed)
        return
    # The newest object's time has passed by the store's clock. But while objects of failed puts are left,
    # even expired tombstones must stay: they tell readers why lenders are missing.
    written = (entry.modified.timestamp() for folder in pruning.listed for entry in folder.entries)
    now = 0 if pruning.failed_puts else int(max(written, default=0))
    if pruning.gatherings:
        from langgraph_checkpoint_s3.plans.gather import gather_writes

        yield from gather_writes(context, pruning.gatherings)
    # Calls go before their callers: without these, the next prune couldn't tell that they have ended.
    yield from delete_some(
        context, pruning.calls, pruning.others, now=now, checkpoints_first=bool(pruning.gatherings)
    )


def _keep_latest(context: Context, thread_id: str) -> Plan[None]:
    listed = yield from Scan(context.layout, context.layout.thread(thread_id)).rest()
    yield from delete_victims(context, (yield from choose_victims(context, listed, latest)))


def delete_unacknowledged(context: Context, failed: Sequence[Folder]) -> Plan[None]:
    """Delete the objects of failed puts, except for those that a put completes meanwhile.

    A put that completes its object reads the tombstones afterwards, and isn't acknowledged if they name it
    (`put.py`). So an object that is unchanged after they were written will never be acknowledged.

    Args:
        context: The saver's.
        failed: Folders of one thread with nothing but such objects, as they were listed.
    """
    yield from materialize_borrowers(context, failed, "failed")
    entries = [entry for folder in failed for entry in folder.checkpoints]
    answers = yield from ask_all(HeadObject(entry.key) for entry in entries)
    yield from delete_keys(
        [
            entry.key
            for entry, answer in zip(entries, answers, strict=True)
            if isinstance(answer, Stored) and answer.etag == entry.etag
        ]
    )


def _delete_folders(
    context: Context, folders: Sequence[Folder], *, checkpoints_first: bool = False
) -> Plan[None]:
    """Delete all objects of folders of a thread, checkpoints before writes."""
    keys = [entry.key for folder in folders for entry in folder.checkpoints]
    writes = [entry.key for folder in folders for entry in folder.writes]
    parts = [keys, writes] if checkpoints_first else [keys + writes]
    try:
        for part in parts:
            yield from delete_keys(part)
    finally:
        for folder in folders[:1]:
            context.parent_cache.end_walk(folder.thread)


def delete_keys(keys: Sequence[str]) -> Plan[None]:
    """Delete objects, in this order."""
    yield from _in_batches(DeleteObjects, keys, "s3:DeleteObject")


def delete_unchanged(etags: Mapping[str, str]) -> Plan[int]:
    """Delete objects that still have these ETags, where the store goes by them: AWS does.

    Returns:
        The number that were deleted.
    """

    def request(batch: tuple[tuple[str, str], ...]) -> DeleteObjects:
        return DeleteObjects(tuple(key for key, _ in batch), tuple(etag for _, etag in batch))

    return (yield from _in_batches(request, list(etags.items()), "s3:DeleteObject", stay=_CHANGED))


def delete_versions(versions: Sequence[tuple[str, str]]) -> Plan[None]:
    """Delete versions or delete markers permanently, in this order, each a key and a version id."""
    from langgraph_checkpoint_s3.s3.admin_requests import DeleteVersions  # unused in most processes

    yield from _in_batches(DeleteVersions, versions, "s3:DeleteObjectVersion")


def _in_batches(
    request: Callable[[tuple[T, ...]], Request[Deletion]],
    targets: Sequence[T],
    action: str,
    *,
    stay: Collection[str] = (),
) -> Plan[int]:
    """Delete in batches. Return the number of objects that are gone.

    Args:
        request: Returns the request for a batch.
        targets: The objects.
        action: The IAM action that it needs.
        stay: S3's codes for objects that are to stay.
    """
    tried = kept = 0
    for batch in batched(targets, _BATCH):
        answer = yield from ask(request(tuple(batch)))
        tried += len(batch)
        kept += sum(each[1] in stay for each in answer.failed)
        failed = [each for each in answer.failed if each[1] not in _GONE and each[1] not in stay]
        if not failed:
            continue
        key, code, message = failed[0]
        reason = (
            f"{len(failed)} of {tried} objects could not be deleted ({code}: {message}); the other "
            f"{tried - len(failed)} were. Deleting again goes on where this stopped"
        )
        if code == "AccessDenied":
            raise AccessDeniedError(f"{reason}. It needs {action}", action=action, key=key)
        raise StorageUnavailableError(reason, key=key)
    return tried - kept
