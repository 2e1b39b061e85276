"""The node cache: its requests, what expires, what is cleared, and a graph that uses it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from langgraph.cache.memory import InMemoryCache
from langgraph.graph import END, START, StateGraph
from langgraph.types import CachePolicy
from typing_extensions import TypedDict

from langgraph_checkpoint_s3 import CorruptObjectError, InvalidConfigError
from langgraph_checkpoint_s3.memory import S3Cache, S3Store
from langgraph_checkpoint_s3.s3.requests import DeleteObjects, GetObject, Request
from tests.memory.support import make_cache
from tests.support.fake_s3 import FakeS3, Moment
from tests.support.fake_store import make_saver

pytestmark = pytest.mark.modes

NS = ("writes", "node", "a/b")


def test_what_is_set_is_found_by_any_process(fake: FakeS3) -> None:
    cache = make_cache(fake)
    cache.set({(NS, "a"): ([1, {"x": b"y"}], None), (NS, "b"): (None, 60)})
    fresh = make_cache(fake)
    assert fresh.get([(NS, "a"), (NS, "b"), (NS, "c")]) == {(NS, "a"): [1, {"x": b"y"}], (NS, "b"): None}
    assert asyncio.run(make_cache(fake).aget([(NS, "a")])) == {(NS, "a"): [1, {"x": b"y"}]}
    assert fresh.get([]) == {}


def test_requests(fake: FakeS3) -> None:
    cache = make_cache(fake)
    with fake.counted() as count:
        cache.set({(NS, str(number)): (number, None) for number in range(5)})
    assert (count.kinds, count.round_trips) == ({"PutObject": 5}, 1)
    keys = [(NS, str(number)) for number in range(6)]
    with fake.counted() as count:
        assert len(cache.get(keys)) == 5
    assert count.kinds == {"GetObject": 1}
    other = make_cache(fake)
    with fake.counted() as count:
        assert len(other.get(keys)) == 5
    assert (count.kinds, count.round_trips) == ({"GetObject": 6}, 1)
    with fake.counted() as count:
        other.get(keys[:5])
    assert not count.requests
    without = make_cache(fake, cache_bytes=0)
    for _ in range(2):
        with fake.counted() as count:
            without.get(keys[:1])
        assert count.kinds == {"GetObject": 1}


def test_the_last_value_counts_and_expires(fake: FakeS3) -> None:
    cache = make_cache(fake)
    cache.set({(NS, "a"): (1, None)})
    cache.set({(NS, "a"): (2, 60)})
    for each in (cache, make_cache(fake)):
        assert each.get([(NS, "a")]) == {(NS, "a"): 2}
    fake.later += timedelta(seconds=61)
    for each in (cache, make_cache(fake)):
        assert each.get([(NS, "a")]) == {}
    cache.set({(NS, "a"): (3, 60)})
    assert make_cache(fake).get([(NS, "a")]) == {(NS, "a"): 3}


def test_clearing_is_as_in_memory(fake: FakeS3) -> None:
    def script(make: Any) -> list[Any]:
        cache = make()
        pairs = {(name, "k"): (name, None) for name in ((), ("a",), ("a", "b"), ("b",))}
        answers = []
        for chosen in ([("a",)], [("b",), ("none",)], [], None):
            cache.set(pairs)
            cache.clear(chosen)
            answers += [make().get(list(pairs)), cache.get(list(pairs))]
            asyncio.run(cache.aset(pairs))
            asyncio.run(cache.aclear(chosen))
            answers += [make().get(list(pairs))]
        return answers

    memory: InMemoryCache[Any] = InMemoryCache()
    assert script(lambda: make_cache(fake)) == script(lambda: memory)
    assert not fake.objects


def test_the_store_and_the_cache_dont_meet(fake: FakeS3) -> None:
    saver = make_saver(fake)
    cache: S3Cache[Any] = S3Cache(saver=saver)
    store = S3Store(saver=saver)
    store.put(("a",), "k", {"n": 1})
    cache.set({(("a",), "k"): (2, None)})
    cache.clear()
    assert store.get(("a",), "k") is not None
    assert cache.get([(("a",), "k")]) == {}


@pytest.mark.parametrize("change", ["set", "clear"])
def test_a_read_doesnt_remember_what_was_changed_meanwhile(fake: FakeS3, change: str) -> None:
    cache = make_cache(fake)
    cache.set({(NS, "a"): (1, None)})
    reader = make_cache(fake)
    changed = False

    def change_now(moment: Moment, request: Request[Any]) -> None:
        nonlocal changed
        if isinstance(request, GetObject) and moment == "after" and not changed:
            changed = True
            if change == "set":
                reader.set({(NS, "a"): (2, None)})
            else:
                reader.clear()

    fake.hook = change_now
    assert reader.get([(NS, "a")]) == {(NS, "a"): 1}
    assert changed
    assert reader.get([(NS, "a")]) == ({(NS, "a"): 2} if change == "set" else {})


def test_a_read_beside_a_clear_doesnt_remember_what_goes(fake: FakeS3) -> None:
    make_cache(fake).set({(NS, "a"): (1, None)})
    cache = make_cache(fake)

    def read(moment: Moment, request: Request[Any]) -> None:
        if isinstance(request, DeleteObjects) and moment == "before":
            assert cache.get([(NS, "a")]) == {(NS, "a"): 1}

    fake.hook = read
    cache.clear()
    assert cache.get([(NS, "a")]) == {}


@pytest.mark.parametrize("ttl", [0, -1, 1 << 40])
def test_bad_input(fake: FakeS3, ttl: int) -> None:
    with fake.counted() as count, pytest.raises(InvalidConfigError):
        make_cache(fake).set({(NS, "a"): (1, None), (NS, "b"): (1, ttl)})
    assert not count.requests
    with pytest.raises(InvalidConfigError):
        S3Cache("bucket", saver=make_saver(fake))


def test_a_damaged_value_is_an_error(fake: FakeS3) -> None:
    make_cache(fake).set({(NS, "a"): (1, None)})
    [key] = fake.objects
    fake.put(key, b"something else")
    with pytest.raises(CorruptObjectError):
        make_cache(fake).get([(NS, "a")])


class State(TypedDict, total=False):
    asked: str
    answer: str


def test_a_graphs_node_runs_once(fake: FakeS3) -> None:
    ran: list[str] = []

    def answer(state: State) -> State:
        ran.append(state["asked"])
        return {"answer": state["asked"].upper()}

    def graph(cache: Any) -> Any:
        builder = StateGraph(State)
        builder.add_node("answer", answer, cache_policy=CachePolicy(ttl=3600))
        builder.add_edge(START, "answer")
        builder.add_edge("answer", END)
        return builder.compile(cache=cache)

    for _ in range(2):
        made = graph(make_cache(fake))
        assert made.invoke({"asked": "why"})["answer"] == "WHY"
        assert asyncio.run(made.ainvoke({"asked": "how"}))["answer"] == "HOW"
    assert ran == ["why", "how"]
    graph(make_cache(fake)).clear_cache()
    graph(make_cache(fake)).invoke({"asked": "why"})
    assert ran == ["why", "how", "why"]
