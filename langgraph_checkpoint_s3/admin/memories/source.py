"""The plan of `migrate_memories`: copies the items of another store, namespace by namespace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from functools import partial
from typing import Any, Final

from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.store.base import BaseStore, SearchItem

from langgraph_checkpoint_s3.admin.calls import Progress, call, report
from langgraph_checkpoint_s3.admin.memories.writer import ImportedMemories, ItemWriter
from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.format.serialization import dump
from langgraph_checkpoint_s3.memory.items import ItemRecord
from langgraph_checkpoint_s3.memory.shelf import Namespace
from langgraph_checkpoint_s3.plans.plan import Plan, batched

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_PAGE: Final = 1000
_AT_ONCE: Final = 64


class SourceStore:
    """A store that is read from. The async driver uses its coroutines.

    Raises:
        InvalidConfigError: It isn't a store.
    """

    def __init__(self, store: BaseStore) -> None:
        given: object = store
        if not isinstance(given, BaseStore):
            raise InvalidConfigError(
                f"The source must be a BaseStore, not {type(given).__name__}: `migrate` takes savers."
            )
        self._store = store

    def roots(self, prefix: Namespace) -> Plan[list[Namespace]]:
        """Return the namespaces that begin with a prefix, without those that begin with another of them."""
        found: set[Namespace] = set()
        offset, known = 0, -1
        while len(found) > known:
            known = len(found)
            asked: dict[str, Any] = {"prefix": prefix or None, "limit": _PAGE, "offset": offset}
            page = yield from call(
                partial(self._store.list_namespaces, **asked), partial(self._store.alist_namespaces, **asked)
            )
            found |= set(map(tuple, page))
            offset += len(page)
        roots: list[Namespace] = []
        for namespace in sorted(found):  # a namespace comes before those that begin with it
            if not roots or namespace[: len(roots[-1])] != roots[-1]:
                roots.append(namespace)
        return roots

    def read(self, namespace: Namespace, limit: int, offset: int) -> Plan[list[SearchItem]]:
        """Return a page of the items of a namespace, and of those that begin with it."""
        asked: dict[str, Any] = {"limit": limit, "offset": offset, "refresh_ttl": False}
        return (
            yield from call(
                partial(self._store.search, namespace, **asked),
                partial(self._store.asearch, namespace, **asked),
            )
        )


def migrate_memories(
    source: SourceStore,
    prefix: Namespace,
    writer: ItemWriter,
    convert: Callable[[SearchItem], ItemRecord],
    progress: Progress | None,
) -> Plan[ImportedMemories]:
    """Copy the items of another store."""
    yield from writer.look(prefix)
    for root in (yield from source.roots(prefix)):
        seen = _Seen(root)
        known = -1
        while seen.distinct > known:
            known = seen.distinct
            page = yield from source.read(root, _PAGE, seen.rows)
            yield from _write(writer, seen.add(page), convert, progress)
        if seen.misses_some:
            page = yield from source.read(root, seen.rows + _PAGE, 0)
            yield from _write(writer, seen.add(page), convert, progress)
    return writer.outcome


def _write(
    writer: ItemWriter,
    items: Sequence[SearchItem],
    convert: Callable[[SearchItem], ItemRecord],
    progress: Progress | None,
) -> Plan[None]:
    for some in batched(items, _AT_ONCE):
        yield from writer.write([convert(item) for item in some])
        yield from report(progress, writer.outcome.items, None)


class _Seen:
    """Items that pages of a namespace have shown.

    Where items have the same time, a store may show them in another order with each page: one of them twice,
    and so another one not at all.

    Args:
        root: The namespace.

    Attributes:
        rows: The number of rows of the pages.
    """

    def __init__(self, root: Namespace) -> None:
        self.rows = 0
        self._root = root
        self._names: set[tuple[Namespace, str]] = set()

    @property
    def distinct(self) -> int:
        """The number of different items."""
        return len(self._names)

    @property
    def misses_some(self) -> bool:
        """`True` if an item was shown twice."""
        return self.distinct < self.rows

    def add(self, page: Sequence[SearchItem]) -> list[SearchItem]:
        """Return the items of a page that weren't seen before."""
        items = {(tuple(item.namespace), item.key): item for item in page}
        fresh = {name: item for name, item in items.items() if name not in self._names}
        self.rows += len(page)
        self._names |= fresh.keys()
        # In some stores, `users.ada` is a prefix of `users.adam`.
        size = len(self._root)
        return [item for (namespace, _), item in fresh.items() if namespace[:size] == self._root]


def record_of(item: SearchItem, serde: SerializerProtocol, ttl: int | None, now: int) -> ItemRecord:
    """Return an item of another store as a new one here. Its time to live, in ns, begins now."""
    kind, raw = dump(serde, dict(item.value))
    expires = None if ttl is None else now + ttl
    updated = item.updated_at if item.updated_at.tzinfo else item.updated_at.replace(tzinfo=timezone.utc)
    since = updated - _EPOCH
    nanoseconds = (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000
    return ItemRecord(tuple(item.namespace), item.key, kind, raw, max(nanoseconds, 0), ttl, expires)
