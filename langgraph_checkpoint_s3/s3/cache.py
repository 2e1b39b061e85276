"""Remembers what was read or written lately, bounded in bytes, those of what holds it included.

A listing tells each object's ETag, so a body from here is exactly what S3 would give: what
another process overwrote has another ETag and is read anew. Bodies are held as they are stored, so
that nothing a graph does to a loaded value can reach what is here.
"""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, Final

from langgraph_checkpoint_s3.fork_safety import renew_after_fork
from langgraph_checkpoint_s3.s3.requests import Body, GetObject

ENTRY_BYTES: Final = 200
"""What an entry costs besides what is in it, about: its places in tables, and its tuples."""
ITEM_BYTES: Final = 180
"""What a body or a frame costs besides its bytes, about: the object, its numbers, its ETag."""


class Lru:
    """Keeps what was used lately, up to so many bytes. Safe to use from many threads.

    Args:
        capacity: The most bytes to hold; 0 holds nothing.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._items: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Keep what is here. A thread of the parent may have been about to count it."""
        self._lock = threading.Lock()
        self._size = sum(size for _, size in self._items.values())

    @property
    def size(self) -> int:
        """The bytes held."""
        return self._size

    def recall(self, slot: Hashable) -> Any:
        """What is in a slot; `None` if nothing is."""
        with self._lock:
            item = self._items.get(slot)
            if item is None:
                return None
            self._items.move_to_end(slot)
            return item[0]

    def keep(self, slot: Hashable, item: Any, size: int) -> None:
        """Put something into a slot, if it isn't larger than all there may be.

        Args:
            slot: The slot.
            item: What to put there.
            size: The bytes of both; what an entry costs besides is added.
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
        """Forget everything."""
        with self._lock:
            self._items.clear()
            self._size = 0

    def _drop(self, slot: Hashable) -> None:
        _, size = self._items.pop(slot, (None, 0))
        self._size -= size


class BodyCache:
    """The bodies of objects, by key, ETag and range.

    Args:
        lru: Where they are held.
    """

    def __init__(self, lru: Lru) -> None:
        self.lru = lru

    def recall(self, request: GetObject) -> Body | None:
        """The answer to a request for a known version of an object, if it is here."""
        if request.etag is None:
            return None
        found: Body | None = self.lru.recall((request.key, request.etag, request.first, request.length))
        if found is not None or (request.first, request.length) == (0, None):
            return found
        whole: Body | None = self.lru.recall((request.key, request.etag, 0, None))
        if whole is None:
            return None
        end = None if request.length is None else request.first + request.length
        return Body(whole.data[request.first : end], whole.etag, whole.size)

    def keep(self, key: str, body: Body, first: int = 0, length: int | None = None) -> None:
        """Remember the answer to a request, or what was written."""
        if not body.etag or len(body.data) > self.lru.capacity:
            return
        if first == 0 and len(body.data) == body.size:
            length = None  # the range was the whole object
            self.lru.keep((key,), body.etag, sys.getsizeof(key))
            held = 0
        else:
            held = sys.getsizeof(key)  # by no other entry
        self.lru.keep((key, body.etag, first, length), body, held + ITEM_BYTES + sys.getsizeof(body.data))

    def clear(self) -> None:
        """Forget everything."""
        self.lru.clear()

    def whole(self, key: str) -> Body | None:
        """The last of an object's versions that passed here whole, if it is still here."""
        etag = self.lru.recall((key,))
        found: Body | None = self.lru.recall((key, etag, 0, None)) if etag else None
        return found
