"""`copy_thread`: copy a thread's objects in an order in which no partial checkpoint can be read.

Plain objects are copied by the server. The client reads and writes objects that borrow; encrypted objects,
which are bound to their thread and are re-encrypted with the same data keys; and objects for a thread whose
name is too long for keys, since they contain it. A copy of encrypted objects without keys is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import chain
from typing import Final

from langgraph_checkpoint_s3.errors import ConflictError, DecryptionError, InvalidKeyError
from langgraph_checkpoint_s3.format.checkpoint import CheckpointRecord
from langgraph_checkpoint_s3.format.container import Container
from langgraph_checkpoint_s3.format.keys import MAX_KEY_BYTES, CheckpointLeaf, Layout, WritesLeaf
from langgraph_checkpoint_s3.format.reencrypt import Reencryptor
from langgraph_checkpoint_s3.plans.borrowed import lender_keys
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.data_keys import unlock
from langgraph_checkpoint_s3.plans.load import Loaded, error_context, load, open_object
from langgraph_checkpoint_s3.plans.materialize import unacknowledged, without_checkpoints
from langgraph_checkpoint_s3.plans.place import leaf_of, namespace_of
from langgraph_checkpoint_s3.plans.plan import Plan, ask_all, batched
from langgraph_checkpoint_s3.plans.retention import Tagging, begin_tagging, classes_among, end_tagging
from langgraph_checkpoint_s3.plans.scan import Folder, Scan, group, latest
from langgraph_checkpoint_s3.plans.special_writes import copy_special
from langgraph_checkpoint_s3.plans.tombstones import (
    add_coming,
    borrowers_among,
    lenders_among,
    remove_tombstones,
)
from langgraph_checkpoint_s3.plans.transfer import fetch, overwrite, store, windows, write_all
from langgraph_checkpoint_s3.s3.requests import Body, CopyObject, Entry, HeadObject, NotFound, Stored

_BATCH: Final = 1000


@dataclass(frozen=True, slots=True)
class _Copy:
    """An object to copy.

    Attributes:
        entry: The object.
        target: The key that it goes to.
        encrypted: Whether it is encrypted.
        bound: Whether it names its thread, or is bound to it, and must be built again.
        borrows: Whether it borrows.
        special: Whether it holds a task's special writes.
        tag: The retention tag of the copy.
    """

    entry: Entry
    target: str
    encrypted: bool
    bound: bool
    borrows: bool
    special: bool
    tag: str | None

    @property
    def by_client(self) -> bool:
        """`True` if the client reads and writes it, `False` if the server copies it."""
        return self.bound or self.borrows


def copy_thread(context: Context, source: str, target: str, now: int) -> Plan[None]:
    """Copy all of a thread's objects.

    The order is writes, which nobody sees without their checkpoint, then checkpoints from the oldest on, and
    the latest of each namespace last. So an interrupted copy looks like the source's past. Until all objects
    exist, those that may lend have tombstones in the target, so that readers skip a copied checkpoint that
    still lacks a lender. Copying again completes it.

    What the target already holds stays, except for special writes of the same task and slot. Copies keep
    their retention class. They are pinned if the target is. A copy borrows from nothing that was copied long
    before, since lifecycle rules delete that long before the copy, nor from a copy of what was rewritten
    since.

    Args:
        context: The saver's.
        source: The thread to copy.
        target: The thread to copy it to.
        now: The store's time, in ns since 1970.

    Raises:
        InvalidKeyError: The target's keys would be too long. Nothing was copied.
        DecryptionError: There are encrypted objects, and their key is missing.
        ConflictError: The source was deleted meanwhile. The target holds a part of it.
    """
    if source == target:
        return
    layout = context.layout
    old, new = layout.thread(source), layout.thread(target)
    listed = yield from Scan(layout, old).rest()
    failed_puts = yield from unacknowledged(context, listed)
    folders = without_checkpoints(listed, failed_puts)
    named = layout.hashes_thread(target)
    classes = {new + key[len(old) :]: name for key, name in classes_among(context, folders).items()}
    tagging = yield from begin_tagging(context, new, classes)
    stages = [
        [_planned(layout, entry, new + entry.key[len(old) :], named, tagging) for entry in entries]
        for entries in copy_stages(folders)
    ]
    for each in chain.from_iterable(stages):
        if len(each.target) > MAX_KEY_BYTES:
            raise InvalidKeyError(
                f"A copied object's key would have {len(each.target)} bytes, and S3 takes {MAX_KEY_BYTES}: "
                "the target thread_id must be shorter. Nothing was copied."
            )
        if each.encrypted and context.key_cache is None:
            raise DecryptionError(
                "An encrypted thread can be copied only with its key, for its objects are bound to the "
                "thread and sealed anew for the other one: pass S3Saver(…, encryption=…). Nothing was copied",
                key=each.entry.key,
            )
    lenders = [new + entry.key[len(old) :] for entry in lenders_among(folders)]
    number: int | None = None
    there: dict[str, str] = {}
    complete: AbstractSet[str] = frozenset()
    unfit: AbstractSet[str] = frozenset()
    if borrowers_among(folders):
        # Existing objects stay, since they may have been rewritten whole since an earlier copy. Only those
        # that an interrupted copy left without a lender are written again.
        number = yield from add_coming(context, new, lenders)
        found = yield from Scan(layout, new).rest()
        lacking = yield from unacknowledged(context, found)
        there = {entry.key: entry.etag for folder in found for entry in folder.entries}
        complete = there.keys() - lacking
        oldest = now / 1_000_000_000 - context.policy.horizon
        etags = {new + each.key[len(old) :]: each.etag for folder in listed for each in folder.checkpoints}
        unfit = {
            entry.key
            for entry in lenders_among(found)
            if entry.modified.timestamp() < oldest or entry.etag != etags.get(entry.key, entry.etag)
        }
        stages = [[each for each in stage if each.special or each.target not in complete] for stage in stages]
    reencryptor = Reencryptor(target)
    for copies in stages:
        stage = yield from _without_special(context, target, copies)
        plain = [each for each in stage if not each.by_client]
        for some in batched(plain, _BATCH):
            yield from _copy_by_server(some)
        others = {each.entry.key: each for each in stage if each.by_client}
        for window in windows([[each.entry for each in others.values()]]):
            yield from _copy_by_client(
                context, reencryptor, [others[entry.key] for entry in window], there, unfit
            )
        context.parent_cache.end_walk(new)
    yield from end_tagging(context, tagging, [each.target for stage in stages for each in stage])
    if number is not None:
        written = [key for key in lenders if key not in complete]
        yield from remove_tombstones(context, new, written, number, present=lenders)


def _without_special(context: Context, target: str, copies: Sequence[_Copy]) -> Plan[list[_Copy]]:
    """Merge special writes into those that the target has of the same task, and return the other copies."""
    special = [each for each in copies if each.special]
    answers = yield from ask_all(HeadObject(each.target) for each in special)
    there = [each for each, answer in zip(special, answers, strict=True) if isinstance(answer, Stored)]
    yield from copy_special(context, target, [(each.entry, each.tag) for each in there])
    return [each for each in copies if each not in there]


def _planned(layout: Layout, entry: Entry, target: str, named: bool, tagging: Tagging) -> _Copy:
    leaf = layout.parse(entry.key).leaf
    special = isinstance(leaf, WritesLeaf) and leaf.is_special
    borrows = isinstance(leaf, CheckpointLeaf) and leaf.borrows
    bound = leaf.encrypted or named
    return _Copy(entry, target, leaf.encrypted, bound, borrows, special, tagging.of(target))


def _copy_by_server(batch: Sequence[_Copy]) -> Plan[None]:
    answers = yield from ask_all(CopyObject(each.entry.key, each.target, tag=each.tag) for each in batch)
    for each, answer in zip(batch, answers, strict=True):
        if isinstance(answer, NotFound):
            raise ConflictError("The thread was being deleted while it was copied", key=each.entry.key)


def _copy_by_client(
    context: Context,
    reencryptor: Reencryptor,
    batch: Sequence[_Copy],
    there: Mapping[str, str],
    unfit: AbstractSet[str],
) -> Plan[None]:
    """Read objects, and write them for the target.

    Each write is conditional on what the target held when it was listed. Otherwise a request of this copy
    that arrives late could replace an object that was rewritten whole meanwhile.

    Args:
        context: The saver's.
        reencryptor: Re-encrypts objects for the target.
        batch: The objects.
        there: The ETags of the target's objects by key, if anything borrows.
        unfit: The target's objects from which copies can't borrow: they are too old, or the source's object
            was rewritten since they were copied from it.
    """
    bodies = yield from fetch([each.entry for each in batch], context.sizes)
    yield from unlock(context, bodies)
    made: list[tuple[_Copy, bytes]] = []
    for each, body in zip(batch, bodies, strict=True):
        if isinstance(body, NotFound):
            raise ConflictError("The thread was being deleted while it was copied", key=each.entry.key)
        whole: Container | None = None
        if each.borrows and unfit and _borrows_from(context, each, body, unfit):
            whole = yield from _materialize(context, each.entry)
        if not each.bound:
            made.append((each, body.data if whole is None else bytes(whole.data)))
            continue
        scope = context.scope(namespace_of(each.target))
        with error_context(each.entry.key):
            container = whole or open_object(context, each.entry.key, body).container
        if not reencryptor.has_lenders(container, scope):
            container = yield from _materialize(context, each.entry)
        with error_context(each.entry.key):
            made.append((each, reencryptor.reencrypt(container, leaf_of(each.target), scope)))

    def write(copy: _Copy, body: bytes) -> Plan[object]:
        target = copy.target
        if target in there:
            return overwrite(target, body, context.sizes, there[target], copy.tag)
        return store(target, body, context.sizes, only_new=True, tag=copy.tag)

    yield from write_all(((len(body), write(copy, body)) for copy, body in made), context.sizes)


def _borrows_from(context: Context, copy: _Copy, body: Body, lenders: AbstractSet[str]) -> bool:
    """Return whether a copy would borrow from some of the target's objects."""
    with error_context(copy.entry.key):
        record = open_object(context, copy.entry.key, body)
    return isinstance(record, CheckpointRecord) and not lenders.isdisjoint(
        lender_keys(namespace_of(copy.target), record)
    )


def _materialize(context: Context, entry: Entry) -> Plan[Container]:
    """Read a checkpoint with all that it borrows, since the copy lacks one of its lenders."""
    [folder] = group(context.layout, [entry])
    [loaded] = yield from load(context, [folder])
    if not isinstance(loaded, Loaded):
        raise ConflictError("The thread was being deleted while it was copied", key=entry.key)
    with error_context(entry.key):
        body = loaded.checkpoint.materialized(context.compression)
        return open_object(context, entry.key, Body(body, "", len(body))).container


def copy_stages(folders: Sequence[Folder]) -> Iterator[list[Entry]]:
    """Return a thread's objects in the order in which to copy them. Those of one stage go together."""
    stored = [folder for folder in folders if folder.checkpoints]
    last = latest(stored)
    paths = {folder.path for folder in last}
    yield [entry for folder in stored for entry in folder.writes]
    yield [entry for folder in reversed(stored) if folder.path not in paths for entry in folder.checkpoints]
    yield [entry for folder in last for entry in folder.checkpoints]
