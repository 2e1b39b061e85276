"""Orphans on the fake S3: finding and removing them, the exceptions, and the requests."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from langgraph_checkpoint_s3 import (
    AccessDeniedError,
    CorruptObjectError,
    InvalidConfigError,
    S3Saver,
)
from langgraph_checkpoint_s3.admin.retention.orphans import Orphan, Orphans
from langgraph_checkpoint_s3.s3.admin_requests import ListUploads
from langgraph_checkpoint_s3.s3.requests import Request
from tests.admin.retention.test_prune import admin_of
from tests.plans.helpers import put
from tests.support.checkpoints import place, put_chain
from tests.support.fake_s3 import FakeS3, Moment, Upload
from tests.support.fake_store import make_saver
from tests.support.hooks import failing

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def littered(fake: FakeS3) -> None:
    """Return a bucket with old and recent orphans of each kind, live checkpoints, and foreign objects."""
    saver = make_saver(fake)
    put_chain(saver, "t", 2, writes=2)
    saver.put_writes(place("t", "lost"), [("d", [1])], "one")
    saver.put_writes(place("t", "lost"), [("d", [2])], "two")
    saver.put_writes(place("u", "lost", "sub"), [("d", [3])], "one")
    make_saver(fake, prefix="checkpoints/nested").put_writes(place("t", "lost"), [("d", [1])], "nested")
    for name in ("old", "week"):
        fake.put(f"checkpoints/.exports/t/{name}", b"exported")
    fake.put("checkpoints/.probe/old", b"probe")
    fake.put("checkpoints/nested/.probe/old", b"probe")
    fake.put("checkpoints/nested/.exports/old", b"exported")
    fake.put("elsewhere/.probe/old", b"probe")
    fake.age(5 * DAY, "old")
    thread = "checkpoints/t.thread/.ns/cez/checkpoint"
    for name, key in {
        "1": thread,
        "2": "checkpoints/.exports/t/x",
        "3": "checkpoints/nested/t.thread/.ns/cez/checkpoint",
        "4": "checkpoints/photo",
        "5": "checkpoints/nested/.exports/x",
    }.items():
        fake.uploads[name] = Upload(key, begun=fake.now)
    fake.age(5 * DAY)
    saver.put_writes(place("t", "young"), [("d", [1])], "one")
    fake.put("checkpoints/.exports/t/young", b"exported")
    fake.put("checkpoints/.probe/young", b"probe")
    fake.uploads["6"] = Upload(thread, begun=fake.now)


def found(orphans: Orphans) -> list[tuple[str, str]]:
    return [(each.kind, each.upload_id or each.key.partition("/")[2]) for each in orphans.items]


def test_old_unneeded_objects_are_found(fake: FakeS3) -> None:
    littered(fake)
    with fake.counted() as count:
        orphans = admin_of(fake).find_orphans()
    assert count.kinds == {"ListObjects": 4, "ListUploads": 1}
    kinds = [kind for kind, _ in found(orphans)]
    assert kinds == ["writes"] * 3 + ["export", "probe", "upload", "upload"]
    assert found(orphans)[3:] == [
        ("export", ".exports/t/old"),
        ("probe", ".probe/old"),
        ("upload", "1"),
        ("upload", "2"),
    ]
    for each in orphans.items:
        if each.upload_id is None:
            stored = fake.objects[each.key]
            assert (each.size, each.modified) == (len(stored.data), stored.modified)
        assert each.age == fake.now - each.modified >= 5 * DAY
    assert orphans.bytes == sum(each.size or 0 for each in orphans.items)
    assert orphans == asyncio.run(admin_of(fake).afind_orphans())


def test_removing_leaves_the_rest_alone(fake: FakeS3) -> None:
    littered(fake)
    before = dict(fake.objects)
    would = admin_of(fake).remove_orphans()
    assert not would.removed
    assert fake.objects == before
    assert len(fake.uploads) == 6
    with fake.counted() as count:
        went = admin_of(fake).remove_orphans(dry_run=False)
    assert went == Orphans(removed=True, items=would.items)
    # The folders of the writes, the exports and the probes are listed again.
    assert count.kinds == {"ListObjects": 4 + 2 + 2, "ListUploads": 1, "DeleteObjects": 2, "AbortUpload": 2}
    assert before.keys() - fake.objects.keys() == {each.key for each in went.items if not each.upload_id}
    assert sorted(fake.uploads) == ["3", "4", "5", "6"]
    assert admin_of(fake).find_orphans().items == ()
    assert asyncio.run(admin_of(fake).aremove_orphans(dry_run=False)).items == ()


def test_ages_are_formatted(fake: FakeS3) -> None:
    littered(fake)
    later = admin_of(fake, fake.now + HOUR)
    kinds = [kind for kind, _ in found(later.find_orphans(older_than=HOUR))]
    assert kinds == ["writes"] * 4 + ["export"] + ["probe"] * 2 + ["upload"] * 3  # exports: 8 days at least
    assert found(admin_of(fake).find_orphans(older_than=6 * DAY)) == [
        ("export", ".exports/t/old"),
        ("probe", ".probe/old"),
    ]
    assert found(admin_of(fake).find_orphans(older_than=11 * DAY)) == []


def test_a_fresh_write_keeps_the_old_ones_beside_it(fake: FakeS3, saver: S3Saver) -> None:
    """Recent writes are kept: their checkpoint may still be on its way."""
    saver.put_writes(place("t", "1"), [("d", [1])], "one")
    fake.age(3 * DAY)
    saver.put_writes(place("t", "1"), [("d", [1])], "two")
    assert admin_of(fake).find_orphans().items == ()


@pytest.mark.parametrize("what", ["checkpoint", "writes", "the same writes again"])
def test_a_checkpoint_that_arrives_meanwhile_keeps_its_writes(
    fake: FakeS3, saver: S3Saver, what: str
) -> None:
    for thread in ("t", "u"):
        saver.put_writes(place(thread, "1"), [("__error__", "early")], "one")
    fake.age(3 * DAY)

    def hook(moment: Moment, request: Request[Any]) -> None:
        if moment == "before" and isinstance(request, ListUploads):  # the last that finding asks
            fake.hook = None
            if what == "checkpoint":
                put(make_saver(fake), "1")
            else:
                task = "two" if what == "writes" else "one"
                make_saver(fake).put_writes(place("t", "1"), [("__error__", "late")], task)

    fake.hook = hook
    went = admin_of(fake).remove_orphans(dry_run=False)
    assert [key.partition("/writes")[0] for _, key in found(went)] == ["u.thread/.ns/cez"]
    assert fake.keys("/t.thread/.ns/cez/writes.tone")
    assert not fake.keys("/u.thread/")


def test_many_are_removed_in_batches(fake: FakeS3) -> None:
    saver = make_saver(fake)
    for number in range(250):
        saver.put_writes(place("t", f"{number:04}"), [("d", [1])], "one")
    fake.age(3 * DAY)
    with fake.counted() as count:
        went = admin_of(fake).remove_orphans(dry_run=False)
    assert len(went.items) == 250
    assert not fake.objects
    assert count.kinds == {"ListObjects": 4 + 250, "ListUploads": 1, "DeleteObjects": 3}
    assert count.round_trips == 5 + 2 * 3


def test_a_store_that_doesnt_list_uploads_says_so(fake: FakeS3) -> None:
    littered(fake)
    fake.hook = failing(ListUploads, "NotImplemented", 501)
    went = admin_of(fake).remove_orphans(dry_run=False)
    assert [kind for kind, _ in found(went)] == ["writes"] * 3 + ["export", "probe"]
    [reason] = went.not_supported
    assert reason.startswith("unfinished multipart uploads: ")
    assert "ListUploads" in reason
    assert reason in str(went)
    assert len(fake.uploads) == 6


def test_a_denied_listing_of_uploads_is_an_error(fake: FakeS3) -> None:
    littered(fake)
    fake.hook = failing(ListUploads, "AccessDenied", 403)
    before = dict(fake.objects)
    with pytest.raises(AccessDeniedError, match="s3:ListBucketMultipartUploads"):
        admin_of(fake).remove_orphans(dry_run=False)
    assert fake.objects == before


def test_failed_deletions_are_reported(fake: FakeS3) -> None:
    littered(fake)
    fake.undeletable = {"checkpoints/.probe/old": ("AccessDenied", "no")}
    with pytest.raises(AccessDeniedError, match="1 of 2 objects could not be deleted"):
        admin_of(fake).remove_orphans(dry_run=False)


def test_garbage_in_a_threads_folder_is_an_error(fake: FakeS3) -> None:
    fake.put("checkpoints/t.thread/.ns/cez/manifest", b"x")
    with pytest.raises(CorruptObjectError):
        admin_of(fake).find_orphans()


@pytest.mark.parametrize("age", [timedelta(0), -DAY, 1, None, datetime(2026, 1, 1, tzinfo=timezone.utc)])
def test_an_invalid_age_is_refused(fake: FakeS3, age: Any) -> None:
    with fake.counted() as count:
        with pytest.raises(InvalidConfigError, match="older_than"):
            admin_of(fake).find_orphans(age)
        with pytest.raises(InvalidConfigError, match="older_than"):
            admin_of(fake).remove_orphans(age, dry_run=False)
    assert not count.requests


def test_it_prints_the_orphans() -> None:
    when = datetime(2026, 1, 31, 9, 30, tzinfo=timezone.utc)
    items = (
        Orphan("writes", "a/writes", 1536, when, 2 * DAY),
        Orphan("upload", "a/checkpoint", None, when, 30 * HOUR, "id"),
    )
    assert str(Orphans(False, items)) == (
        "Found 1 writes, 1 upload: 1.5 kB\n  writes a/writes: 1.5 kB, 2 days old\n"
        "  upload a/checkpoint: 1 days old"
    )
    assert str(Orphans(True, (), ("uploads: no",))) == "Removed nothing: 0 B\n  not looked for: uploads: no"
    assert str(Orphans(True, items[:1] * 30)).endswith("\n  and 10 more")
