"""Undeleted threads on a fake S3, and interrupted undeletions."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from langgraph_checkpoint_s3 import (
    AccessDeniedError,
    InvalidConfigError,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.admin.versions.versions import KeyHistory
from langgraph_checkpoint_s3.s3.admin_requests import DeleteVersions, Version
from langgraph_checkpoint_s3.s3.requests import Request
from tests.admin.versions.versioned import (
    admin,
    contents,
    fake,
    family,
    left,
    short,
)
from tests.plans.borrowers import key_of
from tests.plans.helpers import put
from tests.support.checkpoints import place, put_chain, shown
from tests.support.fake_s3 import FakeS3, Moment
from tests.support.fake_store import make_saver
from tests.support.hooks import failing

__all__ = ["admin", "fake", "short"]


class TestUndeleting:
    def test_at_no_time_is_something_half_there(self, fake: FakeS3, admin: S3Admin, short: None) -> None:
        saver = make_saver(fake)
        for ns in ("", "sub"):
            family(saver, ns=ns)
        before = contents(fake)
        saver.delete_thread("t")
        seen: list[int] = []

        def look(moment: Moment, request: Request[Any]) -> None:
            if moment == "after" and isinstance(request, DeleteVersions):
                fake.hook = None
                now = contents(fake)
                fake.hook = look
                assert now == {name: before[name] for name in now}
                for ns in ("", "sub"):
                    names = [name for each, name in now if each == ns]
                    assert set(names) == set(
                        sorted(name for each, name in before if each == ns)[: len(names)]
                    )
                seen.append(len(now))

        fake.hook = look
        admin.undelete_thread("t")
        assert seen == [0] * 16 + list(range(1, 9))

    def test_cut_short_it_goes_on_where_it_stopped(self, fake: FakeS3, admin: S3Admin, short: None) -> None:
        saver = make_saver(fake)
        family(saver)
        before = contents(fake)
        saver.delete_thread("t")
        fake.hook = failing(DeleteVersions, after=10)
        with pytest.raises(StorageUnavailableError):
            admin.undelete_thread("t")
        fake.hook = None
        assert contents(fake) == {name: before[name] for name in before if name[1] in "12"}
        back = admin.undelete_thread("t")
        assert (back.checkpoints, back.writes) == (2, 0)
        assert contents(fake) == before

    def test_a_time_in_another_zone(self, fake: FakeS3, admin: S3Admin) -> None:
        saver = make_saver(fake)
        put(saver, "1")
        moment = fake.now
        fake.put("another", b"")
        saver.delete_thread("t")
        elsewhere = moment.astimezone(timezone(timedelta(hours=-7)))
        assert admin.undelete_thread("t", elsewhere, dry_run=True).checkpoints == 1

    def test_a_time_without_a_zone_is_refused(self, fake: FakeS3, admin: S3Admin) -> None:
        with fake.counted() as count, pytest.raises(InvalidConfigError, match="no time zone"):
            admin.undelete_thread("t", datetime(2026, 1, 1))  # noqa: DTZ001  # that is the point
        assert not count.requests

    def test_current_checkpoints_stay(self, fake: FakeS3, admin: S3Admin) -> None:
        saver = make_saver(fake)
        family(saver)
        before = contents(fake)
        saver.delete_thread("t")
        put(make_saver(fake), "9")
        put(make_saver(fake), "2", values={"new": 1}, run_id="run-2")
        after = contents(fake)
        admin.undelete_thread("t")
        # 2's own key was put to since; its lost content lent to 3 and 4.
        assert fake.keys("/c6z/checkpoint")
        for name in "9", "2":
            assert shown(make_saver(fake).get_tuple(place("t", name)))[:4] == after["", name][:4]
        assert shown(make_saver(fake).get_tuple(place("t", "1"))) == before["", "1"]

    def test_writes_alone(self, fake: FakeS3, admin: S3Admin) -> None:
        family(make_saver(fake))
        before = contents(fake)
        for key in fake.keys("/writes"):
            fake.delete(key)
        assert admin.undelete_thread("t").writes == 8
        assert contents(fake) == before

    def test_what_can_not_come_back_is_counted(self, fake: FakeS3, admin: S3Admin) -> None:
        saver = make_saver(fake)
        put_chain(saver, "t", 3)
        saver.delete_thread("t")
        keys = left(fake)
        for key in keys[:2]:
            fake.versions[key] = fake.versions[key][1:]  # a lifecycle rule removed the version
        back = admin.undelete_thread("t")
        assert (back.checkpoints + back.writes, back.lost) == (4, 2)

    def test_deleted_more_than_once(self, fake: FakeS3, admin: S3Admin) -> None:
        saver = make_saver(fake)
        put(saver, "1")
        before = contents(fake)
        for _ in range(3):
            saver.delete_thread("t")
            fake.delete(left(fake)[0])
            admin.undelete_thread("t")
            assert contents(fake) == before

    def test_while_versioning_is_suspended(self, fake: FakeS3, admin: S3Admin) -> None:
        saver = make_saver(fake)
        put(saver, "1")
        before = contents(fake)
        fake.set_versioning("Suspended")
        put(saver, "2")
        saver.delete_thread("t")
        back = admin.undelete_thread("t")
        assert (back.checkpoints, back.lost) == (1, 1)
        assert contents(fake) == before

    def test_strangers_stay_deleted(self, fake: FakeS3, admin: S3Admin) -> None:
        saver = make_saver(fake)
        family(saver)
        before = contents(fake)
        strangers = ["checkpoints/t.thread/notes.txt", key_of(fake, "1").rpartition("/")[0] + "/x"]
        for key in strangers:
            fake.put(key, b"?")
            fake.delete(key)
        saver.delete_thread("t")
        admin.undelete_thread("t")
        assert contents(fake) == before

    def test_a_marker_that_may_not_be_removed(self, fake: FakeS3, admin: S3Admin) -> None:
        saver = make_saver(fake)
        put(saver, "1")
        fake.delete(key_of(fake, "1"))
        [key] = left(fake)
        fake.undeletable[key] = ("AccessDenied", "Access Denied")
        with pytest.raises(AccessDeniedError) as raised:
            admin.undelete_thread("t")
        assert raised.value.action == "s3:DeleteObjectVersion"
        assert raised.value.key == key
        fake.undeletable[key] = ("NoSuchVersion", "somebody else was faster")
        admin.undelete_thread("t")


class TestKeyHistory:
    """Events in the same second, whose order S3's times don't show."""

    SECOND = datetime(2026, 1, 1, 12, 0, 5, tzinfo=timezone.utc)

    def trail(self, *versions: tuple[float, bool]) -> KeyHistory:
        """Newest first."""
        return KeyHistory(
            "k",
            [
                Version("k", str(number), 1, "e", self.SECOND + timedelta(seconds=after), number == 0, marker)
                for number, (after, marker) in enumerate(versions)
            ],
        )

    def test_markers_of_the_same_second_go_with_the_one_above(self) -> None:
        assert self.trail((0, True), (0, False), (0, True), (-1, True)).hiding_markers == [
            ("k", "0"),
            ("k", "2"),
        ]
        assert self.trail((0, False), (0, True)).hiding_markers == []
        assert self.trail((0, True)).hiding_markers == []

    @pytest.mark.parametrize(
        ("versions", "expected"),
        [
            ([(0, True), (-9, False)], True),  # deleted in the very second
            ([(-1, True), (-9, False)], False),
            ([(-2, True), (-2, False)], False),  # written and deleted in one second
            ([(1, True), (0.7, False)], False),  # not there yet
            ([(1, True), (0.3, False)], True),
            ([(9, True), (-3, False), (-4, True), (-5, False)], True),
            ([(9, True), (-4, True), (-5, False)], False),
        ],
    )
    def test_what_existed(self, versions: list[tuple[float, bool]], expected: bool) -> None:
        assert self.trail(*versions).existed(self.SECOND + timedelta(seconds=0.5)) is expected
