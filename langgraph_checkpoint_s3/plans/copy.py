"""`copy_thread`: in an order in which nothing half-copied can be read.

Plain objects are copied by the server. Encrypted ones are bound to their thread: they are read, sealed
anew for the target, and written. That needs the keys, and so a copy without them is refused rather than made
of objects that nobody can read. Each object keeps its data key: copying is no rotation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from langgraph_checkpoint_s3.errors import ConflictError, DecryptionError, InvalidKeyError
from langgraph_checkpoint_s3.objects.format import Container
from langgraph_checkpoint_s3.objects.keys import MAX_KEY_BYTES, Layout, WritesLeaf
from langgraph_checkpoint_s3.objects.reseal import Resealer
from langgraph_checkpoint_s3.plans.address import Context
from langgraph_checkpoint_s3.plans.plan import Plan, abreast, together
from langgraph_checkpoint_s3.plans.read import at, load, namespace_of, open_object
from langgraph_checkpoint_s3.plans.scan import Folder, Scan, group, latest
from langgraph_checkpoint_s3.plans.special import copy_special
from langgraph_checkpoint_s3.plans.transfer import fetch, store, windows
from langgraph_checkpoint_s3.plans.unlock import unlock
from langgraph_checkpoint_s3.s3.requests import Body, CopyObject, Entry, HeadObject, Missing, Stored

_BATCH: Final = 1000


@dataclass(frozen=True, slots=True)
class _Copy:
    """An object, and where it goes."""

    entry: Entry
    target: str
    sealed: bool
    special: bool


def copy_thread(context: Context, source: str, target: str) -> Plan[None]:
    """Copy all of a thread's objects, in parallel; plain ones without reading them.

    Writes go first (nobody sees them without their checkpoint), then checkpoints from the oldest on,
    the latest of each namespace last: until then the target looks like the source's past. A copy
    that was cut short must be made again or deleted, since of what ran in parallel at that
    moment, any part may be there. What the target thread already held stays; of a task's special writes, in
    slots that the source hasn't.

    Raises:
        InvalidKeyError: The target's keys would be too long; nothing was copied.
        DecryptionError: There are encrypted objects, and their key is missing.
        ConflictError: The source was being deleted. The target then holds a part of it.
    """
    if source == target:
        return
    layout = context.layout
    old, new = layout.thread(source), layout.thread(target)
    folders = yield from Scan(layout, old).rest()
    stages = [
        [_planned(layout, entry, new + entry.key[len(old) :]) for entry in entries]
        for entries in stages_of(folders)
    ]
    for each in (each for stage in stages for each in stage):
        if len(each.target) > MAX_KEY_BYTES:
            raise InvalidKeyError(
                f"A copied object's key would have {len(each.target)} bytes, and S3 takes {MAX_KEY_BYTES}: "
                "the target thread_id must be shorter. Nothing was copied."
            )
        if each.sealed and context.vault is None:
            raise DecryptionError(
                "An encrypted thread can be copied only with its key, for its objects are bound to the "
                "thread and sealed anew for the other one: pass S3Saver(…, encryption=…). Nothing was copied",
                key=each.entry.key,
            )
    resealer = Resealer(target)
    for copies in stages:
        stage = yield from _without_special(context, target, copies)
        plain = [each for each in stage if not each.sealed]
        for start in range(0, len(plain), _BATCH):
            yield from _copy(plain[start : start + _BATCH])
        sealed = {each.entry.key: each for each in stage if each.sealed}
        for window in windows([[each.entry for each in sealed.values()]]):
            yield from _seal_anew(context, resealer, [sealed[entry.key] for entry in window])


def _without_special(context: Context, target: str, copies: Sequence[_Copy]) -> Plan[list[_Copy]]:
    """Put special writes among those that their task has in the target already; what else is to be copied."""
    special = [each for each in copies if each.special]
    answers = yield from together(HeadObject(each.target) for each in special)
    there = [each for each, answer in zip(special, answers, strict=True) if isinstance(answer, Stored)]
    yield from copy_special(context, target, [each.entry for each in there])
    return [each for each in copies if each not in there]


def _planned(layout: Layout, entry: Entry, target: str) -> _Copy:
    leaf = layout.parse(entry.key).leaf
    return _Copy(entry, target, leaf.sealed, isinstance(leaf, WritesLeaf) and leaf.is_special)


def _copy(batch: Sequence[_Copy]) -> Plan[None]:
    answers = yield from together(CopyObject(each.entry.key, each.target) for each in batch)
    for each, answer in zip(batch, answers, strict=True):
        if isinstance(answer, Missing):
            raise ConflictError("The thread was being deleted while it was copied", key=each.entry.key)


def _seal_anew(context: Context, resealer: Resealer, batch: Sequence[_Copy]) -> Plan[None]:
    """Read objects, seal them for the target, and write them there."""
    bodies = yield from fetch([each.entry for each in batch], context.sizes)
    yield from unlock(context, bodies)
    made: list[tuple[str, bytes]] = []
    for each, body in zip(batch, bodies, strict=True):
        if isinstance(body, Missing):
            raise ConflictError("The thread was being deleted while it was copied", key=each.entry.key)
        room = context.room(namespace_of(each.target))
        with at(each.entry.key):
            container = open_object(context, each.entry.key, body).container
        if not resealer.knows(container, room):
            container = yield from _whole(context, each.entry)
        with at(each.entry.key):
            made.append((each.target, resealer.seal(container, each.target.rpartition("/")[2], room)))
    small = [each for each in made if len(each[1]) < context.sizes.multipart_threshold]
    yield from abreast(store(target, sealed, context.sizes) for target, sealed in small)
    for target, sealed in made:
        if len(sealed) >= context.sizes.multipart_threshold:  # by itself: its upload isn't left behind
            yield from store(target, sealed, context.sizes)


def _whole(context: Context, entry: Entry) -> Plan[Container]:
    """A checkpoint with what it borrows in it, where what lends to it isn't copied any more."""
    [folder] = group(context.layout, [entry])
    [loaded] = yield from load(context, [folder])
    if loaded is None:
        raise ConflictError("The thread was being deleted while it was copied", key=entry.key)
    with at(entry.key):
        body = loaded.checkpoint.whole(context.compression)
        return open_object(context, entry.key, Body(body, "", len(body))).container


def stages_of(folders: Sequence[Folder]) -> Iterator[list[Entry]]:
    """A thread's objects in the order in which to write them elsewhere. Those of one stage go together."""
    stored = [folder for folder in folders if folder.checkpoints]
    last = latest(stored)
    addresses = {folder.address for folder in last}
    yield [entry for folder in stored for entry in folder.writes]
    yield [
        entry
        for folder in reversed(stored)
        if folder.address not in addresses
        for entry in folder.checkpoints
    ]
    yield [entry for folder in last for entry in folder.checkpoints]
