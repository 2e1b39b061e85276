"""What the objects mean: a checkpoint, or the writes of a task. Between LangGraph's values and bytes.

Values, metadata included, go through the saver's serializer (`dumps_typed`, `loads_typed`). What
is read stays serialized until it is asked for, so that whoever needs a checkpoint's metadata, or
one channel of it, pays for that alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Sized
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, cast

from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    Checkpoint,
    CheckpointMetadata,
    PendingWrite,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from langgraph_checkpoint_s3.errors import CorruptObjectError
from langgraph_checkpoint_s3.objects.codecs import Compression
from langgraph_checkpoint_s3.objects.format import (
    Builder,
    Container,
    Value,
    natural,
    open_container,
    pack_value,
    text,
    unpack_value,
)

_FLAT = (str, bytes, bytearray)
_ITEM_BYTES = 512
"""What an item of a list or map comes to, roughly: a short message."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What every object says of where it comes from.

    Attributes:
        checkpoint_ns: The namespace.
        checkpoint_id: The checkpoint that it is, or that its writes belong to.
        created: When it was written, in ns since 1970; never twice the same in one process.
        writer: The package and version that wrote it.
    """

    checkpoint_ns: str
    checkpoint_id: str
    created: int
    writer: str

    def fields(self, kind: str) -> dict[str, Any]:
        """What the header says of it."""
        return {
            "kind": kind,
            "ns": self.checkpoint_ns,
            "id": self.checkpoint_id,
            "created": self.created,
            "writer": self.writer,
        }


@dataclass(frozen=True, slots=True)
class CheckpointRecord:
    """A checkpoint's object that was read."""

    container: Container
    created: int
    parent: str | None
    metadata_value: Value
    checkpoint_value: Value
    channels: Mapping[str, Value]

    def metadata(self, serde: SerializerProtocol) -> CheckpointMetadata:
        """LangGraph's metadata."""
        return cast("CheckpointMetadata", _load(serde, self.container, self.metadata_value))

    def checkpoint(self, serde: SerializerProtocol) -> Checkpoint:
        """LangGraph's checkpoint, with all channel values."""
        values = {name: self.channel(serde, name) for name in self.channels}
        return cast(
            "Checkpoint",
            {**_load(serde, self.container, self.checkpoint_value), "channel_values": values},
        )

    def versions(self, serde: SerializerProtocol) -> Mapping[str, Any]:
        """The channels' versions."""
        rest: Mapping[str, Any] = _load(serde, self.container, self.checkpoint_value)
        return rest.get("channel_versions") or {}

    def channel(self, serde: SerializerProtocol, name: str) -> Any:
        """One channel's value."""
        return _load(serde, self.container, self.channels[name])

    def all_values(self) -> list[Value]:
        """Everything that is in frames."""
        return [self.metadata_value, self.checkpoint_value, *self.channels.values()]


@dataclass(frozen=True, slots=True)
class WriteRow:
    """One write of a task, its value still serialized."""

    task_id: str
    task_path: str
    idx: int
    channel: str
    value: Value


@dataclass(frozen=True, slots=True)
class WritesRecord:
    """A writes object that was read."""

    container: Container
    created: int
    rows: Sequence[WriteRow]

    def check(self) -> None:
        """Decode all frames, while it is known which object an error would be about.

        Raises:
            CorruptObjectError: One is damaged.
        """
        for row in self.rows:
            self.container.bytes_of(row.value)


def encode_checkpoint(
    serde: SerializerProtocol,
    compression: Compression,
    origin: Origin,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    parent: str | None,
) -> bytes:
    """The object of a checkpoint. The metadata has the first frame, so that the object's head holds it."""
    rest: dict[str, Any] = {**checkpoint}
    channels: dict[str, Any] = rest.pop("channel_values")
    builder = Builder(compression)
    [metadata_value] = builder.pack([serde.dumps_typed(metadata)])
    checkpoint_value, *values = builder.pack(
        [serde.dumps_typed(rest), *(serde.dumps_typed(value) for value in channels.values())]
    )
    return builder.finish(
        {
            **origin.fields("checkpoint"),
            "parent": parent,
            "metadata": pack_value(metadata_value),
            "checkpoint": pack_value(checkpoint_value),
            "channels": {name: pack_value(value) for name, value in zip(channels, values, strict=True)},
        }
    )


def number_writes(writes: Iterable[tuple[str, Any]]) -> dict[int, tuple[str, Any]]:
    """Give each write its slot: its position, or the fixed one of a special channel (the last one counts)."""
    return {
        WRITES_IDX_MAP.get(channel, place): (channel, value) for place, (channel, value) in enumerate(writes)
    }


def encode_writes(
    serde: SerializerProtocol,
    compression: Compression,
    origin: Origin,
    writes: Mapping[int, tuple[str, Any]],
    task_id: str,
    task_path: str,
) -> bytes:
    """The object of a task's writes, which `number_writes` gave their slots."""
    builder = Builder(compression)
    values = builder.pack([serde.dumps_typed(value) for _, value in writes.values()])
    rows = [
        [task_id, task_path, idx, channel, *pack_value(value)]
        for (idx, (channel, _)), value in zip(writes.items(), values, strict=True)
    ]
    return builder.finish({**origin.fields("writes"), "writes": rows})


def open_checkpoint(
    data: bytes | memoryview, size: int, checkpoint_ns: str, checkpoint_id: str
) -> CheckpointRecord:
    """Read a checkpoint's object, or its head.

    Raises:
        CorruptObjectError: It can't be trusted, or belongs to another checkpoint.
    """
    container = _open(data, size, "checkpoint", checkpoint_ns, checkpoint_id)
    fields, frames = container.fields, container.frames
    try:
        return CheckpointRecord(
            container,
            natural(fields["created"]),
            None if fields["parent"] is None else text(fields["parent"]),
            unpack_value(fields["metadata"], frames),
            unpack_value(fields["checkpoint"], frames),
            {text(name): unpack_value(row, frames) for name, row in fields["channels"].items()},
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CorruptObjectError(f"The object's header isn't a checkpoint's: {error!r}") from error


def open_writes(data: bytes | memoryview, size: int, checkpoint_ns: str, checkpoint_id: str) -> WritesRecord:
    """Read a writes object.

    Raises:
        CorruptObjectError: It can't be trusted, or belongs to another checkpoint.
    """
    container = _open(data, size, "writes", checkpoint_ns, checkpoint_id)
    try:
        rows = [
            WriteRow(text(task), text(path), _slot(idx), text(channel), unpack_value(value, container.frames))
            for task, path, idx, channel, *value in container.fields["writes"]
        ]
        return WritesRecord(container, natural(container.fields["created"]), rows)
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptObjectError(f"The object's header isn't one of writes: {error!r}") from error


def settle_writes(
    serde: SerializerProtocol, records: Iterable[WritesRecord], channels: AbstractSet[str] | None = None
) -> list[PendingWrite]:
    """The pending writes that a checkpoint's writes objects amount to, in `writes_sort_key` order.

    Args:
        serde: Turns bytes into values.
        records: The objects, in any order.
        channels: The channels whose writes are wanted; all of them by default.

    Of several values for one slot of a task the first counts, and of a special slot the last. A
    conditional PUT already decides between equal sets of slots; between overlapping ones, the
    time of writing does.
    """
    chosen: dict[tuple[str, int], tuple[WritesRecord, WriteRow]] = {}
    for record in sorted(records, key=lambda record: record.created):
        for row in record.rows:
            slot = (row.task_id, row.idx)
            if row.idx < 0 or slot not in chosen:
                chosen[slot] = (record, row)
    # What `writes_sort_key` does, which langgraph-checkpoint has from 4.3 on.
    ordered = sorted(chosen.values(), key=lambda pair: (pair[1].task_path, pair[1].task_id, pair[1].idx))
    return [
        (row.task_id, row.channel, _load(serde, record.container, row.value))
        for record, row in ordered
        if channels is None or row.channel in channels
    ]


def weigh(values: Iterable[Any]) -> int:
    """A guess at how many bytes values come to, made without looking into them."""
    return sum(
        len(value) * (1 if isinstance(value, _FLAT) else _ITEM_BYTES)
        for value in values
        if isinstance(value, Sized)
    )


def _slot(idx: Any) -> int:
    if type(idx) is not int:
        raise ValueError(f"{idx!r} where a slot belongs")
    return idx


def _open(
    data: bytes | memoryview, size: int, kind: str, checkpoint_ns: str, checkpoint_id: str
) -> Container:
    container = open_container(data, size)
    found = tuple(container.fields.get(name) for name in ("kind", "ns", "id"))
    if found != (kind, checkpoint_ns, checkpoint_id):
        raise CorruptObjectError(
            f"The object lies under another one's key: it is {found[0]} of {found[2]!r} in {found[1]!r}"
        )
    return container


def _load(serde: SerializerProtocol, container: Container, value: Value) -> Any:
    return serde.loads_typed((value.type, container.bytes_of(value)))
