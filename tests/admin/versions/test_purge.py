"""Purged threads on a fake S3, and interrupted purges."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from langgraph_checkpoint_s3 import (
    AccessDeniedError,
    ConflictError,
    S3Saver,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.s3.admin_requests import (
    DeleteVersions,
    ListUploads,
    ListVersions,
    UploadPage,
    VersionPage,
)
from langgraph_checkpoint_s3.s3.requests import CreateUpload, DeleteObjects, Request
from tests.admin.versions.versioned import (
    admin,
    contents,
    fake,
    family,
    left,
    short,
)
from tests.plans.borrowers import key_of
from tests.plans.helpers import get, once, put
from tests.support import inside
from tests.support.checkpoints import place
from tests.support.fake_s3 import FakeS3, Moment
from tests.support.fake_store import make_saver
from tests.support.hooks import failing

__all__ = ["admin", "fake", "short"]


class TestPurging:
    def thread(self, fake: FakeS3) -> S3Saver:
        """Create a thread that was rewritten, deleted, put again and exported, with an unfinished upload."""
        saver = make_saver(fake)
        for ns in ("", "sub"):
            family(saver, ns=ns)
        saver.prune(["t"])
        saver.delete_thread("t")
        family(make_saver(fake), ids="5678")
        fake.put("checkpoints/t.thread/notes.txt", b"a stranger's")
        fake.put("checkpoints/.exports/t/1/whole", b"all of it")
        for prefix in ("t.thread/", ".exports/t/", "u.thread/"):
            fake.execute(CreateUpload(f"checkpoints/{prefix}x"))
        family(saver, "u")
        fake.put("checkpoints/.exports/t.2Fu/1/whole", b"another thread's")
        return saver

    def others(self, fake: FakeS3) -> Any:
        return contents(fake, "u"), left(fake, "u.thread/"), left(fake, "t.2Fu")

    @pytest.mark.parametrize("status", ["Enabled", "Suspended"])
    def test_nothing_is_left(self, fake: FakeS3, admin: S3Admin, status: str) -> None:
        self.thread(fake)
        fake.set_versioning(status)
        others = self.others(fake)
        look = admin.purge_thread("t")
        assert look.dry_run
        assert len(fake.keys("t.thread/")) == 13
        # 2 of 4 and 8, rewritten ones, and again 4 and 8; the stranger's and the export.
        assert look.versions == 2 * 12 + 2 + 12 + 2
        assert look.markers == 2 * 12
        assert (look.exports, look.uploads, look.unseen) == (1, 2, ())
        found = [each for key in (*left(fake), *left(fake, ".exports/t/")) for each in fake.versions[key]]
        assert look.size == sum(len(stored.data) for _, stored, _ in found if stored)
        with fake.counted() as count:
            done = admin.purge_thread("t", dry_run=False)
        assert (done.versions, done.markers, done.uploads, done.dry_run) == (look.versions, 24, 2, False)
        assert left(fake) == left(fake, ".exports/t/") == []
        assert [each.key for each in fake.uploads.values()] == ["checkpoints/u.thread/x"]
        assert self.others(fake) == others
        assert count.kinds["DeleteObjects"] == 1
        assert count.kinds["DeleteVersions"] == 2
        assert admin.purge_thread("t", dry_run=False).versions == 0

    def test_old_versions_never_become_visible(self, fake: FakeS3, admin: S3Admin, short: None) -> None:
        self.thread(fake)
        fake.set_versioning("Suspended")
        put(make_saver(fake), "9")  # `null`, above nothing
        key = key_of(fake, "5")
        fake.put(key, fake.objects[key].data)  # `null`, above others
        fake.delete(key_of(fake, "6"))  # a marker `null`
        before = fake.keys("t.thread/")
        checked: list[int] = []

        def look(moment: Moment, request: Request[Any]) -> None:
            if moment == "after" and isinstance(request, (DeleteObjects, DeleteVersions)):
                now = fake.keys("t.thread/")
                assert set(now) <= set(before)
                if isinstance(request, DeleteVersions):
                    assert now == []
                checked.append(len(now))

        fake.hook = look
        admin.purge_thread("t", dry_run=False)
        assert len(checked) > 60
        assert left(fake) == []

    @pytest.mark.parametrize("kind", [DeleteObjects, DeleteVersions])
    def test_cut_short_it_is_done_by_doing_it_again(
        self, fake: FakeS3, admin: S3Admin, kind: type[Request[Any]], short: None
    ) -> None:
        self.thread(fake)
        fake.hook = failing(kind, after=7)
        with pytest.raises(StorageUnavailableError):
            admin.purge_thread("t", dry_run=False)
        fake.hook = None
        if kind is DeleteVersions:
            assert fake.keys("t.thread/") == []
        admin.purge_thread("t", dry_run=False)
        assert left(fake) == []

    def test_objects_from_before_versioning(self) -> None:
        fake = FakeS3()
        saver = make_saver(fake)
        family(saver)
        fake.set_versioning("Enabled")
        S3Admin(make_saver(fake)).purge_thread("t", dry_run=False)
        assert left(fake) == []

    def test_a_store_that_marks_hidden_versions_as_latest(self, fake: FakeS3, admin: S3Admin) -> None:
        fake.set_versioning("Suspended")
        put(make_saver(fake), "1")
        fake.set_versioning("Enabled")
        answer: Any = fake._list_versions

        def mistaken(request: ListVersions) -> VersionPage:
            page: VersionPage = answer(request)
            found = [replace(each, latest=each.latest or each.version_id == "null") for each in page.versions]
            return replace(page, versions=tuple(found))

        fake._list_versions = mistaken  # type: ignore[method-assign]  # the test's own
        admin.purge_thread("t", dry_run=False)
        assert left(fake) == []

    @pytest.mark.parametrize("answer", ["refusal", "something else"])
    def test_a_store_that_can_not_list_versions(self, answer: str, short: None) -> None:
        fake = FakeS3()
        self.thread(fake)
        others = self.others(fake)
        if answer == "refusal":
            fake.hook = failing(ListVersions, "NotImplemented", 501)
        else:
            empty: Any = FakeS3()
            fake._list_versions = empty._list_versions  # type: ignore[method-assign]  # the test's own
        admin = S3Admin(make_saver(fake))
        assert admin.purge_thread("t").versions == 14
        done = admin.purge_thread("t", dry_run=False)
        assert (done.versions, done.unseen) == (14, ("versions",))
        fake.hook = None
        assert left(fake) == left(fake, ".exports/t/") == []
        assert self.others(fake) == others

    def test_a_store_that_can_not_list_uploads(self, fake: FakeS3, admin: S3Admin) -> None:
        self.thread(fake)
        fake.hook = failing(ListUploads, "NotImplemented", 501)
        done = admin.purge_thread("t", dry_run=False)
        assert (done.uploads, done.unseen) == (0, ("uploads",))
        assert left(fake) == []

    def test_what_is_written_meanwhile_is_purged(self, fake: FakeS3, admin: S3Admin) -> None:
        saver = self.thread(fake)
        fake.hook = once(DeleteVersions, lambda _: put(saver, "9"), "after")
        admin.purge_thread("t", dry_run=False)
        assert left(fake) == []

    def test_a_writer_that_goes_on_is_a_conflict(self, fake: FakeS3, admin: S3Admin) -> None:
        saver = self.thread(fake)

        def hook(moment: Moment, request: Request[Any]) -> None:
            if moment == "after" and isinstance(request, DeleteObjects):
                put(saver, "9")

        fake.hook = hook
        with pytest.raises(ConflictError, match="goes on writing"):
            admin.purge_thread("t", dry_run=False)

    @pytest.mark.parametrize("version", [True, False])
    def test_what_may_not_be_deleted(self, fake: FakeS3, admin: S3Admin, version: bool) -> None:
        saver = self.thread(fake)
        if version:
            saver.delete_thread("u")
        [key] = fake.undeletable = {left(fake, "u.thread/")[0]: ("AccessDenied", "object protected by lock")}
        with pytest.raises(AccessDeniedError, match="protected by lock") as raised:
            admin.purge_thread("u", dry_run=False)
        assert raised.value.key == key
        assert raised.value.action == ("s3:DeleteObjectVersion" if version else "s3:DeleteObject")

    def test_nothing_stays_in_memory(self, fake: FakeS3) -> None:
        saver = make_saver(fake)
        family(saver)
        get(saver, place("t"))
        shared = inside.shared(saver)
        assert shared.cache.lru.size
        assert shared.states.size
        admin = S3Admin(saver)
        admin.purge_thread("t")
        assert shared.cache.lru.size
        admin.purge_thread("t", dry_run=False)
        assert (shared.cache.lru.size, shared.states.size) == (0, 0)


def test_every_page_of_uploads(fake: FakeS3, admin: S3Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        fake.execute(CreateUpload(f"checkpoints/t.thread/{number}"))
    answer = fake._administer

    def in_pages(request: Request[Any]) -> Any:
        if not isinstance(request, ListUploads):
            return answer(request)
        rest = [
            each
            for each in answer(request).uploads
            if (each.key, each.upload_id) > (request.marker or ("", ""))
        ]
        return UploadPage(tuple(rest[:2]), (rest[1].key, rest[1].upload_id) if rest[2:] else None)

    monkeypatch.setattr(fake, "_administer", in_pages)
    assert admin.purge_thread("t", dry_run=False).uploads == 5
    assert not fake.uploads
