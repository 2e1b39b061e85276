"""Preparation of a deletion: write tombstones, wait, and rewrite whole what stays and borrows from what goes.

A rewritten object keeps its key, and its own frames keep their offsets, because others may borrow them.
Nothing is deleted here, so a crash between any two requests leaves everything readable.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Final, NamedTuple

from langgraph_checkpoint_s3.errors import ConflictError
from langgraph_checkpoint_s3.format.checkpoint import CheckpointRecord
from langgraph_checkpoint_s3.format.tombstones import Reason
from langgraph_checkpoint_s3.plans.borrowed import lender_keys
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.load import Loaded, error_context, load, open_body, read_heads
from langgraph_checkpoint_s3.plans.plan import Plan, ask, batched, gather
from langgraph_checkpoint_s3.plans.scan import Folder, Scan
from langgraph_checkpoint_s3.plans.tombstones import (
    DELETION_WAIT,
    add_tombstones,
    borrowers_among,
    lenders_among,
    read_tombstones,
    tombstone_name,
)
from langgraph_checkpoint_s3.plans.transfer import overwrite, write_all
from langgraph_checkpoint_s3.s3.requests import Body, Entry, Sleep

_AT_ONCE: Final = 16
_HEADS_AT_ONCE: Final = 256
_TRIES: Final = 4


def materialize_borrowers(
    context: Context, victims: Sequence[Folder], reason: Reason = "some", *, now: int = 0
) -> Plan[None]:
    """Make everything that stays of a thread independent of what is to be deleted.

    If the keys tell that no victim can lend, nothing is sent. Otherwise: write tombstones (a GET and a PUT),
    wait `DELETION_WAIT` seconds, list the namespaces again, read the heads of the descendants that borrow,
    and rewrite those that borrow from victims.

    Args:
        context: The saver's.
        victims: The folders to be deleted, all of one thread.
        reason: The reason, for the tombstones.
        now: As for `add_tombstones`.

    Raises:
        ConflictError: A checkpoint changed each time before it could be rewritten.
    """
    lenders = lenders_among(victims)
    if not lenders:
        return
    namespaces = sorted({folder.namespace for folder in victims if lenders_among([folder])})
    # The order matters. A put that read no tombstones has landed by the end of the wait, so the listing
    # shows it. A later put reads the tombstones. See "Deleting and borrowing" in docs/design.md.
    yield from add_tombstones(context, victims[0].thread, lenders, reason, now=now)
    yield from ask(Sleep(DELETION_WAIT))
    listed = yield from gather(Scan(context.layout, namespace).rest() for namespace in namespaces)
    keys = {entry.key for entry in lenders}
    staying = [each for found in listed for each in _possible_borrowers(found, keys)]
    records = yield from _read_records(context, staying)
    affected = [
        (folder, entry)
        for folder, entry in staying
        if (record := records.get(entry.key)) is not None
        and not keys.isdisjoint(lender_keys(folder.namespace, record))
    ]
    for some in batched(affected, _AT_ONCE):
        found = yield from gather(_materialize(context, folder, entry, keys) for folder, entry in some)
        writes = [(len(each.body), _rewrite(context, each, keys)) for each in found if each is not None]
        yield from write_all(writes, context.sizes)


def _possible_borrowers(folders: Sequence[Folder], going: AbstractSet[str]) -> list[tuple[Folder, Entry]]:
    """Return the objects of a namespace that stay and may borrow from what goes, judging by their keys.

    A checkpoint borrows from its parent, and from what that borrows from: its lenders are ancestors. So only
    descendants count: of what goes, and of checkpoints that are missing, since their parents aren't known.
    """
    children: dict[str, list[str]] = {}
    for folder in folders:
        for leaf in folder.leaves:
            if leaf.parent is not None:
                children.setdefault(leaf.parent, []).append(folder.checkpoint_id)
    there = {folder.checkpoint_id for folder in folders if folder.checkpoints}
    left = [each.checkpoint_id for each in folders if any(entry.key in going for entry in each.checkpoints)]
    left += children.keys() - there
    found: set[str] = set()
    while left:
        checkpoint_id = left.pop()
        if checkpoint_id not in found:
            found.add(checkpoint_id)
            left += children.get(checkpoint_id, ())
    return [
        (folder, entry)
        for folder, entry in borrowers_among(folders)
        if folder.checkpoint_id in found and entry.key not in going
    ]


def unacknowledged(context: Context, folders: Sequence[Folder]) -> Plan[set[str]]:
    """Return the keys of the checkpoints that were never acknowledged, and lack a lender.

    Puts leave them that failed, or were killed, while their lenders were deleted. Nothing is sent if nothing
    borrows, and one GET if the thread has no tombstones. Otherwise the heads of the borrowers are read.
    `folders` are all of one thread.
    """
    suspects = borrowers_among(folders)
    if not suspects:
        return set()
    tombstones = yield from read_tombstones(context, suspects[0][0].thread)
    if tombstones is None or not tombstones.groups:
        return set()
    # Without an ETag, so that they are read from the store: they may have been rewritten since.
    fresh = [(folder, replace(entry, etag="")) for folder, entry in suspects]
    records = yield from _read_records(context, fresh)
    there = {entry.key for folder in folders for entry in folder.checkpoints}
    return {
        entry.key
        for folder, entry in suspects
        if (record := records.get(entry.key)) is not None
        and tombstones.named(map(tombstone_name, lender_keys(folder.namespace, record) - there))
    }


def without_checkpoints(folders: Iterable[Folder], keys: AbstractSet[str]) -> list[Folder]:
    """Return folders without some checkpoint objects. A folder that loses all of them is left out."""
    left: list[Folder] = []
    for folder in folders:
        kept = [entry for entry in folder.checkpoints if entry.key not in keys]
        if len(kept) == len(folder.checkpoints):
            left.append(folder)
        elif kept:
            some = folder.only(*kept)
            some.writes += folder.writes
            left.append(some)
    return left


def _read_records(
    context: Context, checkpoints: Sequence[tuple[Folder, Entry]]
) -> Plan[dict[str, CheckpointRecord]]:
    """Read the heads of checkpoints, by key. Checkpoints that are gone are left out."""
    records: dict[str, CheckpointRecord] = {}
    for window in batched(checkpoints, _HEADS_AT_ONCE):
        bodies = yield from read_heads(context, [entry for _, entry in window])
        for folder, entry in window:
            body = bodies[entry.key]
            if isinstance(body, Body):
                with error_context(entry.key):
                    records[entry.key] = open_body(context, folder, entry.key, body)
    return records


class _Materialized(NamedTuple):
    """A checkpoint's new bytes, without borrowing, and the ETag of the object that they replace."""

    folder: Folder
    entry: Entry
    etag: str
    body: bytes


def _materialize(
    context: Context, folder: Folder, entry: Entry, going: AbstractSet[str]
) -> Plan[_Materialized | None]:
    """Read a checkpoint and all that it borrows. Return `None` if it needn't be rewritten.

    That is so if it was deleted, doesn't borrow from `going` any more, or was never acknowledged.
    """
    [loaded] = yield from load(context, [folder.only(entry)])
    if not isinstance(loaded, Loaded):
        return None
    if going.isdisjoint(lender_keys(folder.namespace, loaded.checkpoint)):
        return None
    with error_context(loaded.key):
        return _Materialized(folder, entry, loaded.etag, loaded.checkpoint.materialized(context.compression))


def _rewrite(context: Context, made: _Materialized | None, going: AbstractSet[str]) -> Plan[None]:
    """Replace the object that was read, and no other (`If-Match`): what was deleted must stay deleted.

    If another process rewrote it meanwhile, it is read again. Normally it then borrows nothing.
    """
    for _ in range(_TRIES):
        if made is None or (yield from overwrite(made.entry.key, made.body, context.sizes, made.etag)):
            return
        entry = made.entry
        made = yield from _materialize(context, made.folder, replace(entry, etag=""), going)
    if made is not None:
        raise ConflictError(
            "A checkpoint that borrows from what is to be deleted changed each time that it was about to be "
            "rewritten; nothing was deleted. Try again",
            key=made.entry.key,
        )
