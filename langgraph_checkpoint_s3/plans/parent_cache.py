"""What a saver remembers in order to borrow: the checkpoints whose children it may write, and frames.

It holds nothing that correctness depends on: what isn't here is written whole, or read again.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Final

from langgraph_checkpoint_s3.format.borrowing import Known
from langgraph_checkpoint_s3.format.frames import Frame
from langgraph_checkpoint_s3.s3.cache import ITEM_BYTES, BodyCache, Lru

_BLIND: Final = "blind"


@dataclass(frozen=True, slots=True)
class Parent:
    """A checkpoint that is remembered, whose children may borrow.

    Attributes:
        known: What they may borrow.
        key: Its object.
        etag: What that was when this process wrote it; `""` of one that was read, or where it isn't said.
    """

    known: Known
    key: str
    etag: str = ""


@dataclass(frozen=True, slots=True)
class ParentCache:
    """A view of the saver's caches.

    Attributes:
        states: Where checkpoints are held.
        bodies: Where objects and frames are held.
    """

    states: Lru
    bodies: BodyCache

    @classmethod
    def none(cls) -> ParentCache:
        """One that remembers nothing: what is read with it comes from the store."""
        return cls(Lru(0), BodyCache(Lru(0)))

    @property
    def capacity(self) -> int:
        """How many bytes a checkpoint's values may have."""
        return self.states.capacity

    def parent(self, namespace: str, checkpoint_id: str) -> Parent | None:
        """A checkpoint, by its namespace's folder and its id."""
        found: Parent | None = self.states.recall((namespace, checkpoint_id))
        return found

    def drop(self, namespace: str, checkpoint_id: str | None) -> None:
        """Forget a checkpoint."""
        self.states.drop((namespace, checkpoint_id))

    def keep(self, namespace: str, parent: Parent, instead_of: str | None = None) -> None:
        """Remember a checkpoint, instead of its own parent, most of whose bytes it has."""
        if instead_of is not None:
            self.drop(namespace, instead_of)
        if parent.known.values:
            self.states.keep((namespace, parent.known.checkpoint_id), parent, parent.known.size)

    @property
    def may_borrow(self) -> bool:
        """Return if this process may read tombstones, without which nothing can be borrowed."""
        return not self.states.recall(_BLIND)

    def never_borrow(self) -> None:
        """Note that this process may not read tombstones where there are none."""
        self.states.keep(_BLIND, item=True, size=0)

    def clear(self) -> None:
        """Forget everything."""
        self.states.clear()
        self.bodies.clear()

    def frame(self, key: str, frame: Frame) -> bytes | None:
        """A frame that another object lends, as it is stored; or what another version of that had there."""
        found: bytes | None = self.bodies.lru.recall((key, frame))
        if found is None and (body := self.bodies.whole(key)) is not None:
            found = body.data[frame.offset : frame.offset + frame.stored]
        return found

    def keep_frame(self, key: str, frame: Frame, stored: bytes) -> None:
        """Remember a frame."""
        self.bodies.lru.keep((key, frame), stored, ITEM_BYTES + sys.getsizeof(stored) + sys.getsizeof(key))
