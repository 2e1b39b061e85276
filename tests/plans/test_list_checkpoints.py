"""Lists, metadata and filters, and whose threads are whose."""

from __future__ import annotations

import asyncio
import itertools
import random
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any
from uuid import UUID

import pytest
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_checkpoint_s3 import (
    S3Saver,
)
from tests.plans.helpers import get, ids, put
from tests.support.checkpoints import address, make_checkpoint, place, put_chain, shown
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver
from tests.support.hanging import HANG

WHEN = datetime(2026, 5, 17, 8, 30, tzinfo=timezone.utc)


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

    assert asyncio.run(asyncio.wait_for(run(), HANG)) == 30


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
