"""Interrupted imports and damaged files: no import stays incomplete."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from langgraph_checkpoint_s3 import CorruptObjectError, S3CheckpointError
from langgraph_checkpoint_s3.s3.requests import CompleteUpload, CreateUpload, PutObject, UploadPart
from tests.admin.transfer.test_export_import import TRANSFER, admin_of, exported, prepared
from tests.plans.crashes import EXPECTED_ERRORS, View, failing, failures
from tests.support.checkpoints import place, put_chain
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver


def test_an_import_cut_short_at_any_request_can_be_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TRANSFER + "_WINDOW", 6)
    whole = FakeS3()
    with whole.counted() as count:
        admin_of(whole).import_thread(io.BytesIO(exported()))
    expected, nothing = View.of(whole), FakeS3()
    views: dict[Any, View] = {}

    def view(fake: FakeS3) -> View:
        """Return the bucket's view. Many failures leave the same objects, which are read once."""
        objects = tuple(sorted((key, each.data) for key, each in fake.objects.items()))
        if objects not in views:
            views[objects] = View.of(fake)
        return views[objects]

    for kind, failure in enumerate(failures(count.batches)):
        fake = nothing.snapshot()
        fake.hook = failing(failure, kind)
        with pytest.raises(EXPECTED_ERRORS):
            admin_of(fake).import_thread(io.BytesIO(exported()))
        fake.hook = None
        for where, found in view(fake).tuples.items():
            assert found == expected.tuples[where] or where[2] == "a2"  # it may have one of two objects
        imported = admin_of(fake).import_thread(io.BytesIO(exported()))
        assert imported.kept == ()
        assert view(fake) == expected


def test_between_two_windows_it_looks_like_its_past(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TRANSFER + "_WINDOW", 3)
    source = FakeS3()
    put_chain(make_saver(source), "t", 12, values={})
    file = io.BytesIO()
    admin_of(source).export_thread("t", file)
    fake = FakeS3()
    saver = make_saver(fake)
    histories, seen = View.of(source).histories, list[int]()

    def look(done: int, total: int | None) -> None:
        for (thread, ns, checkpoint_id), history in View.of(fake).histories.items():
            assert history == histories[thread, ns, checkpoint_id]
        seen.append(len(list(saver.list(place("t")))))

    admin_of(fake).import_thread(file, progress=look)
    assert seen == sorted(seen)
    assert seen[-1] == 12


def test_a_failure_beside_a_new_upload_leaves_no_upload_behind() -> None:
    """An error in the batch of a CreateUpload would lose the upload's id."""
    source = FakeS3()
    saver = make_saver(source, compression="none")
    put_chain(saver, "t", 1)
    for task, size in (("large", 2_500), ("small", 10), ("larger", 3_500)):
        saver.put_writes(place("t", "00000000"), [("c", b"x" * size)], task)
    file = io.BytesIO()
    admin_of(source).export_thread("t", file)
    kinds = (PutObject, CreateUpload, UploadPart, CompleteUpload)
    fake = FakeS3()
    with fake.counted() as count:
        admin_of(fake).import_thread(file)
    numbers = [number for number, each in enumerate(count.requests) if isinstance(each, kinds)]
    assert count.kinds["CreateUpload"] == 2
    assert count.kinds["PutObject"] >= 2
    for number in numbers:
        fake = FakeS3()
        fake.hook = failing(((number, "before"),), 0)
        with pytest.raises(EXPECTED_ERRORS):
            admin_of(fake).import_thread(file)
        assert not fake.uploads


@pytest.mark.parametrize("edit", ["flip", "cut", "drop", "add"])
@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_a_damaged_file_is_never_imported_by_half(edit: str, data: st.DataObject) -> None:
    file = bytearray(exported())
    at = data.draw(st.integers(0, len(file) - 1))
    if edit == "flip":
        file[at] ^= data.draw(st.integers(1, 255))
    elif edit == "cut":
        del file[at:]
    elif edit == "drop":
        del file[at : at + data.draw(st.integers(1, 2_000))]
    else:
        file[at:at] = data.draw(st.binary(min_size=1, max_size=50))
    fake = FakeS3()
    with fake.counted() as count:
        try:
            admin_of(fake).import_thread(io.BytesIO(bytes(file)))
        except S3CheckpointError as error:
            assert isinstance(error, CorruptObjectError)  # noqa: PT017  # or the damage does no harm
            assert count.requests == []
            return
    source = prepared()
    assert {key: fake.objects[key].data for key in fake.keys("/t.thread/")} == {
        key: source.objects[key].data for key in source.keys("/t.thread/") if "tearly" not in key
    }
