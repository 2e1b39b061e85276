"""Takes a thread out of a bucket, and brings one in, window by window.

What is between the windows, reading and writing a file, is done by who runs these plans.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Final

from langgraph_checkpoint_s3.admin.transfer.portable_file import (
    Loan,
    Manifest,
    Member,
    check_object,
    manifest_of,
)
from langgraph_checkpoint_s3.errors import ConflictError, CorruptObjectError, InvalidKeyError
from langgraph_checkpoint_s3.format.keys import MAX_KEY_BYTES
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.copy_thread import copy_stages
from langgraph_checkpoint_s3.plans.data_keys import unlock
from langgraph_checkpoint_s3.plans.load import error_context, open_object, read_heads
from langgraph_checkpoint_s3.plans.materialize import unacknowledged, without_checkpoints
from langgraph_checkpoint_s3.plans.plan import Plan, gather
from langgraph_checkpoint_s3.plans.scan import Scan, group
from langgraph_checkpoint_s3.plans.tombstones import add_coming, remove_tombstones
from langgraph_checkpoint_s3.plans.transfer import fetch, store, windows
from langgraph_checkpoint_s3.s3.requests import Body, Entry, NotFound, Stored

_NEVER: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True, slots=True)
class Exported:
    """What was exported.

    Attributes:
        thread_id: The thread.
        checkpoints: How many objects of checkpoints the file has.
        writes: How many objects of tasks' writes.
        bytes: How many bytes these objects have together.
    """

    thread_id: str
    checkpoints: int
    writes: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Imported:
    """What was imported.

    Attributes:
        thread_id: The thread that it is in now.
        checkpoints: How many objects of checkpoints the file has.
        writes: How many objects of tasks' writes.
        written: How many of its objects were written.
        unchanged: How many were there already, just so.
        kept: The keys of what was there already with other bytes, and stayed as it was.
    """

    thread_id: str
    checkpoints: int
    writes: int
    written: int
    unchanged: int
    kept: tuple[str, ...]


class Export:
    """A thread on its way out. `begin`, then `more` until it is `done`.

    Args:
        context: The saver's.
        thread_id: The thread.
        now: The time.
    """

    def __init__(self, context: Context, thread_id: str, now: datetime) -> None:
        self._context = context
        self._thread_id = thread_id
        self._folder = context.layout.thread(thread_id)
        self._now = now
        self._windows: deque[list[Entry]] = deque()
        self._manifest: Manifest | None = None
        self._bytes = 0
        self.count = 0
        self.total = 0

    @property
    def result(self) -> Exported:
        """What came of it."""
        assert self._manifest is not None  # noqa: S101  # for mypy
        return Exported(self._thread_id, self._manifest.checkpoints, self._manifest.writes, self._bytes)

    @property
    def done(self) -> bool:
        """Whether there is nothing more to come."""
        return not self._windows

    def begin(self) -> Plan[Manifest]:
        """List what there is.

        Raises:
            InvalidKeyError: There is no such thread.
        """
        listed = yield from Scan(self._context.layout, self._folder).rest()
        never = yield from unacknowledged(self._context, listed)
        folders = without_checkpoints(listed, never)
        stages = list(copy_stages(folders))
        if not any(stages):
            raise InvalidKeyError(
                f"There is no thread {self._thread_id!r} to export under this prefix.", key=self._folder
            )
        self._windows.extend(windows(stages))
        self.total = sum(map(len, stages))
        counts = self.total - len(stages[0]), len(stages[0])
        self._manifest = manifest_of(self._context, self._thread_id, self._now, *counts)
        return self._manifest

    def more(self) -> Plan[list[tuple[str, bytes]]]:
        """The next objects, each checked, by their keys below the thread's folder.

        Raises:
            ConflictError: One of them is gone.
            CorruptObjectError: One of them can't be trusted.
        """
        window = self._windows.popleft()
        objects: list[tuple[str, bytes]] = []
        bodies = yield from fetch(window, self._context.sizes)
        yield from unlock(self._context, bodies)
        for entry, body in zip(window, bodies, strict=True):
            if isinstance(body, NotFound):
                raise ConflictError(
                    "The thread was being deleted or pruned while it was exported; export it again",
                    key=entry.key,
                )
            with error_context(entry.key):
                check_object(open_object(self._context, entry.key, body).container)
            objects.append((entry.key.removeprefix(self._folder), body.data))
            self._bytes += len(body.data)
        self.count += len(window)
        return objects


class Import:
    """A thread on its way in. `begin`, then `write` the bodies of each `window` until it is `done`.

    Args:
        context: The saver's.
        thread_id: The thread that it becomes a part of.
        members: The objects of the file.
        loans: What they borrow from one another.
    """

    def __init__(
        self, context: Context, thread_id: str, members: Sequence[Member], loans: Sequence[Loan]
    ) -> None:
        self._context = context
        self._thread_id = thread_id
        self._folder = context.layout.thread(thread_id)
        self._members = {self._folder + member.name: member for member in members}
        self._loans = loans
        self._lending = {
            key for key, member in self._members.items() if getattr(member.parsed.leaf, "lends", False)
        }
        self._number: int | None = None
        self._there: dict[str, Entry] = {}
        entries = [Entry(key, self._members[key].size, "", _NEVER) for key in sorted(self._members)]
        self._windows = deque(windows(copy_stages(group(context.layout, entries))))
        self._came: set[str] = set()
        self._kept: list[str] = []
        self.count = 0
        self.total = len(members)

    @property
    def done(self) -> bool:
        """Whether all of it was written."""
        return not self._windows

    @property
    def window(self) -> list[Member]:
        """The objects whose bodies are wanted next."""
        return [self._members[entry.key] for entry in self._windows[0]]

    @property
    def result(self) -> Imported:
        """What came of it."""
        checkpoints = sum(member.is_checkpoint for member in self._members.values())
        return Imported(
            self._thread_id,
            checkpoints,
            self.total - checkpoints,
            len(self._came),
            self.count - len(self._came) - len(self._kept),
            tuple(self._kept),
        )

    def begin(self) -> Plan[None]:
        """See what the thread holds already. What is there isn't sent, however a store takes conditions.

        Raises:
            InvalidKeyError: A key would be longer than S3 takes. Nothing was sent.
            ConflictError: What is there has other bytes than those that would borrow from it need.
            CorruptObjectError: What is there, and would lend, is damaged; or the file borrows from an object
                that is neither in it nor there.
        """
        longest = max(map(len, self._members))
        if longest > MAX_KEY_BYTES:
            raise InvalidKeyError(
                f"An object's key would have {longest} bytes, and S3 takes {MAX_KEY_BYTES}: the thread_id or "
                "the prefix must be shorter. Nothing was written."
            )
        for folder in (yield from Scan(self._context.layout, self._folder).rest()):
            self._there.update((entry.key, entry) for entry in folder.entries)
        yield from self._check_lenders()
        if self._loans and self._lending <= self._there.keys():
            self._number = 0  # nothing is to come, but an earlier import may have been cut short
        elif self._loans:
            self._number = yield from add_coming(self._context, self._folder, self._lending)

    def write(self, bodies: Sequence[bytes]) -> Plan[None]:
        """Write the window's objects, at once, but for those that are there.

        Raises:
            ConflictError: Somebody deletes the thread meanwhile.
        """
        pairs = list(zip(self._windows[0], bodies, strict=True))
        new = [(entry, body) for entry, body in pairs if entry.key not in self._there]
        sizes = self._context.sizes
        outcomes = yield from gather(store(entry.key, body, sizes, only_new=True) for entry, body in new)
        stored = [isinstance(outcome, Stored) for outcome, _ in outcomes]
        written = {entry.key for (entry, _), done in zip(new, stored, strict=True) if done}
        yield from self._compare(
            (self._there.get(entry.key, entry), body) for entry, body in pairs if entry.key not in written
        )
        self._windows.popleft()
        self._came |= written
        self.count += len(pairs)
        if self.done and self._number is not None:
            came = self._lending & self._came
            yield from remove_tombstones(
                self._context, self._folder, came, self._number, present=self._lending
            )

    def _check_lenders(self) -> Plan[None]:
        """Make sure that what is there, and isn't written, lends what is about to be borrowed from it."""
        needed: dict[str, set[tuple[int, int, int]]] = {}
        for borrower, lender, place in self._loans:
            key = self._folder + lender
            if key not in self._there and key not in self._members:
                raise CorruptObjectError(
                    f"The file isn't whole: its member {borrower!r} borrows from {lender!r}, which is "
                    "neither in it nor in the thread. Nothing was written"
                )
            if key in self._there and self._folder + borrower not in self._there:
                needed.setdefault(key, set()).add(place)
        for window in windows([[self._there[key] for key in needed]]):
            bodies = yield from read_heads(self._context, window)
            for entry in window:
                if not needed[entry.key] <= _lent(self._context, entry.key, bodies[entry.key]):
                    raise ConflictError(
                        "The thread holds another checkpoint of this id, from which those of the file can't "
                        "borrow. Nothing was written: import the file into another thread_id",
                        key=entry.key,
                    )

    def _compare(self, pairs: Iterable[tuple[Entry, bytes]]) -> Plan[None]:
        """Note which of the objects that are there have other bytes than the file's."""
        judged = [(entry, body, _differs(entry, body)) for entry, body in pairs]
        kept = [entry.key for entry, _, differs in judged if differs]
        unsure = [(replace(entry, etag=""), body) for entry, body, differs in judged if differs is None]
        answers = yield from fetch([entry for entry, _ in unsure], self._context.sizes)
        for (entry, body), found in zip(unsure, answers, strict=True):
            if isinstance(found, NotFound):
                raise ConflictError(
                    "The thread was being deleted while it was imported; import it again", key=entry.key
                )
            if found.data != body:
                kept.append(entry.key)
        self._kept += kept


def _lent(context: Context, key: str, body: Body | NotFound) -> set[tuple[int, int, int]]:
    """The places of an object's frames, by its head; none where it is gone."""
    if isinstance(body, NotFound):
        return set()
    with error_context(key):
        container = open_object(context, key, body).container
    return {
        (container.base + frame.offset, frame.stored, frame.crc)
        for frame in container.frames
        if frame.lender is None
    }


def _differs(there: Entry, body: bytes) -> bool | None:
    """Whether an object that a listing showed has other bytes; `None` if only reading it tells."""
    if there.size != len(body):
        return True
    try:
        digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
    except ValueError:  # there is none, not even for this: the machine is in FIPS mode
        return None
    return False if there.etag == digest else None
