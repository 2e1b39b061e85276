"""`list`: checkpoints newest first, filtered, a page at a time.

The saver's `list` and `alist` loop over `Listing.page`. Filters on id, source, step and run are decided by
keys, and others by the heads of objects. Only checkpoints that match are read whole, in growing windows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langgraph.checkpoint.base import CheckpointTuple

from langgraph_checkpoint_s3.format.ids import optional_id, text_of
from langgraph_checkpoint_s3.format.keys import AFTER_SLASH, Layout, encode_rank
from langgraph_checkpoint_s3.format.own_thread import show_own_thread
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.get_tuple import get_tuple
from langgraph_checkpoint_s3.plans.load import (
    Absent,
    Loaded,
    error_context,
    load,
    load_heads,
    thread_name_of,
)
from langgraph_checkpoint_s3.plans.place import Place, configurable_of
from langgraph_checkpoint_s3.plans.plan import Plan, ask, gather
from langgraph_checkpoint_s3.plans.scan import PAGE, Folder, Scan, list_behind
from langgraph_checkpoint_s3.s3.requests import ListObjects

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

_FIRST_WINDOW = 8
_LAST_WINDOW = 64
_WINDOW_BYTES = 32 * 1024 * 1024
_MOST_STREAMS = 16
"""Up to this many namespaces are listed side by side. With more, the whole thread is listed."""
_MOST_FOLDERS = 16_384
"""Up to this many checkpoints of a whole thread or prefix are kept in memory. For more it is listed again."""
_IN_THE_KEY = frozenset({"source", "step", "run_id"})


class Listing:
    """A call of `list`.

    Args:
        context: The saver's.
        config: The thread, and optionally a namespace and a checkpoint. `None` lists all threads.
        filter: Metadata that must be equal.
        before: A config; only checkpoints with a smaller id than its checkpoint_id are listed.
        limit: The maximum number of checkpoints.

    Raises:
        InvalidKeyError: A config isn't valid.
    """

    def __init__(
        self,
        context: Context,
        config: Mapping[str, Any] | RunnableConfig | None,
        filter: Mapping[str, Any] | None,
        before: Mapping[str, Any] | RunnableConfig | None,
        limit: int | None,
    ) -> None:
        self._context = context
        self._place: Place | None = None
        self._all_namespaces = False
        if config is not None and config != {}:
            self._place = Place.of(config)
            self._all_namespaces = configurable_of(config).get("checkpoint_ns") is None
        self._filter = dict(filter or {})
        self._indexed = context.layout.index_filter(self._filter)
        self._before: str | None = None
        if before is not None:
            before_id = configurable_of(before, "before").get("checkpoint_id")
            self._before = optional_id(before_id, "checkpoint_id") or None
        self._left = limit
        self._window = _FIRST_WINDOW
        self._largest = 0  # state so far, in bytes; an object that borrows is smaller than its state
        self._streams: list[_Stream] | None = None
        self._exhausted = False

    @property
    def done(self) -> bool:
        """`True` once all checkpoints were returned."""
        return self._exhausted or (self._left is not None and self._left <= 0)

    def page(self) -> Plan[list[CheckpointTuple]]:
        """Return the next checkpoints. There may be none even if more follow."""
        if self._streams is None:
            self._streams = yield from self._begin()
        folders = yield from self._candidates(self._streams)
        if not self._filter.keys() <= _IN_THE_KEY:
            folders = yield from self._matching(folders)
        found: list[CheckpointTuple] = []
        for folder, loaded in zip(folders, (yield from load(self._context, folders)), strict=True):
            if loaded is Absent.UNACKNOWLEDGED:
                continue
            if not isinstance(loaded, Loaded):  # deleted or replaced meanwhile
                shown = yield from get_tuple(self._context, folder.place)
            else:
                self._largest = max(self._largest, loaded.checkpoint.size)
                shown = loaded.tuple(self._context.serde)
            if shown is not None and self._matches(shown.metadata):
                found.append(shown)
        if self._left is not None:
            found = found[: self._left]
            self._left -= len(found)
        return found

    def _begin(self) -> Plan[list[_Stream]]:
        """Return the streams of folders, each newest first, to be merged."""
        layout, place = self._context.layout, self._place
        if place is None:
            return [self._whole(layout.prefix)]
        if self._all_namespaces:
            return (yield from self._thread(layout.thread(place.thread_id)))
        if place.checkpoint_id is not None:
            return [_Stream(Scan(layout, place.folder(layout)))]
        return [self._namespace(place.namespace(layout))]

    def _thread(self, thread: str) -> Plan[list[_Stream]]:
        """List a small thread at once, and a large one by namespace, unless it has many."""
        layout = self._context.layout
        whole = Scan(layout, thread)
        plans: list[Plan[Any]] = [whole.more(), ask(ListObjects(thread, delimiter="/"))]
        folders, names = yield from gather(plans)
        # If the prefixes lack a folder whose objects were just listed, the store ignores delimiters.
        known = {folder.namespace for folder in folders} <= set(names.prefixes)
        if whole.done or not known or names.token is not None or len(names.prefixes) > _MOST_STREAMS:
            return [self._whole(thread, whole, folders)]
        # The page shows all of the namespaces before its last one, and the beginning of that.
        last = folders[-1].namespace if folders else ""
        streams: list[_Stream] = []
        for prefix in names.prefixes:
            listed = [folder for folder in folders if folder.namespace == prefix]
            streams.append(_Stream(None, listed) if prefix < last else self._namespace(prefix, listed))
        return streams

    def _whole(self, prefix: str, scan: Scan | None = None, folders: Sequence[Folder] = ()) -> _Newest:
        wanted = _MOST_FOLDERS
        if self._left is not None and self._filter.keys() <= _IN_THE_KEY:
            wanted = min(wanted, self._left + _LAST_WINDOW)  # a few may be gone, or unacknowledged
        return _Newest(self._context.layout, prefix, wanted, self._may_match, scan, folders)

    def _namespace(self, prefix: str, listed: Sequence[Folder] = ()) -> _Stream:
        start_after = prefix + encode_rank(self._before) + AFTER_SLASH if self._before else None
        if listed:
            start_after = max(listed[-1].path + AFTER_SLASH, start_after or "")
        # A checkpoint normally has two or three objects.
        page = PAGE if self._left is None or self._filter else min(PAGE, max(64, 4 * self._left))
        scan = Scan(self._context.layout, prefix, start_after=start_after, page=page)
        if self._left is None and not self._filter.keys().isdisjoint(_IN_THE_KEY):
            return _Filtered(self._context.layout, prefix, scan, listed, self._may_match)
        return _Stream(scan, listed)

    def _candidates(self, streams: Sequence[_Stream]) -> Plan[list[Folder]]:
        """Return the next window of folders that can match, judging by their keys."""
        window = self._window
        if self._left is not None and self._filter.keys() <= _IN_THE_KEY:
            window = min(self._left, _LAST_WINDOW)  # the keys decide, so no more are needed
        self._window = min(2 * self._window, _LAST_WINDOW)
        chosen: list[Folder] = []
        size = 0
        while len(chosen) < window and size < _WINDOW_BYTES:
            yield from gather(stream.fill() for stream in streams)
            first = max(
                (stream for stream in streams if stream.folders),
                key=lambda stream: stream.folders[0].checkpoint_id,
                default=None,
            )
            if first is None:
                self._exhausted = True
                break
            folder = first.folders.popleft()
            if self._may_match(folder):
                chosen.append(folder)
                size += max(self._largest, sum(entry.size for entry in folder.entries))
        return chosen

    def _may_match(self, folder: Folder) -> bool:
        wanted = self._place.checkpoint_id if self._place else None
        if not folder.checkpoints or (wanted is not None and folder.checkpoint_id != wanted):
            return False
        if self._before and folder.checkpoint_id >= self._before:
            return False
        if self._filter.keys().isdisjoint(_IN_THE_KEY):
            return True
        return folder.leaf is None or folder.leaf.may_match(self._indexed)

    def _matching(self, folders: Sequence[Folder]) -> Plan[list[Folder]]:
        """Return the folders whose metadata matches, according to the heads of their objects."""
        matching: list[Folder] = []
        for folder, record in zip(folders, (yield from load_heads(self._context, folders)), strict=True):
            if record is None:
                matching.append(folder)  # reading it whole will tell whether it is gone
                continue
            with error_context(folder.key):
                metadata = record.metadata(self._context.serde)
                if self._matches(show_own_thread(metadata, thread_name_of(folder, record))):
                    matching.append(folder)
        return matching

    def _matches(self, metadata: Mapping[str, Any]) -> bool:
        return all(_equal(name, metadata.get(name), value) for name, value in self._filter.items())


def _equal(name: str, found: Any, wanted: Any) -> bool:
    """Return whether metadata matches a filter. A run id may be a UUID or its text."""
    if found == wanted:
        return True
    return name == "run_id" and text_of(found) is not None and text_of(found) == text_of(wanted)


class _Stream:
    """Folders of one namespace, newest first, listed as needed."""

    def __init__(self, scan: Scan | None, folders: Sequence[Folder] = ()) -> None:
        self.folders = deque(folders)
        self._scan = scan

    def fill(self) -> Plan[None]:
        """List on until there is a folder or the listing ends."""
        while not self.folders and self._scan is not None and not self._scan.done:
            self.folders.extend((yield from self._scan.more()))


class _Filtered(_Stream):
    """Folders of one namespace, newest first, of which keys tell that few are wanted.

    All of it has to be listed for them. So what is behind the first page is listed at once.

    Args:
        layout: The saver's keys.
        prefix: The namespace's folder.
        scan: A listing of it.
        folders: The folders before those of the listing.
        may_match: Returns whether a folder can be wanted.
    """

    def __init__(
        self,
        layout: Layout,
        prefix: str,
        scan: Scan,
        folders: Sequence[Folder],
        may_match: Callable[[Folder], bool],
    ) -> None:
        super().__init__(scan, folders)
        self._layout = layout
        self._prefix = prefix
        self._may_match = may_match
        self._page: list[Folder] = []

    def fill(self) -> Plan[None]:
        """List a page, and then the rest."""
        if self.folders or self._scan is None or self._scan.done:
            return
        if self._page:
            self._scan = None
            self.folders.extend(
                (yield from list_behind(self._layout, self._prefix, self._page, self._may_match))
            )
        while not self.folders and self._scan is not None and not self._scan.done:
            self._page = yield from self._scan.more()
            self.folders.extend(self._page)


class _Newest(_Stream):
    """Folders of any number of namespaces, newest first.

    Their keys aren't in this order, so all are listed, and as many kept as are probably wanted. If these
    don't suffice, all are listed again for those behind them.

    Args:
        layout: The saver's keys.
        prefix: The folder of a thread, or the saver's prefix.
        wanted: How many folders to keep at first.
        may_match: Returns whether a folder can be wanted.
        scan: A listing of the prefix that has begun.
        folders: What it has returned.
    """

    def __init__(
        self,
        layout: Layout,
        prefix: str,
        wanted: int,
        may_match: Callable[[Folder], bool],
        scan: Scan | None,
        folders: Sequence[Folder],
    ) -> None:
        super().__init__(scan or Scan(layout, prefix))
        self._layout = layout
        self._prefix = prefix
        self._wanted = wanted
        self._may_match = may_match
        self._begun = folders
        self._last: tuple[str, str] | None = None
        self._complete = False

    def fill(self) -> Plan[None]:
        """List all, unless there are folders left, and keep the next ones."""
        if self.folders or self._complete:
            return
        scan = self._scan or Scan(self._layout, self._prefix)
        found: list[Folder] = []
        left_out = self._add(found, self._begun)
        while not scan.done:
            left_out |= self._add(found, (yield from scan.more()))
        found.sort(key=_order)
        self._complete = not left_out and len(found) <= self._wanted
        self.folders.extend(found[: self._wanted])
        if self.folders:
            self._last = _order(self.folders[-1])
        self._scan, self._begun = None, ()
        self._wanted = min(2 * self._wanted, _MOST_FOLDERS)

    def _add(self, found: list[Folder], folders: Sequence[Folder]) -> bool:
        """Add those of some folders that are wanted. Return whether others had to be left out for them."""
        for each in folders:
            each.place  # noqa: B018  # parsed in any case: a key that no saver wrote is an error
            if self._may_match(each) and (self._last is None or self._last < _order(each)):
                found.append(each)
        if len(found) <= self._wanted + min(self._wanted, PAGE):
            return False
        found.sort(key=_order)
        del found[self._wanted :]
        return True


def _order(folder: Folder) -> tuple[str, str]:
    """Return by what folders of several namespaces are sorted: the newest first."""
    return folder.path.rpartition("/")[2], folder.path
