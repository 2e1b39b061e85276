"""Plans that read all items below a folder: a listing, the index, and what has changed since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from langgraph_checkpoint_s3.errors import (
    CorruptObjectError,
    DecryptionError,
    S3CheckpointError,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.memory.index import Row, encode_index, fits_index, open_index
from langgraph_checkpoint_s3.memory.items import open_item
from langgraph_checkpoint_s3.memory.shelf import INDEX, ITEM, Namespace, Shelf
from langgraph_checkpoint_s3.plans.data_keys import key_to_write, unlock
from langgraph_checkpoint_s3.plans.plan import Plan, gather, return_errors
from langgraph_checkpoint_s3.plans.scan import PAGE, Pages
from langgraph_checkpoint_s3.plans.transfer import fetch, store, windows
from langgraph_checkpoint_s3.s3.cache import Lru
from langgraph_checkpoint_s3.s3.requests import Body, Entry, Stored

_FEW: Final = 16
"""So many items are read by themselves, rather than the index."""
_STALE: Final = 32
"""An index is written anew once so many items differ from it, and one in eight of all."""
_STALE_SHARE: Final = 8
_PART: Final = PAGE * 9 // 10
"""Keys of a part of a long listing, so that some new ones fit into its page."""


@dataclass(frozen=True, slots=True)
class View:
    """All items below a folder, as this process last saw them.

    Attributes:
        rows: The items, by their objects' keys.
        indexed: The ETags of the items in the index, by their objects' keys.
        index_etag: The index's ETag; empty if there is none.
    """

    rows: Mapping[str, Row] = field(default_factory=dict)
    indexed: Mapping[str, str] = field(default_factory=dict)
    index_etag: str = ""

    @property
    def size(self) -> int:
        """Bytes of memory, about."""
        return sum(row.record.size for row in self.rows.values()) + 200 * len(self.indexed)


class ItemCache:
    """Items and views that this process has read or written.

    Args:
        capacity: Bytes of memory.

    Attributes:
        index_forbidden: Whether this process may not write indexes.
        state: Another object after each item that was written, and each time that all were cleared.
    """

    def __init__(self, capacity: int) -> None:
        self._lru = Lru(capacity)
        self.index_forbidden = False
        self.state = object()

    def view(self, folder: str) -> View:
        """Return what is known of a folder."""
        found: View | None = self._lru.recall((folder,))
        return found or View()

    def add_view(self, folder: str, view: View) -> None:
        """Keep what was seen of a folder."""
        self._lru.keep((folder,), view, view.size)

    def row(self, key: str) -> Row | None:
        """Return an item, by its object's key."""
        found: Row | None = self._lru.recall(key)
        return found

    def add(self, key: str, row: Row) -> None:
        """Keep an item that was written."""
        self.state = object()
        if row.etag:
            self._lru.keep(key, row, row.record.size)

    def add_read(self, rows: Mapping[str, Row], state: object) -> None:
        """Keep items that were read, unless an item was written or cleared meanwhile: it may be one of them.

        Args:
            rows: The items, by their objects' keys.
            state: `state` when the reading began.
        """
        for key, row in rows.items():
            self._lru.keep(key, row, row.record.size)
            if state is not self.state:  # asked afterwards, since another thread may change it at any time
                self._lru.drop(key)

    def drop(self, key: str) -> None:
        """Drop an item."""
        self._lru.drop(key)

    def clear(self) -> None:
        """Drop everything."""
        self.state = object()
        self._lru.clear()


def load_view(shelf: Shelf, cache: ItemCache, namespace: Namespace) -> Plan[View]:
    """Read all items of a namespace, and of those that begin with it.

    Takes a LIST per 1,000 items, side by side where this process or the index knows the keys; and a GET for
    the index, and for each item that is neither in the index nor known. If these were many, the index is
    written anew.
    """
    folder = shelf.folder(namespace)
    state = _State(shelf, cache, cache.view(folder))
    entries = yield from _list(state, folder)
    index = next((entry for entry in entries if entry.key == folder + INDEX), None)
    items = [entry for entry in entries if entry.key.endswith(ITEM)]
    if index is not None and state.lacks_many(items):
        yield from state.read_index(index)
    rows = yield from state.read(items)
    if _is_stale(rows, state.indexed) and not cache.index_forbidden:
        if index is not None:
            yield from state.read_index(index)  # another process may have written it meanwhile
        if _is_stale(rows, state.indexed):
            yield from state.write_index(folder + INDEX, rows)
    view = View(rows, state.indexed, state.index_etag)
    cache.add_view(folder, view)
    return view


def read_listed(shelf: Shelf, items: Sequence[Entry]) -> Plan[dict[str, Row]]:
    """Read listed items. Those that were deleted since the listing are left out."""
    found: dict[str, Row] = {}
    for window in windows([items]):
        bodies = yield from fetch(window, shelf.context.sizes)
        yield from unlock(shelf.context, bodies)
        for entry, body in zip(window, bodies, strict=True):
            if isinstance(body, Body):
                found[entry.key] = Row(body.etag, open_item(shelf, entry.key, body.data))
    return found


def _is_stale(rows: Mapping[str, Row], indexed: Mapping[str, str]) -> bool:
    stale = sum(indexed.get(key) != row.etag for key, row in rows.items() if fits_index(row.record))
    return stale >= max(_STALE, len(rows) // _STALE_SHARE)


class _State:
    """The items that one search knows of a folder, and where from."""

    def __init__(self, shelf: Shelf, cache: ItemCache, view: View) -> None:
        self._shelf = shelf
        self._cache = cache
        self._sources: list[Mapping[str, Row]] = [view.rows]
        self.indexed = view.indexed
        self.index_etag = view.index_etag

    def all_keys(self) -> set[str]:
        """Return the keys of the items that were there some time ago."""
        return {key for source in (*self._sources, self.indexed) for key in source}

    def known(self, entry: Entry) -> Row | None:
        """Return a listed item, if it is known as it is now."""
        for source in self._sources:
            row = source.get(entry.key)
            if row is not None and row.etag == entry.etag:
                return row
        row = self._cache.row(entry.key)
        return row if row is not None and row.etag == entry.etag else None

    def lacks_many(self, items: Sequence[Entry]) -> bool:
        """Return whether so many of the listed items must be read that the index is worth reading first."""
        return sum(self.known(entry) is None for entry in items) > _FEW

    def read(self, items: Sequence[Entry]) -> Plan[dict[str, Row]]:
        """Return all listed items. Those that were deleted since the listing are left out."""
        known = {entry.key: self.known(entry) for entry in items}
        found = yield from read_listed(self._shelf, [entry for entry in items if known[entry.key] is None])
        rows = ((key, row or found.get(key)) for key, row in known.items())
        return {key: row for key, row in rows if row is not None}

    def read_index(self, index: Entry) -> Plan[None]:
        """Read the index, unless it is known. A damaged one is as good as none."""
        if index.etag == self.index_etag:
            return
        [body] = yield from fetch([index], self._shelf.context.sizes)
        if not isinstance(body, Body):
            return
        yield from unlock(self._shelf.context, [body])
        try:
            rows = open_index(self._shelf, index.key, body.data)
        except (CorruptObjectError, DecryptionError):
            rows = {}
        self._sources.append(rows)
        self.indexed = {key: row.etag for key, row in rows.items()}
        self.index_etag = body.etag

    def write_index(self, key: str, rows: Mapping[str, Row]) -> Plan[None]:
        """Write the index anew. A process that may not write can search all the same."""
        body = encode_index(self._shelf, key, rows, (yield from key_to_write(self._shelf.context)))
        written = yield from return_errors(store(key, body, self._shelf.context.sizes))
        if isinstance(written, S3CheckpointError):
            self._cache.index_forbidden = not isinstance(written, StorageUnavailableError)
            return
        outcome, _ = written
        self.indexed = {name: row.etag for name, row in rows.items() if fits_index(row.record)}
        self.index_etag = outcome.etag if isinstance(outcome, Stored) else ""


def _list(state: _State, folder: str) -> Plan[list[Entry]]:
    """List a folder. Parts of a long one are listed side by side, where its keys are known."""
    entries: list[Entry] = []
    start: str | None = None
    if len(state.all_keys()) < PAGE:
        pages = Pages(folder)
        page = yield from pages.more()
        entries += page.entries
        if pages.done:
            return entries
        start = entries[-1].key if entries else None
        index = next((entry for entry in entries if entry.key == folder + INDEX), None)
        if index is not None:
            yield from state.read_index(index)
    known = sorted(key for key in state.all_keys() if start is None or key > start)
    points = known[_PART::_PART]
    parts = yield from gather(
        _between(Pages(folder, start_after=begin), end)
        for begin, end in zip([start, *points], [*points, None], strict=True)
    )
    return [*entries, *(entry for part in parts for entry in part)]


def _between(pages: Pages, end: str | None) -> Plan[list[Entry]]:
    """Return the objects of a listing up to a key."""
    found: list[Entry] = []
    while not pages.done:
        page = yield from pages.more()
        found += (entry for entry in page.entries if end is None or entry.key <= end)
        if end is not None and page.entries and page.entries[-1].key >= end:
            break
    return found
