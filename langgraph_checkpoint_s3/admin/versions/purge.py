"""Removes all of a thread for good: the right to be forgotten.

To delete the newest version of an object, or the marker above it, shows the one below. So everything
is first hidden, by deleting it as any thread is; then versions go, and the markers above them last.
A purge that is cut short shows nothing of the thread, and doing it again goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from langgraph_checkpoint_s3.errors import ConflictError, CorruptObjectError, NotSupportedError
from langgraph_checkpoint_s3.format.keys import Layout
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.delete import delete_keys, delete_versions
from langgraph_checkpoint_s3.plans.plan import Plan, ask_all, gather, return_errors
from langgraph_checkpoint_s3.plans.scan import Pages, group, uploads, versions
from langgraph_checkpoint_s3.plans.tombstones import add_tombstones, lenders_among
from langgraph_checkpoint_s3.s3.admin_requests import Upload, Version
from langgraph_checkpoint_s3.s3.requests import AbortUpload, Entry

_ROUNDS: Final = 8
_AT_ONCE: Final = 256
_ONLY: Final = "null"
"""The id of a version that was written without versioning. A key has at most one such."""


@dataclass(frozen=True, slots=True)
class Purged:
    """What there was of a thread, and is gone; or, with `dry_run`, what would go.

    Attributes:
        thread_id: The thread.
        versions: How many versions of objects, those that were there last included.
        markers: How many delete markers.
        exports: How many of these versions and markers were of its exports.
        uploads: How many unfinished multipart uploads.
        size: What the versions come to, in bytes.
        unseen: What the store can't list, so that it isn't known to be gone: `versions`, `uploads`, or
            nothing. Without `versions`, only what was there last was deleted.
        dry_run: Whether nothing was changed.
    """

    thread_id: str
    versions: int
    markers: int
    exports: int
    uploads: int
    size: int
    unseen: tuple[str, ...]
    dry_run: bool


@dataclass(frozen=True, slots=True)
class _Found:
    """What a look at a thread shows."""

    versions: Sequence[Version]
    uploads: Sequence[Upload]
    unseen: tuple[str, ...]


def purge_thread(context: Context, thread_id: str, *, dry_run: bool) -> Plan[Purged]:
    """Remove all versions, markers, uploads and exports of a thread and its lease, until none is left.

    Args:
        context: The saver's.
        thread_id: The thread.
        dry_run: Whether to leave it at saying what would go.

    Raises:
        AccessDeniedError: Something may not be deleted: Object Lock, MFA delete, or a permission.
        ConflictError: Somebody goes on writing to the thread.
    """
    layout = context.layout
    folders = [layout.thread(thread_id), layout.exports(thread_id), layout.lease(thread_id)]
    first = found = yield from _look(folders)
    if not dry_run:
        there = [
            Entry(each.key, each.size, each.etag, each.modified)
            for each in found.versions
            if not each.marker and _is_ours(layout, each.key)
        ]
        lenders = lenders_among(group(layout, sorted(there, key=lambda entry: entry.key)))
        if lenders:
            yield from add_tombstones(context, folders[0], lenders, "thread")
        context.parent_cache.clear()
        for _ in range(_ROUNDS):
            if not found.versions and not found.uploads:
                break
            yield from _remove(found)
            found = yield from _look(folders)
        else:
            raise ConflictError(
                "Somebody goes on writing to the thread while it is being purged: stop that, and purge again",
                key=folders[0],
            )
    return Purged(
        thread_id,
        sum(not each.marker for each in first.versions),
        sum(each.marker for each in first.versions),
        sum(each.key.startswith(folders[1]) for each in first.versions),
        len(first.uploads),
        sum(each.size for each in first.versions),
        first.unseen,
        dry_run,
    )


def _is_ours(layout: Layout, key: str) -> bool:
    """Return if an object is a saver's, and no stranger's in the thread's folder."""
    try:
        return layout.holds(key) and bool(layout.parse(key))
    except CorruptObjectError:
        return False


def _remove(found: _Found) -> Plan[None]:
    for start in range(0, len(found.uploads), _AT_ONCE):
        some = found.uploads[start : start + _AT_ONCE]
        yield from ask_all(AbortUpload(each.key, each.upload_id) for each in some)
    # Some stores call a version `null` the latest one still when there is a marker above it.
    veiled = {each.key for each in found.versions if each.latest and each.marker}
    current = [each for each in found.versions if each.latest and not each.marker and each.key not in veiled]
    yield from delete_keys([each.key for each in current])
    # Deleting has removed a version `null`, or, where versioning is suspended, made it the marker: which
    # must stay as long as there are versions below it. Where versioning is on, it is there the next time.
    gone = {each.key for each in current if each.version_id == _ONLY}
    stored = [
        each
        for each in found.versions
        if not each.marker and not (each.version_id == _ONLY and each.key in gone)
    ]
    yield from delete_versions([(each.key, each.version_id) for each in stored])
    if not current and not stored:
        yield from delete_versions([(each.key, each.version_id) for each in found.versions])


def _look(folders: Sequence[str]) -> Plan[_Found]:
    kept = yield from gather(return_errors(versions(folder), NotSupportedError) for folder in folders)
    begun = yield from gather(return_errors(uploads(folder), NotSupportedError) for folder in folders)
    found = [each for some in kept if not isinstance(some, NotSupportedError) for each in some]
    unfinished = [each for some in begun if not isinstance(some, NotSupportedError) for each in some]
    unseen = ["uploads"] if any(isinstance(some, NotSupportedError) for some in begun) else []
    if not found:  # a store may also take the question for another one, and answer with no versions at all
        found = [
            each for some in (yield from gather(_objects(folder) for folder in folders)) for each in some
        ]
        if found or any(isinstance(some, NotSupportedError) for some in kept):
            unseen.insert(0, "versions")
    return _Found(found, unfinished, tuple(unseen))


def _objects(folder: str) -> Plan[list[Version]]:
    """What is there now, as versions of a bucket that keeps none."""
    return [
        Version(each.key, _ONLY, each.size, each.etag, each.modified, latest=True, marker=False)
        for each in (yield from Pages(folder).rest())
    ]
