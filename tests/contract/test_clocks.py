"""The `Date` of real answers is read, by both drivers: also of an error, and of one without a body."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest

from langgraph_checkpoint_s3 import BucketNotFoundError
from tests.contract.support import MakeCalls, at, checkpoint, metadata
from tests.support import inside

HOURS = 7200
NANO = 1_000_000_000


def wrong(calls: Any) -> Any:
    """Set the clock of a saver's machine two hours ahead; the store's, as the saver knows it."""
    clock = inside.shared(calls.saver).store_time
    clock.local = lambda: time.time_ns() + HOURS * NANO
    return clock


@pytest.mark.parametrize("first", ["get_tuple", "put", "put_writes", "delete_thread"])
def test_of_a_first_answer(make_calls: MakeCalls, first: str) -> None:
    calls = make_calls()
    clock = wrong(calls)
    arguments: dict[str, Any] = {
        "get_tuple": (at(),),
        "put": (at(), checkpoint(), metadata(), {}),
        "put_writes": (at(checkpoint_id="1"), [("c", 1)], "task"),
        "delete_thread": ("thread",),
    }
    getattr(calls, first)(*arguments[first])
    assert abs(clock.ahead + HOURS * NANO) < 600 * NANO  # a busy machine may take its time


def test_of_an_error(make_calls: MakeCalls) -> None:
    calls = make_calls(bucket="no-such-bucket-anywhere")
    clock = wrong(calls)
    with pytest.raises(BucketNotFoundError):
        calls.get_tuple(at())
    assert abs(clock.ahead + HOURS * NANO) < 600 * NANO


def test_an_ordinary_machine_is_left_alone(make_calls: MakeCalls) -> None:
    calls = make_calls()
    calls.put(at(), checkpoint(), metadata(), {})
    assert calls.get_tuple(at())
    assert inside.shared(calls.saver).store_time.ahead == 0


def test_prune_takes_nothing_that_is_seconds_old(make_calls: MakeCalls, make_admin: MakeCalls) -> None:
    make_calls().put(at(), checkpoint(), metadata(), {})
    admin = make_admin()
    inside.shared(admin.saver.saver).store_time.local = lambda: time.time_ns() + HOURS * NANO
    pruned = admin.prune_older_than(timedelta(hours=1), keep_latest=False, dry_run=False)
    assert not pruned.victims
    assert not admin.remove_orphans(timedelta(hours=1), dry_run=False).items
