"""`delete_thread`, `delete_for_runs` and `prune`.

What may lend gets a tombstone before it goes, and what stays and borrows from it is rewritten whole
(`tombstones.py`, `materialize.py`).

In what order things go matters when it is cut short: with more keys than one request takes, all
checkpoints go before the writes, and the newest first, so that between two requests whatever is
still there is whole and can still be rebuilt. One request isn't atomic: what S3 deletes of it
before it fails is S3's choice, and an error then says so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from langgraph_checkpoint_s3.errors import AccessDeniedError, InvalidConfigError, StorageUnavailableError
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.delta_ancestors import deletable
from langgraph_checkpoint_s3.plans.materialize import release_all, unacknowledged, without
from langgraph_checkpoint_s3.plans.plan import Plan, ask, ask_all, gather
from langgraph_checkpoint_s3.plans.scan import Folder, Scan, latest
from langgraph_checkpoint_s3.plans.tombstones import announce, lending
from langgraph_checkpoint_s3.s3.requests import DeleteObjects, Deletion, HeadObject, Request, Stored

T = TypeVar("T")

_ROUNDS: Final = 8
_BATCH: Final = 1000
"""The most keys that one DeleteObjects takes."""
THREADS_AT_ONCE: Final = 64
"""Threads that are thinned side by side: they wait together after their tombstones are written."""
_GONE: Final = frozenset({"NoSuchKey", "NoSuchVersion"})
"""What some stores say where what is to be deleted isn't there. S3 itself doesn't mind."""

Stay: TypeAlias = "Callable[[Sequence[Folder]], Iterable[Folder] | None]"
"""Of a thread's folders those that stay; `None` is none at all, writes without a checkpoint neither."""


def delete_thread(context: Context, thread_id: str) -> Plan[None]:
    """Delete all of a thread: one LIST and one DeleteObjects per 1,000 keys.

    If some of it may lend, its tombstones cost a GET and a PUT more, and another LIST. A put that is under
    way may borrow from it: it fails then, or is passed over by readers, as if it had come just before.
    """
    folders = yield from Scan(context.layout, context.layout.thread(thread_id)).rest()
    yield from delete_whole(context, folders)


def delete_whole(context: Context, folders: Sequence[Folder]) -> Plan[None]:
    """Delete these folders, which are all of a thread, and what comes before their tombstones are written."""
    named: set[str] = set()
    for _ in range(_ROUNDS):
        new = [entry for entry in lending(folders) if entry.key not in named]
        if not new:
            break
        thread = folders[0].thread
        yield from announce(context, thread, new, "thread")
        named |= {entry.key for entry in new}
        folders = yield from Scan(context.layout, thread).rest()
    unnamed = {entry.key for entry in lending(folders)} - named  # of somebody who writes on, again and again
    yield from delete(without(folders, unnamed))


def delete_some(context: Context, victims: Sequence[Folder], *, now: int = 0) -> Plan[None]:
    """Delete some of a thread's checkpoints, after what stays was made independent of them.

    Args:
        context: The saver's.
        victims: Those that are to go.
        now: As for `announce`.
    """
    yield from release_all(context, victims, now=now)
    yield from delete(victims)


def delete_for_runs(context: Context, run_ids: Collection[str]) -> Plan[None]:
    """Delete the checkpoints of these runs, with their writes, in all threads.

    A run is in the key, and so is if a checkpoint borrows: only the heads of those that do are read. But
    all of the prefix is listed. Threads are worked on in groups, while the listing goes on.
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
            going_on = {last: waiting.pop(last)} if last in waiting else {}
            yield from _delete_groups(context, waiting)
            waiting = going_on
    yield from _delete_groups(context, waiting)


def _delete_groups(context: Context, victims: Mapping[str, list[Folder]]) -> Plan[None]:
    """Delete some checkpoints of each of many threads."""
    groups = list(victims.values())
    for start in range(0, len(groups), THREADS_AT_ONCE):
        some = groups[start : start + THREADS_AT_ONCE]
        yield from gather(delete_some(context, each) for each in some)


def prune(context: Context, thread_ids: Sequence[str], strategy: str) -> Plan[None]:
    """Delete the threads, or all but the latest checkpoint of each of their namespaces.

    Kept beside the latest is what its delta channels are rebuilt from. Writes without a checkpoint
    are left alone: their checkpoint may be about to arrive.

    Raises:
        InvalidConfigError: The strategy is unknown.
    """
    if strategy not in ("keep_latest", "delete", "delete_all"):
        raise InvalidConfigError(
            f"prune has no strategy {strategy!r}: it knows 'keep_latest' and 'delete' (or 'delete_all')."
        )
    unique = list(dict.fromkeys(thread_ids))
    for start in range(0, len(unique), THREADS_AT_ONCE):
        some = unique[start : start + THREADS_AT_ONCE]
        plans: list[Plan[Any]] = [
            keep(context, each, latest) if strategy == "keep_latest" else delete_thread(context, each)
            for each in some
        ]
        yield from gather(plans)


def keep(context: Context, thread_id: str, stay: Stay, *, dry_run: bool = False) -> Plan[list[Folder]]:
    """Delete all of a thread's checkpoints but those that stay, and what their delta channels need.

    Args:
        context: The saver's.
        thread_id: The thread.
        stay: Says which ones stay.
        dry_run: Whether to leave it at saying what would go: then there are but LISTs and reads.

    Returns:
        What went, or would go.
    """
    listed = yield from Scan(context.layout, context.layout.thread(thread_id)).rest()
    never = yield from unacknowledged(context, listed)
    folders = without(listed, never)
    staying = stay(folders)
    victims = folders if staying is None else (yield from deletable(context, folders, staying))
    if not dry_run and staying is None:
        yield from delete_whole(context, listed)
    elif not dry_run:
        written = (entry.modified.timestamp() for folder in listed for entry in folder.entries)
        yield from delete_some(context, victims, now=0 if never else int(max(written, default=0)))
    return victims


def delete_unacknowledged(context: Context, failed: Sequence[Folder]) -> Plan[None]:
    """Delete what failed puts left of a thread, unless a put completes it meanwhile.

    A put that completes its object reads the tombstones after that, and isn't acknowledged if they name it
    (`put.py`). So what is unchanged after they were written is never acknowledged.

    Args:
        context: The saver's.
        failed: Folders with nothing but such objects, as they were listed.
    """
    yield from release_all(context, failed, "failed")
    entries = [entry for folder in failed for entry in folder.checkpoints]
    answers = yield from ask_all(HeadObject(entry.key) for entry in entries)
    yield from delete_keys(
        [
            entry.key
            for entry, answer in zip(entries, answers, strict=True)
            if isinstance(answer, Stored) and answer.etag == entry.etag
        ]
    )


def delete(folders: Sequence[Folder]) -> Plan[None]:
    """Delete all of these folders' objects."""
    keys = [entry.key for folder in folders for entry in folder.checkpoints]
    keys += [entry.key for folder in folders for entry in folder.writes]
    yield from delete_keys(keys)


def delete_keys(keys: Sequence[str]) -> Plan[None]:
    """Delete objects, in this order."""
    yield from _in_batches(DeleteObjects, keys, "s3:DeleteObject")


def delete_versions(versions: Sequence[tuple[str, str]]) -> Plan[None]:
    """Delete versions or delete markers for good, each a key and a version id, in this order."""
    from langgraph_checkpoint_s3.s3.admin_requests import DeleteVersions  # for those who use it alone

    yield from _in_batches(DeleteVersions, versions, "s3:DeleteObjectVersion")


def _in_batches(
    request: Callable[[tuple[T, ...]], Request[Deletion]], targets: Sequence[T], action: str
) -> Plan[None]:
    for start in range(0, len(targets), _BATCH):
        batch = tuple(targets[start : start + _BATCH])
        answer = yield from ask(request(batch))
        failed = [each for each in answer.failed if each[1] not in _GONE]
        if not failed:
            continue
        key, code, message = failed[0]
        tried = start + len(batch)
        reason = (
            f"{len(failed)} of {tried} objects could not be deleted ({code}: {message}); the other "
            f"{tried - len(failed)} were. Deleting again goes on where this stopped"
        )
        if code == "AccessDenied":
            raise AccessDeniedError(f"{reason}. It needs {action}", action=action, key=key)
        raise StorageUnavailableError(reason, key=key)
