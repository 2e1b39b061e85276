"""Putting checkpoint tuples of any saver into the store, with their pending writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langgraph.checkpoint.base import WRITES_IDX_MAP, CheckpointTuple, PendingWrite

from langgraph_checkpoint_s3.admin.bulk.outcomes import NoteError, settle
from langgraph_checkpoint_s3.errors import InvalidKeyError
from langgraph_checkpoint_s3.format.ids import required_id
from langgraph_checkpoint_s3.format.serialization import estimate_size
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.place import Place
from langgraph_checkpoint_s3.plans.plan import Plan, gather
from langgraph_checkpoint_s3.plans.put import put, put_task

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig


@dataclass(frozen=True, slots=True)
class TaskWrites:
    """The pending writes of one task.

    Attributes:
        task_id: The task.
        special: Errors, interrupts and the like, by channel.
        regular: All other writes, in order. A write's position is its index: LangGraph counts the same way
            when it saves a list of writes again.
    """

    task_id: str
    special: dict[str, Any] = field(default_factory=dict)
    regular: list[tuple[str, Any]] = field(default_factory=list)


def by_task(writes: Iterable[PendingWrite] | None) -> list[TaskWrites]:
    """Group pending writes by task, in the order in which the tasks appear."""
    tasks: dict[str, TaskWrites] = {}
    for task_id, channel, value in writes or ():
        task = tasks.setdefault(task_id, TaskWrites(task_id))
        if channel in WRITES_IDX_MAP:
            task.special[channel] = value
        else:
            task.regular.append((channel, value))
    return list(tasks.values())


@dataclass(frozen=True, slots=True)
class Item:
    """A checkpoint to put.

    Attributes:
        found: The checkpoint.
        place: Its thread, namespace and id.
        parent: Its parent's id.
        tasks: Its pending writes.
        weight: About how many bytes its channels have.
        weight_of_writes: About how many bytes its pending writes have.
    """

    found: CheckpointTuple
    place: Place
    parent: str | None
    tasks: Sequence[TaskWrites]
    weight: int
    weight_of_writes: int

    @classmethod
    def of(cls, found: CheckpointTuple) -> Item:
        """Check a checkpoint tuple."""
        if not isinstance(found, CheckpointTuple):
            raise TypeError(f"A CheckpointTuple is needed, as a saver's list gives it, not {found!r:.100}")
        values = found.checkpoint.get("channel_values")
        if not isinstance(values, Mapping):
            raise TypeError("The checkpoint has no mapping of channel_values")
        named = Place.of(found.config)
        checkpoint_id = required_id(found.checkpoint.get("id"))
        if named.checkpoint_id not in (None, checkpoint_id):
            raise InvalidKeyError(
                f"The config names checkpoint {named.checkpoint_id}, and the checkpoint is {checkpoint_id}."
            )
        parent = Place.of(found.parent_config).checkpoint_id if found.parent_config else None
        place = named.with_id(checkpoint_id)
        written = estimate_size(value for _, _, value in found.pending_writes or ())
        return cls(
            found, place, parent, by_task(found.pending_writes), estimate_size(values.values()), written
        )

    def writes(self, context: Context, clock: Callable[[], int]) -> Plan[None]:
        """Put the pending writes.

        A checkpoint tuple lacks the tasks' paths, which order writes: generated paths keep the order.
        Special and regular writes are separate objects, so that either can be put again.
        """
        plans: list[Plan[None]] = []
        for number, task in enumerate(self.tasks):
            for writes in (list(task.special.items()), task.regular):
                if writes:
                    where, path = self.place.config(), f"~{number:08}"
                    plans.append(put_task(context, where, writes, task.task_id, path, clock()))
        yield from gather(plans)

    def checkpoint(self, context: Context, clock: Callable[[], int]) -> Plan[RunnableConfig]:
        """Put the checkpoint itself, as if all channels had changed."""
        where = self.place.with_id(self.parent).config()
        checkpoint, metadata = self.found.checkpoint, self.found.metadata or {}
        return put(context, where, checkpoint, metadata, checkpoint.get("channel_versions") or {}, clock())


def put_items(
    context: Context, items: Sequence[Item], clock: Callable[[], int], note_error: NoteError
) -> Plan[list[RunnableConfig | Exception]]:
    """Put checkpoints side by side, parents before the children that borrow from them.

    All of a checkpoint's writes are put before it, so a checkpoint that is present is complete.

    Returns:
        For each item the config that points at it, or its error.
    """
    outcomes: dict[int, Any] = {}
    written = [number for number, item in enumerate(items) if item.tasks]
    plans = [items[number].writes(context, clock) for number in written]
    weight = sum(items[number].weight_of_writes for number in written)
    answers = yield from settle(plans, note_error, weight)
    outcomes |= {
        number: answer for number, answer in zip(written, answers, strict=True) if answer is not None
    }
    for generation in _generations(items, borrow=context.borrow):
        ready = [number for number in generation if number not in outcomes]
        puts = [items[number].checkpoint(context, clock) for number in ready]
        weight = sum(items[number].weight for number in ready)
        outcomes |= zip(ready, (yield from settle(puts, note_error, weight)), strict=True)
    return [outcomes[number] for number in range(len(items))]


def _generations(items: Sequence[Item], *, borrow: bool) -> Iterator[list[int]]:
    """Yield the items' numbers in groups: parents before the children that borrow from them.

    If checkpoints don't borrow, only a checkpoint that comes twice has to wait.
    """
    generations: dict[Place, int] = {}
    groups: list[list[int]] = []
    for number, item in enumerate(items):
        before = [item.place]
        if borrow and item.parent:
            before.append(item.place.with_id(item.parent))
        generation = 1 + max(generations.get(place, -1) for place in before)
        generations[item.place] = generation
        if generation == len(groups):
            groups.append([])
        groups[generation].append(number)
    yield from groups
