"""`put` and `put_writes`: normally one object, one PUT and one round trip each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from langgraph.checkpoint.base import Checkpoint, CheckpointMetadata, get_checkpoint_metadata

from langgraph_checkpoint_s3.errors import ConflictError, CorruptObjectError, S3CheckpointError
from langgraph_checkpoint_s3.format.checkpoint import Content, rebuilt_channels
from langgraph_checkpoint_s3.format.checkpoint_writer import Draft, draft, serialize
from langgraph_checkpoint_s3.format.ids import id_text, required_id
from langgraph_checkpoint_s3.format.keys import CheckpointLeaf, Layout, WritesLeaf
from langgraph_checkpoint_s3.format.own_thread import hide_own_thread
from langgraph_checkpoint_s3.format.retention import NO_LIFE, longest
from langgraph_checkpoint_s3.format.serialization import Dumped, add_note
from langgraph_checkpoint_s3.format.tombstones import Tombstones
from langgraph_checkpoint_s3.format.writes import Task, number_writes
from langgraph_checkpoint_s3.plans.borrowed import lender_keys
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.data_keys import key_to_write
from langgraph_checkpoint_s3.plans.delete import delete_some
from langgraph_checkpoint_s3.plans.get_tuple import find_folder
from langgraph_checkpoint_s3.plans.load import Loaded, load, open_body, read_heads
from langgraph_checkpoint_s3.plans.parent_cache import CachedCheckpoint
from langgraph_checkpoint_s3.plans.place import Place, namespace_of, thread_of
from langgraph_checkpoint_s3.plans.plan import Plan, ask, ask_all, gather, return_errors
from langgraph_checkpoint_s3.plans.retention import class_in, life_of_checkpoint, life_of_writes, tag_in
from langgraph_checkpoint_s3.plans.scan import Scan
from langgraph_checkpoint_s3.plans.special_writes import encode_writes, put_special, special_key
from langgraph_checkpoint_s3.plans.tombstones import (
    PUT_LIMIT,
    parse_tombstones,
    read_tombstones,
    tombstone_name,
    tombstones_request,
)
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
    dumped: Mapping[str, Dumped] | None = None,
) -> Plan[RunnableConfig]:
    """Write a checkpoint. One atomic PUT, so the object is its own commit.

    If this process knows the parent, the checkpoint borrows what it shares with it. Another process may be
    deleting the lenders meanwhile, so the thread's tombstones and the oldest lender are asked for beside the
    PUT. If a lender is gone or about to go, the checkpoint is rewritten whole before it is acknowledged. If
    its thread was deleted, the checkpoint is deleted too. The protocol is in `tombstones.py`.

    Args:
        context: The saver's.
        config: The thread and namespace; its checkpoint_id is the parent.
        checkpoint: The checkpoint, with all of its channel values.
        metadata: Its metadata, to be completed from the config as LangGraph's savers do.
        changed: The channels that have changed since the parent.
        now: The time, in ns since 1970.
        dumped: Channels that are serialized already. Their values aren't used.

    Returns:
        The config of the new checkpoint.

    Raises:
        InvalidConfigError: The config names a retention class that there isn't. Nothing was sent.
        ConflictError: The thread was deleted by `delete_thread` meanwhile.
    """
    parent = Place.of(config)
    place = parent.with_id(required_id(checkpoint.get("id")))
    checkpoint = {**checkpoint, "id": place.id}  # as text, even if it was a UUID
    complete = hide_own_thread(get_checkpoint_metadata(config, metadata), place.thread_id)
    versions, values = checkpoint.get("channel_versions") or {}, checkpoint["channel_values"]
    life = NO_LIFE
    if context.retention:
        life = yield from life_of_checkpoint(context, parent, place.id, class_in(context, config))
    namespace = place.namespace(context.layout)
    borrow = context.borrow and context.parent_cache.may_borrow
    cached = context.parent_cache.parent(namespace, parent.checkpoint_id or "") if borrow else None
    known = cached.known if cached and cached.life == life else None
    try:
        content = serialize(context.serde, checkpoint, complete, parent.checkpoint_id, known, changed, dumped)
    except Exception as error:
        add_note(error, f"It is in checkpoint {place.id!r} of thread {place.thread_id!r}.")
        raise
    key_ref = yield from key_to_write(context)

    def make(created: int | None = None, *, alone: bool = False) -> Draft:
        def key_of(borrows: bool, lends: bool) -> str:
            leaf = CheckpointLeaf.of(
                complete,
                parent.checkpoint_id,
                created=created,
                encrypted=context.key_cache is not None,
                lends=lends and context.borrow,
                borrows=borrows,
                indexed=context.layout.index_of(complete),
                needs_ancestors=bool(rebuilt_channels(complete, versions, values.keys())),
                life=life,
            )
            return place.key(context.layout, leaf)

        return draft(
            content,
            versions,
            context.origin(place, now),
            key_of,
            context.compression,
            context.policy,
            None if alone else known,
            context.scope(namespace),
            key_ref,
        )

    # An existing object of this id is never overwritten, because others may borrow from it. Different
    # content gets a key of its own (`created` is a part of it) and counts as the later one.
    made = make()
    outcome, problem = yield from _store(context, made, life.tag, only_new=True)
    context.parent_cache.end_walk(thread_of(made.key))
    if isinstance(outcome, PreconditionFailed):
        if (yield from _is_stored(context, place, content)):
            return place.config()
        made = make(created=now)
        outcome, problem = yield from _store(context, made, life.tag)
        context.parent_cache.end_walk(thread_of(made.key))
    if problem is not None and problem.thread:
        yield from _undo(context, made.key)
    if problem is not None and problem.own:
        # Its own name has a tombstone, so its children couldn't borrow from it. It gets another key instead.
        made, problem = make(created=now, alone=True), None
        outcome, _ = yield from store(made.key, made.data, context.sizes, raw=made.size, tag=life.tag)
        context.parent_cache.end_walk(thread_of(made.key))
    etag, moment = (outcome.etag, outcome.at) if isinstance(outcome, Stored) else ("", None)
    if problem is not None:
        yield from _rewrite(context, made.key, made.materialized(context.compression), etag)
        context.parent_cache.drop(namespace, parent.checkpoint_id)  # its lenders are going
    elif context.borrow:
        stored = CachedCheckpoint(made.known.with_store_time(moment), made.key, etag, life)
        context.parent_cache.add(namespace, stored, replaces=parent.checkpoint_id)
    return place.config()


class _LenderProblem(NamedTuple):
    """The checkpoint must not borrow: a lender was or is being deleted, or the tombstones can't be read.

    Attributes:
        thread: Whether a lender was deleted with its whole thread.
        own: Whether the checkpoint's own key has a tombstone, perhaps an old one.
    """

    thread: bool = False
    own: bool = False


def _store(
    context: Context, made: Draft, tag: str | None, *, only_new: bool = False
) -> Plan[tuple[Stored | PreconditionFailed, _LenderProblem | None]]:
    """Write a checkpoint's object, and check its lenders in the same round trip.

    Returns:
        The outcome of the PUT, and the reason why the object must not stay as it is, if there is one.
    """
    if not made.lenders:
        outcome, _ = yield from store(
            made.key, made.data, context.sizes, only_new=only_new, raw=made.size, tag=tag
        )
        return outcome, None
    namespace, thread = namespace_of(made.key), thread_of(made.key)
    lenders = {Layout.sibling(namespace, *each[:2]): each.created for each in made.lenders}
    # Lifecycle rules and people delete without tombstones. They take the oldest lender first, or all at once.
    oldest = min(lenders, key=lambda key: (lenders[key], key))
    beside: list[Request[Any]] = [tombstones_request(context, thread), HeadObject(oldest)]
    begun = yield from ask(Tick())
    outcome, answers = yield from store(
        made.key, made.data, context.sizes, only_new=only_new, beside=beside, raw=made.size, tag=tag
    )
    if isinstance(outcome, Stored) and (yield from ask(Tick())) - begun > PUT_LIMIT:
        # The PUT may have landed after a deletion listed for the last time. Tombstones that are read now
        # name whatever such a deletion takes.
        tombstones = yield from read_tombstones(context, thread)
    else:
        tombstones = yield from parse_tombstones(context, thread, answers[0])
    problem = _problem(context, made.key, lenders, tombstones)
    if problem is None and isinstance(answers[1], NotFound):
        problem = _LenderProblem()
    return outcome, problem


def _problem(
    context: Context, key: str, lenders: Iterable[str], tombstones: Tombstones | None
) -> _LenderProblem | None:
    """Return why a checkpoint may not borrow from its lenders, according to the tombstones."""
    if tombstones is None:
        context.parent_cache.disable_borrowing()
        return _LenderProblem()
    reasons = tombstones.reasons([tombstone_name(lender) for lender in lenders])
    own = tombstones.named([tombstone_name(key)])
    return _LenderProblem("thread" in reasons, bool(own)) if reasons else None


def _undo(context: Context, key: str) -> Plan[None]:
    """Delete a checkpoint that was written after its thread's deletion, if it is all that is left.

    Other processes may have read it, and borrow from it. So it is deleted as any single checkpoint is.

    Raises:
        ConflictError: It was deleted, here or with the thread.
    """
    folders = yield from Scan(context.layout, thread_of(key)).rest()
    if any(entry.key != key for folder in folders for entry in folder.checkpoints):
        return
    to_delete = [folder for folder in folders if folder.checkpoints]
    outcome = yield from return_errors(delete_some(context, to_delete))
    suffix = f". Its object is passed over by readers, but couldn't be deleted: {outcome}" if outcome else ""
    raise ConflictError(
        "The thread was deleted while this run went on, and isn't brought back: the checkpoint was not "
        "kept. End the run, or begin the thread anew. Whoever deletes a thread can wait for its run by "
        f"taking its lease{suffix}",
        key=key,
    )


def _rewrite(context: Context, key: str, whole: bytes, etag: str) -> Plan[None]:
    """Replace a borrowing object that isn't acknowledged yet by one that borrows nothing.

    Args:
        context: The saver's.
        key: The object's key.
        whole: The new bytes.
        etag: The ETag of the borrowing object; `""` if the store didn't return it.

    Raises:
        ConflictError: It was deleted meanwhile, or is about to be.
    """
    outcome: Stored | PreconditionFailed = PreconditionFailed()
    if etag:
        outcome, _ = yield from store(key, whole, context.sizes, expected=etag, tag=tag_in(context, key))
    # Some stores return no ETag for a multipart upload, or a wrong one. So after a 412, look if the object
    # exists.
    there = isinstance(outcome, Stored) or (yield from _rewrite_existing(context, key, whole))
    tombstones = yield from read_tombstones(context, thread_of(key))
    reasons = tombstones.reasons([tombstone_name(key)]) if tombstones else frozenset()
    # `delete_unacknowledged` writes its tombstones before it looks at the object for the last time. So if
    # they aren't there now, it will see that the object has changed. An object that was pruned, or deleted
    # with its run, counts as deleted just after this put.
    if "failed" in reasons or not (there or "some" in reasons):
        raise ConflictError(
            "The checkpoint, or its whole thread, was deleted while it was being written: it was not kept",
            key=key,
        )


def _rewrite_existing(context: Context, key: str, whole: bytes) -> Plan[bool]:
    """Write a checkpoint whole if its object exists and borrows. Return whether it exists."""
    for folder in (yield from Scan(context.layout, key).rest()):
        there = [replace(entry, etag="") for entry in folder.checkpoints if entry.key == key]
        body = (yield from read_heads(context, there)).get(key)
        if isinstance(body, Body):
            if lender_keys(folder.namespace, open_body(context, folder, key, body)):
                yield from store(key, whole, context.sizes, tag=tag_in(context, key))
            return True
    return False


def _is_stored(context: Context, place: Place, content: Content) -> Plan[bool]:
    """Return whether a checkpoint is stored already with this content.

    It may be an earlier attempt's that was never acknowledged. So if it borrows, its lenders are checked as
    those of a new object are, and it is rewritten whole if need be.
    """
    folder = yield from find_folder(context, place)
    if folder is None:
        return False
    try:
        [loaded] = yield from load(context, [folder.only(*folder.checkpoints)])
        if not isinstance(loaded, Loaded) or loaded.checkpoint.content() != content:
            return False
    except CorruptObjectError:
        return False  # its lenders are lost, for example; the object written beside it will count
    lenders = lender_keys(folder.namespace, loaded.checkpoint)
    if lenders:
        thread = folder.thread
        answers: list[Any] = yield from ask_all(
            [tombstones_request(context, thread), *(HeadObject(lender) for lender in sorted(lenders))]
        )
        tombstones = yield from parse_tombstones(context, thread, answers.pop(0))
        problem = _problem(context, loaded.key, lenders, tombstones)
        if problem is not None or any(isinstance(each, NotFound) for each in answers):
            whole = loaded.checkpoint.materialized(context.compression)
            yield from _rewrite(context, loaded.key, whole, loaded.etag)
    return True


class PreparedWrites(NamedTuple):
    """A call of `put_writes`, validated and serialized.

    Attributes:
        place: The checkpoint.
        task: The task's writes.
        retention: The class that the run's config names.
    """

    place: Place
    task: Task
    retention: str | None = None

    @property
    def gathers(self) -> bool:
        """True if the call may wait for others to share an object with.

        Special writes have objects of their own. A call fails if any object of its batch fails, so calls
        with many objects don't share a batch.
        """
        return min(self.task.writes, default=0) >= 0


def prepare_writes(
    context: Context,
    config: RunnableConfig,
    writes: Sequence[tuple[str, Any]],
    task_id: str,
    task_path: str,
) -> PreparedWrites:
    """Validate and serialize the writes of a task.

    Raises:
        InvalidKeyError: An id is missing or invalid, or the key would be too long.
        InvalidConfigError: The config names a retention class that there isn't.
    """
    place = Place.of(config)
    required_id(place.checkpoint_id)  # a missing one is reported before other invalid arguments
    task_id, task_path = id_text(task_id, "task_id"), id_text(task_path, "task_path")
    numbered = number_writes((id_text(channel, "channel"), value) for channel, value in writes)
    try:
        task = Task.of(context.serde, numbered, task_id, task_path)
    except Exception as error:
        add_note(
            error, f"It is in a write to checkpoint {place.checkpoint_id!r} of thread {place.thread_id!r}."
        )
        raise
    if min(task.writes, default=-1) < 0:
        special_key(context, place, task_id)
    if max(task.writes, default=-1) >= 0:
        _regular_key(context, place, [task.regular()])
    return PreparedWrites(place, task, class_in(context, config))


def put_writes(context: Context, calls: Sequence[PreparedWrites], now: int) -> Plan[None]:
    """Store the writes of tasks of one checkpoint: regular ones in one object, special ones in one per task.

    Regular writes are first-wins, so their object is created only if there is none with the same slots.
    Special writes are last-wins, in the order in which the store accepts them. All objects are sent at once.

    All calls are for one checkpoint.
    """
    place = calls[0].place
    tag: str | None = None
    if context.retention:
        named = longest(context.retention, *(call.retention for call in calls))
        tag = (yield from life_of_writes(context, place, named)).tag
    tasks = [call.task for call in calls]
    regular = [task for task in (task.regular() for task in tasks) if task.writes]
    special: dict[str, Task] = {}
    for task in (task.special() for task in tasks):
        before = special.get(task.task_id)
        if task.writes:
            both = {**before.writes, **task.writes} if before else task.writes
            special[task.task_id] = replace(task, writes=both)
    plans: list[Plan[object]] = [put_special(context, place, task, now, tag) for task in special.values()]
    if regular:
        key = _regular_key(context, place, regular)
        body = yield from encode_writes(context, place, key, regular, now)
        raw = sum(task.size for task in regular)
        plain = store(key, body, context.sizes, only_new=True, raw=raw, tag=tag)
        if len(body) < context.sizes.multipart_threshold:
            plans.append(plain)
        else:
            yield from plain  # alone, for the reason that `write_all` gives
    try:
        if len(plans) == 1:
            yield from plans[0]
            return
        for outcome in (yield from gather(return_errors(plan) for plan in plans)):
            if isinstance(outcome, S3CheckpointError):
                raise outcome
    finally:
        context.parent_cache.end_walk(context.layout.thread(place.thread_id))


def put_task(
    context: Context,
    config: RunnableConfig,
    writes: Sequence[tuple[str, Any]],
    task_id: str,
    task_path: str,
    now: int,
) -> Plan[None]:
    """Store the writes of one task, in objects of their own."""
    yield from put_writes(context, [prepare_writes(context, config, writes, task_id, task_path)], now)


def _regular_key(context: Context, place: Place, tasks: Sequence[Task]) -> str:
    encrypted = context.key_cache is not None
    if len(tasks) == 1:
        leaf = WritesLeaf.of(tasks[0].task_id, tasks[0].writes, encrypted=encrypted)
    else:
        leaf = WritesLeaf.of_several(((task.task_id, task.writes) for task in tasks), encrypted=encrypted)
    return place.key(context.layout, leaf)
