"""Uploads by signed URLs: accepting them, refusing invalid ones, and leaving other objects alone."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest

from langgraph_checkpoint_s3 import ConflictError, CorruptObjectError, InvalidKeyError
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.admin.transfer.dumps import dumps
from langgraph_checkpoint_s3.admin.transfer.export_import import Imported
from langgraph_checkpoint_s3.s3.admin_requests import InspectObject
from langgraph_checkpoint_s3.s3.requests import GetObject
from tests.admin.signed_urls.test_signing import EXPORTS, SMALL, admin, fake
from tests.admin.transfer.test_portable_file import FILE
from tests.plans.helpers import once
from tests.support.checkpoints import place
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver

__all__ = ["admin", "fake"]


@pytest.fixture
def handed_in(fake: FakeS3, admin: S3Admin) -> Any:
    """An upload that contains another thread's checkpoint."""
    upload = admin.signed_upload_url("support/1")
    found = make_saver(fake).get_tuple(place("borrows", "b4"))
    assert found is not None
    fake.put(upload.key, dumps(found))
    return upload, found


def test_an_upload_goes_into_the_thread_of_its_url(fake: FakeS3, admin: S3Admin, handed_in: Any) -> None:
    upload, found = handed_in
    assert upload.key.startswith(f"{EXPORTS}support.2F1/incoming-")
    imported = admin.accept_upload(upload)
    assert imported == Imported("support/1", 1, 0, 1, 0, ())
    assert upload.key not in fake.objects
    accepted = make_saver(fake).get_tuple(place("support/1"))
    assert accepted is not None
    assert accepted.checkpoint == found.checkpoint
    with pytest.raises(InvalidKeyError, match="accepted already"):
        admin.accept_upload(upload)


def test_it_can_be_accepted_by_its_key_into_another_thread(
    fake: FakeS3, admin: S3Admin, handed_in: Any
) -> None:
    upload, _ = handed_in
    reported: list[Any] = []
    accept = admin.aaccept_upload(upload.key, "elsewhere", progress=lambda *at: reported.append(at))
    assert asyncio.run(accept).thread_id == "elsewhere"
    assert reported == [(1, 1)]
    assert upload.key not in fake.objects
    assert make_saver(fake).get_tuple(place("elsewhere")) is not None


def test_a_whole_thread_can_be_handed_in(fake: FakeS3, admin: S3Admin) -> None:
    upload, file = admin.signed_upload_url("u"), io.BytesIO()
    admin.export_thread("with writes", file)
    fake.put(upload.key, file.getvalue())
    with fake.counted() as count:
        assert admin.accept_upload(upload).written == 8
    reads = [request for request in count.requests if isinstance(request, GetObject)]
    assert max(request.length or 0 for request in reads) == SMALL.part_size
    assert max(sum(isinstance(request, GetObject) for request in batch) for batch in count.batches) <= 4


@pytest.mark.parametrize(
    "data",
    [b"", b"hello", FILE[:-3], FILE[:500] + FILE[501:]],
    ids=["empty", "other", "cut off", "with a gap"],
)
def test_refused_uploads_stay(fake: FakeS3, admin: S3Admin, data: bytes) -> None:
    upload = admin.signed_upload_url("u")
    fake.put(upload.key, data)
    with pytest.raises(CorruptObjectError):
        admin.accept_upload(upload)
    assert fake.keys("/u.thread/") == []
    assert fake.objects[upload.key].data == data


def test_too_large_uploads_are_not_read(fake: FakeS3, admin: S3Admin, handed_in: Any) -> None:
    upload, _ = handed_in
    with fake.counted() as count, pytest.raises(CorruptObjectError, match="max_bytes is 100"):
        admin.accept_upload(upload, max_bytes=100)
    assert count.kinds == {"InspectObject": 1}
    assert upload.key in fake.objects


@pytest.mark.parametrize("kind", [InspectObject, GetObject])
def test_a_second_upload_meanwhile_is_a_conflict(
    fake: FakeS3, admin: S3Admin, handed_in: Any, kind: Any
) -> None:
    upload, _ = handed_in

    def another(request: Any) -> None:
        fake.put(upload.key, b"x" * 10_000)

    fake.hook = once(kind, another, "after")
    with pytest.raises(ConflictError, match="again"):
        admin.accept_upload(upload)
    assert upload.key in fake.objects
    assert fake.keys("/support.2F1.thread/") == []


@pytest.mark.parametrize(
    "key",
    [
        "checkpoints/t.thread/.ns/cez/checkpoint",
        f"{EXPORTS}t/59af678bf2703ecc9d5782cec1597a3b.zip",
        f"{EXPORTS}t/incoming-xyz.zip",
        f"{EXPORTS}t/incoming-0a.zip/more",
        f"{EXPORTS}t/deeper/incoming-0a.zip",
        f"{EXPORTS}/incoming-0a.zip",
        f"{EXPORTS}t.2f1/incoming-0a.zip",
        f"other/{EXPORTS}t/incoming-0a.zip",
        "incoming-0a.zip",
        "",
    ],
)
def test_no_other_object_is_taken_nor_deleted(fake: FakeS3, admin: S3Admin, key: str) -> None:
    with fake.counted() as count, pytest.raises(InvalidKeyError, match="key of an upload"):
        admin.accept_upload(key)
    assert count.requests == []
