"""Requests and round trips of each operation, for short and long threads."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.plans import delete
from langgraph_checkpoint_s3.plans.transfer import Sizes
from langgraph_checkpoint_s3.s3.requests import GetObject, ListObjects, Request
from tests.support.checkpoints import make_checkpoint, place, put_chain
from tests.support.fake_s3 import Count, FakeS3, Moment
from tests.support.fake_store import make_saver

LONG = 2_000
OLDER = 1_001


@pytest.fixture(scope="module")
def long_thread() -> FakeS3:
    """A bucket with a thread `t` of 2,000 checkpoints, on each of which two tasks wrote."""
    fake = FakeS3()
    put_chain(make_saver(fake), "t", LONG, writes=2, seed={"d": ["seed"]}, run="run-1")
    return fake


@pytest.fixture(params=[1, LONG], ids=["short", "long"])
def bucket(request: pytest.FixtureRequest, long_thread: FakeS3) -> FakeS3:
    """A bucket with a thread `t` of one checkpoint, or of 2,000."""
    if request.param == LONG:
        return long_thread.snapshot()
    fake = FakeS3()
    put_chain(make_saver(fake), "t", 1, writes=2, seed={"d": ["seed"]}, run="run-1")
    return fake


def newest(fake: FakeS3) -> str:
    found = make_saver(fake).get_tuple(place("t"))
    assert found is not None
    return found.checkpoint["id"]


def pages(count: Count) -> list[ListObjects]:
    return [request for request in count.requests if isinstance(request, ListObjects)]


def put_next(saver: S3Saver, parent: str) -> Any:
    checkpoint = make_checkpoint("99999999", {"n": 1})
    metadata: Any = {"source": "loop", "step": 1}
    return saver.put(place("t", parent), checkpoint, metadata, checkpoint["channel_versions"])


def test_put_is_one_request(bucket: FakeS3) -> None:
    saver, parent = make_saver(bucket), newest(bucket)
    with bucket.counted() as count:
        put_next(saver, parent)
    assert (count.kinds, count.round_trips) == ({"PutObject": 1}, 1)


@pytest.mark.parametrize("number", [1, 2, 500])
@pytest.mark.parametrize("channel", ["d", ERROR])
def test_put_writes_is_one_request_for_any_number(bucket: FakeS3, number: int, channel: str) -> None:
    """Special ones are a second object, which goes out at the same time."""
    saver, parent = make_saver(bucket), newest(bucket)
    with bucket.counted() as count:
        saver.put_writes(place("t", parent), [("e", 1)] * (number - 1) + [(channel, 2)], "task-new", "~p")
    both = number > 1 and channel == ERROR
    assert (count.kinds, count.round_trips) == ({"PutObject": 1 + both}, 1)


@pytest.mark.parametrize(
    ("again", "cost", "round_trips"),
    [
        ([("c", 1)], {"PutObject": 1}, 1),
        ([("c", 2)], {"PutObject": 1}, 1),
        ([(ERROR, 1)], {"PutObject": 1, "GetObject": 1}, 2),
        ([(ERROR, 2)], {"PutObject": 2, "GetObject": 1}, 3),
        ([(INTERRUPT, 1)], {"PutObject": 2, "GetObject": 1}, 3),
        ([("c", 2), (ERROR, 2)], {"PutObject": 3, "GetObject": 1}, 3),
    ],
)
def test_writing_again_is_a_get_and_a_put_more_where_special_writes_change(
    bucket: FakeS3, again: list[tuple[str, Any]], cost: dict[str, int], round_trips: int
) -> None:
    saver, parent = make_saver(bucket), newest(bucket)
    saver.put_writes(place("t", parent), [("c", 1), (ERROR, 1)], "again")
    with bucket.counted() as count:
        make_saver(bucket).put_writes(place("t", parent), again, "again")
    assert (count.kinds, count.round_trips) == (cost, round_trips)


def test_a_large_write_that_is_there_already_is_not_completed() -> None:
    """Also where the store ignores the condition on an upload's completion."""
    fake = FakeS3()
    fake.plain = True
    saver = make_saver(fake, sizes=Sizes(1000, 400), compression="none")
    saver.put_writes(place("t", "1"), [("c", bytes(5000))], "task")
    before = dict(fake.objects)
    with fake.counted() as count:
        saver.put_writes(place("t", "1"), [("c", bytes(5000))], "task")
    parts = count.kinds.pop("UploadPart")
    assert count.kinds == {"CreateUpload": 1, "UploadPart": parts, "HeadObject": 1, "AbortUpload": 1}
    assert count.round_trips == 3
    assert (fake.objects, fake.uploads) == (before, {})


def test_put_writes_of_nothing_is_no_request(bucket: FakeS3) -> None:
    saver = make_saver(bucket)
    with bucket.counted() as count:
        saver.put_writes(place("t", "00000000"), [], "task-new")
    assert count.round_trips == 0


@pytest.mark.parametrize("checkpoint_id", [None, "00000000"], ids=["latest", "by id"])
def test_a_cold_read_is_a_list_and_a_get_for_each_object(bucket: FakeS3, checkpoint_id: str | None) -> None:
    saver = make_saver(bucket)
    with bucket.counted() as count:
        found = saver.get_tuple(place("t", checkpoint_id))
    assert found is not None
    assert found.pending_writes is not None
    assert len(found.pending_writes) == 2
    assert (count.kinds, count.round_trips) == ({"ListObjects": 1, "GetObject": 3}, 2)
    assert len(bucket.objects) < 1000 or pages(count)[0].max_keys <= 64 or checkpoint_id


@pytest.mark.parametrize("checkpoint_id", [None, "00000000"], ids=["latest", "by id"])
def test_a_warm_read_is_a_list(bucket: FakeS3, checkpoint_id: str | None) -> None:
    saver = make_saver(bucket)
    first = saver.get_tuple(place("t", checkpoint_id))
    with bucket.counted() as count:
        assert saver.get_tuple(place("t", checkpoint_id)) == first
    assert (count.kinds, count.round_trips) == ({"ListObjects": 1}, 1)


def test_what_this_process_wrote_is_not_read(bucket: FakeS3) -> None:
    saver, parent = make_saver(bucket), newest(bucket)
    config = put_next(saver, parent)
    saver.put_writes(config, [("d", [1])], "task-1")
    with bucket.counted() as count:
        assert saver.get_tuple(place("t")) is not None
    assert (count.kinds, count.round_trips) == ({"ListObjects": 1}, 1)


def test_an_absent_thread_is_a_list(bucket: FakeS3) -> None:
    with bucket.counted() as count:
        assert make_saver(bucket).get_tuple(place("nobody")) is None
    assert (count.kinds, count.round_trips) == ({"ListObjects": 1}, 1)


def test_fifty_sends_are_read_back_in_two_round_trips(bucket: FakeS3) -> None:
    parent = newest(bucket)
    config = put_next(make_saver(bucket), parent)
    for task in range(50):
        make_saver(bucket).put_writes(config, [("d", [task])], f"send-{task}", f"~{task:04}")
    with bucket.counted() as count:
        found = make_saver(bucket).get_tuple(place("t"))
    assert found is not None
    assert [value for _, _, value in found.pending_writes or ()] == [[number] for number in range(50)]
    assert (count.kinds, count.round_trips) == ({"ListObjects": 1, "GetObject": 51}, 2)


def test_large_objects_take_no_more_round_trips() -> None:
    fake, sizes = FakeS3(), Sizes(1000, 400)
    saver = make_saver(fake, sizes=sizes, compression="none")
    checkpoint = make_checkpoint("1", {"big": bytes(range(256)) * 20})
    with fake.counted() as count:
        saver.put(place("t"), checkpoint, {}, checkpoint["channel_versions"])
    assert (count.kinds["CreateUpload"], count.kinds["CompleteUpload"], count.round_trips) == (1, 1, 3)
    with fake.counted() as count:
        assert make_saver(fake, sizes=sizes).get_tuple(place("t")) is not None
    assert count.kinds["GetObject"] > 10
    assert count.round_trips == 2


def test_a_large_object_that_is_replaced_is_read_again_in_two_round_trips() -> None:
    fake, newer, sizes = FakeS3(), FakeS3(), Sizes(1000, 400)
    checkpoint = make_checkpoint("1", {"big": b"old" * 2000})
    make_saver(fake, compression="none").put(place("t"), checkpoint, {}, checkpoint["channel_versions"])
    checkpoint["channel_values"]["big"] = b"new" * 2000
    make_saver(newer, compression="none").put(place("t"), checkpoint, {}, checkpoint["channel_versions"])
    [key] = fake.keys()

    def replace(moment: Moment, request: Request[Any]) -> None:
        if moment == "after" and isinstance(request, GetObject):
            fake.hook = None
            fake.put(key, newer.objects[key].data)

    fake.hook = replace
    with fake.counted() as count:
        found = make_saver(fake, sizes=sizes).get_tuple(place("t"))
    assert found is not None
    assert found.checkpoint["channel_values"] == {"big": b"new" * 2000}
    assert count.round_trips == 4  # the keys, ranges of two versions, then a first range and the others


def until_first(fake: FakeS3, config: Any, **keywords: Any) -> Count:
    """Return the cost of listing until the first checkpoint."""
    with fake.counted() as count:
        iterator = make_saver(fake).list(config, **keywords)
        assert next(iterator) is not None
    return count


@pytest.mark.parametrize(
    "keywords",
    [
        {},
        {"limit": 1},
        {"limit": 10},
        {"before": place("t", "00000001")},
        {"filter": {"source": "loop"}},
        {"filter": {"step": 0}, "limit": 10},
        {"filter": {"run_id": "run-1"}, "before": place("t", "00000001")},
    ],
    ids=str,
)
@pytest.mark.parametrize("length", [1, 3])
def test_a_list_has_its_first_item_after_two_round_trips(keywords: Any, length: int) -> None:
    fake = FakeS3()
    put_chain(make_saver(fake), "t", length, writes=2, run="run-1")
    assert until_first(fake, place("t"), **keywords).round_trips == 2
    assert until_first(fake, place("t", ns=None), **keywords).round_trips == 2


@pytest.mark.parametrize(
    "keywords",
    [
        {},
        {"limit": 1},
        {"limit": 10},
        {"before": place("t", "00000500"), "limit": 10},
        {"before": place("t", "00000001")},
        {"filter": {"source": "loop"}, "limit": 10},
        {"filter": {"run_id": "run-1"}, "before": place("t", "00000009")},
    ],
    ids=str,
)
def test_so_it_has_in_a_long_thread(long_thread: FakeS3, keywords: Any) -> None:
    count = until_first(long_thread, place("t"), **keywords)
    assert count.round_trips == 2
    assert len(pages(count)) == 1


def test_all_namespaces_of_a_long_thread_are_listed_as_far_as_asked(long_thread: FakeS3) -> None:
    fake = long_thread.snapshot()
    put_chain(make_saver(fake), "t", 2, ns="sub")
    with fake.counted() as count:
        found = list(make_saver(fake).list(place("t", ns=None), limit=5))
    assert [each.checkpoint["id"] for each in found] == [f"{number:08}" for number in range(1999, 1994, -1)]
    # A page of all of it, which is one of the first namespace too, the names of both, and one of the other.
    assert len(pages(count)) == 3
    assert count.round_trips == 3


def test_ten_of_a_long_thread_do_not_list_it(long_thread: FakeS3) -> None:
    with long_thread.counted() as count:
        found = list(make_saver(long_thread).list(place("t"), limit=10))
    assert [each.checkpoint["id"] for each in found] == [f"{number:08}" for number in range(1999, 1989, -1)]
    assert (count.kinds, count.round_trips) == ({"ListObjects": 1, "GetObject": 30}, 2)
    assert pages(count)[0].max_keys < 100


def test_a_filter_that_keys_decide_reads_only_what_it_shows(long_thread: FakeS3) -> None:
    with long_thread.counted() as count:
        found = list(make_saver(long_thread).list(place("t"), filter={"step": 7}))
    assert [each.checkpoint["id"] for each in found] == ["00000007"]
    assert count.kinds == {"ListObjects": LONG * 3 // 1000 + 1, "GetObject": 3}
    assert count.round_trips < 9


@pytest.mark.parametrize("borrow", [False, True], ids=["whole", "borrowed"])
def test_other_metadata_is_read_from_heads_alone(borrow: bool) -> None:
    fake = FakeS3()
    writer = make_saver(fake, compression="none", borrow=borrow)
    put_chain(writer, "u", 9, values={"big": "0" * 100_000}, writes=2)
    with fake.counted() as count:
        found = list(make_saver(fake).list(place("u"), filter={"even": True, "step": 4}))
    assert [each.checkpoint["id"] for each in found] == ["00000004"]
    assert count.kinds == {"ListObjects": 1, "GetObject": 1 + 3}
    # One round trip for the keys, one for the heads, one for all that is shown and one for what it borrows.
    assert until_first(fake, place("u"), filter={"even": True}).round_trips == 3 + borrow


def test_no_limit_at_all_reads_in_windows(long_thread: FakeS3) -> None:
    with long_thread.counted() as count:
        assert len(list(make_saver(long_thread).list(place("t")))) == LONG
    assert count.kinds == {"ListObjects": 3 * LONG // 1000, "GetObject": 3 * LONG}
    assert count.round_trips <= 3 * LONG / 1000 + 3 + LONG / 64


def test_a_limit_of_nothing_asks_nothing(long_thread: FakeS3) -> None:
    with long_thread.counted() as count:
        assert list(make_saver(long_thread).list(place("t"), limit=0)) == []
    assert count.round_trips == 0


@pytest.fixture(scope="module")
def older_past() -> FakeS3:
    """A bucket with checkpoints of thread `t` that a history of the later ones needn't read."""
    fake = FakeS3()
    put_chain(make_saver(fake), "t", OLDER)
    return fake


@pytest.mark.parametrize("depth", [1, 10, 100, 300])
def test_a_delta_history_is_no_chain_of_reads(older_past: FakeS3, depth: int) -> None:
    fake = older_past.snapshot()
    put_chain(make_saver(fake), "t", depth + 1, first=OLDER, seed={"d": ["seed"]}, values={})
    with fake.counted() as count:
        history = make_saver(fake).get_delta_channel_history(config=place("t"), channels=["d"])
    assert history["d"]["seed"] == ["seed"]
    assert [value for _, _, value in history["d"]["writes"]] == [[f"{OLDER + n}.0"] for n in range(depth)]
    assert count.round_trips <= 2 + math.log2(depth) + 3
    # Windows double, so at most twice as much is read as is needed, and nothing twice.
    reads = [request for request in count.requests if isinstance(request, GetObject)]
    assert len(reads) == len(set(reads)) <= 4 * depth + 16
    assert len(pages(count)) <= 2 + math.ceil(2 * depth / 1000)


def test_a_history_to_the_root_reads_every_object_once() -> None:
    fake = FakeS3()
    put_chain(make_saver(fake), "t", 401, values={})
    with fake.counted() as count:
        history = make_saver(fake).get_delta_channel_history(config=place("t"), channels=["d", "e"])
    assert len(history["d"]["writes"]) == 400
    assert "seed" not in history["d"]
    assert not history["e"]["writes"]
    assert count.kinds["GetObject"] == 800
    assert count.round_trips <= 2 + math.log2(400) + 3


def test_copying_lists_once_and_copies_in_three_stages(bucket: FakeS3) -> None:
    size = len(bucket.objects)
    with bucket.counted() as count:
        make_saver(bucket).copy_thread("t", "u")
    assert count.kinds == {"ListObjects": math.ceil(size / 1000), "CopyObject": size}
    assert count.round_trips <= 2 * math.ceil(size / 1000) + 2
    if size == 3:
        assert count.round_trips == 3


def test_deleting_takes_a_request_a_thousand_keys(bucket: FakeS3) -> None:
    size = len(bucket.objects)
    with bucket.counted() as count:
        make_saver(bucket).delete_thread("t")
    many = math.ceil(size / 1000)
    listed = many if many == 1 else many + 1  # in parts, side by side, each of which may end with half a page
    assert count.kinds == {"ListObjects": listed, "DeleteObjects": many}
    assert count.round_trips <= 2 * many
    assert not bucket.objects


def test_deleting_a_run_reads_nothing(bucket: FakeS3) -> None:
    size = len(bucket.objects)
    with bucket.counted() as count:
        make_saver(bucket).delete_for_runs(["run-1"])
    assert set(count.kinds) == {"ListObjects", "DeleteObjects"}
    assert count.kinds["ListObjects"] <= math.ceil(size / 1000)
    assert count.kinds["DeleteObjects"] <= 2 * math.ceil(size / 1000)
    assert not bucket.objects


@pytest.mark.parametrize("borrow", [False, True])
def test_deleting_a_run_of_large_states_that_do_not_borrow_reads_none_of_them(borrow: bool) -> None:
    fake = FakeS3()
    saver = make_saver(fake, borrow=borrow)
    noise = random.Random(0)
    for number in range(48):
        put_chain(
            saver, "t", 1, first=number, values={"noise": noise.randbytes(20_000)}, run=f"run-{number % 2}"
        )
    assert not [key for key in fake.objects if ".b" in key]
    with fake.counted() as count:
        make_saver(fake).delete_for_runs(["run-0"])
    read = [request.key for request in count.requests if isinstance(request, GetObject)]
    # What may lend gets tombstones, which are read before they are written.
    assert read == ([key for key in fake.objects if "/.deleted/" in key] if borrow else [])
    assert len(read) == borrow
    assert len(fake.keys("/checkpoint")) == 24


def test_deleting_of_nothing_is_a_list(bucket: FakeS3) -> None:
    size = len(bucket.objects)
    with bucket.counted() as count:
        make_saver(bucket).delete_thread("nobody")
    assert (count.kinds, count.round_trips) == ({"ListObjects": 1}, 1)
    with bucket.counted() as count:
        make_saver(bucket).delete_for_runs(["nobody"])
        make_saver(bucket).delete_for_runs([])
    assert count.kinds == {"ListObjects": math.ceil(size / 1000)}


def test_pruning_reads_no_checkpoint(bucket: FakeS3) -> None:
    size = len(bucket.objects)
    with bucket.counted() as count:
        make_saver(bucket).prune(["t"])
    many = math.ceil(size / 1000)
    assert count.kinds == {
        "ListObjects": many,
        **({"DeleteObjects": math.ceil((size - 3) / 1000)} if size > 3 else {}),
    }
    assert len(bucket.objects) == 3


def test_pruning_many_threads_goes_side_by_side() -> None:
    fake = FakeS3()
    names = [f"thread-{number}" for number in range(40)]
    for name in names:
        put_chain(make_saver(fake), name, 3)
    with fake.counted() as count:
        make_saver(fake).prune(names)
    assert count.kinds == {"ListObjects": 40, "DeleteObjects": 40}
    assert count.round_trips == 2 * math.ceil(40 / delete.THREADS_AT_ONCE)


def test_setup_is_a_few_requests_and_leaves_nothing() -> None:
    empty = FakeS3()
    with empty.counted() as count:
        make_saver(empty).setup()
    assert count.kinds == {"ListObjects": 4, "PutObject": 10, "GetObject": 1, "DeleteObjects": 1}
    assert count.round_trips == 8
    assert not empty.objects


def test_setup_makes_a_missing_bucket_and_turns_versioning_on() -> None:
    empty = FakeS3()
    empty.exists = False
    with empty.counted() as count:
        make_saver(empty, versioning=True).setup()
    assert empty.exists
    assert empty.versioning
    assert count.kinds["CreateBucket"] == count.kinds["PutSetting"] == 1
