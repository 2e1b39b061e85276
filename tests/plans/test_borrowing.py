"""Borrowing from earlier checkpoints: what is borrowed, its cost, and when it is allowed."""

from __future__ import annotations

import asyncio
import itertools
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from langgraph.checkpoint.base import Checkpoint
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import START, MessagesState, StateGraph

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.format.checkpoint import SECOND
from langgraph_checkpoint_s3.s3.requests import GetObject, HeadObject
from tests.plans.borrowers import cold, eager, key_of, layout, lenders, noise, opened, size, step, succeed
from tests.plans.helpers import get, put
from tests.support import inside
from tests.support.checkpoints import place
from tests.support.fake_s3 import Count, FakeS3
from tests.support.fake_store import make_saver

pytestmark = pytest.mark.modes("plain", "private")

DOCUMENTS = noise(60_000)
LOG = noise(90_000, 1)


def grown(saver: S3Saver) -> Checkpoint:
    """The fourth of a line, which borrows one log from three lenders and all documents from the first."""
    last = None
    for number, end in enumerate((64_000, 80_000, 84_000, 84_700), start=1):
        changed: dict[str, Any] = {} if last else {"documents": DOCUMENTS}
        last = step(saver, str(number), last, log=LOG[:end], n=number, **changed)
    assert last is not None
    return last


def ranges(count: Count) -> list[GetObject]:
    """The reads of parts of objects."""
    return [each for each in count.requests if isinstance(each, GetObject) and each.length is not None]


# What it costs


def test_a_put_that_borrows_is_one_round_trip(fake: FakeS3) -> None:
    saver = make_saver(fake)
    fourth = grown(saver)
    assert lenders(fake, "4") == ["1", "2", "3"]
    with fake.counted() as count:
        step(saver, "5", fourth, log=LOG[:84_800])
    assert lenders(fake, "5") == ["1", "2", "3"]  # the fourth one's share is too small to be a lender
    assert (count.kinds, count.round_trips) == ({"PutObject": 1, "GetObject": 1, "HeadObject": 1}, 1)
    assert [each.key for each in count.requests if isinstance(each, HeadObject)] == [key_of(fake, "1")]
    [look] = [each.key for each in count.requests if isinstance(each, GetObject)]
    assert look == layout().tombstones(layout().thread("t"))
    assert size(fake, "5") < 2_500


def test_a_small_state_asks_after_nobody(fake: FakeS3, saver: S3Saver) -> None:
    first = step(saver, "1", log="x" * 2_000)
    with fake.counted() as count:
        second = step(saver, "2", first, n=2)
        step(saver, "3", second, log="x" * 2_100)
    assert (count.kinds, count.round_trips) == ({"PutObject": 2}, 2)


@pytest.mark.parametrize("writes", [0, 1, 5])
def test_a_cold_read_of_a_borrower_is_three_round_trips(fake: FakeS3, saver: S3Saver, writes: int) -> None:
    fourth = grown(saver)
    for task in range(writes):
        saver.put_writes(place("t", "4"), [("c", task)], f"task-{task}")
    with fake.counted() as count:
        found = get(make_saver(fake), place("t"))
    assert found.checkpoint == fourth
    assert len(found.pending_writes or ()) == writes
    assert [len(batch) for batch in count.batches] == [1, 1 + writes, 3]
    assert {each.key for each in ranges(count)} == {key_of(fake, each) for each in ("1", "2", "3")}


@pytest.mark.parametrize(("between", "reads"), [(60_000, 1), (70_000, 2)])
def test_neighbours_in_a_lender_are_read_at_once(
    fake: FakeS3, saver: S3Saver, between: int, reads: int
) -> None:
    first = step(saver, "1", a=noise(20_000, 1), gap=noise(between), b=noise(20_000, 2))
    second = step(saver, "2", first, drop=["gap"])
    assert lenders(fake, "2") == ["1"]
    with fake.counted() as count:
        assert cold(fake) == second["channel_values"]
    assert len(ranges(count)) == reads
    assert count.round_trips == 3


def test_what_a_process_wrote_is_a_list(fake: FakeS3, saver: S3Saver) -> None:
    fourth = grown(saver)
    with fake.counted() as count:
        assert get(saver, place("t")).checkpoint == fourth
        assert get(saver, place("t", "2")).checkpoint["channel_values"]["log"] == LOG[:80_000]
    assert count.kinds == {"ListObjects": 2}


def test_what_a_process_read_is_a_list(fake: FakeS3) -> None:
    fourth, reader = grown(make_saver(fake)), make_saver(fake)
    get(reader, place("t"))
    with fake.counted() as count:
        assert get(reader, place("t")).checkpoint == fourth
    assert count.kinds == {"ListObjects": 1}


@pytest.mark.parametrize("limit", [None, 20])
def test_a_list_asks_for_each_lent_range_once(fake: FakeS3, saver: S3Saver, limit: int | None) -> None:
    last = grown(saver)
    for number in range(5, 40):
        last = step(saver, f"4.{number:02}", last, n=number)
    with fake.counted() as count:
        listed = list(make_saver(fake).list(place("t"), limit=limit))
    assert len(listed) == (limit or 39)
    assert all(each.checkpoint["channel_values"]["documents"] == DOCUMENTS for each in listed)
    assert listed[0].checkpoint == last
    lent = ranges(count)
    assert len(lent) == len(set(lent)) == 3
    whole = [each for each in count.requests if isinstance(each, GetObject) and each.length is None]
    assert len(whole) == len(set(whole)) == len(listed)


def test_a_list_reads_no_more_states_at_once_than_fit(
    fake: FakeS3, saver: S3Saver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their objects are small: what counts is what they come to with what they borrow."""
    before = step(saver, "00", documents=DOCUMENTS)
    for number in range(1, 30):
        before = step(saver, f"{number:02}", before, n=number)
    monkeypatch.setattr("langgraph_checkpoint_s3.plans.list_checkpoints._WINDOW_BYTES", 3 * len(DOCUMENTS))
    with fake.counted() as count:
        assert len(list(make_saver(fake).list(place("t")))) == 30
    read = [sum(isinstance(each, GetObject) and each.first == 0 for each in batch) for batch in count.batches]
    assert max(read) == 8  # the first window: it isn't known yet what a state comes to
    assert all(each <= 3 for each in read[read.index(8) + 1 :])


def test_an_unchanged_channel_is_neither_serialized_nor_stored(fake: FakeS3, saver: S3Saver) -> None:
    """A channel whose version is unchanged isn't serialized."""
    first = step(saver, "1", documents=DOCUMENTS, n=1)
    second = succeed("2", first, n=2)
    second["channel_values"]["documents"] = object()  # can't be serialized
    saver.put(place("t", "1"), second, {}, {"n": second["channel_versions"]["n"]})
    assert cold(fake, "2") == {"documents": DOCUMENTS, "n": 2}
    assert size(fake, "2") < 1_000


def test_the_async_methods_borrow_as_well(fake: FakeS3) -> None:
    first = step(make_saver(fake), "1", documents=DOCUMENTS)
    second, third = succeed("2", first, n=2), succeed("3", first, n=3)

    async def go_on() -> None:
        saver = make_saver(fake)
        await saver.aget_tuple(place("t"))
        for each in (second, third):
            await saver.aput(place("t", "1"), each, {}, {"n": each["channel_versions"]["n"]})
            await saver.aget_tuple(place("t", "1"))

    asyncio.run(go_on())
    assert lenders(fake, "2") == lenders(fake, "3") == ["1"]
    assert cold(fake, "3") == {"documents": DOCUMENTS, "n": 3}


# Who may borrow


def test_who_does_not_know_the_parent_writes_whole(fake: FakeS3) -> None:
    first = step(make_saver(fake), "1", documents=DOCUMENTS)
    stranger, lister, reader = (make_saver(fake) for _ in range(3))
    assert len(list(lister.list(place("t")))) == 1
    get(reader, place("t"))
    for number, saver in enumerate((stranger, lister, reader)):
        with fake.counted() as count:
            child = step(saver, f"2{number}", first, n=number)
        assert lenders(fake, child["id"]) == ["1"] * (saver is reader)
        beside = {"GetObject": 1, "HeadObject": 1} if saver is reader else {}
        assert count.kinds == {"PutObject": 1, **beside}
        assert cold(fake) == child["channel_values"]


@pytest.mark.parametrize(
    "settings", [{"cache_bytes": 0}, {"borrow": False}, {"cache_bytes": 50_000}], ids=str
)
def test_who_may_not_or_can_not_remember_writes_whole(fake: FakeS3, settings: dict[str, Any]) -> None:
    saver = make_saver(fake, **settings)
    first = step(saver, "1", documents=DOCUMENTS)
    get(saver, place("t"))
    with fake.counted() as count:
        second = step(saver, "2", first, n=2)
    assert count.kinds == {"PutObject": 1}
    assert lenders(fake, "2") == []
    assert cold(fake) == get(saver, place("t")).checkpoint["channel_values"] == second["channel_values"]


def test_objects_of_both_kinds_mix(fake: FakeS3) -> None:
    savers = [make_saver(fake), make_saver(fake, borrow=False), make_saver(fake, compression="gzip")]
    last, expected = None, {}
    for number, saver in zip(range(12), itertools.cycle(savers)):
        if last is not None:
            assert get(saver, place("t")).checkpoint == last
        last = step(saver, f"{number:02}", last, documents=DOCUMENTS, log=LOG[: 5_000 * number])
        expected[last["id"]] = last
    # From what is written without lending, nobody borrows: not the third of them either, then.
    assert [bool(lenders(fake, each)) for each in expected] == [*[False] * 3, *[True, False, False] * 3]
    for reader in [*savers, make_saver(fake)]:
        assert [each.checkpoint for each in reader.list(place("t"))] == list(expected.values())[::-1]


def test_nothing_is_borrowed_across_namespaces_and_threads(fake: FakeS3, saver: S3Saver) -> None:
    first = step(saver, "1", documents=DOCUMENTS)
    for thread, ns in (("t", "sub"), ("u", "")):
        step(saver, "2", first, thread=thread, ns=ns, n=2)
        assert lenders(fake, "2", thread, ns) == []
        assert cold(fake, "2", thread, ns) == {"documents": DOCUMENTS, "n": 2}


def test_a_clone_shares_what_is_known(fake: FakeS3) -> None:
    saver = make_saver(fake, serde=JsonPlusSerializer(allowed_msgpack_modules=[]))
    first = step(saver, "1", documents=DOCUMENTS)
    clone = saver.with_allowlist([("somewhere", "Something")])
    assert isinstance(clone, S3Saver)
    assert clone is not saver
    second = step(clone, "2", first, n=2)
    third = step(saver, "3", second, n=3)
    assert lenders(fake, "2") == lenders(fake, "3") == ["1"]
    assert cold(fake) == third["channel_values"]


# Forks and time travel


def test_forks_of_one_parent_borrow_from_it(fake: FakeS3, saver: S3Saver) -> None:
    fourth = grown(saver)
    for number in range(5):
        get(saver, place("t", "4"))
        fork = step(saver, f"5{number}", fourth, log=LOG[:84_700] + noise(300, number))
        assert lenders(fake, fork["id"]) == ["1", "2", "3"]
        assert cold(fake) == fork["channel_values"]


def test_time_travel_borrows_from_what_it_went_back_to(fake: FakeS3, saver: S3Saver) -> None:
    grown(saver)
    second = get(saver, place("t", "2")).checkpoint
    assert second["channel_values"] == {"documents": DOCUMENTS, "log": LOG[:80_000], "n": 2}
    fork = step(saver, "5", second, log=LOG[:80_000] + noise(2_000, 5))
    assert lenders(fake, "5") == ["1", "2"]
    assert cold(fake) == fork["channel_values"]
    assert size(fake, "5") < 3_000


def test_threads_that_put_forks_at_once_are_right(fake: FakeS3) -> None:
    saver = eager(fake)
    trunk = step(saver, "0", documents=DOCUMENTS, log=LOG[:1_000])

    def branch(name: int) -> list[Checkpoint]:
        chosen, line = random.Random(name), [trunk]
        for number in range(12):
            get(saver, place("t", line[-1]["id"]))
            log = line[-1]["channel_values"]["log"]
            line.append(step(saver, f"{name}-{number:02}", line[-1], log=log + chosen.randbytes(200)))
        return line

    with ThreadPoolExecutor(8) as pool:
        lines = list(pool.map(branch, range(1, 9)))
    reader = make_saver(fake)
    for line in lines:
        for each in line:
            assert get(reader, place("t", each["id"])).checkpoint == each
    assert all(lenders(fake, line[-1]["id"]) for line in lines)


# The horizon


def test_nothing_depends_on_what_is_older_than_the_horizon(fake: FakeS3) -> None:
    """So what is deleted by age D + horizon takes nothing along that is younger than D."""
    hour, horizon, keep = 3600, 24 * 3600, 48 * 3600
    saver = make_saver(fake, borrow_horizon=horizon)
    last: Checkpoint | None = None
    line: list[Checkpoint] = []
    for number in range(120):
        changed: dict[str, Any] = {} if last else {"documents": DOCUMENTS}
        last = step(saver, f"{number:03}", last, log=LOG[number * 50 : 30_000 + number * 50], **changed)
        line.append(last)
        fake.later = timedelta(seconds=hour * (number + 1))
    created = {each["id"]: opened(fake, each["id"]).fields["created"] // SECOND for each in line}
    ages = [created[each["id"]] - created[lender] for each in line for lender in lenders(fake, each["id"])]
    assert horizon - 2 * hour < max(ages) <= horizon
    now = created["119"]
    for each in line:
        if now - created[each["id"]] > keep + horizon:
            fake.delete(key_of(fake, each["id"]))
    young = [each for each in line if now - created[each["id"]] <= keep]
    assert 40 < len(young) < 50
    assert len(fake.objects) == len(young) + horizon // hour - (
        1 if len(fake.objects) < len(young) + 24 else 0
    )
    for each in young:
        assert cold(fake, each["id"]) == each["channel_values"]


@pytest.mark.parametrize("seconds", [1e6, -1e6])
def test_a_lender_of_another_age_is_none(fake: FakeS3, seconds: float) -> None:
    """Also one from the future: some clock is wrong then."""
    saver = make_saver(fake)
    real: Any = inside.clock(saver)
    first = step(saver, "1", documents=DOCUMENTS)
    inside.set_clock(saver, lambda: real() + int(seconds) * SECOND)
    step(saver, "2", first, n=2)
    assert lenders(fake, "2") == []
    assert cold(fake) == {"documents": DOCUMENTS, "n": 2}


def test_a_horizon_of_nothing_borrows_nothing(fake: FakeS3) -> None:
    saver = make_saver(fake, borrow_horizon=0)
    now = itertools.count(50 * SECOND + 1)
    inside.set_clock(saver, now.__next__)
    put(saver, "1", values={"documents": DOCUMENTS})
    put(saver, "2", "1", values={"documents": DOCUMENTS})
    assert lenders(fake, "2") == []


# A graph


@pytest.mark.modes("private")
def test_a_graph_s_storage_grows_with_its_state(fake: FakeS3) -> None:
    """Documents that stay and a conversation that grows: 50 turns, and nothing about it in the graph."""
    chosen = random.Random(0)
    words = [
        "".join(chosen.choices("abcdefghijklmnopqrstuvwxyz", k=chosen.randrange(2, 11))) for _ in range(5000)
    ]

    def prose(length: int) -> str:
        return " ".join(chosen.choices(words, k=length // 3))[:length]

    class State(MessagesState):
        documents: str

    builder: Any = StateGraph(State)
    builder.add_node("model", lambda state: {"messages": [("ai", prose(1_000))]})
    builder.add_edge(START, "model")
    saver = make_saver(fake)
    graph, config = builder.compile(checkpointer=saver), place("t")
    graph.invoke({"messages": [], "documents": prose(100_000)}, config)
    for _ in range(49):
        graph.invoke({"messages": []}, config)
    state = graph.get_state(config).values
    assert len(state["messages"]) == 50
    last = sum(len(saver.serde.dumps_typed(value)[1]) for value in state.values())
    stored = [stored.data for stored in fake.objects.values()]
    assert 150_000 < last < sum(len(data) for data in stored) <= 4 * last
    assert len(stored) <= 250
    parts = [key.split("/")[-2] for key in fake.keys("/checkpoint")]
    assert len(parts) == 150
    found = [each.checkpoint["id"] for each in saver.list(config)]
    assert max(len(lenders(fake, each)) for each in found) <= 20
    resumed = builder.compile(checkpointer=make_saver(fake)).get_state(config).values
    assert resumed == state
