"""`Context`: settings and caches that a saver passes to each of its plans."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from langgraph_checkpoint_s3.crypto.key_cache import KeyCache
from langgraph_checkpoint_s3.errors import InvalidKeyError
from langgraph_checkpoint_s3.format.borrowing import BorrowPolicy
from langgraph_checkpoint_s3.format.checkpoint import Origin
from langgraph_checkpoint_s3.format.codecs import Compression
from langgraph_checkpoint_s3.format.key_encoding import HashedName
from langgraph_checkpoint_s3.format.keys import Layout
from langgraph_checkpoint_s3.format.scope import NamespaceScope
from langgraph_checkpoint_s3.plans.parent_cache import ParentCache
from langgraph_checkpoint_s3.plans.place import Place
from langgraph_checkpoint_s3.plans.transfer import Sizes

if TYPE_CHECKING:
    from langgraph.checkpoint.serde.base import SerializerProtocol


class Context(NamedTuple):
    """Settings and caches of a saver, as its plans use them.

    Attributes:
        layout: Its keys.
        serde: The serializer of values.
        compression: The compression of new frames.
        sizes: When objects are transferred in parts.
        writer: The writer's name, which new objects record.
        policy: When to borrow.
        parent_cache: The checkpoints and frames that may be borrowed from.
        borrow: Whether new checkpoints borrow.
        key_cache: The data keys, if objects are encrypted.
        location: The bucket and prefix that encrypted objects are bound to.
    """

    layout: Layout
    serde: SerializerProtocol
    compression: Compression
    sizes: Sizes
    writer: str
    policy: BorrowPolicy
    parent_cache: ParentCache
    borrow: bool
    key_cache: KeyCache | None = None
    location: str = ""

    def origin(self, place: Place, now: int) -> Origin:
        """Return what a new object records about its origin. `now` is in ns since 1970.

        Raises:
            InvalidKeyError: Only the hash of the thread's name is known.
        """
        thread_id = place.thread_id
        named = thread_id if self.layout.hashes_thread(thread_id) else None
        if isinstance(named, HashedName):
            raise InvalidKeyError(
                f"Of the thread {thread_id!r} only the hash is known, for its objects can't be read with "
                "these keys: it can be looked at and deleted, and nothing can be written to it."
            )
        return Origin(place.checkpoint_ns, place.id, now, self.writer, named)

    def scope(self, namespace: str) -> NamespaceScope:
        """Return the encryption and name-hashing settings of a namespace, given its folder."""
        return NamespaceScope(namespace, self.key_cache, self.layout.names, self.location)
