"""Plans: generators that yield batches of requests and are sent the answers to each batch.

    def put_two(first: PutObject, second: PutObject) -> Plan[bool]:
        one, two = yield from ask_all([first, second])     # one round trip
        return isinstance(one, Stored) and isinstance(two, Stored)

Five rules:

1. A plan computes and yields. It has no client, clock, randomness or logging; those are passed in.
2. It yields a batch and gets a list of as many answers. The requests of a batch may run concurrently.
3. Only `ask`, `ask_all`, `gather`, `return_errors` and `replace_requests` contain a bare `yield`. All other
   code uses `yield from`, which preserves types.
4. The driver waits for all requests of a batch, then throws the batch's first error into the plan. The plan
   may still send requests to clean up before it lets the error propagate.
5. Retries are left to the clients. A plan only starts over where another process changed what it read.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any, TypeAlias, TypeVar, cast, overload

from langgraph_checkpoint_s3.errors import S3CheckpointError
from langgraph_checkpoint_s3.s3.driver import Ended, advance
from langgraph_checkpoint_s3.s3.requests import Attempted, Call, Failure, Request

T = TypeVar("T")
A = TypeVar("A")
E = TypeVar("E", bound=Exception)

Plan: TypeAlias = Generator[Sequence[Request[Any]], list[Any], T]
"""A generator of request batches that returns a `T`."""


def ask(request: Request[A]) -> Plan[A]:
    """Send one request."""
    [answer] = yield [request]
    return cast("A", answer)


def ask_all(requests: Iterable[Request[A]]) -> Plan[list[A]]:
    """Send requests concurrently, in one round trip. Without requests there is no round trip."""
    batch = list(requests)
    if not batch:
        return []
    answers = yield batch
    return cast("list[A]", answers)


def before_encoding(weight: int) -> Plan[None]:
    """Have the async driver compute the next step in a thread, if it encodes much.

    Args:
        weight: About how many bytes the step encodes.
    """

    async def coroutine() -> None:
        return None

    yield from ask(Call(_do_nothing, coroutine, weight))


def batched(items: Sequence[A], size: int) -> Iterator[Sequence[A]]:
    """Split a sequence into slices of at most `size` items."""
    return (items[start : start + size] for start in range(0, len(items), size))


def gather(plans: Iterable[Plan[T]]) -> Plan[list[T]]:
    """Run plans side by side, merging their current batches into one.

    An error ends all of them, after each has had the chance to clean up.
    """
    running = list(plans)
    results: list[Any] = [None] * len(running)
    batches: dict[int, Sequence[Request[Any]]] = {}

    def resume(number: int, answers: list[Any] | None) -> None:
        step = advance(running[number], answers)
        if isinstance(step, Ended):
            batches.pop(number, None)
            results[number] = step.result
        else:
            batches[number] = step

    try:
        for number in range(len(running)):
            resume(number, None)
        while batches:
            current = list(batches.items())
            answers = yield [request for _, batch in current for request in batch]
            position = 0
            for number, batch in current:
                resume(number, answers[position : position + len(batch)])
                position += len(batch)
    except GeneratorExit:
        raise
    except BaseException as error:
        for number in batches:
            yield from _clean_up(running[number], error)
        raise
    finally:
        for plan in running:
            plan.close()
    return results


@overload
def return_errors(plan: Plan[T]) -> Plan[T | S3CheckpointError]: ...
@overload
def return_errors(plan: Plan[T], errors: type[E]) -> Plan[T | E]: ...
def return_errors(plan: Plan[Any], errors: type[Exception] = S3CheckpointError) -> Plan[Any]:
    """Run a plan, and return its result or its error. In `gather`, its error then ends no other plan.

    Args:
        plan: The plan.
        errors: The errors to return. `Exception` includes those of a user's serializer.
    """
    answers: list[Any] | None = None
    failure: BaseException | None = None
    try:
        while True:
            try:
                step = advance(plan, answers, failure)
            except errors as error:
                return error
            if isinstance(step, Ended):
                return step.result
            try:
                answers = yield [
                    request if isinstance(request, Attempted) else Attempted(request) for request in step
                ]
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001  # thrown into the plan
                failure = error
            else:
                failure = next(
                    (
                        answer.error
                        for request, answer in zip(step, answers, strict=True)
                        if isinstance(answer, Failure) and not isinstance(request, Attempted)
                    ),
                    None,
                )
    finally:
        plan.close()


def replace_requests(plan: Plan[T], replace: Callable[[Request[Any]], Request[Any]]) -> Plan[T]:
    """Run a plan with some of its requests replaced by others that have the same kind of answer.

    Args:
        plan: The plan.
        replace: Returns what is sent for a request, which may be the request itself.
    """
    answers: list[Any] | None = None
    failure: BaseException | None = None
    try:
        while True:
            step = advance(plan, answers, failure)
            if isinstance(step, Ended):
                return cast("T", step.result)
            try:
                answers, failure = (yield [replace(request) for request in step]), None
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001  # thrown into the plan
                failure = error
    finally:
        plan.close()


def _clean_up(plan: Plan[Any], error: BaseException) -> Plan[None]:
    """Throw an error into a plan, and send what it still asks for."""
    answers: list[Any] = []
    failure: BaseException | None = error
    while True:
        try:
            step = advance(plan, answers, failure)
        except BaseException:  # noqa: BLE001  # it has ended; the first error is the one to raise
            return
        if isinstance(step, Ended):
            return
        try:
            answers, failure = (yield step), None
        except GeneratorExit:
            raise
        except BaseException as second:  # noqa: BLE001  # one of its clean-up requests failed
            failure = second


def _do_nothing() -> None:
    pass
