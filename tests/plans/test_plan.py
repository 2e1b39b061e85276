"""The helpers that plans are made of: what they yield, what they give back, and how they end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from langgraph_checkpoint_s3.errors import ConflictError
from langgraph_checkpoint_s3.plans.plan import Plan, ask, ask_all, gather, replace_requests, return_errors
from langgraph_checkpoint_s3.s3.requests import (
    Attempted,
    Failure,
    GetObject,
    HeadObject,
    ListObjects,
    Request,
)

A, B, C, D = (GetObject(name) for name in "abcd")


class BoomError(Exception):
    """An error of the store, as the driver throws it."""


def run(plan: Plan[Any], *answers: Any) -> tuple[list[Sequence[Request[Any]]], Any]:
    """Run a plan on these batches of answers (an exception is thrown): the batches it asked, its result."""
    batches: list[Sequence[Request[Any]]] = []
    rest = iter(answers)
    try:
        batch = next(plan)
        while True:
            batches.append(batch)
            answer = next(rest)
            batch = plan.throw(answer) if isinstance(answer, BaseException) else plan.send(answer)
    except StopIteration as stop:
        assert next(rest, None) is None, "the plan ended early"
        return batches, stop.value


def test_ask_is_a_batch_of_one() -> None:
    assert run(ask(A), ["one"]) == ([[A]], "one")
    assert run(ask(HeadObject("k")), [None]) == ([[HeadObject("k")]], None)


def test_ask_refuses_a_wrong_number_of_answers() -> None:
    for answers in ([], [1, 2]):
        with pytest.raises(ValueError, match="values to unpack"):
            run(ask(A), answers)


def test_together_is_one_batch_in_order() -> None:
    assert run(ask_all([A, B, C]), [1, 2, 3]) == ([[A, B, C]], [1, 2, 3])
    assert run(ask_all(request for request in (A, B)), [1, 2]) == ([[A, B]], [1, 2])


def test_together_of_nothing_asks_nothing() -> None:
    assert run(ask_all([])) == ([], [])
    assert run(ask_all(iter([]))) == ([], [])


@pytest.mark.parametrize("plan", [ask(A), ask_all([A, B])])
def test_an_error_comes_out_of_the_helper(plan: Plan[Any]) -> None:
    with pytest.raises(BoomError):
        run(plan, BoomError())


def test_a_plan_may_clean_up_after_an_error() -> None:
    def careful() -> Plan[str]:
        try:
            yield from ask(A)
        except BoomError:
            yield from ask(B)
            raise
        return "unreached"

    plan = careful()
    assert next(plan) == [A]
    assert plan.throw(BoomError()) == [B]
    with pytest.raises(BoomError):
        plan.send([None])


def steps(name: str, *batches: Sequence[Request[Any]], seen: list[Any] | None = None) -> Plan[str]:
    for batch in batches:
        answers = yield from ask_all(batch)
        if seen is not None:
            seen.append((name, answers))
    return name


def test_abreast_sends_the_batches_of_all_plans_as_one() -> None:
    seen: list[Any] = []
    plans = [
        steps("one", [A], [B, C], seen=seen),
        steps("two", [D], seen=seen),
        steps("three", [B], [A], [D], seen=seen),
    ]
    batches, results = run(gather(plans), [1, 2, 3], [4, 5, 6], [7])
    assert batches == [[A, D, B], [B, C, A], [D]]
    assert results == ["one", "two", "three"]
    assert seen == [
        ("one", [1]),
        ("two", [2]),
        ("three", [3]),
        ("one", [4, 5]),
        ("three", [6]),
        ("three", [7]),
    ]


def test_abreast_of_nothing_or_of_plans_that_ask_nothing_asks_nothing() -> None:
    assert run(gather([])) == ([], [])
    assert run(gather([steps("a"), steps("b")])) == ([], ["a", "b"])
    assert run(gather([steps("a"), steps("b", [A])]), [1]) == ([[A]], ["a", "b"])


def test_abreast_takes_plans_as_they_come() -> None:
    assert run(gather(steps(name, [A]) for name in "xy"), [1, 2]) == ([[A, A]], ["x", "y"])


def test_abreast_nests() -> None:
    inner = gather([steps("a", [A], [B]), steps("b", [C])])
    plans: list[Plan[Any]] = [inner, steps("c", [D], [D])]
    batches, results = run(gather(plans), [1, 2, 3], [4, 5])
    assert batches == [[A, C, D], [B, D]]
    assert results == [["a", "b"], "c"]


def closing(request: Request[Any], log: list[str], name: str) -> Plan[None]:
    try:
        yield from ask(request)
        yield from ask(request)
    except BaseException as error:
        log.append(f"{name}: {type(error).__name__}")
        raise


def test_an_error_thrown_into_abreast_is_thrown_into_all_plans() -> None:
    log: list[str] = []
    with pytest.raises(BoomError):
        run(gather([closing(A, log, "a"), closing(B, log, "b")]), BoomError())
    assert log == ["a: BoomError", "b: BoomError"]


def test_an_error_of_one_plan_is_thrown_into_the_others() -> None:
    log: list[str] = []

    def failing() -> Plan[None]:
        yield from ask(C)
        raise BoomError

    with pytest.raises(BoomError):
        run(gather([closing(A, log, "a"), failing(), closing(B, log, "b")]), [1, 2, 3])
    assert log == ["a: BoomError", "b: BoomError"]


def test_an_error_at_the_very_beginning_ends_the_others() -> None:
    log: list[str] = []

    def failing() -> Plan[None]:
        raise BoomError
        yield []

    started = [closing(A, log, "a"), failing(), closing(B, log, "b")]
    with pytest.raises(BoomError):
        run(gather(started))
    assert log == ["a: BoomError"]  # the last one had not begun
    assert [plan.gi_frame for plan in started] == [None, None, None]  # type: ignore[attr-defined]  # of generators


def cleaning(request: Request[Any], *after: Request[Any], log: list[Any]) -> Plan[None]:
    """A plan that asks for something more when it fails, and then fails otherwise."""
    try:
        yield from ask(request)
        yield from ask(request)
    except BoomError as error:
        for each in after:
            try:
                log.append((yield from ask(each)))
            except KeyError as second:
                log.append(second)
        raise RuntimeError("while cleaning up") from error


def test_each_plan_abreast_may_clean_up_after_an_error() -> None:
    log: list[Any] = []
    error = BoomError()
    plan = gather([cleaning(A, B, C, log=log), steps("no cleaning", [A], [A]), cleaning(D, C, log=log)])
    assert next(plan) == [A, A, D]
    assert plan.throw(error) == [B]
    assert plan.send(["b"]) == [C]
    assert plan.throw(KeyError("c")) == [C]  # the next one has its turn all the same
    with pytest.raises(BoomError) as caught:
        plan.send(["c"])
    assert caught.value is error
    assert [str(each) for each in log] == ["b", "'c'", "c"]


def test_abreast_can_be_closed_while_it_cleans_up() -> None:
    started = [cleaning(A, B, log=[]), cleaning(D, C, log=[])]
    plan = gather(started)
    next(plan)
    assert plan.throw(BoomError()) == [B]
    plan.close()
    assert [each.gi_frame for each in started] == [None, None]  # type: ignore[attr-defined]  # of generators


def test_closing_abreast_closes_all_plans() -> None:
    log: list[str] = []
    plan = gather([closing(A, log, "a"), closing(B, log, "b")])
    next(plan)
    plan.close()
    assert log == ["a: GeneratorExit", "b: GeneratorExit"]


def test_a_plan_returns_what_it_returns() -> None:
    def listing() -> Plan[int]:
        page = yield from ask(ListObjects("p/"))
        return len(page.entries)

    class Page:
        entries = (1, 2, 3)

    assert run(listing(), [Page()]) == ([[ListObjects("p/")]], 3)


def test_settled_gives_a_plans_result() -> None:
    assert run(return_errors(ask_all([A, B])), [1, 2]) == ([[Attempted(A), Attempted(B)]], [1, 2])


def test_settled_gives_a_plans_error_once_it_has_cleaned_up() -> None:
    error = ConflictError("no")

    def plan() -> Plan[str]:
        try:
            yield from ask_all([A, B])
        except ConflictError:
            yield from ask(C)
            raise
        return "not reached"

    batches, result = run(return_errors(plan()), [1, Failure(error)], [3])
    assert batches == [[Attempted(A), Attempted(B)], [Attempted(C)]]
    assert result is error


def test_settled_leaves_alone_what_a_plan_tries_itself() -> None:
    error = ConflictError("no")
    plan = ask_all([Attempted(A), Attempted(B)])
    assert run(return_errors(plan), [1, Failure(error)]) == (
        [[Attempted(A), Attempted(B)]],
        [1, Failure(error)],
    )


def test_settled_lets_other_errors_out() -> None:
    with pytest.raises(BoomError):
        run(return_errors(ask(A)), BoomError())


def test_settled_plans_beside_each_other_end_only_themselves() -> None:
    error = ConflictError("no")

    def twice(first: GetObject) -> Plan[Any]:
        yield from ask(first)
        return (yield from ask(D))

    batches, results = run(
        gather([return_errors(twice(A)), return_errors(twice(B))]), [Failure(error), 1], [2]
    )
    assert batches == [[Attempted(A), Attempted(B)], [Attempted(D)]]
    assert results == [error, 2]


def test_replaced_requests_are_sent_in_place_of_the_others() -> None:
    def plan() -> Plan[Any]:
        return [(yield from ask_all([A, B])), (yield from ask(A))]

    batches, result = run(replace_requests(plan(), lambda each: C if each == A else each), [3, 2], [3])
    assert batches == [[C, B], [C]]
    assert result == [[3, 2], 3]


def test_a_plan_with_replaced_requests_may_clean_up_after_an_error() -> None:
    def plan() -> Plan[str]:
        try:
            yield from ask(A)
        except BoomError:
            yield from ask(B)
        return "cleaned up"

    batches, result = run(replace_requests(plan(), lambda each: C if each == A else each), BoomError(), [2])
    assert (batches, result) == ([[C], [B]], "cleaned up")
    with pytest.raises(BoomError):
        run(replace_requests(ask(A), lambda each: each), BoomError())


def test_closing_a_plan_with_replaced_requests_closes_it() -> None:
    closed: list[bool] = []

    def plan() -> Plan[None]:
        try:
            yield from ask(A)
        finally:
            closed.append(True)

    replaced = replace_requests(plan(), lambda each: each)
    next(replaced)
    replaced.close()
    assert closed == [True]
