"""Makes a version of a checkpoint the current one again.

Others may borrow from whatever was last seen under a key, and processes may remember that and be
about to. So a version goes back to its own key only if all that the key's newest version lends is
there afterwards too. Otherwise it is put beside it, as a checkpoint is that is put again with other
content, and counts as the later one.

It is written anew, with what it borrows in it, because its lenders may be gone or about to go. The server
could copy one that borrows nothing; but it was read already to see that it is sound, and some stores copy no
version onto its own key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from langgraph_checkpoint_s3.admin.versions.key_history import KeyHistory, entry_of, key_histories
from langgraph_checkpoint_s3.admin.versions.versions import as_of, folder_of, is_checkpoint, read
from langgraph_checkpoint_s3.errors import ConflictError, CorruptObjectError, InvalidKeyError
from langgraph_checkpoint_s3.format.checkpoint import CheckpointRecord, Content
from langgraph_checkpoint_s3.format.checkpoint_writer import draft
from langgraph_checkpoint_s3.format.container import Container
from langgraph_checkpoint_s3.format.keys import CheckpointLeaf
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.data_keys import key_to_write
from langgraph_checkpoint_s3.plans.delete import delete_versions
from langgraph_checkpoint_s3.plans.load import Loaded, error_context, load, open_body, read_heads
from langgraph_checkpoint_s3.plans.place import Place
from langgraph_checkpoint_s3.plans.plan import Plan
from langgraph_checkpoint_s3.plans.scan import Folder
from langgraph_checkpoint_s3.plans.transfer import store
from langgraph_checkpoint_s3.s3.requests import Body, Entry, NotFound

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig


def restore_version(context: Context, address: Place, version_id: str, now: int) -> Plan[RunnableConfig]:
    """Make a version the current one again, after those of its writes that were deleted.

    Args:
        context: The saver's.
        address: The checkpoint.
        version_id: The version.
        now: The time, in ns since 1970.

    Raises:
        InvalidKeyError: There is no such version, or it is a delete marker. Nothing was changed.
        CorruptObjectError: It can't be read whole, or another object of the checkpoint can't be read.
            Nothing was changed.
        ConflictError: Somebody deleted versions meanwhile.
    """
    found = yield from key_histories(context.layout, folder_of(context, address))
    folder = as_of(context, found, version_id)
    if folder is None:
        raise InvalidKeyError(
            f"The checkpoint has no version {version_id!r}; list_checkpoint_versions shows those that it has",
            key=folder_of(context, address),
        )
    wanted = yield from read(context, folder.only(*folder.checkpoints))
    with error_context(wanted.key):
        content = wanted.checkpoint.content()
    standing = {
        each.key: replace(entry_of(each.current), version=None)
        for each in found
        if each.current is not None and is_checkpoint(each.key)
    }
    shown = yield from _shows(context, folder.only(*standing.values()), content)
    made = None if shown else (yield from _make(context, found, standing, wanted, content, now))
    writes = {entry.key for entry in folder.writes}
    yield from delete_versions(
        [marker for each in found if each.key in writes for marker in each.hiding_markers]
    )
    if made is not None:
        yield from store(*made, context.sizes)
    context.parent_cache.clear()  # a child must not borrow from what doesn't count any more
    return address.config()


def _shows(context: Context, folder: Folder, content: Content) -> Plan[bool]:
    """Whether a checkpoint is what is wanted already, and can be read."""
    if not folder.checkpoints:
        return False
    try:
        [loaded] = yield from load(context, [folder])
        return isinstance(loaded, Loaded) and loaded.checkpoint.content() == content
    except CorruptObjectError:
        return False


def _make(
    context: Context,
    found: Sequence[KeyHistory],
    standing: Mapping[str, Entry],
    wanted: Loaded,
    content: Content,
    now: int,
) -> Plan[tuple[str, bytes]]:
    """The object that makes a version the current one: its key, and its bytes.

    Args:
        context: The saver's.
        found: All that is in the checkpoint's folder.
        standing: The checkpoint's objects that are there now, by their keys.
        wanted: The version.
        content: What is in it.
        now: The time, in ns since 1970.
    """
    record, key, folder = wanted.checkpoint, wanted.key, wanted.folder
    with error_context(key):
        body = bytes(record.container.data)
        if any(frame.lender for frame in record.container.frames):
            body = record.materialized(context.compression)
    own = next(each for each in found if each.key == key)
    newest = yield from _newest(context, folder, own)
    replaceable = newest is None or _lends(newest.container) <= _lends(
        open_body(context, folder, key, Body(body, "", len(body))).container
    )
    rivals = yield from _open(context, folder, [each for name, each in standing.items() if name != key])
    if not replaceable and key in standing and newest is not None:
        rivals[key] = newest
    last = max(((each.created, name) for name, each in rivals.items()), default=(0, ""))
    if not replaceable or (record.created, key) < last:
        key, body = yield from _beside(context, wanted, content, max(now, last[0] + 1))
    return key, body


def _newest(context: Context, folder: Folder, own: KeyHistory) -> Plan[CheckpointRecord | None]:
    """The newest version of a key; `None` where it can't be read, so that nobody borrows from it either."""
    entries = [entry_of(own.newest)] if own.newest else []
    try:
        return (yield from _open(context, folder, entries)).get(own.key)
    except CorruptObjectError:
        return None


def _open(context: Context, folder: Folder, entries: Sequence[Entry]) -> Plan[dict[str, CheckpointRecord]]:
    bodies = yield from read_heads(context, entries)
    records: dict[str, CheckpointRecord] = {}
    for key, body in bodies.items():
        if isinstance(body, NotFound):
            raise ConflictError("The checkpoint was deleted while it was being restored; try again", key=key)
        with error_context(key):
            records[key] = open_body(context, folder, key, body)
    return records


def _lends(container: Container) -> set[tuple[int, int, int]]:
    """The frames that others may borrow from an object: where they are in it, and their CRCs."""
    return {
        (container.base + frame.offset, frame.stored, frame.crc)
        for frame in container.frames
        if frame.lender is None
    }


def _beside(context: Context, wanted: Loaded, content: Content, created: int) -> Plan[tuple[str, bytes]]:
    """What is in a version as an object of its own, which counts as the last one."""
    parsed = context.layout.parse(wanted.key)
    assert isinstance(parsed.leaf, CheckpointLeaf), "a checkpoint's key"  # noqa: S101  # for the types
    sealing = yield from key_to_write(context)
    leaf = replace(parsed.leaf, created=created, encrypted=sealing is not None)

    def key_of(borrows: bool, lends: bool) -> str:
        flagged = replace(leaf, borrows=borrows, lends=lends and context.borrow)
        return wanted.folder.place.key(context.layout, flagged)

    origin = context.origin(wanted.place, created)
    scope = context.scope(wanted.folder.namespace)
    made = draft(
        content, {}, origin, key_of, context.compression, context.policy, scope=scope, key_ref=sealing
    )
    return made.key, made.body
