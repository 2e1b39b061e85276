"""Restored versions of checkpoints on a fake S3, and interrupted restores."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from langgraph_checkpoint_s3 import (
    ConflictError,
    CorruptObjectError,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.s3.admin_requests import DeleteVersions
from langgraph_checkpoint_s3.s3.requests import GetObject, PutObject, Request
from tests.admin.versions.versioned import (
    DOCUMENTS,
    NOTES,
    admin,
    contents,
    fake,
    family,
    short,
)
from tests.plans.borrowers import key_of, lenders, step
from tests.plans.helpers import get, put
from tests.support import inside
from tests.support.checkpoints import place, shown
from tests.support.fake_s3 import FakeS3, Moment
from tests.support.fake_store import make_saver
from tests.support.hooks import failing
from tests.support.threads import data_versions

__all__ = ["admin", "fake", "short"]


class TestRestoring:
    def test_a_deleted_checkpoint_comes_back_after_its_writes(self, fake: FakeS3, admin: S3Admin) -> None:
        saver = make_saver(fake)
        family(saver)
        before = contents(fake)
        saver.delete_thread("t")
        [version] = data_versions(admin, "1", "t")
        with fake.counted() as count:
            assert admin.restore_checkpoint_version("t", "1", version) == place("t", "1")
        changes = [each for each in count.requests if isinstance(each, (PutObject, DeleteVersions))]
        assert [type(each) for each in changes] == [DeleteVersions, PutObject]
        assert all("/writes." in key for key, _ in changes[0].versions)  # type: ignore[union-attr]  # it isn't `None`
        assert contents(fake) == {("", "1"): before["", "1"]}

    def test_one_that_borrowed_is_written_whole(self, fake: FakeS3, admin: S3Admin) -> None:
        saver = make_saver(fake)
        family(saver)
        before = contents(fake)
        saver.delete_thread("t")
        fake.age(timedelta(days=30))
        for name in "43":
            [version] = data_versions(admin, name, "t")
            admin.restore_checkpoint_version("t", name, version)
            assert lenders(fake, name) == []
        assert contents(fake) == {("", name): before["", name] for name in "34"}
        for name in "12":
            admin.restore_checkpoint_version("t", name, data_versions(admin, name, "t")[0])
        make_saver(fake).delete_for_runs(["run-1"])  # they stay, however old who once lent to them is
        assert contents(fake) == {("", name): before["", name] for name in "234"}

    def test_its_borrowers_are_readable_again(self, fake: FakeS3, admin: S3Admin) -> None:
        family(make_saver(fake))
        before = contents(fake)
        key = key_of(fake, "2")  # which borrows, and lends to 3 and 4
        fake.delete(key)
        with pytest.raises(CorruptObjectError):
            contents(fake)
        [version] = data_versions(admin, "2", "t")
        admin.restore_checkpoint_version("t", "2", version)
        assert contents(fake) == before
        assert key_of(fake, "2") == key

    def test_other_content_is_not_overwritten(self, fake: FakeS3, admin: S3Admin) -> None:
        """On a store without conditions in buckets that keep versions, a second put overwrites the first."""
        fake.plain = True
        first = make_saver(fake)
        put(first, "1", values={"documents": DOCUMENTS, "n": 1})
        before = contents(fake)
        other = make_saver(fake)
        again = step(other, "1", documents=NOTES, n=2)
        assert len(fake.keys("checkpoint")) == 1
        newest, version = data_versions(admin, "1", "t")
        admin.restore_checkpoint_version("t", "1", version)
        assert contents(fake) == before
        child = step(other, "2", again, n=3)  # this process knows nothing of it
        assert lenders(fake, "2") == ["1"]
        assert contents(fake)["", "2"][2]["channel_values"] == child["channel_values"]
        admin.restore_checkpoint_version("t", "1", newest)
        assert contents(fake)["", "1"][2]["channel_values"] == again["channel_values"]
        assert len(data_versions(admin, "1", "t")) == 4  # none was lost

    @pytest.mark.parametrize("overwritten", [True, False])
    def test_even_if_clocks_differ(self, fake: FakeS3, admin: S3Admin, overwritten: bool) -> None:
        fake.plain = overwritten
        saver = make_saver(fake)
        put(saver, "1", values={"v": "first"}, step=1)
        before = contents(fake)
        later: Any = inside.clock(saver)
        inside.set_clock(saver, lambda: later() + 10**15)
        put(saver, "1", values={"v": "second"}, step=1 if overwritten else 2)
        assert len(fake.keys("checkpoint")) == (1 if overwritten else 2)
        admin.restore_checkpoint_version("t", "1", data_versions(admin, "1", "t")[1])
        assert contents(fake) == before

    def test_the_other_one_is_damaged(self, fake: FakeS3, admin: S3Admin) -> None:
        saver = make_saver(fake)
        put(saver, "1", step=1)
        put(saver, "1", step=2)
        [key] = fake.keys("checkpoint.s2")
        fake.put(key, b"?" * 100)
        version = data_versions(admin, "1", "t")[-1]
        with fake.counted() as count, pytest.raises(CorruptObjectError) as raised:
            admin.restore_checkpoint_version("t", "1", version)
        assert raised.value.key == key
        assert not {"PutObject", "DeleteVersions"} & set(count.kinds)

    def test_an_existing_checkpoint_is_kept_and_gets_its_writes(self, fake: FakeS3, admin: S3Admin) -> None:
        family(make_saver(fake))
        before = contents(fake)
        for key in fake.keys("/cbz/writes"):
            fake.delete(key)
        assert contents(fake) != before
        [version] = data_versions(admin, "4", "t")
        with fake.counted() as count:
            admin.restore_checkpoint_version("t", "4", version)
        assert contents(fake) == before
        assert not {"PutObject"} & set(count.kinds)
        with fake.counted() as count:
            admin.restore_checkpoint_version("t", "4", version)
        assert set(count.kinds) == {"ListVersions", "GetObject"}

    def test_the_version_before_a_rewriting(self, fake: FakeS3, admin: S3Admin) -> None:
        """The content is the same, so borrowers of the later one find it again."""
        saver = make_saver(fake)
        made = family(saver)
        saver.prune(["t"])
        other = make_saver(fake)
        get(other, place("t"))
        fifth = step(other, "5", made[-1], n=5)
        assert lenders(fake, "5") == ["4"]
        before = contents(fake)
        fake.delete(key_of(fake, "4"))
        _, borrowing = data_versions(admin, "4", "t")
        admin.restore_checkpoint_version("t", "4", borrowing)
        assert contents(fake) == before
        assert contents(fake)["", "5"][2]["channel_values"] == fifth["channel_values"]
        assert len(fake.keys("/cbz/checkpoint")) == 1

    def test_the_processs_own_cache_is_not_stale(self, fake: FakeS3) -> None:
        saver = make_saver(fake)
        admin = S3Admin(saver)
        put(saver, "1", values={"documents": DOCUMENTS}, step=1)
        first = shown(get(saver, place("t")))
        put(saver, "1", values={"documents": NOTES}, step=2)
        assert shown(get(saver, place("t"))) != first
        admin.restore_checkpoint_version("t", "1", data_versions(admin, "1", "t")[1])
        assert shown(get(saver, place("t"))) == first
        assert inside.shared(saver).states.size > 0  # of what was just read
        child = step(saver, "2", get(saver, place("t")).checkpoint, n=1)
        assert get(make_saver(fake), place("t")).checkpoint["channel_values"] == child["channel_values"]

    @pytest.mark.parametrize("kind", [PutObject, DeleteVersions])
    def test_cut_short_it_shows_nothing(self, fake: FakeS3, admin: S3Admin, kind: type[Request[Any]]) -> None:
        saver = make_saver(fake)
        family(saver)
        before = contents(fake)
        saver.delete_thread("t")
        [version] = data_versions(admin, "1", "t")
        fake.hook = failing(kind)
        with pytest.raises(StorageUnavailableError):
            admin.restore_checkpoint_version("t", "1", version)
        fake.hook = None
        assert contents(fake) == {}
        admin.restore_checkpoint_version("t", "1", version)
        assert contents(fake) == {("", "1"): before["", "1"]}

    def test_it_vanishes_while_it_is_restored(self, fake: FakeS3, admin: S3Admin) -> None:
        saver = make_saver(fake)
        put(saver, "1", step=1)
        put(saver, "1", step=2)
        [other] = fake.keys("checkpoint.s2")
        version = data_versions(admin, "1", "t")[-1]

        def hook(moment: Moment, request: Request[Any]) -> None:
            if moment == "after" and isinstance(request, GetObject) and request.version == version:
                fake.delete(other)

        fake.hook = hook
        with fake.counted() as count, pytest.raises(ConflictError):
            admin.restore_checkpoint_version("t", "1", version)
        assert "PutObject" not in count.kinds
