"""Tombstones: their cost, deletions that need none, and their remains."""

from __future__ import annotations

import io
import itertools
import zipfile
from typing import Any

import pytest

from langgraph_checkpoint_s3 import CorruptObjectError
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.plans.tombstones import DELETION_WAIT
from langgraph_checkpoint_s3.s3.admin_requests import DeleteVersions
from langgraph_checkpoint_s3.s3.requests import Request
from tests.plans.borrowers import cold, layout, noise, step
from tests.plans.helpers import refuse_etags
from tests.support.checkpoints import place, put_chain
from tests.support.fake_s3 import FakeS3, Moment
from tests.support.fake_store import make_saver

pytestmark = pytest.mark.modes("plain", "private")


def line(fake: FakeS3, thread: str = "t") -> Any:
    """Three checkpoints, of which two borrow from the first."""
    saver = make_saver(fake)
    first = step(saver, "1", thread=thread, run="old", documents=noise(9_000))
    second = step(saver, "2", first, thread=thread, run="new", n=2)
    return step(saver, "3", second, thread=thread, run="new", n=3)


def test_what_lends_nothing_is_deleted_without_them(fake: FakeS3) -> None:
    put_chain(make_saver(fake), "t", 5, run="run")
    put_chain(make_saver(fake), "u", 5, run="run")
    with fake.counted() as count:
        make_saver(fake).delete_for_runs(["run"])
    assert count.kinds == {"ListObjects": 1, "DeleteObjects": 2}
    put_chain(make_saver(fake), "t", 5)
    with fake.counted() as count:
        make_saver(fake).delete_thread("t")
    assert count.kinds == {"ListObjects": 1, "DeleteObjects": 1}
    assert fake.seconds == 0
    assert not fake.keys("/.deleted/")


def test_a_thread_that_lends_is_deleted_without_a_wait(fake: FakeS3) -> None:
    line(fake)
    with fake.counted() as count:
        make_saver(fake).delete_thread("t")
    assert [[type(each).__name__ for each in batch] for batch in count.batches] == [
        ["ListObjects"],
        ["GetObject"],
        ["PutObject"],
        ["ListObjects"],  # with what has come before the tombstones
        ["DeleteObjects"],
    ]
    assert fake.seconds == 0


@pytest.mark.modes("plain")
@pytest.mark.parametrize(("threads", "waits"), [(1, 1), (64, 1), (65, 2)])
@pytest.mark.parametrize("remove", ["prune", "delete_for_runs"])
def test_up_to_64_threads_wait_together(fake: FakeS3, threads: int, waits: int, remove: str) -> None:
    names = [f"{number:03}" for number in range(threads)]
    third = [line(fake, name) for name in names][-1]
    if remove == "prune":
        make_saver(fake).prune(names)
    else:
        make_saver(fake).delete_for_runs(["old"])
    assert fake.seconds == waits * DELETION_WAIT
    for name in names:
        assert cold(fake, thread=name) == third["channel_values"]


def test_a_purged_thread_leaves_them_alone_and_they_do_not_show_it(fake: FakeS3) -> None:
    line(fake, "customer-42")
    S3Admin(make_saver(fake)).purge_thread("customer-42", dry_run=False)
    [key] = fake.objects
    assert key == layout().tombstones(layout().thread("customer-42"))
    assert "customer-42" not in key
    assert b"customer-42" not in fake.objects[key].data


@pytest.mark.parametrize("at", range(2))
def test_a_thread_that_is_brought_back_and_deleted_at_once_is_never_damaged(fake: FakeS3, at: int) -> None:
    """Whatever is left of it by then can be read, or is passed over."""
    fake.set_versioning("Enabled")
    third = line(fake)
    make_saver(fake).delete_thread("t")
    numbers = itertools.count()

    def hook(moment: Moment, request: Request[Any]) -> None:
        if moment == "after" and isinstance(request, DeleteVersions) and next(numbers) == at:
            fake.hook = None
            make_saver(fake).delete_thread("t")

    fake.hook = hook
    S3Admin(make_saver(fake)).undelete_thread("t")
    assert fake.hook is None
    found = make_saver(fake).get_tuple(place("t"))
    assert found is None or found.checkpoint == third
    list(make_saver(fake).list(None))
    S3Admin(make_saver(fake)).undelete_thread("t")
    assert cold(fake) == third["channel_values"]


def test_a_file_without_a_lender_is_refused(fake: FakeS3) -> None:
    line(fake)
    whole, cut = io.BytesIO(), io.BytesIO()
    S3Admin(make_saver(fake)).export_thread("t", whole)
    with zipfile.ZipFile(whole) as archive, zipfile.ZipFile(cut, "w") as other:
        names = archive.namelist()
        lender = next(name for name in names if "/cez/" in name)
        for name in names:
            data = archive.read(name)
            if name == names[0]:
                data = data.replace(b'"checkpoints": 3', b'"checkpoints": 2')
            if name != lender:
                other.writestr(zipfile.ZipInfo(name), data)
    target = FakeS3()
    with pytest.raises(CorruptObjectError):
        S3Admin(make_saver(target)).import_thread(cut)
    assert not target.objects


def test_a_store_that_refuses_the_etag_it_shows_takes_a_second_deletion(
    fake: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_etags(monkeypatch)
    for _ in range(2):
        line(fake)
        make_saver(fake).delete_thread("t")
        assert not list(make_saver(fake).list(place("t")))
