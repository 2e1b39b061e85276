"""Pruning and orphan removal on a failing store, and interrupted at each request."""

from __future__ import annotations

import functools
from datetime import datetime, timedelta, timezone
from typing import Any
from unittest import mock

import pytest

from langgraph_checkpoint_s3 import AccessDeniedError, CorruptObjectError, S3Saver, StorageUnavailableError
from langgraph_checkpoint_s3.admin import RetentionPolicy, S3Admin
from langgraph_checkpoint_s3.s3.requests import DeleteObjects, ListObjects
from tests.admin.retention.test_prune import admin_of
from tests.plans.borrowers import key_of
from tests.plans.crashes import Scenario, batches_of, sweep
from tests.plans.test_crash_borrowing import lent, one_by_one, with_child
from tests.plans.test_crash_sweep import with_delta_head
from tests.support.checkpoints import put_chain
from tests.support.fake_s3 import FakeS3
from tests.support.hooks import failing
from tests.support.inside import silent_keys

DAY = timedelta(days=1)


def test_one_threads_error_ends_nothing_else(fake: FakeS3, saver: S3Saver) -> None:
    with silent_keys():
        for number in range(20):
            put_chain(saver, f"{number:02}", 3)
    fake.put(key_of(fake, "00000002", "03"), b"damaged")
    fake.undeletable = dict.fromkeys(fake.keys("/17.thread/"), ("AccessDenied", "no"))
    would = admin_of(fake).prune_threads(1)
    assert (list(would.errors), would.threads) == (["03"], 19)
    pruned = admin_of(fake).prune_threads(1, dry_run=False)
    assert pruned.threads == 18
    assert isinstance(pruned.errors["03"], CorruptObjectError)
    assert isinstance(pruned.errors["17"], AccessDeniedError)
    assert list(pruned.errors) == ["03", "17"]
    assert "03: failed: " in str(pruned)
    assert "17: failed: " in str(pruned)
    with pytest.raises(CorruptObjectError):
        pruned.raise_errors()
    lengths = {number: len(fake.keys(f"/{number:02}.thread/")) for number in range(20)}
    assert lengths == {number: 6 if number in (3, 17) else 2 for number in range(20)}


def test_a_failing_store_is_reported(fake: FakeS3, saver: S3Saver) -> None:
    put_chain(saver, "t", 3)
    fake.hook = failing(DeleteObjects)
    pruned = admin_of(fake).prune_threads(1, dry_run=False)
    assert isinstance(pruned.errors["t"], StorageUnavailableError)
    assert pruned.victims == ()
    fake.hook = failing(ListObjects)
    with pytest.raises(StorageUnavailableError):
        admin_of(fake).prune_threads(1, dry_run=False)
    assert isinstance(admin_of(fake).prune_threads(1, thread_ids=["t"]).errors["t"], StorageUnavailableError)


def test_an_error_of_the_users_serializer_is_reported_for_its_thread(fake: FakeS3, saver: S3Saver) -> None:
    with silent_keys():
        put_chain(saver, "t", 3)
        put_chain(saver, "u", 3)
    admin = admin_of(fake)
    loads = admin.saver.serde.loads_typed
    calls = iter([True])

    def broken(data: Any) -> Any:
        if next(calls, False):
            raise ZeroDivisionError
        return loads(data)

    with mock.patch.object(admin.saver.serde, "loads_typed", broken):
        pruned = admin.prune_threads(1)
    assert [type(each) for each in pruned.errors.values()] == [CorruptObjectError]
    assert pruned.threads == 1


MOMENT = datetime(2026, 1, 1, 0, 0, 3, tzinfo=timezone.utc)
SHORT = {"delete._BATCH": 2, "scan.PAGE": 3, "materialize._AT_ONCE": 1}


def by_number(number: int, saver: S3Saver) -> None:
    S3Admin(saver).prune_threads(number, dry_run=False).raise_errors()


def by_age(saver: S3Saver, *, keep_latest: bool = True) -> None:
    admin = S3Admin(saver)
    admin.prune_older_than(MOMENT, keep_latest=keep_latest, dry_run=False).raise_errors()


def days_later() -> FakeS3:
    """Return a bucket in which nothing was written for days."""
    fake = with_delta_head().snapshot()
    fake.later += 3 * DAY
    return fake


def days_later_lending() -> FakeS3:
    """Return a bucket with threads that borrow, in which nothing was written for days."""
    fake = lent().snapshot()
    fake.later += 3 * DAY
    return fake


def idle(saver: S3Saver) -> None:
    S3Admin(saver).prune_idle(DAY, dry_run=False).raise_errors()


def by_policy(saver: S3Saver) -> None:
    S3Admin(saver).prune_threads(RetentionPolicy(last=1, first=1), dry_run=False).raise_errors()


SCENARIOS = [
    Scenario("by number, gathering", functools.partial(by_number, 2), with_delta_head, removes=True),
    Scenario(
        "by number, borrowing", functools.partial(by_number, 2), with_child, removes=True, saver=one_by_one
    ),
    Scenario("by age, borrowing", by_age, lent, removes=True, saver=one_by_one, patches=SHORT),
    Scenario(
        "by age, idle",
        lambda saver: S3Admin(saver).prune_older_than(DAY, keep_latest=False, dry_run=False).raise_errors(),
        days_later,
        removes=True,
        patches=SHORT,
    ),
    Scenario("idle", idle, days_later, removes=True, patches=SHORT),
    Scenario("idle, lending", idle, days_later_lending, removes=True, saver=one_by_one, patches=SHORT),
    Scenario("by policy, borrowing", by_policy, lent, removes=True, saver=one_by_one, patches=SHORT),
    Scenario(
        "orphans", lambda saver: S3Admin(saver).remove_orphans(dry_run=False), with_delta_head, patches=SHORT
    ),
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[scenario.name for scenario in SCENARIOS])
def test_cut_short(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep(scenario, monkeypatch)


def test_the_scenarios_delete_and_rewrite_as_intended() -> None:
    for scenario in SCENARIOS:
        asked = {type(each).__name__ for batch in batches_of(scenario)[0] for each in batch}
        assert ("DeleteObjects" in asked) != (scenario.name == "orphans"), scenario.name
        writes = any(word in scenario.name for word in ("borrowing", "gathering", "lending"))
        assert bool(asked & {"PutObject", "CompleteUpload"}) == writes, scenario.name
