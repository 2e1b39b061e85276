"""Plans of `batch_put`, `batch_get` and `batch_delete`: items side by side, each with its own outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from langgraph.checkpoint.base import CheckpointTuple

from langgraph_checkpoint_s3.admin.bulk.items import Item, put_items
from langgraph_checkpoint_s3.admin.bulk.outcomes import NoteError, attempts, settle
from langgraph_checkpoint_s3.admin.calls import Progress, next_item, report
from langgraph_checkpoint_s3.errors import InvalidConfigError, InvalidKeyError
from langgraph_checkpoint_s3.format.ids import require_iterable, thread_name
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.delete import delete_some, delete_thread
from langgraph_checkpoint_s3.plans.get_tuple import get_tuple
from langgraph_checkpoint_s3.plans.place import Place
from langgraph_checkpoint_s3.plans.plan import Plan
from langgraph_checkpoint_s3.plans.scan import Scan

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

T = TypeVar("T")
V = TypeVar("V")

DELETE_BATCH: Final = 1000
"""Items that are grouped by namespace before the first is deleted."""


@dataclass(frozen=True, slots=True)
class BatchResult(Generic[V]):
    """The outcome of one item of a batch.

    Attributes:
        index: The item's position in the input, from 0.
        item: The item that was given to `batch_get` or `batch_delete`. For `batch_put` it is the config that
            names the checkpoint, or `None` if the checkpoint lacks its ids.
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
            "checkpoint. To delete a thread, give its id as a string."
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
