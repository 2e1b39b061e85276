"""Remembers what was read or written lately, by key and ETag.

A listing tells each object's ETag, so an answer from here is exactly what S3 would give: what
another process overwrote has another ETag and is read anew. Holds bytes as they are stored, so
that nothing a graph does to a loaded value can reach what is here.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from langgraph_checkpoint_s3.s3.requests import Body, GetObject

_Slot = tuple[str, str, int, "int | None"]


class BodyCache:
    """A least-recently-used cache of bodies, bounded in bytes. Safe to use from many threads.

    Args:
        capacity: The most bytes to hold; 0 holds nothing.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._bodies: OrderedDict[_Slot, Body] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """The bytes held."""
        return self._size

    def recall(self, request: GetObject) -> Body | None:
        """The answer to a request for a known version of an object, if it is here."""
        if request.etag is None:
            return None
        with self._lock:
            body = self._touch((request.key, request.etag, request.first, request.length))
            if body is not None or (request.first, request.length) == (0, None):
                return body
            whole = self._touch((request.key, request.etag, 0, None))
        if whole is None:
            return None
        end = None if request.length is None else request.first + request.length
        return Body(whole.data[request.first : end], whole.etag, whole.size)

    def keep(self, key: str, body: Body, first: int = 0, length: int | None = None) -> None:
        """Remember the answer to a request, or what was written."""
        if len(body.data) > self._capacity or not body.etag:
            return
        if first == 0 and len(body.data) == body.size:
            length = None  # the range was the whole object
        slot = (key, body.etag, first, length)
        with self._lock:
            old = self._bodies.pop(slot, None)
            self._size += len(body.data) - (len(old.data) if old else 0)
            self._bodies[slot] = body
            while self._size > self._capacity:
                self._size -= len(self._bodies.popitem(last=False)[1].data)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._bodies.clear()
            self._size = 0

    def _touch(self, slot: _Slot) -> Body | None:
        body = self._bodies.get(slot)
        if body is not None:
            self._bodies.move_to_end(slot)
        return body
