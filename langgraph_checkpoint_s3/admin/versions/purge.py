"""The plan that removes all versions of a thread.

Removing the newest version of an object, or its delete marker, makes an older version current. So the thread
is first deleted as usual, then the versions are removed, and the markers last. An interrupted purge leaves
nothing of the thread visible, and can be repeated. The receipt (`receipt.py`) compares listings: what was
seen before and isn't any more was removed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, TypeAlias

from langgraph_checkpoint_s3.admin.calls import in_thread
from langgraph_checkpoint_s3.admin.versions.receipt import (
    PurgedObject,
    PurgeReceipt,
    ReceiptFile,
    in_order,
)
from langgraph_checkpoint_s3.admin.versions.versions import is_saver_key
from langgraph_checkpoint_s3.errors import ConflictError, NotSupportedError
from langgraph_checkpoint_s3.format.keys import Layout
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.delete import delete_keys, delete_versions
from langgraph_checkpoint_s3.plans.plan import Plan, ask_all, batched, gather, return_errors
from langgraph_checkpoint_s3.plans.scan import Pages, group, uploads, versions
from langgraph_checkpoint_s3.plans.tombstones import add_tombstones, lenders_among
from langgraph_checkpoint_s3.s3.admin_requests import Upload, Version
from langgraph_checkpoint_s3.s3.requests import AbortUpload, Entry

_ROUNDS: Final = 8
_AT_ONCE: Final = 256
_ONLY: Final = "null"
"""The id of a version that was written without versioning. A key has at most one."""

_Name: TypeAlias = "tuple[str, str, str]"
"""A key, the id of a version or an upload, and the ETag: a version `null` can be replaced by another one."""


@dataclass(frozen=True, slots=True)
class Purged:
    """The objects of a thread that were removed, or would be with `dry_run`.

    Attributes:
        thread_id: The thread.
        versions: The number of versions of objects, including the current ones.
        markers: The number of delete markers.
        exports: How many of these versions and markers were of exports.
        uploads: The number of unfinished multipart uploads.
        size: The size of the versions, in bytes.
        unseen: What the store can't list, so that some may be left: `versions`, `uploads`, or nothing. If it
            has `versions`, only the current objects were deleted.
        dry_run: Whether nothing was changed.
        receipt: The record of all of it, as `PurgeReceipt.to_json` writes it. That of a dry run has nothing
            in `removed`, and in `left` what would be.
    """

    thread_id: str
    versions: int
    markers: int
    exports: int
    uploads: int
    size: int
    unseen: tuple[str, ...]
    dry_run: bool
    receipt: PurgeReceipt = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Found:
    """The versions and uploads of a thread, and both together by name, as the receipt has them."""

    versions: Sequence[Version]
    uploads: Sequence[Upload]
    unseen: tuple[str, ...]
    items: Mapping[_Name, PurgedObject]


def purge_thread(
    context: Context,
    thread_id: str,
    clock: Callable[[], datetime],
    location: str,
    file: ReceiptFile | None,
    *,
    dry_run: bool,
) -> Plan[Purged]:
    """Remove all versions, markers, uploads and exports of a thread, its lease and its mark.

    Repeat that until none is left.

    Args:
        context: The saver's.
        thread_id: The thread.
        clock: The store's time, which is known once the store has answered.
        location: The bucket and prefix, for the receipt.
        file: The receipt's file. It is written before anything is removed, and at the end.
        dry_run: Whether to only list.
    """
    layout = context.layout
    thread = layout.thread(thread_id)
    folders = [thread, layout.exports(thread_id), layout.lease(thread_id), layout.pin(thread)]
    first = yield from _list(layout, folders)
    receipt = PurgeReceipt(
        *(thread_id, location, dry_run, clock(), None, None, (), in_order(first.items.values()), ()),
        unseen=first.unseen,
        error=None,
        writer=context.writer,
    )
    if dry_run:
        receipt = replace(receipt, ended=receipt.begun, listed=receipt.begun)
    else:
        if file is not None:
            yield from in_thread(file.write, receipt)
        seen = dict(first.items)
        try:
            last = yield from _purge(context, folders, first, seen)
        except Exception as error:
            failed = replace(receipt, error=" ".join(str(error).split()) or type(error).__name__)
            failed = yield from _finished(context, folders, failed, seen, None, clock)
            if file is not None:
                yield from return_errors(in_thread(file.write, failed), OSError)
            raise
        receipt = yield from _finished(context, folders, receipt, seen, last, clock)
        if file is not None:
            yield from in_thread(file.write, receipt)
    return Purged(
        thread_id,
        sum(not each.marker for each in first.versions),
        sum(each.marker for each in first.versions),
        sum(each.key.startswith(folders[1]) for each in first.versions),
        len(first.uploads),
        sum(each.size for each in first.versions),
        first.unseen,
        dry_run,
        receipt,
    )


def _purge(
    context: Context, folders: Sequence[str], found: _Found, seen: dict[_Name, PurgedObject]
) -> Plan[_Found]:
    """Remove what was found, and what is found after that. Return the last listing, which has nothing.

    Args:
        context: The saver's.
        folders: The thread's, that of its exports, and its lease.
        found: The first listing.
        seen: The objects of all listings, which those of later ones are added to.
    """
    layout = context.layout
    current = [
        Entry(each.key, each.size, each.etag, each.modified)
        for each in found.versions
        if not each.marker and is_saver_key(layout, each.key)
    ]
    lenders = lenders_among(group(layout, sorted(current, key=lambda entry: entry.key)))
    if lenders:
        yield from add_tombstones(context, folders[0], lenders, "thread")
    context.parent_cache.clear()
    for _ in range(_ROUNDS):
        if not found.versions and not found.uploads:
            return found
        yield from _remove(found)
        found = yield from _list(layout, folders)
        # Markers that appear now are those that the deletion has made.
        seen.update((name, each) for name, each in found.items.items() if each.state != "marker")
    raise ConflictError(
        "Somebody goes on writing to the thread while it is being purged: stop that, and purge again",
        key=folders[0],
    )


def _finished(
    context: Context,
    folders: Sequence[str],
    receipt: PurgeReceipt,
    seen: Mapping[_Name, PurgedObject],
    last: _Found | None,
    clock: Callable[[], datetime],
) -> Plan[PurgeReceipt]:
    """Return a receipt with what was removed and what is left, by a listing after the removal."""
    layout = context.layout
    if last is None:
        found = yield from return_errors(_list(layout, folders))
        last = found if isinstance(found, _Found) else None
    kept = yield from return_errors(Pages(layout.tombstones(folders[0])).rest())
    now = clock()
    if last is None:
        return replace(receipt, ended=now, left=in_order(seen.values()))
    return replace(
        receipt,
        ended=now,
        listed=now,
        removed=in_order(each for name, each in seen.items() if name not in last.items),
        left=in_order(last.items.values()),
        kept=()
        if isinstance(kept, Exception)
        else tuple(PurgedObject.of_entry(layout, each) for each in kept),
        unseen=tuple(dict.fromkeys((*receipt.unseen, *last.unseen))),
    )


def _remove(found: _Found) -> Plan[None]:
    for some in batched(found.uploads, _AT_ONCE):
        yield from ask_all(AbortUpload(each.key, each.upload_id) for each in some)
    # Some stores still list a version `null` as the latest when a marker hides it.
    hidden = {each.key for each in found.versions if each.latest and each.marker}
    current = [each for each in found.versions if each.latest and not each.marker and each.key not in hidden]
    yield from delete_keys([each.key for each in current])
    # The deletion has removed a version `null`, or, with versioning suspended, has replaced it by a marker,
    # which must stay as long as there are older versions. With versioning on, the next round removes it.
    gone = {each.key for each in current if each.version_id == _ONLY}
    stored = [
        (each.key, each.version_id)
        for each in found.versions
        if not each.marker and not (each.version_id == _ONLY and each.key in gone)
    ]
    yield from delete_versions(stored)
    if not current and not stored:
        yield from delete_versions([(each.key, each.version_id) for each in found.versions])


def _list(layout: Layout, folders: Sequence[str]) -> Plan[_Found]:
    kept = yield from gather(return_errors(versions(folder), NotSupportedError) for folder in folders)
    begun = yield from gather(return_errors(uploads(folder), NotSupportedError) for folder in folders)
    found = [each for some in kept if not isinstance(some, NotSupportedError) for each in some]
    unfinished = [each for some in begun if not isinstance(some, NotSupportedError) for each in some]
    unseen = ["uploads"] if any(isinstance(some, NotSupportedError) for some in begun) else []
    if not found:  # some stores ignore the request's `versions`, and answer with none
        found = [
            each for some in (yield from gather(_objects(folder) for folder in folders)) for each in some
        ]
        if found or any(isinstance(some, NotSupportedError) for some in kept):
            unseen.insert(0, "versions")
    items = [
        *(PurgedObject.of_version(layout, each) for each in found),
        *(PurgedObject.of_upload(layout, each) for each in unfinished),
    ]
    named = {(each.key, each.id, each.etag): each for each in items}
    return _Found(found, unfinished, tuple(unseen), named)


def _objects(folder: str) -> Plan[list[Version]]:
    """Return the current objects, as versions of a bucket without versioning."""
    return [
        Version(each.key, _ONLY, each.size, each.etag, each.modified, latest=True, marker=False)
        for each in (yield from Pages(folder).rest())
    ]
