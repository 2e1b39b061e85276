"""Lenders that are deleted or damaged, before, while and after somebody borrows from them."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest
from langgraph.checkpoint.base import Checkpoint

from langgraph_checkpoint_s3 import CorruptObjectError, S3Saver
from langgraph_checkpoint_s3.objects.records import SECOND
from langgraph_checkpoint_s3.plans.transfer import Sizes
from langgraph_checkpoint_s3.s3.requests import (
    DeleteObjects,
    GetObject,
    HeadObject,
    ListObjects,
    PutObject,
    Request,
)
from tests.plans.borrowers import cold, key_of, lenders, noise, opened, step
from tests.plans.helpers import get, once, put
from tests.support.checkpoints import place
from tests.support.fake_s3 import FakeS3, Moment
from tests.support.fake_store import make_saver

pytestmark = pytest.mark.modes("plain", "private")

DOCUMENTS, NOTES = noise(40_000), noise(12_000, 1)
FIRST = "/cfcez/checkpoint"
"""What the key of checkpoint 01 holds."""
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


def told(fake: FakeS3, borrower: str, lender: str) -> None:
    """A borrower can't be read, and the error names both objects."""
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
@pytest.mark.parametrize("gone", ["01", "02", "both"])
def test_a_put_whose_lender_is_gone_is_whole(fake: FakeS3, gone: str, sizes: Sizes | None) -> None:
    """By who read its parent, and so asks for all lenders."""
    saver, writer = make_saver(fake, sizes=sizes), make_saver(fake, sizes=sizes)
    first = step(writer, "01", documents=DOCUMENTS)
    second = step(writer, "02", first, notes=NOTES)
    step(writer, "00", documents=b"")  # a thread of which nothing is left was deleted
    get(saver, place("t"))
    keys = {each: key_of(fake, each) for each in ("01", "02")}
    for each in keys if gone == "both" else [gone]:
        fake.delete(keys[each])
    with fake.counted() as count:
        third = step(saver, "03", second, more=noise(3_000))
    assert {each.key for each in count.requests if isinstance(each, HeadObject)} - {key_of(fake, "03")} == {
        *keys.values()
    }
    if sizes is None:
        assert [len(batch) for batch in count.batches] == [3, 1, 1]  # the LIST: is there anything left?
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


# Gone while it is being put


def reverse(batch: list[Any]) -> None:
    batch.reverse()


@pytest.mark.parametrize("moment", ["PUT landed", "HEADs answered"])
def test_pruned_between_a_put_and_its_heads(
    fake: FakeS3, saver: S3Saver, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole pruning happens between the two: it sees the PUT, or the HEADs don't see the pruning."""
    third = line(saver)
    shuffle = random.Random(0)
    monkeypatch.setattr(shuffle, "shuffle", reverse)
    fake.shuffle = shuffle if moment == "HEADs answered" else None

    def prune(_: Request[Any]) -> None:
        fake.hook = fake.shuffle = None
        make_saver(fake).prune(["t"])

    fake.hook = once(HeadObject if moment == "PUT landed" else PutObject, prune)
    fourth = step(saver, "04", third, n=4)
    same(fake, fourth)
    if moment == "HEADs answered":
        same(fake, third)
        assert lenders(fake, "04") == ["01"]  # which is gone: it has its parent
        assert len(fake.keys()) == 2
    fifth = line(saver, 1, fourth)
    assert lenders(fake, "05") == []
    same(fake, fourth, fifth)


def on_its_way(fake: FakeS3, count: int = 1) -> list[Checkpoint]:
    """So many children that were put between a pruning's last look and its deletion; first, their parent."""
    saver = make_saver(fake)
    third = line(saver)
    children = [third]

    def go_on(_: DeleteObjects) -> None:
        while len(children) <= count:
            children.append(line(saver, 1, children[-1]))

    fake.hook = once(DeleteObjects, go_on)
    make_saver(fake).prune(["t"])
    fake.hook = None
    assert lenders(fake, "03") == []
    assert all(lenders(fake, each["id"]) == ["01"] for each in children[1:])
    assert len(fake.keys()) == 1 + count
    return children


@pytest.mark.parametrize("count", [1, 2, 30])
def test_children_on_their_way_have_their_parent(fake: FakeS3, count: int) -> None:
    children = on_its_way(fake, count)
    same(fake, *children)
    assert [each.checkpoint for each in make_saver(fake).list(place("t"))] == children[::-1]
    fake.shuffle = random.Random(0)
    make_saver(fake).copy_thread("t", "u")
    make_saver(fake).delete_thread("t")
    for each in children:
        assert cold(fake, each["id"], "u") == each["channel_values"]


@pytest.mark.parametrize("count", [1, 2])
def test_and_when_the_parent_goes_while_they_are_read(fake: FakeS3, count: int) -> None:
    """They were rewritten after they were read, and before it was looked for."""
    child = on_its_way(fake, count)[-1]
    folder = key_of(fake, "03").rpartition("/")[0] + "/"

    def delete(moment: Moment, request: Request[Any]) -> None:
        if moment == "before" and isinstance(request, ListObjects) and request.prefix == folder:
            fake.hook = None
            make_saver(fake).delete_for_runs(["run-3"])

    fake.hook = delete
    assert cold(fake, child["id"]) == child["channel_values"]
    assert fake.hook is None


@pytest.mark.parametrize("count", [1, 2, 30])
@pytest.mark.parametrize("remove", ["prune", "delete_for_runs"])
def test_and_when_the_parent_goes_they_are_rewritten(fake: FakeS3, count: int, remove: str) -> None:
    children = on_its_way(fake, count)
    if remove == "prune":
        make_saver(fake).prune(["t"])
        assert len(fake.keys()) == 1
    else:
        make_saver(fake).delete_for_runs(["run-3"])
        same(fake, *children[1:])
    same(fake, children[-1])
    assert lenders(fake, children[-1]["id"]) == []


def test_a_child_on_its_way_can_be_gone_on_from(fake: FakeS3) -> None:
    *_, child = on_its_way(fake, 2)
    saver = make_saver(fake)
    assert get(saver, place("t")).checkpoint == child
    next_one = line(saver, 2, child)
    same(fake, child, next_one)
    make_saver(fake).prune(["t"])
    same(fake, next_one)


def test_nor_do_two_who_delete_at_once_take_both(fake: FakeS3, saver: S3Saver) -> None:
    """One deletes the lender and hasn't seen the child; the other deletes the parent, and sees the lender."""
    third = line(saver)
    children: list[Checkpoint] = []

    def go_on(_: DeleteObjects) -> None:
        fake.hook = None
        children.append(line(saver, 1, third))
        make_saver(fake).delete_for_runs(["run-3"])

    fake.hook = once(DeleteObjects, go_on)
    make_saver(fake).delete_for_runs(["run-1"])
    assert len(fake.keys()) == 2
    same(fake, *children)


def test_clocks_that_differ_leave_a_child_its_parent(fake: FakeS3) -> None:
    """The parent was written by a process whose clock is ahead."""
    ahead, behind = make_saver(fake), make_saver(fake)
    now = itertools.count(int(fake.now.timestamp()) * SECOND)
    ahead._now = lambda: next(now) + 5 * SECOND  # type: ignore[assignment]
    behind._now = lambda: next(now)  # type: ignore[assignment]
    third = line(ahead)
    get(behind, place("t"))
    children = [third]
    fake.hook = once(DeleteObjects, lambda _: children.append(line(behind, 1, third)))
    make_saver(fake).prune(["t"])
    fake.hook = None
    assert opened(fake, "04").fields["created"] < opened(fake, "03").fields["created"]
    assert lenders(fake, "04") == ["01"]
    same(fake, *children)


def test_it_takes_nothing_from_a_parent_that_is_another_one(fake: FakeS3) -> None:
    """Put again with other content: its bytes aren't those that were borrowed."""
    parent, child = on_its_way(fake)
    put(make_saver(fake), parent["id"], "02", values={"documents": noise(40_000, 7)})
    told(fake, child["id"], FIRST)


def test_it_is_told_if_the_parent_is_gone_too(fake: FakeS3) -> None:
    parent, child = on_its_way(fake)
    fake.delete(key_of(fake, parent["id"]))
    told(fake, child["id"], FIRST)


def test_a_child_whose_lender_is_damaged_has_its_parent_too(fake: FakeS3, saver: S3Saver) -> None:
    """The parent was rewritten whole, by a pruning that was cut short before it deleted anything."""
    third = line(saver)

    def stop(_: DeleteObjects) -> None:
        raise KeyboardInterrupt

    fake.hook = once(DeleteObjects, stop)
    with pytest.raises(KeyboardInterrupt):
        make_saver(fake).prune(["t"])
    fourth = line(saver, 1, third)
    assert (lenders(fake, "03"), lenders(fake, "04")) == ([], ["01"])
    key = key_of(fake, "01")
    body = fake.objects[key].data
    for damaged in (flipped(body), body[:-1], b""):
        fake.put(key, damaged)
        same(fake, fourth)
        told(fake, "02", key)


# Damaged


def flipped(body: bytes) -> bytes:
    return body[:-100] + bytes([body[-100] ^ 1]) + body[-99:]


@pytest.mark.parametrize(
    "damage",
    [flipped, lambda body: body[:-1], lambda body: body[:20_000], lambda body: body[:100], lambda body: b""],
    ids=["flipped", "one byte short", "halved", "cut off", "empty"],
)
@pytest.mark.parametrize("sizes", [None, IN_PARTS], ids=["at once", "in parts"])
def test_a_damaged_lender_is_told_with_its_borrower(
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
    writer.delete_thread("t")
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
    told(fake, "03", key)
    get(reader, place("t"))
    fourth = line(reader, 1, third)
    assert lenders(fake, "04") == []
    same(fake, fourth)
