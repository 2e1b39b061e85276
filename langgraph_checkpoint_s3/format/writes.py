"""Writes objects: the pending writes of a task, or of several tasks that wrote at once.

Each write has a *slot*, LangGraph's `idx`. Regular writes have their positions in the call, from 0 on. Writes
to special channels (errors, interrupts, resumes) have fixed negative slots, from `WRITES_IDX_MAP`. Of several
values for a slot, the first counts if it is regular, and the last if it is special: as in LangGraph's own
savers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from langgraph.checkpoint.base import WRITES_IDX_MAP, PendingWrite
from langgraph.checkpoint.serde.base import SerializerProtocol

from langgraph_checkpoint_s3.crypto.aead import ObjectCipher
from langgraph_checkpoint_s3.errors import CorruptObjectError
from langgraph_checkpoint_s3.format.builder import Builder
from langgraph_checkpoint_s3.format.checkpoint import Origin, open_verified
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
from langgraph_checkpoint_s3.format.pieces import Pieces, joined
from langgraph_checkpoint_s3.format.scope import PLAIN, NamespaceScope
from langgraph_checkpoint_s3.format.serialization import Dumped, compression_for, dump, load


class WriteRow(NamedTuple):
    """One write of a task, still serialized."""

    task_id: str
    task_path: str
    idx: int
    channel: str
    value: Value


class WritesRecord(NamedTuple):
    """A writes object, as it was read."""

    container: Container
    created: int
    rows: Sequence[WriteRow]

    @property
    def is_encrypted(self) -> bool:
        """True if the object is encrypted."""
        return self.container.cipher is not None

    def tasks(self) -> list[Task]:
        """Return the writes, still serialized, by task and task path.

        Raises:
            CorruptObjectError: A frame is damaged.
        """
        writes: dict[tuple[str, str], dict[int, tuple[str, Dumped]]] = {}
        for row in self.rows:
            dumped = row.value.type, self.container.bytes_of(row.value)
            writes.setdefault((row.task_id, row.task_path), {})[row.idx] = row.channel, dumped
        return [Task(*task, slots) for task, slots in writes.items()]

    def check(self) -> None:
        """Decode all frames, while the caller still knows the object's key for an error message.

        Raises:
            CorruptObjectError: One is damaged.
        """
        for row in self.rows:
            self.container.bytes_of(row.value)


def number_writes(writes: Iterable[tuple[str, Any]]) -> dict[int, tuple[str, Any]]:
    """Return writes by slot. Of several to one special channel, the last is kept."""
    return {
        WRITES_IDX_MAP.get(channel, place): (channel, value) for place, (channel, value) in enumerate(writes)
    }


@dataclass(frozen=True, slots=True, repr=False)
class Task:
    """Writes of a task, serialized.

    Attributes:
        task_id: The task.
        task_path: Its place in the graph.
        writes: The channel and the value of each write, by slot.
    """

    task_id: str
    task_path: str
    writes: Mapping[int, tuple[str, Dumped]]

    @classmethod
    def of(
        cls, serde: SerializerProtocol, writes: Mapping[int, tuple[str, Any]], task_id: str, task_path: str
    ) -> Task:
        """Serialize a task's writes."""
        dumped = {idx: (channel, dump(serde, value, channel)) for idx, (channel, value) in writes.items()}
        return cls(task_id, task_path, dumped)

    @property
    def size(self) -> int:
        """Size of the values in bytes."""
        return sum(len(raw) for _, (_, raw) in self.writes.values())

    def special(self) -> Task:
        """Return the task with its writes to special channels only."""
        return replace(self, writes={idx: write for idx, write in self.writes.items() if idx < 0})

    def without(self, slots: Collection[int]) -> Task:
        """Return the task without its writes to these slots."""
        return replace(self, writes={idx: write for idx, write in self.writes.items() if idx not in slots})

    def regular(self) -> Task:
        """Return the task with its regular writes only."""
        return replace(self, writes={idx: write for idx, write in self.writes.items() if idx >= 0})


def encode_tasks(
    compression: Compression,
    origin: Origin,
    leaf: str,
    tasks: Iterable[Task],
    cipher: ObjectCipher | None = None,
) -> bytes:
    """Return what `draft_tasks` does, joined."""
    return joined(draft_tasks(compression, origin, leaf, tasks, cipher))


def draft_tasks(
    compression: Compression,
    origin: Origin,
    leaf: str,
    tasks: Iterable[Task],
    cipher: ObjectCipher | None = None,
) -> bytes | Pieces:
    """Encode the object with some tasks' writes. Large frames aren't joined with the rest.

    Args:
        compression: Its compression.
        origin: Its origin.
        leaf: The end of its key.
        tasks: The tasks.
        cipher: The object's cipher, if it is to be encrypted.
    """
    rows = [(task, idx, channel, *dumped) for task in tasks for idx, (channel, dumped) in task.writes.items()]
    builder = Builder(compression_for((kind for *_, kind, _ in rows), compression), cipher)
    places = builder.pack((raw, len(raw) >= OWN_FRAME) for *_, raw in rows)
    packed = [
        [task.task_id, task.task_path, idx, channel, *pack_value(kind, place)]
        for (task, idx, channel, kind, _), place in zip(rows, places, strict=True)
    ]
    body, _ = builder.assemble({**origin.fields(leaf), "writes": packed})
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
        CorruptObjectError: It is damaged or forged, or belongs to another checkpoint.
        DecryptionError: It is encrypted, and the key is missing or another one; or it isn't, and must be.
    """
    container = open_verified(data, size, checkpoint_ns, checkpoint_id, leaf, scope)
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
    """Merge a task's new special writes with the stored ones. Slots without a new write keep their value.

    Args:
        record: The current object of its special writes.
        task: The task with its new special writes.

    Returns:
        The new contents of the object; nothing if it has them already.

    Raises:
        CorruptObjectError: The object is damaged.
    """
    stored = {(old.task_path, idx): write for old in record.tasks() for idx, write in old.writes.items()}
    new = {(task.task_path, idx): write for idx, write in task.writes.items()}
    if new.items() <= stored.items():
        return []
    merged: dict[str, dict[int, tuple[str, Dumped]]] = {task.task_path: dict(task.writes)}
    for (path, idx), write in stored.items():
        if idx not in task.writes:  # a slot has one value, whatever the task's path
            merged.setdefault(path, {})[idx] = write
    return [Task(task.task_id, path, writes) for path, writes in merged.items()]


def resolve_writes(
    serde: SerializerProtocol, records: Iterable[WritesRecord], channels: AbstractSet[str] | None = None
) -> list[PendingWrite]:
    """Return the pending writes of a checkpoint, in `writes_sort_key` order.

    Args:
        serde: The serializer.
        records: The checkpoint's writes objects, in any order.
        channels: The channels whose writes are returned; all of them by default.
    """
    return [
        (row.task_id, row.channel, load(serde, record.container, row.value))
        for record, row in resolve_rows(records, channels)
    ]


def resolve_rows(
    records: Iterable[WritesRecord], channels: AbstractSet[str] | None = None
) -> list[tuple[WritesRecord, WriteRow]]:
    """Return the writes that `resolve_writes` does, still serialized, each with its object."""
    chosen: dict[tuple[str, int], tuple[WritesRecord, WriteRow]] = {}
    for record in sorted(records, key=lambda record: record.created):
        for row in record.rows:
            slot = (row.task_id, row.idx)
            # Regular slots: the first value counts. A conditional PUT has decided between equal sets of
            # slots; between overlapping sets, the time of writing decides.
            # Special slots: the last value counts. They share one object, in which the store has decided.
            # There are two such objects only if encryption was turned on in between; then the encrypted one
            # is the later one, whatever the writers' clocks say.
            if slot not in chosen or (row.idx < 0 and record.is_encrypted >= chosen[slot][0].is_encrypted):
                chosen[slot] = (record, row)
    # The order of `writes_sort_key`, which langgraph-checkpoint has only from 4.3 on.
    ordered = sorted(chosen.values(), key=lambda pair: (pair[1].task_path, pair[1].task_id, pair[1].idx))
    return [(record, row) for record, row in ordered if channels is None or row.channel in channels]


def _slot(idx: Any) -> int:
    if type(idx) is not int:
        raise ValueError(f"{short_repr(idx)} where a slot belongs")
    return idx
