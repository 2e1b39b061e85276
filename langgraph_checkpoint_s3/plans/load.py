"""`get_tuple`, and what every reader shares: from folders of a listing to checkpoint tuples."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from langgraph.checkpoint.base import Checkpoint, CheckpointTuple
from langgraph.checkpoint.serde.base import SerializerProtocol

from langgraph_checkpoint_s3.errors import ConflictError, CorruptObjectError, S3CheckpointError
from langgraph_checkpoint_s3.format.checkpoint import CheckpointRecord, open_checkpoint
from langgraph_checkpoint_s3.format.container import HEAD_BYTES, header_length
from langgraph_checkpoint_s3.format.frames import text
from langgraph_checkpoint_s3.format.key_encoding import HashedName
from langgraph_checkpoint_s3.format.keys import CheckpointLeaf, ParsedKey
from langgraph_checkpoint_s3.format.scope import NamespaceScope
from langgraph_checkpoint_s3.format.writes import WritesRecord, open_writes, settle_writes
from langgraph_checkpoint_s3.plans.borrowed import fetch_borrowed, fetch_borrowed_past, lender_key, missing
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.data_keys import unlock
from langgraph_checkpoint_s3.plans.parent_cache import Parent
from langgraph_checkpoint_s3.plans.place import Place, leaf_of, namespace_of
from langgraph_checkpoint_s3.plans.plan import Plan, ask_all
from langgraph_checkpoint_s3.plans.scan import Folder, Scan
from langgraph_checkpoint_s3.plans.tombstones import lending, read_tombstones, tombstone_name
from langgraph_checkpoint_s3.plans.transfer import fetch
from langgraph_checkpoint_s3.s3.requests import Body, Entry, GetObject, NotFound

_LATEST_PAGE = 64
"""Keys to list for the latest checkpoint: it and the writes of a wide superstep, as a rule."""
_TRIES = 4


class Absent(Enum):
    """The reason why a checkpoint that was listed isn't shown."""

    GONE = "it was deleted meanwhile"
    UNACKNOWLEDGED = "its put failed while what it borrows was deleted, so it was never acknowledged"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A folder's objects, read and checked but still serialized.

    Attributes:
        folder: The folder.
        key: The checkpoint's own.
        etag: The ETag of the object that was read.
        checkpoint: The checkpoint.
        writes: Its writes.
        renamed: The thread that tuples are to name instead.
    """

    folder: Folder
    key: str
    etag: str
    checkpoint: CheckpointRecord
    writes: Sequence[WritesRecord]
    renamed: str | None = None

    @property
    def place(self) -> Place:
        """Its thread, namespace and id, by their names."""
        place, fields = self.folder.place, self.checkpoint.container.fields
        thread_id = self.renamed or place.thread_id
        if isinstance(thread_id, HashedName):
            thread_id = text(fields["thread"])
        return Place(thread_id, text(fields["ns"]), place.checkpoint_id)

    def tuple(self, context: Context) -> CheckpointTuple:
        """The checkpoint as LangGraph knows it."""
        return self.loads(context.serde)

    def loads(self, serde: SerializerProtocol) -> CheckpointTuple:
        """The checkpoint as LangGraph knows it, by another serializer than the saver's."""
        place = self.place
        with error_context(self.key):
            parent = self.checkpoint.parent
            return CheckpointTuple(
                config=place.config(),
                checkpoint=self.checkpoint.checkpoint(serde),
                metadata=self.checkpoint.metadata(serde),
                parent_config=(place.with_id(parent).config() if parent else None),
                pending_writes=settle_writes(serde, self.writes),
            )


def get_tuple(context: Context, place: Place) -> Plan[CheckpointTuple | None]:
    """Return the checkpoint that a place names, or a namespace's latest one. One LIST, then its objects.

    Raises:
        ConflictError: It changed each time between being listed and being read.
    """
    loaded = yield from newest(context, place)
    if loaded is None:
        return None
    found = loaded.tuple(context)
    _remember(context, loaded, found.checkpoint)
    return found


def newest(context: Context, place: Place) -> Plan[Loaded | None]:
    """Read the checkpoint that a place names, or a namespace's latest one.

    One that was never acknowledged, and lacks a lender, is passed over.

    Raises:
        ConflictError: It changed each time between being listed and being read.
    """
    unacknowledged: set[tuple[str, str]] = set()
    tries = _TRIES
    while tries:
        folder = yield from find(context, place, unacknowledged)
        if folder is None:
            return None
        [loaded] = yield from load(context, [folder])
        if isinstance(loaded, Loaded):
            return loaded
        if loaded is Absent.UNACKNOWLEDGED:
            unacknowledged |= {(entry.key, entry.etag) for entry in folder.checkpoints}
        else:
            tries -= 1
    raise ConflictError(
        "The checkpoint was deleted or replaced each time it was about to be read; try again",
        key=place.namespace(context.layout),
    )


def find(context: Context, place: Place, without: Collection[tuple[str, str]] = ()) -> Plan[Folder | None]:
    """Return the folder of the checkpoint that a place names, or of a namespace's latest one.

    Args:
        context: The saver's.
        place: What to find.
        without: Objects to pass over, each by its key and ETag.
    """
    layout = context.layout
    if place.checkpoint_id is None:
        scan = Scan(layout, place.namespace(layout), page=_LATEST_PAGE)
    else:
        scan = Scan(layout, place.folder(layout))
    while not scan.done:
        for folder in (yield from scan.more()):
            if any((entry.key, entry.etag) not in without for entry in folder.checkpoints):
                return folder
    return None


def _remember(context: Context, loaded: Loaded, checkpoint: Checkpoint) -> None:
    """Keep a checkpoint in memory, so that its children may borrow from it.

    What this process wrote itself, and nobody changed, it knows already, and more of it.
    """
    record, namespace = loaded.checkpoint, loaded.folder.namespace
    if not context.borrow or record.size > context.parent_cache.capacity:
        return
    remembered = context.parent_cache.parent(namespace, loaded.folder.checkpoint_id)
    listed = [(each.key, each.etag) for each in loaded.folder.checkpoints if each.key == loaded.key]
    if remembered is not None and (remembered.key, remembered.etag) in listed:
        return
    versions = checkpoint.get("channel_versions") or {}
    for entry in lending([loaded.folder]):
        if entry.key == loaded.key:
            leaf, written = leaf_of(loaded.key), int(entry.modified.timestamp())
            context.parent_cache.keep(
                namespace, Parent(record.known(leaf, written, versions, context.policy), loaded.key)
            )


def load(context: Context, folders: Sequence[Folder], *, past: bool = False) -> Plan[list[Loaded | Absent]]:
    """Read folders, all of them in one round trip; a second one where frames are borrowed.

    Args:
        context: The saver's.
        folders: The folders. Their entries may be old versions.
        past: If lenders may have been deleted or overwritten since: then their old versions are read.

    Returns:
        One for each folder.

    Raises:
        CorruptObjectError: An object can't be trusted, or a lender is gone that nobody deleted on purpose.
    """
    found: list[Loaded | Absent] = []
    for each in (yield from _load(context, folders)):
        loaded: Loaded | Absent = each or Absent.GONE
        if isinstance(loaded, Loaded) and past:
            yield from fetch_borrowed_past(context, loaded.folder.namespace, loaded.checkpoint)
        if isinstance(loaded, Loaded) and missing(loaded.checkpoint):
            loaded = yield from _look_again(context, loaded, past=past)
        found.append(loaded)
    return found


def _load(context: Context, folders: Sequence[Folder]) -> Plan[list[Loaded | None]]:
    entries = [entry for folder in folders for entry in folder.entries]
    answers = yield from fetch(entries, context.sizes)
    yield from unlock(context, answers)
    bodies = dict(zip((entry.key for entry in entries), answers, strict=True))
    loaded = [open_folder(context, folder, bodies) for folder in folders]
    yield from fetch_borrowed(context, [(each.folder.namespace, each.checkpoint) for each in loaded if each])
    return loaded


def _look_again(context: Context, loaded: Loaded, *, past: bool) -> Plan[Loaded | Absent]:
    """Read a checkpoint again whose lenders aren't what it says.

    If it was rewritten just before they were deleted, it is whole now. If it stayed as it is, their
    tombstones say that it was never acknowledged: then another object of the same id counts, if there is
    one. An old version (`past`) was acknowledged, as far as anybody knows.

    Raises:
        CorruptObjectError: A lender has no tombstone: it was lost, or is damaged.
    """
    folder, namespace = loaded.folder, loaded.folder.namespace
    [entry] = [entry for entry in folder.checkpoints if entry.key == loaded.key]
    etag: str | None = None
    for _ in range(_TRIES):
        bodies = yield from fetch([replace(entry, etag="")], context.sizes)
        if isinstance(bodies[0], NotFound):
            return Absent.GONE
        if bodies[0].etag == etag:
            break
        etag = bodies[0].etag
        yield from unlock(context, bodies)
        with error_context(loaded.key):
            record = open_body(context, folder, loaded.key, bodies[0])
        loaded = replace(loaded, checkpoint=record, etag=etag)
        yield from fetch_borrowed(context, [(namespace, record)])
        if not missing(record):
            return loaded
    frames = loaded.checkpoint.container.frames
    lacking = {key for n in missing(loaded.checkpoint) if (key := lender_key(namespace, frames[n]))}
    thread = folder.thread
    tombstones = yield from read_tombstones(context, thread)
    if past or tombstones is None or not tombstones.named(tombstone_name(key) for key in lacking):
        lender = min(lacking, default="an object without a name")  # where the header is forged
        raise CorruptObjectError(
            f"The checkpoint borrows from {lender}, and that object is gone or damaged", key=loaded.key
        )
    others = [each for each in folder.checkpoints if each.key != loaded.key]
    if not others:
        return Absent.UNACKNOWLEDGED
    [other] = yield from load(context, [folder.without(entry)])
    return other


def open_latest(
    context: Context, folder: Folder, bodies: Mapping[str, Body | NotFound]
) -> tuple[str, CheckpointRecord] | None:
    """Of a folder's checkpoints that which was written last, with its key; `None` where one is gone."""
    records: list[tuple[str, CheckpointRecord]] = []
    for entry in folder.checkpoints:
        body = bodies[entry.key]
        if isinstance(body, NotFound):
            return None
        with error_context(entry.key):
            records.append((entry.key, open_body(context, folder, entry.key, body)))
    return max(records, key=lambda each: (each[1].created, each[0]))  # of one put's, `.c…` is the later one


def open_body(context: Context, folder: Folder, key: str, body: Body) -> CheckpointRecord:
    """Read a checkpoint's object in a folder, or its head."""
    scope, where = context.scope(folder.namespace), (folder.place.checkpoint_ns, folder.checkpoint_id)
    return open_checkpoint(body.data, body.size, *where, leaf_of(key), scope)


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
        records[number] = loaded.checkpoint if isinstance(loaded, Loaded) else None
    return records


def heads(context: Context, entries: Sequence[Entry]) -> Plan[dict[str, Body | NotFound]]:
    """Read the beginnings of objects: their headers, and normally their metadata."""
    answers = yield from ask_all(_head(entry, HEAD_BYTES) for entry in entries)
    bodies = dict(zip((entry.key for entry in entries), answers, strict=True))
    longer: list[tuple[Entry, int]] = []
    for entry in entries:
        body = bodies[entry.key]
        if isinstance(body, Body):
            with error_context(entry.key):
                needed = header_length(body.data)
            if len(body.data) < needed <= body.size:
                longer.append((entry, needed + HEAD_BYTES))
    answers = yield from ask_all(_head(entry, needed) for entry, needed in longer)
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


class error_context:  # noqa: N801  # used as a statement
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
    return open_parsed(context.layout.parse(key), leaf_of(key), body, context.scope(namespace_of(key)))


def open_parsed(
    parsed: ParsedKey, leaf: str, body: Body, scope: NamespaceScope
) -> CheckpointRecord | WritesRecord:
    """Read one object, by what its key says, that key's end, and the namespace that it is in."""
    opened = open_checkpoint if isinstance(parsed.leaf, CheckpointLeaf) else open_writes
    return opened(body.data, body.size, parsed.checkpoint_ns, parsed.checkpoint_id, leaf, scope)


def open_folder(context: Context, folder: Folder, bodies: Mapping[str, Body | NotFound]) -> Loaded | None:
    """Read a folder's objects; `None` where one of them is gone."""
    record = open_latest(context, folder, bodies)
    scope, where = context.scope(folder.namespace), (folder.place.checkpoint_ns, folder.checkpoint_id)
    pending: list[WritesRecord] = []
    for entry in folder.writes:
        body = bodies[entry.key]
        if isinstance(body, NotFound):
            return None
        with error_context(entry.key):
            written = open_writes(body.data, body.size, *where, leaf_of(entry.key), scope)
            written.check()
            pending.append(written)
    if record is None:
        return None
    key, checkpoint = record
    body = bodies[key]
    return Loaded(folder, key, body.etag if isinstance(body, Body) else "", checkpoint, pending)
