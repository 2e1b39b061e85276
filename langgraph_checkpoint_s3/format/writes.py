"""What tasks wrote: one object for a task's writes, or for those of several that wrote at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any

from langgraph.checkpoint.base import WRITES_IDX_MAP, PendingWrite
from langgraph.checkpoint.serde.base import SerializerProtocol

from langgraph_checkpoint_s3.crypto.aead import ObjectCipher
from langgraph_checkpoint_s3.errors import CorruptObjectError
from langgraph_checkpoint_s3.format.builder import Builder
from langgraph_checkpoint_s3.format.checkpoint import Origin, open_placed
from langgraph_checkpoint_s3.format.codecs import Compression
from langgraph_checkpoint_s3.format.container import OWN_FRAME, Container
from langgraph_checkpoint_s3.format.frames import (
    Value,
    non_negative_int,
    pack_value,
    short_repr,
    text,
    unpack_value,
)
from langgraph_checkpoint_s3.format.limits import check_values
from langgraph_checkpoint_s3.format.scope import PLAIN, NamespaceScope
from langgraph_checkpoint_s3.format.serialization import Dumped, dump, load, worthwhile


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

    @property
    def is_sealed(self) -> bool:
        """Return if the object is encrypted."""
        return self.container.seal is not None

    def tasks(self) -> list[Task]:
        """Return the writes by task and its path, still serialized.

        Raises:
            CorruptObjectError: A frame is damaged.
        """
        writes: dict[tuple[str, str], dict[int, tuple[str, Dumped]]] = {}
        for row in self.rows:
            dumped = row.value.type, self.container.bytes_of(row.value)
            writes.setdefault((row.task_id, row.task_path), {})[row.idx] = row.channel, dumped
        return [Task(*task, slots) for task, slots in writes.items()]

    def check(self) -> None:
        """Decode all frames, while it is known which object an error would be about.

        Raises:
            CorruptObjectError: One is damaged.
        """
        for row in self.rows:
            self.container.bytes_of(row.value)


def number_writes(writes: Iterable[tuple[str, Any]]) -> dict[int, tuple[str, Any]]:
    """Give each write its slot: its position, or the fixed one of a special channel (the last one counts)."""
    return {
        WRITES_IDX_MAP.get(channel, place): (channel, value) for place, (channel, value) in enumerate(writes)
    }


@dataclass(frozen=True, slots=True, repr=False)
class Task:
    """What a task wrote, serialized.

    Attributes:
        task_id: The task.
        task_path: Its place in the graph.
        writes: By slot, as `number_writes` gives them: the channel and the value.
    """

    task_id: str
    task_path: str
    writes: Mapping[int, tuple[str, Dumped]]

    @classmethod
    def of(
        cls, serde: SerializerProtocol, writes: Mapping[int, tuple[str, Any]], task_id: str, task_path: str
    ) -> Task:
        """Serialize what a task wrote."""
        dumped = {idx: (channel, dump(serde, value)) for idx, (channel, value) in writes.items()}
        return cls(task_id, task_path, dumped)

    @property
    def size(self) -> int:
        """How many bytes the values have."""
        return sum(len(raw) for _, (_, raw) in self.writes.values())

    def special(self) -> Task:
        """What it wrote to special channels alone, whose last value counts."""
        return replace(self, writes={idx: write for idx, write in self.writes.items() if idx < 0})

    def without(self, slots: Collection[int]) -> Task:
        """Return the task without its writes to these slots."""
        return replace(self, writes={idx: write for idx, write in self.writes.items() if idx not in slots})

    def regular(self) -> Task:
        """Return the task with its regular writes alone, of which the first value counts."""
        return replace(self, writes={idx: write for idx, write in self.writes.items() if idx >= 0})


def encode_tasks(
    compression: Compression,
    origin: Origin,
    leaf: str,
    tasks: Iterable[Task],
    seal: ObjectCipher | None = None,
) -> bytes:
    """Make the object of what some tasks wrote.

    Args:
        compression: How it is compressed.
        origin: Where it comes from.
        leaf: The end of its key.
        tasks: The tasks.
        seal: What it is encrypted with, if at all.
    """
    rows = [(task, idx, channel, *dumped) for task in tasks for idx, (channel, dumped) in task.writes.items()]
    builder = Builder(worthwhile(compression, (kind for *_, kind, _ in rows)), seal)
    places = builder.pack((raw, len(raw) >= OWN_FRAME) for *_, raw in rows)
    packed = [
        [task.task_id, task.task_path, idx, channel, *pack_value(Value(kind, place))]
        for (task, idx, channel, kind, _), place in zip(rows, places, strict=True)
    ]
    body, _ = builder.finish({**origin.fields(leaf), "writes": packed})
    return body


def open_writes(
    data: bytes | memoryview,
    size: int,
    checkpoint_ns: str,
    checkpoint_id: str,
    leaf: str,
    scope: NamespaceScope = PLAIN,
) -> WritesRecord:
    """Read a writes object. The arguments are those of `open_checkpoint`.

    Raises:
        CorruptObjectError: It can't be trusted, or belongs to another checkpoint.
        DecryptionError: It is encrypted, and the key is missing or another one; or it isn't, and must be.
    """
    container = open_placed(data, size, checkpoint_ns, checkpoint_id, leaf, scope)
    try:
        rows = [
            WriteRow(text(task), text(path), _slot(idx), text(channel), unpack_value(value, container.frames))
            for task, path, idx, channel, *value in container.fields["writes"]
        ]
        check_values((row.value for row in rows), container.frames)
        return WritesRecord(container, non_negative_int(container.fields["created"]), rows)
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptObjectError(f"The object's header isn't one of writes: {error!r}") from error


def merge_special(record: WritesRecord, task: Task) -> list[Task]:
    """Merge a task's new special writes over those that are stored: the other slots keep their values.

    Args:
        record: The object of its special writes, as it is.
        task: What it writes to special channels.

    Returns:
        What belongs into the object instead; nothing where it says all that already.

    Raises:
        CorruptObjectError: The object is damaged.
    """
    there = {(old.task_path, idx): write for old in record.tasks() for idx, write in old.writes.items()}
    mine = {(task.task_path, idx): write for idx, write in task.writes.items()}
    if mine.items() <= there.items():
        return []
    merged: dict[str, dict[int, tuple[str, Dumped]]] = {task.task_path: dict(task.writes)}
    for (path, idx), write in there.items():
        if idx not in task.writes:
            merged.setdefault(path, {})[idx] = write
    return [Task(task.task_id, path, writes) for path, writes in merged.items()]


def settle_writes(
    serde: SerializerProtocol, records: Iterable[WritesRecord], channels: AbstractSet[str] | None = None
) -> list[PendingWrite]:
    """The pending writes that a checkpoint's writes objects amount to, in `writes_sort_key` order.

    Args:
        serde: Turns bytes into values.
        records: The objects, in any order.
        channels: The channels whose writes are wanted; all of them by default.

    Of several values for one regular slot of a task the first counts. A conditional PUT already decides
    between equal sets of slots; between overlapping ones, the time of writing does. Of special slots the last
    value counts, and there is but one: they share an object, in which the store has decided. Two such objects
    are there only where encryption was turned on between, and then the encrypted one is the later.
    """
    chosen: dict[tuple[str, int], tuple[WritesRecord, WriteRow]] = {}
    for record in sorted(records, key=lambda record: record.created):
        for row in record.rows:
            slot = (row.task_id, row.idx)
            if slot not in chosen or (row.idx < 0 and record.is_sealed >= chosen[slot][0].is_sealed):
                chosen[slot] = (record, row)
    # What `writes_sort_key` does, which langgraph-checkpoint has from 4.3 on.
    ordered = sorted(chosen.values(), key=lambda pair: (pair[1].task_path, pair[1].task_id, pair[1].idx))
    return [
        (row.task_id, row.channel, load(serde, record.container, row.value))
        for record, row in ordered
        if channels is None or row.channel in channels
    ]


def _slot(idx: Any) -> int:
    if type(idx) is not int:
        raise ValueError(f"{short_repr(idx)} where a slot belongs")
    return idx
