"""`get_tuple`, and what every reader shares: from folders of a listing to checkpoint tuples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise

from langgraph.checkpoint.base import Checkpoint, CheckpointTuple
from langgraph.checkpoint.serde.base import SerializerProtocol

from langgraph_checkpoint_s3.errors import ConflictError, CorruptObjectError, S3CheckpointError
from langgraph_checkpoint_s3.objects.format import HEAD_BYTES, header_length
from langgraph_checkpoint_s3.objects.keys import CheckpointLeaf, ParsedKey
from langgraph_checkpoint_s3.objects.names import Hidden
from langgraph_checkpoint_s3.objects.records import CheckpointRecord, open_checkpoint
from langgraph_checkpoint_s3.objects.rooms import Room
from langgraph_checkpoint_s3.objects.values import text
from langgraph_checkpoint_s3.objects.writes import WritesRecord, open_writes, settle_writes
from langgraph_checkpoint_s3.plans.address import Address, Context
from langgraph_checkpoint_s3.plans.lenders import lender_key, missing, provide, provide_past
from langgraph_checkpoint_s3.plans.memory import Parent
from langgraph_checkpoint_s3.plans.plan import Plan, together
from langgraph_checkpoint_s3.plans.scan import Folder, Scan
from langgraph_checkpoint_s3.plans.transfer import fetch
from langgraph_checkpoint_s3.plans.unlock import unlock
from langgraph_checkpoint_s3.s3.requests import Body, Entry, GetObject, Missing

_LATEST_PAGE = 64
"""Keys to list for the latest checkpoint: it and the writes of a wide superstep, as a rule."""
_TRIES = 4
_LONGEST_LINE = 1000
"""Ancestors to look at for what a lender no longer gives: of puts that were on their way at once."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A folder's objects, read and checked but still serialized.

    Attributes:
        folder: The folder.
        key: The checkpoint's own.
        checkpoint: The checkpoint.
        writes: Its writes.
        renamed: The thread that tuples are to name instead.
    """

    folder: Folder
    key: str
    checkpoint: CheckpointRecord
    writes: Sequence[WritesRecord]
    renamed: str | None = None

    @property
    def address(self) -> Address:
        """Its thread, namespace and id, by their names."""
        address, fields = self.folder.address, self.checkpoint.container.fields
        thread_id = self.renamed or address.thread_id
        if isinstance(thread_id, Hidden):
            thread_id = text(fields["thread"])
        return Address(thread_id, text(fields["ns"]), address.checkpoint_id)

    def tuple(self, context: Context) -> CheckpointTuple:
        """The checkpoint as LangGraph knows it."""
        return self.loads(context.serde)

    def loads(self, serde: SerializerProtocol) -> CheckpointTuple:
        """The checkpoint as LangGraph knows it, by another serializer than the saver's."""
        address = self.address
        with at(self.key):
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
            found = loaded.tuple(context)
            _remember(context, loaded, found.checkpoint)
            return found
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


def _remember(context: Context, loaded: Loaded, checkpoint: Checkpoint) -> None:
    """Keep a checkpoint in memory, so that its children may borrow from it.

    What this process wrote itself, and nobody changed, it knows already, and more of it.
    """
    record, namespace = loaded.checkpoint, loaded.folder.namespace
    if not context.borrow or record.size > context.memory.capacity:
        return
    remembered = context.memory.parent(namespace, loaded.folder.checkpoint_id)
    listed = [(each.key, each.etag) for each in loaded.folder.checkpoints if each.key == loaded.key]
    if remembered is not None and (remembered.key, remembered.etag) in listed:
        return
    versions = checkpoint.get("channel_versions") or {}
    [entry] = [each for each in loaded.folder.checkpoints if each.key == loaded.key]
    known = record.known(
        loaded.key.rpartition("/")[2], versions, context.rules, int(entry.modified.timestamp())
    )
    context.memory.keep(namespace, Parent(known, loaded.key))


def load(context: Context, folders: Sequence[Folder], *, past: bool = False) -> Plan[list[Loaded | None]]:
    """Read folders, all of them in one round trip; a second one where frames are borrowed.

    Args:
        context: The saver's.
        folders: The folders. Their entries may be old versions.
        past: Whether lenders may have been deleted or overwritten since: then their old versions are read.

    Returns:
        One for each folder; `None` where an object was gone when its turn came.
    """
    loaded = yield from _load(context, folders)
    for number, each in enumerate(loaded):
        if each is not None and past:
            yield from provide_past(context, each.folder.namespace, each.checkpoint)
        if each is not None and missing(each.checkpoint):
            loaded[number] = yield from _mend(context, each)
    return loaded


def _load(context: Context, folders: Sequence[Folder]) -> Plan[list[Loaded | None]]:
    entries = [entry for folder in folders for entry in folder.entries]
    answers = yield from fetch(entries, context.sizes)
    yield from unlock(context, answers)
    bodies = dict(zip((entry.key for entry in entries), answers, strict=True))
    loaded = [open_folder(context, folder, bodies) for folder in folders]
    yield from provide(context, [(each.folder.namespace, each.checkpoint) for each in loaded if each])
    return loaded


def _mend(context: Context, loaded: Loaded) -> Plan[Loaded | None]:
    """Read again a checkpoint whose lenders aren't what it says: they may just have been deleted.

    If they were and it stayed as it is, its parent has what they gave. If that was deleted since, then it was
    rewritten before.
    """
    [entry] = [entry for entry in loaded.folder.checkpoints if entry.key == loaded.key]
    etag: str | None = None
    for _ in range(_TRIES):
        bodies = yield from fetch([replace(entry, etag="")], context.sizes)
        if isinstance(bodies[0], Missing):
            return None
        if bodies[0].etag == etag:
            break
        etag = bodies[0].etag
        yield from unlock(context, bodies)
        with at(loaded.key):
            loaded = replace(loaded, checkpoint=open_body(context, loaded.folder, bodies[0]))
        yield from provide(context, [(loaded.folder.namespace, loaded.checkpoint)])
        if missing(loaded.checkpoint):
            with suppress(CorruptObjectError):  # of an ancestor: what is told is what was asked for
                yield from _inherit(context, loaded)
        if not missing(loaded.checkpoint):
            break
    for number in missing(loaded.checkpoint):
        lender = lender_key(loaded.folder.namespace, loaded.checkpoint.container.frames[number])
        raise CorruptObjectError(
            f"The checkpoint borrows from {lender}, and that object is gone or damaged", key=loaded.key
        )
    return loaded


def _inherit(context: Context, loaded: Loaded) -> Plan[None]:
    """Take from a checkpoint's parent what its lenders don't give any more.

    Who deletes rewrites the parent before; but the child, and children of it, may have been on
    their way at that moment, unseen. So the line goes up to the first that has all of its bytes.
    """
    line = [loaded]
    while missing(line[-1].checkpoint) and len(line) <= _LONGEST_LINE:
        record, address = line[-1].checkpoint, line[-1].folder.address
        if record.parent is None or record.parent_created is None:
            return
        where = Address(address.thread_id, address.namespace, record.parent)
        folder = yield from find(context, where)
        [parent] = (yield from _load(context, [folder])) if folder else [None]
        known = {each.folder.checkpoint_id for each in line}  # or a line in a circle would never end
        if parent is None or record.parent in known or parent.checkpoint.created != record.parent_created:
            return
        line.append(parent)
    for parent, child in pairwise(reversed(line)):
        with at(parent.key):
            child.checkpoint.inherit(parent.checkpoint)


def open_latest(
    context: Context, folder: Folder, bodies: Mapping[str, Body | Missing]
) -> tuple[str, CheckpointRecord] | None:
    """Of a folder's checkpoints that which was written last, with its key; `None` where one is gone."""
    records: list[tuple[str, CheckpointRecord]] = []
    for entry in folder.checkpoints:
        body = bodies[entry.key]
        if isinstance(body, Missing):
            return None
        with at(entry.key):
            records.append((entry.key, open_body(context, folder, body)))
    return max(records, key=lambda each: (each[1].created, each[0]))  # of one put's, `.c…` is the later one


def open_body(context: Context, folder: Folder, body: Body) -> CheckpointRecord:
    """Read a checkpoint's object in a folder, or its head."""
    room, address = context.room(folder.namespace), folder.address
    return open_checkpoint(body.data, body.size, address.namespace, folder.checkpoint_id, room)


def peek(
    context: Context, folders: Sequence[Folder], *, versions: bool = False
) -> Plan[list[CheckpointRecord | None]]:
    """Of each folder the checkpoint's header, metadata and (if wanted) versions; `None` where it is gone.

    Its object's head holds them, as a rule; where it doesn't, the object is read whole.
    """
    bodies = yield from heads(context, [entry for folder in folders for entry in folder.checkpoints])
    latest = (open_latest(context, folder, bodies) for folder in folders)
    records = [each[1] if each else None for each in latest]
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


def heads(context: Context, entries: Sequence[Entry]) -> Plan[dict[str, Body | Missing]]:
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
    yield from unlock(context, bodies.values())
    return bodies


def _head(entry: Entry, length: int) -> GetObject:
    return GetObject(
        entry.key,
        entry.etag,
        0,
        length if entry.size > length else None,
        keep=entry.version is None,
        version=entry.version,
        listed=entry.size,
    )


class at:  # noqa: N801  # used as a statement
    """Say in an error which object it is about."""

    __slots__ = ("_key",)

    def __init__(self, key: str) -> None:
        self._key = key

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, S3CheckpointError):
            error.key = error.key or self._key


def open_object(context: Context, key: str, body: Body) -> CheckpointRecord | WritesRecord:
    """Read one object by its key."""
    return open_parsed(context.layout.parse(key), body, context.room(namespace_of(key)))


def open_parsed(parsed: ParsedKey, body: Body, room: Room) -> CheckpointRecord | WritesRecord:
    """Read one object, by what its key says and the namespace that it is in."""
    opened = open_checkpoint if isinstance(parsed.leaf, CheckpointLeaf) else open_writes
    return opened(body.data, body.size, parsed.checkpoint_ns, parsed.checkpoint_id, room)


def namespace_of(key: str) -> str:
    """The folder of the namespace that an object is in."""
    return key.rsplit("/", 2)[0] + "/"


def open_folder(context: Context, folder: Folder, bodies: Mapping[str, Body | Missing]) -> Loaded | None:
    """Read a folder's objects; `None` where one of them is gone."""
    record = open_latest(context, folder, bodies)
    room, namespace = context.room(folder.namespace), folder.address.namespace
    pending: list[WritesRecord] = []
    for entry in folder.writes:
        body = bodies[entry.key]
        if isinstance(body, Missing):
            return None
        with at(entry.key):
            written = open_writes(body.data, body.size, namespace, folder.checkpoint_id, room)
            written.check()
            pending.append(written)
    return None if record is None else Loaded(folder, *record, pending)
