"""Plans of the batches: items side by side, each with its own outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar

from langgraph.checkpoint.base import WRITES_IDX_MAP, CheckpointTuple, PendingWrite

from langgraph_checkpoint_s3.admin.calls import Progress, next_item, report
from langgraph_checkpoint_s3.errors import InvalidConfigError, InvalidKeyError, S3CheckpointError
from langgraph_checkpoint_s3.format.ids import require_iterable, required_id, thread_name
from langgraph_checkpoint_s3.format.serialization import estimate_size
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.delete import delete_some, delete_thread
from langgraph_checkpoint_s3.plans.get_tuple import get_tuple
from langgraph_checkpoint_s3.plans.place import Place
from langgraph_checkpoint_s3.plans.plan import Plan, before_encoding, gather, return_errors
from langgraph_checkpoint_s3.plans.put import put, put_task
from langgraph_checkpoint_s3.plans.retention import with_class
from langgraph_checkpoint_s3.plans.scan import Scan
from langgraph_checkpoint_s3.plans.state import save, state_of
from langgraph_checkpoint_s3.s3.driver import drop_tracebacks

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

T = TypeVar("T")
U = TypeVar("U")
V = TypeVar("V")

DELETE_BATCH: Final = 1000
"""Items that are grouped by namespace before the first is deleted."""

NoteError: TypeAlias = Callable[[S3CheckpointError], None]
"""Called with each error of the store, as the store treats those that end a plan."""


def settle(plans: Sequence[Plan[T]], note_error: NoteError, weight: int = 0) -> Plan[list[T | Exception]]:
    """Run plans side by side, each to its result or its error.

    Args:
        plans: The plans.
        note_error: Called with the errors.
        weight: About how many bytes the plans' first steps encode, together.
    """
    if not plans:
        return []
    if weight:
        yield from before_encoding(weight)
    outcomes = yield from gather([return_errors(plan, Exception) for plan in plans])
    for outcome in outcomes:
        if isinstance(outcome, S3CheckpointError):
            note_error(outcome)
    return _for_long(outcomes)


def _for_long(outcomes: list[T | Exception]) -> list[T | Exception]:
    """Return outcomes that may be kept for long: their errors hold no states."""
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            drop_tracebacks(outcome)
    return outcomes


def attempts(function: Callable[[U], T], arguments: Iterable[U]) -> list[T | Exception]:
    """Call a function with each argument, and return the results and errors."""
    outcomes: list[T | Exception] = []
    for argument in arguments:
        try:
            outcomes.append(function(argument))
        except Exception as error:  # noqa: BLE001  # returned as a result
            outcomes.append(error)
    return _for_long(outcomes)


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
                    where, path = with_class(context, self.place.config(), self.found), f"~{number:08}"
                    plans.append(put_task(context, where, writes, task.task_id, path, clock()))
        yield from gather(plans)

    def checkpoint(self, context: Context, clock: Callable[[], int]) -> Plan[RunnableConfig]:
        """Put the checkpoint itself, as if all channels had changed."""
        where = with_class(context, self.place.with_id(self.parent).config(), self.found)
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


@dataclass(frozen=True, slots=True)
class BatchResult(Generic[V]):
    """The outcome of one item of a batch.

    Attributes:
        index: The item's position in the input, from 0.
        item: The item that was given to `batch_get` or `batch_delete`. For `batch_put` it is the config that
            names the checkpoint, or `None` if the checkpoint lacks its ids; for `batch_save_checkpoints` the
            thread's id, or `None` if that is invalid; for `batch_delete_checkpoints` the config.
        value: The result, if there was no error.
        error: The error, or `None`.
    """

    index: int
    item: Any
    value: V | None = None
    error: Exception | None = None

    @property
    def ok(self) -> bool:
        """True if there was no error."""
        return self.error is None


def result_of(index: int, item: Any, outcome: V | Exception) -> BatchResult[V]:
    """Return an item's outcome as a `BatchResult`."""
    if isinstance(outcome, Exception):
        return BatchResult(index, item, None, outcome)
    return BatchResult(index, item, outcome)


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Return items in lists of `size`. If the iterable raises, the items before come first."""
    check_concurrency(size)
    return _batched(iter(require_iterable(items, "The items")), size)


def _batched(iterator: Iterator[T], size: int) -> Iterator[list[T]]:
    taken = size
    while taken == size:
        batch: list[T] = []
        failure: Exception | None = None
        try:
            for item in islice(iterator, size):
                batch.append(item)  # noqa: PERF402  # the items before an error stay
        except Exception as error:  # noqa: BLE001  # raised below, after the items before it
            failure = error
        taken = len(batch)
        if batch:
            yield batch
        if failure is not None:
            raise failure


def check_concurrency(concurrency: object) -> None:
    """Check that a concurrency is a positive integer."""
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
        raise InvalidConfigError(f"concurrency={concurrency!r} must be a whole number, at least 1.")


def total_of(items: Iterable[object]) -> int | None:
    """Return the number of items, or `None` if the iterable has no length."""
    return len(items) if isinstance(items, Sized) else None


def put_all(
    context: Context,
    batches: Iterator[list[CheckpointTuple]],
    total: int | None,
    progress: Progress | None,
    clock: Callable[[], int],
    note_error: NoteError,
) -> Plan[list[BatchResult[RunnableConfig]]]:
    """Put checkpoints, with their pending writes."""
    results: list[BatchResult[RunnableConfig]] = []
    while batch := (yield from next_item(batches)):
        checked = attempts(Item.of, batch)
        batch.clear()  # the driver holds the list: its items are to be freed with their batch
        good = [each for each in checked if isinstance(each, Item)]
        outcomes = iter((yield from put_items(context, good, clock, note_error)))
        for each in checked:
            if isinstance(each, Item):
                results.append(result_of(len(results), each.place.config(), next(outcomes)))
            else:
                results.append(BatchResult(len(results), None, None, each))
        del checked, good, each
        yield from report(progress, len(results), total)
    return results


def save_all(
    context: Context,
    batches: Iterator[list[tuple[str, Mapping[str, Any]]]],
    total: int | None,
    progress: Progress | None,
    clock: Callable[[], int],
    next_version: Callable[[Any, None], Any],
    note_error: NoteError,
) -> Plan[list[BatchResult[str]]]:
    """Save states. Those of one thread are saved one after the other, in their order."""
    results: list[BatchResult[str]] = []
    while batch := (yield from next_item(batches)):
        items = attempts(_state, batch)
        names = attempts(_thread, batch)
        batch.clear()  # the driver holds the list: its items are to be freed with their batch
        outcomes: dict[int, Any] = {
            number: item for number, item in enumerate(items) if isinstance(item, Exception)
        }
        rounds: list[list[tuple[int, str, Mapping[str, Any]]]] = []
        seen: Counter[str] = Counter()
        for number, item in enumerate(items):
            if not isinstance(item, Exception):
                thread_id, state = item
                if seen[thread_id] == len(rounds):
                    rounds.append([])
                rounds[seen[thread_id]].append((number, thread_id, state))
                seen[thread_id] += 1
        for some in rounds:
            plans = [save(context, thread_id, state, clock(), next_version) for _, thread_id, state in some]
            saved = yield from settle(plans, note_error)
            outcomes |= zip((number for number, _, _ in some), saved, strict=True)
            del plans
        for number, name in enumerate(names):
            shown = None if isinstance(name, Exception) else name
            results.append(result_of(len(results), shown, outcomes[number]))
        del items, rounds
        yield from report(progress, len(results), total)
    return results


def _state(item: object) -> tuple[str, Mapping[str, Any]]:
    """Return the thread and the state of an item to save."""
    if not isinstance(item, tuple) or len(item) != 2:
        raise InvalidKeyError(f"An item to save is a tuple (thread_id, values), not {type(item).__name__}.")
    return thread_name(item[0]), state_of(item[1])


def _thread(item: object) -> str:
    return _state((item[0], {}) if isinstance(item, tuple) and len(item) == 2 else item)[0]


def pairs(thread_ids: Iterable[str], checkpoint_ids: Iterable[str]) -> list[RunnableConfig]:
    """Return the configs of checkpoints, of which the first list has the threads and the second the ids.

    Raises:
        InvalidKeyError: They are no lists, or not of the same length.
    """
    threads = list(require_iterable(thread_ids, "thread_ids"))
    ids = list(require_iterable(checkpoint_ids, "checkpoint_ids"))
    if len(threads) != len(ids):
        raise InvalidKeyError(
            f"There are {len(threads)} thread_ids and {len(ids)} checkpoint_ids: they go together one by "
            "one, each checkpoint with its thread. Nothing was deleted."
        )
    return [
        {"configurable": {"thread_id": thread_id, "checkpoint_ns": "", "checkpoint_id": checkpoint_id}}
        for thread_id, checkpoint_id in zip(threads, ids, strict=True)
    ]


def get_batch(
    context: Context, configs: Sequence[RunnableConfig], note_error: NoteError
) -> Plan[list[CheckpointTuple | Exception | None]]:
    """Read checkpoints side by side. A config that is invalid is an error of its own read."""

    def read(config: RunnableConfig) -> Plan[CheckpointTuple | None]:
        return (yield from get_tuple(context, Place.of(config)))

    return (yield from settle([read(config) for config in configs], note_error))


def results_of(
    start: int,
    batch: Sequence[RunnableConfig],
    outcomes: list[CheckpointTuple | Exception | None],
    configs: Iterable[RunnableConfig],
    progress: Progress | None,
) -> Iterator[BatchResult[CheckpointTuple | None]]:
    """Report progress on a batch that was read, and yield its results, removing its outcomes one by one."""
    if progress is not None:
        progress(start + len(batch), total_of(configs))
    outcomes.reverse()
    for number, config in enumerate(batch, start):
        yield result_of(number, config, outcomes.pop())


def delete_all(
    context: Context,
    batches: Iterator[list[str | RunnableConfig]],
    total: int | None,
    concurrency: int,
    progress: Progress | None,
    note_error: NoteError,
) -> Plan[list[BatchResult[None]]]:
    """Delete threads, and checkpoints by namespace: each namespace is listed once for up to 1,000 items."""
    results: list[BatchResult[None]] = []
    while batch := (yield from next_item(batches)):
        targets = attempts(_target, batch)
        outcomes: dict[int, Exception | None] = {
            number: target for number, target in enumerate(targets) if isinstance(target, Exception)
        }
        tasks = list(_tasks(context, targets))
        for start in range(0, max(len(tasks), 1), concurrency):
            some = tasks[start : start + concurrency]
            answers = yield from settle([plan for _, plan in some], note_error)
            for (numbers, _), answer in zip(some, answers, strict=True):
                outcomes |= dict.fromkeys(numbers, answer)
            yield from report(progress, len(results) + len(outcomes), total)
        results += [
            result_of(len(results) + number, item, outcomes[number]) for number, item in enumerate(batch)
        ]
    return results


def _target(item: str | RunnableConfig) -> str | Place:
    """Return the thread or the checkpoint to delete."""
    if not isinstance(item, Mapping):
        return thread_name(item)
    place = Place.of(item)
    if place.checkpoint_id is None:
        raise InvalidKeyError(
            "This config names no checkpoint_id, so it may mean a thread, a namespace or its latest "
            "checkpoint. To delete a thread, give its id to batch_delete, as a string."
        )
    return place


def _tasks(
    context: Context, targets: Sequence[str | Place | Exception]
) -> Iterator[tuple[list[int], Plan[None]]]:
    """Yield deletions, with the numbers of their targets. Deleting a thread covers its checkpoints, too."""
    threads = {target for target in targets if isinstance(target, str)}
    numbers: dict[tuple[str, str | None], list[int]] = {}
    for number, target in enumerate(targets):
        if isinstance(target, str):
            numbers.setdefault((target, None), []).append(number)
        elif isinstance(target, Place):
            ns = None if target.thread_id in threads else target.checkpoint_ns
            numbers.setdefault((target.thread_id, ns), []).append(number)
    for (thread_id, namespace), positions in numbers.items():
        if namespace is None:
            yield positions, delete_thread(context, thread_id)
        else:
            places = [target for target in map(targets.__getitem__, positions) if isinstance(target, Place)]
            yield positions, _delete_checkpoints(context, places)


def _delete_checkpoints(context: Context, places: Sequence[Place]) -> Plan[None]:
    """Delete checkpoints of one namespace with their writes, after rewriting those that borrow from them."""
    layout = context.layout
    going = {place.folder(layout).rstrip("/") for place in places}
    folders = yield from Scan(layout, places[0].namespace(layout)).rest()
    yield from delete_some(context, [folder for folder in folders if folder.path in going])
