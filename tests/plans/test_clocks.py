"""Machines whose clocks are hours ahead or behind: the store's time is what counts."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.plans.data_keys import run_calls, unlock
from langgraph_checkpoint_s3.plans.load import open_object
from langgraph_checkpoint_s3.s3.requests import Body, CreateUpload
from tests.plans.borrowers import eager, lenders, noise, step
from tests.plans.helpers import ids, pending, put
from tests.support import inside
from tests.support.checkpoints import place, put_chain
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver

HOUR = timedelta(hours=1)
SKEWS = [timedelta(0), 2 * HOUR, -2 * HOUR, 24 * 365 * HOUR]


def skewed(saver: S3Saver, fake: FakeS3, by: timedelta) -> S3Saver:
    """Set the clock of a saver's machine wrong."""
    store: Any = inside.store(saver)
    store.saver_state.store_time.local = lambda: int((fake.now + by).timestamp() * 1_000_000_000)
    return saver


def admin_of(fake: FakeS3, by: timedelta) -> S3Admin:
    return S3Admin(skewed(make_saver(fake), fake, by))


def created(fake: FakeS3, key: str) -> datetime:
    """Return the time at which an object says it was written."""
    data = fake.objects[key].data
    context = inside.context(make_saver(fake))
    body = Body(data, "", len(data))
    run_calls(unlock(context, [body]))
    record = open_object(context, key, body)
    return datetime.fromtimestamp(record.created / 1_000_000_000, fake.now.tzinfo)


@pytest.mark.parametrize("by", SKEWS, ids=str)
@pytest.mark.parametrize("keep_latest", [True, False])
class TestPruning:
    def test_takes_nothing_that_is_seconds_old(self, fake: FakeS3, by: timedelta, keep_latest: bool) -> None:
        put_chain(make_saver(fake), "t", 5)
        before = fake.keys()
        for dry_run in (True, False):
            pruned = admin_of(fake, by).prune_older_than(HOUR, keep_latest=keep_latest, dry_run=dry_run)
            assert not pruned.victims
            again = admin_of(fake, by).aprune_older_than(HOUR, keep_latest=keep_latest, dry_run=dry_run)
            assert not asyncio.run(again).victims
        assert fake.keys() == before

    def test_takes_what_is_old(self, fake: FakeS3, by: timedelta, keep_latest: bool) -> None:
        put_chain(make_saver(fake), "t", 3)
        fake.later += 1.5 * HOUR
        put(make_saver(fake), "1")
        pruned = admin_of(fake, by).prune_older_than(HOUR, keep_latest=keep_latest, dry_run=False)
        assert len(pruned.victims) == 3
        assert ids(make_saver(fake), place("t")) == ["1"]


@pytest.mark.parametrize("by", SKEWS, ids=str)
class TestOrphans:
    def left_behind(self, fake: FakeS3) -> None:
        """Writes whose checkpoint may come, an upload that goes on, and what a check left."""
        make_saver(fake).put_writes(place("t", "1"), [("c", 1)], "task")
        layout = inside.layout(make_saver(fake))
        fake.execute(CreateUpload(layout.thread("t") + "x"))

    def test_are_not_what_is_seconds_old(self, fake: FakeS3, by: timedelta) -> None:
        self.left_behind(fake)
        before = fake.keys()
        for older_than in (HOUR, timedelta(minutes=1)):
            assert not admin_of(fake, by).find_orphans(older_than).items
            assert not admin_of(fake, by).remove_orphans(older_than, dry_run=False).items
            assert not asyncio.run(admin_of(fake, by).afind_orphans(older_than)).items
            removed = asyncio.run(admin_of(fake, by).aremove_orphans(older_than, dry_run=False))
            assert not removed.items
        assert fake.keys() == before
        assert fake.uploads

    def test_are_what_is_old(self, fake: FakeS3, by: timedelta) -> None:
        self.left_behind(fake)
        fake.later += 1.5 * HOUR
        removed = admin_of(fake, by).remove_orphans(HOUR, dry_run=False)
        assert {item.kind for item in removed.items} == {"writes", "upload"}
        assert all(abs(item.age - 1.5 * HOUR) < timedelta(seconds=10) for item in removed.items)
        assert not fake.keys()
        assert not fake.uploads


@pytest.mark.modes
@pytest.mark.parametrize("by", SKEWS, ids=str)
class TestWhatObjectsSay:
    def test_is_the_stores_time_once_it_has_answered(self, fake: FakeS3, by: timedelta) -> None:
        saver = skewed(make_saver(fake), fake, by)
        assert saver.get_tuple(place("t")) is None
        for writes in ([("c", 1)], [("__error__", 1)]):
            saver.put_writes(put(saver, f"{len(fake.keys()):02}"), writes, "task")
        for key in fake.keys("/checkpoint") + fake.keys("/writes"):
            assert abs(created(fake, key) - fake.objects[key].modified) < timedelta(seconds=5)

    def test_decides_between_overlapping_regular_writes(self, fake: FakeS3, by: timedelta) -> None:
        """The first of two processes keeps its writes, whichever clock is wrong."""
        config = put(make_saver(fake), "1")
        for first, second in ((by, timedelta(0)), (timedelta(0), by)):
            task = f"{first} {second}"
            for skew, writes in ((first, [("c", "first")]), (second, [("c", "second"), ("d", 2)])):
                saver = skewed(make_saver(fake), fake, skew)
                saver.get_tuple(config)
                fake.later += timedelta(seconds=5)
                saver.put_writes(config, writes, task)
            found = pending(make_saver(fake), config)
            assert [each for each in found if each[0] == task] == [(task, "c", "first"), (task, "d", 2)]


@pytest.mark.modes
class TestALender:
    """It is lent for as long as its object is younger than the horizon, which is a day."""

    @pytest.mark.parametrize("by", SKEWS, ids=str)
    @pytest.mark.parametrize("hours", [23, 25])
    @pytest.mark.parametrize("first", ["a put", "a read"])
    def test_that_somebody_else_wrote(self, fake: FakeS3, by: timedelta, hours: int, first: str) -> None:
        writer = skewed(eager(fake), fake, by)
        if first == "a read":
            writer.get_tuple(place("t"))
        line = step(writer, "1", one=noise(600, 1))
        fake.later += hours * HOUR
        reader = eager(fake)
        assert reader.get_tuple(place("t"))
        step(reader, "2", line, n=2)
        assert lenders(fake, "2") == (["1"] if hours == 23 else [])

    @pytest.mark.parametrize("by", SKEWS, ids=str)
    @pytest.mark.parametrize("first", ["a put", "a read"])
    def test_that_it_wrote_itself(self, fake: FakeS3, by: timedelta, first: str) -> None:
        """A process whose first request is a put learns the time from its answer."""
        saver = skewed(eager(fake), fake, by)
        if first == "a read":
            saver.get_tuple(place("t"))
        line = step(saver, "1", one=noise(600, 1))
        fake.later += 25 * HOUR
        step(saver, "2", line, n=2)
        assert lenders(fake, "2") == []

    @pytest.mark.parametrize("by", SKEWS, ids=str)
    def test_is_lent_while_it_is_young(self, fake: FakeS3, by: timedelta) -> None:
        saver = skewed(eager(fake), fake, by)
        line = step(saver, "1", one=noise(600, 1))
        fake.later += 23 * HOUR
        step(saver, "2", line, n=2)
        assert lenders(fake, "2") == ["1"]
