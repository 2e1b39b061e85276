"""`Report`: an inventory report that answers a plan's LISTs of the saver's prefix."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from datetime import datetime, timedelta
from functools import partial
from operator import itemgetter
from typing import Any, Final, TypeVar

from langgraph_checkpoint_s3.admin.inventory.manifest import EPOCH
from langgraph_checkpoint_s3.admin.inventory.rows import BLOCK, Row, SortedRows
from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.plans.plan import Plan, ask, replace_requests
from langgraph_checkpoint_s3.plans.scan import PAGE
from langgraph_checkpoint_s3.s3.requests import Attempted, Call, Entry, ListObjects, Page, Request

T = TypeVar("T")

_LATE: Final = timedelta(days=2)
"""How long before a report an object must have been written for its absence to mean something."""


class Report:
    """The objects below a saver's prefix, as a report lists them.

    Attributes:
        created: The time at which S3 began to make the report.
    """

    def __init__(self, rows: SortedRows, prefix: str, created: datetime) -> None:
        self.created = created
        self._rows = rows
        self._prefix = prefix
        self._lock = threading.Lock()

    def close(self) -> None:
        """Remove the report's temporary files."""
        with self._lock:
            self._rows.close()

    def check_covers(self) -> Plan[None]:
        """Check by one or two LISTs that the report covers the prefix.

        A manifest doesn't name the inventory's own prefix. All keys of the report begin with it, so if those
        below the saver's prefix have no longer beginning in common, it covers them. If they have one, objects
        without it must be newer than the report.

        Raises:
            InvalidConfigError: There are older objects below the prefix that the report lacks.
        """
        page = yield from ask(ListObjects(self._prefix, PAGE))
        common = self._common()
        if common == self._prefix:
            return
        entries = page.entries
        if common is not None:
            behind = yield from ask(ListObjects(self._prefix, PAGE, _after(common)))
            entries += behind.entries
        for entry in entries:
            if not entry.key.startswith(common or "\0") and entry.modified < self.created - _LATE:
                shown = "nothing" if common is None else f"only keys that begin with {common!r}"
                raise InvalidConfigError(
                    f"The inventory report has {shown} below this saver's prefix {self._prefix!r}, and "
                    f"{entry.key!r} is older than the report: it seems to be about another prefix. The "
                    "inventory's filter must be empty, or a beginning of the saver's prefix."
                )

    def answer(self, plan: Plan[T]) -> Plan[T]:
        """Run a plan whose LISTs, which are all below the prefix, are answered from the report."""
        return replace_requests(plan, self._replace)

    def page(self, request: ListObjects) -> Page:
        """Return what S3 would have answered to a LIST when the report was made."""
        with self._lock:
            return self._page(request)

    def _replace(self, request: Request[Any]) -> Request[Any]:
        if isinstance(request, Attempted):
            return Attempted(self._replace(request.request))
        return Call(partial(self.page, request)) if isinstance(request, ListObjects) else request

    def _page(self, request: ListObjects) -> Page:
        prefix, delimiter = request.prefix, request.delimiter
        if request.token is not None:
            number = int(request.token)
        elif request.start_after is not None and request.start_after >= prefix:
            number = self._behind(request.start_after)
        else:
            number = self._first(prefix)
        entries: list[Entry] = []
        prefixes: list[str] = []
        last = self._row(number - 1)[0] if number else None
        block, rows = -1, list[Row]()
        while number < self._rows.count:
            if number // BLOCK != block:
                block = number // BLOCK
                rows = self._rows.block(block)
            key, size, modified, etag, storage_class = rows[number % BLOCK]
            if not key.startswith(prefix):
                break
            if key == last:  # listed twice; the first is the newest
                number += 1
                continue
            if len(entries) + len(prefixes) == request.max_keys:
                return Page(tuple(entries), tuple(prefixes), str(number))
            cut = -1 if delimiter is None else key.find(delimiter, len(prefix))
            if delimiter is not None and cut >= 0:
                folder = key[: cut + len(delimiter)]
                prefixes.append(folder)
                number = self._first(_after(folder))
                continue
            entries.append(Entry(key, size, etag, EPOCH + timedelta(microseconds=modified), storage_class))
            last = key
            number += 1
        return Page(tuple(entries), tuple(prefixes), None)

    def _row(self, number: int) -> Row:
        return self._rows.block(number // BLOCK)[number % BLOCK]

    def _first(self, key: str) -> int:
        """Return the number of the first row whose key isn't less than this."""
        block = max(bisect_left(self._rows.firsts, key) - 1, 0)
        return block * BLOCK + bisect_left(self._block(block), key, key=itemgetter(0))

    def _behind(self, key: str) -> int:
        """Return the number of the first row whose key is greater than this."""
        block = max(bisect_right(self._rows.firsts, key) - 1, 0)
        return block * BLOCK + bisect_right(self._block(block), key, key=itemgetter(0))

    def _block(self, number: int) -> list[Row]:
        return self._rows.block(number) if self._rows.count else []

    def _common(self) -> str | None:
        """Return the longest beginning of all keys; `None` if there are none."""
        if not self._rows.count:
            return None
        first, last = self._row(0)[0], self._row(self._rows.count - 1)[0]
        length = min(len(first), len(last))
        while not last.startswith(first[:length]):
            length -= 1
        return first[:length]


def _after(beginning: str) -> str:
    """Return the least text that is greater than all that begin with this."""
    return beginning[:-1] + chr(ord(beginning[-1]) + 1)


def from_report(report: Report | None, plan: Plan[T]) -> Plan[T]:
    """Run a plan whose LISTs are answered from a report, if there is one."""
    return plan if report is None else report.answer(plan)
