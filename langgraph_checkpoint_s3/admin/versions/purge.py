"""The plan that removes all versions of a thread, or of a namespace of long-term memory.

Removing the newest version of an object, or its delete marker, makes an older version current. So the objects
are first deleted as usual, then the versions are removed, and the markers last. An interrupted purge leaves
nothing of them visible, and can be repeated. The receipt (`receipt.py`) compares listings: what was
seen before and isn't any more was removed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, NamedTuple, TypeAlias

from langgraph_checkpoint_s3.admin.calls import in_thread
from langgraph_checkpoint_s3.admin.versions.receipt import (
    PurgedObject,
    PurgeReceipt,
    ReceiptFile,
    in_order,
)
from langgraph_checkpoint_s3.admin.versions.versions import is_saver_key
from langgraph_checkpoint_s3.errors import ConflictError, NotSupportedError
from langgraph_checkpoint_s3.format.keys import EXPORTS, Layout
from langgraph_checkpoint_s3.memory.shelf import INDEX, Namespace, Shelf
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
    """The objects of a thread or of memories that were removed, or would be with `dry_run`.

    Attributes:
        thread_id: The thread; empty if it wasn't one.
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
        namespace: The namespace of long-term memory, if it was one.
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
    namespace: Namespace | None = None


class Subject(NamedTuple):
    """Subject of a purge: a thread, or a namespace of long-term memory.

    Attributes:
        thread_id: The thread; empty if it isn't one.
        namespace: The namespace, if it is one.
        folders: The beginnings of the keys. Of a thread they are its folder, that of its exports, its lease
            and its mark; of a namespace its folder, and the indexes that have copies of its items.
        tombstones: The keys of its tombstones, which stay.
    """

    thread_id: str
    namespace: Namespace | None
    folders: Sequence[str]
    tombstones: Sequence[str] = ()

    @classmethod
    def of_thread(cls, layout: Layout, thread_id: str) -> Subject:
        """Return a thread."""
        thread = layout.thread(thread_id)
        folders = thread, layout.exports(thread_id), layout.lease(thread_id), layout.pin(thread)
        return cls(thread_id, None, folders, [layout.tombstones(thread)])

    @classmethod
    def of_memories(cls, shelf: Shelf, namespace: Namespace) -> Subject:
        """Return a namespace, with those that begin with it."""
        above = (shelf.folder(namespace[:depth]) for depth in range(len(namespace)))
        return cls("", namespace, [shelf.folder(namespace), *(folder + INDEX for folder in above)])


@dataclass(frozen=True, slots=True)
class _Found:
    """The versions and uploads of a thread, and both together by name, as the receipt has them."""

    versions: Sequence[Version]
    uploads: Sequence[Upload]
    unseen: tuple[str, ...]
    items: Mapping[_Name, PurgedObject]


def purge(
    context: Context,
    subject: Subject,
    clock: Callable[[], datetime],
    location: str,
    file: ReceiptFile | None,
    *,
    dry_run: bool,
) -> Plan[Purged]:
    """Remove all versions, markers and uploads. Repeat that until none is left.

    Args:
        context: The saver's.
        subject: What is purged.
        clock: The store's time, which is known once the store has answered.
        location: The bucket and prefix, for the receipt.
        file: The receipt's file. It is written before anything is removed, and at the end.
        dry_run: Whether to only list.
    """
    first = yield from _list(context.layout, subject.folders)
    receipt = PurgeReceipt(
        *(subject.thread_id, location, dry_run, clock(), None, None, (), in_order(first.items.values()), ()),
        unseen=first.unseen,
        error=None,
        writer=context.writer,
        namespace=subject.namespace,
    )
    if dry_run:
        receipt = replace(receipt, ended=receipt.begun, listed=receipt.begun)
    else:
        if file is not None:
            yield from in_thread(file.write, receipt)
        seen = dict(first.items)
        try:
            last = yield from _purge(context, subject, first, seen)
        except Exception as error:
            failed = replace(receipt, error=" ".join(str(error).split()) or type(error).__name__)
            failed = yield from _finished(context, subject, failed, seen, None, clock)
            if file is not None:
                yield from return_errors(in_thread(file.write, failed), OSError)
            raise
        receipt = yield from _finished(context, subject, receipt, seen, last, clock)
        if file is not None:
            yield from in_thread(file.write, receipt)
    exports = context.layout.prefix + EXPORTS
    return Purged(
        subject.thread_id,
        sum(not each.marker for each in first.versions),
        sum(each.marker for each in first.versions),
        sum(each.key.startswith(exports) for each in first.versions),
        len(first.uploads),
        sum(each.size for each in first.versions),
        first.unseen,
        dry_run,
        receipt,
        subject.namespace,
    )


def _purge(
    context: Context, subject: Subject, found: _Found, seen: dict[_Name, PurgedObject]
) -> Plan[_Found]:
    """Remove what was found, and what is found after that. Return the last listing, which has nothing.

    Args:
        context: The saver's.
        subject: What is purged.
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
        yield from add_tombstones(context, subject.folders[0], lenders, "thread")
    context.parent_cache.clear()
    for _ in range(_ROUNDS):
        if not found.versions and not found.uploads:
            return found
        yield from _remove(found)
        found = yield from _list(layout, subject.folders)
        # Markers that appear now are those that the deletion has made.
        seen.update((name, each) for name, each in found.items.items() if each.state != "marker")
    raise ConflictError(
        f"Somebody goes on writing to the {'thread' if subject.thread_id else 'namespace'} while it is being "
        "purged: stop that, and purge again",
        key=subject.folders[0],
    )


def _finished(
    context: Context,
    subject: Subject,
    receipt: PurgeReceipt,
    seen: Mapping[_Name, PurgedObject],
    last: _Found | None,
    clock: Callable[[], datetime],
) -> Plan[PurgeReceipt]:
    """Return a receipt with what was removed and what is left, by a listing after the removal."""
    layout = context.layout
    if last is None:
        found = yield from return_errors(_list(layout, subject.folders))
        last = found if isinstance(found, _Found) else None
    kept = yield from return_errors(gather(Pages(key).rest() for key in subject.tombstones))
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
        else tuple(PurgedObject.of_entry(layout, each) for some in kept for each in some),
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
