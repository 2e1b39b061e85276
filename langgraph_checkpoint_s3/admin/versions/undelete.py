"""Brings deleted threads back, where the bucket keeps versions: removes the delete markers that hide them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from langgraph_checkpoint_s3.admin.versions.key_history import KeyHistory, entry_of, key_histories
from langgraph_checkpoint_s3.admin.versions.versions import versioning_status
from langgraph_checkpoint_s3.errors import InvalidConfigError, NotSupportedError
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.copy_thread import copy_stages
from langgraph_checkpoint_s3.plans.delete import delete_versions
from langgraph_checkpoint_s3.plans.plan import Plan
from langgraph_checkpoint_s3.plans.scan import group
from langgraph_checkpoint_s3.plans.tombstones import lenders_among, read_tombstones, remove_tombstones


@dataclass(frozen=True, slots=True)
class Undeleted:
    """What came back of a thread; or, with `dry_run`, what would.

    Attributes:
        thread_id: The thread.
        checkpoints: How many checkpoints' objects.
        writes: How many objects with tasks' writes.
        size: What they come to, in bytes.
        lost: How many objects of the thread can't come back: a delete marker is all that is left of them.
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
    """Bring back what is hidden of a thread.

    Writes come first, then checkpoints from the oldest on, the latest of each namespace last: until
    then, the thread looks like its own past. If that is cut short, doing it again goes on. The tombstones of
    what is back go at the end: until then, readers pass over what lacks an object that it borrows from.

    Args:
        context: The saver's.
        thread_id: The thread.
        before: Bring back only what existed at this time.
        dry_run: Whether to leave it at saying what would come back.

    Raises:
        InvalidConfigError: The time has no time zone. Nothing was sent.
        NotSupportedError: The bucket never kept versions.
    """
    if before is not None and before.utcoffset() is None:
        raise InvalidConfigError(
            f"before={before!r} has no time zone, so it names no moment: use datetime.now(timezone.utc), or "
            "before.astimezone()"
        )
    found = yield from key_histories(context.layout, context.layout.thread(thread_id))
    hidden = [each for each in found if each.hidden and (before is None or each.existed(before))]
    if not hidden and not _kept(found):
        yield from _check_versioning()
    folders = group(context.layout, [entry_of(each.newest) for each in hidden if each.newest])
    writes = [entry for folder in folders for entry in folder.writes]
    checkpoints = [entry for folder in folders for entry in folder.checkpoints]
    if not dry_run:
        tombstones = yield from read_tombstones(context, context.layout.thread(thread_id))
        veils = {each.key: each.hiding_markers for each in hidden}
        _, *later = copy_stages(folders)
        for stage in (writes, *later):
            yield from delete_versions([marker for entry in stage for marker in veils[entry.key]])
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
    """Whether there is a version to see that only versioning makes."""
    return any(each.marker or each.version_id != "null" for trail in found for each in trail.versions)


def _check_versioning() -> Plan[None]:
    if (yield from versioning_status()) == "off":
        raise NotSupportedError(
            "The bucket has never kept versions, so what was deleted from it is gone and can't be brought "
            "back. enable_versioning() keeps what is deleted from now on"
        )
