"""Lenders that are gone or damaged, before, while and after somebody borrows from them."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from typing import Any

import pytest
from langgraph.checkpoint.base import Checkpoint

from langgraph_checkpoint_s3 import CorruptObjectError, S3Saver
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.format.keys import encode_rank
from langgraph_checkpoint_s3.format.tombstones import Group, Tombstones, tombstone_digest
from langgraph_checkpoint_s3.plans.transfer import Sizes
from langgraph_checkpoint_s3.s3.requests import (
    DeleteObjects,
    GetObject,
    HeadObject,
    Request,
)
from tests.plans.borrowers import abandon, cold, key_of, layout, lenders, noise, step
from tests.plans.helpers import get, once, put
from tests.support.checkpoints import place
from tests.support.fake_s3 import FakeS3, Moment
from tests.support.fake_store import make_saver

pytestmark = pytest.mark.modes("plain", "private")

DOCUMENTS, NOTES = noise(40_000), noise(12_000, 1)
FIRST = "/cfcez/checkpoint"
"""The end of the key of checkpoint 01."""
IN_PARTS = Sizes(multipart_threshold=2_000, part_size=900)


def line(saver: S3Saver, count: int = 3, first: Checkpoint | None = None) -> Checkpoint:
    """So many checkpoints, each of a run of its own, all of which borrow the documents from the first."""
    last = first
    for _ in range(count):
        number = int(last["id"]) + 1 if last else 1
        changed: dict[str, Any] = {} if last else {"documents": DOCUMENTS}
        last = step(saver, f"{number:02}", last, run=f"run-{number}", n=number, **changed)
    assert last is not None
    return last


def same(fake: FakeS3, *checkpoints: Checkpoint) -> None:
    """A process that has just begun reads them as they were put."""
    for each in checkpoints:
        assert cold(fake, each["id"]) == each["channel_values"]


def assert_both_named(fake: FakeS3, borrower: str, lender: str) -> None:
    """Assert that a borrower can't be read, and that the error names both objects."""
    readings: list[Callable[[S3Saver], Any]] = [
        lambda reader: reader.get_tuple(place("t", borrower)),
        lambda reader: list(reader.list(place("t", borrower))),
    ]
    for read in readings:
        with pytest.raises(CorruptObjectError) as raised:
            read(make_saver(fake))
        assert raised.value.key == key_of(fake, borrower)
        assert key_of(fake, borrower) in str(raised.value)
        assert lender in str(raised.value)


# Gone before the put


@pytest.mark.parametrize("sizes", [None, IN_PARTS], ids=["one PUT", "in parts"])
@pytest.mark.parametrize("gone", ["01", "both"])
def test_a_put_whose_oldest_lender_is_gone_is_whole(fake: FakeS3, gone: str, sizes: Sizes | None) -> None:
    saver, writer = make_saver(fake, sizes=sizes), make_saver(fake, sizes=sizes)
    first = step(writer, "01", documents=DOCUMENTS)
    second = step(writer, "02", first, notes=NOTES)
    get(saver, place("t"))
    keys = {each: key_of(fake, each) for each in ("01", "02")}
    for each in keys if gone == "both" else [gone]:
        fake.delete(keys[each])
    with fake.counted() as count:
        third = step(saver, "03", second, more=noise(3_000))
    asked = {each.key for each in count.requests if isinstance(each, HeadObject)}
    assert asked - {key_of(fake, "03")} == {keys["01"]}
    if sizes is None:
        assert [len(batch) for batch in count.batches] == [3, 1, 1]  # whole; and if its own name has one
    assert lenders(fake, "03") == []
    assert not fake.uploads
    same(fake, third)
    fourth = step(saver, "04", third, n=4)
    same(fake, third, fourth)
    fifth = step(saver, "05", fourth, n=5)
    assert lenders(fake, "05")  # it goes on borrowing as if nothing had been
    same(fake, fifth)


def test_so_is_one_whose_parent_was_pruned_by_another_process(fake: FakeS3, saver: S3Saver) -> None:
    third = line(saver)
    put(make_saver(fake), "09", "03")
    make_saver(fake).prune(["t"])
    fork = step(saver, "04", third, n=4)
    assert lenders(fake, "04") == []
    same(fake, fork)


def test_what_somebody_borrowed_from_it_meanwhile_stays_where_it_is(fake: FakeS3, saver: S3Saver) -> None:
    """A put was read by another process before it turned out that its lender is gone."""
    other = make_saver(fake)
    second = line(saver, 2)
    lender = key_of(fake, "01")

    def read_and_delete(_: Any) -> None:
        fake.hook = None
        get(other, place("t", "03"))
        fake.delete(lender)

    fake.hook = once(HeadObject, read_and_delete)
    third = step(saver, "03", second, notes=NOTES)
    assert lenders(fake, "03") == []
    last, expected = third, [third]
    for number in range(4, 20):
        last = step(other, f"{number:02}", last, drop=["documents"], n=number)
        expected.append(last)
        assert lenders(fake, last["id"]) == ["03"]
    with fake.counted() as count:
        same(fake, *expected)
    assert max(count.kinds.values()) <= 2 * len(expected)  # nobody has to look for anything


# Gone after a put that was never acknowledged


def left_behind(fake: FakeS3, count: int = 1, remove: str = "prune") -> list[Checkpoint]:
    """Return what stays of a line, and what so many killed puts left that hadn't been listed before."""
    saver = make_saver(fake)
    third = line(saver)
    children = [third]

    def go_on(_: DeleteObjects) -> None:
        fake.hook = None
        numbers = range(4, 4 + count)
        children.extend(abandon(saver, f"{each:02}", third, run="killed", n=each) for each in numbers)

    fake.hook = once(DeleteObjects, go_on)
    if remove == "prune":
        make_saver(fake).prune(["t"])
    else:
        make_saver(fake).delete_for_runs(["run-1", "run-2"])
    assert lenders(fake, "03") == []
    assert all(lenders(fake, each["id"]) == ["01"] for each in children[1:])
    assert len(fake.keys("/checkpoint")) == 1 + count
    return children


def only(fake: FakeS3, *checkpoints: Checkpoint, thread: str = "t") -> None:
    """Nothing else of a thread is shown, by nobody, newest first."""
    for reader in (make_saver(fake), make_saver(fake)):
        found = reader.get_tuple(place(thread))
        assert (found.checkpoint if found else None) == (checkpoints[0] if checkpoints else None)
        for config in (place(thread), place(thread, ns=None), None):
            listed = [
                each for each in reader.list(config) if thread in each.config["configurable"]["thread_id"]
            ]
            assert [each.checkpoint for each in listed] == list(checkpoints)
        assert [each.checkpoint for each in reader.list(place(thread), limit=1)] == list(checkpoints[:1])

    async def read() -> list[Any]:
        reader = make_saver(fake)
        latest = await reader.aget_tuple(place(thread))
        return [
            latest.checkpoint if latest else None,
            *[each.checkpoint async for each in reader.alist(place(thread))],
        ]

    assert asyncio.run(read()) == [checkpoints[0] if checkpoints else None, *checkpoints]


@pytest.mark.parametrize("count", [1, 3, 30])
@pytest.mark.parametrize("remove", ["prune", "delete_for_runs"])
def test_what_was_never_acknowledged_is_passed_over(fake: FakeS3, count: int, remove: str) -> None:
    third, *left = left_behind(fake, count, remove)
    only(fake, third)
    for each in left:
        assert make_saver(fake).get_tuple(place("t", each["id"])) is None


def test_nobody_copies_exports_keeps_or_counts_on_it(fake: FakeS3) -> None:
    third, *_ = left_behind(fake, 3)
    make_saver(fake).copy_thread("t", "u")
    only(fake, third, thread="u")
    assert len(fake.keys(layout().thread("u"))) == 1
    admin, file, other = S3Admin(make_saver(fake)), io.BytesIO(), FakeS3()
    assert admin.export_thread("t", file).checkpoints == 1
    S3Admin(make_saver(other)).import_thread(file)
    only(other, third)
    assert len(list(admin.history("t"))) >= 1
    assert admin.usage().threads == 2
    make_saver(fake).prune(["t"])
    only(fake, third)
    assert len(fake.keys(layout().thread("t"))) == 4  # they are `remove_orphans`'s


def test_retention_counts_only_what_was_acknowledged(fake: FakeS3) -> None:
    third, *_ = left_behind(fake, 3)
    S3Admin(make_saver(fake)).prune_threads(1, dry_run=False)
    only(fake, third)


def test_the_run_goes_on_from_what_was_acknowledged(fake: FakeS3) -> None:
    third, *_ = left_behind(fake, 2)
    saver = make_saver(fake)
    assert get(saver, place("t")).checkpoint == third
    again = step(saver, "04", third, n=44)
    only(fake, again, third)
    fifth = line(saver, 1, again)
    only(fake, fifth, again, third)


def test_of_two_of_one_id_the_one_that_was_acknowledged_counts(fake: FakeS3) -> None:
    third, *_ = left_behind(fake)
    again = step(make_saver(fake), "04", third, n=44)
    assert len(fake.keys(f"/{encode_rank('04')}/checkpoint")) == 2
    only(fake, again, third)


def test_what_was_deleted_with_its_thread_is_passed_over(fake: FakeS3, saver: S3Saver) -> None:
    third = line(saver)

    def go_on(_: DeleteObjects) -> None:
        fake.hook = None
        abandon(saver, "04", third, n=4)

    fake.hook = once(DeleteObjects, go_on)
    make_saver(fake).delete_thread("t")
    assert len(fake.keys("/checkpoint")) == 1
    only(fake)


def test_without_tombstones_of_its_lenders_it_is_a_loss(fake: FakeS3) -> None:
    """Also where there are tombstones of others."""
    _, child = left_behind(fake)
    key = layout().tombstones(layout().thread("t"))
    others = Tombstones().plus(Group(frozenset({tombstone_digest("another")}), 1 << 40), 0)
    for data in (others.encode(), Tombstones().encode(), None):
        fake.delete(key) if data is None else fake.put(key, data)
        assert_both_named(fake, child["id"], FIRST)


def test_what_a_put_completes_meanwhile_is_shown(fake: FakeS3, saver: S3Saver) -> None:
    """A reader comes between the PUT and its completion, which then replaces it."""
    third = line(saver)
    seen: list[Any] = []

    def go_on(_: DeleteObjects) -> None:
        fake.hook = None

        def read(_: Any) -> None:
            """Delete everything that it borrows from."""
            fake.hook = None
            for key in doomed:
                fake.delete(key)
            seen.append(make_saver(fake).get_tuple(place("t", "04")))

        fake.hook = once(HeadObject, read)
        seen.append(step(saver, "04", third, n=4))

    doomed = [key_of(fake, "01"), key_of(fake, "02")]
    fake.hook = once(DeleteObjects, go_on)
    make_saver(fake).delete_for_runs(["run-1", "run-2"])
    assert seen[0] is None
    only(fake, seen[1], third)


# Damaged


def flipped(body: bytes) -> bytes:
    return body[:-100] + bytes([body[-100] ^ 1]) + body[-99:]


@pytest.mark.parametrize(
    "damage",
    [flipped, lambda body: body[:-1], lambda body: body[:20_000], lambda body: body[:100], lambda body: b""],
    ids=["flipped", "one byte short", "halved", "cut off", "empty"],
)
@pytest.mark.parametrize("sizes", [None, IN_PARTS], ids=["at once", "in parts"])
def test_the_error_of_a_damaged_lender_names_its_borrower(
    fake: FakeS3, saver: S3Saver, damage: Callable[[bytes], bytes], sizes: Sizes | None
) -> None:
    line(saver)
    key = key_of(fake, "01")
    sound = fake.objects[key].data
    fake.put(key, damage(sound))
    reader = make_saver(fake, sizes=sizes)
    with pytest.raises(CorruptObjectError) as raised:
        reader.get_tuple(place("t"))
    assert raised.value.key == key_of(fake, "03")
    assert key_of(fake, "03") in str(raised.value)
    assert key in str(raised.value)
    fake.put(key, sound)
    assert get(reader, place("t")).checkpoint["channel_values"]["documents"] == DOCUMENTS


def test_what_is_damaged_on_its_way_is_read_again(fake: FakeS3, saver: S3Saver) -> None:
    third = line(saver)
    key = key_of(fake, "01")
    sound, left = fake.objects[key].data, iter([True])

    def damage(moment: Moment, request: Request[Any]) -> None:
        if isinstance(request, GetObject) and request.key == key:
            fake.put(key, flipped(sound) if moment == "before" and next(left, False) else sound)

    fake.hook = damage
    same(fake, third)
    assert next(left, None) is None


def test_a_lender_that_this_process_remembers_otherwise_is_read_anew(fake: FakeS3) -> None:
    """It was deleted and put again, with other content under the same key."""
    reader, writer = make_saver(fake), make_saver(fake)
    step(writer, "01", documents=DOCUMENTS)
    get(reader, place("t"))
    fake.delete(key_of(fake, "01"))
    first = step(writer, "01", documents=noise(40_000, 5))
    second = step(writer, "02", first, n=2)
    assert lenders(fake, "02") == ["01"]
    assert get(reader, place("t", "02")).checkpoint == second
    same(fake, first, second)


def test_a_lender_that_only_memory_has_is_enough_to_read_and_too_little_to_borrow_from(
    fake: FakeS3, saver: S3Saver
) -> None:
    third = line(saver)
    reader = make_saver(fake)
    get(reader, place("t"))
    key = key_of(fake, "01")
    fake.delete(key)
    assert get(reader, place("t")).checkpoint == third
    assert_both_named(fake, "03", key)
    get(reader, place("t"))
    fourth = line(reader, 1, third)
    assert lenders(fake, "04") == []
    same(fake, fourth)
