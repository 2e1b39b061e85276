"""Plans that export a thread into a file, and import one, a window of objects at a time."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Final

from langgraph_checkpoint_s3.admin.calls import Progress, in_thread, report, then_close
from langgraph_checkpoint_s3.admin.transfer.archive import ExportFile
from langgraph_checkpoint_s3.admin.transfer.portable_file import (
    ImportFile,
    check_object,
    manifest_of,
    own_extents,
)
from langgraph_checkpoint_s3.errors import ConflictError, CorruptObjectError, InvalidKeyError
from langgraph_checkpoint_s3.format.keys import MAX_KEY_BYTES
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.copy_thread import copy_stages
from langgraph_checkpoint_s3.plans.data_keys import unlock
from langgraph_checkpoint_s3.plans.load import error_context, open_object, read_heads
from langgraph_checkpoint_s3.plans.materialize import unacknowledged, without_checkpoints
from langgraph_checkpoint_s3.plans.plan import Plan
from langgraph_checkpoint_s3.plans.retention import Tagging, begin_tagging, classes_among, end_tagging
from langgraph_checkpoint_s3.plans.scan import Scan, group
from langgraph_checkpoint_s3.plans.tombstones import add_coming, remove_tombstones
from langgraph_checkpoint_s3.plans.transfer import fetch, overwrite, store, windows, write_all
from langgraph_checkpoint_s3.s3.requests import Body, Entry, NotFound, Stored

_NEVER: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True, slots=True)
class Exported:
    """The outcome of an export.

    Attributes:
        thread_id: The thread.
        checkpoints: How many objects of checkpoints the file has.
        writes: How many objects of tasks' writes.
        bytes: The size of these objects together.
    """

    thread_id: str
    checkpoints: int
    writes: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Imported:
    """The outcome of an import.

    Attributes:
        thread_id: The thread that the file was imported into.
        checkpoints: How many objects of checkpoints the file has.
        writes: How many objects of tasks' writes.
        written: How many of its objects were written.
        unchanged: How many were there already, with the same bytes.
        kept: The keys of those that were there already with other bytes, and were left unchanged.
    """

    thread_id: str
    checkpoints: int
    writes: int
    written: int
    unchanged: int
    kept: tuple[str, ...]


def export_thread(
    context: Context, thread_id: str, file: ExportFile, now: datetime, progress: Progress | None
) -> Plan[Exported]:
    """Write a thread into a file."""
    folder = context.layout.thread(thread_id)
    listed = yield from Scan(context.layout, folder).rest()
    unwanted = yield from unacknowledged(context, listed)
    stages = list(copy_stages(without_checkpoints(listed, unwanted)))
    if not any(stages):
        raise InvalidKeyError(f"There is no thread {thread_id!r} to export under this prefix.", key=folder)
    total, writes = sum(map(len, stages)), len(stages[0])
    manifest = manifest_of(context, thread_id, now, total - writes, writes)

    def write() -> Plan[int]:
        count = size = 0
        yield from in_thread(file.open, manifest.pack())
        for window in windows(stages):
            size += yield from _export(context, folder, window, file)
            count += len(window)
            yield from report(progress, count, total)
        yield from in_thread(file.finish)
        return size

    size = yield from then_close(write(), file.close)
    return Exported(thread_id, total - writes, writes, size)


def _export(context: Context, folder: str, window: Sequence[Entry], file: ExportFile) -> Plan[int]:
    """Read objects, check each, write them, and return how many bytes they are."""
    objects: list[tuple[str, bytes]] = []
    bodies = yield from fetch(window, context.sizes)
    yield from unlock(context, bodies)
    for entry, body in zip(window, bodies, strict=True):
        if isinstance(body, NotFound):
            raise ConflictError(
                "The thread was being deleted or pruned while it was exported; export it again", key=entry.key
            )
        with error_context(entry.key):
            check_object(open_object(context, entry.key, body).container)
        objects.append((entry.key.removeprefix(folder), body.data))
    yield from in_thread(file.add, objects)
    return sum(len(body) for _, body in objects)


def import_thread(
    context: Context,
    file: ImportFile,
    thread_id: str | None,
    progress: Progress | None,
    now: datetime,
    *,
    untrusted: bool = False,
) -> Plan[Imported]:
    """Import a file into a thread, by default its own.

    Args:
        context: The saver's.
        file: The file.
        thread_id: The thread; the file's own by default.
        progress: Called with the numbers of objects that are done and of all.
        now: The time by the store's clock.
        untrusted: As for `needs_rebase`.
    """

    def open_file() -> _Import:
        name = file.open(context, thread_id, untrusted=untrusted)
        return _Import(context, name, file, now)

    def write() -> Plan[Imported]:
        importing = yield from in_thread(open_file)
        return (yield from importing.run(progress))

    return (yield from then_close(write(), file.close))


class _Import:
    """One import of a file that is open."""

    def __init__(self, context: Context, thread_id: str, file: ImportFile, now: datetime) -> None:
        self._context = context
        self._oldest = now - timedelta(seconds=context.policy.horizon)
        self._thread_id = thread_id
        self._file = file
        self._folder = context.layout.thread(thread_id)
        self._members = {self._folder + member.name: member for member in file.members}
        self._lending = {
            key for key, member in self._members.items() if getattr(member.parsed.leaf, "lends", False)
        }
        entries = [Entry(key, self._members[key].size, "", _NEVER) for key in sorted(self._members)]
        folders = group(context.layout, entries)
        self._windows = list(windows(copy_stages(folders)))
        self._tagging = Tagging(self._folder, classes_among(context, folders), pinned=False)
        self._present: dict[str, Entry] = {}
        self._written: set[str] = set()
        self._kept: list[str] = []

    def run(self, progress: Progress | None) -> Plan[Imported]:
        """Check what the thread holds, and write what it lacks: writes first, the latest checkpoints last."""
        longest = max(map(len, self._members))
        if longest > MAX_KEY_BYTES:
            raise InvalidKeyError(
                f"An object's key would have {longest} bytes, and S3 takes {MAX_KEY_BYTES}: the thread_id or "
                "the prefix must be shorter. Nothing was written."
            )
        for folder in (yield from Scan(self._context.layout, self._folder).rest()):
            self._present.update((entry.key, entry) for entry in folder.entries)
        yield from self._check_lenders()
        self._tagging = yield from begin_tagging(self._context, self._folder, self._tagging.classes)
        number: int | None = None
        if self._file.borrowings and self._lending <= self._present.keys():
            number = 0  # all lenders are there, but an earlier import may have been interrupted
        elif self._file.borrowings:
            number = yield from add_coming(self._context, self._folder, self._lending)
        yield from self._renew_lenders()
        count, total = 0, len(self._members)
        for window in self._windows:
            yield from self._write(window)
            count += len(window)
            if count == total:
                yield from end_tagging(self._context, self._tagging, self._written)
            if count == total and number is not None:
                new = self._lending & self._written
                yield from remove_tombstones(self._context, self._folder, new, number, present=self._lending)
            yield from report(progress, count, total)
        checkpoints = sum(member.is_checkpoint for member in self._members.values())
        written = len(self._written)
        unchanged = total - written - len(self._kept)
        kept = tuple(self._kept)
        return Imported(self._thread_id, checkpoints, total - checkpoints, written, unchanged, kept)

    def _write(self, window: Sequence[Entry]) -> Plan[None]:
        """Write the objects of a window, except those that are present."""
        members = [self._members[entry.key] for entry in window]
        bodies = yield from in_thread(self._file.read, members)
        pairs = list(zip(window, bodies, strict=True))
        new = [
            (len(body), self._store(entry.key, body))
            for entry, body in pairs
            if entry.key not in self._present
        ]
        yield from write_all(new, self._context.sizes)
        yield from self._compare(
            (self._present.get(entry.key, entry), body)
            for entry, body in pairs
            if entry.key not in self._written
        )

    def _store(self, key: str, body: bytes) -> Plan[None]:
        """Write an object if there is none."""
        tag = self._tagging.of(key)
        outcome, _ = yield from store(key, body, self._context.sizes, only_new=True, tag=tag)
        if isinstance(outcome, Stored):
            self._written.add(key)

    def _check_lenders(self) -> Plan[None]:
        """Check that objects that are present, and so aren't written, hold what others borrow from them."""
        needed: dict[str, set[tuple[int, int, int]]] = {}
        for borrower, lender, extent in self._file.borrowings:
            key = self._folder + lender
            if key not in self._present and key not in self._members:
                raise CorruptObjectError(
                    f"The file isn't whole: its member {borrower!r} borrows from {lender!r}, which is "
                    "neither in it nor in the thread. Nothing was written"
                )
            if key in self._present and self._folder + borrower not in self._present:
                needed.setdefault(key, set()).add(extent)
        for window in windows([[self._present[key] for key in needed]]):
            bodies = yield from read_heads(self._context, window)
            for entry in window:
                if not needed[entry.key] <= _extents(self._context, entry.key, bodies[entry.key]):
                    raise ConflictError(
                        "The thread holds another checkpoint of this id, from which those of the file can't "
                        "borrow. Nothing was written: import the file into another thread_id",
                        key=entry.key,
                    )

    def _renew_lenders(self) -> Plan[None]:
        """Write again what is present and old, and that new objects borrow from.

        Lifecycle rules count an object's age from when it was written. They would delete it long before those
        that borrow from it.
        """
        old = {key: entry for key, entry in self._present.items() if entry.modified < self._oldest}
        lenders: defaultdict[str, set[str]] = defaultdict(set)
        for borrower, lender, _ in self._file.borrowings:
            lenders[self._folder + borrower].add(self._folder + lender)
        renewed: set[str] = set()
        borrowers = lenders.keys() - self._present.keys()
        while borrowers:
            borrowers = {key for each in borrowers for key in lenders[each]} & old.keys() - renewed
            renewed |= borrowers
        for window in windows([[old[key] for key in sorted(renewed)]]):
            bodies = yield from fetch(window, self._context.sizes)
            pairs = zip(window, bodies, strict=True)
            yield from write_all(
                ((entry.size, self._renew(entry, body)) for entry, body in pairs), self._context.sizes
            )

    def _renew(self, entry: Entry, body: Body | NotFound) -> Plan[None]:
        tag = self._tagging.of(entry.key)
        sizes = self._context.sizes
        if isinstance(body, NotFound) or not (
            yield from overwrite(entry.key, body.data, sizes, body.etag, tag)
        ):
            raise ConflictError(
                "The thread was changed while it was imported; import it again", key=entry.key
            )

    def _compare(self, pairs: Iterable[tuple[Entry, bytes]]) -> Plan[None]:
        """Record which of the present objects differ from the file's. Read them if the ETag doesn't tell."""
        judged = [(entry, body, _differs(entry, body)) for entry, body in pairs]
        self._kept += [entry.key for entry, _, differs in judged if differs]
        unsure = [(replace(entry, etag=""), body) for entry, body, differs in judged if differs is None]
        answers = yield from fetch([entry for entry, _ in unsure], self._context.sizes)
        for (entry, body), found in zip(unsure, answers, strict=True):
            if isinstance(found, NotFound):
                raise ConflictError(
                    "The thread was being deleted while it was imported; import it again", key=entry.key
                )
            if found.data != body:
                self._kept.append(entry.key)


def _extents(context: Context, key: str, body: Body | NotFound) -> set[tuple[int, int, int]]:
    """Return the extents and CRCs of the frames that an object stores itself, by its head."""
    if isinstance(body, NotFound):
        return set()
    with error_context(key):
        return own_extents(open_object(context, key, body).container)


def _differs(present: Entry, body: bytes) -> bool | None:
    """Return whether a listed object has other bytes; `None` if only reading it tells."""
    if present.size != len(body):
        return True
    try:
        digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
    except ValueError:  # no MD5, even for this: the machine is in FIPS mode
        return None
    return False if present.etag == digest else None
