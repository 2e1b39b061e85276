"""Reads LangGraph's configs: which thread, namespace and checkpoint a call is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langgraph_checkpoint_s3.crypto.key_cache import KeyCache
from langgraph_checkpoint_s3.errors import InvalidKeyError
from langgraph_checkpoint_s3.format.borrowing import BorrowPolicy
from langgraph_checkpoint_s3.format.checkpoint import Origin
from langgraph_checkpoint_s3.format.codecs import Compression
from langgraph_checkpoint_s3.format.ids import optional_id, thread_name
from langgraph_checkpoint_s3.format.key_encoding import HashedName
from langgraph_checkpoint_s3.format.keys import Layout
from langgraph_checkpoint_s3.format.scope import NamespaceScope
from langgraph_checkpoint_s3.plans.parent_cache import ParentCache
from langgraph_checkpoint_s3.plans.transfer import Sizes

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.serde.base import SerializerProtocol


@dataclass(frozen=True, slots=True)
class Context:
    """What every plan of a saver is given.

    Attributes:
        layout: Where the saver's keys are.
        serde: Turns values into bytes and back.
        compression: How new frames are compressed.
        sizes: When objects are moved in pieces.
        writer: What new objects say of who wrote them.
        rules: When to borrow.
        memory: What may be borrowed from.
        borrow: Whether new checkpoints borrow.
        key_cache: The keys at hand, if objects are encrypted.
        place: The bucket and prefix that encrypted objects are bound to.
    """

    layout: Layout
    serde: SerializerProtocol
    compression: Compression
    sizes: Sizes
    writer: str
    rules: BorrowPolicy
    memory: ParentCache
    borrow: bool
    key_cache: KeyCache | None = None
    place: str = ""

    def origin(self, thread_id: str, checkpoint_ns: str, checkpoint_id: str, now: int) -> Origin:
        """What a new object says of where it comes from.

        Args:
            thread_id: The thread.
            checkpoint_ns: The namespace.
            checkpoint_id: The checkpoint.
            now: The time, in ns since 1970.

        Raises:
            InvalidKeyError: Only the thread's hash is known.
        """
        named = thread_id if self.layout.hashes_thread(thread_id) else None
        if isinstance(named, HashedName):
            raise InvalidKeyError(
                f"Of the thread {thread_id!r} only the hash is known, for its objects can't be read with "
                "these keys: it can be looked at and deleted, and nothing can be written to it."
            )
        return Origin(checkpoint_ns, checkpoint_id, now, self.writer, named)

    def scope(self, namespace: str) -> NamespaceScope:
        """A namespace, for who reads and writes its objects.

        Args:
            namespace: Its folder.
        """
        return NamespaceScope(namespace, self.key_cache, self.layout.names, self.place)


def configurable_of(config: object, what: str = "config") -> Mapping[str, Any]:
    """Thread, namespace and checkpoint that a config points at.

    Args:
        config: The config.
        what: What it is called, for the error.

    Raises:
        InvalidKeyError: It isn't a config.
    """
    found = config.get("configurable") or {} if isinstance(config, Mapping) else None
    if not isinstance(found, Mapping):
        raise InvalidKeyError(
            f"The {what} must be one of LangGraph's, {{'configurable': {{'thread_id': …}}}}, not "
            f"{type(config).__name__}."
        )
    return found


def before_of(before: object) -> str | None:
    """The checkpoint id that a config names, whose thread doesn't matter; `None` where it names none.

    Raises:
        InvalidKeyError: It isn't a config, or names something that can't be an id.
    """
    if before is None:
        return None
    return optional_id(configurable_of(before, "before").get("checkpoint_id"), "checkpoint_id") or None


@dataclass(frozen=True, slots=True)
class Address:
    """What a config points at. `None` is "not said"."""

    thread_id: str
    checkpoint_ns: str | None
    checkpoint_id: str | None

    @property
    def namespace(self) -> str:
        """The namespace; the root one (`""`) where the config names none."""
        return self.checkpoint_ns or ""

    @classmethod
    def of(cls, config: Mapping[str, Any] | RunnableConfig) -> Address:
        """Read a config.

        Raises:
            InvalidKeyError: There is no thread_id, or one of the ids can't be one.
        """
        configurable = configurable_of(config)
        return cls(
            thread_name(configurable.get("thread_id")),
            optional_id(configurable.get("checkpoint_ns"), "checkpoint_ns"),
            optional_id(configurable.get("checkpoint_id"), "checkpoint_id") or None,
        )

    def config(self) -> RunnableConfig:
        """The config that points at this checkpoint."""
        return {
            "configurable": {
                "thread_id": self.thread_id,
                "checkpoint_ns": self.namespace,
                "checkpoint_id": self.checkpoint_id,
            }
        }
