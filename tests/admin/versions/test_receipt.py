"""The receipt of a purge on a fake S3: what went, what is left, and the file of a purge that is cut short."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from langgraph_checkpoint_s3 import (
    AccessDeniedError,
    ConflictError,
    InvalidConfigError,
    S3Saver,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.admin import PurgeReceipt, S3Admin
from langgraph_checkpoint_s3.s3.admin_requests import DeleteVersions, ListVersions
from langgraph_checkpoint_s3.s3.requests import CreateUpload, DeleteObjects, Request
from tests.admin.versions.versioned import admin, fake, family, left, short
from tests.plans.helpers import once, put
from tests.support.fake_s3 import FakeS3, Moment
from tests.support.fake_store import make_saver
from tests.support.hooks import failing

__all__ = ["admin", "fake", "short"]

TOMBSTONES = "/.deleted/"


def thread(fake: FakeS3) -> S3Saver:
    """Create a thread that was deleted and put again, with an export, a lease and an unfinished upload."""
    saver = make_saver(fake)
    family(saver)
    saver.delete_thread("t")
    family(make_saver(fake), ids="5678")
    fake.put("checkpoints/t.thread/notes.txt", b"a stranger's")
    fake.put("checkpoints/.exports/t/1/whole", b"all of it")
    fake.put("checkpoints/.leases/t.lease", b"a lease")
    fake.execute(CreateUpload("checkpoints/t.thread/x"))
    family(saver, "u")
    return saver


def stored(fake: FakeS3) -> dict[tuple[str, str], tuple[int, str]]:
    """Return the size and ETag of each version of what is the thread's."""
    keys = [*left(fake), *left(fake, ".exports/t/"), *left(fake, ".leases/t.lease")]
    return {
        (key, version): (len(each.data), each.etag) if each else (0, "")
        for key in keys
        for version, each, _ in fake.versions[key]
    }


def removed(receipt: PurgeReceipt) -> dict[tuple[str, str], tuple[int, str]]:
    found = [each for each in receipt.removed if each.state != "upload"]
    return {(each.key, each.id): (each.size or 0, each.etag) for each in found}


def test_it_names_each_version_that_went(fake: FakeS3, admin: S3Admin, tmp_path: Path) -> None:
    thread(fake)
    before, file = stored(fake), tmp_path / "receipt.json"
    assert len(before) == 2 * 12 + 12 + 3
    receipt = admin.purge_thread("t", dry_run=False, receipt=file).receipt
    assert removed(receipt) == before
    kinds = {each.kind: 0 for each in receipt.removed}
    for each in receipt.removed:
        kinds[each.kind] += 1
    assert kinds == {"checkpoint": 12, "writes": 24, "lease": 1, "export": 1, "other": 2}
    assert [each.key for each in receipt.removed if each.state == "upload"] == ["checkpoints/t.thread/x"]
    assert sum(each.state == "marker" for each in receipt.removed) == 12
    assert [each.key for each in receipt.removed] == sorted(each.key for each in receipt.removed)
    assert receipt.complete
    assert (receipt.left, receipt.error, receipt.unseen, receipt.dry_run) == ((), None, (), False)
    assert (receipt.thread_id, receipt.place) == ("t", "s3://fake-bucket/checkpoints/")
    assert receipt.begun <= (receipt.listed or receipt.begun) <= (receipt.ended or receipt.begun)
    assert stored(fake) == {}
    document = json.loads(file.read_text())
    assert file.read_text() == receipt.to_json()
    assert (document["format"], document["version"]) == ("langgraph-checkpoint-s3/purge-receipt", 1)
    assert (document["complete"], document["left"], document["error"]) == (True, [], None)
    assert {(each["key"], each["id"]) for each in document["removed"]} >= before.keys()
    assert file.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["receipt.json"]


def test_what_stays_on_purpose_is_told(fake: FakeS3, admin: S3Admin) -> None:
    thread(fake)
    receipt = admin.purge_thread("t", dry_run=False).receipt
    [kept] = receipt.kept
    assert (kept.kind, TOMBSTONES in kept.key) == ("tombstones", True)
    assert kept.key in fake.objects
    assert admin.purge_thread("nobody", dry_run=False).receipt.kept == ()


def test_a_dry_run_says_what_is_there_and_writes_no_file(
    fake: FakeS3, admin: S3Admin, tmp_path: Path
) -> None:
    thread(fake)
    before = stored(fake)
    receipt = admin.purge_thread("t", receipt=tmp_path / "receipt.json").receipt
    assert {(each.key, each.id) for each in receipt.left if each.state != "upload"} == before.keys()
    assert (receipt.removed, receipt.complete, receipt.dry_run) == ((), False, True)
    assert list(tmp_path.iterdir()) == []
    assert stored(fake) == before


def test_what_is_written_meanwhile_is_in_it(fake: FakeS3, admin: S3Admin) -> None:
    saver = thread(fake)
    before = stored(fake)
    fake.hook = once(DeleteVersions, lambda _: put(saver, "9"), "after")
    went = removed(admin.purge_thread("t", dry_run=False).receipt)
    late = went.keys() - before.keys()
    assert len(late) == 1
    assert went.keys() - late == before.keys()


@pytest.mark.parametrize("kind", [DeleteObjects, DeleteVersions])
def test_cut_short_it_says_what_went_and_what_is_left(
    fake: FakeS3, admin: S3Admin, kind: type[Request[Any]], short: None, tmp_path: Path
) -> None:
    """Two receipts, of a purge that failed and of the one after it, are all of it together."""
    thread(fake)
    before = stored(fake)
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    fake.hook = failing(kind, after=7)
    with pytest.raises(StorageUnavailableError):
        admin.purge_thread("t", dry_run=False, receipt=first)
    fake.hook = None
    document = json.loads(first.read_text())
    assert not document["complete"]
    assert "SlowDown" in document["error"]
    gone = {(each["key"], each["id"]) for each in document["removed"] if each["state"] != "upload"}
    there = {(each["key"], each["id"]) for each in document["left"] if each["state"] != "upload"}
    assert gone == before.keys() - stored(fake).keys()
    assert there == stored(fake).keys()
    assert gone or kind is DeleteObjects  # markers only hide
    admin.purge_thread("t", dry_run=False, receipt=second)
    document = json.loads(second.read_text())
    assert document["complete"]
    assert gone | {(each["key"], each["id"]) for each in document["removed"]} >= before.keys()


def test_what_may_not_be_deleted_is_left(fake: FakeS3, admin: S3Admin, tmp_path: Path) -> None:
    thread(fake)
    [*_, key] = left(fake, "t.thread/")
    fake.undeletable = {key: ("AccessDenied", "object protected by lock")}
    file = tmp_path / "receipt.json"
    with pytest.raises(AccessDeniedError, match="protected by lock"):
        admin.purge_thread("t", dry_run=False, receipt=file)
    document = json.loads(file.read_text())
    assert "protected by lock" in document["error"]
    assert key in {each["key"] for each in document["left"]}
    assert {(each["key"], each["id"]) for each in document["left"]} >= stored(fake).keys()


def test_without_a_listing_afterwards_nothing_is_claimed(
    fake: FakeS3, admin: S3Admin, tmp_path: Path
) -> None:
    thread(fake)
    before, file = stored(fake), tmp_path / "receipt.json"
    deletions, listings = failing(DeleteVersions), failing(ListVersions, after=4)

    def hook(moment: Moment, request: Request[Any]) -> None:
        deletions(moment, request)
        listings(moment, request)

    fake.hook = hook
    with pytest.raises(StorageUnavailableError):
        admin.purge_thread("t", dry_run=False, receipt=file)
    document = json.loads(file.read_text())
    assert (document["listed"], document["removed"], document["complete"]) == (None, [], False)
    assert {(each["key"], each["id"]) for each in document["left"]} >= before.keys()


def test_the_file_is_there_before_anything_is_removed(fake: FakeS3, admin: S3Admin, tmp_path: Path) -> None:
    thread(fake)
    before, file = stored(fake), tmp_path / "receipt.json"
    seen: list[Any] = []
    fake.hook = once(DeleteObjects, lambda _: seen.append(json.loads(file.read_text())))
    admin.purge_thread("t", dry_run=False, receipt=file)
    [document] = seen
    assert (document["removed"], document["ended"], document["complete"]) == ([], None, False)
    assert {(each["key"], each["id"]) for each in document["left"]} >= before.keys()


def test_a_writer_that_goes_on(fake: FakeS3, admin: S3Admin, tmp_path: Path) -> None:
    saver = thread(fake)

    def hook(moment: Moment, request: Request[Any]) -> None:
        if moment == "after" and isinstance(request, DeleteObjects):
            put(saver, "9")

    fake.hook = hook
    file = tmp_path / "receipt.json"
    with pytest.raises(ConflictError, match="goes on writing"):
        admin.purge_thread("t", dry_run=False, receipt=file)
    document = json.loads(file.read_text())
    assert {each["id"] for each in document["left"]} == {version for _, version in stored(fake)}
    assert "goes on writing" in document["error"]


@pytest.mark.parametrize("path", ["there.json", "no-such-folder/receipt.json"])
def test_no_file_is_overwritten(fake: FakeS3, admin: S3Admin, tmp_path: Path, path: str) -> None:
    thread(fake)
    before, there = dict(fake.objects), tmp_path / "there.json"
    there.write_text("another's")
    with pytest.raises((FileExistsError, FileNotFoundError)):
        admin.purge_thread("t", dry_run=False, receipt=tmp_path / path)
    assert fake.objects == before
    assert there.read_text() == "another's"


@pytest.mark.parametrize("path", ["", 7, b""])
def test_a_receipt_is_a_path(fake: FakeS3, admin: S3Admin, path: Any) -> None:
    with fake.counted() as count, pytest.raises(InvalidConfigError, match="path of a file"):
        admin.purge_thread("t", dry_run=False, receipt=path)
    assert not count.requests


def test_the_requests_of_a_purge(fake: FakeS3, admin: S3Admin, tmp_path: Path) -> None:
    """The receipt costs one LIST, that of the tombstones at the end."""
    put(make_saver(fake), "1")
    with fake.counted() as look:
        admin.purge_thread("t")
    assert look.kinds == {"ListVersions": 4, "ListUploads": 4}
    with fake.counted() as done:
        admin.purge_thread("t", dry_run=False, receipt=tmp_path / "receipt.json")
    # First the object and its version, then the marker: a listing before, between and after. Where the last
    # one finds no versions it looks for objects.
    assert done.kinds == {
        "ListVersions": 3 * 4,
        "ListUploads": 3 * 4,
        "DeleteObjects": 1,
        "DeleteVersions": 2,
        "ListObjects": 4 + 1,
    }
