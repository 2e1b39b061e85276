"""`operation_timeout` through the real clients: how often it was tried, how long, and no longer."""

from __future__ import annotations

import threading

import pytest

from langgraph_checkpoint_s3 import StorageUnavailableError
from tests.contract.front import Answer, Fault, Park
from tests.contract.operations import ALL
from tests.contract.support import Calls, MakeCalls, Place
from tests.support import inside


def a_second_each(calls: Calls, place: Place) -> None:
    """Each request that arrives takes a second of the operations' clock, whatever the machine's says."""
    inside.shared(calls.saver).clock = lambda: float(len(place.front.log))


@pytest.mark.parametrize("name", ["get_tuple", "put"])
def test_a_store_that_does_not_answer_is_given_up_in_time(
    make_calls: MakeCalls, place: Place, released: threading.Event, name: str
) -> None:
    calls = make_calls(read_timeout=0.3, max_attempts=100, operation_timeout=2.5)
    a_second_each(calls, place)
    place.front.fail("*", Park(released), times=1000)
    with pytest.raises(StorageUnavailableError, match=r"in [0-9.]+ s \(operation_timeout=2\.5\)") as caught:
        ALL[name](calls)
    # After the third one the time is over.
    assert caught.value.attempts == len(place.front.log) == 3
    assert caught.value.seconds == 3


@pytest.mark.parametrize(
    "fault", [Answer(503, "SlowDown"), Answer(409, "OperationAborted")], ids=["503", "409"]
)
def test_a_store_that_keeps_refusing_is_given_up_in_time(
    make_calls: MakeCalls, place: Place, fault: Fault
) -> None:
    calls = make_calls(max_attempts=100, operation_timeout=2.5)
    a_second_each(calls, place)
    place.front.fail("*", fault, times=1000)
    with pytest.raises(StorageUnavailableError, match="operation_timeout") as caught:
        ALL["put"](calls)
    assert caught.value.attempts == len(place.front.log) >= 2
    assert caught.value.seconds == len(place.front.log) <= 3


def test_what_is_given_up_says_how_often_and_how_long(make_calls: MakeCalls, place: Place) -> None:
    place.front.fail("*", Answer(503, "SlowDown"), times=1000)
    with pytest.raises(StorageUnavailableError, match=r"after 2 attempts in [0-9.]+ s") as caught:
        ALL["put"](make_calls(max_attempts=2))
    assert (caught.value.attempts, caught.value.status) == (2, 503)
