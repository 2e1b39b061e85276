"""Pruning by age and by number on the fake S3: the checkpoints kept, and the requests."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from langgraph_checkpoint_s3 import (
    InvalidConfigError,
    InvalidKeyError,
    S3Saver,
)
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.admin.retention.prune import Pruned, PrunedCheckpoint
from langgraph_checkpoint_s3.s3.requests import GetObject
from tests.plans.borrowers import key_of
from tests.plans.helpers import ids, put
from tests.plans.oracle import COUNTERS
from tests.plans.test_crash_sweep import with_delta_head
from tests.support.checkpoints import make_checkpoint, place, put_chain
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver
from tests.support.inside import silent_keys

PLANS = "langgraph_checkpoint_s3.plans."
DAY = timedelta(days=1)
CHANNELS = ["d", "e", "f"]


@pytest.fixture
def admin(fake: FakeS3) -> S3Admin:
    """An admin in a new process."""
    return admin_of(fake)


def admin_of(fake: FakeS3, now: datetime | None = None, **settings: Any) -> S3Admin:
    """Return an admin whose clock shows the fake's time, or `now`."""
    made = S3Admin(make_saver(fake, **settings))
    made._now = lambda: now or fake.now  # type: ignore[method-assign]  # the test's own
    return made


def left(fake: FakeS3, thread: str = "t", ns: str = "") -> list[str]:
    return ids(make_saver(fake), place(thread, ns=ns))


def named(pruned: Pruned) -> list[tuple[str, str, str]]:
    return [(each.thread_id, each.checkpoint_ns, each.checkpoint_id) for each in pruned.victims]


# By number


def test_only_the_threads_named_are_looked_at(fake: FakeS3, saver: S3Saver, admin: S3Admin) -> None:
    for thread in ("t", "u", "v"):
        put_chain(saver, thread, 3)
    reported: list[tuple[int, int | None]] = []
    with fake.counted() as count:
        went = admin.prune_threads(
            1, thread_ids=["u", "nobody", "u"], dry_run=False, progress=lambda *each: reported.append(each)
        )
    assert count.kinds == {"ListObjects": 2, "DeleteObjects": 1}
    assert count.round_trips == 2
    assert {each.thread_id for each in went.victims} == {"u"}
    assert [len(left(fake, thread)) for thread in ("t", "u", "v")] == [3, 1, 3]
    assert reported == [(2, 2)]


def test_it_keeps_as_much_as_prune_does(fake: FakeS3, admin: S3Admin) -> None:
    fake = with_delta_head().snapshot()
    other = fake.snapshot()
    make_saver(fake).prune(["t", "other/t"])
    admin_of(other).prune_threads(1, dry_run=False)
    assert fake.keys() == other.keys()


def test_the_requests_of_a_thread(fake: FakeS3) -> None:
    """If the keys don't tell, the heads of what stays and descends from what may go."""
    with silent_keys():
        put_chain(make_saver(fake), "t", 30, writes=2)
    with fake.counted() as count:
        assert not admin_of(fake).prune_threads(30).victims
    assert count.kinds == {"ListObjects": 1}
    with fake.counted() as count:
        assert admin_of(fake).prune_threads(4).checkpoints == 26
    assert (count.kinds, count.round_trips) == ({"ListObjects": 1, "GetObject": 4}, 2)
    admin = admin_of(fake)
    admin.prune_threads(4)
    with fake.counted() as count:
        admin.prune_threads(4, dry_run=False)
    assert count.kinds["DeleteObjects"] == 1
    assert count.kinds.get("GetObject", 0) == 0  # they are remembered
    with fake.counted() as count:
        assert admin_of(fake).prune_threads(4, dry_run=False).victims == ()
    assert count.kinds == {"ListObjects": 1}


def test_threads_go_in_windows_side_by_side(fake: FakeS3, admin: S3Admin) -> None:
    saver = make_saver(fake)
    for number in range(140):
        put_chain(saver, f"{number:03}", 2, writes=0)
    reported: list[tuple[int, int | None]] = []
    with fake.counted() as count:
        went = admin.prune_threads(1, dry_run=False, progress=lambda *each: reported.append(each))
    assert went.threads == 140
    assert reported == [(64, None), (128, None), (140, None)]
    assert count.round_trips == 1 + 3


@pytest.mark.parametrize("number", [0, -1, 1.5, True, None, "2"])
def test_at_least_one_stays(fake: FakeS3, admin: S3Admin, number: Any) -> None:
    with fake.counted() as count, pytest.raises(InvalidConfigError, match="keep must be"):
        admin.prune_threads(number, dry_run=False)
    assert not count.requests


def test_threads_must_be_named_one_by_one(fake: FakeS3, saver: S3Saver, admin: S3Admin) -> None:
    put_chain(saver, "t", 2)
    with fake.counted() as count:
        with pytest.raises(InvalidKeyError, match=r"list, \['t'\]"):
            admin.prune_threads(1, thread_ids="t", dry_run=False)
        with pytest.raises(InvalidKeyError):
            admin.prune_threads(1, thread_ids=["t", ""], dry_run=False)
    assert not count.requests


# By age


def aged(fake: FakeS3) -> None:
    """Create a live thread and an idle one, both with writes that have no checkpoint."""
    put_chain(make_saver(fake), "live", 4)
    put_chain(make_saver(fake), "live", 2, ns="sub")
    put_chain(make_saver(fake), "idle", 3)
    make_saver(fake).put_writes(place("idle", "00000009"), [("d", [1])], "early")
    make_saver(fake).put_writes(place("live", "00000009"), [("d", [1])], "early")
    fake.age(50 * DAY)
    put_chain(make_saver(fake), "live", 2, first=4)
    fake.age(20 * DAY, "/live.thread/.ns/")


def test_old_checkpoints_go_and_the_latest_stay(fake: FakeS3) -> None:
    aged(fake)
    before = dict(fake.objects)
    would = admin_of(fake).prune_older_than(30 * DAY)
    assert fake.objects == before
    went = admin_of(fake).prune_older_than(30 * DAY, dry_run=False)
    assert went.victims == would.victims
    assert left(fake, "live") == ["00000005", "00000004"]
    assert left(fake, "live", "sub") == ["00000001"]
    assert left(fake, "idle") == ["00000002"]
    assert len(fake.keys("writes.tearly")) == 2
    assert sorted(left(fake, "live")) == sorted(
        name for name in (f"{n:08}" for n in range(6)) if ("live", "", name) not in named(went)
    )


def test_without_the_latest_idle_threads_go_as_a_whole_and_live_ones_stay(fake: FakeS3) -> None:
    aged(fake)
    would = admin_of(fake).prune_older_than(30 * DAY, keep_latest=False)
    with fake.counted() as count:
        went = admin_of(fake).prune_older_than(30 * DAY, keep_latest=False, dry_run=False)
    assert went.victims == would.victims
    assert not fake.keys("/idle.thread/")
    assert ("idle", "", "00000009") in named(went)
    assert left(fake, "live") == ["00000005", "00000004"]
    assert left(fake, "live", "sub") == ["00000001"]
    assert len(fake.keys("writes.tearly")) == 1
    assert list(admin_of(fake).threads()) == ["live"]
    reads = [each for each in count.requests if isinstance(each, GetObject)]
    assert not any("/idle.thread/" in each.key for each in reads)


def test_a_late_write_keeps_its_checkpoint(fake: FakeS3, saver: S3Saver) -> None:
    put_chain(saver, "t", 3)
    fake.age(40 * DAY)
    saver.put_writes(place("t", "00000000"), [("d", [1])], "late")
    assert named(admin_of(fake).prune_older_than(30 * DAY)) == [("t", "", "00000001")]


def test_what_was_copied_is_fresh(fake: FakeS3, saver: S3Saver) -> None:
    put_chain(saver, "t", 3)
    fake.age(40 * DAY)
    saver.copy_thread("t", "u")
    assert {each.thread_id for each in admin_of(fake).prune_older_than(30 * DAY).victims} == {"t"}
    assert {
        each.thread_id for each in admin_of(fake).prune_older_than(30 * DAY, keep_latest=False).victims
    } == {"t"}


def test_where_nothing_is_old_nothing_is_read(fake: FakeS3) -> None:
    put_chain(make_saver(fake), "t", 5)
    with fake.counted() as count:
        assert not admin_of(fake).prune_older_than(DAY, dry_run=False).victims
    assert count.kinds == {"ListObjects": 1}


def test_a_moment_or_an_age(fake: FakeS3) -> None:
    put_chain(make_saver(fake), "t", 6, writes=0)
    third = fake.objects[key_of(fake, "00000002")].modified
    assert len(admin_of(fake).prune_older_than(third).victims) == 2
    assert (
        len(admin_of(fake).prune_older_than(third.astimezone(timezone(9 * timedelta(hours=1)))).victims) == 2
    )
    assert len(admin_of(fake).prune_older_than(fake.now - third).victims) == 2
    assert len(admin_of(fake).prune_older_than(third + timedelta(microseconds=1)).victims) == 3
    assert len(admin_of(fake).prune_older_than(datetime.min.replace(tzinfo=timezone.utc)).victims) == 0


@pytest.mark.parametrize(
    "age",
    [
        timedelta(0),
        -DAY,
        timedelta.max,
        datetime(2020, 1, 1),  # noqa: DTZ001  # that is what is refused
        datetime(2999, 1, 1, tzinfo=timezone.utc),
        30,
        None,
    ],
)
@pytest.mark.parametrize("keep_latest", [True, False])
def test_an_invalid_age_is_refused(fake: FakeS3, age: Any, keep_latest: bool) -> None:
    put_chain(make_saver(fake), "t", 2)
    with fake.counted() as count, pytest.raises(InvalidConfigError):
        admin_of(fake).prune_older_than(age, keep_latest=keep_latest, dry_run=False)
    assert not count.requests


# What stays is whole


def counters(*channels: str) -> Any:
    """Return metadata with these delta channels counted as updated since their last value."""
    return {COUNTERS: {channel: [1, 1] for channel in channels}}


def test_what_only_a_newer_checkpoint_needs_is_gathered_beside_the_last_that_stays(fake: FakeS3) -> None:
    saver = make_saver(fake)
    put_chain(saver, "t", 4, seed={"d": ["seed"]}, values={"v": 1})
    put_chain(saver, "t", 3, first=4, values={"v": 1})
    for number in (7, 8):
        checkpoint = make_checkpoint(f"{number:08}", {}, absent=["d"])
        said: Any = counters("d") if number == 8 else {}
        saver.put(place("t", f"{number - 1:08}"), checkpoint, said, {})
    before = saver.get_delta_channel_history(config=place("t"), channels=["d"])
    assert before["d"]["seed"] == ["seed"]
    assert admin_of(fake).prune_threads(2, dry_run=False).checkpoints == 7
    assert left(fake) == ["00000008", "00000007"]
    [gathered] = fake.keys("/writes.g")
    assert gathered.startswith(key_of(fake, "00000007").rpartition("/")[0])
    assert make_saver(fake).get_delta_channel_history(config=place("t"), channels=["d"]) == before
    put_chain(saver, "t", 1, first=9, values={"d": ["new seed"]})
    assert admin_of(fake).prune_threads(1, dry_run=False).checkpoints == 2
    assert len(fake.objects) == 2
    assert not fake.keys("/writes.g")


def test_a_long_way_back_is_read_in_windows(fake: FakeS3) -> None:
    """Of the newest checkpoint, the head is read; the way back is only walked where it goes."""
    saver = make_saver(fake)
    put_chain(saver, "t", 1, seed={"d": ["older"]}, writes=1)
    put_chain(saver, "t", 1, first=1, seed={"d": ["seed"]}, writes=1)
    put_chain(saver, "t", 300, first=2, values={"v": 1}, writes=1)
    checkpoint = make_checkpoint("00000302", {}, absent=["d"])
    saver.put(place("t", "00000301"), checkpoint, counters("d"), {})
    with fake.counted() as count:
        would = admin_of(fake).prune_threads(1)
    assert would.checkpoints == 302
    assert (count.kinds, count.round_trips) == ({"ListObjects": 1, "GetObject": 1}, 2)
    with fake.counted() as count:
        assert admin_of(fake).prune_threads(1, dry_run=False).victims == would.victims
    # The chain is read in windows of 8, 16, 32, …
    kinds = {"ListObjects": 1, "GetObject": 1 + 2 * 302, "PutObject": 1, "DeleteObjects": 2}
    assert count.kinds == kinds
    assert count.round_trips <= 2 + 6 + 1 + 2


def test_what_is_gathered_makes_a_checkpoint_no_younger(fake: FakeS3) -> None:
    saver = make_saver(fake)
    put_chain(saver, "t", 5, seed={"d": ["seed"]}, values={"v": 1})
    checkpoint = make_checkpoint("00000005", {}, absent=["d"])
    saver.put(place("t", "00000004"), checkpoint, counters("d"), {})
    fake.age(40 * DAY)
    put_chain(saver, "t", 1, first=6, values={"d": ["new"]})
    admin_of(fake).prune_threads(2, dry_run=False)
    assert len(fake.keys("/writes.g")) == 1
    assert admin_of(fake).prune_older_than(30 * DAY, dry_run=False).checkpoints == 1
    assert not fake.keys("/writes.g")
    assert left(fake) == ["00000006"]


# How it is told, and the twins


def test_it_prints_the_victims() -> None:
    when = datetime(2026, 1, 31, 9, 30, tzinfo=timezone.utc)
    one = PrunedCheckpoint("t", "", "1", 1, 1536, when)
    assert str(Pruned(True, (one,), {})) == (
        "Would delete 1 checkpoint of 1 thread: 1 object, 1.5 kB\n  t 1: 1.5 kB, 2026-01-31 09:30 UTC"
    )
    many = tuple(PrunedCheckpoint("t", "sub", str(number), 2, 10, when) for number in range(30))
    reported = str(Pruned(False, many, {}))
    assert reported.startswith("Deleted 30 checkpoints of 1 thread: 60 objects, 300 B\n  t sub 0: 10 B, ")
    assert reported.endswith("\n  and 10 more")
    assert str(Pruned(False, (), {})) == "Deleted 0 checkpoints of 0 threads: 0 objects, 0 B"


def test_other_savers_threads_are_left_alone(fake: FakeS3) -> None:
    inner, outer = make_saver(fake, prefix="a/b"), make_saver(fake, prefix="a")
    for saver in (inner, outer):
        put_chain(saver, "t", 3)
        put(saver, "1", thread="a")
    fake.later = 2 * DAY
    S3Admin(outer).prune_older_than(DAY, keep_latest=False, dry_run=False)
    assert {key.rpartition("/t.thread/")[0] for key in fake.keys("/t.thread/")} == {"a/b"}
