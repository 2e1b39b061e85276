"""Imports into a thread that has some of the file's checkpoints: borrowers find their lenders."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest

from langgraph_checkpoint_s3 import ConflictError, CorruptObjectError
from tests.admin.transfer.test_export_import import admin_of
from tests.plans.borrowers import cold, noise, step
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver

NOISE = noise(9_000, 5)


def lines(fake: FakeS3, count: int) -> None:
    """Create a chain of checkpoints that borrow from the first one."""
    saver, last = make_saver(fake), None
    for number in range(count):
        new: dict[str, Any] = {"a": NOISE, f"c{number}": noise(500, number)}
        last = step(saver, f"l{number}", last, **new)


def exported_line(count: int) -> io.BytesIO:
    fake, file = FakeS3(), io.BytesIO()
    lines(fake, count)
    admin_of(fake).export_thread("t", file)
    return file


def test_a_thread_goes_on_from_its_past_that_is_there() -> None:
    fake, later = FakeS3(), exported_line(4)
    admin_of(fake).import_thread(later)
    for key in fake.keys("/checkpoint.pl"):
        if "pl2" in key or "pl1" in key:
            fake.delete(key)
    assert admin_of(fake).import_thread(later).written == 2
    assert cold(fake, "l3")["a"] == NOISE


@pytest.mark.parametrize("days", [0, 2])
def test_nothing_borrows_from_what_was_imported_long_before(days: int) -> None:
    """Lifecycle rules count from when an object was written, so they delete the first import before."""
    fake = FakeS3()
    admin_of(fake).import_thread(exported_line(2))
    first = {key: fake.objects[key] for key in fake.keys("/checkpoint")}
    fake.later += timedelta(days=days)
    assert admin_of(fake).import_thread(exported_line(4)).written == 2
    renewed = {key for key, found in first.items() if fake.objects[key].modified != found.modified}
    assert len(renewed) == (1 if days else 0)
    assert all(fake.objects[key].data == found.data for key, found in first.items())
    for key in first.keys() - renewed if days else ():
        fake.delete(key)
    for name in ("l0", "l2", "l3"):
        assert cold(fake, name)["a"] == NOISE


def test_nothing_borrows_from_what_is_there_instead_of_its_lender() -> None:
    """As where both were migrated from the same database, each by itself."""
    fake = FakeS3()
    step(make_saver(fake), "l0", a=noise(9_000, 6))
    before = dict(fake.objects)
    with pytest.raises(ConflictError, match="another thread_id"):
        admin_of(fake).import_thread(exported_line(3))
    assert fake.objects == before
    assert admin_of(fake).import_thread(exported_line(3), "u").written == 3
    [key] = before
    fake.put(key, b"damaged")
    with pytest.raises(CorruptObjectError) as raised:
        admin_of(fake).import_thread(exported_line(3))
    assert raised.value.key == key


def test_what_was_rewritten_whole_still_lends() -> None:
    """A pruning there rewrote a lender: its own frames are where they were."""
    fake, file = FakeS3(), exported_line(6)
    admin_of(fake).import_thread(file)
    make_saver(fake).prune(["t"])
    [key] = fake.keys("/t.thread/")
    imported = admin_of(fake).import_thread(file)
    assert (imported.written, imported.kept) == (5, (key,))
    for number in range(6):
        assert cold(fake, f"l{number}")["a"] == NOISE
