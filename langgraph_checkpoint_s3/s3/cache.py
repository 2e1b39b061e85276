"""Caches of recently used items and object bodies, bounded in bytes, their own overhead included.

A listing has each object's ETag, so a cached body is exactly what S3 would return: an object that another
process overwrote has another ETag, and is read again. Bodies are cached as they are stored, so a graph that
changes a loaded value can't change the cache.
"""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, Final

from langgraph_checkpoint_s3.fork_safety import renew_after_fork
from langgraph_checkpoint_s3.format.pieces import Data, Pieces, joined
from langgraph_checkpoint_s3.s3.requests import Body, GetObject

ENTRY_BYTES: Final = 200
"""The approximate overhead of an entry in bytes: its places in tables, and its tuples."""
ITEM_BYTES: Final = 180
"""The approximate overhead of a body or frame in bytes: the object, its numbers, its ETag."""


class Lru:
    """A cache that drops the least recently used items. Safe to use from many threads.

    Args:
        capacity: The most bytes to hold; 0 caches nothing.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._items: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Keep the items, and add up their sizes: a thread of the parent may have been changing the sum."""
        self._lock = threading.Lock()
        self._size = sum(size for _, size in self._items.values())

    @property
    def size(self) -> int:
        """The bytes held."""
        return self._size

    def recall(self, slot: Hashable) -> Any:
        """Return the item of a slot; `None` if there is none."""
        with self._lock:
            item = self._items.get(slot)
            if item is None:
                return None
            self._items.move_to_end(slot)
            return item[0]

    def keep(self, slot: Hashable, item: Any, size: int) -> None:
        """Put an item into a slot, unless it is larger than the whole cache.

        Args:
            slot: The slot.
            item: The item.
            size: The size of both in bytes, without `ENTRY_BYTES`.
        """
        size += ENTRY_BYTES
        with self._lock:
            self._drop(slot)
            if size > self.capacity or self.capacity == 0:
                return
            self._items[slot] = (item, size)
            self._size += size
            while self._size > self.capacity:
                self._drop(next(iter(self._items)))

    def drop(self, slot: Hashable) -> None:
        """Empty a slot."""
        with self._lock:
            self._drop(slot)

    def clear(self) -> None:
        """Drop everything."""
        with self._lock:
            self._items.clear()
            self._size = 0

    def _drop(self, slot: Hashable) -> None:
        _, size = self._items.pop(slot, (None, 0))
        self._size -= size


class BodyCache:
    """A cache of objects' bodies, in whole or in parts. Of the whole bodies, it has each object's latest.

    Args:
        lru: The cache that holds them.
    """

    def __init__(self, lru: Lru) -> None:
        self.lru = lru

    def recall(self, request: GetObject) -> Body | None:
        """Return the cached answer to a request that names an ETag; `None` if there is none."""
        key, etag, first, length = request.key, request.etag, request.first, request.length
        if etag is None:
            return None
        whole = self.whole(key)
        if whole is None or whole.etag != etag:
            part: Body | None = self.lru.recall((key, etag, first, length))
            return part
        if (first, length) == (0, None):
            return whole
        return Body(whole.data[first : None if length is None else first + length], etag, whole.size)

    def has(self, key: str, etag: str | None) -> bool:
        """Return whether it has an object's whole body."""
        whole: Body | None = self.lru.recall(key)
        return whole is not None and whole.etag == etag

    def keep(self, key: str, body: Body, first: int = 0, length: int | None = None) -> None:
        """Cache the answer to a request, or an object that was written."""
        if body.etag:
            slot = key if first == 0 and len(body.data) == body.size else (key, body.etag, first, length)
            self.lru.keep(slot, body, sys.getsizeof(key) + ITEM_BYTES + _memory(body.data))

    def whole(self, key: str) -> Body | None:
        """Return the latest whole body of an object that was cached; `None` if it is gone."""
        found: Body | None = self.lru.recall(key)
        if found is not None and isinstance(found.data, Pieces):
            found.data = joined(found.data)  # a large one that was written, and is read for the first time
        return found

    def clear(self) -> None:
        """Drop everything."""
        self.lru.clear()


def _memory(data: Data) -> int:
    return sys.getsizeof(data) if type(data) is bytes else len(data)
