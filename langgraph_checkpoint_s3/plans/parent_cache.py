"""Cache of recently seen checkpoints, used to encode their children, of frames, and of listings for a walk.

Correctness never depends on it: without a cached parent a checkpoint is written whole, frames are read, and
keys are listed.
"""

from __future__ import annotations

import sys
from typing import Any, Final, NamedTuple

from langgraph_checkpoint_s3.format.borrowing import Known
from langgraph_checkpoint_s3.format.frames import Frame
from langgraph_checkpoint_s3.s3.cache import ITEM_BYTES, BodyCache, Lru

_NO_TOMBSTONES: Final = "no tombstones"
_WALK: Final = "walk"
_WALK_SHARE: Final = 8
"""A walk's folders may take one part in this many of the cache."""


class CachedCheckpoint(NamedTuple):
    """A cached checkpoint, from which its children may borrow.

    Attributes:
        known: The values and frames to borrow.
        key: The checkpoint's object.
        etag: The object's ETag if this process wrote it and the store returned one, else `""`.
    """

    known: Known
    key: str
    etag: str = ""


class Walk:
    """A walk from a thread's newer checkpoints to its older ones, each rebuilt in a call of its own.

    Attributes:
        ended: Whether this process has changed the thread since the walk began.
        listed: The folders that the walk has listed, as `delta_history.py` keeps them.
    """

    def __init__(self) -> None:
        self.ended = False
        self.listed: Any = None


class ParentCache(NamedTuple):
    """The part of a saver's caches that plans use.

    Attributes:
        states: The cache of checkpoints.
        bodies: The cache of objects and frames.
    """

    states: Lru
    bodies: BodyCache

    @classmethod
    def none(cls) -> ParentCache:
        """Return a cache that holds nothing, so that everything is read from the store."""
        return cls(Lru(0), BodyCache(Lru(0)))

    @property
    def capacity(self) -> int:
        """The maximum size of a checkpoint's values, in bytes."""
        return self.states.capacity

    def parent(self, namespace: str, checkpoint_id: str) -> CachedCheckpoint | None:
        """Return a checkpoint, by its namespace's folder and its id."""
        found: CachedCheckpoint | None = self.states.recall((namespace, checkpoint_id))
        return found

    def drop(self, namespace: str, checkpoint_id: str | None) -> None:
        """Drop a checkpoint."""
        self.states.drop((namespace, checkpoint_id))

    def add(self, namespace: str, parent: CachedCheckpoint, replaces: str | None = None) -> None:
        """Add a checkpoint, optionally in place of its own parent, whose bytes it mostly shares."""
        if replaces is not None:
            self.drop(namespace, replaces)
        if parent.known.values:
            self.states.keep((namespace, parent.known.checkpoint_id), parent, parent.known.size)

    @property
    def may_borrow(self) -> bool:
        """`False` if this process can't read tombstones, without which it must not borrow."""
        return not self.states.recall(_NO_TOMBSTONES)

    def disable_borrowing(self) -> None:
        """Record that this process can't tell absent tombstones from forbidden ones."""
        self.states.keep(_NO_TOMBSTONES, item=True, size=0)

    def walk(self, thread: str) -> Walk:
        """Return the current walk of a thread (a folder), or begin one."""
        found: Walk | None = self.bodies.lru.recall((_WALK, thread))
        if found is None or found.ended:
            found = Walk()
            self.keep_walk(thread, found, 0)
        return found

    def keep_walk(self, thread: str, walk: Walk, size: int) -> None:
        """Keep a walk, whose folders have this size in bytes. A large one is dropped."""
        if size <= self.bodies.lru.capacity // _WALK_SHARE:
            self.bodies.lru.keep((_WALK, thread), walk, size + ITEM_BYTES + sys.getsizeof(thread))
        else:
            self.end_walk(thread)

    def end_walk(self, thread: str) -> None:
        """End the walk of a thread, which this process has changed: the next call lists it again.

        Calls that are under way hold the walk, too, so it is marked.
        """
        found: Walk | None = self.bodies.lru.recall((_WALK, thread))
        if found is not None:
            found.ended = True
            self.bodies.lru.drop((_WALK, thread))

    def clear(self) -> None:
        """Drop everything."""
        self.states.clear()
        self.bodies.clear()

    def frame(self, key: str, frame: Frame) -> bytes | None:
        """Return the stored bytes of a frame of another object.

        They may be of another version of that object, so the caller checks the CRC.
        """
        found: bytes | None = self.bodies.lru.recall((key, frame))
        if found is None and (body := self.bodies.whole(key)) is not None:
            found = body.data[frame.offset : frame.offset + frame.stored]
        return found

    def add_frame(self, key: str, frame: Frame, stored: bytes) -> None:
        """Add a frame."""
        self.bodies.lru.keep((key, frame), stored, ITEM_BYTES + sys.getsizeof(stored) + sys.getsizeof(key))
