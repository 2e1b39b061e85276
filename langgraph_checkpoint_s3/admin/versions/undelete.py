"""The plan that restores a deleted thread by removing its delete markers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from langgraph_checkpoint_s3.admin.versions.versions import (
    KeyHistory,
    entry_of,
    list_key_histories,
    versioning_status,
)
from langgraph_checkpoint_s3.errors import InvalidConfigError, NotSupportedError
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.copy_thread import copy_stages
from langgraph_checkpoint_s3.plans.delete import delete_versions
from langgraph_checkpoint_s3.plans.plan import Plan
from langgraph_checkpoint_s3.plans.scan import group
from langgraph_checkpoint_s3.plans.tombstones import lenders_among, read_tombstones, remove_tombstones


@dataclass(frozen=True, slots=True)
class Undeleted:
    """The objects of a thread that were restored, or would be with `dry_run`.

    Attributes:
        thread_id: The thread.
        checkpoints: The number of objects of checkpoints.
        writes: The number of objects of tasks' writes.
        size: Their size, in bytes.
        lost: How many objects of the thread can't be restored, since only a delete marker is left.
        dry_run: Whether nothing was changed.
    """

    thread_id: str
    checkpoints: int
    writes: int
    size: int
    lost: int
    dry_run: bool


def undelete_thread(
    context: Context, thread_id: str, before: datetime | None, *, dry_run: bool
) -> Plan[Undeleted]:
    """Restore the hidden objects of a thread.

    Writes come first, then checkpoints from the oldest to each namespace's latest: until the end, the thread
    looks like its own past, and an interrupted restoration can be repeated. Tombstones are removed last:
    until then, readers skip checkpoints that borrow from missing objects.
    """
    if before is not None and before.utcoffset() is None:
        raise InvalidConfigError(
            f"before={before!r} has no time zone, so it names no moment: use datetime.now(timezone.utc), or "
            "before.astimezone()"
        )
    found = yield from list_key_histories(context.layout, context.layout.thread(thread_id))
    hidden = [each for each in found if each.hidden and (before is None or each.existed(before))]
    if not hidden and not _kept(found):
        yield from _check_versioning()
    folders = group(context.layout, [entry_of(each.newest) for each in hidden if each.newest])
    writes = [entry for folder in folders for entry in folder.writes]
    checkpoints = [entry for folder in folders for entry in folder.checkpoints]
    if not dry_run:
        tombstones = yield from read_tombstones(context, context.layout.thread(thread_id))
        markers = {each.key: each.hiding_markers for each in hidden}
        _, *later = copy_stages(folders)
        for stage in (writes, *later):
            yield from delete_versions([marker for entry in stage for marker in markers[entry.key]])
        back = [entry.key for entry in lenders_among(folders)]
        if back and tombstones is not None:
            yield from remove_tombstones(context, context.layout.thread(thread_id), back, tombstones.last)
    return Undeleted(
        thread_id,
        len(checkpoints),
        len(writes),
        sum(entry.size for entry in (*checkpoints, *writes)),
        sum(each.newest is None for each in found),
        dry_run,
    )


def _kept(found: Sequence[KeyHistory]) -> bool:
    """Return whether there are versions or markers that only versioning creates."""
    return any(each.marker or each.version_id != "null" for history in found for each in history.versions)


def _check_versioning() -> Plan[None]:
    if (yield from versioning_status()) == "off":
        raise NotSupportedError(
            "The bucket has never kept versions, so what was deleted from it is gone and can't be brought "
            "back. enable_versioning() keeps what is deleted from now on"
        )
