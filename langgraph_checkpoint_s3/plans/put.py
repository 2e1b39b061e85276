"""`put` and `put_writes`: as a rule one object each, one PUT, one round trip."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from langgraph.checkpoint.base import Checkpoint, CheckpointMetadata, get_checkpoint_metadata

from langgraph_checkpoint_s3.errors import ConflictError, CorruptObjectError, S3CheckpointError
from langgraph_checkpoint_s3.format.checkpoint import Content
from langgraph_checkpoint_s3.format.checkpoint_writer import Draft, draft, serialize
from langgraph_checkpoint_s3.format.ids import id_text, required_id
from langgraph_checkpoint_s3.format.keys import CheckpointLeaf, Layout, WritesLeaf
from langgraph_checkpoint_s3.format.tombstones import Tombstones
from langgraph_checkpoint_s3.format.writes import Task, number_writes
from langgraph_checkpoint_s3.plans.borrowed import lender_keys
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.data_keys import key_to_write
from langgraph_checkpoint_s3.plans.delete import delete_some
from langgraph_checkpoint_s3.plans.load import Loaded, find, heads, load, open_body
from langgraph_checkpoint_s3.plans.parent_cache import Parent
from langgraph_checkpoint_s3.plans.place import Place
from langgraph_checkpoint_s3.plans.plan import Plan, ask, ask_all, gather, return_errors
from langgraph_checkpoint_s3.plans.scan import Scan
from langgraph_checkpoint_s3.plans.special_writes import encode_writes, put_special, special_key
from langgraph_checkpoint_s3.plans.tombstones import LATE, found, look, read_tombstones, tombstone_name
from langgraph_checkpoint_s3.plans.transfer import store
from langgraph_checkpoint_s3.s3.requests import (
    Body,
    HeadObject,
    NotFound,
    PreconditionFailed,
    Request,
    Stored,
    Tick,
)

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig


def put(
    context: Context,
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    changed: Collection[str],
    now: int,
) -> Plan[RunnableConfig]:
    """Write a checkpoint: a single PUT is atomic, so the object is its own commit.

    The PUT is conditional, because others may borrow from what is there under the same id: what differs
    from it gets a key of its own beside it.

    Whatever it shares with its parent is borrowed, if this process knows the parent. Another process may be
    deleting the lenders. So the thread's tombstones are read beside the PUT, in the same round trip, and
    the oldest lender is asked for, in case it was deleted by something else than this package. If a lender
    is gone or about to go, the checkpoint is written again, whole, before it is acknowledged. If it went
    with the whole thread, the thread isn't brought back: the checkpoint is taken out again. A put that
    fails on its way leaves an object that can be read, or that readers pass over: see `tombstones.py`.

    Args:
        context: The saver's.
        config: Where to; its checkpoint_id is the parent.
        checkpoint: The checkpoint with all of its channel values.
        metadata: Completed from the config, as LangGraph's other savers do.
        changed: The channels that have changed since the parent.
        now: The time, in ns since 1970.

    Returns:
        The config that points at it.

    Raises:
        ConflictError: The thread was deleted meanwhile, by `delete_thread`, as far as that shows.
    """
    parent = Place.of(config)
    place = parent.with_id(required_id(checkpoint.get("id")))
    checkpoint = {**checkpoint, "id": place.id}  # as text, also where it was a UUID
    complete = get_checkpoint_metadata(config, metadata)
    leaf = CheckpointLeaf.of(complete, parent.checkpoint_id, sealed=context.key_cache is not None)
    namespace = place.namespace(context.layout)
    borrow = context.borrow and context.parent_cache.may_borrow
    remembered = context.parent_cache.parent(namespace, parent.checkpoint_id or "") if borrow else None
    known = remembered.known if remembered else None
    content = serialize(context.serde, checkpoint, complete, parent.checkpoint_id, known, changed)
    sealing = yield from key_to_write(context)

    def make(created: int | None = None, *, alone: bool = False) -> Draft:
        def key_of(borrows: bool, lends: bool) -> str:
            lends = lends and context.borrow
            return place.key(context.layout, replace(leaf, created=created, borrows=borrows, lends=lends))

        return draft(
            content,
            checkpoint.get("channel_versions") or {},
            context.origin(place, now),
            key_of,
            context.compression,
            context.policy,
            None if alone else known,
            context.scope(namespace),
            sealing,
        )

    made = make()
    outcome, lost = yield from _store(context, made, namespace, only_new=True)
    if isinstance(outcome, PreconditionFailed):
        if (yield from _is_there(context, place, content)):
            return place.config()
        made = make(created=now)
        outcome, lost = yield from _store(context, made, namespace)
    if lost is not None and lost.thread:
        yield from _withdraw(context, namespace, made.key)
    if lost is not None and lost.own:
        made, lost = make(created=now, alone=True), None
        outcome, _ = yield from store(made.key, made.body, context.sizes, raw=content.size)
    etag, moment = (outcome.etag, outcome.at) if isinstance(outcome, Stored) else ("", None)
    if lost is not None:
        yield from _complete(context, namespace, made.key, made.materialized(context.compression), etag)
        context.parent_cache.drop(namespace, parent.checkpoint_id)
    elif context.borrow:
        kept = Parent(made.known.stored_at(moment), made.key, etag)
        context.parent_cache.keep(namespace, kept, instead_of=parent.checkpoint_id)
    return place.config()


@dataclass(frozen=True, slots=True)
class _Lost:
    """The reason why a checkpoint may not borrow: a lender is gone, or about to go, or that can't be known.

    Attributes:
        thread: If a lender went with its whole thread.
        own: If an object of the checkpoint's own key was deleted, too, maybe long ago. Then it is written
            beside that, where no tombstone names it, and its children can borrow from it.
    """

    thread: bool = False
    own: bool = False


def _store(
    context: Context, made: Draft, namespace: str, *, only_new: bool = False
) -> Plan[tuple[Stored | PreconditionFailed, _Lost | None]]:
    """Write a checkpoint's object. If it borrows, find out in the same round trip if it may.

    Returns:
        What came of the PUT, and why the object must not stay as it is, if so.
    """
    size = made.content.size
    if not made.lenders:
        outcome, _ = yield from store(made.key, made.body, context.sizes, only_new=only_new, raw=size)
        return outcome, None
    lenders = {Layout.sibling(namespace, *each[:2]): each.created for each in made.lenders}
    oldest = min(lenders, key=lambda key: (lenders[key], key))
    thread = Layout.thread_of(namespace)
    beside: list[Request[Any]] = [look(context, thread), HeadObject(oldest)]
    begun = yield from ask(Tick())
    outcome, answers = yield from store(
        made.key, made.body, context.sizes, only_new=only_new, beside=beside, raw=size
    )
    if isinstance(outcome, Stored) and (yield from ask(Tick())) - begun > LATE:
        tombstones = yield from read_tombstones(context, thread)
    else:
        tombstones = yield from found(context, thread, answers[0])
    lost = _lost(context, thread, made.key, lenders, tombstones)
    if lost is None and isinstance(answers[1], NotFound):
        lost = _Lost()
    return outcome, lost


def _lost(
    context: Context, thread: str, key: str, lenders: Iterable[str], tombstones: Tombstones | None
) -> _Lost | None:
    """Return why a checkpoint may not borrow from its lenders, as far as tombstones tell."""
    if tombstones is None:
        context.parent_cache.never_borrow()
        return _Lost()
    reasons = tombstones.reasons([tombstone_name(lender) for lender in lenders])
    own = tombstones.named([tombstone_name(key)])
    return _Lost("thread" in reasons, bool(own)) if reasons else None


def _withdraw(context: Context, namespace: str, key: str) -> Plan[None]:
    """Take a checkpoint out again that came after its thread's deletion, if nothing else is left of that.

    Others may have read it, and borrow from it: so it is deleted as any single checkpoint is.

    Raises:
        ConflictError: It was taken out, or had gone with the thread.
    """
    folders = yield from Scan(context.layout, Layout.thread_of(namespace)).rest()
    if any(entry.key != key for folder in folders for entry in folder.checkpoints):
        return
    late = [folder for folder in folders if folder.checkpoints]
    outcome = yield from return_errors(delete_some(context, late))
    kept = f". Its object is passed over by readers, but couldn't be deleted: {outcome}" if outcome else ""
    raise ConflictError(
        "The thread was deleted while this run went on, and isn't brought back: the checkpoint was not "
        "kept. End the run, or begin the thread anew. Whoever deletes a thread can wait for its run by "
        f"taking its lease{kept}",
        key=key,
    )


def _complete(context: Context, namespace: str, key: str, whole: bytes, etag: str) -> Plan[None]:
    """Write a checkpoint whole in the place of its object that borrows, which isn't acknowledged yet.

    Of an upload in parts some stores say no ETag, or a wrong one. So what is refused is looked at: if it is
    there and borrows, it is written without a condition.

    Args:
        context: The saver's.
        namespace: Its namespace's folder.
        key: Its object.
        whole: What to write.
        etag: The ETag of the object, as it was written; `""` where that isn't known.

    Raises:
        ConflictError: It was deleted meanwhile, or is about to be.
    """
    outcome: Stored | PreconditionFailed = PreconditionFailed()
    if etag:
        outcome, _ = yield from store(key, whole, context.sizes, expected=etag)
    there = isinstance(outcome, Stored) or (yield from _complete_unsure(context, key, whole))
    thread = Layout.thread_of(namespace)
    tombstones = yield from read_tombstones(context, thread)
    reasons = tombstones.reasons([tombstone_name(key)]) if tombstones else frozenset()
    # Whoever removes what failed puts left has named it before looking at it for the last time. And if it is
    # gone because it was pruned, or its run deleted, that is as if it had been there just before.
    if "failed" in reasons or not (there or "some" in reasons):
        raise ConflictError(
            "The checkpoint was deleted while it was being written, or its whole thread was: it was not kept",
            key=key,
        )


def _complete_unsure(context: Context, key: str, whole: bytes) -> Plan[bool]:
    """Write a checkpoint whole if its object is there and borrows. Return if it is there."""
    for folder in (yield from Scan(context.layout, key).rest()):
        there = [replace(entry, etag="") for entry in folder.checkpoints if entry.key == key]
        body = (yield from heads(context, there)).get(key)
        if isinstance(body, Body):
            if lender_keys(folder.namespace, open_body(context, folder, key, body)):
                yield from store(key, whole, context.sizes)
            return True
    return False


def _is_there(context: Context, place: Place, content: Content) -> Plan[bool]:
    """Return if a checkpoint is there already, just so. If it may not borrow what it does, complete it."""
    folder = yield from find(context, place)
    if folder is None:
        return False
    try:
        [loaded] = yield from load(context, [folder.only(*folder.checkpoints)])
        if not isinstance(loaded, Loaded) or loaded.checkpoint.content() != content:
            return False
    except CorruptObjectError:
        return False  # its lenders are gone, say; what comes beside it will count
    lenders = lender_keys(folder.namespace, loaded.checkpoint)
    if lenders:
        thread = folder.thread
        answers: list[Any] = yield from ask_all(
            [look(context, thread), *(HeadObject(lender) for lender in sorted(lenders))]
        )
        tombstones = yield from found(context, thread, answers.pop(0))
        lost = _lost(context, thread, loaded.key, lenders, tombstones)
        if lost is not None or any(isinstance(each, NotFound) for each in answers):
            whole = loaded.checkpoint.materialized(context.compression)
            yield from _complete(context, folder.namespace, loaded.key, whole, loaded.etag)
    return True


@dataclass(frozen=True, slots=True)
class Written:
    """A call of `put_writes`, checked and serialized: nothing but the store can refuse it any more.

    Attributes:
        place: The checkpoint.
        task: What the task wrote.
    """

    place: Place
    task: Task


def written(
    context: Context,
    config: RunnableConfig,
    writes: Sequence[tuple[str, Any]],
    task_id: str,
    task_path: str,
) -> Written:
    """Check and serialize what a task wrote.

    Raises:
        InvalidKeyError: An id is missing or can't be one, or the key would be too long.
    """
    place = Place.of(config)
    required_id(place.checkpoint_id)
    task_id, task_path = id_text(task_id, "task_id"), id_text(task_path, "task_path")
    numbered = number_writes((id_text(channel, "channel"), value) for channel, value in writes)
    task = Task.of(context.serde, numbered, task_id, task_path)
    if min(task.writes, default=-1) < 0:
        special_key(context, place, task_id)
    if max(task.writes, default=-1) >= 0:
        _regular_key(context, place, [task.regular()])
    return Written(place, task)


def put_writes(context: Context, calls: Sequence[Written], now: int) -> Plan[None]:
    """Write what some tasks of one checkpoint wrote: regular writes together, special ones by task.

    Regular slots are first-wins, so their object is written only if no equal set of slots is there
    yet; special ones are last-wins, and the last is the one that the store takes last. All of it goes out at
    once. Special writes of a task that has some already cost a GET and a PUT more.

    Args:
        context: The saver's.
        calls: What was called, all for one checkpoint.
        now: The time, in ns since 1970.
    """
    place = calls[0].place
    tasks = [call.task for call in calls]
    regular = [task for task in (task.regular() for task in tasks) if task.writes]
    special: dict[str, Task] = {}
    for task in (task.special() for task in tasks):
        before = special.get(task.task_id)
        if task.writes:
            both = {**before.writes, **task.writes} if before else task.writes
            special[task.task_id] = replace(task, writes=both)
    plans: list[Plan[object]] = [put_special(context, place, task, now) for task in special.values()]
    if regular:
        key = _regular_key(context, place, regular)
        body = yield from encode_writes(context, place, key, regular, now)
        plain = store(key, body, context.sizes, only_new=True, raw=sum(task.size for task in regular))
        if len(body) < context.sizes.multipart_threshold:
            plans.append(plain)
        else:
            yield from plain  # by itself: its upload isn't left behind
    if len(plans) == 1:
        yield from plans[0]
        return
    for outcome in (yield from gather(return_errors(plan) for plan in plans)):
        if isinstance(outcome, S3CheckpointError):
            raise outcome


def put_task(
    context: Context,
    config: RunnableConfig,
    writes: Sequence[tuple[str, Any]],
    task_id: str,
    task_path: str,
    now: int,
) -> Plan[None]:
    """Write what a task wrote, as objects of its own."""
    yield from put_writes(context, [written(context, config, writes, task_id, task_path)], now)


def _regular_key(context: Context, place: Place, tasks: Sequence[Task]) -> str:
    sealed = context.key_cache is not None
    if len(tasks) == 1:
        leaf = WritesLeaf.of(tasks[0].task_id, tasks[0].writes, sealed=sealed)
    else:
        leaf = WritesLeaf.of_several(((task.task_id, task.writes) for task in tasks), sealed=sealed)
    return place.key(context.layout, leaf)
