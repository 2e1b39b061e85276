"""`get_tuple`, and what every reader shares: from folders of a listing to checkpoint tuples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from langgraph.checkpoint.base import CheckpointTuple

from langgraph_checkpoint_s3.errors import ConflictError, CorruptObjectError, S3CheckpointError
from langgraph_checkpoint_s3.objects.format import HEAD_BYTES, Container, header_length
from langgraph_checkpoint_s3.objects.records import (
    CheckpointRecord,
    WritesRecord,
    open_checkpoint,
    open_writes,
    settle_writes,
)
from langgraph_checkpoint_s3.plans.address import Address, Context
from langgraph_checkpoint_s3.plans.plan import Plan, together
from langgraph_checkpoint_s3.plans.scan import Folder, Scan
from langgraph_checkpoint_s3.plans.transfer import fetch
from langgraph_checkpoint_s3.s3.requests import Body, Entry, GetObject, Missing

_LATEST_PAGE = 64
"""Keys to list for the latest checkpoint: it and the writes of a wide superstep, as a rule."""
_TRIES = 4


@dataclass(frozen=True, slots=True)
class Loaded:
    """A folder's objects, read and checked but still serialized."""

    folder: Folder
    checkpoint: CheckpointRecord
    writes: Sequence[WritesRecord]

    def tuple(self, context: Context) -> CheckpointTuple:
        """The checkpoint as LangGraph knows it."""
        address, serde = self.folder.address, context.serde
        with at(self.folder.key):
            parent = self.checkpoint.parent
            return CheckpointTuple(
                config=address.config(),
                checkpoint=self.checkpoint.checkpoint(serde),
                metadata=self.checkpoint.metadata(serde),
                parent_config=(
                    Address(address.thread_id, address.checkpoint_ns, parent).config() if parent else None
                ),
                pending_writes=settle_writes(serde, self.writes),
            )


def get_tuple(context: Context, address: Address) -> Plan[CheckpointTuple | None]:
    """The checkpoint that an address names, or a namespace's latest one. One LIST, then its objects.

    Raises:
        ConflictError: It changed each time between being listed and being read.
    """
    for _ in range(_TRIES):
        folder = yield from find(context, address)
        if folder is None:
            return None
        [loaded] = yield from load(context, [folder])
        if loaded is not None:
            return loaded.tuple(context)
    raise ConflictError(
        "The checkpoint was deleted or replaced each time it was about to be read; try again",
        key=context.layout.namespace(address.thread_id, address.namespace),
    )


def find(context: Context, address: Address) -> Plan[Folder | None]:
    """The folder of the checkpoint that an address names, or of a namespace's latest one."""
    layout = context.layout
    if address.checkpoint_id is None:
        scan = Scan(layout, layout.namespace(address.thread_id, address.namespace), page=_LATEST_PAGE)
    else:
        scan = Scan(layout, layout.checkpoint(address.thread_id, address.namespace, address.checkpoint_id))
    while not scan.done:
        for folder in (yield from scan.more()):
            if folder.checkpoints:
                return folder
    return None


def load(context: Context, folders: Sequence[Folder]) -> Plan[list[Loaded | None]]:
    """Read folders, all of them in one round trip; a second one where frames are borrowed.

    Returns:
        One for each folder; `None` where an object was gone when its turn came.
    """
    entries = [entry for folder in folders for entry in folder.entries]
    answers = yield from fetch(entries, context.sizes)
    bodies = dict(zip((entry.key for entry in entries), answers, strict=True))
    loaded = [open_folder(folder, bodies) for folder in folders]
    yield from _borrow(context, [each for each in loaded if each is not None])
    return loaded


def open_latest(folder: Folder, bodies: Mapping[str, Body | Missing]) -> CheckpointRecord | None:
    """Of a folder's checkpoints the one that was written last; `None` where one of them is gone."""
    records: list[CheckpointRecord] = []
    for entry in folder.checkpoints:
        body = bodies[entry.key]
        if isinstance(body, Missing):
            return None
        with at(entry.key):
            records.append(
                open_checkpoint(body.data, body.size, folder.address.namespace, folder.checkpoint_id)
            )
    return max(records, key=lambda record: record.created)


def peek(
    context: Context, folders: Sequence[Folder], *, versions: bool = False
) -> Plan[list[CheckpointRecord | None]]:
    """Of each folder the checkpoint's header, metadata and (if wanted) versions; `None` where it is gone.

    Its object's head holds them, as a rule; where it doesn't, the object is read whole.
    """
    bodies = yield from heads([entry for folder in folders for entry in folder.checkpoints])
    records = [open_latest(folder, bodies) for folder in folders]
    partial = [
        number
        for number, record in enumerate(records)
        if record is not None
        and record.container.missing([record.metadata_value, record.checkpoint_value][: 1 + versions])
    ]
    for number, loaded in zip(
        partial, (yield from load(context, [folders[n] for n in partial])), strict=True
    ):
        records[number] = loaded.checkpoint if loaded else None
    return records


def heads(entries: Sequence[Entry]) -> Plan[dict[str, Body | Missing]]:
    """Read the beginnings of objects: their headers, and normally their metadata."""
    answers = yield from together(_head(entry, HEAD_BYTES) for entry in entries)
    bodies = dict(zip((entry.key for entry in entries), answers, strict=True))
    longer: list[tuple[Entry, int]] = []
    for entry in entries:
        body = bodies[entry.key]
        if isinstance(body, Body):
            with at(entry.key):
                needed = header_length(body.data)
            if len(body.data) < needed <= body.size:
                longer.append((entry, needed + HEAD_BYTES))
    answers = yield from together(_head(entry, needed) for entry, needed in longer)
    bodies.update(zip((entry.key for entry, _ in longer), answers, strict=True))
    return bodies


def _head(entry: Entry, length: int) -> GetObject:
    return GetObject(entry.key, entry.etag, 0, length if entry.size > length else None)


@contextmanager
def at(key: str) -> Iterator[None]:
    """Say in an error which object it is about."""
    try:
        yield
    except S3CheckpointError as error:
        error.key = error.key or key
        raise


def open_folder(
    folder: Folder, bodies: Mapping[str, Body | Missing], *, writes: bool = True
) -> Loaded | None:
    """Read a folder's objects (its writes only if wanted); `None` where one of them is gone."""
    record = open_latest(folder, bodies)
    pending: list[WritesRecord] = []
    for entry in folder.writes if writes else ():
        body = bodies[entry.key]
        if isinstance(body, Missing):
            return None
        with at(entry.key):
            written = open_writes(body.data, body.size, folder.address.namespace, folder.checkpoint_id)
            written.check()
            pending.append(written)
    return None if record is None else Loaded(folder, record, pending)


def _borrow(context: Context, loaded: Sequence[Loaded]) -> Plan[None]:
    """Bring in the frames that lie in earlier checkpoints' objects."""
    wanted: list[tuple[Container, int, Folder, GetObject]] = []
    for each in loaded:
        container = each.checkpoint.container
        address = each.folder.address
        home = context.layout.namespace(address.thread_id, address.namespace)
        for number in container.missing(each.checkpoint.all_values()):
            frame = container.frames[number]
            if frame.lender is not None:
                request = GetObject(home + frame.lender, first=frame.offset, length=frame.stored)
                wanted.append((container, number, each.folder, request))
    answers = yield from together(request for *_, request in wanted)
    for (container, number, folder, request), answer in zip(wanted, answers, strict=True):
        if isinstance(answer, Missing):
            raise CorruptObjectError(
                f"The checkpoint borrows from {request.key}, and that object is gone",
                key=folder.key,
            )
        container.provide(number, answer.data)
