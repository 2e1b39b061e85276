"""Lists keys, page by page, and groups them by checkpoint. The one place that leans on a listing's order.

That order is checked with each page (`s3/answer_checks.py`): a store that lists in another one is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from langgraph_checkpoint_s3.errors import StorageUnavailableError
from langgraph_checkpoint_s3.fork_safety import cached_property
from langgraph_checkpoint_s3.format.keys import CheckpointLeaf, Layout
from langgraph_checkpoint_s3.plans.context import Address
from langgraph_checkpoint_s3.plans.plan import Plan, ask
from langgraph_checkpoint_s3.s3.requests import Entry, ListObjects, Page

if TYPE_CHECKING:
    from langgraph_checkpoint_s3.s3.admin_requests import Upload, Version

PAGE = 1000
"""The most keys that S3 lists at once."""
_MOST_EMPTY = 100
"""So many pages without a key, one after another, are a list without an end."""


class Folder:
    """All that a listing shows of one checkpoint. Its key is read only as far as somebody asks.

    Attributes:
        path: What its keys begin with.
        checkpoints: Its object. There are several only if one id was put with different metadata;
            then the latest counts. There is none if only writes have arrived, or stayed.
        writes: The objects of its tasks' writes.
    """

    def __init__(self, layout: Layout, path: str) -> None:
        self.path = path
        self.checkpoints: list[Entry] = []
        self.writes: list[Entry] = []
        self._layout = layout

    @property
    def namespace(self) -> str:
        """Its namespace's folder."""
        return self.path.rpartition("/")[0] + "/"

    @cached_property
    def address(self) -> Address:
        """Its thread, namespace and id, all of them set."""
        parsed = self._layout.parse(self.entries[0].key)
        return Address(parsed.thread_id, parsed.checkpoint_ns, parsed.checkpoint_id)

    @property
    def checkpoint_id(self) -> str:
        """Its checkpoint's id."""
        return self.address.checkpoint_id or ""

    @property
    def key(self) -> str:
        """The key to name in an error about it."""
        return self.entries[0].key

    @cached_property
    def leaves(self) -> list[CheckpointLeaf]:
        """What the keys tell of the checkpoint: one leaf, or several."""
        leaves = (self._layout.parse(entry.key).leaf for entry in self.checkpoints)
        return [leaf for leaf in leaves if isinstance(leaf, CheckpointLeaf)]

    @property
    def leaf(self) -> CheckpointLeaf | None:
        """What the key tells of the checkpoint, if there is exactly one."""
        return self.leaves[0] if len(self.leaves) == 1 else None

    def only(self, *checkpoints: Entry) -> Folder:
        """Some of its checkpoint's objects alone, without the writes."""
        folder = Folder(self._layout, self.path)
        folder.checkpoints += checkpoints
        return folder

    def without(self, checkpoint: Entry) -> Folder:
        """Return the folder without one of its checkpoint's objects."""
        folder = self.only(*(each for each in self.checkpoints if each is not checkpoint))
        folder.writes += self.writes
        return folder

    @property
    def entries(self) -> list[Entry]:
        """All of its objects."""
        return [*self.checkpoints, *self.writes]


class Pages:
    """Reads a listing page by page: what every list of objects is read by.

    Each page is asked for with the last name of the one before it, so that it is known to go on behind that.

    Args:
        prefix: What to list.
        start_after: The key behind which to begin.
        first: How many keys to ask for at first; by default as many as later. Later pages are larger: whoever
            reads on after the first one tends to want it all.
        page: How many to ask for later; by default as many as S3 lists at once.
        delimiter: What to fold names by.
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
        """Read the next page. One without a name may come, before `done` too.

        Raises:
            StorageUnavailableError: There come such pages without an end.
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
        """Read all the objects that are left."""
        entries: list[Entry] = []
        while not self.done:
            entries += (yield from self.more()).entries
        return entries


class Scan:
    """Reads a listing page by page and gives whole folders, newest first within a namespace.

    Args:
        layout: The saver's keys.
        prefix: What to list: a thread's, namespace's or checkpoint's folder, or all.
        start_after: The key behind which to begin.
        page: How many keys to ask for at first; later pages are as `Pages` has them.
    """

    def __init__(
        self, layout: Layout, prefix: str, *, start_after: str | None = None, page: int | None = None
    ) -> None:
        self._layout = layout
        self._pages = Pages(prefix, start_after=start_after, first=page)
        self._open: Folder | None = None

    @property
    def done(self) -> bool:
        """Return if nothing more is to come."""
        return self._pages.done

    def more(self) -> Plan[list[Folder]]:
        """The folders that the next page completes. None at all may come, before `done` too."""
        page = yield from self._pages.more()
        folders = group(self._layout, page.entries, self._open)
        self._open = None if self.done or not folders else folders.pop()
        return folders

    def rest(self) -> Plan[list[Folder]]:
        """All the folders that are left."""
        folders: list[Folder] = []
        while not self.done:
            folders += yield from self.more()
        return folders


def group(layout: Layout, entries: Iterable[Entry], last: Folder | None = None) -> list[Folder]:
    """Put the entries of one checkpoint together, in the listing's order.

    Keys that aren't in a thread's folder are somebody else's, and passed over.

    Args:
        layout: The saver's keys.
        entries: A page.
        last: The folder that the page before ended in, which this one may go on with.

    Raises:
        CorruptObjectError: A key in a thread's folder is neither a checkpoint's nor of writes.
    """
    folders = [last] if last else []
    for entry in entries:
        path, _, end = entry.key.rpartition("/")
        if not folders or folders[-1].path != path:
            if not layout.holds(entry.key):
                continue
            folders.append(Folder(layout, path))
        if end.startswith("writes."):
            folders[-1].writes.append(entry)
        elif end.partition(".")[0] == "checkpoint":
            folders[-1].checkpoints.append(entry)
        elif end:
            layout.parse(entry.key)
    return folders


def latest(folders: Iterable[Folder]) -> list[Folder]:
    """Of each namespace's checkpoints the newest one. Folders without a checkpoint don't count."""
    newest: dict[str, Folder] = {}
    for folder in folders:
        name = folder.address.namespace
        if folder.checkpoints and folder.checkpoint_id >= newest.get(name, folder).checkpoint_id:
            newest[name] = folder
    return list(newest.values())


def uploads(prefix: str) -> Plan[list[Upload]]:
    """List the unfinished multipart uploads of the keys below a prefix."""
    from langgraph_checkpoint_s3.s3.admin_requests import ListUploads

    page = yield from ask(ListUploads(prefix))
    found = list(page.uploads)
    while page.marker is not None:
        page = yield from ask(ListUploads(prefix, page.marker))
        found += page.uploads
    return found


def versions(prefix: str) -> Plan[list[Version]]:
    """All versions and delete markers of the keys below a prefix, by key, the newest first."""
    from langgraph_checkpoint_s3.s3.admin_requests import ListVersions

    page = yield from ask(ListVersions(prefix, PAGE))
    found = list(page.versions)
    while page.marker is not None:
        page = yield from ask(ListVersions(prefix, PAGE, page.marker))
        found += page.versions
    return found
