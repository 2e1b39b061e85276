"""Reads LangGraph's configs: which thread, namespace and checkpoint a call is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from langgraph_checkpoint_s3.errors import InvalidKeyError
from langgraph_checkpoint_s3.objects.borrow import Rules
from langgraph_checkpoint_s3.objects.codecs import Compression
from langgraph_checkpoint_s3.objects.components import Hidden
from langgraph_checkpoint_s3.objects.keys import Layout
from langgraph_checkpoint_s3.objects.records import Origin
from langgraph_checkpoint_s3.objects.rooms import Room
from langgraph_checkpoint_s3.objects.vault import Vault
from langgraph_checkpoint_s3.plans.memory import Memory
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
        vault: The keys at hand, if objects are encrypted.
        place: The bucket and prefix that encrypted objects are bound to.
    """

    layout: Layout
    serde: SerializerProtocol
    compression: Compression
    sizes: Sizes
    writer: str
    rules: Rules
    memory: Memory
    borrow: bool
    vault: Vault | None = None
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
        named = thread_id if self.layout.hides(thread_id) else None
        if isinstance(named, Hidden):
            raise InvalidKeyError(
                f"Of the thread {thread_id!r} only the hash is known, for its objects can't be read with "
                "these keys: it can be looked at and deleted, and nothing can be written to it."
            )
        return Origin(checkpoint_ns, checkpoint_id, now, self.writer, named)

    def room(self, namespace: str) -> Room:
        """A namespace, for who reads and writes its objects.

        Args:
            namespace: Its folder.
        """
        return Room(namespace, self.vault, self.layout.names, self.place)


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
            InvalidKeyError: There is no thread_id, or one of the ids isn't text.
        """
        configurable = config.get("configurable") or {}
        return cls(
            thread_name(configurable.get("thread_id")),
            _text(configurable.get("checkpoint_ns"), "checkpoint_ns"),
            _text(configurable.get("checkpoint_id"), "checkpoint_id") or None,
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


def thread_name(thread_id: object) -> str:
    """A thread id as text; LangGraph itself turns UUIDs and numbers into it.

    Raises:
        InvalidKeyError: It is missing, empty or something else.
    """
    if thread_id is None or thread_id == "":
        raise InvalidKeyError(
            "A checkpointer needs a thread_id that isn't empty: pass "
            "config={'configurable': {'thread_id': …}}."
        )
    if isinstance(thread_id, bool) or not isinstance(thread_id, (str, int, UUID)):
        raise InvalidKeyError(f"The thread_id must be a string, not {type(thread_id).__name__}.")
    return thread_id if isinstance(thread_id, Hidden) else str(thread_id)


def required_id(checkpoint_id: object) -> str:
    """A checkpoint id that a call can't do without.

    Raises:
        InvalidKeyError: It is missing, empty or not a string.
    """
    text = _text(checkpoint_id, "checkpoint_id")
    if not text:
        raise InvalidKeyError("This call needs a checkpoint_id that isn't empty.")
    return text


def _text(value: object, what: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise InvalidKeyError(f"The {what} must be a string, not {type(value).__name__}.")
