"""Threads and namespaces whose names are too long for a part of a key: they work as all others do."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest

from langgraph_checkpoint_s3 import CorruptObjectError, InvalidKeyError, S3Saver
from langgraph_checkpoint_s3.admin import S3Admin, dumps, loads
from langgraph_checkpoint_s3.format.key_encoding import HashedName
from langgraph_checkpoint_s3.format.keys import MAX_SEGMENT_BYTES, TOMBSTONES
from tests.plans.borrowers import cold, lenders, made_eager, noise, step
from tests.plans.helpers import get, ids, put
from tests.support import inside
from tests.support.checkpoints import place, put_chain, shown
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver
from tests.support.keys import Keys

LONG = "顧客の長い会話の名前" * 5
LONGER = f"{LONG}/二"
NESTED = "|".join(f"planner_{depth}:1f0a2c6e-0000-6000-8002-00000000000{depth}" for depth in range(6))
SHORT = "t"
WAYS: dict[str, dict[str, Any]] = {"plain": {}, "encrypted": {"encryption": Keys()}}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> dict[str, Any]:
    return WAYS[request.param]


def filled(fake: FakeS3, thread: str, ns: str = "", **settings: Any) -> S3Saver:
    """A thread that borrows, with pending writes."""
    saver = made_eager(make_saver(fake, **settings))
    first = step(saver, "01", thread=thread, ns=ns, text=noise(3_000), run="r")
    second = step(saver, "02", first, thread=thread, ns=ns, n=1, run="r")
    step(saver, "03", second, thread=thread, ns=ns, n=2, run="q" * 80)
    saver.put_writes(place(thread, "03", ns), [("c", 1), ("__error__", "e")], "task" * 30)
    return saver


def all_of(fake: FakeS3, thread: str, **settings: Any) -> list[Any]:
    """Return a new process's view of a thread, without its name."""
    found = list(make_saver(fake, **settings).list(place(thread, ns=None)))
    assert all(each.config["configurable"]["thread_id"] == thread for each in found)
    return [(shown(each)[0][1:], *shown(each)[2:]) for each in found]


def test_every_part_of_every_key_is_a_files_name(fake: FakeS3, way: dict[str, Any], tmp_path: Path) -> None:
    saver = filled(fake, LONG, NESTED, **way)
    admin = S3Admin(saver)
    admin.signed_url(LONG, "03", checkpoint_ns=NESTED)
    with saver.lease(LONG):
        assert any("/.leases/" in key for key in fake.objects)
    assert all(len(part) <= MAX_SEGMENT_BYTES for key in fake.objects for part in key.split("/"))


def test_it_is_read_listed_and_deleted(fake: FakeS3, way: dict[str, Any]) -> None:
    saver = filled(fake, LONG, NESTED, **way)
    filled(fake, LONG, **way)
    filled(fake, SHORT, **way)
    reader = make_saver(fake, **way)
    found = get(reader, place(LONG, ns=NESTED))
    assert found.config["configurable"] == {
        "thread_id": LONG,
        "checkpoint_ns": NESTED,
        "checkpoint_id": "03",
    }
    assert found.parent_config is not None
    assert found.parent_config["configurable"]["thread_id"] == LONG
    assert found.pending_writes == [("task" * 30, "__error__", "e"), ("task" * 30, "c", 1)]
    assert ids(reader, place(LONG, ns=None)) == ["03", "03", "02", "02", "01", "01"]
    everything = [each.config["configurable"] for each in reader.list(None)]
    named = {(each["thread_id"], each["checkpoint_ns"]) for each in everything}
    assert named == {(LONG, NESTED), (LONG, ""), (SHORT, "")}
    assert len(everything) == 9
    for wanted, count in (("q" * 80, 1), ("r", 2), ("q" * 79, 0)):
        assert len(list(reader.list(place(LONG), filter={"run_id": wanted}))) == count
    reader.delete_for_runs(["q" * 80])
    assert ids(make_saver(fake, **way), place(LONG, ns=None)) == ["02", "02", "01", "01"]
    saver.prune([LONG])
    assert ids(make_saver(fake, **way), place(LONG, ns=None)) == ["02", "02"]
    assert get(make_saver(fake, **way), place(LONG)).checkpoint["channel_values"]["text"] == noise(3_000)
    saver.delete_thread(LONG)
    assert ids(make_saver(fake, **way), None) == ["02", "01"]


def test_admins_know_it_by_its_name(fake: FakeS3, way: dict[str, Any]) -> None:
    for name in (LONG, LONGER, SHORT):
        filled(fake, name, **way)
    filled(fake, LONG, NESTED, **way)
    admin = S3Admin(make_saver(fake, **way))
    assert sorted(admin.threads()) == sorted([LONG, LONGER, SHORT])
    assert sorted(admin.threads(LONG)) == sorted([LONG, LONGER])
    assert list(admin.threads(LONGER)) == [LONGER]
    assert list(admin.threads("t")) == ["t"]
    assert len(list(admin.threads(limit=2))) == 2
    assert admin.usage().threads == 3
    assert (admin.usage(LONG).checkpoints, admin.usage(LONG).namespaces) == (6, 2)
    assert len(admin.checkpoint_sizes(LONG)) == 6
    assert all(each.bytes for each in admin.history(LONG))
    assert {each.thread_id for each in admin.prune_threads(1, dry_run=True).victims} == {LONG, LONGER, SHORT}
    admin.purge_thread(LONG, dry_run=False)
    assert sorted(admin.threads()) == sorted([LONGER, SHORT])


@pytest.mark.parametrize(("source", "target"), [(LONG, SHORT), (SHORT, LONG), (LONG, LONGER)])
def test_a_copy_names_its_own_thread(fake: FakeS3, way: dict[str, Any], source: str, target: str) -> None:
    saver = filled(fake, source, NESTED, **way)
    before = all_of(fake, source, **way)
    saver.copy_thread(source, target)
    assert all_of(fake, source, **way) == all_of(fake, target, **way) == before
    objects = {key: each.data for key, each in fake.objects.items() if TOMBSTONES not in key}
    saver.copy_thread(source, target)
    assert {
        key: each.data for key, each in fake.objects.items() if TOMBSTONES not in key
    } == objects  # the same each time
    made_eager(saver)
    third = get(saver, place(target, ns=NESTED)).checkpoint
    step(saver, "04", third, thread=target, ns=NESTED, n=3)
    saver.delete_thread(source)
    values = get(make_saver(fake, **way), place(target, ns=NESTED)).checkpoint["channel_values"]
    assert values == {"text": noise(3_000), "n": 3}
    assert sorted(S3Admin(make_saver(fake, **way)).threads()) == [target]
    saver.copy_thread(target, LONG * 2)  # and on
    assert len(all_of(fake, LONG * 2, **way)) == 4


def test_a_copy_goes_on_borrowing(fake: FakeS3) -> None:
    filled(fake, SHORT).copy_thread(SHORT, LONG)
    assert lenders(fake, "03", thread=LONG) == ["01"]
    assert cold(fake, thread=LONG)["text"] == noise(3_000)


def test_a_plain_copy_into_a_short_name_is_the_stores(fake: FakeS3) -> None:
    saver = filled(fake, LONG)
    with fake.counted() as count:
        saver.copy_thread(LONG, SHORT)
    # One borrows. So it is read and written, the target is listed before, and its tombstones are told.
    assert count.kinds["CopyObject"] == 3
    assert count.kinds["PutObject"] == 1 + 3


def test_a_copy_after_its_lenders_were_deleted(fake: FakeS3, way: dict[str, Any]) -> None:
    saver = filled(fake, LONG, **way)
    saver.copy_thread(LONG, LONGER)
    saver.prune([LONG])
    before = all_of(fake, LONGER, **way)
    make_saver(fake, **way).copy_thread(LONG, LONGER)  # the last one is whole now
    assert all_of(fake, LONGER, **way) == before


@pytest.mark.parametrize(("source", "target"), [(LONG, SHORT), (SHORT, LONG), (LONG, LONGER), (LONG, None)])
def test_it_moves_through_a_file(
    fake: FakeS3, way: dict[str, Any], tmp_path: Path, source: str, target: str | None
) -> None:
    filled(fake, source, NESTED, **way)
    S3Admin(make_saver(fake, **way)).export_thread(source, tmp_path / "t.zip")
    other = FakeS3()
    admin = S3Admin(make_saver(other, **way))
    done = admin.import_thread(tmp_path / "t.zip", target)
    assert (done.thread_id, done.written, done.checkpoints, done.kept) == (target or source, 5, 3, ())
    assert all_of(other, target or source, **way) == all_of(fake, source, **way)
    again = admin.import_thread(tmp_path / "t.zip", target)
    assert (again.written, again.unchanged, again.kept) == (0, 5, ())
    for key in [key for key in other.objects if "/checkpoint.p02" in key]:
        other.delete(key)
    assert admin.import_thread(tmp_path / "t.zip", target).written == 1  # what it borrows is there still
    assert all_of(other, target or source, **way) == all_of(fake, source, **way)


def test_a_file_that_lacks_a_lender_is_refused_before_anything_is_written(
    fake: FakeS3, tmp_path: Path
) -> None:
    filled(fake, SHORT)
    S3Admin(make_saver(fake)).export_thread(SHORT, tmp_path / "t.zip")
    with zipfile.ZipFile(tmp_path / "t.zip") as whole, zipfile.ZipFile(tmp_path / "cut.zip", "w") as cut:
        for info in whole.infolist():
            data = whole.read(info)
            if info.filename == "manifest.json":
                data = data.replace(b'"checkpoints": 3', b'"checkpoints": 2')
            if "/checkpoint.rr" not in info.filename:
                cut.writestr(info, data)
    other = FakeS3()
    with pytest.raises(CorruptObjectError, match="isn't in the file before it") as caught:
        S3Admin(make_saver(other)).import_thread(tmp_path / "cut.zip", LONG)
    assert caught.value.key is not None
    assert not other.objects


def test_it_is_handed_out_and_in(fake: FakeS3) -> None:
    saver = filled(fake, LONG)
    admin = S3Admin(saver)
    found = get(saver, place(LONG))
    assert shown(loads(dumps(found))) == shown(found)
    upload = admin.signed_upload_url(LONG)
    fake.put(upload.key, dumps(get(filled(fake, SHORT), place(SHORT))))
    with pytest.raises(InvalidKeyError, match="pass its thread_id"):
        admin.accept_upload(upload.key)
    saver.delete_thread(LONG)
    assert admin.accept_upload(upload).thread_id == LONG
    here, there = (get(make_saver(fake), place(name)).checkpoint for name in (LONG, SHORT))
    assert here == there
    fake.put(upload.key, dumps(get(make_saver(fake), place(LONG))))
    assert admin.accept_upload(upload.key).thread_id == LONG  # the file says which


def test_objects_put_under_another_long_name_by_hand_are_refused(fake: FakeS3) -> None:
    saver = filled(fake, LONG)
    context = inside.context(saver)
    old, new = context.layout.thread(LONG), context.layout.thread(LONGER)
    for key in list(fake.objects):
        fake.put(new + key.removeprefix(old), fake.objects[key].data)
    with pytest.raises(CorruptObjectError, match=r"another thread's.*copy_thread"):
        get(make_saver(fake), place(LONGER))
    [hidden] = [each for each in S3Admin(make_saver(fake)).threads() if each != LONG]
    assert isinstance(hidden, HashedName)
    with pytest.raises(InvalidKeyError, match="only the hash is known"):
        put(saver, "09", thread=hidden)
    saver.delete_thread(hidden)
    assert list(S3Admin(make_saver(fake)).threads()) == [LONG]


def test_objects_put_under_another_long_namespace_by_hand_are_refused(fake: FakeS3) -> None:
    saver = filled(fake, SHORT, NESTED)
    context = inside.context(saver)
    old, new = context.layout.namespace(SHORT, NESTED), context.layout.namespace(SHORT, NESTED + "x")
    for key in list(fake.objects):
        fake.put(new + key.removeprefix(old), fake.objects[key].data)
    with pytest.raises(CorruptObjectError, match="under another one's key"):
        get(make_saver(fake), place(SHORT, ns=NESTED + "x"))


def test_ids_that_are_too_long_are_refused_by_name(fake: FakeS3) -> None:
    saver = make_saver(fake)
    with pytest.raises(InvalidKeyError, match="longest part is the checkpoint_id"):
        put(saver, "i" * 128)
    with pytest.raises(InvalidKeyError, match="longest part is the parent checkpoint_id"):
        put(saver, "1", "é" * 60, run_id="r" * 99)
    with pytest.raises(InvalidKeyError, match="longest part is the checkpoint_id"):
        saver.put_writes(place("t", "i" * 128), [("c", 1)], "task")
    assert not fake.objects
    put(saver, "i" * 127, "é" * 15, source="s" * 99, run_id="r" * 99)
    found = get(make_saver(fake), place("t"))
    assert found.parent_config is not None
    assert found.parent_config["configurable"]["checkpoint_id"] == "é" * 15
    assert put_chain(saver, LONG, 2)
