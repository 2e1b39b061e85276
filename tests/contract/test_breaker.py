"""The circuit breaker before a real client: nothing is sent while it is open."""

from __future__ import annotations

import pytest

from langgraph_checkpoint_s3 import AccessDeniedError, StorageUnavailableError
from tests.contract.front import Answer
from tests.contract.support import MakeCalls, Place, at, checkpoint, metadata
from tests.s3.test_deadline import Clock
from tests.support import inside


def test_an_open_circuit_sends_nothing_until_one_request_gets_through(
    make_calls: MakeCalls, place: Place
) -> None:
    calls = make_calls(max_attempts=1, circuit_breaker=2, operation_timeout=None)
    clock = inside.shared(calls.saver).clock = Clock()
    place.front.fail("*", Answer(503, "SlowDown"), times=3)
    for _ in range(2):
        with pytest.raises(StorageUnavailableError, match="SlowDown"):
            calls.get_tuple(at())
    assert calls.saver.stats().circuit == "open"
    for _ in range(3):
        with pytest.raises(StorageUnavailableError, match=r"breaker is open.*again in 10\.0 s") as caught:
            calls.put(at(), checkpoint(), metadata(), {})
        assert (caught.value.attempts, caught.value.bucket) == (0, place.bucket)
    assert len(place.front.log) == 2
    clock.now += 10
    assert calls.saver.stats().circuit == "half-open"
    with pytest.raises(StorageUnavailableError, match="SlowDown"):
        calls.get_tuple(at())
    assert (calls.saver.stats().circuit, len(place.front.log)) == ("open", 3)
    clock.now += 10
    calls.put(at(), checkpoint(), metadata(), {})
    assert calls.get_tuple(at()) is not None
    assert calls.saver.stats().circuit == "closed"


def test_what_the_store_answers_opens_nothing(make_calls: MakeCalls, place: Place) -> None:
    calls = make_calls(circuit_breaker=1)
    place.front.fail("*", Answer(403, "AccessDenied"), times=2)
    for _ in range(2):
        with pytest.raises(AccessDeniedError):
            calls.get_tuple(at())
    assert calls.saver.stats().circuit == "closed"
    clock = inside.shared(calls.saver).clock = Clock()
    inside.shared(calls.saver).breaker.failed()
    clock.now += 10
    place.front.fail("*", Answer(403, "AccessDenied"))
    with pytest.raises(AccessDeniedError):
        calls.get_tuple(at())
    assert calls.saver.stats().circuit == "closed"
    assert calls.get_tuple(at()) is None


def test_by_default_there_is_none(make_calls: MakeCalls, place: Place) -> None:
    calls = make_calls(max_attempts=1)
    place.front.fail("*", Answer(503, "SlowDown"), times=20)
    for _ in range(20):
        with pytest.raises(StorageUnavailableError, match="SlowDown"):
            calls.get_tuple(at())
    assert calls.saver.stats().circuit == "off"
    assert calls.get_tuple(at()) is None
