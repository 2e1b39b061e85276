"""`copy_thread`: server-side copies, in an order in which nothing half-copied can be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from langgraph_checkpoint_s3.errors import ConflictError, InvalidKeyError
from langgraph_checkpoint_s3.objects.keys import MAX_KEY_BYTES
from langgraph_checkpoint_s3.plans.address import Context
from langgraph_checkpoint_s3.plans.plan import Plan, together
from langgraph_checkpoint_s3.plans.scan import Folder, Scan, latest
from langgraph_checkpoint_s3.s3.requests import CopyObject, Entry, Missing

_BATCH: Final = 1000


def copy_thread(context: Context, source: str, target: str) -> Plan[None]:
    """Copy all of a thread's objects, in parallel, without reading them.

    Writes go first (nobody sees them without their checkpoint), then checkpoints from the oldest on,
    the latest of each namespace last: until then the target looks like the source's past. A copy
    that was cut short must be made again or deleted, since of what ran in parallel at that
    moment, any part may be there. What the target thread already held stays.

    Raises:
        InvalidKeyError: The target's keys would be too long; nothing was copied.
        ConflictError: The source was being deleted. The target then holds a part of it.
    """
    if source == target:
        return
    old, new = context.layout.thread(source), context.layout.thread(target)
    folders = yield from Scan(context.layout, old).rest()
    stages = [
        [(entry.key, new + entry.key[len(old) :]) for entry in entries] for entries in stages_of(folders)
    ]
    for _, copied in (pair for stage in stages for pair in stage):
        if len(copied) > MAX_KEY_BYTES:
            raise InvalidKeyError(
                f"A copied object's key would have {len(copied)} bytes, and S3 takes {MAX_KEY_BYTES}: the "
                "target thread_id must be shorter. Nothing was copied."
            )
    for stage in stages:
        for start in range(0, len(stage), _BATCH):
            batch = stage[start : start + _BATCH]
            answers = yield from together(CopyObject(key, copied) for key, copied in batch)
            for (key, _), answer in zip(batch, answers, strict=True):
                if isinstance(answer, Missing):
                    raise ConflictError("The thread was being deleted while it was copied", key=key)


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
