"""What a plan is: a generator that yields batches of requests and is sent the answers to each.

    def put_two(first: PutObject, second: PutObject) -> Plan[bool]:
        one, two = yield from together([first, second])     # one round trip
        return isinstance(one, Stored) and isinstance(two, Stored)

Whoever reads or writes one needs five rules:

1. A plan computes and yields. It has no client, clock, randomness or logging: those are passed in.
2. It yields a batch and gets a list of as many answers back; what is in one batch may run together.
3. Only `ask`, `ask_all`, `gather` and `return_errors` contain a bare `yield`. Everything else is
   `yield from`, so that types flow.
4. The driver settles a whole batch, then throws its first error into the plan, which may still
   ask for what cleans up, and lets the error out.
5. Retries are the clients' business, never a plan's, but for what it sees change under its hands.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import Any, TypeAlias, TypeVar, cast, overload

from langgraph_checkpoint_s3.errors import S3CheckpointError
from langgraph_checkpoint_s3.s3.requests import Attempted, Failure, Request

T = TypeVar("T")
A = TypeVar("A")
E = TypeVar("E", bound=Exception)

Plan: TypeAlias = Generator[Sequence[Request[Any]], list[Any], T]
"""A computation that ends in a `T` and asks S3 on its way."""


def ask(request: Request[A]) -> Plan[A]:
    """Send one request."""
    [answer] = yield [request]
    return cast("A", answer)


def ask_all(requests: Iterable[Request[A]]) -> Plan[list[A]]:
    """Send requests at once, as one round trip; no requests are no round trip."""
    batch = list(requests)
    if not batch:
        return []
    answers = yield batch
    return cast("list[A]", answers)


def gather(plans: Iterable[Plan[T]]) -> Plan[list[T]]:
    """Run plans side by side: the batches that they are at go out as one.

    An error ends all of them. Each may still ask for what cleans up after it.
    """
    running = list(plans)
    results: dict[int, T] = {}
    batches: dict[int, Sequence[Request[Any]]] = {}

    def advance(number: int, answers: list[Any] | None) -> None:
        try:
            batches[number] = next(running[number]) if answers is None else running[number].send(answers)
        except StopIteration as stop:
            batches.pop(number, None)
            results[number] = stop.value

    try:
        for number in range(len(running)):
            advance(number, None)
        while batches:
            order = list(batches)
            answers = yield [request for number in order for request in batches[number]]
            position = 0
            for number in order:
                size = len(batches[number])
                advance(number, answers[position : position + size])
                position += size
    except GeneratorExit:
        raise
    except BaseException as error:
        for number in batches:
            yield from _end(running[number], error)
        raise
    finally:
        for plan in running:
            plan.close()
    return [results[number] for number in range(len(running))]


@overload
def return_errors(plan: Plan[T]) -> Plan[T | S3CheckpointError]: ...
@overload
def return_errors(plan: Plan[T], errors: type[E]) -> Plan[T | E]: ...
def return_errors(plan: Plan[Any], errors: type[Exception] = S3CheckpointError) -> Plan[Any]:
    """Run a plan to its result or its error: beside others, it ends nothing but itself.

    Args:
        plan: The plan.
        errors: Which of its errors are a result; `Exception` are those of a user's serializer too.
    """
    answers: list[Any] | None = None
    failure: BaseException | None = None
    try:
        while True:
            try:
                if failure is not None:
                    batch = plan.throw(failure)
                else:
                    batch = next(plan) if answers is None else plan.send(answers)
            except StopIteration as stop:
                return stop.value
            except errors as error:
                return error
            try:
                answers = yield [
                    request if isinstance(request, Attempted) else Attempted(request) for request in batch
                ]
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001  # thrown on into the plan
                failure = error
            else:
                failure = next(
                    (
                        answer.error
                        for request, answer in zip(batch, answers, strict=True)
                        if isinstance(answer, Failure) and not isinstance(request, Attempted)
                    ),
                    None,
                )
    finally:
        plan.close()


def _end(plan: Plan[Any], error: BaseException) -> Plan[None]:
    """Tell a plan of an error, and let it clean up."""
    failure: BaseException | None = error
    answers: list[Any] = []
    while True:
        try:
            batch = plan.throw(failure) if failure is not None else plan.send(answers)
        except BaseException:  # noqa: BLE001  # it has ended; the first error is the one to tell
            return
        try:
            answers, failure = (yield batch), None
        except GeneratorExit:
            raise
        except BaseException as second:  # noqa: BLE001  # of what it asked for
            failure = second
