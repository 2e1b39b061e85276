"""A checkpoint's object, read: from bytes to LangGraph's values.

Values, metadata included, go through the saver's serializer (`dumps_typed`, `loads_typed`). They stay
serialized until they are requested, so that a caller that needs only the metadata, or one channel, doesn't
deserialize the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final, NamedTuple, cast

from langgraph.checkpoint.base import Checkpoint, CheckpointMetadata
from langgraph.checkpoint.serde.base import SerializerProtocol

from langgraph_checkpoint_s3.errors import CorruptObjectError
from langgraph_checkpoint_s3.format.borrowing import BorrowPolicy, Known
from langgraph_checkpoint_s3.format.codecs import Compression
from langgraph_checkpoint_s3.format.container import Container, open_container
from langgraph_checkpoint_s3.format.frames import (
    Lender,
    Value,
    non_negative_int,
    short_repr,
    text,
    unpack_value,
)
from langgraph_checkpoint_s3.format.limits import check_values
from langgraph_checkpoint_s3.format.scope import PLAIN, NamespaceScope
from langgraph_checkpoint_s3.format.serialization import Dumped, load, load_map

SECOND: Final = 1_000_000_000
"""One second in ns."""


class Origin(NamedTuple):
    """Origin of an object: the header's fields that every object has.

    Attributes:
        checkpoint_ns: The namespace.
        checkpoint_id: The checkpoint that it is, or that its writes belong to.
        created: The time of its writing, in ns since 1970; unique within a process.
        writer: The package and version that wrote it.
        thread_id: The thread, if the key has only its hash.
    """

    checkpoint_ns: str
    checkpoint_id: str
    created: int
    writer: str
    thread_id: str | None = None

    def lender(self, leaf: str) -> Lender:
        """Return the object with this leaf as its borrowers refer to it."""
        return Lender(self.checkpoint_id, leaf, self.created // SECOND)

    def fields(self, leaf: str) -> dict[str, Any]:
        """Return the header's fields for the object with this leaf."""
        thread = {} if self.thread_id is None else {"thread": self.thread_id}
        return {
            **thread,
            "ns": self.checkpoint_ns,
            "id": self.checkpoint_id,
            "leaf": leaf,
            "created": self.created,
            "writer": self.writer,
        }


class Content(NamedTuple):
    """A checkpoint, serialized.

    Attributes:
        parent: The parent's id.
        metadata: LangGraph's metadata.
        rest: LangGraph's checkpoint without its channel values.
        channels: The channel values.
    """

    parent: str | None
    metadata: Dumped
    rest: Dumped
    channels: Mapping[str, Dumped]

    def __repr__(self) -> str:
        return object.__repr__(self)  # without the values

    @property
    def size(self) -> int:
        """Size in bytes."""
        return sum([len(raw) for _, raw in (self.metadata, self.rest, *self.channels.values())])


def rebuilt_channels(
    metadata: Mapping[str, Any], versions: Mapping[str, Any], stored: AbstractSet[str]
) -> AbstractSet[str]:
    """Return the delta channels that have no stored value, and are rebuilt from the writes of ancestors.

    LangGraph counts, for each delta channel, the updates since its last stored value. A counted channel
    without a version was never written.

    Args:
        metadata: The checkpoint's metadata.
        versions: The channels' versions.
        stored: The channels with a stored value.
    """
    counters = metadata.get("counters_since_delta_snapshot")
    if not counters or not isinstance(counters, Mapping):
        return frozenset()
    return (versions.keys() & counters.keys()) - stored


class CheckpointRecord(NamedTuple):
    """A checkpoint's object, as it was read."""

    container: Container
    created: int
    parent: str | None
    metadata_value: Value
    checkpoint_value: Value
    channels: Mapping[str, Value]

    def metadata(self, serde: SerializerProtocol) -> CheckpointMetadata:
        """Return LangGraph's metadata."""
        return cast("CheckpointMetadata", load_map(serde, self.container, self.metadata_value))

    def checkpoint(self, serde: SerializerProtocol) -> Checkpoint:
        """Return LangGraph's checkpoint, with all channel values."""
        values = {name: self.channel(serde, name) for name in self.channels}
        return cast("Checkpoint", {**self.rest(serde), "channel_values": values})

    def versions(self, serde: SerializerProtocol) -> Mapping[str, Any]:
        """Return the channels' versions."""
        return self.rest(serde).get("channel_versions") or {}

    def channel(self, serde: SerializerProtocol, name: str) -> Any:
        """Return one channel's value."""
        return load(serde, self.container, self.channels[name])

    def content(self) -> Content:
        """Return all of it, serialized."""
        dumped = {name: self._dumped(value) for name, value in self.channels.items()}
        return Content(
            self.parent, self._dumped(self.metadata_value), self._dumped(self.checkpoint_value), dumped
        )

    @property
    def size(self) -> int:
        """Size of its channels in bytes."""
        return sum(value.size for value in self.channels.values())

    def all_values(self) -> list[Value]:
        """Return everything that is in frames."""
        return [self.metadata_value, self.checkpoint_value, *self.channels.values()]

    def known(self, leaf: str, written: int, versions: Mapping[str, Any], policy: BorrowPolicy) -> Known:
        """Return what its children may borrow.

        Args:
            leaf: The end of its object's key.
            written: The time of its writing by the store's clock, in seconds since 1970.
            versions: The channels' versions.
            policy: The limits of borrowing.
        """
        container = self.container
        values = {
            name: (value, container.bytes_of(value))
            for name, value in self.channels.items()
            if value.size >= policy.min_value and container.has_frames(value)
        }
        lender = Lender(container.fields["id"], leaf, written)
        serializer = self.metadata_value.type
        key = container.cipher.ref if container.cipher else None
        frames, base = container.frames, container.base
        return Known.of(lender, serializer, versions, values, frames, base, key)

    def materialized(self, compression: Compression) -> bytes:
        """Return a self-contained copy. Existing frame offsets are preserved, so borrowers stay valid.

        Args:
            compression: The compression of borrowed frames that aren't available any more, and of which only
                the values' extents were added.

        Raises:
            CorruptObjectError: Bytes that it borrows are missing.
        """
        # A part of a borrowed value that was never read would become zeros.
        if self.container.missing(self.all_values()):
            raise CorruptObjectError("The checkpoint can't be written whole: some of its bytes weren't read")
        return self.container.materialized(compression)

    def rest(self, serde: SerializerProtocol) -> Mapping[str, Any]:
        """Return LangGraph's checkpoint without its channel values."""
        rest = load_map(serde, self.container, self.checkpoint_value)
        versions = rest.get("channel_versions") or {}
        if rest.get("id") != self.container.fields["id"] or not isinstance(versions, Mapping):
            raise CorruptObjectError("The object holds something else than its header says")
        return rest

    def _dumped(self, value: Value) -> Dumped:
        return value.type, self.container.bytes_of(value)


def open_checkpoint(
    data: bytes | memoryview,
    size: int,
    checkpoint_ns: str,
    checkpoint_id: str,
    leaf: str,
    scope: NamespaceScope = PLAIN,
) -> CheckpointRecord:
    """Read a checkpoint's object, or the beginning of it.

    Args:
        data: The object's bytes from its beginning.
        size: The whole object's length.
        checkpoint_ns: The namespace in its key.
        checkpoint_id: The checkpoint in its key.
        leaf: The end of its key.
        scope: The settings of the namespace.

    Raises:
        CorruptObjectError: It is damaged or forged, or belongs to another checkpoint.
        DecryptionError: It is encrypted, and the key is missing or another one; or it isn't, and must be.
    """
    container = open_verified(data, size, checkpoint_ns, checkpoint_id, leaf, scope)
    fields, frames = container.fields, container.frames
    try:
        record = CheckpointRecord(
            container,
            non_negative_int(fields["created"]),
            None if fields["parent"] is None else text(fields["parent"]),
            unpack_value(fields["metadata"], frames),
            unpack_value(fields["checkpoint"], frames),
            {text(name): unpack_value(row, frames) for name, row in fields["channels"].items()},
        )
        check_values(record.all_values(), frames)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CorruptObjectError(f"The object's header isn't a checkpoint's: {error!r}") from error
    return record


def open_verified(
    data: bytes | memoryview,
    size: int,
    checkpoint_ns: str,
    checkpoint_id: str,
    leaf: str,
    scope: NamespaceScope,
) -> Container:
    """Read an object, or the beginning of it, and check that it belongs under its key.

    Raises:
        CorruptObjectError: It is damaged or forged, or belongs under another key.
        DecryptionError: It is encrypted, and the key is missing or another one; or it isn't, and must be.
    """
    container = open_container(data, size, scope.cipher_factory(checkpoint_id, leaf))
    scope.check(container)
    found = tuple(container.fields.get(name) for name in ("ns", "id", "leaf"))
    namespace = scope.namespace_name(checkpoint_ns, found[0], encrypted=container.cipher is not None)
    if found != (namespace, checkpoint_id, leaf):
        raise CorruptObjectError(
            f"The object lies under another one's key: it is {short_repr(found[2])} of checkpoint "
            f"{short_repr(found[1])} in namespace {short_repr(found[0])}"
        )
    return container
