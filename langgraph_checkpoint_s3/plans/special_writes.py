"""A task's special writes: its error, interrupts and resumes. They share one object; the last value counts.

Which one is the last, the store decides, by the order in which it takes the objects, and nobody's clock.
Who comes second reads what is there, puts his own values into it, and writes that in its place alone
(`If-Match`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from langgraph_checkpoint_s3.errors import ConflictError, CorruptObjectError
from langgraph_checkpoint_s3.format.frames import text
from langgraph_checkpoint_s3.format.keys import WritesLeaf
from langgraph_checkpoint_s3.format.writes import (
    Task,
    WritesRecord,
    encode_tasks,
    merge_special,
    open_writes,
)
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.data_keys import key_to_write, unlock
from langgraph_checkpoint_s3.plans.load import error_context, open_object
from langgraph_checkpoint_s3.plans.place import Place, leaf_of, namespace_of
from langgraph_checkpoint_s3.plans.plan import Plan
from langgraph_checkpoint_s3.plans.transfer import fetch, fetch_now, store
from langgraph_checkpoint_s3.s3.requests import Body, Entry, NotFound, Stored

_TRIES: Final = 16
"""How often somebody else may be quicker. Each time another call is done; and a task runs in one place."""


def special_key(context: Context, place: Place, task_id: str) -> str:
    """The key of the object of a task's special writes.

    Raises:
        InvalidKeyError: It would be too long.
    """
    leaf = WritesLeaf.special(task_id, sealed=context.key_cache is not None)
    return place.key(context.layout, leaf)


def put_special(context: Context, place: Place, task: Task, now: int) -> Plan[None]:
    """Write a task's special slots; its other ones stay as they are.

    One PUT, where it is the task's first such call, or nobody else wrote since this process wrote or read.
    Else that is refused, and costs a GET and a PUT more; or the GET alone where nothing changes, as after a
    reply that was lost.

    Args:
        context: The saver's.
        place: The checkpoint.
        task: What the task wrote to special channels.
        now: The time, in ns since 1970.

    Raises:
        ConflictError: Others wrote special slots of this task each time in between.
        CorruptObjectError: What is there can't be read, and so can't be kept.
        DecryptionError: What is there is encrypted, and its key is missing.
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
                tasks, damaged, fresh = [], found, False  # on its way here, perhaps: it is read once more
        if tasks:
            body = yield from encode_writes(context, place, key, tasks, now)
            # A store that refuses the ETag that it shows doesn't compare rightly: there, nothing else helps.
            expected = found.etag if isinstance(found, Body) and found.etag != refused else None
            outcome, _ = yield from store(
                key,
                body,
                context.sizes,
                only_new=not isinstance(found, Body),
                expected=expected,
                raw=sum(each.size for each in tasks),
                strict=not fresh,
            )
            if isinstance(outcome, Stored):
                return
            refused = expected
        elif fresh:
            return
        found = yield from fetch_now(key, context.sizes)
        fresh = True
    raise ConflictError(
        "Others wrote errors, interrupts or resumes of this task each time in between, and this call's "
        "weren't stored. Several workers run one task at once: see to it that only one does",
        key=key,
    )


def _merged(context: Context, place: Place, key: str, found: Body, task: Task) -> Plan[list[Task]]:
    """Return the tasks to write in the place of the stored object; none where it holds all that already."""
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
    """Write tasks' special slots into another thread, which has some of these tasks already.

    Args:
        context: The saver's.
        thread_id: The other thread.
        entries: The objects of the special writes.

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


def encode_writes(context: Context, place: Place, key: str, tasks: Sequence[Task], now: int) -> Plan[bytes]:
    """Make the object of what tasks wrote.

    Args:
        context: The saver's.
        place: The checkpoint.
        key: The object.
        tasks: The tasks.
        now: The time, in ns since 1970.
    """
    scope, leaf = context.scope(namespace_of(key)), leaf_of(key)
    seal = scope.seal((yield from key_to_write(context)), place.id, leaf)
    return encode_tasks(context.compression, context.origin(place, now), leaf, tasks, seal)
