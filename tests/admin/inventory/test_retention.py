"""Deletions by an old report: what was written or deleted since decides, and nothing of it is lost."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from langgraph_checkpoint_s3 import CorruptObjectError, InvalidConfigError, S3Saver
from langgraph_checkpoint_s3.s3.requests import ListObjects
from tests.admin.inventory.test_answers import DELETIONS, random_bucket, report_of
from tests.admin.retention.test_orphans_of_deletions import failed
from tests.admin.retention.test_prune import admin_of, left, named
from tests.plans.borrowers import cold, noise, step
from tests.plans.helpers import put
from tests.support.checkpoints import place, put_chain
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver

DAY = timedelta(days=1)


@pytest.fixture
def fake() -> FakeS3:
    """Two threads of five checkpoints, a month old, and one of one."""
    fake = FakeS3()
    for thread, count in (("t", 5), ("u", 5), ("v", 1)):
        put_chain(make_saver(fake), thread, count)
    fake.later += 30 * DAY
    return fake


def test_only_threads_with_something_to_delete_are_listed(fake: FakeS3, tmp_path: Path) -> None:
    inventory = report_of(fake, tmp_path)
    with fake.counted() as count:
        went = admin_of(fake).prune_threads(1, inventory=inventory, dry_run=False)
    assert (went.threads, went.checkpoints) == (2, 8)
    listed = [each.prefix for each in count.requests if isinstance(each, ListObjects)]
    threads = ["checkpoints/t.thread/", "checkpoints/u.thread/"]
    assert listed == ["checkpoints/", "checkpoints/.pinned/", *threads]
    with fake.counted() as count:
        again = admin_of(fake).prune_threads(1, inventory=inventory, dry_run=False)
    assert not again.victims
    assert count.kinds == {"ListObjects": 4}


def test_where_the_report_has_nothing_to_delete_nothing_is_listed(fake: FakeS3, tmp_path: Path) -> None:
    inventory = report_of(fake, tmp_path)
    with fake.counted() as count:
        assert not admin_of(fake).prune_threads(5, inventory=inventory, dry_run=False).victims
        assert not admin_of(fake).prune_older_than(60 * DAY, inventory=inventory, dry_run=False).victims
    assert count.kinds == {"ListObjects": 4}  # each time the prefix, and the marks of pinned threads


@pytest.mark.parametrize("when", ["before the report", "since"])
def test_pinned_threads_stay(fake: FakeS3, tmp_path: Path, when: str) -> None:
    if when == "before the report":
        admin_of(fake).pin_thread("t")
    inventory = report_of(fake, tmp_path)
    if when == "since":
        admin_of(fake).pin_thread("t")
    went = admin_of(fake).prune_threads(1, inventory=inventory, dry_run=False)
    assert {each.thread_id for each in went.victims} == {"u"}
    assert len(left(fake)) == 5


def test_checkpoints_since_the_report_stay(fake: FakeS3, tmp_path: Path, saver: S3Saver) -> None:
    """By number, the newest are those of now, and by age, what was idle in the report may be in use."""
    inventory = report_of(fake, tmp_path)
    other = fake.snapshot()
    for each in (fake, other):
        put_chain(make_saver(each), "t", 2, first=5)
    admin_of(fake).prune_threads(2, inventory=inventory, dry_run=False)
    assert left(fake) == ["00000006", "00000005"]
    admin_of(other).prune_older_than(7 * DAY, keep_latest=False, inventory=inventory, dry_run=False)
    assert left(other) == ["00000006", "00000005"]
    assert left(other, "u") == left(other, "v") == []


@pytest.mark.parametrize("name", ["keep last", "older", "idle"])
def test_a_thread_that_is_deleted_and_begun_anew_since(fake: FakeS3, tmp_path: Path, name: str) -> None:
    """Its keys are those of the report, and its objects are new."""
    inventory = report_of(fake, tmp_path)
    make_saver(fake).delete_thread("t")
    if name == "keep last":
        put_chain(make_saver(fake), "t", 1)
    else:
        put_chain(make_saver(fake), "t", 5)
    before = left(fake)
    DELETIONS[name](admin_of(fake), inventory=inventory)
    assert left(fake) == before
    assert make_saver(fake).get_tuple(place("t")) is not None


def test_threads_since_the_report_are_left_for_the_next_one(fake: FakeS3, tmp_path: Path) -> None:
    inventory = report_of(fake, tmp_path)
    put_chain(make_saver(fake), "new", 5)
    put_chain(make_saver(fake), "v", 5, first=1)
    admin_of(fake).prune_threads(1, inventory=inventory, dry_run=False)
    assert [len(left(fake, each)) for each in ("t", "u", "new", "v")] == [1, 1, 5, 6]


def test_threads_that_are_gone_since_the_report(fake: FakeS3, tmp_path: Path) -> None:
    inventory = report_of(fake, tmp_path)
    make_saver(fake).delete_thread("t")
    would = admin_of(fake).prune_threads(1, inventory=inventory)
    assert not would.errors
    assert {each.thread_id for each in would.victims} == {"t", "u"}, "as of the report"
    went = admin_of(fake).prune_threads(1, inventory=inventory, dry_run=False)
    assert named(went) == [each for each in named(would) if each[0] == "u"]
    assert not went.errors
    assert left(fake) == []


def test_what_borrows_is_rewritten_by_what_is_there_now(tmp_path: Path) -> None:
    fake = FakeS3()
    saver = make_saver(fake)
    first = step(saver, "1", documents=noise(9_000))
    second = step(saver, "2", first, n=2)
    fake.later += 30 * DAY
    inventory = report_of(fake, tmp_path)
    third = step(saver, "3", second, n=3)
    admin_of(fake).prune_threads(1, inventory=inventory, dry_run=False)
    assert left(fake) == ["3"]
    assert cold(fake, "3") == third["channel_values"]


def test_the_age_is_counted_by_the_stores_clock(fake: FakeS3, tmp_path: Path) -> None:
    """It is asked before any thread is looked at, for the rule keeps the time that it sees first."""
    inventory = report_of(fake, tmp_path)
    admin = admin_of(fake)
    asked: list[int] = []
    with fake.counted() as count:
        admin._now = lambda: (asked.append(count.round_trips), fake.now)[1]  # type: ignore[func-returns-value,method-assign]  # `append`, for its effect
        admin.prune_older_than(7 * DAY, inventory=inventory, dry_run=False)
    assert asked[0] == 0, "the age is checked before anything is sent"
    assert all(each > 0 for each in asked[1:])
    assert asked[1:]


def test_a_key_that_no_saver_wrote(fake: FakeS3, tmp_path: Path) -> None:
    """It is the thread's error as long as it is there."""
    fake.put("checkpoints/t.thread/photo", b"")
    inventory = report_of(fake, tmp_path)
    for dry_run in (True, False):
        found = admin_of(fake).prune_threads(1, inventory=inventory, dry_run=dry_run)
        assert [type(each) for each in found.errors.values()] == [CorruptObjectError]
        assert found.errors.keys() == {"t"}
    fake.delete("checkpoints/t.thread/photo")
    went = admin_of(fake).prune_threads(1, inventory=inventory, dry_run=False)
    assert not went.errors
    assert left(fake) == ["00000004"]


def test_named_threads_need_no_report(fake: FakeS3, tmp_path: Path) -> None:
    with fake.counted() as count, pytest.raises(InvalidConfigError, match="don't go together"):
        admin_of(fake).prune_threads(1, thread_ids=["t"], inventory=tmp_path)
    with fake.counted() as count, pytest.raises(InvalidConfigError, match="don't go together"):
        admin_of(fake).prune_older_than(DAY, thread_ids=["t"], inventory=tmp_path)
    assert not count.requests


def test_progress_counts_all_threads(fake: FakeS3, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    inventory = report_of(fake, tmp_path)
    admin_of(fake).prune_threads(3, inventory=inventory, progress=lambda *each: seen.append(each))
    assert seen == [(3, None)]


# Orphans


def month_old(fake: FakeS3) -> None:
    fake.age(30 * DAY)


def test_writes_whose_checkpoint_came_since_stay(tmp_path: Path) -> None:
    fake = FakeS3()
    for thread in ("t", "u", "v", "w"):
        make_saver(fake).put_writes(place(thread, "1"), [("__error__", "early")], "one")
    month_old(fake)
    inventory = report_of(fake, tmp_path)
    put(make_saver(fake), "1")
    make_saver(fake).put_writes(place("u", "1"), [("__error__", "late")], "two")
    fake.delete(*fake.keys("/w.thread/"))
    went = admin_of(fake).remove_orphans(inventory=inventory, dry_run=False)
    assert [each.key.split("/")[1] for each in went.items] == ["v.thread"]
    assert [len(fake.keys(f"/{each}.thread/")) for each in "tuvw"] == [2, 2, 0, 0]


@pytest.mark.parametrize("key", [".exports/t/x", ".probe/x"])
def test_what_was_replaced_since_stays(tmp_path: Path, key: str) -> None:
    fake = FakeS3()
    fake.put(f"checkpoints/{key}", b"old")
    fake.put("checkpoints/zoo", b"")
    month_old(fake)
    inventory = report_of(fake, tmp_path)
    assert len(admin_of(fake).find_orphans(inventory=inventory).items) == 1
    fake.put(f"checkpoints/{key}", b"new")
    assert not admin_of(fake).remove_orphans(inventory=inventory, dry_run=False).items
    assert fake.keys(key)


def test_tombstones_that_were_added_to_since_stay(tmp_path: Path) -> None:
    fake = FakeS3()
    saver = make_saver(fake)
    step(saver, "1", documents=noise(9_000))
    saver.delete_thread("t")
    month_old(fake)
    inventory = report_of(fake, tmp_path)
    step(saver, "2", documents=noise(9_000))
    saver.delete_thread("t")
    assert not admin_of(fake).remove_orphans(inventory=inventory, dry_run=False).items
    assert fake.keys(".deleted/")


@pytest.mark.parametrize(("days", "removed"), [(9, False), (10, True)])
def test_tombstones_are_removed_a_day_later_than_by_a_listing(
    tmp_path: Path, days: int, removed: bool
) -> None:
    """A report may lack what was written shortly before it."""
    fake = FakeS3()
    saver = make_saver(fake)
    step(saver, "1", documents=noise(9_000))
    saver.delete_thread("t")
    fake.age(days * DAY + timedelta(hours=1))
    inventory = report_of(fake, tmp_path)
    assert len(admin_of(fake).find_orphans(inventory=inventory).items) == 1
    admin_of(fake).remove_orphans(inventory=inventory, dry_run=False)
    assert bool(fake.objects) is not removed


def test_unacknowledged_checkpoints_are_judged_by_what_is_there_now(tmp_path: Path) -> None:
    fake = FakeS3()
    second, key = failed(fake)
    month_old(fake)
    inventory = report_of(fake, tmp_path)
    assert [each.key for each in admin_of(fake).find_orphans(inventory=inventory).of("checkpoint")] == [key]
    made = FakeS3()
    saver = make_saver(made)
    step(saver, "2", None, **second["channel_values"])
    third = step(saver, "3", second, n=3)
    saver.prune(["t"])
    [name] = made.keys("/checkpoint")
    fake.put(key, made.objects[name].data)
    assert not admin_of(fake).remove_orphans(inventory=inventory, dry_run=False).of("checkpoint")
    assert cold(fake, "3") == third["channel_values"]


@pytest.mark.parametrize("name", DELETIONS)
@pytest.mark.parametrize(("seed", "age"), [(0, 40), (1, 0)])
def test_nothing_newer_than_the_report_is_lost(tmp_path: Path, seed: int, name: str, age: int) -> None:
    """The bucket lived on for days. What a listing would keep, a report keeps, and all of it is readable."""
    fake = random_bucket(seed)
    inventory = report_of(fake, tmp_path)
    fake.later += age * DAY
    live_on(fake, seed)
    by_listing, by_report = fake.snapshot(), fake.snapshot()
    DELETIONS[name](admin_of(by_listing))
    found = DELETIONS[name](admin_of(by_report), inventory=inventory)
    assert not getattr(found, "errors", {})
    assert set(by_listing.keys()) <= set(by_report.keys())
    reader = make_saver(by_report)
    for thread in admin_of(by_report).threads():
        for each in reader.list(place(thread, ns=None)):
            assert reader.get_tuple(each.config) is not None


def live_on(fake: FakeS3, seed: int) -> None:
    """Let threads be continued, deleted, begun anew, copied and pruned."""
    threads = list(admin_of(fake).threads())
    for number, thread in enumerate(threads):
        saver = make_saver(fake)
        action = (number + seed) % 6
        if action == 0:
            saver.delete_thread(thread)
        elif action == 1:
            saver.delete_thread(thread)
            put_chain(saver, thread, 3)
        elif action == 2:
            latest = saver.get_tuple(place(thread))
            if latest is not None:
                step(saver, "zz", latest.checkpoint, thread=thread, documents=noise(9_000, seed))
        elif action == 3:
            saver.copy_thread(thread, f"copy-{number}")
        elif action == 4:
            saver.prune([thread])


def test_idle_threads_by_a_report_go_unless_they_were_used_since(fake: FakeS3, tmp_path: Path) -> None:
    inventory = report_of(fake, tmp_path)
    put(make_saver(fake), "00000005", "00000004", thread_id="t")
    admin_of(fake).pin_thread("v")
    with fake.counted() as count:
        found = admin_of(fake).prune_idle(7 * DAY, inventory=inventory)
    assert {each.thread_id for each in found.threads} == {"t", "u", "v"}
    assert found.as_of is not None
    assert f"by the inventory of {found.as_of:%Y-%m-%d}" in str(found)
    assert set(count.kinds) == {"ListObjects"}
    assert not [
        each for each in count.requests if isinstance(each, ListObjects) and ".thread/" in each.prefix
    ]
    with fake.counted() as count:
        went = admin_of(fake).prune_idle(7 * DAY, inventory=inventory, dry_run=False)
    assert [each.thread_id for each in went.threads] == ["u"]
    assert went.spared == {"v": "it is pinned"}
    assert left(fake, "u") == []
    assert len(left(fake, "t")) == 6
    listed = {each.prefix for each in count.requests if isinstance(each, ListObjects)}
    assert "checkpoints/t.thread/" in listed
    assert "checkpoints/v.thread/" not in listed


def test_a_report_and_named_threads_dont_go_together(fake: FakeS3, tmp_path: Path) -> None:
    with pytest.raises(InvalidConfigError, match="thread_ids and inventory"):
        admin_of(fake).prune_idle(DAY, thread_ids=["t"], inventory=report_of(fake, tmp_path))
