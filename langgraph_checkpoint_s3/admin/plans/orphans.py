"""Finds what nobody needs any more and nothing else deletes, and removes it.

writes    of tasks, whose checkpoint never came or was deleted meanwhile
export    what was made for signed URLs, when none that leads there is valid any more
probe     an object that `setup` or `check` tried the bucket with, and was cut short
upload    a multipart upload that was neither completed nor aborted: its parts cost, and no LIST shows them
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

from langgraph_checkpoint_s3.admin.plans.sizes import human
from langgraph_checkpoint_s3.errors import InvalidConfigError, NotSupportedError
from langgraph_checkpoint_s3.objects.keys import EXPORTS, Layout
from langgraph_checkpoint_s3.plans.address import Context
from langgraph_checkpoint_s3.plans.plan import Plan, abreast, together
from langgraph_checkpoint_s3.plans.remove import delete_keys
from langgraph_checkpoint_s3.plans.scan import Pages, Scan, uploads
from langgraph_checkpoint_s3.plans.setup import probe_key
from langgraph_checkpoint_s3.s3.administration import Upload
from langgraph_checkpoint_s3.s3.requests import AbortUpload

OrphanKind: TypeAlias = Literal["writes", "export", "probe", "upload"]

_LONGEST_URL: Final = timedelta(days=7)
"""How long a signed URL can be valid
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html)."""
_EXPORT_AGE: Final = _LONGEST_URL + timedelta(days=1)
_AT_ONCE: Final = 100
_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Orphan:
    """Something that nobody needs any more.

    Attributes:
        kind: `writes`, `export`, `probe` or `upload`.
        key: The object; of an upload, the object that it was to become.
        size: Its length in bytes; `None` for an upload, which nothing tells in one request.
        modified: When it was written, or begun.
        age: How long that was ago.
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
    """What was found, or removed. It can be printed.

    Attributes:
        removed: Whether it was removed.
        items: What it is: writes, exports and probes by key, then uploads.
        not_supported: What couldn't be looked for, since the store doesn't offer it, and why.
    """

    removed: bool
    items: tuple[Orphan, ...]
    not_supported: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """How many bytes they have, but for the uploads."""
        return sum(item.size or 0 for item in self.items)

    def of(self, kind: OrphanKind) -> tuple[Orphan, ...]:
        """Those of one kind."""
        return tuple(item for item in self.items if item.kind == kind)

    def __str__(self) -> str:
        counts = {kind: len(self.of(kind)) for kind in ("writes", "export", "probe", "upload")}
        told = ", ".join(f"{number:,} {kind}" for kind, number in counts.items() if number) or "nothing"
        lines = [f"{'Removed' if self.removed else 'Found'} {told}: {human(self.bytes)}"]
        for item in self.items[:_SHOWN]:
            size = "" if item.size is None else f"{human(item.size)}, "
            lines.append(f"  {item.kind} {item.key}: {size}{item.age.days} days old")
        if len(self.items) > _SHOWN:
            lines.append(f"  and {len(self.items) - _SHOWN:,} more")
        lines += [f"  not looked for: {each}" for each in self.not_supported]
        return "\n".join(lines)


def find_orphans(context: Context, older_than: object, now: datetime) -> Plan[Orphans]:
    """List all of the prefix, and the unfinished uploads.

    Raises:
        InvalidConfigError: The age isn't more than nothing.
    """
    if not isinstance(older_than, timedelta) or older_than <= timedelta(0):
        raise InvalidConfigError(f"older_than must be a timedelta of more than nothing, not {older_than!r}.")
    layout = context.layout
    items: list[Orphan] = []
    scan = Scan(layout, layout.prefix)
    while not scan.done:
        for folder in (yield from scan.more()):
            if not folder.checkpoints and all(now - each.modified >= older_than for each in folder.writes):
                items += [
                    Orphan("writes", each.key, each.size, each.modified, now - each.modified)
                    for each in folder.writes
                ]
    export_age = max(older_than, _EXPORT_AGE)
    items += yield from _below(layout.prefix + EXPORTS, "export", export_age, now)
    items += yield from _below(probe_key(layout.prefix, ""), "probe", older_than, now)
    not_supported: list[str] = []
    try:
        items += yield from _uploads(layout, older_than, now)
    except NotSupportedError as error:
        not_supported.append(f"unfinished multipart uploads: {error}")
    return Orphans(removed=False, items=tuple(items), not_supported=tuple(not_supported))


def remove_orphans(context: Context, older_than: object, now: datetime) -> Plan[Orphans]:
    """Find and remove them. Writes are listed again right before: their checkpoint may have come.

    Returns:
        What was removed.
    """
    found = yield from find_orphans(context, older_than, now)
    folders: dict[str, list[Orphan]] = {}
    for item in found.of("writes"):
        folders.setdefault(item.key.rpartition("/")[0] + "/", []).append(item)
    removed: list[Orphan] = []
    paths = list(folders)
    for start in range(0, len(paths), _AT_ONCE):
        some = paths[start : start + _AT_ONCE]
        unchanged = yield from abreast(_as_found(context.layout, path, folders[path]) for path in some)
        gone = [item for path, same in zip(some, unchanged, strict=True) if same for item in folders[path]]
        yield from delete_keys([item.key for item in gone])
        removed += gone
    others = [*found.of("export"), *found.of("probe")]
    yield from delete_keys([item.key for item in others])
    uploads = found.of("upload")
    for start in range(0, len(uploads), _AT_ONCE):
        yield from together(
            AbortUpload(item.key, item.upload_id or "") for item in uploads[start : start + _AT_ONCE]
        )
    return Orphans(removed=True, items=(*removed, *others, *uploads), not_supported=found.not_supported)


def _as_found(layout: Layout, path: str, items: Sequence[Orphan]) -> Plan[bool]:
    """Whether a checkpoint's folder still holds these writes, and nothing else."""
    known = {(item.key, item.modified) for item in items}
    folders = yield from Scan(layout, path).rest()
    return all((entry.key, entry.modified) in known for folder in folders for entry in folder.entries)


def _below(prefix: str, kind: OrphanKind, older_than: timedelta, now: datetime) -> Plan[list[Orphan]]:
    pages = Pages(prefix)
    found: list[Orphan] = []
    while not pages.done:
        found += [
            Orphan(kind, each.key, each.size, each.modified, now - each.modified)
            for each in (yield from pages.more()).entries
            if now - each.modified >= older_than
        ]
    return found


def _uploads(layout: Layout, older_than: timedelta, now: datetime) -> Plan[list[Orphan]]:
    """The unfinished uploads that are this saver's own."""
    return list(_ours(layout, (yield from uploads(layout.prefix)), older_than, now))


def _ours(layout: Layout, begun: Iterable[Upload], older_than: timedelta, now: datetime) -> Iterable[Orphan]:
    folders = (layout.prefix + EXPORTS, probe_key(layout.prefix, ""))
    for each in begun:
        age = now - each.begun
        if age >= older_than and (layout.holds(each.key) or each.key.startswith(folders)):
            yield Orphan("upload", each.key, None, each.begun, age, each.upload_id)
