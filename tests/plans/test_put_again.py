"""One id put twice: what others borrow from is never overwritten, and a lost reply makes no second one."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from langgraph.checkpoint.base import Checkpoint

from langgraph_checkpoint_s3 import S3Saver, StorageUnavailableError
from langgraph_checkpoint_s3.format.keys import encode_rank
from langgraph_checkpoint_s3.plans.transfer import Sizes
from langgraph_checkpoint_s3.s3.requests import CompleteUpload, PutObject, Request
from tests.plans.borrowers import cold, lenders, noise, opened_key, step
from tests.plans.helpers import get, ids, once, put
from tests.support import inside
from tests.support.checkpoints import place
from tests.support.fake_s3 import FakeS3, client_error
from tests.support.fake_store import make_saver

pytestmark = pytest.mark.modes("plain", "private")

DOCUMENTS, OTHERS = noise(50_000), noise(50_000, 1)
IN_PARTS = Sizes(multipart_threshold=2_000, part_size=900)


def again(saver: S3Saver, checkpoint: Checkpoint, parent: str | None = None, **values: Any) -> None:
    """Put a checkpoint again, with some values changed."""
    changed: Any = {**checkpoint, "channel_values": {**checkpoint["channel_values"], **values}}
    saver.put(place("t", parent), changed, {}, checkpoint["channel_versions"])


# The same content


@pytest.mark.parametrize("sizes", [None, IN_PARTS], ids=["one PUT", "in parts"])
def test_the_same_again_writes_nothing(fake: FakeS3, sizes: Sizes | None) -> None:
    saver = make_saver(fake, sizes=sizes)
    first = step(saver, "1", documents=DOCUMENTS)
    second = step(saver, "2", first, n=2)
    assert lenders(fake, "2") == ["1"]
    before = dict(fake.objects)
    for putter in (saver, make_saver(fake, sizes=sizes), make_saver(fake, compression="gzip")):
        get(putter, place("t", "1"))
        again(putter, first)
        again(putter, second, "1")
        assert (fake.objects, fake.uploads) == (before, {})


def test_by_a_saver_that_borrows_differently_it_is_stored_beside(fake: FakeS3, saver: S3Saver) -> None:
    """A checkpoint's key says whether it borrows. Both forms have the same content."""
    first = step(saver, "1", documents=DOCUMENTS)
    second = step(saver, "2", first, n=2)
    again(make_saver(fake, borrow=False), second, "1")
    assert len(fake.keys("/checkpoint")) == 3
    found = [each.checkpoint for each in make_saver(fake).list(place("t"))]
    assert found == [second, first]
    third = step(saver, "3", second, n=3)
    make_saver(fake).prune(["t"])
    assert cold(fake) == third["channel_values"]


def test_what_that_costs(fake: FakeS3) -> None:
    first = step(make_saver(fake), "1", documents=DOCUMENTS)
    saver = make_saver(fake)
    with fake.counted() as count:
        again(saver, first)
    assert count.kinds == {"PutObject": 1, "ListObjects": 1, "GetObject": 1}
    assert count.round_trips == 3
    with fake.counted() as count:
        again(saver, first)
    assert count.kinds == {"PutObject": 1, "ListObjects": 1}


def lose_reply(fake: FakeS3, kind: type[Request[Any]], then: Callable[[], None] = lambda: None) -> None:
    """Do the next request of a kind, but answer it with an error; a PUT is then sent again at once."""
    code, status = ("ConditionalRequestConflict", 409) if kind is PutObject else ("InternalError", 500)

    def fail(request: Request[Any]) -> None:
        then()
        raise client_error(code, status, request)

    fake.hook = once(kind, fail, "after")


@pytest.mark.parametrize("borrow", [False, True], ids=["whole", "borrowed"])
def test_a_lost_reply_is_acknowledged(fake: FakeS3, borrow: bool) -> None:
    saver = make_saver(fake, borrow=borrow)
    first = step(saver, "1", documents=DOCUMENTS)
    lose_reply(fake, PutObject)
    with fake.counted() as count:
        second = step(saver, "2", first, n=2)
    assert saver.stats().requests["PutObject"] == 3
    # The PUT, the LIST, what lies there, and at once its lenders and the tombstones.
    assert count.round_trips == 3 + borrow
    assert len(fake.keys()) == 2
    assert lenders(fake, "2") == ["1"] * borrow
    assert cold(fake) == second["channel_values"]
    third = step(saver, "3", second, n=3)
    assert cold(fake) == third["channel_values"]


def test_an_upload_whose_completion_was_not_answered_can_be_put_again(fake: FakeS3) -> None:
    saver = make_saver(fake, sizes=IN_PARTS)
    first = step(saver, "1", documents=DOCUMENTS)
    lose_reply(fake, CompleteUpload)
    with pytest.raises(StorageUnavailableError):
        step(saver, "2", first, log=noise(5_000))
    second = get(make_saver(fake), place("t", "2")).checkpoint
    again(saver, second, "1")
    assert len(fake.keys()) == 2
    assert lenders(fake, "2") == ["1"]
    assert not fake.uploads


def test_a_lost_reply_while_the_lender_goes_is_acknowledged(fake: FakeS3, saver: S3Saver) -> None:
    first = step(saver, "1", documents=DOCUMENTS)
    [lender] = fake.keys()
    lose_reply(fake, PutObject, lambda: fake.delete(lender))
    second = step(saver, "2", first, n=2)
    assert cold(fake) == second["channel_values"]


def test_what_lies_there_without_its_lenders_is_put_again(fake: FakeS3, saver: S3Saver) -> None:
    """A put was cut short before it knew that its lender was gone; then it is tried again."""
    first = step(saver, "1", documents=DOCUMENTS)
    second = step(saver, "2", first, n=2)
    [_, lender] = fake.keys()
    fake.delete(lender)
    for putter in (saver, make_saver(fake)):
        again(putter, second, "1")
        assert cold(fake) == second["channel_values"]


# Other content


def test_other_content_is_put_beside_and_counts(fake: FakeS3, saver: S3Saver) -> None:
    first = step(saver, "1", documents=DOCUMENTS)
    [key] = fake.keys()
    body = fake.objects[key].data
    with fake.counted() as count:
        again(saver, first, documents=OTHERS)
    assert count.kinds == {"PutObject": 2, "ListObjects": 1}
    assert fake.objects[key].data == body
    [beside] = set(fake.keys()) - {key}
    assert beside.startswith(f"{key}.c")
    for reader in (saver, make_saver(fake)):
        assert get(reader, place("t")).checkpoint["channel_values"] == {"documents": OTHERS}
        assert get(reader, place("t", "1")).checkpoint["channel_values"] == {"documents": OTHERS}
        assert [each.checkpoint["channel_values"] for each in reader.list(None)] == [{"documents": OTHERS}]


def test_back_and_forth_the_last_one_counts(fake: FakeS3) -> None:
    savers = [make_saver(fake), make_saver(fake)]
    first = step(savers[0], "1", documents=DOCUMENTS)
    for number, (saver, documents) in enumerate(
        itertools.islice(zip(itertools.cycle(savers), itertools.cycle([OTHERS, DOCUMENTS])), 6), start=2
    ):
        for _ in range(2):  # the second time it is there
            again(saver, first, documents=documents)
            assert cold(fake) == {"documents": documents}
            assert len(fake.objects) == number


@pytest.mark.parametrize("sizes", [None, IN_PARTS], ids=["one PUT", "in parts"])
def test_who_borrows_from_either_stays_readable(fake: FakeS3, sizes: Sizes | None) -> None:
    saver, other = make_saver(fake, sizes=sizes), make_saver(fake, sizes=sizes)
    first = step(saver, "1", documents=DOCUMENTS)
    second = step(saver, "2", first, n=2)
    again(other, first, documents=OTHERS)
    third = step(other, "3", {**first, "channel_values": {"documents": OTHERS}}, n=3)
    fourth = step(saver, "4", second, n=4)
    for each in (second, third, fourth):
        assert lenders(fake, each["id"]) == ["1"]
        assert cold(fake, each["id"]) == each["channel_values"]
    assert cold(fake, "1") == {"documents": OTHERS}
    assert not fake.uploads


@pytest.mark.parametrize("known", ["the first", "the second"])
def test_a_child_of_what_was_put_twice_has_what_it_was_given(fake: FakeS3, known: str) -> None:
    """Whichever of the two its process knows."""
    saver = make_saver(fake)
    first = step(saver, "1", documents=DOCUMENTS)
    again(make_saver(fake) if known == "the first" else saver, first, documents=OTHERS)
    put(saver, "2", "1", values={"documents": DOCUMENTS})
    get(saver, place("t", "1"))
    put(saver, "3", "1", values={"documents": OTHERS})
    assert cold(fake, "2") == {"documents": DOCUMENTS}
    assert cold(fake, "3") == {"documents": OTHERS}


def test_both_are_copied_kept_and_deleted_together(fake: FakeS3, saver: S3Saver) -> None:
    first = step(saver, "1", documents=DOCUMENTS)
    again(saver, first, documents=OTHERS)
    saver.copy_thread("t", "u")
    assert cold(fake, thread="u") == {"documents": OTHERS}
    make_saver(fake).prune(["t", "u"])
    assert len(fake.keys(encode_rank("1"))) == 4
    step(saver, "2", first, n=2)
    make_saver(fake).prune(["t"])
    assert ids(make_saver(fake), place("t")) == ["2"]
    assert len(fake.keys(encode_rank("1"))) == 2
    assert cold(fake, thread="u") == {"documents": OTHERS}


def test_an_id_that_was_deleted_is_as_good_as_new(fake: FakeS3, saver: S3Saver) -> None:
    first = step(saver, "1", documents=DOCUMENTS)
    before = fake.keys("/checkpoint")
    saver.delete_thread("t")
    again(saver, first, documents=OTHERS)
    assert fake.keys("/checkpoint") == before
    child = step(saver, "2", {**first, "channel_values": {"documents": OTHERS}}, n=2)
    assert cold(fake) == child["channel_values"]


def test_thresholds_may_differ_between_two_puts(fake: FakeS3) -> None:
    """The borrowed form isn't part of the content."""
    first = step(make_saver(fake), "1", documents=DOCUMENTS)
    eager = make_saver(fake)
    inside.set_borrowing(eager, min_value=16, min_run=4, min_share=8)
    get(eager, place("t"))
    second = step(eager, "2", first, n="x" * 20)
    again(make_saver(fake), second, "1")
    assert cold(fake) == second["channel_values"]
    assert ids(make_saver(fake), place("t")) == ["2", "1"]


def test_a_line_that_was_deleted_can_be_put_again_just_so(fake: FakeS3) -> None:
    """Tombstones name checkpoints that exist again. A borrower is then written in full, under another key."""
    for _ in range(3):
        saver = make_saver(fake)
        last, line = None, []
        for number in range(1, 7):
            changed: Any = {"n": number} if last else {"documents": DOCUMENTS}
            last = step(saver, str(number), last, **changed)
            line.append(last)
        assert lenders_of(fake, "4")
        for each in line:
            assert cold(fake, each["id"]) == each["channel_values"]
        assert [each.checkpoint for each in make_saver(fake).list(place("t"))] == line[::-1]
        make_saver(fake).delete_thread("t")
        assert make_saver(fake).get_tuple(place("t")) is None


def test_so_can_one_whose_first_reply_is_lost(fake: FakeS3, saver: S3Saver) -> None:
    first = step(saver, "1", documents=DOCUMENTS)
    second = step(saver, "2", first, n=2)
    saver.delete_thread("t")
    again(saver, first)
    lose_reply(fake, PutObject)
    again(saver, second, "1")
    assert cold(fake) == second["channel_values"]


def lenders_of(fake: FakeS3, checkpoint_id: str) -> set[str]:
    """The objects that a checkpoint borrows from, whose key isn't its own."""
    [key] = fake.keys(f"/{encode_rank(checkpoint_id)}/checkpoint")
    return {frame.lender.leaf for frame in opened_key(fake, key).frames if frame.lender}
