"""Versions of checkpoints on a fake S3: turned on, listed and read."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_checkpoint_s3 import (
    ConflictError,
    CorruptObjectError,
    InvalidKeyError,
    NotSupportedError,
)
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.s3.admin_requests import ListVersions
from langgraph_checkpoint_s3.s3.bucket_settings import VERSIONING
from tests.admin.versions.versioned import (
    DOCUMENTS,
    PLANS,
    admin,
    contents,
    fake,
    family,
)
from tests.plans.borrowers import key_of, step
from tests.plans.helpers import once, put
from tests.support.checkpoints import place, shown
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver
from tests.support.hooks import failing
from tests.support.threads import data_versions

__all__ = ["admin", "fake"]


class TestSwitching:
    @pytest.mark.parametrize("mfa", ["Disabled", "Enabled"])
    def test_mfa_delete_is_left_alone(self, fake: FakeS3, admin: S3Admin, mfa: str) -> None:
        fake.settings[VERSIONING.name, None] = {"Status": "Enabled", "MFADelete": mfa}
        assert admin.enable_versioning() == []
        [change] = admin.suspend_versioning()
        assert change.before == {"Status": "Enabled", "MFADelete": mfa}
        assert change.after == {"Status": "Suspended"}

    def test_a_store_without_it(self, fake: FakeS3, admin: S3Admin) -> None:
        fake.unsupported.add(VERSIONING.name)
        for call in (admin.enable_versioning, admin.suspend_versioning, admin.versioning_status):
            with pytest.raises(NotSupportedError):
                call()


class TestListing:
    def test_page_by_page(self, fake: FakeS3, admin: S3Admin, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(PLANS + "scan.PAGE", 2)
        put(make_saver(fake), "1")
        [key] = fake.keys("checkpoint")
        for _ in range(4):
            fake.put(key, fake.objects[key].data)
        with fake.counted() as count:
            found = admin.list_checkpoint_versions("t", "1")
        assert len({each.version_id for each in found}) == 5
        assert [each.latest for each in found] == [True, False, False, False, False]
        assert count.kinds == {"ListVersions": 3}

    def test_a_checkpoint_that_was_put_twice(self, fake: FakeS3, admin: S3Admin) -> None:
        saver = make_saver(fake)
        put(saver, "1", step=1)
        put(saver, "1", step=2)
        found = admin.list_checkpoint_versions("t", "1")
        assert [each.latest for each in found] == [True, True]
        assert [each.key.rpartition(".s")[2] for each in found] == ["2.v", "1.v"]

    @pytest.mark.parametrize("names", [("", "1"), ("t", ""), ("t", None), (None, "1")])
    def test_ids_that_are_missing(self, fake: FakeS3, admin: S3Admin, names: Any) -> None:
        thread, checkpoint_id = names
        with fake.counted() as count:
            for call in (
                lambda: admin.list_checkpoint_versions(thread, checkpoint_id),
                lambda: admin.get_checkpoint_version(thread, checkpoint_id, "v1"),
                lambda: admin.restore_checkpoint_version(thread, checkpoint_id, "v1"),
            ):
                with pytest.raises(InvalidKeyError):
                    call()
        assert not count.requests

    def test_a_store_that_keeps_none(self, fake: FakeS3, admin: S3Admin) -> None:
        fake.hook = failing(ListVersions, "NotImplemented", 501)
        for call in (
            lambda: admin.list_checkpoint_versions("t", "1"),
            lambda: admin.get_checkpoint_version("t", "1", "v1"),
            lambda: admin.restore_checkpoint_version("t", "1", "v1"),
            lambda: admin.undelete_thread("t"),
        ):
            with pytest.raises(NotSupportedError):
                call()


class TestReading:
    def test_current_checkpoints_need_no_versions_of_lenders(self, fake: FakeS3, admin: S3Admin) -> None:
        family(make_saver(fake))
        [version] = data_versions(admin, "4", "t")
        with fake.counted() as count:
            admin.get_checkpoint_version("t", "4", version)
        assert [{type(each).__name__ for each in batch} for batch in count.batches] == [
            {"ListVersions"},
            {"GetObject"},
            {"GetObject"},  # its lenders, as they are
        ]
        assert [len(batch) for batch in count.batches] == [1, 3, 3]

    @pytest.mark.parametrize("times", [1, 3])
    def test_a_lender_that_was_overwritten(self, fake: FakeS3, admin: S3Admin, times: int) -> None:
        family(make_saver(fake))
        before = contents(fake)
        [version] = data_versions(admin, "2", "t")
        for number in range(times):
            fake.put(key_of(fake, "1"), b"somebody else's" * (number + 1) * 5_000)
        assert shown(admin.get_checkpoint_version("t", "2", version)) == before["", "2"]
        with pytest.raises(CorruptObjectError):
            make_saver(fake).get_tuple(place("t", "2"))

    def test_a_lender_whose_name_begins_another_ones(self, fake: FakeS3, admin: S3Admin) -> None:
        saver = make_saver(fake)
        first = step(saver, "1", documents=DOCUMENTS)
        step(saver, "2", first, n=2)
        before = contents(fake)
        [version] = data_versions(admin, "2", "t")
        lender = key_of(fake, "1")
        fake.put(lender + ".k9", b"x" * 60_000)
        fake.delete(lender)
        assert shown(admin.get_checkpoint_version("t", "2", version)) == before["", "2"]

    def test_a_lender_that_is_gone_for_good(self, fake: FakeS3, admin: S3Admin) -> None:
        saver = make_saver(fake)
        family(saver)
        lender, [version] = key_of(fake, "1"), data_versions(admin, "3", "t")
        saver.delete_thread("t")
        del fake.versions[lender]
        with pytest.raises(CorruptObjectError) as raised:
            admin.get_checkpoint_version("t", "3", version)
        assert lender in str(raised.value)
        with fake.counted() as count, pytest.raises(CorruptObjectError):
            admin.restore_checkpoint_version("t", "3", version)
        assert set(count.kinds) <= {"ListVersions", "ListObjects", "GetObject"}

    def test_its_writes_are_those_there_are_and_those_that_were_deleted(
        self, fake: FakeS3, admin: S3Admin
    ) -> None:
        saver = make_saver(fake)
        config = put(saver, "1")
        saver.put_writes(config, [("__error__", "first")], "task-1")
        saver.put_writes(config, [("c", "deleted")], "task-2")
        [version] = data_versions(admin, "1", "t")
        saver.put_writes(config, [("__error__", "last")], "task-1")
        [key] = fake.keys("task-2")
        fake.delete(key)
        found = admin.get_checkpoint_version("t", "1", version)
        assert found is not None
        assert found.pending_writes == [("task-1", "__error__", "last"), ("task-2", "c", "deleted")]

    def test_of_several_without_a_version_the_last_one_counts(self) -> None:
        fake = FakeS3()
        admin = S3Admin(make_saver(fake))
        saver = make_saver(fake)
        put(saver, "1", step=1)
        put(saver, "1", step=2)
        found = admin.get_checkpoint_version("t", "1", "null")
        assert found is not None
        assert found.metadata["step"] == 2

    def test_strangers_in_the_folder_are_passed_over(self, fake: FakeS3, admin: S3Admin) -> None:
        config = put(make_saver(fake), "1")
        [key] = fake.keys("checkpoint")
        for name in ("note.txt", "checkpoint.bak/1", ""):
            fake.put(f"{key.rpartition('/')[0]}/{name}", b"?")
        version = data_versions(admin, "1", "t")[-1]
        assert admin.get_checkpoint_version("t", "1", version) is not None
        assert admin.restore_checkpoint_version("t", "1", version) == config

    def test_it_vanishes_while_it_is_read(self, fake: FakeS3, admin: S3Admin) -> None:
        put(make_saver(fake), "1")
        [version] = data_versions(admin, "1", "t")
        fake.hook = once(ListVersions, lambda _: fake.versions.clear(), "after")
        with pytest.raises(ConflictError):
            admin.get_checkpoint_version("t", "1", version)
