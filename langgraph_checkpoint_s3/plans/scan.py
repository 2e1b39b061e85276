"""Listings: keys page by page, grouped by checkpoint. Only this module relies on their order.

`s3/answer_checks.py` checks the order of each page, and refuses stores that list in another one.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from langgraph_checkpoint_s3.errors import StorageUnavailableError
from langgraph_checkpoint_s3.fork_safety import cached_property
from langgraph_checkpoint_s3.format.key_encoding import HASHED
from langgraph_checkpoint_s3.format.keys import (
    AFTER_SLASH,
    PINS,
    THREAD_SUFFIX,
    CheckpointLeaf,
    Layout,
    encode_rank,
    is_gathered,
)
from langgraph_checkpoint_s3.plans.place import Place
from langgraph_checkpoint_s3.plans.plan import Plan, ask, gather
from langgraph_checkpoint_s3.s3.requests import Entry, ListObjects, Page

if TYPE_CHECKING:
    from langgraph_checkpoint_s3.s3.admin_requests import Upload, Version

PAGE = 1000
"""The maximum size of a page."""
_MOST_EMPTY = 100
"""A listing with this many pages in a row without a key counts as endless."""
_PAGES_OF_PART = 2
"""The expected pages of a part of a long thread. Each part's last page is normally a partial one."""
_MOST_PARTS = 16
_HEX_DIGIT = re.compile("[0-9a-f]")


class Folder:
    """The objects of one checkpoint, as a listing shows them. Keys are parsed lazily.

    Attributes:
        path: The checkpoint's folder, without the final `/`.
        checkpoints: The checkpoint's object. There are several if one id was put with different content; the
            latest counts. There is none if only writes have arrived, or remained.
        writes: The objects of its tasks' writes, and of gathered ones.
        split: Whether two pages have shown them. In between, something may have been deleted.
    """

    def __init__(self, layout: Layout, path: str) -> None:
        self.path = path
        self.checkpoints: list[Entry] = []
        self.writes: list[Entry] = []
        self.split = False
        self._layout = layout

    @property
    def namespace(self) -> str:
        """Folder of the namespace."""
        return self.path.rpartition("/")[0] + "/"

    @property
    def thread(self) -> str:
        """Folder of the thread."""
        return self.path.rsplit("/", 2)[0] + "/"

    @cached_property
    def place(self) -> Place:
        """Place, including the checkpoint's id."""
        return Place.of_key(self._layout, self.key)

    @property
    def checkpoint_id(self) -> str:
        """The checkpoint's id."""
        return self.place.id

    @property
    def key(self) -> str:
        """The key of its first object, for errors."""
        return self.entries[0].key

    @cached_property
    def leaves(self) -> list[CheckpointLeaf]:
        """The parsed leaf of each of `checkpoints`."""
        leaves = (self._layout.parse(entry.key).leaf for entry in self.checkpoints)
        return [leaf for leaf in leaves if isinstance(leaf, CheckpointLeaf)]

    @property
    def leaf(self) -> CheckpointLeaf | None:
        """The leaf of the checkpoint's object, if there is exactly one."""
        return self.leaves[0] if len(self.leaves) == 1 else None

    def only(self, *checkpoints: Entry) -> Folder:
        """Return a folder with these checkpoint objects alone, without writes."""
        folder = Folder(self._layout, self.path)
        folder.checkpoints += checkpoints
        return folder

    def without(self, checkpoint: Entry) -> Folder:
        """Return the folder without one of its checkpoint objects."""
        folder = self.only(*(each for each in self.checkpoints if each is not checkpoint))
        folder.writes += self.writes
        return folder

    @property
    def pending(self) -> list[Entry]:
        """Objects of its tasks' writes."""
        return [entry for entry in self.writes if not is_gathered(entry.key)]

    @property
    def gathered(self) -> list[Entry]:
        """Objects of gathered writes, from which its delta channels are rebuilt."""
        return [entry for entry in self.writes if is_gathered(entry.key)]

    @property
    def entries(self) -> list[Entry]:
        """Objects of the folder, checkpoints first."""
        return [*self.checkpoints, *self.writes]


class Pages:
    """A listing, read page by page.

    Each request names the last key of the page before it, so that the order can be checked across pages.

    Args:
        prefix: The prefix of the keys.
        start_after: List only keys greater than this one.
        first: The size of the first page; by default that of the others. A small one suits callers that
            often need no more.
        page: The size of the other pages; by default the maximum.
        delimiter: The delimiter by which to group keys into common prefixes.
    """

    def __init__(
        self,
        prefix: str,
        *,
        start_after: str | None = None,
        first: int | None = None,
        page: int | None = None,
        delimiter: str | None = None,
    ) -> None:
        self.done = False
        self._prefix = prefix
        self._last = start_after
        self._page = PAGE if page is None else page
        self._next = self._page if first is None else first
        self._delimiter = delimiter
        self._token: str | None = None
        self._empty = 0

    def more(self) -> Plan[Page]:
        """Read the next page. It may be empty even if more follow.

        Raises:
            StorageUnavailableError: There were too many empty pages in a row.
        """
        page = yield from ask(ListObjects(self._prefix, self._next, self._last, self._token, self._delimiter))
        self._next = self._page
        self._token = page.token
        self.done = page.token is None
        ends = [*(entry.key for entry in page.entries[-1:]), *page.prefixes[-1:]]
        self._last = max(ends, default=self._last)
        self._empty = 0 if ends else self._empty + 1
        if self._empty >= _MOST_EMPTY:
            raise StorageUnavailableError(
                f"The list of {self._prefix!r} doesn't end: {self._empty} pages without a key, and each says "
                "that there is more",
                key=self._prefix,
            )
        return page

    def rest(self) -> Plan[list[Entry]]:
        """Read the remaining objects."""
        entries: list[Entry] = []
        while not self.done:
            entries += (yield from self.more()).entries
        return entries


class Scan:
    """A listing, read as complete folders, newest first within a namespace.

    Of the saver's prefix, folders that aren't threads, such as those of savers below it, are skipped.

    Args:
        layout: The saver's keys.
        prefix: The folder of a thread, namespace or checkpoint, or the saver's prefix.
        start_after: List only keys greater than this one.
        page: The size of the first page.
    """

    def __init__(
        self, layout: Layout, prefix: str, *, start_after: str | None = None, page: int | None = None
    ) -> None:
        self._layout = layout
        self._prefix = prefix
        self._pages = Pages(prefix, start_after=start_after, first=page)
        self._open: Folder | None = None

    @property
    def done(self) -> bool:
        """`True` once everything was read."""
        return self._pages.done

    def more(self) -> Plan[list[Folder]]:
        """Read the next page, and return the folders that it completes. There may be none."""
        page = yield from self._pages.more()
        folders = group(self._layout, page.entries, self._open)
        self._open = None if self.done or not folders else folders.pop()
        if not self.done and page.entries and (foreign := _foreign(self._layout, page.entries[-1].key)):
            self._pages = _behind(self._prefix, foreign)
        return folders

    def rest(self) -> Plan[list[Folder]]:
        """Read the remaining folders."""
        folders: list[Folder] = []
        while not self.done:
            folders += yield from self.more()
        return folders


def list_thread(layout: Layout, thread: str) -> Plan[list[Folder]]:
    """Return all folders of a thread (a folder). Parts of a long one are listed side by side."""
    scan = Scan(layout, thread)
    folders = yield from scan.more()
    if scan.done:
        return folders
    if not folders:
        return (yield from scan.rest())
    return folders + (yield from list_behind(layout, thread, folders, lambda _: True))


def list_behind(
    layout: Layout, prefix: str, folders: Sequence[Folder], keep: Callable[[Folder], bool]
) -> Plan[list[Folder]]:
    """Return the folders behind a page of them. If there are many, parts are listed side by side.

    The page tells about where the parts begin, if checkpoint ids grow evenly, as UUIDs with a time do. A
    wrong guess costs requests, and leaves nothing out: the parts adjoin. But unlike in a `Scan`, a checkpoint
    may be listed whose parent was put a moment ago, and isn't.

    Args:
        layout: The saver's keys.
        prefix: The folder of a thread or namespace.
        folders: The page.
        keep: Returns whether a folder is wanted. Others don't stay in memory.
    """
    points = _split(folders)
    starts = [folders[-1].path + AFTER_SLASH, *points]
    parts = yield from gather(
        _between(Scan(layout, prefix, start_after=start), end, keep)
        for start, end in zip(starts, [*points, None], strict=True)
    )
    return list(chain.from_iterable(parts))


def _between(scan: Scan, end: str | None, keep: Callable[[Folder], bool]) -> Plan[list[Folder]]:
    """Return the folders of a listing before `end`."""
    found: list[Folder] = []
    while not scan.done:
        folders = yield from scan.more()
        found += (each for each in folders if (end is None or each.path < end) and keep(each))
        if end is not None and folders and folders[-1].path >= end:
            break
    return found


def _split(folders: Sequence[Folder]) -> list[str]:
    """Return paths that part the rest of a namespace, given a page of it. There are none if it can't tell."""
    folders = [each for each in folders if each.leaf is not None]
    folders = [each for each in folders if each.namespace == folders[-1].namespace]
    if not folders:
        return []
    newest, oldest = folders[0], folders[-1]
    first, last = (each.leaf.step if each.leaf else None for each in (newest, oldest))
    high, low = newest.checkpoint_id, oldest.checkpoint_id
    shape = _HEX_DIGIT.sub("x", low)
    if type(first) is not int or type(last) is not int or not 0 <= last < first:
        return []
    if _HEX_DIGIT.sub("x", high) != shape or not set("x") <= set(shape) <= set("x-"):
        return []
    # Steps count from -1. So many pages are left, if each of them has as many steps as this one.
    expected = (last + 1) / (first - last)
    parts = min(int(expected / _PAGES_OF_PART), _MOST_PARTS)
    number = int(low.replace("-", ""), 16)
    gap = int((int(high.replace("-", ""), 16) - number) * expected) // max(parts, 1)
    points: list[str] = []
    while len(points) + 1 < parts and 0 < gap < number:
        number -= gap
        digits = iter(f"{number:0{shape.count('x')}x}")
        point = "".join(next(digits) if each == "x" else each for each in shape)
        points.append(oldest.namespace + encode_rank(point))
    return points


class ListedThread(NamedTuple):
    """A thread in a listing of the prefix.

    Attributes:
        folder: Its folder.
        entries: Its objects; `None` if they are more than a page, so that the thread is listed by itself.
        first: The first of its objects, if they are more than a page.
    """

    folder: str
    entries: Sequence[Entry] | None
    first: Sequence[Entry] = ()


class ThreadScan:
    """A listing of the saver's prefix, read as threads. Small ones share pages.

    Folders that aren't threads, such as those of savers below the prefix, are skipped. So is the rest of a
    thread with more objects than a page: many of those can be listed side by side.

    The marks of pinned threads come before most threads. If one comes before them, they are listed first.

    Args:
        layout: The saver's keys.
        marks: Whether the caller goes by the marks of pinned threads.

    Attributes:
        pinned: The folders of all pinned threads, as far as threads were returned.
    """

    def __init__(self, layout: Layout, *, marks: bool = False) -> None:
        self._layout = layout
        self._prefix = layout.prefix + HASHED if layout.names else layout.prefix
        self._pages = Pages(self._prefix)
        self._complete: deque[ListedThread] = deque()
        self._folder = self._returned = ""
        self._open: list[Entry] = []
        self.pinned: set[str] = set()
        self._marks = layout.prefix + PINS
        self._knows_marks = not marks

    @property
    def done(self) -> bool:
        """`True` once all threads were returned."""
        return self._pages.done and not self._complete

    def more(self, count: int) -> Plan[list[ListedThread]]:
        """Return the next threads: `count` of them, or fewer at the end."""
        while len(self._complete) < count and not self._pages.done:
            page = yield from self._pages.more()
            for entry in page.entries:
                if self._layout.holds(entry.key):
                    self._add(entry)
                elif (folder := self._layout.thread_of_pin(entry.key)) is not None:
                    self.pinned.add(folder)
            foreign = _foreign(self._layout, page.entries[-1].key) if page.entries else None
            if foreign == self._marks:
                foreign = None
            if self._pages.done:
                self._close()
            elif foreign is not None:
                self._close()
                self._pages = _behind(self._prefix, foreign)
            elif len(self._open) >= PAGE:
                self._complete.append(ListedThread(self._folder, None, self._open))
                self._open = []
                self._pages = _behind(self._prefix, self._folder)
        threads = [self._complete.popleft() for _ in range(min(count, len(self._complete)))]
        if threads:
            self._returned = threads[-1].folder
            if threads[0].folder < self._marks and not self._knows_marks:
                self.pinned |= yield from pinned_folders(self._layout)
                self._knows_marks = True
        return threads

    def refresh(self) -> None:
        """Forget what was listed and not yet returned: the next call lists it again.

        Callers that delete need that, since a deletion takes time, in which idle threads may come to life.
        """
        if self._complete or self._open:
            self._complete.clear()
            self._open = []
            self._pages = _behind(self._prefix, self._returned)

    def _add(self, entry: Entry) -> None:
        prefix = self._layout.prefix
        folder = f"{prefix}{entry.key[len(prefix) :].partition('/')[0]}/"
        if folder != self._folder:
            self._close()
            self._folder = folder
        self._open.append(entry)

    def _close(self) -> None:
        if self._open:
            self._complete.append(ListedThread(self._folder, self._open))
            self._open = []


def pinned_folders(layout: Layout) -> Plan[set[str]]:
    """Return the folders of all pinned threads, from a listing of their marks."""
    marks = yield from Pages(layout.prefix + PINS).rest()
    folders = (layout.thread_of_pin(entry.key) for entry in marks)
    return {folder for folder in folders if folder is not None}


def _foreign(layout: Layout, key: str) -> str | None:
    """Return the folder below the prefix that a key is in; `None` if it is in none, or in a thread's."""
    name, slash, _ = key[len(layout.prefix) :].partition("/")
    return f"{layout.prefix}{name}/" if slash and not name.endswith(THREAD_SUFFIX) else None


def _behind(prefix: str, folder: str) -> Pages:
    """Return a listing of the keys behind a folder."""
    return Pages(prefix, start_after=folder.removesuffix("/") + AFTER_SLASH)


def group(layout: Layout, entries: Iterable[Entry], last: Folder | None = None) -> list[Folder]:
    """Group entries by checkpoint, in the listing's order. Keys outside of threads' folders are skipped.

    Args:
        layout: The saver's keys.
        entries: A page.
        last: The last folder of the page before, which this page may continue.

    Raises:
        CorruptObjectError: A key in a thread's folder isn't one of a checkpoint or of writes.
    """
    folders = [last] if last else []
    for entry in entries:
        path, _, end = entry.key.rpartition("/")
        if not folders or folders[-1].path != path:
            if not layout.holds(entry.key):
                continue
            folders.append(Folder(layout, path))
        elif folders[-1] is last:
            last.split = True
        if end.startswith("writes."):
            folders[-1].writes.append(entry)
        elif end.partition(".")[0] == "checkpoint":
            folders[-1].checkpoints.append(entry)
        elif end:
            layout.parse(entry.key)
    return folders


def latest(folders: Iterable[Folder], count: int = 1) -> list[Folder]:
    """Return the newest checkpoints of each namespace. Folders without a checkpoint don't count."""
    namespaces: dict[str, list[Folder]] = {}
    for folder in folders:
        if folder.checkpoints:
            namespaces.setdefault(folder.namespace, []).append(folder)
    return [
        folder
        for each in namespaces.values()
        for folder in sorted(each, key=lambda folder: folder.checkpoint_id, reverse=True)[:count]
    ]


def uploads(prefix: str) -> Plan[list[Upload]]:
    """List the unfinished multipart uploads of the keys below a prefix."""
    from langgraph_checkpoint_s3.s3.admin_requests import ListUploads  # unused in most processes

    page = yield from ask(ListUploads(prefix))
    found = list(page.uploads)
    while page.marker is not None:
        page = yield from ask(ListUploads(prefix, page.marker))
        found += page.uploads
    return found


def versions(prefix: str) -> Plan[list[Version]]:
    """List the versions and delete markers of the keys below a prefix, by key, the newest first."""
    from langgraph_checkpoint_s3.s3.admin_requests import ListVersions  # unused in most processes

    page = yield from ask(ListVersions(prefix, PAGE))
    found = list(page.versions)
    while page.marker is not None:
        page = yield from ask(ListVersions(prefix, PAGE, page.marker))
        found += page.versions
    return found
