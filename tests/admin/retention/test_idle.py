"""Deleting idle threads on the fake S3: which go, which stay, what it takes, and what comes in between."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from langgraph_checkpoint_s3 import (
    ConflictError,
    CorruptObjectError,
    InvalidConfigError,
    InvalidKeyError,
    S3CheckpointError,
    S3Saver,
)
from langgraph_checkpoint_s3.admin import IdleThread, PrunedIdle, S3Admin
from langgraph_checkpoint_s3.s3.requests import DeleteObjects, GetWithAge, ListObjects, PutObject
from tests.admin.retention.test_prune import admin_of, left
from tests.admin.retention.test_prune_many import clone
from tests.plans.borrowers import noise, step
from tests.plans.helpers import get, once, put
from tests.plans.leasing import Time, lease
from tests.support.checkpoints import place, put_chain
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver
from tests.support.hooks import failing
from tests.support.keys import Keys

DAY = timedelta(days=1)
NAIVE = datetime(2026, 1, 1, tzinfo=timezone.utc).replace(tzinfo=None)


def went(pruned: PrunedIdle) -> list[str]:
    return [each.thread_id for each in pruned.threads]


def aged(fake: FakeS3, by: timedelta = 40 * DAY) -> None:
    """Create an idle thread, and one in use, both with a subgraph's namespace, and let time pass."""
    saver = make_saver(fake)
    for thread in ("idle", "used"):
        put_chain(saver, thread, 4)
        put_chain(saver, thread, 2, ns="sub")
    fake.later += by
    put(make_saver(fake), "00000004", "00000003", thread="used")


def test_idle_threads_go_whole_and_others_stay_whole(fake: FakeS3) -> None:
    aged(fake)
    before = dict(fake.objects)
    would = admin_of(fake).prune_idle(30 * DAY)
    assert (would.dry_run, went(would), fake.objects) == (True, ["idle"], before)
    [idle] = would.threads
    objects = [fake.objects[key] for key in fake.keys("/idle.thread/")]
    assert idle == IdleThread(
        "idle",
        checkpoints=6,
        objects=12,
        bytes=sum(len(each.data) for each in objects),
        modified=max(each.modified for each in objects),
    )
    done = admin_of(fake).prune_idle(30 * DAY, dry_run=False)
    assert done == PrunedIdle(dry_run=False, threads=would.threads, spared={}, errors={})
    assert (done.checkpoints, done.objects, done.bytes) == (6, 12, idle.bytes)
    assert fake.objects == {key: each for key, each in before.items() if "/idle.thread/" not in key}
    assert len(left(fake, "used")) == 5
    assert admin_of(fake).prune_idle(30 * DAY, dry_run=False).threads == ()


@pytest.mark.parametrize("ns", ["", "sub"])
def test_a_late_write_anywhere_is_activity(fake: FakeS3, ns: str) -> None:
    aged(fake)
    make_saver(fake).put_writes(place("idle", "00000000", ns), [("d", [1])], "late")
    assert went(admin_of(fake).prune_idle(30 * DAY, dry_run=False)) == []
    assert len(left(fake, "idle")) == 4


def test_what_was_copied_is_fresh(fake: FakeS3) -> None:
    aged(fake)
    make_saver(fake).copy_thread("idle", "copy")
    assert went(admin_of(fake).prune_idle(30 * DAY)) == ["idle"]


def test_writes_alone_are_a_thread_too(fake: FakeS3, saver: S3Saver) -> None:
    saver.put_writes(place("early", "00000000"), [("d", [1])], "task")
    fake.later += 40 * DAY
    [thread] = admin_of(fake).prune_idle(30 * DAY, dry_run=False).threads
    assert (thread.thread_id, thread.checkpoints, thread.objects) == ("early", 0, 1)
    assert not fake.objects


def test_the_time_is_the_stores(fake: FakeS3, saver: S3Saver) -> None:
    """A thread is idle if its newest object is older than that, to the second."""
    put_chain(saver, "t", 1)
    newest = max(each.modified for each in fake.objects.values())
    later = newest + timedelta(seconds=9)
    assert went(admin_of(fake, later).prune_idle(newest)) == []
    assert went(admin_of(fake, later).prune_idle(newest + timedelta(seconds=1))) == ["t"]
    assert went(admin_of(fake, later).prune_idle(timedelta(seconds=9))) == []
    assert went(admin_of(fake, later).prune_idle(timedelta(seconds=8))) == ["t"]


def test_named_threads_alone(fake: FakeS3) -> None:
    aged(fake)
    put_chain(make_saver(fake), "other", 1)
    fake.later += 40 * DAY
    reported: list[tuple[int, int | None]] = []
    pruned = admin_of(fake).prune_idle(
        30 * DAY,
        thread_ids=["used", "nobody"],
        dry_run=False,
        progress=lambda *each: reported.append(each),
    )
    assert went(pruned) == ["used"]
    assert list(admin_of(fake).threads()) == ["idle", "other"]
    assert reported == [(2, 2)]


@pytest.mark.parametrize(
    "idle",
    [timedelta(0), -DAY, 30, "30d", None, NAIVE, datetime(2999, 1, 1, tzinfo=timezone.utc)],
)
def test_a_wrong_time_is_refused(fake: FakeS3, idle: Any) -> None:
    aged(fake)
    with fake.counted() as count, pytest.raises(InvalidConfigError):
        admin_of(fake).prune_idle(idle, dry_run=False)
    with pytest.raises(InvalidKeyError):
        admin_of(fake).prune_idle(DAY, thread_ids=["t", ""], dry_run=False)
    assert not count.requests


# Requests


def test_one_listing_decides(fake: FakeS3) -> None:
    """One LIST per 1,000 objects, one of the leases, and no GET, however large the threads are."""
    saver = make_saver(fake)
    put_chain(saver, "t", 5)
    clone(fake, 99)
    put_chain(saver, "large", 600)
    put_chain(saver, "used", 600)
    fake.later += 40 * DAY
    put(saver, "00000600", "00000599", thread="used")
    objects = len(fake.objects)
    assert objects == 100 * 10 + 2 * 1200 + 1
    with fake.counted() as count:
        pruned = admin_of(fake).prune_idle(30 * DAY)
    assert len(pruned.threads) == 101
    assert set(count.kinds) == {"ListObjects"}
    # The pages of a large thread are its own, and one in use is known from its first page.
    assert count.kinds["ListObjects"] <= 1 + -(-objects // 1000) + 2


def test_a_deletion_takes_a_list_and_a_get_a_thread(fake: FakeS3) -> None:
    put_chain(make_saver(fake), "t", 5)
    clone(fake, 9)
    fake.later += 40 * DAY
    with fake.counted() as count:
        assert len(admin_of(fake).prune_idle(30 * DAY, dry_run=False).threads) == 10
    assert count.kinds == {"ListObjects": 2 + 10, "GetWithAge": 10, "DeleteObjects": 10}
    assert count.round_trips == 2 + 1 + 1
    assert not fake.objects


def test_hashed_names_are_read_before_they_are_gone(fake: FakeS3) -> None:
    thread = "customer/" * 40
    put_chain(make_saver(fake), thread, 2)
    fake.later += 40 * DAY
    assert went(admin_of(fake).prune_idle(30 * DAY)) == [thread]
    assert went(admin_of(fake).prune_idle(30 * DAY, dry_run=False)) == [thread]
    assert not fake.objects


# Leases


def leased(fake: FakeS3) -> Time:
    aged(fake)
    return Time(fake)


def test_a_thread_whose_lease_is_held_stays(fake: FakeS3) -> None:
    time = leased(fake)
    with lease(make_saver(fake), time, thread="idle"):
        for dry_run in (True, False):
            pruned = admin_of(fake).prune_idle(30 * DAY, dry_run=dry_run)
            assert (went(pruned), list(pruned.spared)) == ([], ["idle"])
            assert "lease" in pruned.spared["idle"]
            assert "idle: stays: its lease" in str(pruned)
    assert len(left(fake, "idle")) == 4


def test_a_lease_that_was_used_lately_is_activity(fake: FakeS3) -> None:
    time = leased(fake)
    with lease(make_saver(fake), time, thread="idle"):
        pass
    assert went(admin_of(fake).prune_idle(30 * DAY, dry_run=False)) == []
    fake.age(40 * DAY, ".leases/")
    assert went(admin_of(fake).prune_idle(30 * DAY, dry_run=False)) == ["idle"]
    assert fake.keys(".leases/")  # its token goes on


def test_a_lease_that_outlasts_the_time_stays(fake: FakeS3) -> None:
    """A lease isn't written for a third of its ttl, which may be longer than the idle time."""
    aged(fake, timedelta(minutes=5))
    saver = make_saver(fake)
    with lease(saver, Time(fake), thread="idle"):
        fake.age(timedelta(seconds=30), ".leases/")
        pruned = admin_of(fake).prune_idle(timedelta(seconds=20), thread_ids=["idle"], dry_run=False)
    assert (went(pruned), pruned.spared) == ([], {"idle": "its lease is held by me"})
    assert len(left(fake, "idle")) == 4


def test_a_lease_taken_after_the_listing_stays(fake: FakeS3) -> None:
    time = leased(fake)
    other = make_saver(fake)
    held: list[Any] = []

    def take(request: ListObjects) -> None:
        if request.prefix.endswith("idle.thread/") and not held:
            held.append(lease(other, time, "a run", thread="idle").__enter__())

    fake.hook = lambda moment, request: (
        take(request) if moment == "before" and isinstance(request, ListObjects) else None
    )
    pruned = admin_of(fake).prune_idle(30 * DAY, dry_run=False)
    fake.hook = None
    assert pruned.spared == {"idle": "its lease is held by a run"}
    assert len(left(fake, "idle")) == 4


def test_leases_of_hashed_threads(fake: FakeS3) -> None:
    """A lease has the same hash as its thread's folder, and the reason is told with the thread's name."""
    private: dict[str, Any] = {"encryption": Keys("k", names="n"), "private_keys": True}
    for thread in ("leased", "idle"):
        put_chain(make_saver(fake, **private), thread, 2)
    fake.later += 40 * DAY
    with lease(make_saver(fake, **private), Time(fake), thread="leased"):
        for age in (timedelta(0), timedelta(seconds=30)):  # known by its time, and by reading it
            fake.age(age, ".leases/")
            pruned = admin_of(fake, **private).prune_idle(timedelta(seconds=20), dry_run=False)
            assert (list(pruned.spared), went(pruned)) == (["leased"], [] if age else ["idle"])
    assert len(list(make_saver(fake, **private).list(place("leased")))) == 2
    assert not list(make_saver(fake, **private).list(place("idle")))


def test_a_damaged_lease_is_an_error_of_its_thread(fake: FakeS3) -> None:
    aged(fake)
    fake.put("checkpoints/.leases/idle.lease", b"?")
    fake.age(40 * DAY, ".leases/")
    pruned = admin_of(fake).prune_idle(30 * DAY, dry_run=False)
    assert (went(pruned), list(pruned.errors)) == ([], ["idle"])
    assert len(left(fake, "idle")) == 4
    with pytest.raises(CorruptObjectError, match="isn't a lease"):
        pruned.raise_errors()


# What comes in between


def borrowing(fake: FakeS3) -> tuple[S3Saver, Any]:
    """Create an idle thread that lends, and a process that knows its latest checkpoint."""
    saver = make_saver(fake)
    first = step(saver, "1", thread="idle", documents=noise(40_000))
    second = step(saver, "2", first, thread="idle", n=2)
    fake.later += 40 * DAY
    return saver, second


@pytest.mark.parametrize("lends", [False, True])
@pytest.mark.parametrize("kind", ["checkpoint", "writes"])
def test_what_was_written_after_the_listing_keeps_the_thread(fake: FakeS3, lends: bool, kind: str) -> None:
    if lends:
        saver, latest = borrowing(fake)
    else:
        saver, latest = make_saver(fake), None
        put_chain(saver, "idle", 2)
        fake.later += 40 * DAY
    before = dict(fake.objects)

    def write(_: ListObjects) -> None:
        if kind == "writes":
            saver.put_writes(place("idle", "2" if lends else "00000001"), [("d", [1])], "late")
        elif lends:
            step(saver, "3", latest, thread="idle", n=3)
        else:
            put(saver, "00000002", "00000001", thread="idle")

    left_over = iter([True])
    fake.hook = lambda moment, request: (
        write(request)
        if moment == "before"
        and isinstance(request, ListObjects)
        and request.prefix.endswith("/idle.thread/")
        and next(left_over, False)
        else None
    )
    pruned = admin_of(fake).prune_idle(30 * DAY, dry_run=False)
    fake.hook = None
    assert (went(pruned), pruned.spared, pruned.errors) == ([], {}, {})
    assert before.items() < fake.objects.items()


def test_what_was_written_between_the_listings_keeps_the_thread(fake: FakeS3) -> None:
    """Between the first listing and the second, and between the tombstones and the third."""
    saver, latest = borrowing(fake)
    for request, moment in ((PutObject, "after"), (GetWithAge, "before")):
        before = dict(fake.objects)
        name = str(len(before))
        fake.age(40 * DAY)

        def write(_: Any, name: str = name) -> None:
            make_saver(fake).put_writes(place("idle", "2"), [("d", [name])], f"late-{name}")

        fake.hook = once(request, write, moment)  # type: ignore[arg-type]  # both are moments
        pruned = admin_of(fake).prune_idle(30 * DAY, dry_run=False)
        fake.hook = None
        assert (went(pruned), pruned.spared, pruned.errors) == ([], {}, {})
        assert before.keys() < fake.objects.keys()
        assert get(make_saver(fake), place("idle")).checkpoint["channel_values"]["n"] == 2
    step(saver, "3", latest, thread="idle", n=3)  # tombstones of what stayed do no harm
    assert get(make_saver(fake), place("idle")).checkpoint["channel_values"]["n"] == 3


@pytest.mark.parametrize("warm", [False, True])
def test_a_put_at_the_last_moment_is_whole_or_refused(fake: FakeS3, warm: bool) -> None:
    """It lands after the last listing. Nobody reads a checkpoint that lacks a lender."""
    saver, latest = borrowing(fake)
    if not warm:
        saver = make_saver(fake)
    outcome: list[str] = []

    def write(_: DeleteObjects) -> None:
        try:
            step(saver, "3", latest, thread="idle", n=3)
            outcome.append("stored")
        except ConflictError:
            outcome.append("refused")

    fake.hook = once(DeleteObjects, write)
    pruned = admin_of(fake).prune_idle(30 * DAY, dry_run=False)
    fake.hook = None
    assert went(pruned) == ["idle"]
    found = make_saver(fake).get_tuple(place("idle"))
    if outcome == ["stored"]:
        assert found is not None
        values = found.checkpoint["channel_values"]
        assert (values["n"], values["documents"]) == (3, noise(40_000))
    else:
        assert (outcome, found) == (["refused"], None)


def test_a_failure_ends_no_other_thread_and_is_done_by_doing_it_again(fake: FakeS3) -> None:
    for thread in ("a", "b", "c"):
        put_chain(make_saver(fake), thread, 3)
    fake.later += 40 * DAY
    [key, *_] = fake.keys("/b.thread/")
    fake.undeletable = {key: ("AccessDenied", "no")}
    pruned = admin_of(fake).prune_idle(30 * DAY, dry_run=False)
    assert (went(pruned), list(pruned.errors)) == (["a", "c"], ["b"])
    assert "b: failed" in str(pruned)
    with pytest.raises(S3CheckpointError):
        pruned.raise_errors()
    fake.undeletable = {}
    assert went(admin_of(fake).prune_idle(30 * DAY, dry_run=False)) == ["b"]
    assert not fake.objects


def test_a_foreign_object_is_an_error_of_its_thread(fake: FakeS3) -> None:
    aged(fake)
    fake.put("checkpoints/idle.thread/.ns/notes.txt", b"a stranger's")
    fake.age(40 * DAY, "notes.txt")
    pruned = admin_of(fake).prune_idle(30 * DAY, dry_run=False)
    assert isinstance(pruned.errors["idle"], CorruptObjectError)
    assert len(fake.keys("/idle.thread/")) == 12 + 1


def test_without_a_listing_nothing_goes(fake: FakeS3) -> None:
    aged(fake)
    before = dict(fake.objects)
    fake.hook = failing(ListObjects, after=1)
    with pytest.raises(S3CheckpointError):
        admin_of(fake).prune_idle(30 * DAY, dry_run=False)
    assert fake.objects == before


def test_long_lists_are_cut_short(fake: FakeS3) -> None:
    put_chain(make_saver(fake), "t", 1)
    clone(fake, 29)
    fake.later += 40 * DAY
    lines = str(admin_of(fake).prune_idle(30 * DAY)).splitlines()
    assert lines[0].startswith("Would delete 30 threads: 30 checkpoints, 60 objects, ")
    assert len(lines) == 22
    assert lines[-1] == "  and 10 more"


CLASSES = {"default": 90 * DAY}


@pytest.mark.parametrize("threads", [None, ["idle", "pinned"]])
@pytest.mark.parametrize("private", [False, True])
def test_a_pinned_thread_stays(fake: FakeS3, threads: Any, private: bool) -> None:
    hashed: dict[str, Any] = {"encryption": Keys("k", names="n"), "private_keys": True} if private else {}
    saver = make_saver(fake, retention=CLASSES, **hashed)
    for thread in ("idle", "pinned"):
        put_chain(saver, thread, 3)
    S3Admin(saver).pin_thread("pinned")
    fake.later += 40 * DAY
    for dry in (True, False):
        pruned = S3Admin(make_saver(fake, **hashed)).prune_idle(30 * DAY, thread_ids=threads, dry_run=dry)
        assert (went(pruned), pruned.spared) == (["idle"], {"pinned": "it is pinned"})
    assert S3Admin(saver).pinned_threads() == ["pinned"]
    assert len(list(make_saver(fake, **hashed).list(place("pinned")))) == 3


def test_a_thread_that_is_pinned_after_the_listing_stays(fake: FakeS3) -> None:
    saver = make_saver(fake, retention=CLASSES)
    put_chain(saver, "idle", 3)
    fake.later += 40 * DAY

    def pin(moment: Any, request: Any) -> None:
        if (
            moment == "before"
            and isinstance(request, ListObjects)
            and request.prefix.endswith("idle.thread/")
        ):
            fake.hook = None
            S3Admin(saver).pin_thread("idle")

    fake.hook = pin
    pruned = admin_of(fake).prune_idle(30 * DAY, dry_run=False)
    assert pruned.spared == {"idle": "it is pinned"}
    assert len(left(fake, "idle")) == 3
