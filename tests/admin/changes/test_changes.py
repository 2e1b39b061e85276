"""Following what is written, on the fake S3: order, cursors, clocks, uploads in parts, and requests."""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from langgraph_checkpoint_s3 import CorruptObjectError, InvalidConfigError, InvalidKeyError, S3Saver
from langgraph_checkpoint_s3.admin import Changes, S3Admin
from langgraph_checkpoint_s3.s3.admin_requests import ListUploads
from langgraph_checkpoint_s3.s3.requests import CreateUpload, ListObjects
from tests.admin.retention.test_prune import admin_of
from tests.admin.retention.test_prune_many import clone
from tests.plans.helpers import once, put
from tests.support.checkpoints import place, put_chain
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver
from tests.support.hooks import failing

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


def keys(found: Changes) -> list[str]:
    return [each.key for each in found.objects]


def settled(fake: FakeS3) -> S3Admin:
    """An admin that looks an hour later, when all times have settled."""
    return admin_of(fake, fake.now + timedelta(hours=1))


def test_it_tells_what_was_written(fake: FakeS3) -> None:
    saver = make_saver(fake)
    put_chain(saver, "a/b", 2)
    put_chain(saver, "u", 1, ns="sub")
    fake.put("checkpoints/.exports/t/1/whole", b"an export")
    fake.put("checkpoints/other/t.thread/.ns/x", b"another saver's")
    found = settled(fake).changes()
    assert [
        (each.kind, each.thread_id, each.checkpoint_ns, each.checkpoint_id) for each in found.objects
    ] == [
        ("checkpoint", "a/b", "", "00000000"),
        ("writes", "a/b", "", "00000000"),
        ("checkpoint", "a/b", "", "00000001"),
        ("writes", "a/b", "", "00000001"),
        ("checkpoint", "u", "sub", "00000000"),
        ("writes", "u", "sub", "00000000"),
    ]
    for each in found.objects:
        stored = fake.objects[each.key]
        assert (each.bytes, each.etag.strip('"'), each.modified) == (
            len(stored.data),
            stored.etag.strip('"'),
            stored.modified,
        )
    assert found.threads == ("a/b", "u")
    assert found.bytes == sum(each.bytes for each in found.objects)
    assert found.unseen == ()


def test_since_is_a_time_or_a_length_of_time(fake: FakeS3) -> None:
    put_chain(make_saver(fake), "t", 6, writes=0)
    everything = settled(fake).changes()
    third = everything.objects[2].modified
    assert keys(settled(fake).changes(third)) == keys(everything)[2:]
    assert keys(settled(fake).changes(third + SECOND)) == keys(everything)[3:]
    text = f"{third:%Y-%m-%dT%H:%M:%SZ}"
    assert keys(settled(fake).changes(text)) == keys(everything)[2:]
    eastern = third.astimezone(timezone(timedelta(hours=9)))
    assert keys(settled(fake).changes(eastern.isoformat())) == keys(everything)[2:]
    age = fake.now + timedelta(hours=1) - third
    assert keys(settled(fake).changes(age)) == keys(everything)[2:]
    assert settled(fake).changes(third).since == third


def test_one_thread(fake: FakeS3) -> None:
    for thread in ("t", "u"):
        put_chain(make_saver(fake), thread, 2)
    with fake.counted() as count:
        found = settled(fake).changes(thread_id="u")
    assert found.threads == ("u",)
    assert [request.prefix for request in count.requests if isinstance(request, ListObjects)] == [
        "checkpoints/u.thread/"
    ]


def test_it_is_the_listing_alone(fake: FakeS3) -> None:
    put_chain(make_saver(fake), "t", 5)
    clone(fake, 299)
    with fake.counted() as count:
        assert len(settled(fake).changes().objects) == 3000
    assert count.kinds == {"ListUploads": 1, "ListObjects": 3}
    cursor = settled(fake).changes().cursor
    with fake.counted() as count:
        assert admin_of(fake, fake.now + timedelta(hours=2)).changes(cursor).objects == ()
    assert count.kinds == {"ListUploads": 1, "ListObjects": 3}  # all of it, whatever is new


def test_what_has_not_settled_is_told_of_later(fake: FakeS3) -> None:
    """Not even the last minute is told of, by the store's clock. Nothing is told of twice."""
    saver = make_saver(fake)
    put(saver, "1")
    first = admin_of(fake, fake.now + 59 * SECOND).changes()
    assert (first.objects, first.until < fake.now) == ((), True)
    later = admin_of(fake, fake.now + 61 * SECOND).changes(first.cursor)
    assert [each.checkpoint_id for each in later.objects] == ["1"]
    assert settled(fake).changes(later.cursor).objects == ()
    assert len(admin_of(fake, fake.now + 7 * SECOND).changes(settle=6 * SECOND).objects) == 1


def test_no_time_has_passed(fake: FakeS3) -> None:
    put(make_saver(fake), "1")
    admin = settled(fake)
    first = admin.changes()
    with fake.counted() as count:
        again = admin.changes(first.cursor)
    assert (again.objects, again.cursor, again.until) == ((), first.cursor, first.until)
    assert count.kinds == {"ListUploads": 1}
    ahead = admin_of(fake, fake.now - timedelta(days=1)).changes(first.cursor)  # a clock that went back
    assert ahead.cursor == first.cursor


def test_objects_of_one_second_are_in_the_order_of_their_keys(fake: FakeS3) -> None:
    for thread in ("c", "a", "b"):
        put(make_saver(fake), "1", thread=thread)
    moment = fake.now
    for key in list(fake.objects):
        fake.age(fake.objects[key].modified - moment, key)
    assert settled(fake).changes().threads == ("a", "b", "c")


def test_writers_between_calls_and_pages_are_all_told_of_once(
    fake: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Objects show at any time within the minute from the one that they have; listings take time as well."""
    monkeypatch.setattr("langgraph_checkpoint_s3.plans.scan.PAGE", 3)
    draw = random.Random(3)
    saver = make_saver(fake)
    cursor: str | None = None
    told: list[str] = []
    count = meanwhile = 0

    def write() -> None:
        nonlocal count
        count += 1
        before = set(fake.keys())
        put(saver, f"{draw.randrange(10**8):08}", thread=draw.choice("abcdef"))
        [key] = set(fake.keys()) - before
        fake.age(draw.randrange(50) * SECOND, key)

    def while_listing(moment: Any, request: Any) -> None:
        nonlocal meanwhile
        if moment == "before" and isinstance(request, ListObjects) and meanwhile and draw.random() < 0.3:
            meanwhile -= 1
            write()

    for _ in range(40):
        for _ in range(draw.randrange(4)):
            write()
        fake.later += draw.randrange(90) * SECOND
        fake.hook, meanwhile = while_listing, 3
        found = admin_of(fake).changes(cursor)
        fake.hook = None
        assert [each.modified for each in found.objects] == sorted(each.modified for each in found.objects)
        assert all(found.since <= each.modified < found.until for each in found.objects)
        told += keys(found)
        cursor = found.cursor
    told += keys(settled(fake).changes(cursor))
    assert len(told) == len(set(told)) == count
    assert sorted(told) == fake.keys()


# Uploads in parts


def uploading(fake: FakeS3, name: str = "00000001") -> tuple[str, str]:
    """Begin to upload a checkpoint. Return its key and the upload's id."""
    put(make_saver(fake), name)
    [key] = fake.keys("/t.thread/")
    fake.delete(key)
    return key, fake.execute(CreateUpload(key))


def finish(fake: FakeS3, key: str, upload: str, begun: datetime) -> None:
    """Finish an upload. The object's time is that at which it was begun, as with AWS."""
    del fake.uploads[upload]
    fake.put(key, b"in parts")
    fake.age(fake.objects[key].modified - begun, key)


def test_an_upload_is_told_of_when_it_shows(fake: FakeS3) -> None:
    key, upload = uploading(fake)
    begun = fake.now
    fake.later += timedelta(hours=2)
    put(make_saver(fake), "1", thread="u")
    first = settled(fake).changes()
    assert first.threads == ("u",)
    second = admin_of(fake, fake.now + timedelta(hours=2)).changes(first.cursor)
    assert second.objects == ()
    fake.later += timedelta(hours=3)
    finish(fake, key, upload, begun)
    third = settled(fake).changes(second.cursor)
    assert [(each.key, each.modified) for each in third.objects] == [(key, begun)]
    assert settled(fake).changes(third.cursor).objects == ()
    assert "~" in second.cursor
    assert "~" not in third.cursor


def test_an_upload_that_ends_while_it_is_listed(fake: FakeS3) -> None:
    """After the list of uploads, and before the one of objects."""
    key, upload = uploading(fake)
    begun = fake.now
    fake.later += timedelta(hours=2)
    fake.hook = once(ListObjects, lambda _: finish(fake, key, upload, begun))
    first = settled(fake).changes()
    fake.hook = None
    second = admin_of(fake, fake.now + timedelta(hours=2)).changes(first.cursor)
    assert {key} == {*keys(first), *keys(second)}
    assert admin_of(fake, fake.now + timedelta(hours=3)).changes(second.cursor).objects == ()


def test_an_upload_that_is_given_up_is_forgotten(fake: FakeS3) -> None:
    _, upload = uploading(fake)
    fake.execute(CreateUpload("checkpoints/.exports/t/x"))
    fake.execute(CreateUpload("checkpoints/other/t.thread/.ns/x"))
    first = settled(fake).changes()
    assert first.cursor.count("~") == 1
    assert "," not in first.cursor
    del fake.uploads[upload]
    assert "~" not in admin_of(fake, fake.now + timedelta(hours=2)).changes(first.cursor).cursor


def test_a_store_that_can_not_list_uploads(fake: FakeS3) -> None:
    put(make_saver(fake), "1")
    fake.hook = failing(ListUploads, "NotImplemented", 501)
    found = settled(fake).changes()
    assert (len(found.objects), found.unseen) == (1, ("uploads",))


# Mistakes, and how it is told


@pytest.mark.parametrize(
    "since",
    [
        *("", "soon", "30m", "2026-03-01", "2026-03-01T12:00:00", "2026-03-01T12:00:00Z~"),
        *("2026-03-01T12:00:00Z~xyz", "2026-13-01T12:00:00Z", "2026-03-01T12:00:00Z\n", "~0123456789abcdef"),
        *(7, 1.5, b"2026-03-01T12:00:00Z", timedelta(0), timedelta(days=-1)),
        datetime(2026, 1, 1, tzinfo=timezone.utc).replace(tzinfo=None),
        datetime(2999, 1, 1, tzinfo=timezone.utc),
    ],
)
def test_a_wrong_time_is_refused(fake: FakeS3, since: Any) -> None:
    with fake.counted() as count, pytest.raises(InvalidConfigError):
        admin_of(fake).changes(since)
    assert not count.requests


@pytest.mark.parametrize("settle", [timedelta(0), 4 * SECOND, -MINUTE, 60, None])
def test_a_wrong_settling_time_is_refused(fake: FakeS3, settle: Any) -> None:
    with fake.counted() as count, pytest.raises(InvalidConfigError, match="settle"):
        admin_of(fake).changes(settle=settle)
    with pytest.raises(InvalidKeyError):
        admin_of(fake).changes(thread_id="")
    assert not count.requests


def test_a_foreign_object_is_an_error(fake: FakeS3, saver: S3Saver) -> None:
    put(saver, "1")
    fake.put("checkpoints/t.thread/notes.txt", b"a stranger's")
    with pytest.raises(CorruptObjectError, match="Move the object"):
        settled(fake).changes()


def test_it_prints(fake: FakeS3) -> None:
    put_chain(make_saver(fake), "t", 12)
    lines = str(settled(fake).changes()).splitlines()
    assert lines[0].startswith("Written until 2026-01-01T00:59:")
    assert ": 24 objects of 1 thread, " in lines[0]
    assert "  t  -  00000000  checkpoint  " in lines[1]
    assert (len(lines), lines[-1]) == (22, "  and 4 more")


def test_long_names_are_hashes(fake: FakeS3) -> None:
    """A hash works with the methods that take an id."""
    thread = "customer/" * 40
    put_chain(make_saver(fake), thread, 1)
    admin = settled(fake)
    [name] = admin.changes().threads
    assert name != thread
    assert admin.usage(name).checkpoints == 1
    make_saver(fake).put_writes(place(thread, "00000000"), [("d", [1])], "late")
