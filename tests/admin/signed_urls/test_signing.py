"""Signed URLs on the fake S3: their objects, the exports made for them, and uploads."""

from __future__ import annotations

import asyncio
import logging
import warnings
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from langgraph_checkpoint_s3 import (
    ConflictError,
    InvalidConfigError,
    InvalidKeyError,
    NotSupportedError,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.admin.signed_urls.api import SignedUrlWarning
from langgraph_checkpoint_s3.admin.transfer.dumps import loads
from langgraph_checkpoint_s3.plans.transfer import Sizes
from langgraph_checkpoint_s3.s3.admin_requests import Sign, Signed
from langgraph_checkpoint_s3.s3.bucket_settings import LIFECYCLE
from langgraph_checkpoint_s3.s3.requests import GetObject, ListObjects, PutObject
from tests.plans.borrowers import eager, lenders, noise, step
from tests.plans.helpers import once, put
from tests.support.checkpoints import place, put_chain, shown
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver
from tests.support.hooks import failing

EXPORTS = "checkpoints/.exports/"
SMALL = Sizes(multipart_threshold=2_000, part_size=900)


@pytest.fixture
def fake() -> FakeS3:
    fake = FakeS3()
    saver = make_saver(fake)
    put_chain(saver, "t", 3, writes=0)
    put_chain(saver, "with writes", 2, writes=3)
    put_chain(saver, "sub", 2, ns="node|1", writes=1)
    lender = eager(fake)
    checkpoint = None
    for number in range(5):
        new: Any = {f"c{number}": noise(900, number)}
        checkpoint = step(lender, f"b{number}", checkpoint, thread="borrows", **new)
    return fake


@pytest.fixture
def admin(fake: FakeS3) -> S3Admin:
    return S3Admin(make_saver(fake, sizes=SMALL))


def object_of(fake: FakeS3, url: str) -> tuple[str, bytes]:
    """Return the object behind a URL."""
    key = urlsplit(url).path[1:]
    return key, fake.objects[key].data


def test_a_checkpoint_that_is_all_in_its_object_needs_no_export(fake: FakeS3, admin: S3Admin) -> None:
    before = set(fake.objects)
    with fake.counted() as count:
        url = admin.signed_url("t", "00000002")
    assert count.kinds == {"Sign": 2, "ListObjects": 1, "GetObject": 1}
    key, data = object_of(fake, url)
    assert "/t.thread/.ns/" in key
    assert set(fake.objects) == before
    assert shown(loads(data, thread_id="t")) == shown(make_saver(fake).get_tuple(place("t", "00000002")))


@pytest.mark.parametrize(
    ("thread", "checkpoint_id", "ns"),
    [
        ("with writes", "00000001", ""),
        ("sub", "00000000", "node|1"),
        ("borrows", "b4", ""),
        ("borrows", "b1", ""),
    ],
)
def test_any_other_is_exported_whole(
    fake: FakeS3, admin: S3Admin, thread: str, checkpoint_id: str, ns: str
) -> None:
    if thread == "borrows" and checkpoint_id == "b4":
        assert len(lenders(fake, "b4", thread)) > 1
    before = set(fake.objects)
    url = admin.signed_url(thread, checkpoint_id, checkpoint_ns=ns)
    key, data = object_of(fake, url)
    assert set(fake.objects) - before == {key}
    assert key.startswith(admin._context.layout.exports(thread))
    assert not fake.uploads
    assert shown(loads(data)) == shown(make_saver(fake).get_tuple(place(thread, checkpoint_id, ns)))


def test_a_borrower_with_writes_has_both(fake: FakeS3, admin: S3Admin) -> None:
    make_saver(fake).put_writes(place("borrows", "b4"), [("c", 1), ("d", noise(3_000))], "task", "path")
    _, data = object_of(fake, admin.signed_url("borrows", "b4"))
    assert shown(loads(data)) == shown(make_saver(fake).get_tuple(place("borrows", "b4")))


def test_an_export_outlives_its_thread_and_doesnt_show_in_any(fake: FakeS3, admin: S3Admin) -> None:
    saver = make_saver(fake)
    expected = shown(saver.get_tuple(place("borrows", "b4")))
    url = admin.signed_url("borrows", "b4")
    threads = {each.config["configurable"]["thread_id"] for each in saver.list(None)}
    assert threads == {"t", "with writes", "sub", "borrows"}
    saver.delete_thread("borrows")
    assert shown(loads(object_of(fake, url)[1])) == expected


def test_of_one_that_was_put_twice_the_later_one_is_handed_out(fake: FakeS3, admin: S3Admin) -> None:
    saver = make_saver(fake)
    put(saver, "00000002", "00000001", values={"n": "other"}, source="loop", step=2, even=True)
    expected = shown(saver.get_tuple(place("t", "00000002")))
    key, data = object_of(fake, admin.signed_url("t", "00000002"))
    assert ".c" in key
    assert shown(loads(data, thread_id="t")) == expected


def test_equal_checkpoints_share_an_export_which_becomes_new_again(fake: FakeS3, admin: S3Admin) -> None:
    key, data = object_of(fake, admin.signed_url("borrows", "b4"))
    written = fake.objects[key].modified
    again, _ = object_of(fake, admin.signed_url("borrows", "b4"))
    assert again == key
    assert fake.objects[key].modified > written
    make_saver(fake).put_writes(place("borrows", "b4"), [("c", 1)], "task")
    other, more = object_of(fake, admin.signed_url("borrows", "b4"))
    assert other != key
    assert loads(data).pending_writes == []
    assert loads(more).pending_writes == [("task", "c", 1)]


@pytest.mark.parametrize("where", [("none", "00000002", ""), ("t", "none", ""), ("t", "00000002", "ns")])
def test_there_is_no_url_to_nothing(fake: FakeS3, admin: S3Admin, where: tuple[str, str, str]) -> None:
    thread, checkpoint_id, ns = where
    make_saver(fake).put_writes(place("t", "none"), [("c", 1)], "task")  # of no checkpoint
    with pytest.raises(InvalidKeyError, match="no checkpoint"):
        admin.signed_url(thread, checkpoint_id, checkpoint_ns=ns)
    assert fake.keys(EXPORTS) == []


@pytest.mark.parametrize("thread", ["", None])
def test_ids_are_needed(admin: S3Admin, thread: Any) -> None:
    with pytest.raises(InvalidKeyError):
        admin.signed_url(thread, "00000002")
    with pytest.raises(InvalidKeyError):
        admin.signed_url("t", thread)
    with pytest.raises(InvalidKeyError):
        admin.signed_upload_url(thread)


@pytest.mark.parametrize(
    ("expires_in", "seconds"),
    [
        (timedelta(seconds=1), 1),
        (timedelta(minutes=1, milliseconds=900), 60),
        (timedelta(days=7), 604_800),
        (1, 1),
        (3600, 3600),
        (60.9, 60),
        (604_800, 604_800),
    ],
)
def test_lifetimes_of_urls(fake: FakeS3, admin: S3Admin, expires_in: float | timedelta, seconds: int) -> None:
    with fake.counted() as count:
        admin.signed_url("t", "00000002", expires_in)
        upload = admin.signed_upload_url("t", expires_in)
    assert {request.seconds for request in count.requests if isinstance(request, Sign)} == {seconds}
    assert abs(upload.expires - fake.now - timedelta(seconds=seconds)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    "expires_in",
    [
        *(timedelta(0), timedelta(seconds=-5), timedelta(milliseconds=999), timedelta(days=7, seconds=1)),
        *(0, -5, 0.999, 604_800.5, float("nan"), float("inf"), True, "3600", None),
    ],
)
def test_invalid_lifetimes(fake: FakeS3, admin: S3Admin, expires_in: Any) -> None:
    with fake.counted() as count:
        with pytest.raises(InvalidConfigError, match="expires_in"):
            admin.signed_url("t", "00000002", expires_in)
        with pytest.raises(InvalidConfigError, match="expires_in"):
            admin.signed_upload_url("t", expires_in)
    assert count.requests == []


class Signer(FakeS3):
    """A fake that signs in another way."""

    def __init__(self, signed: Signed) -> None:
        super().__init__()
        self.signed = signed

    def execute(self, request: Any, *, conditional: bool = True) -> Any:
        answer = super().execute(request, conditional=conditional)
        return self.signed if isinstance(request, Sign) else answer


@pytest.mark.parametrize("url", ["https://h/k?Signature=x&Expires=1", "https://h/k"])
def test_a_client_that_signs_with_version_2_is_refused_before_anything_is_written(url: str) -> None:
    fake = Signer(Signed(url))
    saver = make_saver(fake)
    put_chain(saver, "t", 1)
    before = dict(fake.objects)
    with pytest.raises(InvalidConfigError, match=r'Config\(signature_version="s3v4"\)') as raised:
        S3Admin(saver).signed_url("t", "00000000")
    assert url not in str(raised.value)
    with pytest.raises(InvalidConfigError, match="s3v4"):
        S3Admin(saver).signed_upload_url("t")
    assert fake.objects == before


V4 = "https://h/k?X-Amz-Signature=SECRET"


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    ("signed", "match"),
    [
        (Signed(V4, outlives_credentials=True), "end before"),
        (Signed(V4, temporary=True), "temporary"),
        (Signed(V4), None),
    ],
)
def test_temporary_credentials_are_a_warning(signed: Signed, match: str | None, asynchronous: bool) -> None:
    fake = Signer(signed)
    admin = S3Admin(make_saver(fake))
    put_chain(admin.saver, "t", 1)

    def make() -> list[Any]:
        if asynchronous:

            async def both() -> list[Any]:
                return [await admin.asigned_url("t", "00000000"), await admin.asigned_upload_url("t")]

            return asyncio.run(both())
        return [admin.signed_url("t", "00000000"), admin.signed_upload_url("t")]

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        url, upload = make()
    assert (url, upload.url) == (V4, V4)
    assert len(caught) == (2 if match else 0)
    for each in caught:
        assert issubclass(each.category, SignedUrlWarning)
        assert match is not None
        assert match in str(each.message)
        assert "SECRET" not in str(each.message)
        assert each.filename == __file__


def test_a_url_is_in_no_repr_and_no_log(
    fake: FakeS3, admin: S3Admin, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    url = admin.signed_url("borrows", "b4")
    upload = admin.signed_upload_url("borrows")
    assert "X-Amz-Signature" in upload.url
    assert upload.key in repr(upload)
    for shown_ in (repr(upload), str(upload), repr(admin), caplog.text):
        assert "X-Amz-Signature" not in shown_
        assert url not in shown_


def test_the_checkpoint_changes_while_it_is_read(fake: FakeS3, admin: S3Admin) -> None:
    saver = make_saver(fake)
    key = next(key for key in fake.keys("/with.20writes.thread/") if "/writes.t" in key)
    fake.hook = once(GetObject, lambda request: fake.delete(key))
    url = admin.signed_url("with writes", "00000001")
    assert len(loads(object_of(fake, url)[1]).pending_writes or ()) == 2
    fake.hook = lambda moment, request: (
        saver.delete_thread("t") if isinstance(request, GetObject) and fake.keys("/t.thread/") else None
    )
    with pytest.raises(InvalidKeyError):
        admin.signed_url("t", "00000001")


def test_a_checkpoint_that_keeps_changing_is_a_conflict(fake: FakeS3, admin: S3Admin) -> None:
    saver = make_saver(fake)
    numbers = iter(range(100))

    def hook(moment: str, request: Any) -> None:
        if isinstance(request, ListObjects) and moment == "before":
            saver.put_writes(place("t", "00000001"), [("c", 1)], f"task-{next(numbers)}")
        if isinstance(request, GetObject) and moment == "before":
            for key in fake.keys("writes.ttask-"):
                if "/t.thread/" in key:
                    fake.delete(key)

    fake.hook = hook
    with pytest.raises(ConflictError, match="try again"):
        admin.signed_url("t", "00000001")


def test_an_export_that_fails_leaves_nothing_and_gives_no_url(fake: FakeS3, admin: S3Admin) -> None:
    fake.hook = failing(PutObject)
    with pytest.raises(StorageUnavailableError):
        admin.signed_url("with writes", "00000001")
    assert fake.keys(EXPORTS) == []


def test_keys_of_exports_that_would_be_too_long_are_refused() -> None:
    fake = FakeS3()
    admin = S3Admin(make_saver(fake, prefix="/".join(["p" * 194] * 4)))
    thread = "x" * 200
    put(admin.saver, "1", thread=thread)
    admin.saver.put_writes(place(thread, "1"), [("c", 1)], "t")
    with pytest.raises(InvalidKeyError, match="1024"):
        admin.signed_url(thread, "1")
    with pytest.raises(InvalidKeyError, match="1024"):
        admin.signed_upload_url(thread)
    assert not [key for key in fake.objects if ".exports/" in key]


def test_exports_are_deleted_by_a_rule_of_their_own(fake: FakeS3, admin: S3Admin) -> None:
    foreign = {"ID": "theirs", "Filter": {"Prefix": "logs/"}, "Status": "Enabled", "Expiration": {"Days": 1}}
    fake.settings[LIFECYCLE.name, None] = {"Rules": [foreign]}
    [change] = admin.set_exports_expiry()
    theirs, ours = fake.settings[LIFECYCLE.name, None]["Rules"]
    assert theirs == foreign
    assert ours["Filter"] == {"Prefix": EXPORTS}
    assert ours["Expiration"] == {"Days": 8}
    assert change.after["Rules"] == [theirs, ours]
    assert admin.set_exports_expiry() == []
    assert len(asyncio.run(admin.aset_exports_expiry(1))) == 1
    assert len(fake.settings[LIFECYCLE.name, None]["Rules"]) == 2
    assert len(admin.set_exports_expiry(None)) == 1
    assert fake.settings[LIFECYCLE.name, None]["Rules"] == [foreign]


@pytest.mark.parametrize("days", [0, -1, 1.5, True, "8", 36_501])
def test_invalid_days(fake: FakeS3, admin: S3Admin, days: Any) -> None:
    with fake.counted() as count, pytest.raises(InvalidConfigError, match="days"):
        admin.set_exports_expiry(days)
    assert count.requests == []


def test_a_store_without_lifecycle_rules_says_so(fake: FakeS3, admin: S3Admin) -> None:
    fake.unsupported.add(LIFECYCLE.name)
    with pytest.raises(NotSupportedError):
        admin.set_exports_expiry()
