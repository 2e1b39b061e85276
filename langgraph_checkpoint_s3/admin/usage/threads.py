"""Listing threads. From LISTs alone, except for hashed names."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from contextlib import suppress

from langgraph_checkpoint_s3.admin.inventory.report import Report, from_report
from langgraph_checkpoint_s3.errors import CorruptObjectError, DecryptionError, NotSupportedError
from langgraph_checkpoint_s3.format.key_encoding import (
    HASHED,
    HashedName,
    decode_component,
    encode_component,
)
from langgraph_checkpoint_s3.format.keys import THREAD_SUFFIX, Layout
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.load import open_object, read_heads
from langgraph_checkpoint_s3.plans.plan import Plan, ask, gather
from langgraph_checkpoint_s3.plans.scan import PAGE, Pages
from langgraph_checkpoint_s3.s3.requests import Body, Entry, ListObjects


class ThreadListing:
    """A listing of thread ids, in the order of their keys, a page at a time.

    A hashed name is read from one of the thread's objects, since keys have only the hash.
    """

    def __init__(
        self,
        context: Context,
        prefix: str = "",
        limit: int | None = None,
        report: Report | None = None,
    ) -> None:
        layout = context.layout
        self._report = report
        self._context = context
        self._layout = layout
        self._prefix = prefix
        # Long names with the prefix are hashed, so they are listed apart.
        begin = [layout.prefix + HASHED] if layout.names or prefix else [layout.prefix]
        if prefix and not layout.names:
            begin.append(layout.prefix + encode_component(prefix, "prefix"))
        self._begin = deque(begin)
        self._left = limit
        self._first = PAGE if limit is None or layout.names else min(limit, PAGE)
        self._pages: Pages | None = None
        self._found = False

    @property
    def done(self) -> bool:
        """True if the listing is complete."""
        return not self._begin or (self._left is not None and self._left <= 0)

    def page(self) -> Plan[list[str]]:
        """Return the next ids, which may be none, also before `done`."""
        pages = self._pages = self._pages or Pages(self._begin[0], first=self._first, delimiter="/")
        page = yield from from_report(self._report, pages.more())
        self._found = self._found or bool(page.prefixes)
        if pages.done:
            self._pages, begin = None, self._begin.popleft()
            if not self._begin and not self._found:
                yield from from_report(self._report, self._check_empty(begin))
        names = (thread_in(self._layout, folder) for folder in page.prefixes)
        found = [name for name in names if name is not None]
        hashed = [name for name in found if isinstance(name, HashedName)]
        if hashed:
            read = yield from gather([_name(self._context, name) for name in hashed])
            known: dict[str, str] = dict(zip(hashed, read, strict=True))
            found = [known.get(name, name) for name in found]
            found = [name for name in found if isinstance(name, HashedName) or name.startswith(self._prefix)]
        found = found[: self._left]
        if self._left is not None:
            self._left -= len(found)
        return found

    def _check_empty(self, begin: str) -> Plan[None]:
        """Check by a listing without a delimiter that there are no folders."""
        keys = yield from ask(ListObjects(begin, 1))
        if any("/" in entry.key[len(begin) :] for entry in keys.entries):
            raise NotSupportedError(
                "The store doesn't list folders (by a delimiter), and by that threads are found: there are "
                f"some below {begin!r}, and none was listed. What names its thread works without"
            )


def thread_in(layout: Layout, folder: str) -> str | None:
    """Return the thread of a folder; `None` if it isn't a saver's."""
    name = folder[len(layout.prefix) : -1]
    if not name.endswith(THREAD_SUFFIX):
        return None
    try:
        return decode_component(name[: -len(THREAD_SUFFIX)])
    except ValueError:
        return None


def _name(context: Context, thread_id: str) -> Plan[str]:
    """Return a thread's name from one of its objects, or the hash if this saver's keys can't read them."""
    page = yield from ask(ListObjects(context.layout.thread(thread_id), 1))
    return (yield from read_name(context, thread_id, page.entries))


def read_name(context: Context, thread_id: str, entries: Iterable[Entry]) -> Plan[str]:
    """Return a thread's name from one of these objects, or the hash if this saver's keys can't read them."""
    for entry in entries:
        with suppress(CorruptObjectError, DecryptionError):
            body = (yield from read_heads(context, [entry]))[entry.key]
            if isinstance(body, Body):
                name = open_object(context, entry.key, body).container.fields.get("thread")
                return name if isinstance(name, str) else thread_id
    return thread_id


def all_threads(context: Context) -> Plan[list[str]]:
    """Return the ids of all threads."""
    listing = ThreadListing(context)
    found: list[str] = []
    while not listing.done:
        found += yield from listing.page()
    return found
