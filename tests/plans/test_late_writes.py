"""Writes that arrive during or after `delete_thread` don't bring the thread back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.base import Checkpoint

from langgraph_checkpoint_s3 import ConflictError, InvalidKeyError, S3Saver
from langgraph_checkpoint_s3.plans.transfer import Sizes
from langgraph_checkpoint_s3.s3.requests import (
    CompleteUpload,
    CopyObject,
    DeleteObjects,
    GetObject,
    HeadObject,
    ListObjects,
    PutObject,
    Request,
)
from tests.admin.retention.test_prune import admin_of
from tests.plans.borrowers import cold, key_of, layout, noise, step
from tests.plans.helpers import get, once, put
from tests.plans.leasing import Time, lease, time
from tests.support.checkpoints import place, put_chain
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver

pytestmark = pytest.mark.modes("plain", "private")

__all__ = ["time"]

IN_PARTS = Sizes(multipart_threshold=2_000, part_size=900)
SIZES = pytest.mark.parametrize("sizes", [None, IN_PARTS], ids=["one PUT", "in parts"])
DOCUMENTS = noise(40_000)
WRITES: dict[str, Any] = {
    "regular": [("a", 1)],
    "special": [("__error__", "late")],
    "both": [("a", 1), ("__error__", "late")],
    "large": [("a", noise(5_000))],
}


def line(saver: S3Saver, ns: str = "") -> Checkpoint:
    """Two checkpoints, of which the second borrows from the first."""
    return step(saver, "02", step(saver, "01", ns=ns, documents=DOCUMENTS), ns=ns, n=2)


def delete(fake: FakeS3) -> Callable[[Any], None]:
    """An action that deletes the thread, by another process."""

    def act(_: Any) -> None:
        fake.hook = None
        make_saver(fake).delete_thread("t")

    return act


def gone(fake: FakeS3) -> None:
    """Nobody sees the thread."""
    for reader in (make_saver(fake), make_saver(fake, borrow=False)):
        assert reader.get_tuple(place("t")) is None
        assert list(reader.list(place("t"))) == list(reader.list(None)) == []


# Writes


@pytest.mark.parametrize("kind", WRITES)
def test_late_writes_show_nowhere(fake: FakeS3, kind: str, tmp_path: Path) -> None:
    saver = make_saver(fake, sizes=IN_PARTS)
    put_chain(saver, "t", 3, writes=1)
    make_saver(fake).delete_thread("t")
    saver.put_writes(place("t", "00000001"), WRITES[kind], "task")
    asyncio.run(saver.aput_writes(place("t", "00000001"), WRITES[kind], "task"))  # sent again, say
    left = fake.keys()
    assert left
    assert all("/writes." in key for key in left)
    gone(fake)
    for checkpoint_id in ("00000000", "00000001"):
        assert make_saver(fake).get_tuple(place("t", checkpoint_id)) is None
    admin = admin_of(fake)
    assert admin.usage("t").checkpoints == 0
    with pytest.raises(InvalidKeyError, match="no thread 't'"):
        admin.export_thread("t", tmp_path / "t.zip")
    make_saver(fake).copy_thread("t", "u")
    make_saver(fake).prune(["t"])
    admin.prune_threads(1, dry_run=False)
    assert fake.keys() == left
    assert list(admin.threads()) == ["t"]  # what there is, as an inventory tells it
    fake.age(timedelta(days=2))
    went = admin_of(fake).remove_orphans(dry_run=False)
    assert [each.key for each in went.of("writes")] == left
    assert not fake.objects


def test_so_does_deleting_the_thread_again_or_beginning_it_anew(fake: FakeS3, saver: S3Saver) -> None:
    put_chain(saver, "t", 2)
    saver.delete_thread("t")
    saver.put_writes(place("t", "00000001"), [("a", 1)], "task")
    put(saver, "00000009")
    [found] = make_saver(fake).list(place("t"))
    assert (found.checkpoint["id"], found.pending_writes) == ("00000009", [])
    saver.delete_thread("t")
    assert not fake.objects


@SIZES
@pytest.mark.parametrize("until", [ListObjects, DeleteObjects])
def test_writes_in_the_middle_of_a_deletion(
    fake: FakeS3, until: type[Request[Any]], sizes: Sizes | None
) -> None:
    saver = make_saver(fake, sizes=sizes)
    put_chain(saver, "t", 2)

    def write(_: Any) -> None:
        fake.hook = None
        saver.put_writes(place("t", "00000001"), [("a", noise(5_000))], "task")

    fake.hook = once(until, write)
    make_saver(fake).delete_thread("t")
    gone(fake)
    left = [key.rpartition("/")[2] for key in fake.objects]
    assert [key.startswith("writes.") for key in left] == [True] * (until is DeleteObjects)


# Checkpoints


@SIZES
@pytest.mark.parametrize("ns", ["", "sub"])
def test_a_late_checkpoint_that_borrows_is_taken_out_again(
    fake: FakeS3, sizes: Sizes | None, ns: str
) -> None:
    saver = make_saver(fake, sizes=sizes)
    second = line(saver, ns)
    put_chain(saver, "other", 1)
    others = [key for key in fake.keys(layout().thread("other")) if "/writes." not in key]
    make_saver(fake).delete_thread("t")
    saver.put_writes(place("t", "02", ns), [("a", 1)], "task")
    for _ in range(2):  # to do it again changes nothing
        with pytest.raises(ConflictError, match="was deleted while this run went on"):
            step(saver, "03", second, ns=ns, more=noise(3_000))
        assert fake.keys("/checkpoint") == others
        assert not fake.uploads
    first = step(saver, "04", ns=ns, documents=DOCUMENTS)  # begun anew
    last = step(saver, "05", first, ns=ns, n=5)
    assert cold(fake, ns=ns) == last["channel_values"]
    assert len(list(make_saver(fake).list(place("t", ns=ns)))) == 2


@pytest.mark.parametrize("moment", [PutObject, GetObject, HeadObject])
def test_a_checkpoint_in_the_middle_of_a_deletion(fake: FakeS3, moment: type[Request[Any]]) -> None:
    """Before its PUT, behind it, and when it has looked at the tombstones."""
    saver = make_saver(fake)
    second = line(saver)
    fake.hook = once(moment, delete(fake))
    with pytest.raises(ConflictError, match="was deleted while"):
        step(saver, "03", second, n=3)
    assert fake.keys("/checkpoint") == []


@SIZES
def test_nor_does_the_second_writing_bring_it_back(fake: FakeS3, sizes: Sizes | None) -> None:
    """A lender is gone, so it is written again; by then the thread is deleted."""
    saver = make_saver(fake, sizes=sizes)
    second = line(saver)
    fake.delete(key_of(fake, "01"))
    last = PutObject if sizes is None else CompleteUpload
    fake.hook = lambda moment, request: (
        delete(fake)(request)
        if isinstance(request, last) and request.expected and moment == "before"
        else None
    )
    with pytest.raises(ConflictError, match="was deleted while it was being written"):
        step(saver, "03", second, n=3)
    assert fake.keys("/checkpoint") == []
    assert not fake.uploads


def test_where_nothing_may_be_deleted_it_is_passed_over(fake: FakeS3, saver: S3Saver) -> None:
    second = line(saver)
    make_saver(fake).delete_thread("t")
    fake.hook = once(
        PutObject, lambda request: fake.undeletable.update({request.key: ("AccessDenied", "no")}), "after"
    )
    with pytest.raises(ConflictError, match="couldn't be deleted"):
        step(saver, "03", second, n=3)
    assert len(fake.keys("/checkpoint")) == 1
    assert make_saver(fake).get_tuple(place("t")) is None
    assert list(make_saver(fake).list(None)) == []


def test_a_thread_begun_anew_keeps_a_late_checkpoint(fake: FakeS3, saver: S3Saver) -> None:
    """It can't be told from one that was pruned: so nothing that somebody may want is taken."""
    second = line(saver)
    make_saver(fake).delete_thread("t")
    put(make_saver(fake), "09")
    third = step(saver, "03", second, n=3)
    assert cold(fake, "03") == third["channel_values"]


def test_a_late_checkpoint_that_borrows_nothing_is_a_thread(fake: FakeS3) -> None:
    """As with LangGraph's own savers: who must not let that happen takes the lease."""
    saver = make_saver(fake, borrow=False)
    second = line(saver)
    make_saver(fake).delete_thread("t")
    with fake.counted() as count:
        third = step(saver, "03", second, n=3)
    assert count.kinds == {"PutObject": 1}
    assert cold(fake) == third["channel_values"]
    assert len(fake.keys()) == 1


def test_under_its_lease_a_thread_is_deleted_between_runs(fake: FakeS3, time: Time) -> None:
    runner, deleter = make_saver(fake), make_saver(fake)
    held = lease(runner, time, "the run").acquire()
    second = line(runner)
    with pytest.raises(ConflictError, match="the run holds the lease"):
        lease(deleter, time, "the deletion").acquire()
    step(runner, "03", second, n=3)
    time.passes(120)  # the run hangs, for longer than its lease
    with lease(deleter, time, "the deletion") as after:
        deleter.delete_thread("t")
        with pytest.raises(ConflictError, match="has ended"):
            held.check()  # so the run ends here, and writes nothing any more
        with pytest.raises(ConflictError, match="the deletion took it over"):
            held.renew()
        assert after.token > held.token
    with lease(runner, time, "the next run"):
        assert runner.get_tuple(place("t")) is None
        put(runner, "01")
    assert get(deleter, place("t")).checkpoint["id"] == "01"


# Copies


def test_what_is_copied_after_the_deletion_is_deleted_with_the_thread(fake: FakeS3, saver: S3Saver) -> None:
    put_chain(saver, "u", 3, writes=1)
    target = layout().thread("t")

    def hook(moment: Any, request: Request[Any]) -> None:
        where = request.target if isinstance(request, CopyObject) else getattr(request, "key", "")
        if moment == "before" and where.startswith(target) and "/checkpoint" in where:
            delete(fake)(request)

    fake.hook = hook
    saver.copy_thread("u", "t")  # its first batch, of writes, was deleted
    assert len(fake.keys(target)) == 3
    saver.copy_thread("u", "t")
    assert len(fake.keys(target)) == 6
    saver.delete_thread("t")
    assert len(fake.objects) == len(fake.keys(layout().thread("u"))) == 6
