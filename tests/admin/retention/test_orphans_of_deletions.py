"""Orphans that deletions leave: checkpoints that were never acknowledged, and tombstones."""

from __future__ import annotations

from typing import Any

from langgraph_checkpoint_s3.s3.admin_requests import ListUploads
from langgraph_checkpoint_s3.s3.requests import DeleteObjects, HeadObject
from tests.admin.retention.test_orphans import DAY, found
from tests.admin.retention.test_prune import admin_of
from tests.plans.borrowers import abandon, cold, key_of, layout, noise, step
from tests.plans.helpers import once
from tests.support.checkpoints import place
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver


def failed(fake: FakeS3, thread: str = "t") -> tuple[Any, str]:
    """Delete lenders while a put is killed. Return what remains and the key that the put left."""
    saver = make_saver(fake)
    first = step(saver, "1", thread=thread, run="old", documents=noise(9_000))
    second = step(saver, "2", first, thread=thread, run="new", n=2)
    left: list[Any] = []

    def go_on(_: Any) -> None:
        fake.hook = None
        left.append(abandon(saver, "3", second, thread=thread, n=3))

    fake.hook = once(DeleteObjects, go_on)
    make_saver(fake).delete_for_runs(["old"])
    return second, key_of(fake, "3", thread)


def test_old_unacknowledged_checkpoints_are_removed(fake: FakeS3) -> None:
    second, key = failed(fake)
    assert admin_of(fake).find_orphans().items == ()
    fake.age(3 * DAY)
    orphans = admin_of(fake).find_orphans()
    assert found(orphans) == [("checkpoint", key.partition("/")[2])]
    assert "1 checkpoint" in str(orphans)
    went = admin_of(fake).remove_orphans(dry_run=False)
    assert went.items == orphans.items
    assert key not in fake.objects
    assert cold(fake, "2") == second["channel_values"]
    assert admin_of(fake).find_orphans().items == ()


def test_what_its_put_completes_meanwhile_stays(fake: FakeS3) -> None:
    second, key = failed(fake)
    fake.age(3 * DAY)
    whole = FakeS3()
    saver = make_saver(whole)
    step(saver, "2", None, **second["channel_values"])
    third = step(saver, "3", second, n=3)
    [name] = [name for name in whole.keys("/checkpoint") if name.endswith(key.rpartition("/")[2])]
    saver.prune(["t"])  # which makes it whole
    data = whole.objects[name].data

    def complete(request: Any) -> None:
        fake.put(key, data)

    fake.hook = once(HeadObject, complete)
    admin_of(fake).remove_orphans(dry_run=False)
    fake.hook = None
    assert key in fake.objects
    assert cold(fake, "3") == third["channel_values"]


def test_unneeded_tombstones_are_removed(fake: FakeS3) -> None:
    saver = make_saver(fake)
    step(saver, "1", documents=noise(9_000))
    saver.delete_thread("t")
    [key] = fake.objects
    assert layout().thread("t") not in key
    assert "t.thread" not in key
    fake.age(3 * DAY)
    assert admin_of(fake).find_orphans().items == ()
    fake.age(30 * DAY)
    assert found(admin_of(fake).find_orphans()) == [("tombstones", key.partition("/")[2])]
    admin_of(fake).remove_orphans(dry_run=False)
    assert not fake.objects


def test_tombstones_stay_as_long_as_something_unacknowledged_is_left(fake: FakeS3) -> None:
    _, key = failed(fake)
    fake.age(40 * DAY)
    assert [kind for kind, _ in found(admin_of(fake).find_orphans())] == ["checkpoint"]
    make_saver(fake).prune(["t"])  # another deletion keeps their names, too
    assert make_saver(fake).get_tuple(place("t", "3")) is None
    assert key in fake.objects


def test_tombstones_that_are_replaced_meanwhile_stay(fake: FakeS3) -> None:
    """A search may take hours, in which another deletion may add names."""
    saver = make_saver(fake)
    step(saver, "1", documents=noise(9_000))
    saver.delete_thread("t")
    fake.age(40 * DAY)
    [key] = fake.objects

    def delete_again(_: Any) -> None:
        step(saver, "2", documents=noise(9_000))
        saver.delete_thread("t")

    fake.hook = once(ListUploads, delete_again)  # the last that finding asks
    assert admin_of(fake).remove_orphans(dry_run=False).items == ()
    assert list(fake.objects) == [key]


def test_exports_that_are_replaced_meanwhile_stay(fake: FakeS3) -> None:
    fake.put("checkpoints/.exports/t/same", b"old")
    fake.age(40 * DAY)

    def replace(_: Any) -> None:
        fake.put("checkpoints/.exports/t/same", b"new")

    fake.hook = once(ListUploads, replace)
    assert admin_of(fake).remove_orphans(dry_run=False).items == ()
    assert fake.keys("same")
