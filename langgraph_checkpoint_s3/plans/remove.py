"""`delete_thread`, `delete_for_runs` and `prune`.

What stays and borrows from what goes is first rewritten, with what it borrows in it (`release.py`).

In what order things go matters when it is cut short: with more keys than one request takes, all
checkpoints go before the writes, and the newest first, so that between two requests whatever is
still there is whole and can still be rebuilt. One request isn't atomic: what S3 deletes of it
before it fails is S3's choice, and an error then says so.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from langgraph_checkpoint_s3.errors import (
    AccessDeniedError,
    ConflictError,
    InvalidConfigError,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.plans.address import Context
from langgraph_checkpoint_s3.plans.history import needed_ancestors
from langgraph_checkpoint_s3.plans.plan import Plan, abreast, ask
from langgraph_checkpoint_s3.plans.read import at, peek
from langgraph_checkpoint_s3.plans.release import release_all
from langgraph_checkpoint_s3.plans.scan import Folder, Scan, latest
from langgraph_checkpoint_s3.s3.requests import DeleteObjects

_BATCH: Final = 1000
"""The most keys that one DeleteObjects takes."""
_THREADS_AT_ONCE: Final = 16


def delete_thread(context: Context, thread_id: str) -> Plan[None]:
    """Delete all of a thread: one LIST and one DeleteObjects per 1,000 keys."""
    folders = yield from Scan(context.layout, context.layout.thread(thread_id)).rest()
    yield from delete(folders)


def delete_for_runs(context: Context, run_ids: Collection[str]) -> Plan[None]:
    """Delete the checkpoints of these runs, with their writes, in all threads.

    A run is in the key, so only the heads of what may borrow from it are read; but all of the
    prefix is listed.
    """
    runs = frozenset(run_ids)
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
    one = _keep_latest if strategy == "keep_latest" else delete_thread
    unique = list(dict.fromkeys(thread_ids))
    for start in range(0, len(unique), _THREADS_AT_ONCE):
        yield from abreast(one(context, thread_id) for thread_id in unique[start : start + _THREADS_AT_ONCE])


def delete(folders: Sequence[Folder]) -> Plan[None]:
    """Delete all of these folders' objects."""
    keys = [entry.key for folder in folders for entry in folder.checkpoints]
    keys += [entry.key for folder in folders for entry in folder.writes]
    for start in range(0, len(keys), _BATCH):
        yield from _delete_batch(keys[start : start + _BATCH], before=start)


def _delete_batch(keys: Sequence[str], *, before: int) -> Plan[None]:
    answer = yield from ask(DeleteObjects(tuple(keys)))
    if not answer.failed:
        return
    key, code, message = answer.failed[0]
    reason = (
        f"{len(answer.failed)} of {before + len(keys)} objects could not be deleted ({code}: {message}); the "
        f"other {before + len(keys) - len(answer.failed)} were. Deleting again goes on where this stopped"
    )
    if code == "AccessDenied":
        raise AccessDeniedError(f"{reason}. It needs s3:DeleteObject", action="s3:DeleteObject", key=key)
    raise StorageUnavailableError(reason, key=key)


def _keep_latest(context: Context, thread_id: str) -> Plan[None]:
    folders = yield from Scan(context.layout, context.layout.thread(thread_id)).rest()
    newest = latest(folders)
    needed = yield from abreast(_needs(context, folder) for folder in newest)
    keep = {folder.address for kept in (newest, *needed) for folder in kept}
    victims = [folder for folder in folders if folder.checkpoints and folder.address not in keep]
    yield from release_all(context, folders, victims)
    yield from delete(victims)


def _needs(context: Context, newest: Folder) -> Plan[list[Folder]]:
    """What must stay so that a checkpoint's delta channels can be rebuilt.

    LangGraph counts, for each delta channel, the updates since its last stored value. A channel
    with a count and a version, but no value of its own, is rebuilt from its ancestors' writes.
    """
    [record] = yield from peek(context, [newest], versions=True)
    key = newest.key
    if record is None:
        raise ConflictError("The thread changed while it was being pruned; nothing was deleted", key=key)
    with at(key):
        counters = record.metadata(context.serde).get("counters_since_delta_snapshot") or {}
        written = record.versions(context.serde).keys() & counters
    channels = written - record.channels.keys()
    return (yield from needed_ancestors(context, newest, channels))
