"""The circuit breaker by itself, by a clock of the test's own."""

from __future__ import annotations

import logging

import pytest

from langgraph_checkpoint_s3.s3.circuit_breaker import Breaker
from tests.s3.test_deadline import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(3, 10, clock, "bucket")


def fail(breaker: Breaker, times: int = 3) -> None:
    for _ in range(times):
        assert breaker.wait() == 0
        breaker.failed()


def test_none_is_off(clock: Clock) -> None:
    breaker = Breaker(0, 10, clock, "bucket")
    fail(breaker, 100)
    assert (breaker.state, breaker.wait()) == ("off", 0)


def test_failures_in_a_row_open_it(breaker: Breaker) -> None:
    fail(breaker, 2)
    breaker.succeeded()
    fail(breaker, 2)
    assert (breaker.state, breaker.wait()) == ("closed", 0)
    breaker.failed()
    assert (breaker.state, breaker.wait()) == ("open", 10)


def test_one_request_tries_after_the_cool_down(breaker: Breaker, clock: Clock) -> None:
    fail(breaker)
    clock.now += 10
    assert breaker.state == "half-open"
    assert [breaker.wait() for _ in range(3)] == [0, 10, 10]
    breaker.succeeded()
    assert [breaker.wait() for _ in range(3)] == [0, 0, 0]
    assert [breaker.state] == ["closed"]


def test_a_trial_that_fails_keeps_it_open(breaker: Breaker, clock: Clock) -> None:
    fail(breaker)
    clock.now += 10
    assert breaker.wait() == 0
    clock.now += 5
    breaker.failed()
    assert (breaker.state, breaker.wait()) == ("open", 10)


def test_a_trial_that_never_ends_blocks_nothing(breaker: Breaker, clock: Clock) -> None:
    fail(breaker)
    clock.now += 10
    assert [breaker.wait(), breaker.wait()] == [0, 10]
    clock.now += 10
    assert breaker.wait() == 0


def test_what_was_under_way_when_it_opened_keeps_it_open_no_longer(breaker: Breaker, clock: Clock) -> None:
    fail(breaker)
    clock.now += 9
    breaker.failed()
    assert breaker.wait() == 1


def test_each_change_is_one_line(breaker: Breaker, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "langgraph_checkpoint_s3"):
        fail(breaker)
        breaker.failed()
        clock.now += 10
        breaker.wait()
        breaker.wait()
        breaker.succeeded()
        breaker.succeeded()
    states = [record.getMessage().partition(" is ")[2].split()[0].strip(":") for record in caplog.records]
    assert states == ["open", "half-open", "closed"]
