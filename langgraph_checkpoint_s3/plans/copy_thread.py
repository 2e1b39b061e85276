"""`copy_thread`: in an order in which nothing half-copied can be read.

Plain objects are copied by the server, except those that borrow, which are read and written. Encrypted ones
are bound to their thread: they are read, sealed anew for the target, and written. That needs the keys, and
so a copy without them is refused rather than made of objects that nobody can read. Each object keeps its
data key: copying is no rotation. What goes into a thread whose name is too long for keys is read and
written too, for objects name such a thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from langgraph_checkpoint_s3.errors import ConflictError, DecryptionError, InvalidKeyError
from langgraph_checkpoint_s3.format.container import Container
from langgraph_checkpoint_s3.format.keys import MAX_KEY_BYTES, CheckpointLeaf, Layout, WritesLeaf
from langgraph_checkpoint_s3.format.reencrypt import Reencryptor
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.data_keys import unlock
from langgraph_checkpoint_s3.plans.load import Loaded, error_context, load, open_object
from langgraph_checkpoint_s3.plans.materialize import unacknowledged, without
from langgraph_checkpoint_s3.plans.place import leaf_of, namespace_of
from langgraph_checkpoint_s3.plans.plan import Plan, ask_all, gather
from langgraph_checkpoint_s3.plans.scan import Folder, Scan, group, latest
from langgraph_checkpoint_s3.plans.special_writes import copy_special
from langgraph_checkpoint_s3.plans.tombstones import borrowers, expect, lending, retract
from langgraph_checkpoint_s3.plans.transfer import fetch, overwrite, store, windows
from langgraph_checkpoint_s3.s3.requests import Body, CopyObject, Entry, HeadObject, NotFound, Stored

_BATCH: Final = 1000


@dataclass(frozen=True, slots=True)
class _Copy:
    """An object to copy.

    Attributes:
        entry: The object.
        target: The key that it goes to.
        sealed: If it is encrypted.
        bound: If it names its thread, or is bound to it, and must be made anew.
        borrows: If it borrows.
        special: If it holds a task's special writes.
    """

    entry: Entry
    target: str
    sealed: bool
    bound: bool
    borrows: bool
    special: bool

    @property
    def by_client(self) -> bool:
        """Return if it is read and written, and not copied by the server."""
        return self.bound or self.borrows


def copy_thread(context: Context, source: str, target: str) -> Plan[None]:
    """Copy all of a thread's objects, in parallel; plain ones without reading them, unless they name it.

    Writes go first (nobody sees them without their checkpoint), then checkpoints from the oldest on,
    the latest of each namespace last: until then the target looks like the source's past. What may lend
    has tombstones in the target until all is there: so of a copy that was cut short, readers pass over what
    lacks a lender, and copying again completes it. What the target thread already held stays; of a task's
    special writes, in slots that the source hasn't.

    Raises:
        InvalidKeyError: The target's keys would be too long; nothing was copied.
        DecryptionError: There are encrypted objects, and their key is missing.
        ConflictError: The source was being deleted. The target then holds a part of it.
    """
    if source == target:
        return
    layout = context.layout
    old, new = layout.thread(source), layout.thread(target)
    listed = yield from Scan(layout, old).rest()
    never = yield from unacknowledged(context, listed)
    folders = without(listed, never)
    named = layout.hides(target)
    stages = [
        [_planned(layout, entry, new + entry.key[len(old) :], named) for entry in entries]
        for entries in stages_of(folders)
    ]
    for each in (each for stage in stages for each in stage):
        if len(each.target) > MAX_KEY_BYTES:
            raise InvalidKeyError(
                f"A copied object's key would have {len(each.target)} bytes, and S3 takes {MAX_KEY_BYTES}: "
                "the target thread_id must be shorter. Nothing was copied."
            )
        if each.sealed and context.key_cache is None:
            raise DecryptionError(
                "An encrypted thread can be copied only with its key, for its objects are bound to the "
                "thread and sealed anew for the other one: pass S3Saver(…, encryption=…). Nothing was copied",
                key=each.entry.key,
            )
    lenders = [new + entry.key[len(old) :] for entry in lending(folders)]
    number: int | None = None
    there: dict[str, str] = {}
    stands: AbstractSet[str] = frozenset()
    if borrowers(folders):
        # What is there already stays: it may have been rewritten whole since. But what an earlier copy left
        # that was cut short, and lacks a lender, is written again.
        number = yield from expect(context, new, lenders)
        found = yield from Scan(layout, new).rest()
        lacking = yield from unacknowledged(context, found)
        there = {entry.key: entry.etag for folder in found for entry in folder.entries}
        stands = there.keys() - lacking
        stages = [[each for each in stage if each.special or each.target not in stands] for stage in stages]
    resealer = Reencryptor(target)
    for copies in stages:
        stage = yield from _without_special(context, target, copies)
        plain = [each for each in stage if not each.by_client]
        for start in range(0, len(plain), _BATCH):
            yield from _copy(plain[start : start + _BATCH])
        anew = {each.entry.key: each for each in stage if each.by_client}
        for window in windows([[each.entry for each in anew.values()]]):
            yield from _write_anew(context, resealer, [anew[entry.key] for entry in window], there)
    if number is not None:
        came = [key for key in lenders if key not in stands]
        yield from retract(context, new, came, number, stood=lenders)


def _without_special(context: Context, target: str, copies: Sequence[_Copy]) -> Plan[list[_Copy]]:
    """Put special writes among those that their task has in the target already; what else is to be copied."""
    special = [each for each in copies if each.special]
    answers = yield from ask_all(HeadObject(each.target) for each in special)
    there = [each for each, answer in zip(special, answers, strict=True) if isinstance(answer, Stored)]
    yield from copy_special(context, target, [each.entry for each in there])
    return [each for each in copies if each not in there]


def _planned(layout: Layout, entry: Entry, target: str, named: bool) -> _Copy:
    leaf = layout.parse(entry.key).leaf
    special = isinstance(leaf, WritesLeaf) and leaf.is_special
    borrows = isinstance(leaf, CheckpointLeaf) and leaf.borrows
    return _Copy(entry, target, leaf.sealed, leaf.sealed or named, borrows, special)


def _copy(batch: Sequence[_Copy]) -> Plan[None]:
    answers = yield from ask_all(CopyObject(each.entry.key, each.target) for each in batch)
    for each, answer in zip(batch, answers, strict=True):
        if isinstance(answer, NotFound):
            raise ConflictError("The thread was being deleted while it was copied", key=each.entry.key)


def _write_anew(
    context: Context, resealer: Reencryptor, batch: Sequence[_Copy], there: Mapping[str, str]
) -> Plan[None]:
    """Read objects, and write them for the target.

    What borrows goes only where nothing has come since the target was listed. Else a request of this copy
    that arrives late could replace what was rewritten whole meanwhile.

    Args:
        context: The saver's.
        resealer: For the target.
        batch: The objects.
        there: What the target held, with its ETags, if anything borrows.
    """
    bodies = yield from fetch([each.entry for each in batch], context.sizes)
    yield from unlock(context, bodies)
    made: list[tuple[str, bytes]] = []
    for each, body in zip(batch, bodies, strict=True):
        if isinstance(body, NotFound):
            raise ConflictError("The thread was being deleted while it was copied", key=each.entry.key)
        if not each.bound:
            made.append((each.target, body.data))
            continue
        scope = context.scope(namespace_of(each.target))
        with error_context(each.entry.key):
            container = open_object(context, each.entry.key, body).container
        if not resealer.knows(container, scope):
            container = yield from _whole(context, each.entry)
        with error_context(each.entry.key):
            made.append((each.target, resealer.seal(container, leaf_of(each.target), scope)))

    def write(target: str, body: bytes) -> Plan[object]:
        if target in there:
            return overwrite(target, body, context.sizes, there[target])
        return store(target, body, context.sizes, only_new=True)

    yield from gather(
        write(target, body) for target, body in made if len(body) < context.sizes.multipart_threshold
    )
    for target, large in made:
        if len(large) >= context.sizes.multipart_threshold:  # by itself: its upload isn't left behind
            yield from write(target, large)


def _whole(context: Context, entry: Entry) -> Plan[Container]:
    """A checkpoint with what it borrows in it, where what lends to it isn't copied any more."""
    [folder] = group(context.layout, [entry])
    [loaded] = yield from load(context, [folder])
    if not isinstance(loaded, Loaded):
        raise ConflictError("The thread was being deleted while it was copied", key=entry.key)
    with error_context(entry.key):
        body = loaded.checkpoint.materialized(context.compression)
        return open_object(context, entry.key, Body(body, "", len(body))).container


def stages_of(folders: Sequence[Folder]) -> Iterator[list[Entry]]:
    """A thread's objects in the order in which to write them elsewhere. Those of one stage go together."""
    stored = [folder for folder in folders if folder.checkpoints]
    last = latest(stored)
    paths = {folder.path for folder in last}
    yield [entry for folder in stored for entry in folder.writes]
    yield [entry for folder in reversed(stored) if folder.path not in paths for entry in folder.checkpoints]
    yield [entry for folder in last for entry in folder.checkpoints]
