"""The plan that lists what was written since a time, and its cursor.

A listing isn't a moment: it shows an object that was written meanwhile or not, and `LastModified` is earlier
than the time from which an object shows, by a second or by the length of its upload. So a call tells only of
objects up to a time that lies a little before its listing, `until`, and the next call begins there. Of an
object that is uploaded in parts, AWS gives the time at which the upload began, which may be long before:
the cursor remembers the uploads that were unfinished, and their objects are told of when they show.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final, Literal

from langgraph_checkpoint_s3.admin.retention.prune import moment_of
from langgraph_checkpoint_s3.errors import InvalidConfigError, NotSupportedError
from langgraph_checkpoint_s3.format.keys import Layout
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.place import Place
from langgraph_checkpoint_s3.plans.plan import Plan, return_errors
from langgraph_checkpoint_s3.plans.scan import Scan, uploads
from langgraph_checkpoint_s3.s3.admin_requests import Upload
from langgraph_checkpoint_s3.s3.requests import Entry
from langgraph_checkpoint_s3.text.humanize import format_size, pluralize

LEAST_SETTLE: Final = timedelta(seconds=5)
"""The store's clock is known to 2 s, its times are in whole seconds, and its servers differ a little."""
_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_CURSOR: Final = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)(?:~(?P<names>[0-9a-f]{16}(?:,[0-9a-f]{16})*))?"
)
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"
_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class WrittenObject:
    """An object that was written.

    Attributes:
        kind: `checkpoint`, or `writes` for what tasks wrote.
        thread_id: Its thread; the hash, if names are hashed in keys.
        checkpoint_ns: Its namespace; the hash, if names are hashed in keys.
        checkpoint_id: The id of its checkpoint.
        key: Its key.
        bytes: Its size.
        etag: Its ETag, which differs between contents.
        modified: The time at which it was written, by S3's `LastModified`.
    """

    kind: Literal["checkpoint", "writes"]
    thread_id: str
    checkpoint_ns: str
    checkpoint_id: str
    key: str
    bytes: int
    etag: str
    modified: datetime


@dataclass(frozen=True, slots=True)
class Changes:
    """Objects that were written within a time. They can be printed.

    Attributes:
        objects: The objects, by the time at which they were written, then by key.
        since: The time from which on.
        until: The time up to which, exclusively, by the store's clock.
        cursor: What to pass as the next call's `since`. It is text of a line, a time and perhaps more.
        unseen: `uploads` if the store can't list unfinished uploads: one whose time is that of its beginning
            is missed if it took longer than `settle`.
    """

    objects: tuple[WrittenObject, ...]
    since: datetime
    until: datetime
    cursor: str
    unseen: tuple[str, ...] = ()

    @property
    def threads(self) -> tuple[str, ...]:
        """The threads that were written to, in the order of their first change."""
        return tuple(dict.fromkeys(each.thread_id for each in self.objects))

    @property
    def bytes(self) -> int:
        """The size of the objects."""
        return sum(each.bytes for each in self.objects)

    def __str__(self) -> str:
        counts = f"{pluralize(len(self.objects), 'object')} of {pluralize(len(self.threads), 'thread')}"
        lines = [f"Written until {self.until.strftime(_TIME)}: {counts}, {format_size(self.bytes)}"]
        lines += [
            f"  {each.modified:%Y-%m-%d %H:%M:%S}  {each.thread_id}  {each.checkpoint_ns or '-'}  "
            f"{each.checkpoint_id}  {each.kind}  {format_size(each.bytes)}"
            for each in self.objects[:_SHOWN]
        ]
        if len(self.objects) > _SHOWN:
            lines.append(f"  and {len(self.objects) - _SHOWN:,} more")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Cursor:
    """Position from which a listing of changes goes on.

    Attributes:
        moment: The time before which everything was told of.
        uploads: Names of objects whose upload was unfinished, to be told of whatever their time.
    """

    moment: datetime
    uploads: frozenset[str] = frozenset()

    def encode(self) -> str:
        """Return it as text."""
        names = f"~{','.join(sorted(self.uploads))}" if self.uploads else ""
        return self.moment.astimezone(timezone.utc).strftime(_TIME) + names

    @classmethod
    def decode(cls, text: str) -> Cursor:
        """Parse the text of a cursor, or a time in ISO 8601 with a time zone.

        Raises:
            InvalidConfigError: It is neither.
        """
        try:
            if found := _CURSOR.fullmatch(text):
                moment = datetime.strptime(found["time"], _TIME).replace(tzinfo=timezone.utc)
                return cls(moment, frozenset(filter(None, (found["names"] or "").split(","))))
            moment = datetime.fromisoformat(re.sub(r"Z\Z", "+00:00", text))
            if moment.utcoffset() is not None:
                return cls(moment)
        except ValueError:
            pass
        raise InvalidConfigError(
            f"{text!r} is neither a cursor nor a time with a time zone, such as 2026-03-01T12:00:00Z."
        )


def cursor_of(since: object, now: datetime) -> Cursor:
    """Return the position to begin at.

    Raises:
        InvalidConfigError: It is no time, length of time or cursor.
    """
    if since is None:
        return Cursor(_BEGINNING)
    if isinstance(since, str):
        return Cursor.decode(since)
    return Cursor(moment_of(since, now))


def changes(
    context: Context,
    since: object,
    thread_id: str | None,
    settle: timedelta,
    clock: Callable[[], datetime],
) -> Plan[Changes]:
    """List what was written since a time, up to a little before the listing.

    Args:
        context: The saver's.
        since: A cursor, a time, how long ago it is, or `None`.
        thread_id: The thread; `None` is all.
        settle: How long before the listing.
        clock: The store's time, which is known once the store has answered.
    """
    layout = context.layout
    folder = layout.prefix if thread_id is None else layout.thread(thread_id)
    # Uploads first: one that is finished before this shows in the listing, and one after it is remembered.
    begun: Sequence[Upload] | NotSupportedError = yield from return_errors(uploads(folder), NotSupportedError)
    now = clock()
    cursor = cursor_of(since, now)
    until = (now - settle).replace(microsecond=0)
    unseen = ("uploads",) if isinstance(begun, NotSupportedError) else ()
    if until <= cursor.moment:
        return Changes((), cursor.moment, cursor.moment, cursor.encode(), unseen)
    found: list[Entry] = []
    scan = Scan(layout, folder)
    while not scan.done:
        for each in (yield from scan.more()):
            found += (entry for entry in each.entries if _is_told(layout, entry, cursor, until))
    found.sort(key=lambda entry: (entry.modified, entry.key))
    unfinished = [] if isinstance(begun, NotSupportedError) else begun
    names = {_name(layout, each.key) for each in unfinished if each.begun < until and layout.holds(each.key)}
    after = Cursor(until, frozenset(names)).encode()
    return Changes(tuple(_written(layout, each) for each in found), cursor.moment, until, after, unseen)


def _is_told(layout: Layout, entry: Entry, cursor: Cursor, until: datetime) -> bool:
    """Return whether an object is one to tell of now."""
    if entry.modified >= cursor.moment:
        return entry.modified < until
    return bool(cursor.uploads) and _name(layout, entry.key) in cursor.uploads


def _name(layout: Layout, key: str) -> str:
    """Return a key's name in cursors: the beginning of its SHA-256."""
    return hashlib.sha256(key[len(layout.prefix) :].encode()).hexdigest()[:16]


def _written(layout: Layout, entry: Entry) -> WrittenObject:
    place = Place.of_key(layout, entry.key)
    kind: Literal["checkpoint", "writes"]
    kind = "writes" if entry.key.rpartition("/")[2].startswith("writes.") else "checkpoint"
    return WrittenObject(
        *(kind, place.thread_id, place.checkpoint_ns, place.id),
        *(entry.key, entry.size, entry.etag, entry.modified),
    )
