"""Plans that find and remove objects that are no longer needed.

writes      tasks' writes whose checkpoint was never put, or was deleted
checkpoint  an unacknowledged checkpoint that borrows from a deleted one: its put failed, or was killed,
            during the deletion. Readers skip it
tombstones  names of deleted objects that no put can borrow from any more
export      exports whose signed URLs have expired
probe       a test object of an interrupted `setup` or `check`
upload      a multipart upload that was neither completed nor aborted: its parts are billed, and no LIST shows
            them
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias, get_args

from langgraph_checkpoint_s3.admin.inventory.report import Report
from langgraph_checkpoint_s3.errors import InvalidConfigError, NotSupportedError
from langgraph_checkpoint_s3.format.keys import EXPORTS, TOMBSTONES, Layout
from langgraph_checkpoint_s3.memory.shelf import CACHE, STORE
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.delete import delete_keys, delete_unacknowledged
from langgraph_checkpoint_s3.plans.materialize import unacknowledged
from langgraph_checkpoint_s3.plans.place import thread_of
from langgraph_checkpoint_s3.plans.plan import Plan, ask_all, gather
from langgraph_checkpoint_s3.plans.scan import Folder, Pages, Scan, uploads
from langgraph_checkpoint_s3.plans.setup import probe_key
from langgraph_checkpoint_s3.plans.tombstones import MAX_BORROW_SECONDS
from langgraph_checkpoint_s3.s3.requests import AbortUpload, Entry
from langgraph_checkpoint_s3.text.humanize import format_size

OrphanKind: TypeAlias = Literal["writes", "checkpoint", "tombstones", "export", "probe", "upload"]

_LONGEST_URL: Final = timedelta(days=7)
"""The longest validity of a signed URL
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html)."""
_EXPORT_AGE: Final = _LONGEST_URL + timedelta(days=1)
_TOMBSTONES_AGE: Final = timedelta(seconds=MAX_BORROW_SECONDS) + timedelta(days=1)
_REPORT_LACKS: Final = timedelta(days=1)
_AT_ONCE: Final = 100
_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Orphan:
    """An object or upload that is no longer needed.

    Attributes:
        kind: `writes`, `checkpoint`, `tombstones`, `export`, `probe` or `upload`.
        key: Its key.
        size: Its size in bytes; `None` for an upload, whose size takes more requests.
        modified: The time at which it was written, or begun.
        age: The time since then.
        upload_id: S3's id of an upload.
    """

    kind: OrphanKind
    key: str
    size: int | None
    modified: datetime
    age: timedelta
    upload_id: str | None = None


@dataclass(frozen=True, slots=True)
class Orphans:
    """The orphans that were found, or removed. It can be printed.

    Attributes:
        removed: Whether they were removed.
        items: The orphans: writes, checkpoints, exports, probes and tombstones by key, then uploads.
        not_supported: The kinds that the store can't list, and why.
        as_of: The time of the inventory report that was read in place of listing, from which ages are
            counted; `None` without one.
    """

    removed: bool
    items: tuple[Orphan, ...]
    not_supported: tuple[str, ...] = ()
    as_of: datetime | None = None

    @property
    def bytes(self) -> int:
        """Total size in bytes, without uploads."""
        return sum(item.size or 0 for item in self.items)

    def of(self, kind: OrphanKind) -> tuple[Orphan, ...]:
        """Return those of one kind."""
        return tuple(item for item in self.items if item.kind == kind)

    def __str__(self) -> str:
        counts = {kind: len(self.of(kind)) for kind in get_args(OrphanKind)}
        text = ", ".join(f"{number:,} {kind}" for kind, number in counts.items() if number) or "nothing"
        source = "" if self.as_of is None else f", by the inventory of {self.as_of:%Y-%m-%d %H:%M %Z}"
        lines = [f"{'Removed' if self.removed else 'Found'} {text}: {format_size(self.bytes)}{source}"]
        for item in self.items[:_SHOWN]:
            size = "" if item.size is None else f"{format_size(item.size)}, "
            lines.append(f"  {item.kind} {item.key}: {size}{item.age.days} days old")
        if len(self.items) > _SHOWN:
            lines.append(f"  and {len(self.items) - _SHOWN:,} more")
        lines += [f"  not looked for: {each}" for each in self.not_supported]
        return "\n".join(lines)


def check_age(older_than: object) -> None:
    """Check the least age of orphans.

    Raises:
        InvalidConfigError: It isn't positive.
    """
    if not isinstance(older_than, timedelta) or older_than <= timedelta(0):
        raise InvalidConfigError(f"older_than must be a timedelta of more than nothing, not {older_than!r}.")


def find_orphans(
    context: Context, older_than: timedelta, clock: Callable[[], datetime], inventory: Report | None = None
) -> Plan[Orphans]:
    """Find orphans in a listing of the prefix, or in an inventory report, and in one of unfinished uploads.

    The clock is the store's time, which is known once the store has answered. With a report, ages are counted
    from when it was made.
    """
    if inventory is None:
        return (yield from _find_orphans(context, older_than, clock))
    created = inventory.created
    found = yield from inventory.answer(_find_orphans(context, older_than, lambda: created))
    return replace(found, as_of=created)


def _find_orphans(context: Context, older_than: timedelta, clock: Callable[[], datetime]) -> Plan[Orphans]:
    layout = context.layout
    items: list[Orphan] = []
    tombstones = yield from Pages(layout.prefix + TOMBSTONES).rest()
    known = {each.key for each in tombstones}
    threads: dict[str, list[Folder]] = {}
    scan = Scan(layout, layout.prefix)
    now: datetime | None = None
    while not scan.done:
        folders = yield from scan.more()
        now = now or clock()
        for folder in folders:
            if not folder.checkpoints and all(now - each.modified >= older_than for each in folder.writes):
                items += [_orphan("writes", each, now) for each in folder.writes]
            thread = folder.thread
            if layout.tombstones(thread) in known:
                threads.setdefault(thread, []).append(folder)
    assert now is not None, "there is a first page"  # noqa: S101  # for the types
    for thread, folders in threads.items():
        never = yield from unacknowledged(context, folders)
        left = [entry for folder in folders for entry in folder.checkpoints if entry.key in never]
        old = [entry for entry in left if now - entry.modified >= older_than]
        items += [_orphan("checkpoint", entry, now) for entry in old]
        if left:  # the tombstones mark these as unacknowledged
            known.discard(layout.tombstones(thread))
    export_age = max(older_than, _EXPORT_AGE)
    items += yield from _below(layout.prefix + EXPORTS, "export", export_age, now)
    items += yield from _below(probe_key(layout.prefix, ""), "probe", older_than, now)
    tombstones_age = max(older_than, _TOMBSTONES_AGE)
    items += [
        _orphan("tombstones", each, now)
        for each in tombstones
        if each.key in known and now - each.modified >= tombstones_age
    ]
    not_supported: list[str] = []
    try:
        items += yield from _uploads(layout, older_than, now)
    except NotSupportedError as error:
        not_supported.append(f"unfinished multipart uploads: {error}")
    return Orphans(removed=False, items=tuple(items), not_supported=tuple(not_supported))


def remove_orphans(
    context: Context, older_than: timedelta, clock: Callable[[], datetime], inventory: Report | None = None
) -> Plan[Orphans]:
    """Find and remove orphans.

    Everything is listed again first: the checkpoint of writes may have been put since, and tombstones and
    exports may have been replaced.
    """
    found = yield from find_orphans(context, older_than, clock, inventory)
    folders: dict[str, list[Orphan]] = {}
    for item in found.of("writes"):
        folders.setdefault(item.key.rpartition("/")[0] + "/", []).append(item)
    removed: list[Orphan] = []
    paths = list(folders)
    for start in range(0, len(paths), _AT_ONCE):
        some = paths[start : start + _AT_ONCE]
        unchanged = yield from gather(_as_found(context.layout, path, folders[path]) for path in some)
        gone = [item for items in unchanged for item in items]
        yield from delete_keys([item.key for item in gone])
        removed += gone
    keys = {item.key for item in found.of("checkpoint")}
    failed_puts: set[str] = set()
    for thread in sorted({thread_of(key) for key in keys}):
        listed = yield from Scan(context.layout, thread).rest()
        never = keys & (yield from unacknowledged(context, listed))
        failed = (
            folder.only(*(each for each in folder.checkpoints if each.key in never)) for folder in listed
        )
        yield from delete_unacknowledged(context, [folder for folder in failed if folder.checkpoints])
        failed_puts |= never
    checkpoints = [item for item in found.of("checkpoint") if item.key in failed_puts]
    prefix = context.layout.prefix
    tombstones = found.of("tombstones")
    if inventory is not None:
        # No put can borrow from what they name since a day before their age was reached. A report may lack
        # what such a put left, if that is as new.
        tombstones = tuple(each for each in tombstones if each.age >= _TOMBSTONES_AGE + _REPORT_LACKS)
    others = [
        *(yield from _unchanged(prefix + EXPORTS, found.of("export"))),
        *(yield from _unchanged(probe_key(prefix, ""), found.of("probe"))),
        *(yield from _unchanged(prefix + TOMBSTONES, tombstones)),
    ]
    yield from delete_keys([item.key for item in others])
    uploads = found.of("upload")
    for start in range(0, len(uploads), _AT_ONCE):
        yield from ask_all(
            AbortUpload(item.key, item.upload_id or "") for item in uploads[start : start + _AT_ONCE]
        )
    return replace(found, removed=True, items=(*removed, *checkpoints, *others, *uploads))


def _as_found(layout: Layout, path: str, items: Sequence[Orphan]) -> Plan[list[Orphan]]:
    """Return the writes that are left in a checkpoint's folder; none of them if it holds anything else."""
    known = {(item.key, item.modified): item for item in items}
    folders = yield from Scan(layout, path).rest()
    left = [known.get((entry.key, entry.modified)) for folder in folders for entry in folder.entries]
    return [] if None in left else [item for item in left if item is not None]


def _unchanged(prefix: str, items: Sequence[Orphan]) -> Plan[list[Orphan]]:
    """Return the items below a prefix that are still there as they were found."""
    if not items:
        return []
    listed = yield from Pages(prefix).rest()
    known = {(entry.key, entry.modified) for entry in listed}
    return [item for item in items if (item.key, item.modified) in known]


def _orphan(kind: OrphanKind, entry: Entry, now: datetime) -> Orphan:
    return Orphan(kind, entry.key, entry.size, entry.modified, now - entry.modified)


def _below(prefix: str, kind: OrphanKind, older_than: timedelta, now: datetime) -> Plan[list[Orphan]]:
    listed = yield from Pages(prefix).rest()
    return [_orphan(kind, each, now) for each in listed if now - each.modified >= older_than]


def _uploads(layout: Layout, older_than: timedelta, now: datetime) -> Plan[list[Orphan]]:
    """Return this saver's own unfinished uploads."""
    names = (EXPORTS, STORE, CACHE)
    folders = (*(layout.prefix + name for name in names), probe_key(layout.prefix, ""))
    return [
        Orphan("upload", each.key, None, each.begun, now - each.begun, each.upload_id)
        for each in (yield from uploads(layout.prefix))
        if now - each.begun >= older_than and (layout.holds(each.key) or each.key.startswith(folders))
    ]
