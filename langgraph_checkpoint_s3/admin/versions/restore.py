"""Plans that bring back a deleted thread, or an old version of a checkpoint.

A thread is restored by removing its delete markers. For a version of a checkpoint that isn't enough: other
checkpoints may borrow from the newest version of its key, or be about to. So a version is restored under its
own key only if it has all frames of the key's newest version. Otherwise it is put beside it, like a
checkpoint that is put again with other content, and counts as the later one.

It is written with its borrowed bytes, since its lenders may be gone. A server-side copy of a version that
borrows nothing would do, too; but it was read anyway to check it, and some stores can't copy a version onto
its own key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from langgraph_checkpoint_s3.admin.transfer.portable_file import own_extents
from langgraph_checkpoint_s3.admin.versions.versions import (
    KeyHistory,
    as_of,
    entry_of,
    is_checkpoint,
    list_key_histories,
    read,
    versioning_status,
)
from langgraph_checkpoint_s3.errors import (
    ConflictError,
    CorruptObjectError,
    InvalidConfigError,
    InvalidKeyError,
    NotSupportedError,
)
from langgraph_checkpoint_s3.format.checkpoint import CheckpointRecord, Content
from langgraph_checkpoint_s3.format.checkpoint_writer import draft
from langgraph_checkpoint_s3.format.keys import CheckpointLeaf
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.copy_thread import copy_stages
from langgraph_checkpoint_s3.plans.data_keys import key_to_write
from langgraph_checkpoint_s3.plans.delete import delete_versions
from langgraph_checkpoint_s3.plans.load import Loaded, error_context, load, open_body, read_heads
from langgraph_checkpoint_s3.plans.place import Place
from langgraph_checkpoint_s3.plans.plan import Plan
from langgraph_checkpoint_s3.plans.scan import Folder, group
from langgraph_checkpoint_s3.plans.tombstones import lenders_among, read_tombstones, remove_tombstones
from langgraph_checkpoint_s3.plans.transfer import store
from langgraph_checkpoint_s3.s3.requests import Body, Entry, NotFound

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig


@dataclass(frozen=True, slots=True)
class Undeleted:
    """The objects of a thread that were restored, or would be with `dry_run`.

    Attributes:
        thread_id: The thread.
        checkpoints: The number of objects of checkpoints.
        writes: The number of objects of tasks' writes.
        size: Their size, in bytes.
        lost: How many objects of the thread can't be restored, since only a delete marker is left.
        dry_run: Whether nothing was changed.
    """

    thread_id: str
    checkpoints: int
    writes: int
    size: int
    lost: int
    dry_run: bool


def undelete_thread(
    context: Context, thread_id: str, before: datetime | None, *, dry_run: bool
) -> Plan[Undeleted]:
    """Restore the hidden objects of a thread.

    Writes come first, then checkpoints from the oldest to each namespace's latest: until the end, the thread
    looks like its own past, and an interrupted restoration can be repeated. Tombstones are removed last:
    until then, readers skip checkpoints that borrow from missing objects.
    """
    if before is not None and before.utcoffset() is None:
        raise InvalidConfigError(
            f"before={before!r} has no time zone, so it names no moment: use datetime.now(timezone.utc), or "
            "before.astimezone()"
        )
    found = yield from list_key_histories(context.layout, context.layout.thread(thread_id))
    hidden = [each for each in found if each.hidden and (before is None or each.existed(before))]
    if not hidden and not _kept(found):
        yield from _check_versioning()
    folders = group(context.layout, [entry_of(each.newest) for each in hidden if each.newest])
    writes = [entry for folder in folders for entry in folder.writes]
    checkpoints = [entry for folder in folders for entry in folder.checkpoints]
    if not dry_run:
        tombstones = yield from read_tombstones(context, context.layout.thread(thread_id))
        markers = {each.key: each.hiding_markers for each in hidden}
        _, *later = copy_stages(folders)
        for stage in (writes, *later):
            yield from delete_versions([marker for entry in stage for marker in markers[entry.key]])
        back = [entry.key for entry in lenders_among(folders)]
        if back and tombstones is not None:
            yield from remove_tombstones(context, context.layout.thread(thread_id), back, tombstones.last)
    return Undeleted(
        thread_id,
        len(checkpoints),
        len(writes),
        sum(entry.size for entry in (*checkpoints, *writes)),
        sum(each.newest is None for each in found),
        dry_run,
    )


def _kept(found: Sequence[KeyHistory]) -> bool:
    """Return whether there are versions or markers that only versioning creates."""
    return any(each.marker or each.version_id != "null" for history in found for each in history.versions)


def _check_versioning() -> Plan[None]:
    if (yield from versioning_status()) == "off":
        raise NotSupportedError(
            "The bucket has never kept versions, so what was deleted from it is gone and can't be brought "
            "back. enable_versioning() keeps what is deleted from now on"
        )


def restore_version(context: Context, place: Place, version_id: str, now: int) -> Plan[RunnableConfig]:
    """Restore the checkpoint's deleted writes, and make a version the current one again."""
    found = yield from list_key_histories(context.layout, place.folder(context.layout))
    folder = as_of(context, found, version_id)
    if folder is None:
        raise InvalidKeyError(
            f"The checkpoint has no version {version_id!r}; list_checkpoint_versions shows those that it has",
            key=place.folder(context.layout),
        )
    wanted = yield from read(context, folder.only(*folder.checkpoints))
    with error_context(wanted.key):
        content = wanted.checkpoint.content()
    current = {
        each.key: replace(entry_of(each.current), version=None)
        for each in found
        if each.current is not None and is_checkpoint(each.key)
    }
    restored = yield from _is_current(context, folder.only(*current.values()), content)
    made = None if restored else (yield from _encode(context, found, current, wanted, content, now))
    writes = {entry.key for entry in folder.writes}
    yield from delete_versions(
        [marker for each in found if each.key in writes for marker in each.hiding_markers]
    )
    if made is not None:
        yield from store(*made, context.sizes)
    context.parent_cache.clear()  # children must not borrow from an object that is no longer current
    return place.config()


def _is_current(context: Context, folder: Folder, content: Content) -> Plan[bool]:
    """Return whether the current checkpoint has this content already, and can be read."""
    if not folder.checkpoints:
        return False
    try:
        [loaded] = yield from load(context, [folder])
        return isinstance(loaded, Loaded) and loaded.checkpoint.content() == content
    except CorruptObjectError:
        return False


def _encode(
    context: Context,
    found: Sequence[KeyHistory],
    current: Mapping[str, Entry],
    wanted: Loaded,
    content: Content,
    now: int,
) -> Plan[tuple[str, bytes]]:
    """Return the key and bytes of the object that makes a version the current one."""
    record, key, folder = wanted.checkpoint, wanted.key, wanted.folder
    with error_context(key):
        body = record.container.whole()
        if any(frame.lender for frame in record.container.frames):
            body = record.materialized(context.compression)
    own = next(each for each in found if each.key == key)
    newest = yield from _newest(context, folder, own)
    replaceable = newest is None or own_extents(newest.container) <= own_extents(
        open_body(context, folder, key, Body(body, "", len(body))).container
    )
    rivals = yield from _open(context, folder, [each for name, each in current.items() if name != key])
    if not replaceable and key in current and newest is not None:
        rivals[key] = newest
    last = max(((each.created, name) for name, each in rivals.items()), default=(0, ""))
    if not replaceable or (record.created, key) < last:
        key, body = yield from _beside(context, wanted, content, max(now, last[0] + 1))
    return key, body


def _newest(context: Context, folder: Folder, own: KeyHistory) -> Plan[CheckpointRecord | None]:
    """Read the newest version of a key; `None` if it can't be read, and so has no borrowers either."""
    entries = [entry_of(own.newest)] if own.newest else []
    try:
        return (yield from _open(context, folder, entries)).get(own.key)
    except CorruptObjectError:
        return None


def _open(context: Context, folder: Folder, entries: Sequence[Entry]) -> Plan[dict[str, CheckpointRecord]]:
    bodies = yield from read_heads(context, entries)
    records: dict[str, CheckpointRecord] = {}
    for key, body in bodies.items():
        if isinstance(body, NotFound):
            raise ConflictError("The checkpoint was deleted while it was being restored; try again", key=key)
        with error_context(key):
            records[key] = open_body(context, folder, key, body)
    return records


def _beside(context: Context, wanted: Loaded, content: Content, created: int) -> Plan[tuple[str, bytes]]:
    """Return the key and bytes of a version as a new object, which counts as the last one."""
    parsed = context.layout.parse(wanted.key)
    assert isinstance(parsed.leaf, CheckpointLeaf), "a checkpoint's key"  # noqa: S101  # for the types
    key_ref = yield from key_to_write(context)
    leaf = parsed.leaf._replace(created=created, encrypted=key_ref is not None)

    def key_of(borrows: bool, lends: bool) -> str:
        flagged = leaf._replace(borrows=borrows, lends=lends and context.borrow)
        return wanted.folder.place.key(context.layout, flagged)

    origin = context.origin(wanted.place, created)
    scope = context.scope(wanted.folder.namespace)
    made = draft(
        content, {}, origin, key_of, context.compression, context.policy, scope=scope, key_ref=key_ref
    )
    return made.key, made.body
