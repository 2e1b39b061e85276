"""Reading checkpoints: from the folders of a listing to checkpoint tuples.

Objects are read and checked (`Loaded`), and deserialized only by `Loaded.tuple`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import NamedTuple

from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.serde.base import SerializerProtocol

from langgraph_checkpoint_s3.errors import CorruptObjectError, S3CheckpointError
from langgraph_checkpoint_s3.format.checkpoint import CheckpointRecord, open_checkpoint
from langgraph_checkpoint_s3.format.container import HEAD_BYTES, header_length
from langgraph_checkpoint_s3.format.frames import text
from langgraph_checkpoint_s3.format.gathered import GatheredRecord, open_gathered
from langgraph_checkpoint_s3.format.key_encoding import HashedName
from langgraph_checkpoint_s3.format.keys import CheckpointLeaf, ParsedKey
from langgraph_checkpoint_s3.format.own_thread import show_own_thread
from langgraph_checkpoint_s3.format.retention import Life
from langgraph_checkpoint_s3.format.scope import NamespaceScope
from langgraph_checkpoint_s3.format.writes import WritesRecord, open_writes, resolve_writes
from langgraph_checkpoint_s3.plans.borrowed import (
    fetch_borrowed,
    fetch_borrowed_past,
    missing,
    missing_lenders,
)
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.data_keys import unlock
from langgraph_checkpoint_s3.plans.place import Place, leaf_of, namespace_of
from langgraph_checkpoint_s3.plans.plan import Plan, ask_all
from langgraph_checkpoint_s3.plans.scan import Folder
from langgraph_checkpoint_s3.plans.tombstones import read_tombstones, tombstone_name
from langgraph_checkpoint_s3.plans.transfer import fetch
from langgraph_checkpoint_s3.s3.requests import Body, Entry, GetObject, NotFound

_TRIES = 4


class Absent(Enum):
    """The reason why a listed checkpoint can't be returned."""

    GONE = "it was deleted after the listing"
    UNACKNOWLEDGED = "it lacks a lender that has a tombstone, so its put was never acknowledged"


class Loaded(NamedTuple):
    """The objects of a folder, read and checked but still serialized.

    Attributes:
        folder: The folder.
        key: The key of the checkpoint's object.
        etag: The ETag of that object.
        checkpoint: The checkpoint.
        writes: Its writes.
        renamed: A thread id to use in tuples, instead of the stored one.
    """

    folder: Folder
    key: str
    etag: str
    checkpoint: CheckpointRecord
    writes: Sequence[WritesRecord]
    renamed: str | None = None

    @property
    def place(self) -> Place:
        """Place of the checkpoint. Names that are hashed in keys are taken from the object."""
        namespace = text(self.checkpoint.container.fields["ns"])
        thread_id = self.renamed or thread_name_of(self.folder, self.checkpoint)
        return Place(thread_id, namespace, self.folder.checkpoint_id)

    @property
    def life(self) -> Life:
        """Retention class and pin of the checkpoint, by its key."""
        keys = [entry.key for entry in self.folder.checkpoints]
        return self.folder.leaves[keys.index(self.key)].life

    def tuple(self, serde: SerializerProtocol) -> CheckpointTuple:
        """Deserialize the checkpoint and its writes."""
        place = self.place
        with error_context(self.key):
            parent = self.checkpoint.parent
            return CheckpointTuple(
                config=place.config(),
                checkpoint=self.checkpoint.checkpoint(serde),
                metadata=show_own_thread(self.checkpoint.metadata(serde), place.thread_id),
                parent_config=place.with_id(parent).config() if parent else None,
                pending_writes=resolve_writes(serde, self.writes),
            )


def thread_name_of(folder: Folder, record: CheckpointRecord) -> str:
    """Return the thread's name. If the key has only its hash, it is taken from the object."""
    name = folder.place.thread_id
    return text(record.container.fields["thread"]) if isinstance(name, HashedName) else name


def load(context: Context, folders: Sequence[Folder], *, past: bool = False) -> Plan[list[Loaded | Absent]]:
    """Read folders in one round trip, and a second one for borrowed frames.

    Args:
        context: The saver's.
        folders: The folders. Their entries may be old versions.
        past: Whether to look for lenders among old versions too.

    Returns:
        One result for each folder.

    Raises:
        CorruptObjectError: An object is damaged, or a lender is missing that has no tombstone.
    """
    entries = [entry for folder in folders for entry in (*folder.checkpoints, *folder.pending)]
    answers = yield from fetch(entries, context.sizes)
    yield from unlock(context, answers)
    bodies = dict(zip((entry.key for entry in entries), answers, strict=True))
    opened = [open_folder(context, folder, bodies) for folder in folders]
    yield from fetch_borrowed(context, [(each.folder.namespace, each.checkpoint) for each in opened if each])
    found: list[Loaded | Absent] = []
    for loaded in opened:
        if loaded is None:
            found.append(Absent.GONE)
            continue
        if past:
            yield from fetch_borrowed_past(context, loaded.folder.namespace, loaded.checkpoint)
        if missing(loaded.checkpoint):
            found.append((yield from _reload(context, loaded, past=past)))
        else:
            found.append(loaded)
    return found


def _reload(context: Context, loaded: Loaded, *, past: bool) -> Plan[Loaded | Absent]:
    """Read a checkpoint again, some of whose lenders are missing.

    A deletion rewrites a borrower before it deletes the lenders, so the object is whole now if it was
    acknowledged. If it is unchanged and the lenders have tombstones, its put was never acknowledged; see
    "Deleting and borrowing" in docs/design.md. Another object of the same id then counts, if there is one.
    Old versions (`past`) get no such excuse: they may have been acknowledged.

    Raises:
        CorruptObjectError: A missing lender has no tombstone, so it was lost or is damaged.
    """
    folder, namespace = loaded.folder, loaded.folder.namespace
    [entry] = [entry for entry in folder.checkpoints if entry.key == loaded.key]
    etag: str | None = None
    for _ in range(_TRIES):
        bodies = yield from fetch([replace(entry, etag="")], context.sizes)
        if isinstance(bodies[0], NotFound):
            return Absent.GONE
        if bodies[0].etag == etag:
            break  # it doesn't change any more
        etag = bodies[0].etag
        yield from unlock(context, bodies)
        with error_context(loaded.key):
            record = open_body(context, folder, loaded.key, bodies[0])
        loaded = loaded._replace(checkpoint=record, etag=etag)
        yield from fetch_borrowed(context, [(namespace, record)])
        if not missing(record):
            return loaded
    lacking = missing_lenders(namespace, loaded.checkpoint)
    tombstones = yield from read_tombstones(context, folder.thread)
    if past or tombstones is None or not tombstones.named(map(tombstone_name, lacking)):
        lender = min(lacking, default="an object without a name")  # only a forged header names none
        raise CorruptObjectError(
            f"The checkpoint borrows from {lender}, and that object is gone or damaged", key=loaded.key
        )
    others = folder.without(entry)
    if not others.checkpoints:
        return Absent.UNACKNOWLEDGED
    [other] = yield from load(context, [others])
    return other


def open_latest(
    context: Context, folder: Folder, bodies: Mapping[str, Body | NotFound]
) -> tuple[str, CheckpointRecord] | None:
    """Return a folder's checkpoint that was written last, with its key; `None` if an object is gone."""
    records: list[tuple[str, CheckpointRecord]] = []
    for entry in folder.checkpoints:
        body = bodies[entry.key]
        if isinstance(body, NotFound):
            return None
        with error_context(entry.key):
            records.append((entry.key, open_body(context, folder, entry.key, body)))
    return max(records, key=lambda each: (each[1].created, each[0]))  # of one put's, `.c…` is the later one


def open_body(context: Context, folder: Folder, key: str, body: Body) -> CheckpointRecord:
    """Open a checkpoint's object, or its head."""
    scope, where = context.scope(folder.namespace), (folder.place.checkpoint_ns, folder.checkpoint_id)
    return open_checkpoint(body.data, body.size, *where, leaf_of(key), scope)


def load_heads(
    context: Context, folders: Sequence[Folder], *, versions: bool = False
) -> Plan[list[CheckpointRecord | None]]:
    """Read each folder's checkpoint as far as its header, metadata and (optionally) channel versions.

    The head of the object normally holds them. If not, the whole object is read. The result is `None` for a
    checkpoint that is gone.
    """
    bodies = yield from read_heads(context, [entry for folder in folders for entry in folder.checkpoints])
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


def read_heads(context: Context, entries: Sequence[Entry]) -> Plan[dict[str, Body | NotFound]]:
    """Read the heads of objects: their headers, and normally their metadata. Return them by key."""
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
    """Add the object's key to an error that has none."""

    __slots__ = ("_key",)

    def __init__(self, key: str) -> None:
        self._key = key

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, S3CheckpointError):
            error.key = error.key or self._key


def open_object(context: Context, key: str, body: Body) -> CheckpointRecord | WritesRecord | GatheredRecord:
    """Open an object, given its key."""
    return open_parsed(context.layout.parse(key), leaf_of(key), body, context.scope(namespace_of(key)))


def open_parsed(
    parsed: ParsedKey, leaf: str, body: Body, scope: NamespaceScope
) -> CheckpointRecord | WritesRecord | GatheredRecord:
    """Open an object, given its parsed key, its leaf and its namespace's scope."""
    where = body.data, body.size, parsed.checkpoint_ns, parsed.checkpoint_id, leaf, scope
    if isinstance(parsed.leaf, CheckpointLeaf):
        return open_checkpoint(*where)
    return open_gathered(*where) if parsed.leaf.is_gathered else open_writes(*where)


def open_folder(context: Context, folder: Folder, bodies: Mapping[str, Body | NotFound]) -> Loaded | None:
    """Open a folder's objects; return `None` if one of them is gone."""
    latest = open_latest(context, folder, bodies)
    scope, where = context.scope(folder.namespace), (folder.place.checkpoint_ns, folder.checkpoint_id)
    writes: list[WritesRecord] = []
    for entry in folder.pending:
        body = bodies[entry.key]
        if isinstance(body, NotFound):
            return None
        with error_context(entry.key):
            record = open_writes(body.data, body.size, *where, leaf_of(entry.key), scope)
            record.check()
            writes.append(record)
    if latest is None:
        return None
    key, checkpoint = latest
    body = bodies[key]
    return Loaded(folder, key, body.etag if isinstance(body, Body) else "", checkpoint, writes)
