"""`Place`: a thread, namespace and checkpoint, read from a config or a key; and the parts of a key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from langgraph_checkpoint_s3.errors import InvalidKeyError
from langgraph_checkpoint_s3.format.ids import optional_id, required_id, thread_name
from langgraph_checkpoint_s3.format.keys import CheckpointLeaf, Layout, WritesLeaf

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig


class Place(NamedTuple):
    """A namespace of a thread, or one checkpoint in it.

    Attributes:
        thread_id: The thread.
        checkpoint_ns: The namespace; `""` is the root.
        checkpoint_id: The checkpoint; `None` where a config names none, which means the latest.
    """

    thread_id: str
    checkpoint_ns: str = ""
    checkpoint_id: str | None = None

    @classmethod
    def of(cls, config: Mapping[str, Any] | RunnableConfig) -> Place:
        """Read a LangGraph config.

        Raises:
            InvalidKeyError: It has no thread_id, or one of its ids isn't valid.
        """
        configurable = configurable_of(config)
        return cls(
            thread_name(configurable.get("thread_id")),
            optional_id(configurable.get("checkpoint_ns"), "checkpoint_ns") or "",
            optional_id(configurable.get("checkpoint_id"), "checkpoint_id") or None,
        )

    @classmethod
    def of_key(cls, layout: Layout, key: str) -> Place:
        """Read the key of an object.

        Raises:
            CorruptObjectError: It isn't the key of a checkpoint or of writes.
        """
        parsed = layout.parse(key)
        return cls(parsed.thread_id, parsed.checkpoint_ns, parsed.checkpoint_id)

    @property
    def id(self) -> str:
        """The checkpoint's id.

        Raises:
            InvalidKeyError: None is given.
        """
        return required_id(None) if self.checkpoint_id is None else self.checkpoint_id

    def with_id(self, checkpoint_id: str | None) -> Place:
        """Return another checkpoint of the same namespace."""
        return Place(self.thread_id, self.checkpoint_ns, checkpoint_id)

    def config(self) -> RunnableConfig:
        """Return the LangGraph config that names this place."""
        return {
            "configurable": {
                "thread_id": self.thread_id,
                "checkpoint_ns": self.checkpoint_ns,
                "checkpoint_id": self.checkpoint_id,
            }
        }

    def namespace(self, layout: Layout) -> str:
        """Return the namespace's folder."""
        return layout.namespace(self.thread_id, self.checkpoint_ns)

    def folder(self, layout: Layout) -> str:
        """Return the checkpoint's folder."""
        return layout.checkpoint(self.thread_id, self.checkpoint_ns, self.id)

    def key(self, layout: Layout, leaf: CheckpointLeaf | WritesLeaf) -> str:
        """Return the key of an object of the checkpoint.

        Raises:
            InvalidKeyError: It, or a part of it, would be longer than stores accept.
        """
        return layout.key(self.thread_id, self.checkpoint_ns, self.id, leaf)


def configurable_of(config: object, what: str = "config") -> Mapping[str, Any]:
    """Return the `configurable` mapping of a config.

    Args:
        config: The config.
        what: The name of the argument, for the error.

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


def thread_of(key: str) -> str:
    """Return the folder of the thread that an object belongs to."""
    return key.rsplit("/", 3)[0] + "/"


def namespace_of(key: str) -> str:
    """Return the folder of the namespace that an object belongs to."""
    return key.rsplit("/", 2)[0] + "/"


def leaf_of(key: str) -> str:
    """Return the last part of a key, behind the checkpoint's folder."""
    return key.rpartition("/")[2]
