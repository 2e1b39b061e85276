"""Before a deletion: write tombstones, wait, and inline the borrowed bytes of every checkpoint that stays.

A rewritten object keeps its key, and its own frames keep their places in it, because others may borrow those.
A crash between any two requests leaves everything readable: nothing is deleted here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Final

from langgraph_checkpoint_s3.errors import ConflictError
from langgraph_checkpoint_s3.format.checkpoint import CheckpointRecord
from langgraph_checkpoint_s3.format.tombstones import Reason
from langgraph_checkpoint_s3.plans.borrowed import lender_keys
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.load import Loaded, error_context, heads, load, open_body
from langgraph_checkpoint_s3.plans.plan import Plan, ask, gather
from langgraph_checkpoint_s3.plans.scan import Folder, Scan
from langgraph_checkpoint_s3.plans.tombstones import (
    WAIT,
    announce,
    borrowers,
    lending,
    read_tombstones,
    tombstone_name,
)
from langgraph_checkpoint_s3.plans.transfer import overwrite
from langgraph_checkpoint_s3.s3.requests import Body, Entry, Sleep

_AT_ONCE: Final = 16
_HEADS_AT_ONCE: Final = 256
_TRIES: Final = 4


def release_all(
    context: Context, victims: Sequence[Folder], reason: Reason = "some", *, now: int = 0
) -> Plan[None]:
    """Make everything that stays of a thread independent of what is to go.

    Where nothing that goes can lend, which the keys tell, nothing is sent. Otherwise tombstones are written
    (a GET and a PUT), `WAIT` seconds pass, and each namespace concerned is listed again. The heads of those
    objects that borrow, as their keys tell, are read; what borrows from what goes is read, and rewritten
    whole.

    Args:
        context: The saver's.
        victims: The folders that are to go, all of one thread.
        reason: Why they go.
        now: As for `announce`.

    Raises:
        ConflictError: A checkpoint changed each time that it was about to be rewritten.
    """
    lenders = lending(victims)
    if not lenders:
        return
    namespaces = sorted({folder.namespace for folder in victims if lending([folder])})
    yield from announce(context, victims[0].thread, lenders, reason, now=now)
    yield from ask(Sleep(WAIT))
    listed = yield from gather(Scan(context.layout, namespace).rest() for namespace in namespaces)
    keys = {entry.key for entry in lenders}
    staying = [each for found in listed for each in borrowers(found) if each[1].key not in keys]
    records = yield from _open(context, staying)
    affected = [
        each
        for each in staying
        if (record := records.get(each[1].key)) is not None
        and not keys.isdisjoint(lender_keys(each[0].namespace, record))
    ]
    for start in range(0, len(affected), _AT_ONCE):
        some = affected[start : start + _AT_ONCE]
        found = yield from gather(_whole(context, folder, entry, keys) for folder, entry in some)
        made = [each for each in found if each is not None]
        small = [each for each in made if len(each.body) < context.sizes.multipart_threshold]
        large = [each for each in made if len(each.body) >= context.sizes.multipart_threshold]
        for few in (small, *([each] for each in large)):  # by itself: its upload isn't left behind
            yield from gather(_rewrite(context, each, keys) for each in few)


def unacknowledged(context: Context, folders: Sequence[Folder]) -> Plan[set[str]]:
    """Return the keys of the checkpoints that were never acknowledged, and lack a lender.

    They are what a put left that failed, or was killed, while the objects were deleted that it borrows from.
    Where nothing borrows nothing is sent; where the thread has no tombstones, that is one GET; else the heads
    of those that borrow are read.

    Args:
        context: The saver's.
        folders: All folders of one thread.
    """
    suspects = borrowers(folders)
    if not suspects:
        return set()
    thread = suspects[0][0].thread
    tombstones = yield from read_tombstones(context, thread)
    if tombstones is None or not tombstones.groups:
        return set()
    # As they are now, and not as this process remembers them: they may have been rewritten since.
    fresh = [(folder, replace(entry, etag="")) for folder, entry in suspects]
    records = yield from _open(context, fresh)
    there = {entry.key for folder in folders for entry in folder.checkpoints}
    return {
        entry.key
        for folder, entry in suspects
        if (record := records.get(entry.key)) is not None
        and tombstones.named(tombstone_name(key) for key in lender_keys(folder.namespace, record) - there)
    }


def without(folders: Iterable[Folder], keys: AbstractSet[str]) -> list[Folder]:
    """Return folders without some checkpoints' objects; one that has none left goes with its writes."""
    left: list[Folder] = []
    for folder in folders:
        kept = folder
        if any(entry.key in keys for entry in folder.checkpoints):
            kept = folder.only(*(entry for entry in folder.checkpoints if entry.key not in keys))
            if not kept.checkpoints:
                continue
            kept.writes += folder.writes
        left.append(kept)
    return left


def _open(context: Context, some: Sequence[tuple[Folder, Entry]]) -> Plan[dict[str, CheckpointRecord]]:
    """Read the heads of checkpoints. What is gone is left out."""
    records: dict[str, CheckpointRecord] = {}
    for start in range(0, len(some), _HEADS_AT_ONCE):
        window = some[start : start + _HEADS_AT_ONCE]
        bodies = yield from heads(context, [entry for _, entry in window])
        for folder, entry in window:
            body = bodies[entry.key]
            if isinstance(body, Body):
                with error_context(entry.key):
                    records[entry.key] = open_body(context, folder, entry.key, body)
    return records


@dataclass(frozen=True, slots=True)
class _Whole:
    """A checkpoint with what it borrows in it, and the ETag of what was read."""

    folder: Folder
    entry: Entry
    etag: str
    body: bytes


def _whole(context: Context, folder: Folder, entry: Entry, going: AbstractSet[str]) -> Plan[_Whole | None]:
    """Read a checkpoint with what it borrows; `None` if nothing is to be written.

    What was deleted, or lacks a lender already and so was never acknowledged, is left alone.
    """
    [loaded] = yield from load(context, [folder.only(entry)])
    if not isinstance(loaded, Loaded):
        return None
    if going.isdisjoint(lender_keys(folder.namespace, loaded.checkpoint)):
        return None
    with error_context(loaded.key):
        return _Whole(folder, entry, loaded.etag, loaded.checkpoint.materialized(context.compression))


def _rewrite(context: Context, made: _Whole | None, going: AbstractSet[str]) -> Plan[None]:
    """Write a checkpoint whole in the place of what was read (`If-Match`).

    If somebody else rewrote it meanwhile, it is read again: it then borrows nothing, as a rule.
    """
    for _ in range(_TRIES):
        if made is None or (yield from overwrite(made.entry.key, made.body, context.sizes, made.etag)):
            return
        entry = made.entry
        made = yield from _whole(context, made.folder, replace(entry, etag=""), going)
    if made is not None:
        raise ConflictError(
            "A checkpoint that borrows from what is to be deleted changed each time that it was about to be "
            "rewritten; nothing was deleted. Try again",
            key=made.entry.key,
        )
