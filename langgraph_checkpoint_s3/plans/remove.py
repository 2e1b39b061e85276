"""`delete_thread`, `delete_for_runs` and `prune`.

What stays and borrows from what goes is first rewritten, with what it borrows in it (`release.py`).

In what order things go matters when it is cut short: with more keys than one request takes, all
checkpoints go before the writes, and the newest first, so that between two requests whatever is
still there is whole and can still be rebuilt. One request isn't atomic: what S3 deletes of it
before it fails is S3's choice, and an error then says so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from langgraph_checkpoint_s3.errors import AccessDeniedError, InvalidConfigError, StorageUnavailableError
from langgraph_checkpoint_s3.plans.address import Context
from langgraph_checkpoint_s3.plans.keep import surplus
from langgraph_checkpoint_s3.plans.plan import Plan, abreast, ask
from langgraph_checkpoint_s3.plans.release import release_all
from langgraph_checkpoint_s3.plans.scan import Folder, Scan, latest
from langgraph_checkpoint_s3.s3.requests import DeleteObjects, Deletion, Request

T = TypeVar("T")

_BATCH: Final = 1000
"""The most keys that one DeleteObjects takes."""
_THREADS_AT_ONCE: Final = 16
_GONE: Final = frozenset({"NoSuchKey", "NoSuchVersion"})
"""What some stores say where what is to be deleted isn't there. S3 itself doesn't mind."""

Stay: TypeAlias = "Callable[[Sequence[Folder]], Iterable[Folder] | None]"
"""Of a thread's folders those that stay; `None` is none at all, writes without a checkpoint neither."""


def delete_thread(context: Context, thread_id: str) -> Plan[None]:
    """Delete all of a thread: one LIST and one DeleteObjects per 1,000 keys."""
    folders = yield from Scan(context.layout, context.layout.thread(thread_id)).rest()
    yield from delete(folders)


def delete_for_runs(context: Context, run_ids: Collection[str]) -> Plan[None]:
    """Delete the checkpoints of these runs, with their writes, in all threads.

    A run is in the key, so only the heads of what may borrow from it are read; but all of the
    prefix is listed.
    """
    runs = frozenset(context.layout.run(run_id) for run_id in run_ids)
    scan = Scan(context.layout, context.layout.prefix)
    held: list[Folder] = []  # whole namespaces: who borrows is newer, and so is listed before its lender
    while runs and not scan.done:
        held += yield from scan.more()
        last = held[-1].namespace if held and not scan.done else None
        folders = [folder for folder in held if folder.namespace != last]
        held = [folder for folder in held if folder.namespace == last]
        victims = [folder for folder in folders if any(leaf.run in runs for leaf in folder.leaves)]
        yield from release_all(context, folders, victims)
        yield from delete(victims)


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
    for start in range(0, len(unique), _THREADS_AT_ONCE):
        some = unique[start : start + _THREADS_AT_ONCE]
        plans: list[Plan[Any]] = [
            keep(context, each, latest) if strategy == "keep_latest" else delete_thread(context, each)
            for each in some
        ]
        yield from abreast(plans)


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
    folders = yield from Scan(context.layout, context.layout.thread(thread_id)).rest()
    staying = stay(folders)
    victims = folders if staying is None else (yield from surplus(context, folders, staying))
    if not dry_run:
        yield from release_all(context, folders, victims)
        yield from delete(victims)
    return victims


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
    from langgraph_checkpoint_s3.s3.administration import DeleteVersions  # for those who use it alone

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
