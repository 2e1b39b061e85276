"""`get_tuple`: find a checkpoint by a listing, and read it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from langgraph.checkpoint.base import CheckpointTuple

from langgraph_checkpoint_s3.errors import ConflictError
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.load import Absent, Loaded, load
from langgraph_checkpoint_s3.plans.parent_cache import CachedCheckpoint
from langgraph_checkpoint_s3.plans.place import Place, leaf_of
from langgraph_checkpoint_s3.plans.plan import Plan, ask, gather
from langgraph_checkpoint_s3.plans.retention import note_loaded, pin_request
from langgraph_checkpoint_s3.plans.scan import Folder, Scan
from langgraph_checkpoint_s3.plans.tombstones import lenders_among

_LATEST_PAGE = 64
"""Keys to list for the latest checkpoint. It and the writes of a wide superstep normally fit."""
_TRIES = 16


def get_tuple(context: Context, place: Place) -> Plan[CheckpointTuple | None]:
    """Return the checkpoint at a place, or the latest one of a namespace. One LIST, then its objects.

    Raises:
        ConflictError: It changed each time between the listing and the read.
    """
    if context.retention:
        loaded = yield from _load_and_note(context, place)
    else:
        loaded = yield from load_place(context, place)
    if loaded is None:
        return None
    found = loaded.tuple(context.serde)
    remember(context, loaded, found.checkpoint.get("channel_versions") or {})
    return found


def _load_and_note(context: Context, place: Place) -> Plan[Loaded | None]:
    """Read a checkpoint, and in the round trip of the listing whether its thread is pinned."""
    mark = ask(pin_request(context, context.layout.thread(place.thread_id)))
    both: list[Plan[Any]] = [load_place(context, place), mark]
    loaded, pinned = yield from gather(both)
    found: Loaded | None = loaded
    note_loaded(context, found.folder.place if found else place, found.life if found else None, pinned)
    return found


def load_place(context: Context, place: Place, *, writes: bool = True) -> Plan[Loaded | None]:
    """Read the checkpoint at a place, or the latest one of a namespace.

    A checkpoint that was never acknowledged and lacks a lender is skipped. Without `writes`, those of its
    tasks aren't read.

    Raises:
        ConflictError: It changed each time between the listing and the read.
    """
    skipped: set[tuple[str, str]] = set()
    tries = _TRIES
    while tries:
        folder = yield from find_folder(context, place, skipped)
        if folder is None:
            return None
        [loaded] = yield from load(context, [folder if writes else folder.only(*folder.checkpoints)])
        if isinstance(loaded, Loaded):
            return loaded
        if loaded is Absent.UNACKNOWLEDGED:
            # By ETag: if the put completes the object meanwhile, the next listing shows another one.
            skipped |= {(entry.key, entry.etag) for entry in folder.checkpoints}
        else:
            tries -= 1
    raise ConflictError(
        "The checkpoint was deleted or replaced each time it was about to be read; try again",
        key=place.namespace(context.layout),
    )


def find_folder(
    context: Context, place: Place, skipped: Collection[tuple[str, str]] = ()
) -> Plan[Folder | None]:
    """Return the folder of the checkpoint at a place, or of the latest one of a namespace.

    Args:
        context: The saver's.
        place: The checkpoint or namespace.
        skipped: Objects to skip, by key and ETag.
    """
    if place.checkpoint_id is None:
        scan = Scan(context.layout, place.namespace(context.layout), page=_LATEST_PAGE)
    else:
        scan = Scan(context.layout, place.folder(context.layout))
    while not scan.done:
        for folder in (yield from scan.more()):
            if any((entry.key, entry.etag) not in skipped for entry in folder.checkpoints):
                return folder
    return None


def remember(context: Context, loaded: Loaded, versions: Mapping[str, Any]) -> None:
    """Cache a checkpoint, with its channels' versions, so that its children may borrow from it."""
    record, folder, key = loaded.checkpoint, loaded.folder, loaded.key
    if not context.borrow or record.size > context.parent_cache.capacity:
        return
    cached = context.parent_cache.parent(folder.namespace, folder.checkpoint_id)
    own = [entry for entry in folder.checkpoints if entry.key == key]
    if cached is not None and (cached.key, cached.etag) in [(entry.key, entry.etag) for entry in own]:
        return  # this process wrote it, and so knows more about it than the object tells
    for entry in lenders_among([folder]):
        if entry in own:
            written = int(entry.modified.timestamp())
            known = record.known(leaf_of(key), written, versions, context.policy)
            context.parent_cache.add(folder.namespace, CachedCheckpoint(known, key, life=loaded.life))
