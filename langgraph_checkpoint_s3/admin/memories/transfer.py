"""Plans that export memories into a file, and import them, a window of items at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from langgraph_checkpoint_s3.admin.calls import Progress, in_thread, report, then_close
from langgraph_checkpoint_s3.admin.memories.memory_file import MemoryFile, pack_manifest
from langgraph_checkpoint_s3.admin.memories.writer import ImportedMemories, ItemWriter
from langgraph_checkpoint_s3.admin.transfer.archive import ExportFile
from langgraph_checkpoint_s3.errors import InvalidKeyError
from langgraph_checkpoint_s3.memory.items import open_item
from langgraph_checkpoint_s3.memory.shelf import ITEM, Namespace, Shelf
from langgraph_checkpoint_s3.plans.data_keys import unlock
from langgraph_checkpoint_s3.plans.plan import Plan
from langgraph_checkpoint_s3.plans.scan import Pages
from langgraph_checkpoint_s3.plans.transfer import fetch, windows
from langgraph_checkpoint_s3.s3.requests import Body, Entry


@dataclass(frozen=True, slots=True)
class ExportedMemories:
    """The outcome of an export of long-term memory.

    Attributes:
        items: How many items the file has.
        bytes: The size of their objects together.
    """

    items: int
    bytes: int


def export_memories(
    shelf: Shelf,
    namespace: Namespace,
    file: ExportFile,
    clock: datetime,
    now: int,
    progress: Progress | None,
) -> Plan[ExportedMemories]:
    """Write the items of a namespace, and of those that begin with it, into a file."""
    listed = yield from Pages(shelf.folder(namespace)).rest()
    entries = [entry for entry in listed if entry.key.endswith(ITEM)]
    if not entries:
        raise InvalidKeyError(f"There are no items of {namespace!r} to export under this prefix.")

    def write() -> Plan[ExportedMemories]:
        done = items = size = 0
        yield from in_thread(file.open, pack_manifest(shelf.context, clock))
        for window in windows([entries]):
            objects = yield from _live(shelf, window, now)
            yield from in_thread(file.add, objects)
            done += len(window)
            items += len(objects)
            size += sum(len(body) for _, body in objects)
            yield from report(progress, done, len(entries))
        yield from in_thread(file.finish)
        return ExportedMemories(items, size)

    return (yield from then_close(write(), file.close))


def _live(shelf: Shelf, window: Sequence[Entry], now: int) -> Plan[list[tuple[str, bytes]]]:
    """Read and check items. Those that have expired, or were deleted since the listing, are left out."""
    bodies = yield from fetch(window, shelf.context.sizes)
    yield from unlock(shelf.context, bodies)
    return [
        (entry.key.removeprefix(shelf.root), body.data)
        for entry, body in zip(window, bodies, strict=True)
        if isinstance(body, Body) and not open_item(shelf, entry.key, body.data).expired(now)
    ]


def import_memories(
    shelf: Shelf, namespace: Namespace, file: MemoryFile, writer: ItemWriter, progress: Progress | None
) -> Plan[ImportedMemories]:
    """Import the items of a file whose namespaces begin with these labels."""

    def write() -> Plan[ImportedMemories]:
        members = yield from in_thread(file.open, shelf, namespace)
        done = 0
        if members:
            yield from writer.look(namespace)
        for window in windows([members]):
            records = yield from in_thread(file.read, [entry.key for entry in window])
            yield from writer.write(records)
            done += len(window)
            yield from report(progress, done, len(members))
        return writer.outcome

    return (yield from then_close(write(), file.close))
