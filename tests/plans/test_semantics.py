"""What a checkpoint saver must get right, point by point; most of these are bugs that other savers have."""

from __future__ import annotations

import asyncio
import functools
import itertools
import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any
from uuid import UUID

import msgpack
import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.base import CheckpointTuple, writes_sort_key
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, RESUME

from langgraph_checkpoint_s3 import (
    AccessDeniedError,
    ConflictError,
    CorruptObjectError,
    InvalidConfigError,
    InvalidKeyError,
    S3CheckpointError,
    S3Saver,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.objects.format import open_container
from langgraph_checkpoint_s3.objects.keys import encode_rank
from langgraph_checkpoint_s3.plans.transfer import Sizes
from langgraph_checkpoint_s3.s3.requests import (
    CopyObject,
    CreateUpload,
    DeleteObjects,
    GetObject,
    ListObjects,
    PutObject,
    Request,
)
from tests.support.checkpoints import address, make_checkpoint, place, put_chain, shown
from tests.support.fake_s3 import FakeS3, Moment, client_error, make_saver

WHEN = datetime(2026, 5, 17, 8, 30, tzinfo=timezone.utc)


@pytest.fixture
def fake() -> FakeS3:
    return FakeS3()


@pytest.fixture
def saver(fake: FakeS3) -> S3Saver:
    return make_saver(fake)


def put(
    saver: S3Saver,
    checkpoint_id: str,
    parent: str | None = None,
    *,
    thread: str = "t",
    ns: str = "",
    values: dict[str, Any] | None = None,
    **metadata: Any,
) -> Any:
    checkpoint = make_checkpoint(checkpoint_id, {"v": checkpoint_id} if values is None else values)
    said: Any = metadata
    return saver.put(place(thread, parent, ns), checkpoint, said, checkpoint["channel_versions"])


def get(saver: S3Saver, config: Any) -> CheckpointTuple:
    found = saver.get_tuple(config)
    assert found is not None
    return found


def pending(saver: S3Saver, config: Any) -> list[tuple[str, str, Any]]:
    return [(task, channel, value) for task, channel, value in get(saver, config).pending_writes or ()]


def ids(saver: S3Saver, config: Any, **keywords: Any) -> list[str]:
    return [each.checkpoint["id"] for each in saver.list(config, **keywords)]


def once(kind: type[Request[Any]], action: Callable[[Any], None], moment: Moment = "before") -> Any:
    """A hook that acts at the first request of a kind."""
    left = iter([True])

    def hook(now: Moment, request: Request[Any]) -> None:
        if now == moment and isinstance(request, kind) and next(left, False):
            action(request)

    return hook


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
    assert saver.get_next_version(41).startswith(f"{42:032}.")
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


# Listing


def test_the_filter_comes_before_the_limit(saver: S3Saver) -> None:
    for number in range(20):
        put(
            saver,
            f"{number:02}",
            source="input" if number % 5 == 0 else "loop",
            step=number,
            even=number % 2 == 0,
        )
    assert ids(saver, place("t"), filter={"source": "input"}, limit=2) == ["15", "10"]
    assert ids(saver, place("t"), filter={"even": True}, limit=3) == ["18", "16", "14"]
    assert ids(saver, place("t"), filter={"source": "input", "even": True}, limit=2) == ["10", "00"]
    assert ids(saver, place("t"), filter={"source": "nothing"}, limit=2) == []
    assert ids(saver, place("t"), filter={"source": "input"}, before=place("t", "10"), limit=2) == [
        "05",
        "00",
    ]


def test_the_limit_counts(saver: S3Saver) -> None:
    put_chain(saver, "t", 5)
    assert ids(saver, place("t"), limit=0) == [] == ids(saver, None, limit=0)
    assert ids(saver, place("t"), limit=1) == ["00000004"]
    assert len(ids(saver, place("t"), limit=5)) == len(ids(saver, place("t"), limit=99)) == 5


def test_before_is_less_and_not_equal(saver: S3Saver) -> None:
    for each in ("a", "ab", "abc", "b"):
        put(saver, each)
    assert ids(saver, place("t"), before=place("t", "b")) == ["abc", "ab", "a"]
    assert ids(saver, place("t"), before=place("t", "abc")) == ["ab", "a"]
    assert ids(saver, place("t"), before=place("t", "aa")) == ["a"]
    assert ids(saver, place("t"), before=place("t", "a")) == []
    assert ids(saver, None, before=place("elsewhere", "ab")) == ["a"]


def test_the_newest_is_the_greatest_id(saver: S3Saver) -> None:
    order = ["", "\x7f", "1", "10", "2", "Z", "a", "a\0", "ab", "é", "💥"]
    for each in random.Random(1).sample(order[1:], len(order) - 1):
        put(saver, each)
    assert ids(saver, place("t")) == sorted(order[1:], reverse=True)
    assert get(saver, place("t")).checkpoint["id"] == "💥"


def test_a_checkpoint_id_selects(saver: S3Saver) -> None:
    for ns in ("", "sub"):
        put_chain(saver, "t", 3, ns=ns)
    assert [address(each.config) for each in saver.list(place("t", "00000001"))] == [("t", "", "00000001")]
    assert sorted(address(each.config) or () for each in saver.list(place("t", "00000001", None))) == [
        ("t", "", "00000001"),
        ("t", "sub", "00000001"),
    ]
    assert ids(saver, place("t", "00000007")) == ids(saver, place("t", "00000001", "other")) == []


def test_none_lists_all_threads_newest_first(saver: S3Saver, fake: FakeS3) -> None:
    for number, (thread, ns) in enumerate(itertools.product(["a", "a/b", "ü"], ["", "sub", "__default__"])):
        put(saver, f"{number * 7 % 9}", thread=thread, ns=ns, step=number)
    assert ids(make_saver(fake), None) == [str(number) for number in range(8, -1, -1)]
    assert ids(make_saver(fake), None, limit=2) == ["8", "7"]
    assert ids(make_saver(fake), None, filter={"step": 0}) == ["0"]


@pytest.mark.parametrize("spaces", [2, 20])
def test_all_namespaces_of_a_long_thread_merge_newest_first(
    fake: FakeS3, spaces: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("langgraph_checkpoint_s3.plans.scan.PAGE", 10)
    saver = make_saver(fake)
    for number in range(60):
        config = put(saver, f"{number:02}", ns=f"ns-{number % spaces}")
        saver.put_writes(config, [("c", number)], "task")
    listed = [each.checkpoint["id"] for each in saver.list(place("t", ns=None))]
    assert listed == [f"{number:02}" for number in range(59, -1, -1)]
    assert ids(saver, place("t", ns=None), before=place("t", "30"), limit=3) == ["29", "28", "27"]


def test_what_is_listed_can_be_used_while_listing(saver: S3Saver) -> None:
    put_chain(saver, "t", 30)
    for each in saver.list(place("t")):
        assert shown(saver.get_tuple(each.config)) == shown(each)
        saver.put_writes(each.config, [("c", 1)], "while-listing")

    async def run() -> int:
        count = 0
        async for each in saver.alist(place("t")):
            assert shown(await saver.aget_tuple(each.config)) == shown(each)
            await saver.aput_writes(each.config, [("c", 1)], "while-listing-too")
            count += 1
        return count

    assert asyncio.run(asyncio.wait_for(run(), 30)) == 30


# Metadata


@dataclass(frozen=True)
class Ticket:
    number: int


@pytest.mark.parametrize(
    ("name", "value", "other"),
    [
        ("when", WHEN, WHEN.replace(year=2027)),
        ("who", UUID(int=1), UUID(int=2)),
        ("tags", ["a", {"b": 1}], ["a"]),
        ("ü /\n", "ü /\n", "u"),
        ("none", None, 1),
        ("float", 1.5, 2.5),
        ("source", "own", "loop"),
        ("source", 5, "5"),
        ("step", 2**62, 1),
        ("step", "first", 1),
        ("run_id", "r/ü.k", "r"),
    ],
)
@pytest.mark.parametrize("padding", [0, 40_000], ids=["in the head", "beyond the head"])
def test_any_metadata_can_be_stored_and_filtered_by(
    saver: S3Saver, fake: FakeS3, name: str, value: Any, other: Any, padding: int
) -> None:
    noise = random.Random(0).randbytes(padding)
    said = {name: value, "parents": {"": "x"}, "padding": noise}
    put(saver, "1", **said)
    put(saver, "2", **{**said, name: other})
    assert get(make_saver(fake), place("t", "1")).metadata == said
    assert ids(make_saver(fake), place("t"), filter={name: value}) == ["1"]
    assert ids(make_saver(fake), place("t"), filter={name: value, "padding": noise}, limit=1) == ["1"]
    assert ids(make_saver(fake), place("t"), filter={name: value, "padding": b"other"}) == []
    assert ids(make_saver(fake), None, filter={"absent": None, name: value}) == ["1"]


def test_large_metadata_is_not_read_one_after_the_other(fake: FakeS3) -> None:
    for number in range(8):
        put(make_saver(fake), f"{number}", noise=random.Random(0).randbytes(40_000), even=number % 2 == 0)
    with fake.counted() as count:
        assert ids(make_saver(fake), place("t"), filter={"even": True}) == ["6", "4", "2", "0"]
    assert count.round_trips <= 5


def test_a_value_that_cannot_be_stored_leaves_nothing_behind(saver: S3Saver, fake: FakeS3) -> None:
    class Strange:
        def __reduce__(self) -> Any:
            raise TypeError("not to be stored")

    with pytest.raises(TypeError):
        put(saver, "1", strange=Strange())
    with pytest.raises(TypeError):
        put(saver, "1", values={"fine": 1, "strange": Strange()})
    with pytest.raises(TypeError):
        saver.put_writes(place("t", "1"), [("fine", 1), ("strange", Strange())], "task")
    assert not fake.objects


def test_what_the_config_says_goes_into_the_metadata(saver: S3Saver) -> None:
    config = place("t")
    config["metadata"] = {"user": "ann", "thread_id": "t"}
    config["configurable"]["tenant"] = "acme"
    saver.put(config, make_checkpoint("1", {}), {"source": "loop"}, {})
    assert ids(saver, place("t"), filter={"user": "ann", "source": "loop"}) == ["1"]
    assert ids(saver, place("t"), filter={"user": "bob"}) == []
    assert "thread_id" not in get(saver, place("t")).metadata


def test_strict_msgpack_reaches_the_serializer_in_use(fake: FakeS3, caplog: pytest.LogCaptureFixture) -> None:
    strict = make_saver(fake, serde=JsonPlusSerializer(allowed_msgpack_modules=None))
    put(strict, "1", values={"ticket": Ticket(7)}, ticket=Ticket(8))
    strict.put_writes(place("t", "1"), [("c", Ticket(9))], "task")
    refused = get(strict, place("t"))
    assert not isinstance(refused.checkpoint["channel_values"]["ticket"], Ticket)
    clone: Any = strict.with_allowlist([(Ticket.__module__, Ticket.__name__)])
    found = get(clone, place("t"))
    assert found.checkpoint["channel_values"] == {"ticket": Ticket(7)}
    assert dict(found.metadata) == {"ticket": Ticket(8)}
    assert found.pending_writes == [("task", "c", Ticket(9))]
    assert not isinstance(get(strict, place("t")).checkpoint["channel_values"]["ticket"], Ticket)


# Threads and namespaces don't meet

THREADS = [
    "a",
    "a/b",
    "a/b/c",
    "b",
    "a.thread",
    "a.2Fb",
    "a.thread/.ns",
    "A",
    "a ",
    "%61",
    "..",
    ".",
    "~",
    "ü",
    "__default__",
]
NAMESPACES = ["", "__default__", "c", "b/c", "a|b", "a:1|b:2", "a", ".ns", "a.ns", " ", "ü"]


def test_every_thread_and_namespace_is_its_own(saver: S3Saver, fake: FakeS3) -> None:
    every = list(itertools.product(THREADS, NAMESPACES))
    for thread, ns in every:
        put(saver, "1", thread=thread, ns=ns, values={"me": [thread, ns]})
        saver.put_writes(place(thread, "1", ns), [("me", [thread, ns])], "task")
    reader = make_saver(fake)
    for thread, ns in every:
        found = get(reader, place(thread, ns=ns))
        assert found.checkpoint["channel_values"] == {"me": [thread, ns]}
        assert found.pending_writes == [("task", "me", [thread, ns])]
        assert address(found.config) == (thread, ns, "1")
    assert len(list(reader.list(place("a", ns=None)))) == len(NAMESPACES)
    assert len(list(reader.list(None))) == len(every)
    left = set(every)
    for thread in THREADS:
        saver.delete_thread(thread)
        left -= {(thread, ns) for ns in NAMESPACES}
        assert {address(each.config) for each in make_saver(fake).list(None)} == {
            (*each, "1") for each in left
        }
    assert not fake.objects


def test_savers_with_nested_prefixes_never_meet(fake: FakeS3) -> None:
    savers = [make_saver(fake, prefix=prefix) for prefix in ("", "a", "a/b/", "ab", "a.thread.s/x")]
    for number, saver in enumerate(savers):
        put(saver, "1", thread="b", run_id="run", values={"me": number})
    for number, saver in enumerate(savers):
        assert [each.checkpoint["channel_values"] for each in saver.list(None)] == [{"me": number}]
    for number, saver in enumerate(savers):
        if number % 2:
            saver.delete_thread("b")
        else:
            saver.delete_for_runs(["run"])
        assert saver.get_tuple(place("b")) is None
        assert len(fake.objects) == len(savers) - number - 1


def test_objects_of_others_are_left_alone(saver: S3Saver, fake: FakeS3) -> None:
    strangers = [
        "checkpoints/",
        "checkpoints/notes.txt",
        "checkpoints/.probe/x",
        "checkpoints/t.threads/a",
        "other/t.thread/x",
    ]
    for key in [*strangers, "checkpoints/t.thread/", "checkpoints/t.thread/.ns/"]:  # consoles make folders
        fake.put(key, b"not ours")
    put(saver, "1", run_id="run")
    assert ids(saver, None) == ids(saver, place("t")) == ids(saver, place("t", ns=None)) == ["1"]
    saver.copy_thread("t", "u")
    saver.prune(["t", "u"])
    saver.delete_for_runs(["run"])
    saver.delete_thread("t")
    assert set(strangers) <= set(fake.objects)
    assert not fake.keys("/checkpoint.")


# Deleting, copying and pruning


def test_deletions_that_fail_are_told(fake: FakeS3) -> None:
    put_chain(make_saver(fake), "t", 3, run="run")
    stuck = fake.keys()[0]
    for code, error in (("InternalError", StorageUnavailableError), ("AccessDenied", AccessDeniedError)):
        fake.undeletable = {stuck: (code, "no")}
        operations: list[Callable[[S3Saver], None]] = [
            lambda saver: saver.delete_thread("t"),
            lambda saver: saver.delete_for_runs(["run"]),
            lambda saver: saver.prune(["t"], strategy="delete"),
        ]
        for operation in operations:
            with pytest.raises(error, match=r"1 of \d+ objects could not be deleted") as raised:
                operation(make_saver(fake))
            assert raised.value.key == stuck
    fake.undeletable = {}
    make_saver(fake).delete_thread("t")
    assert not fake.objects


def test_deleting_a_run_deletes_its_checkpoints_alone(saver: S3Saver, fake: FakeS3) -> None:
    for thread in ("t", "u/v"):
        put_chain(saver, thread, 2, run="run/1")
        put_chain(saver, thread, 2, first=2, run="run/2")
    put(saver, "1", thread="none")
    saver.delete_for_runs(["run/1", "unknown"])
    assert sorted(ids(make_saver(fake), None)) == ["00000002", "00000002", "00000003", "00000003", "1"]
    assert not [key for key in fake.keys("writes.") if encode_rank("00000001") in key]
    saver.delete_for_runs([])
    assert len(ids(saver, None)) == 5


@pytest.mark.parametrize("run", ["first", "second"])
def test_a_checkpoint_that_two_runs_put_goes_with_either(saver: S3Saver, fake: FakeS3, run: str) -> None:
    for each in ("first", "second"):
        put(saver, "1", run_id=each)
    put(saver, "2", "1", run_id="third")
    saver.delete_for_runs([run])
    assert ids(make_saver(fake), place("t")) == ["2"]
    assert len(fake.objects) == 1


def test_pruning_keeps_the_latest_of_each_namespace_and_early_writes(saver: S3Saver, fake: FakeS3) -> None:
    for ns in ("", "sub", "__default__"):
        put_chain(saver, "t", 4, ns=ns)
    put_chain(saver, "other", 2)
    saver.put_writes(place("t", "9"), [("c", "early")], "task")
    latest = [shown(get(saver, place("t", ns=ns))) for ns in ("", "sub", "__default__")]
    saver.prune(["t", "nobody", "t"])
    reader = make_saver(fake)
    assert [shown(get(reader, place("t", ns=ns))) for ns in ("", "sub", "__default__")] == latest
    assert len(list(reader.list(place("t", ns=None)))) == 3
    assert len(ids(reader, place("other"))) == 2
    put(saver, "9", "00000003")
    assert pending(make_saver(fake), place("t")) == [("task", "c", "early")]
    with pytest.raises(InvalidConfigError):
        saver.prune(["t"], strategy="keep_all")
    assert ids(reader, place("t")) == ["9", "00000003"]


def counters(*channels: str) -> dict[str, Any]:
    return {"counters_since_delta_snapshot": {channel: [1, 1] for channel in channels}}


def test_pruning_keeps_what_delta_channels_are_rebuilt_from(saver: S3Saver, fake: FakeS3) -> None:
    put_chain(saver, "t", 4, values={})
    put_chain(saver, "t", 3, first=4, seed={"d": ["seed"]}, values={})
    checkpoint = make_checkpoint("00000007", {}, absent=["d"])
    said: Any = counters("d")
    saver.put(place("t", "00000006"), checkpoint, said, checkpoint["channel_versions"])
    expected = saver.get_delta_channel_history(config=place("t"), channels=["d"])
    assert expected["d"] == {
        "writes": [("task-0", "d", [f"{number}.0"]) for number in (4, 5, 6)],
        "seed": ["seed"],
    }
    saver.prune(["t"])
    reader = make_saver(fake)
    assert reader.get_delta_channel_history(config=place("t"), channels=["d"]) == expected
    assert ids(reader, place("t")) == [f"{number:08}" for number in (7, 6, 5, 4)]


@pytest.mark.parametrize("noise", [0, 60_000], ids=["in the head", "beyond the head"])
def test_pruning_keeps_nothing_for_a_delta_channel_that_was_never_written(
    saver: S3Saver, fake: FakeS3, noise: int
) -> None:
    put_chain(saver, "t", 10, values={})
    values = {"x": 1, "noise": random.Random(0).randbytes(noise)}
    put(saver, "00000010", "00000009", values=values, **counters("d"))
    saver.prune(["t"])
    assert ids(make_saver(fake), place("t")) == ["00000010"]


def test_pruning_deletes_nothing_of_a_thread_whose_latest_vanishes(saver: S3Saver, fake: FakeS3) -> None:
    put_chain(saver, "t", 3)
    fake.hook = once(GetObject, lambda request: fake.delete(request.key))
    with pytest.raises(ConflictError):
        make_saver(fake).prune(["t"])
    fake.hook = None
    assert ids(make_saver(fake), place("t")) == ["00000001", "00000000"]


def test_a_copy_is_equal_and_its_own(saver: S3Saver, fake: FakeS3) -> None:
    for ns in ("", "sub|x"):
        put_chain(saver, "t", 5, ns=ns)
    saver.put_writes(place("t", "9"), [("c", "early")], "task")
    saver.copy_thread("t", "u/v")
    reader = make_saver(fake)
    for ns in ("", "sub|x"):
        assert [
            (each.checkpoint, each.metadata, each.pending_writes) for each in reader.list(place("u/v", ns=ns))
        ] == [
            (each.checkpoint, each.metadata, each.pending_writes) for each in reader.list(place("t", ns=ns))
        ]
        assert address(get(reader, place("u/v", ns=ns)).parent_config) == ("u/v", ns, "00000003")
    saver.delete_thread("t")
    assert len(list(make_saver(fake).list(place("u/v", ns=None)))) == 10
    saver.copy_thread("nobody", "u/v")
    saver.copy_thread("u/v", "u/v")
    assert len(list(make_saver(fake).list(None))) == 10


def test_a_copy_leaves_what_the_target_held(saver: S3Saver, fake: FakeS3) -> None:
    put_chain(saver, "t", 2)
    put(saver, "00000005", thread="u", values={"own": 1})
    saver.copy_thread("t", "u")
    assert ids(make_saver(fake), place("u")) == ["00000005", "00000001", "00000000"]
    saver.copy_thread("t", "u")
    assert ids(make_saver(fake), place("u")) == ["00000005", "00000001", "00000000"]


def test_a_copy_of_what_is_being_deleted_is_told(saver: S3Saver, fake: FakeS3) -> None:
    put_chain(saver, "t", 3)
    fake.hook = once(CopyObject, lambda _: make_saver(fake).delete_thread("t"))
    with pytest.raises(ConflictError):
        saver.copy_thread("t", "u")


def test_a_copy_whose_keys_would_be_too_long_copies_nothing(saver: S3Saver, fake: FakeS3) -> None:
    put(saver, "1" * 300, "0" * 300)
    with pytest.raises(InvalidKeyError):
        saver.copy_thread("t", "x" * 200)
    assert len(fake.objects) == 1


# What changes between a listing and a read


def test_a_latest_that_vanishes_gives_way_to_the_one_before(saver: S3Saver, fake: FakeS3) -> None:
    put_chain(saver, "t", 2)
    fake.hook = once(GetObject, lambda _: make_saver(fake).delete_for_runs(["run"]))
    put(saver, "00000009", "00000001", run_id="run")
    assert get(make_saver(fake), place("t")).checkpoint["id"] == "00000001"


@pytest.mark.parametrize("seed", range(5))
def test_ancestors_may_lie_anywhere(fake: FakeS3, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of forks of forks jumps back and forth among the ids."""
    monkeypatch.setattr("langgraph_checkpoint_s3.plans.scan.PAGE", 4)
    monkeypatch.setattr("langgraph_checkpoint_s3.plans.history._FIRST_PAGE", 3)
    saver, order = make_saver(fake), random.Random(seed).sample(range(40), 40)
    for parent, number in zip([None, *order], order, strict=False):
        config = put(saver, f"{number:02}", None if parent is None else f"{parent:02}")
        saver.put_writes(config, [("d", number)], "task")
    history = saver.get_delta_channel_history(config=place("t", f"{order[-1]:02}"), channels=["d"])
    assert history["d"]["writes"] == [("task", "d", number) for number in order[:-1]]


def delete_now(fake: FakeS3, _: Any) -> None:
    make_saver(fake).delete_thread("t")


def test_a_thread_that_vanishes_is_gone(saver: S3Saver, fake: FakeS3) -> None:
    put_chain(saver, "t", 3)
    snapshot = fake.snapshot()
    readings: list[Callable[[S3Saver], Any]] = [
        lambda reader: reader.get_tuple(place("t")),
        lambda reader: reader.get_tuple(place("t", "00000001")),
        lambda reader: list(reader.list(place("t"))) or None,
        lambda reader: list(reader.list(place("t"), filter={"even": True})) or None,
        lambda reader: list(reader.list(None)) or None,
    ]
    for read in readings:
        bucket = snapshot.snapshot()
        assert read(make_saver(bucket)) is not None
        bucket.hook = once(GetObject, functools.partial(delete_now, bucket))
        assert read(make_saver(bucket)) is None


def test_an_ancestor_that_vanishes_is_no_empty_history(saver: S3Saver, fake: FakeS3) -> None:
    put_chain(saver, "t", 5, values={}, run="run")
    fake.hook = once(GetObject, lambda _: make_saver(fake).delete_thread("t"))
    with pytest.raises(ConflictError):
        make_saver(fake).get_delta_channel_history(config=place("t"), channels=["d"])


@pytest.mark.parametrize("sizes", [Sizes(1 << 20, 1 << 20), Sizes(1000, 700)], ids=["whole", "in ranges"])
@pytest.mark.parametrize(
    "lengths", [(5000, 9000), (9000, 5000), (9000, 10), (10, 9000), (5000, 5000)], ids=str
)
def test_an_object_that_is_replaced_is_never_read_mixed(
    fake: FakeS3, sizes: Sizes, lengths: tuple[int, int]
) -> None:
    writer = make_saver(fake, compression="none")
    old, new = (bytes([number]) * length for number, length in zip(b"ab", lengths, strict=True))
    put(writer, "1", values={"v": old})
    ranges = len(list(range(0, max(lengths), 700))) + 2
    for place_of_change in range(ranges):
        bucket = fake.snapshot()
        asked = itertools.count()

        def change(
            moment: Moment,
            request: Request[Any],
            bucket: FakeS3 = bucket,
            asked: Any = asked,
            at: int = place_of_change,
        ) -> None:
            if moment == "before" and isinstance(request, GetObject) and next(asked) == at:
                bucket.hook = None
                put(make_saver(bucket, compression="none"), "1", values={"v": new})

        bucket.hook = change
        reader = make_saver(bucket, sizes=sizes)
        assert get(reader, place("t")).checkpoint["channel_values"]["v"] in (old, new)
        for each in reader.list(place("t")):
            assert each.checkpoint["channel_values"]["v"] in (old, new)
        assert get(make_saver(bucket), place("t")).checkpoint["channel_values"]["v"] in (old, new)


def test_a_head_that_is_replaced_is_never_read_mixed(fake: FakeS3) -> None:
    noise = random.Random(0).randbytes(50_000)
    put(make_saver(fake), "1", values={f"channel-{n}" * 20: n for n in range(300)}, noise=noise, mark="old")
    for at in range(6):
        bucket = fake.snapshot()
        asked = itertools.count()

        def change(
            moment: Moment, request: Request[Any], bucket: FakeS3 = bucket, asked: Any = asked, at: int = at
        ) -> None:
            if moment == "before" and isinstance(request, GetObject) and next(asked) == at:
                bucket.hook = None
                put(make_saver(bucket), "1", values={"v": 1}, mark="new")

        bucket.hook = change
        reader = make_saver(bucket)
        found = [each.metadata for each in reader.list(place("t"), filter={"mark": "old"})]
        assert not found or (found[0]["mark"] == "old" and found[0]["noise"] == noise)  # type: ignore[typeddict-item]


def test_a_reader_sees_what_another_process_overwrote(saver: S3Saver, fake: FakeS3) -> None:
    put(saver, "1", values={"v": "old"})
    assert get(saver, place("t")).checkpoint["channel_values"] == {"v": "old"}
    put(make_saver(fake), "1", values={"v": "new"})
    assert get(saver, place("t")).checkpoint["channel_values"] == {"v": "new"}


# Objects that can't be trusted


def damage(fake: FakeS3, key: str, change: Callable[[bytes], bytes]) -> None:
    fake.put(key, change(fake.objects[key].data))


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-1],
        lambda data: data[:8],
        lambda data: b"",
        lambda data: b"{}" + data,
        lambda data: data[:-3] + bytes([data[-3] ^ 1]) + data[-2:],
        lambda data: data[:20] + bytes([data[20] ^ 1]) + data[21:],
        lambda data: data + b"x",
    ],
)
@pytest.mark.parametrize("part", ["/checkpoint", "/writes"])
def test_a_damaged_object_is_told_by_its_key(
    fake: FakeS3, part: str, change: Callable[[bytes], bytes]
) -> None:
    put_chain(make_saver(fake), "t", 1)
    [key] = fake.keys(part)
    damage(fake, key, change)
    readings: list[Callable[[S3Saver], Any]] = [
        lambda reader: reader.get_tuple(place("t")),
        lambda reader: list(reader.list(place("t"))),
        lambda reader: list(reader.list(None)),
    ]
    for read in readings:
        with pytest.raises(CorruptObjectError) as raised:
            read(make_saver(fake))
        assert raised.value.key == key
        assert raised.value.bucket == "fake-bucket"
        assert key in str(raised.value)


def test_an_object_under_another_key_is_not_believed(saver: S3Saver, fake: FakeS3) -> None:
    put_chain(saver, "t", 2)
    first, second = fake.keys("/checkpoint")
    damage(fake, first, lambda _: fake.objects[second].data)
    with pytest.raises(CorruptObjectError):
        make_saver(fake).get_tuple(place("t"))


def test_a_strange_object_in_a_thread_is_told(saver: S3Saver, fake: FakeS3) -> None:
    put(saver, "1")
    fake.put("checkpoints/t.thread/.ns/notes.txt", b"hello")
    readings: list[Callable[[S3Saver], Any]] = [
        lambda reader: list(reader.list(place("t"))),
        lambda reader: list(reader.list(None)),
        lambda reader: reader.copy_thread("t", "u"),
        lambda reader: reader.prune(["t"]),
    ]
    for read in readings:
        with pytest.raises(CorruptObjectError, match=r"notes\.txt"):
            read(make_saver(fake))
    assert len(fake.objects) == 2


# Borrowed frames: no writer makes them yet, and every reader understands them


def lend(fake: FakeS3, lender_key: str, borrower_key: str, channel: str) -> None:
    """Move a channel of the lender into the borrower, by reference."""
    lender = open_container(fake.objects[lender_key].data, len(fake.objects[lender_key].data))
    data = fake.objects[borrower_key].data
    borrower = open_container(data, len(data))
    kind, [[number, start, length]] = lender.fields["channels"][channel]
    frame = lender.frames[number]
    home = lender_key.split("/.ns/", 1)[1]
    row = [lender.base + frame.offset, frame.stored, frame.raw, frame.codec, frame.crc, home]
    fields = dict(borrower.fields)
    fields["channels"] = {**fields["channels"], channel: [kind, [[len(borrower.frames), start, length]]]}
    fields["frames"] = [*fields["frames"], row]
    header = msgpack.packb(fields, use_bin_type=True)
    preamble = struct.pack(">4sBBHI", b"LGS3", 1, 0, 0, len(header))
    crc = zlib.crc32(header, zlib.crc32(preamble)).to_bytes(4, "big")
    fake.put(borrower_key, preamble + crc + header + data[borrower.base :])


@pytest.fixture
def borrowed(fake: FakeS3) -> FakeS3:
    """A thread whose second and third checkpoint borrow `big` from the first."""
    saver = make_saver(fake)
    put(saver, "1", values={"big": random.Random(0).randbytes(50_000), "v": 1}, even=False)
    put(saver, "2", "1", values={"v": 2}, even=True)
    put(saver, "3", "2", values={"v": 3}, even=True)
    third, second, first = fake.keys("/checkpoint")
    lend(fake, first, second, "big")
    lend(fake, first, third, "big")
    return fake


def test_borrowed_frames_are_read_in_one_round_trip_more(borrowed: FakeS3) -> None:
    big = random.Random(0).randbytes(50_000)
    for checkpoint_id in ("2", "3"):
        with borrowed.counted() as count:
            found = get(make_saver(borrowed), place("t", checkpoint_id))
        assert found.checkpoint["channel_values"] == {"v": int(checkpoint_id), "big": big}
        assert (count.kinds, count.round_trips) == ({"ListObjects": 1, "GetObject": 2}, 3)
        assert isinstance(count.requests[-1], GetObject)
        assert count.requests[-1].length
    with borrowed.counted() as count:
        listed = list(make_saver(borrowed).list(place("t")))
    assert [each.checkpoint["channel_values"]["big"] for each in listed] == [big] * 3
    assert count.round_trips == 3
    assert ids(make_saver(borrowed), place("t"), filter={"even": True}) == ["3", "2"]
    history: Any = make_saver(borrowed).get_delta_channel_history(config=place("t"), channels=["big"])
    assert history == {"big": {"writes": [], "seed": big}}


def test_a_copy_borrows_within_itself(borrowed: FakeS3) -> None:
    make_saver(borrowed).copy_thread("t", "u")
    make_saver(borrowed).delete_thread("t")
    found = get(make_saver(borrowed), place("u"))
    assert found.checkpoint["channel_values"]["big"] == random.Random(0).randbytes(50_000)


def test_a_missing_lender_is_told_with_its_borrower(borrowed: FakeS3) -> None:
    third, _, first = borrowed.keys("/checkpoint")
    borrowed.delete(first)
    with pytest.raises(CorruptObjectError) as raised:
        make_saver(borrowed).get_tuple(place("t"))
    assert first in str(raised.value)
    assert raised.value.key == third
    assert third in str(raised.value)


def test_a_changed_lender_is_told_with_its_borrower(borrowed: FakeS3) -> None:
    third, _, first = borrowed.keys("/checkpoint")
    whole = borrowed.objects[first].data
    for data in (b"\0" * len(whole), whole[:10_000], whole[:100]):
        borrowed.put(first, data)
        with pytest.raises(CorruptObjectError) as raised:
            make_saver(borrowed).get_tuple(place("t"))
        assert raised.value.key == third
        assert first.split("/.ns/")[1] in str(raised.value)


# Errors carry what is needed to act


def test_errors_name_bucket_and_key(saver: S3Saver, fake: FakeS3) -> None:
    def deny(moment: Moment, request: Request[Any]) -> None:
        raise client_error("AccessDenied", 403, request)

    fake.hook = deny
    with pytest.raises(AccessDeniedError, match="s3:PutObject") as raised:
        put(saver, "1")
    assert raised.value.bucket == "fake-bucket"
    assert raised.value.key
    assert raised.value.key.endswith("/checkpoint")
    assert isinstance(raised.value, S3CheckpointError)
    assert isinstance(raised.value, PermissionError)
    fake.hook = once(DeleteObjects, lambda request: deny("before", request))
    put(saver, "1")
    with pytest.raises(AccessDeniedError, match="s3:DeleteObject"):
        saver.delete_thread("t")
