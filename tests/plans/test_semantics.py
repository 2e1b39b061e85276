"""LangGraph's rules for checkpoints and pending writes, which other savers have got wrong."""

from __future__ import annotations

import asyncio
import random
import threading
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.base import writes_sort_key
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, RESUME

from langgraph_checkpoint_s3 import (
    InvalidKeyError,
    NotSupportedError,
    S3Saver,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.format.serialization import COALESCE_BELOW
from langgraph_checkpoint_s3.plans import put as put_plans
from langgraph_checkpoint_s3.plans.transfer import Sizes
from langgraph_checkpoint_s3.s3.coalescing import MAX_SENDING
from langgraph_checkpoint_s3.s3.requests import (
    CreateUpload,
    GetObject,
    ListObjects,
    Page,
    PutObject,
    Request,
)
from tests.plans.helpers import get, ids, once, pending, put
from tests.support import inside
from tests.support.checkpoints import address, make_checkpoint, place
from tests.support.fake_s3 import FakeS3, Moment, client_error
from tests.support.fake_store import make_saver

# Checkpoints, their parents and their values


def test_parents_are_told(saver: S3Saver) -> None:
    first = put(saver, "1")
    second = put(saver, "2", "1")
    assert get(saver, first).parent_config is None
    assert address(get(saver, second).parent_config) == ("t", "", "1")
    assert [address(each.parent_config) for each in saver.list(place("t"))] == [("t", "", "1"), None]


def test_messages_come_back_as_messages(saver: S3Saver, fake: FakeS3) -> None:
    messages = [HumanMessage("hi", id="1"), AIMessage("hello", id="2")]
    put(saver, "1", values={"messages": messages})
    saver.put_writes(place("t", "1"), [("messages", messages)], "task")
    found = get(make_saver(fake), place("t"))
    assert found.checkpoint["channel_values"]["messages"] == messages
    assert found.pending_writes == [("task", "messages", messages)]


def test_what_a_graph_does_to_a_loaded_value_stays_its_own(saver: S3Saver) -> None:
    put(saver, "1", values={"list": [1]})
    get(saver, place("t")).checkpoint["channel_values"]["list"].append(2)
    assert get(saver, place("t")).checkpoint["channel_values"]["list"] == [1]


def test_putting_the_same_again_changes_nothing(saver: S3Saver, fake: FakeS3) -> None:
    checkpoint = make_checkpoint("1", {"v": 1})
    for _ in range(2):
        saver.put(place("t"), checkpoint, {"source": "loop"}, checkpoint["channel_versions"])
    assert len(fake.objects) == 1
    assert ids(saver, place("t")) == ["1"]


@pytest.mark.parametrize(
    "second", [{"step": 2}, {"step": 1, "note": "later"}], ids=["other leaf", "same leaf"]
)
def test_of_one_id_with_two_metadata_the_later_counts(saver: S3Saver, fake: FakeS3, second: Any) -> None:
    put(saver, "1", "0", values={"v": "old"}, step=1)
    put(saver, "1", "0", values={"v": "new"}, **second)
    reader = make_saver(fake)
    assert get(reader, place("t", "1")).metadata == second
    assert [each.checkpoint["channel_values"] for each in reader.list(place("t"))] == [{"v": "new"}]
    assert ids(reader, place("t"), filter=second) == ["1"]
    assert ids(reader, place("t"), filter={"step": 1, "note": None}) == []


def test_a_config_without_thread_is_an_error_of_ours(saver: S3Saver, fake: FakeS3) -> None:
    broken: list[Any] = [{}, {"configurable": {}}, {"configurable": {"thread_id": ""}}]
    for config in broken:
        with pytest.raises(InvalidKeyError):
            saver.get_tuple(config)
        with pytest.raises(InvalidKeyError):
            saver.put(config, make_checkpoint("1", {}), {}, {})
        with pytest.raises(InvalidKeyError):
            saver.put_writes(config, [("c", 1)], "task")
    with pytest.raises(InvalidKeyError):
        saver.delete_thread("")
    assert not fake.objects


def test_versions_go_on_from_what_other_savers_wrote(saver: S3Saver) -> None:
    first = saver.get_next_version(None)
    assert first < saver.get_next_version(first)
    assert saver.get_next_version(first).startswith(f"{2:032}.")
    number: Any = saver.get_next_version(41)  # LangGraph compares versions, so they must be of one type
    assert number == 42
    assert saver.get_next_version(f"{9:032}.123").startswith(f"{10:032}.")


# Pending writes


def test_writes_come_in_the_order_in_which_the_run_applied_them(saver: S3Saver, fake: FakeS3) -> None:
    put(saver, "1")
    tasks = [(f"~__pregel_push, {place:010}", f"{place * 7919 % 101:04}") for place in range(12)] + [
        ("", "zz")
    ]
    for path, task in random.Random(3).sample(tasks, len(tasks)):
        saver.put_writes(place("t", "1"), [("c", [path, 0]), ("c", [path, 1])], task, path)
    expected = sorted(
        ((path, task, idx) for path, task in tasks for idx in (0, 1)), key=lambda each: writes_sort_key(*each)
    )
    found = pending(make_saver(fake), place("t"))
    assert found == [(task, "c", [path, idx]) for path, task, idx in expected]
    assert found != sorted(found, key=lambda each: each[0])  # by task they'd be permuted


@pytest.mark.parametrize("cache", [0, 1 << 20])
def test_a_regular_write_keeps_its_first_value(fake: FakeS3, cache: int) -> None:
    for value in ("first", "second"):  # two processes
        saver = make_saver(fake, cache_bytes=cache)
        saver.put_writes(place("t", "1"), [("c", value)], "task")
    put(make_saver(fake), "1")
    assert pending(make_saver(fake, cache_bytes=cache), place("t")) == [("task", "c", "first")]


def test_also_where_the_sets_of_slots_overlap(saver: S3Saver) -> None:
    config = put(saver, "1")
    saver.put_writes(config, [("c", 1)], "task")
    saver.put_writes(config, [("c", 2), ("c", 3)], "task")
    saver.put_writes(config, [("c", 4), ("c", 5), ("c", 6)], "task")
    saver.put_writes(config, [("c", 7)], "other")
    assert pending(saver, config) == [("other", "c", 7), ("task", "c", 1), ("task", "c", 3), ("task", "c", 6)]


@pytest.mark.parametrize("channel", [ERROR, INTERRUPT, RESUME])
def test_a_special_write_keeps_its_last_value(saver: S3Saver, channel: str) -> None:
    config = put(saver, "1")
    for value in (1, 2, 3):
        saver.put_writes(config, [(channel, value)], "task")
    assert pending(saver, config) == [("task", channel, 3)]


def test_in_a_mixed_call_each_keeps_its_own_rule(saver: S3Saver, fake: FakeS3) -> None:
    config = put(saver, "1")
    for value in (1, 2, 3):
        saver.put_writes(config, [("c", value), (RESUME, value)], "task")
    assert pending(make_saver(fake), config) == [("task", RESUME, 3), ("task", "c", 1)]
    saver.put_writes(config, [(RESUME, 4)], "task")
    saver.put_writes(config, [("c", 5), (INTERRUPT, 5)], "task")
    assert pending(make_saver(fake), config) == [
        ("task", RESUME, 4),
        ("task", INTERRUPT, 5),
        ("task", "c", 1),
    ]


def joint(saver: S3Saver, *calls: tuple[Any, str], at: str = "1") -> None:
    """Store what several tasks write, as where they write at once and more than a few of them."""
    context = inside.context(saver)
    written = [
        put_plans.prepare_writes(context, place("t", at), writes, task, f"~{task}") for writes, task in calls
    ]
    inside.store(saver).run(put_plans.put_writes(context, written, inside.clock(saver)()), "test")


def test_what_several_tasks_wrote_at_once_is_one_object_and_reads_as_several(fake: FakeS3) -> None:
    """But their special writes, which later ones of the same task go among."""
    saver = make_saver(fake)
    config = put(saver, "1")
    with fake.counted() as count:
        joint(
            saver, ([("c", 1), ("d", [2])], "b"), ([], "none"), ([(INTERRUPT, "why")], "c"), ([("c", 3)], "a")
        )
    assert (count.kinds, count.round_trips) == ({"PutObject": 2}, 1)
    assert len(fake.keys("/writes.j")) == len(fake.keys("/writes.tc.x")) == 1
    assert len(fake.objects) == 3
    assert pending(make_saver(fake), config) == [
        ("a", "c", 3),
        ("b", "c", 1),
        ("b", "d", [2]),
        ("c", INTERRUPT, "why"),
    ]


def test_alone_or_with_others_each_write_keeps_its_own_rule(fake: FakeS3) -> None:
    saver = make_saver(fake)
    config = put(saver, "1")
    joint(saver, ([("c", 1), (RESUME, 1)], "a"), ([("c", 1)], "b"))
    joint(saver, ([("c", 2), (RESUME, 2)], "a"), ([("c", 2)], "b"))  # the same again
    joint(saver, ([("c", 3)], "b"), ([("c", 3), (RESUME, 3)], "a"))
    assert pending(make_saver(fake), config) == [("a", RESUME, 3), ("a", "c", 1), ("b", "c", 1)]
    saver.put_writes(config, [("c", 4), (RESUME, 4)], "a", "~a")
    saver.put_writes(config, [("c", 4), ("c", 5)], "b", "~b")
    assert pending(make_saver(fake), config) == [
        ("a", RESUME, 4),
        ("a", "c", 1),
        ("b", "c", 1),
        ("b", "c", 5),
    ]


def test_a_task_that_wrote_twice_at_once_keeps_the_first(fake: FakeS3) -> None:
    saver = make_saver(fake)
    config = put(saver, "1")
    joint(saver, ([("c", 1), (ERROR, 1)], "a"), ([("c", 2), (ERROR, 2)], "a"))
    assert pending(make_saver(fake), config) == [("a", ERROR, 2), ("a", "c", 1)]


def test_what_several_tasks_wrote_is_copied_and_deleted_with_the_rest(fake: FakeS3) -> None:
    saver = make_saver(fake)
    put(saver, "1")
    joint(saver, ([("c", 1)], "a"), ([("c", 2)], "b"))
    saver.copy_thread("t", "u")
    assert pending(make_saver(fake), place("u")) == [("a", "c", 1), ("b", "c", 2)]
    for thread in "tu":
        saver.delete_thread(thread)
    assert not fake.objects


@pytest.mark.parametrize("calls", [2, MAX_SENDING, 50])
def test_many_at_once_are_one_object(fake: FakeS3, calls: int) -> None:
    saver = make_saver(fake)
    config = put(saver, "1")

    async def body() -> None:
        await asyncio.gather(
            *(saver.aput_writes(config, [("c", number)], f"{number:02}") for number in range(calls))
        )

    asyncio.run(body())
    assert len(fake.objects) == 1 + 1
    assert pending(make_saver(fake), config) == [(f"{number:02}", "c", number) for number in range(calls)]


def test_many_special_writes_at_once_are_objects_of_their_own(fake: FakeS3) -> None:
    """Eight calls go by themselves, so that an error of one isn't that of all."""
    saver = make_saver(fake)
    config = put(saver, "1")

    async def body() -> None:
        calls = (saver.aput_writes(config, [("c", n), (ERROR, n)], f"{n:02}") for n in range(20))
        await asyncio.gather(*calls)

    asyncio.run(body())
    assert len(fake.keys(".x")) == 20
    assert len(fake.keys(".w")) == MAX_SENDING
    assert len(fake.keys("/writes.j")) == 1


def test_a_value_that_cannot_be_serialized_is_its_own_tasks_error(fake: FakeS3) -> None:
    saver = make_saver(fake)
    config = put(saver, "1")

    async def body() -> list[Any]:
        writes = ["x" if number != 40 else threading.Lock() for number in range(50)]
        calls = (saver.aput_writes(config, [("c", value)], f"{n:02}") for n, value in enumerate(writes))
        return await asyncio.gather(*calls, return_exceptions=True)

    found = asyncio.run(body())
    assert [number for number, each in enumerate(found) if each is not None] == [40]
    assert len(pending(make_saver(fake), config)) == 49


def test_heavy_writes_are_objects_of_their_own(fake: FakeS3) -> None:
    saver = make_saver(fake)
    config = put(saver, "1")

    async def body() -> None:
        calls = (
            saver.aput_writes(config, [("c", "x" * COALESCE_BELOW)], f"{number:02}") for number in range(20)
        )
        await asyncio.gather(*calls)

    asyncio.run(body())
    assert len(fake.objects) == 21


def test_large_writes_keep_their_first_value_too(fake: FakeS3) -> None:
    for value in (b"1", b"2"):
        saver = make_saver(fake, sizes=Sizes(1000, 600), compression="none")
        saver.put_writes(place("t", "1"), [("c", value * 5000)], "task")
    put(make_saver(fake), "1")
    assert pending(make_saver(fake), place("t")) == [("task", "c", b"1" * 5000)]
    assert not fake.uploads


def test_two_processes_that_write_large_at_once_leave_the_first(fake: FakeS3) -> None:
    """The second one sees no object when it begins, and one when it completes."""
    one, two = (make_saver(fake, sizes=Sizes(1000, 600), compression="none") for _ in range(2))
    put(one, "1")
    fake.hook = once(
        CreateUpload, lambda _: two.put_writes(place("t", "1"), [("c", b"2" * 5000)], "task"), "after"
    )
    one.put_writes(place("t", "1"), [("c", b"1" * 5000)], "task")
    assert pending(make_saver(fake), place("t")) == [("task", "c", b"2" * 5000)]
    assert not fake.uploads


def test_setup_finds_a_store_that_lists_in_another_order(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeS3()
    ordered = fake._list

    def newest_first(asked: ListObjects) -> Page:
        page = ordered(replace(asked, max_keys=1000, start_after=None, token=None))
        return replace(page, entries=page.entries[::-1], token=None)

    monkeypatch.setattr(fake, "_list", newest_first)
    with pytest.raises(NotSupportedError, match="another order"):
        make_saver(fake).setup()
    assert not fake.objects


def test_setup_finds_a_store_that_ignores_conditions(
    saver: S3Saver, fake: FakeS3, caplog: pytest.LogCaptureFixture
) -> None:
    saver.setup()
    assert not caplog.records
    fake.plain = True
    saver.setup()
    saver.setup()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    config = put(saver, "1")
    saver.put_writes(config, [("c", 1), (RESUME, 1)], "task")
    saver.put_writes(config, [("c", 2), (RESUME, 2)], "task")
    assert pending(saver, config) == [("task", RESUME, 2), ("task", "c", 2)]


def test_a_store_without_conditions_gets_plain_writes(
    saver: S3Saver, fake: FakeS3, caplog: pytest.LogCaptureFixture
) -> None:
    def not_implemented(request: PutObject) -> None:
        if request.only_new:
            raise client_error("NotImplemented", 501, request)

    fake.hook = once(PutObject, not_implemented)
    saver.put_writes(place("t", "1"), [("c", 1)], "task")
    fake.hook = None
    put(saver, "1")
    assert pending(saver, place("t")) == [("task", "c", 1)]
    assert len(caplog.records) == 1


def test_writes_may_come_before_their_checkpoint(saver: S3Saver, fake: FakeS3) -> None:
    put(saver, "1")
    saver.put_writes(place("t", "2"), [("c", "early")], "task")
    saver.put_writes(place("t", "9", "sub"), [("c", "early")], "task")
    for reader in (saver, make_saver(fake)):
        assert get(reader, place("t")).checkpoint["id"] == "1"
        assert reader.get_tuple(place("t", "2")) is None
        assert reader.get_tuple(place("t", ns="sub")) is None
        assert ids(reader, place("t", ns=None)) == ids(reader, None) == ["1"]
    put(saver, "2", "1")
    assert pending(make_saver(fake), place("t")) == [("task", "c", "early")]


def test_many_orphaned_writes_hide_nothing(saver: S3Saver, fake: FakeS3) -> None:
    put(saver, "1")
    for number in range(150):
        saver.put_writes(place("t", f"2-{number}"), [("c", 1)], "task")
    assert get(make_saver(fake), place("t")).checkpoint["id"] == "1"
    assert ids(make_saver(fake), place("t"), limit=1) == ["1"]


def test_a_late_write_resurrects_nothing(saver: S3Saver, fake: FakeS3) -> None:
    config = put(saver, "1")
    saver.delete_thread("t")
    saver.put_writes(config, [("c", 1)], "task")
    for reader in (saver, make_saver(fake)):
        assert reader.get_tuple(config) is None
        assert reader.get_tuple(place("t")) is None
        assert ids(reader, place("t")) == ids(reader, None) == []
    saver.delete_thread("t")
    assert not fake.objects


@pytest.mark.parametrize("kind", [ListObjects, GetObject])
def test_an_error_is_never_an_absence_of_writes(
    saver: S3Saver, fake: FakeS3, kind: type[Request[Any]]
) -> None:
    config = put(saver, "1")
    saver.put_writes(config, [("c", 1)], "task")

    def fail(moment: Moment, request: Request[Any]) -> None:
        if isinstance(request, kind) and "checkpoint" not in getattr(request, "key", "").rpartition("/")[2]:
            raise client_error("InternalError", 500, request)

    fake.hook = fail
    reader = make_saver(fake)
    with pytest.raises(StorageUnavailableError):
        reader.get_tuple(config)
    with pytest.raises(StorageUnavailableError):
        list(reader.list(place("t")))
    put_config = place("t", "1")
    with pytest.raises(StorageUnavailableError):
        reader.get_tuple(put_config)
