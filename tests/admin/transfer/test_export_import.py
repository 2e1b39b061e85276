"""Export of threads to a file and import into another bucket, complete and without overwriting."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import random
import zipfile
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.serde.types import ERROR, RESUME

from langgraph_checkpoint_s3 import (
    ConflictError,
    CorruptObjectError,
    InvalidConfigError,
    InvalidKeyError,
)
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.admin.transfer.export_import import Exported, Imported
from langgraph_checkpoint_s3.plans.transfer import Sizes
from langgraph_checkpoint_s3.s3.requests import GetObject, ListObjects, PutObject
from tests.plans.borrowers import eager, lenders, noise, step
from tests.plans.helpers import once
from tests.support.checkpoints import place, put_chain
from tests.support.fake_s3 import Count, FakeS3
from tests.support.fake_store import make_saver
from tests.support.modes import cached
from tests.support.threads import nameless_contents

TRANSFER = "langgraph_checkpoint_s3.plans.transfer."
SMALL = Sizes(multipart_threshold=2_000, part_size=900)


@cached
def prepared() -> FakeS3:
    """Return a bucket with a thread of subgraphs, all kinds of writes, borrowing and a large object."""
    fake = FakeS3()
    saver = make_saver(fake)
    put_chain(saver, "t", 4, writes=2, run="r")
    put_chain(saver, "t", 3, ns="sub|1")
    put_chain(saver, "other", 2)
    saver.put_writes(place("t", "00000003"), [("c", random.Random(0).randbytes(2_500)), (RESUME, 1)], "large")
    saver.put_writes(place("t", "00000003"), [(ERROR, "e")], "special")
    saver.put_writes(place("t", "00000009"), [("c", 1)], "early")  # whose checkpoint may come yet
    lender = eager(fake)
    first = step(lender, "a0", ns="borrows", a=noise(3_000), b=noise(900))
    second = step(lender, "a1", first, ns="borrows", c=noise(500, 1))
    step(lender, "a2", second, ns="borrows", c=noise(500, 1) + b"more")
    step(lender, "a2", second, ns="borrows", c=noise(500, 2))  # put again, beside it
    assert lenders(fake, "a1", ns="borrows") == ["a0"]
    return fake


def admin_of(fake: FakeS3, **settings: Any) -> S3Admin:
    return S3Admin(make_saver(fake, sizes=SMALL, **settings))


@cached
def exported() -> bytes:
    file = io.BytesIO()
    admin_of(prepared().snapshot()).export_thread("t", file)
    return file.getvalue()


def content(file: bytes) -> dict[str, bytes]:
    """Return the members of a file without its manifest."""
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        return {name: archive.read(name) for name in archive.namelist()[1:]}


def at_once(count: Count) -> int:
    """Return the highest number of objects that one batch of requests is about."""
    return max(len({getattr(request, "key", None) for request in batch}) for batch in count.batches)


WHOLE = Exported("t", 11, 14, 0)


def test_it_keeps_its_name_by_default_and_goes_back_where_it_came_from() -> None:
    fake = FakeS3()
    assert admin_of(fake).import_thread(io.BytesIO(exported())).thread_id == "t"
    source = prepared()
    assert {key: fake.objects[key].data for key in fake.keys("/t.thread/")} == {
        key: source.objects[key].data for key in source.keys("/t.thread/") if "tearly" not in key
    }


def test_importing_again_changes_nothing_and_sends_nothing() -> None:
    fake = FakeS3()
    admin_of(fake).import_thread(io.BytesIO(exported()))
    before = dict(fake.objects)
    with fake.counted() as count:
        again = admin_of(fake).import_thread(io.BytesIO(exported()))
    assert again == Imported("t", 11, 14, 0, 25, ())
    assert fake.objects == before
    assert set(count.kinds) == {"ListObjects", "GetObject"}  # the one of several parts has another ETag


def test_existing_checkpoints_stay() -> None:
    fake = FakeS3()
    saver = make_saver(fake)
    put_chain(saver, "t", 5, values={"mine": 1}, writes=0)  # 4 of the same ids, without a run
    key = next(key for key in prepared().keys("/t.thread/") if "tspecial" in key)
    fake.put(key, b"something else")
    same_length = next(key for key in prepared().keys("/t.thread/") if "ttask-1" in key)
    fake.put(same_length, bytes(len(prepared().objects[same_length].data)))
    before = {key: fake.objects[key] for key in fake.objects}
    imported = admin_of(fake).import_thread(io.BytesIO(exported()))
    assert set(imported.kept) == {key, same_length}
    assert (imported.written, imported.unchanged) == (23, 0)
    assert {key: fake.objects[key] for key in before} == before


def test_checkpoints_that_arrive_meanwhile_stay() -> None:
    fake = FakeS3()
    key = next(key for key in prepared().keys("/t.thread/") if "tspecial" in key)

    def another(request: PutObject) -> None:
        fake.put(key, b"x" * len(prepared().objects[key].data))

    fake.hook = once(PutObject, another)
    imported = admin_of(fake).import_thread(io.BytesIO(exported()))
    assert imported.kept == (key,)
    assert fake.objects[key].data.startswith(b"xxx")


def test_a_store_without_conditions_overwrites_nothing_either() -> None:
    fake = FakeS3()
    fake.plain = True
    put_chain(make_saver(fake), "t", 1, values={"mine": 1}, writes=0, run="r")
    before = dict(fake.objects)
    imported = admin_of(fake).import_thread(io.BytesIO(exported()))
    assert imported.kept == tuple(before)
    assert {key: fake.objects[key] for key in before} == before


def test_writes_go_first_and_the_latest_last() -> None:
    fake = FakeS3()
    with fake.counted() as count:
        admin_of(fake).import_thread(io.BytesIO(exported()))
    kinds = [
        "writes" if "/writes" in request.key else request.key
        for request in count.requests
        if isinstance(request, PutObject) and "/.deleted/" not in request.key
    ]
    first = next(number for number, kind in enumerate(kinds) if kind != "writes")
    assert set(kinds[:first]) == {"writes"}
    assert "writes" not in kinds[first:]
    with zipfile.ZipFile(io.BytesIO(exported())) as archive:
        names = archive.namelist()[1:]
    ends = {name.rpartition("/")[0] for name in names[-4:]}
    newest = {ns: min(name.split("/")[1] for name in names if name.startswith(ns) and "/ch" in name) for ns in
              (".ns", "sub.7C1.ns", "borrows.ns")}  # fmt: skip
    assert ends == {f"{ns}/{rank}" for ns, rank in newest.items()}


@pytest.mark.parametrize("asynchronous", [False, True])
def test_windows_bound_what_is_in_memory(asynchronous: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TRANSFER + "_WINDOW", 5)
    monkeypatch.setattr(TRANSFER + "_WINDOW_BYTES", 3_000)
    fake, other, reported = prepared().snapshot(), FakeS3(), list[Any]()
    file = io.BytesIO()
    with fake.counted() as out:
        admin = admin_of(fake)
        if asynchronous:
            asyncio.run(admin.aexport_thread("t", file, progress=lambda *at: reported.append(at)))
        else:
            admin.export_thread("t", file, progress=lambda *at: reported.append(at))
    assert content(file.getvalue()) == content(exported())
    assert at_once(out) <= 5
    assert reported[-1] == (25, 25)
    assert reported == sorted(reported)
    assert len(reported) > 6
    reported.clear()
    with other.counted() as into:
        admin = admin_of(other)
        if asynchronous:
            asyncio.run(admin.aimport_thread(file, progress=lambda *at: reported.append(at)))
        else:
            admin.import_thread(file, progress=lambda *at: reported.append(at))
    assert at_once(into) <= 5
    assert reported[-1] == (25, 25)
    assert nameless_contents(make_saver(other), "t") == nameless_contents(make_saver(fake), "t")


def test_there_is_no_such_thread(tmp_path: Path) -> None:
    fake = FakeS3()
    make_saver(fake).put_writes(place("t", "1"), [("c", 1)], "task")  # of no checkpoint
    for thread in ("t", "none"):
        with pytest.raises(InvalidKeyError, match=f"no thread '{thread}'"):
            admin_of(fake).export_thread(thread, tmp_path / "file.zip")
    with pytest.raises(InvalidKeyError, match="thread_id"):
        admin_of(fake).export_thread("", tmp_path / "file.zip")
    assert list(tmp_path.iterdir()) == []


def test_a_deletion_meanwhile_is_a_conflict_and_leaves_no_file(tmp_path: Path) -> None:
    fake = prepared().snapshot()
    victim = fake.keys("/t.thread/")[-1]
    fake.hook = once(GetObject, lambda request: fake.delete(victim))
    (tmp_path / "file.zip").write_bytes(b"before")
    with pytest.raises(ConflictError, match="export it again"):
        admin_of(fake).export_thread("t", tmp_path / "file.zip")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"before"]
    fake.hook = None
    result = admin_of(fake).export_thread("t", str(tmp_path / "file.zip"))
    assert result.checkpoints + result.writes == 24
    assert len(list(tmp_path.iterdir())) == 1


def test_checkpoints_added_during_an_export_are_ignored() -> None:
    fake = prepared().snapshot()

    def add(request: GetObject) -> None:
        put_chain(make_saver(fake), "t", 2, first=4)

    fake.hook = once(GetObject, add)
    file = io.BytesIO()
    assert dataclasses.replace(admin_of(fake).export_thread("t", file), bytes=0) == WHOLE
    assert S3Admin(make_saver(FakeS3())).import_thread(file).written == 25


def test_a_checkpoint_materialized_during_an_export_is_exported() -> None:
    """As a pruning does it: the borrower is rewritten before its lender goes."""
    fake = prepared().snapshot()
    saver = make_saver(fake)

    def hook(moment: Any, request: Any) -> None:
        if isinstance(request, GetObject) and moment == "before":
            fake.hook = None
            saver.prune(["t"])

    fake.hook = hook
    with pytest.raises(ConflictError):
        admin_of(fake).export_thread("t", io.BytesIO())
    file = io.BytesIO()
    admin_of(fake).export_thread("t", file)
    other = FakeS3()
    admin_of(other).import_thread(file)
    assert nameless_contents(make_saver(other), "t") == nameless_contents(make_saver(fake), "t")


def test_a_damaged_object_isnt_exported() -> None:
    fake = prepared().snapshot()
    key = fake.keys("/t.thread/sub.7C1.ns/")[0]
    body = bytearray(fake.objects[key].data)
    body[-1] ^= 1
    fake.put(key, bytes(body))
    with pytest.raises(CorruptObjectError) as raised:
        admin_of(fake).export_thread("t", io.BytesIO())
    assert raised.value.key == key


class Full(io.BytesIO):
    def write(self, data: Any) -> int:
        if self.tell() > 2_000:
            raise OSError(28, "No space left on device")
        return super().write(data)


def test_a_full_disk_raises_oserror_and_leaves_an_invalid_file() -> None:
    file = Full()
    with pytest.raises(OSError, match="No space"):
        admin_of(prepared().snapshot()).export_thread("t", file)
    with pytest.raises(CorruptObjectError):
        admin_of(FakeS3()).import_thread(io.BytesIO(file.getvalue()))


def test_arguments_that_are_no_files() -> None:
    admin = admin_of(prepared().snapshot())
    for wrong in (io.StringIO(), None, 7):
        with pytest.raises(InvalidConfigError, match="write bytes"):
            admin.export_thread("t", wrong)  # type: ignore[arg-type]  # wrong on purpose
        with pytest.raises(InvalidConfigError, match="read bytes"):
            admin.import_thread(wrong)  # type: ignore[arg-type]  # wrong on purpose

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    with pytest.raises(InvalidConfigError, match="seek"):
        admin.import_thread(Pipe(exported()))
    with pytest.raises(FileNotFoundError):
        admin.import_thread("/no/such/file")
    with pytest.raises(FileNotFoundError):
        admin.export_thread("t", "/no/such/folder/file")


def test_keys_that_would_be_too_long_are_refused_before_anything_is_sent() -> None:
    fake = FakeS3()
    with fake.counted() as count, pytest.raises(InvalidKeyError, match="1024"):
        admin_of(fake, prefix="/".join(["p" * 250] * 4)).import_thread(io.BytesIO(exported()))
    assert count.requests == []


def test_a_thread_that_is_deleted_while_it_is_imported() -> None:
    fake = FakeS3()
    admin_of(fake).import_thread(io.BytesIO(exported()))

    def delete(request: ListObjects) -> None:
        for key in list(fake.objects):
            fake.delete(key)

    fake.hook = once(ListObjects, delete, "after")
    with pytest.raises(ConflictError, match="import it again"):
        admin_of(fake).import_thread(io.BytesIO(exported()))


def test_a_cancelled_export_leaves_no_file(tmp_path: Path) -> None:
    fake = prepared().snapshot()

    def cancel(request: GetObject) -> None:
        raise asyncio.CancelledError

    fake.hook = once(GetObject, cancel)

    async def run() -> None:
        with pytest.raises(asyncio.CancelledError):
            await admin_of(fake).aexport_thread("t", tmp_path / "file")

    asyncio.run(run())
    assert list(tmp_path.iterdir()) == []
    assert asyncio.run(admin_of(fake).aexport_thread("t", tmp_path / "file")).checkpoints == 11
    assert asyncio.run(admin_of(FakeS3()).aimport_thread(tmp_path / "file")).written == 25
