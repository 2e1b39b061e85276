"""`batch_put`, `batch_get` and `batch_delete`: windows of items side by side, each with its own outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from langgraph.checkpoint.base import CheckpointTuple

from langgraph_checkpoint_s3.admin.bulk.items import Item, put_items
from langgraph_checkpoint_s3.admin.jobs import Job, attempts, settle
from langgraph_checkpoint_s3.admin.progress import Progress
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

_DELETE_WINDOW: Final = 1000
"""So many items are sorted by namespace before the first is deleted."""


@dataclass(frozen=True, slots=True)
class BatchResult(Generic[V]):
    """What became of an item of a batch.

    Attributes:
        index: The item's number, from 0 on, in the order in which they were given.
        item: What it was about: what was given to `batch_get` or `batch_delete`, and of a checkpoint
            that was put the config that names it (`None` where it doesn't say which one it is).
        value: The answer, of an item without an error.
        error: What went wrong; `None` if nothing did.
    """

    index: int
    item: Any
    value: V | None = None
    error: Exception | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing went wrong."""
        return self.error is None


def result_of(index: int, item: Any, outcome: V | Exception) -> BatchResult[V]:
    """An item's outcome as its result."""
    if isinstance(outcome, Exception):
        return BatchResult(index, item, None, outcome)
    return BatchResult(index, item, outcome)


def windows(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Items in groups of so many. What an iterable gave before it failed still comes, then its error.

    Raises:
        InvalidKeyError: This is one item rather than many.
        InvalidConfigError: A window of nothing.
    """
    check_concurrency(size)
    iterator = iter(require_iterable(items, "The items"))
    taken = size
    while taken == size:
        window: list[T] = []
        failure: Exception | None = None
        try:
            for item in islice(iterator, size):
                window.append(item)  # noqa: PERF402  # what came before an error stays
        except Exception as error:  # noqa: BLE001  # raised once what came before it is done
            failure = error
        taken = len(window)
        if window:
            yield window
        if failure is not None:
            raise failure


def check_concurrency(concurrency: object) -> None:
    """Refuse a concurrency that there can't be."""
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
        raise InvalidConfigError(f"concurrency={concurrency!r} must be a whole number, at least 1.")


def total_of(items: Iterable[object]) -> int | None:
    """How many items there are, if that can be known before they have come."""
    return len(items) if isinstance(items, Sized) else None


def put_all(
    context: Context,
    items: Iterable[CheckpointTuple],
    concurrency: int,
    progress: Progress,
    clock: Callable[[], int],
) -> Job[list[BatchResult[RunnableConfig]]]:
    """Put checkpoints, with their pending writes."""
    results: list[BatchResult[RunnableConfig]] = []
    for window in windows(items, concurrency):
        checked = attempts(Item.of, window)
        window.clear()
        good = [each for each in checked if isinstance(each, Item)]
        outcomes = iter((yield from put_items(context, good, clock)))
        for each in checked:
            if isinstance(each, Item):
                results.append(result_of(len(results), each.address.config(), next(outcomes)))
            else:
                results.append(BatchResult(len(results), None, None, each))
        del checked, good
        progress(len(results), total_of(items))
    return results


def read_one(context: Context, config: RunnableConfig) -> Plan[CheckpointTuple | None]:
    """`get_tuple`, in which a config that can't be is an error of the plan's own."""
    return (yield from get_tuple(context, Place.of(config)))


def delete_all(
    context: Context, items: Iterable[str | RunnableConfig], concurrency: int, progress: Progress
) -> Job[list[BatchResult[None]]]:
    """Delete threads, and checkpoints by namespace, so that each namespace is listed once a window."""
    check_concurrency(concurrency)
    results: list[BatchResult[None]] = []
    for window in windows(items, max(concurrency, _DELETE_WINDOW)):
        targets = attempts(_target, window)
        outcomes: dict[int, Exception | None] = {
            number: target for number, target in enumerate(targets) if isinstance(target, Exception)
        }
        tasks = list(_tasks(context, targets))
        for start in range(0, max(len(tasks), 1), concurrency):
            some = tasks[start : start + concurrency]
            answers = yield from settle([plan for _, plan in some])
            for (numbers, _), answer in zip(some, answers, strict=True):
                outcomes |= dict.fromkeys(numbers, answer)
            progress(len(results) + len(outcomes), total_of(items))
        results += [
            result_of(len(results) + number, item, outcomes[number]) for number, item in enumerate(window)
        ]
    return results


def _target(item: str | RunnableConfig) -> str | Place:
    """The thread, or the checkpoint, that is to go."""
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
    """What to do, with the numbers of the targets that it is for. A thread takes all in it along."""
    threads = {target for target in targets if isinstance(target, str)}
    numbers: dict[tuple[str, str | None], list[int]] = {}
    for number, target in enumerate(targets):
        if isinstance(target, str):
            numbers.setdefault((target, None), []).append(number)
        elif isinstance(target, Place):
            ns = None if target.thread_id in threads else target.checkpoint_ns
            numbers.setdefault((target.thread_id, ns), []).append(number)
    for (thread_id, namespace), of in numbers.items():
        if namespace is None:
            yield of, delete_thread(context, thread_id)
        else:
            places = [target for target in map(targets.__getitem__, of) if isinstance(target, Place)]
            yield of, _delete_checkpoints(context, places)


def _delete_checkpoints(context: Context, places: Sequence[Place]) -> Plan[None]:
    """Delete checkpoints of one namespace, with their writes; what borrows from them is rewritten before."""
    layout = context.layout
    going = {place.folder(layout).rstrip("/") for place in places}
    folders = yield from Scan(layout, places[0].namespace(layout)).rest()
    victims = [folder for folder in folders if folder.path in going]
    yield from delete_some(context, victims)
