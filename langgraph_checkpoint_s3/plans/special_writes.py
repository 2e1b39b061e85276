"""Special writes of a task: its error, interrupts and resumes. They share one object; the last value wins.

The store's order of writes decides which is the last, so no clocks are compared. A second writer reads the
object, merges its own values into it, and replaces exactly that object (`If-Match`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from langgraph_checkpoint_s3.errors import ConflictError, CorruptObjectError
from langgraph_checkpoint_s3.format.frames import text
from langgraph_checkpoint_s3.format.keys import WritesLeaf
from langgraph_checkpoint_s3.format.pieces import Pieces
from langgraph_checkpoint_s3.format.writes import (
    Task,
    WritesRecord,
    draft_tasks,
    merge_special,
    open_writes,
)
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.data_keys import key_to_write, unlock
from langgraph_checkpoint_s3.plans.load import error_context, open_object
from langgraph_checkpoint_s3.plans.place import Place, leaf_of, namespace_of
from langgraph_checkpoint_s3.plans.plan import Plan
from langgraph_checkpoint_s3.plans.transfer import fetch, fetch_now, store
from langgraph_checkpoint_s3.s3.requests import Body, Entry, GetObject, NotFound, Stored

_TRIES: Final = 16
"""Attempts, each lost to another writer. A task normally runs in one process, so one or two are enough."""


def special_key(context: Context, place: Place, task_id: str) -> str:
    """Return the key of the object of a task's special writes.

    Raises:
        InvalidKeyError: It would be too long.
    """
    leaf = WritesLeaf.special(task_id, encrypted=context.key_cache is not None)
    return place.key(context.layout, leaf)


def put_special(context: Context, place: Place, task: Task, now: int) -> Plan[None]:
    """Store special writes of a task. Its other special writes are kept.

    One PUT, if it is the task's first or no other process wrote since this one wrote or read the object.
    Otherwise the PUT is refused, which costs a GET and another PUT.

    Raises:
        ConflictError: Other processes stored special writes of this task between each read and write.
        CorruptObjectError: The stored object can't be read, so its values can't be kept.
        DecryptionError: The stored object is encrypted, and its key is missing.
    """
    key = special_key(context, place, task.task_id)
    found: Body | NotFound | None = context.parent_cache.bodies.whole(key)
    fresh = False
    refused: str | None = None
    damaged: Body | None = None
    for _ in range(_TRIES):
        tasks: Sequence[Task] = [task]
        if isinstance(found, Body):
            try:
                tasks = yield from _merged(context, place, key, found, task)
            except CorruptObjectError:
                if found == damaged:
                    raise
                # Perhaps damaged in transit, or in the cache: read it once more.
                tasks, damaged, fresh = [], found, False
        if tasks:
            body = yield from encode_writes(context, place, key, tasks, now)
            # A store that refuses the ETag that it has just returned compares ETags wrongly. The only way on
            # is a write without a condition.
            expected = found.etag if isinstance(found, Body) and found.etag != refused else None
            outcome, _ = yield from store(
                key,
                body,
                context.sizes,
                only_new=not isinstance(found, Body),
                expected=expected,
                raw=sum(each.size for each in tasks),
                strict=not fresh,  # a cached object may be stale, and only the condition would tell
            )
            if isinstance(outcome, Stored):
                return
            refused = expected
        elif fresh:
            return  # it holds all of this already, as after a PUT whose response was lost
        found = yield from fetch_now(GetObject(key), context.sizes)
        fresh = True
    raise ConflictError(
        "Others wrote errors, interrupts or resumes of this task each time in between, and this call's "
        "weren't stored. Several workers run one task at once: see to it that only one does",
        key=key,
    )


def _merged(context: Context, place: Place, key: str, found: Body, task: Task) -> Plan[list[Task]]:
    """Return the tasks of the merged object. There are none if the stored object has all values already."""
    yield from unlock(context, [found])
    with error_context(key):
        there = open_writes(
            found.data,
            found.size,
            place.checkpoint_ns,
            place.id,
            leaf_of(key),
            context.scope(namespace_of(key)),
        )
        return merge_special(there, task)


def copy_special(context: Context, thread_id: str, entries: Sequence[Entry]) -> Plan[None]:
    """Merge objects of special writes into another thread, which has special writes of the same tasks.

    Raises:
        ConflictError: One of them is gone.
    """
    bodies = yield from fetch(entries, context.sizes)
    yield from unlock(context, bodies)
    for entry, body in zip(entries, bodies, strict=True):
        if isinstance(body, NotFound):
            raise ConflictError("The thread was being deleted while it was copied", key=entry.key)
        with error_context(entry.key):
            record = open_object(context, entry.key, body)
            assert isinstance(record, WritesRecord), "special writes"  # noqa: S101  # for the types
            fields = record.container.fields
            place = Place(thread_id, text(fields["ns"]), text(fields["id"]))
            tasks = record.tasks()
        for task in tasks:
            yield from put_special(context, place, task, record.created)


def encode_writes(
    context: Context, place: Place, key: str, tasks: Sequence[Task], now: int
) -> Plan[bytes | Pieces]:
    """Return the bytes of an object of writes, given its checkpoint and key."""
    scope, leaf = context.scope(namespace_of(key)), leaf_of(key)
    cipher = scope.cipher((yield from key_to_write(context)), place.id, leaf)
    return draft_tasks(context.compression, context.origin(place, now), leaf, tasks, cipher)
