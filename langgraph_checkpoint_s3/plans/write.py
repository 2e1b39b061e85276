"""`put` and `put_writes`: as a rule one object each, one PUT, one round trip."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from langgraph.checkpoint.base import Checkpoint, CheckpointMetadata, get_checkpoint_metadata

from langgraph_checkpoint_s3.errors import ConflictError, CorruptObjectError, S3CheckpointError
from langgraph_checkpoint_s3.objects.drafts import Draft, draft, serialize
from langgraph_checkpoint_s3.objects.ids import id_text, required_id
from langgraph_checkpoint_s3.objects.keys import CheckpointLeaf, Layout, WritesLeaf
from langgraph_checkpoint_s3.objects.records import Content
from langgraph_checkpoint_s3.objects.writes import Task, number_writes
from langgraph_checkpoint_s3.plans.address import Address, Context
from langgraph_checkpoint_s3.plans.lenders import lender_key
from langgraph_checkpoint_s3.plans.memory import Parent
from langgraph_checkpoint_s3.plans.plan import Plan, abreast, ask, settled, together
from langgraph_checkpoint_s3.plans.read import find, load
from langgraph_checkpoint_s3.plans.scan import Scan
from langgraph_checkpoint_s3.plans.special import encode_writes, put_special, special_key
from langgraph_checkpoint_s3.plans.transfer import overwrite, store
from langgraph_checkpoint_s3.plans.unlock import key_to_write
from langgraph_checkpoint_s3.s3.requests import (
    DeleteObjects,
    Deletion,
    HeadObject,
    Missing,
    Refused,
    Stored,
    Tried,
)

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

_TRUSTING: Final = 7
"""Puts of a line in a row that ask for no more than their parent.

Who deletes doesn't see a put that is on its way at that moment. It may then be read from its
parent alone, and so may those that follow, until one asks for all lenders: this says how many those are. A
turn of a simple graph has three puts. All HEADs at each eighth put are a quarter of one a put.
"""


def put(
    context: Context,
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    changed: Collection[str],
    now: int,
) -> Plan[RunnableConfig]:
    """Write a checkpoint: a single PUT is atomic, so the object is its own commit.

    What it shares with its parent is borrowed, if this process knows the parent. Another one may
    be deleting the lenders at this moment. Who deletes rewrites the borrowers that it sees; so beside the PUT
    one HEAD asks for the parent, which is there as it was written, or for all lenders where that isn't known
    or says too little (`_Look`). If something is gone, the checkpoint is written again, whole. If the whole
    thread is gone, it isn't brought back: the checkpoint is taken out again.

    The PUT is conditional, for others may borrow from what is there under the same id: what
    differs from it gets a key of its own beside it.

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
    parent = Address.of(config)
    address = Address(parent.thread_id, parent.namespace, required_id(checkpoint.get("id")))
    checkpoint = {**checkpoint, "id": required_id(address.checkpoint_id)}  # as text, also where it was a UUID
    complete = get_checkpoint_metadata(config, metadata)
    leaf = CheckpointLeaf.of(complete, parent.checkpoint_id, sealed=context.vault is not None)
    where = (parent.thread_id, parent.namespace, checkpoint["id"])
    key = context.layout.key(*where, leaf)
    namespace = context.layout.namespace(parent.thread_id, parent.namespace)
    remembered = context.memory.parent(namespace, parent.checkpoint_id or "") if context.borrow else None
    known = remembered.known if remembered else None
    content = serialize(context.serde, checkpoint, complete, parent.checkpoint_id, known, changed)
    sealing = yield from key_to_write(context)

    def write(key: str, *, only_new: bool) -> Plan[tuple[Draft, Stored | Refused, _Look]]:
        made = draft(
            content,
            checkpoint.get("channel_versions") or {},
            context.origin(parent.thread_id, parent.namespace, checkpoint["id"], now),
            key.rpartition("/")[2],
            context.compression,
            context.rules,
            known,
            context.room(namespace),
            sealing,
        )
        look = _Look([Layout.sibling(namespace, *each[:2]) for each in made.lenders], remembered)
        outcome, found = yield from store(
            key,
            made.body,
            context.sizes,
            only_new=only_new,
            beside=[HeadObject(each) for each in look.keys],
            raw=content.size,
        )
        yield from look.judge(found)
        return made, outcome, look

    made, outcome, look = yield from write(key, only_new=True)
    if isinstance(outcome, Refused):
        if (yield from _is_there(context, address, content)):
            return address.config()
        key = context.layout.key(*where, replace(leaf, created=now))
        made, outcome, look = yield from write(key, only_new=False)
    if look.broken and isinstance(outcome, Stored):
        yield from _withdraw_late(context, parent.thread_id, key, outcome.etag)
        # If it isn't what was written any more, it was deleted, or rewritten by who deleted its lenders.
        yield from overwrite(key, made.whole(context.compression), context.sizes, outcome.etag)
    elif context.borrow:
        etag = outcome.etag if isinstance(outcome, Stored) else ""
        moment = outcome.at if isinstance(outcome, Stored) else None
        kept = Parent(made.known.stored_at(moment), key, etag, look.trusting)
        context.memory.keep(namespace, kept, instead_of=parent.checkpoint_id)
    return address.config()


class _Look:
    """What a checkpoint that borrows asks for beside its PUT.

    Each extent says where the parent has the same bytes, and who deletes a lender of the parent's rewrites
    the parent before, as far as he sees it: so a parent that is what it was is enough. Where it isn't, or
    this process didn't write it, all lenders are asked for, as at every eighth put of a line.

    Args:
        lenders: The keys of the objects that it borrows from.
        parent: What this process remembers of its parent.

    Attributes:
        keys: What to ask for.
        broken: Whether something was gone.
        trusting: How many puts of this line, it being the last, have asked for no more than their parent.
    """

    def __init__(self, lenders: Sequence[str], parent: Parent | None) -> None:
        self.keys = lenders
        self.broken = False
        self.trusting = 0
        self._lenders = lenders
        self._parent = None
        if len(lenders) > 1 and parent is not None and parent.etag and parent.trusting < _TRUSTING:
            self.keys = [parent.key]
            self.trusting = parent.trusting + 1
            self._parent = parent

    def judge(self, found: Sequence[Stored | Missing]) -> Plan[None]:
        """Look at the answers; where the parent was rewritten, ask for the lenders after all."""
        if self._parent is not None and any(
            isinstance(each, Stored) and each.etag != self._parent.etag for each in found
        ):
            self.trusting = 0
            found = yield from together(HeadObject(each) for each in self._lenders)
        self.broken = any(isinstance(each, Missing) for each in found)


def _withdraw_late(context: Context, thread_id: str, key: str, etag: str) -> Plan[None]:
    """Take a checkpoint out again that came after its thread's deletion.

    Who deletes a thread leaves nothing else of it. Who prunes it leaves something else, or has seen this
    one, and rewritten it. Where nothing may be deleted, it stays, to be written whole.

    Args:
        context: The saver's.
        thread_id: The thread.
        key: The checkpoint's.
        etag: What it was written as.

    Raises:
        ConflictError: It was taken out, or had gone with the thread.
    """
    there = False
    scan = Scan(context.layout, context.layout.thread(thread_id))
    while not scan.done:
        for folder in (yield from scan.more()):
            if any((entry.key, entry.etag) != (key, etag) for entry in folder.checkpoints):
                return
            there = there or bool(folder.checkpoints)
    deletion = (yield from ask(Tried(DeleteObjects((key,))))) if there else Deletion(())
    if isinstance(deletion, Deletion) and not deletion.failed:
        raise ConflictError(
            "The thread was deleted while this run went on, and isn't brought back: the checkpoint was not "
            "kept. End the run, or begin the thread anew. Who deletes a thread can wait for its run by "
            "taking its lease",
            key=key,
        )


def _is_there(context: Context, address: Address, content: Content) -> Plan[bool]:
    """Whether a checkpoint is there already, just so, and all that it borrows."""
    folder = yield from find(context, address)
    if folder is None:
        return False
    try:
        [loaded] = yield from load(context, [folder.only(*folder.checkpoints)])
        if loaded is None or loaded.checkpoint.content() != content:
            return False
    except CorruptObjectError:
        return False  # its lenders are gone, say; what comes beside it will count
    frames = loaded.checkpoint.container.frames
    lenders = {lender_key(folder.namespace, frame) for frame in frames} - {None}
    found = yield from together(HeadObject(lender) for lender in lenders if lender)
    return not any(isinstance(each, Missing) for each in found)


@dataclass(frozen=True, slots=True)
class Written:
    """A call of `put_writes`, checked and serialized: nothing but the store can refuse it any more.

    Attributes:
        address: The checkpoint.
        task: What the task wrote.
    """

    address: Address
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
    address = Address.of(config)
    required_id(address.checkpoint_id)
    task_id, task_path = id_text(task_id, "task_id"), id_text(task_path, "task_path")
    numbered = number_writes((id_text(channel, "channel"), value) for channel, value in writes)
    task = Task.of(context.serde, numbered, task_id, task_path)
    if min(task.writes, default=-1) < 0:
        special_key(context, address, task_id)
    if max(task.writes, default=-1) >= 0:
        _regular_key(context, address, [task.regular()])
    return Written(address, task)


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
    address = calls[0].address
    tasks = [call.task for call in calls]
    regular = [task for task in (task.regular() for task in tasks) if task.writes]
    special: dict[str, Task] = {}
    for task in (task.special() for task in tasks):
        before = special.get(task.task_id)
        if task.writes:
            both = {**before.writes, **task.writes} if before else task.writes
            special[task.task_id] = replace(task, writes=both)
    plans: list[Plan[object]] = [put_special(context, address, task, now) for task in special.values()]
    if regular:
        key = _regular_key(context, address, regular)
        body = yield from encode_writes(context, address, regular, now)
        plain = store(key, body, context.sizes, only_new=True, raw=sum(task.size for task in regular))
        if len(body) < context.sizes.multipart_threshold:
            plans.append(plain)
        else:
            yield from plain  # by itself: its upload isn't left behind
    if len(plans) == 1:
        yield from plans[0]
        return
    for outcome in (yield from abreast(settled(plan) for plan in plans)):
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


def _regular_key(context: Context, address: Address, tasks: Sequence[Task]) -> str:
    sealed = context.vault is not None
    if len(tasks) == 1:
        leaf = WritesLeaf.of(tasks[0].task_id, tasks[0].writes, sealed=sealed)
    else:
        leaf = WritesLeaf.of_several(((task.task_id, task.writes) for task in tasks), sealed=sealed)
    return context.layout.key(address.thread_id, address.namespace, required_id(address.checkpoint_id), leaf)
