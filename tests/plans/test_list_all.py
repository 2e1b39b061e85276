"""`list` over all threads, or all namespaces: in bounded memory, and with few LISTs."""

from __future__ import annotations

import random
import tracemalloc
from typing import Any

import pytest

from langgraph_checkpoint_s3 import CorruptObjectError
from langgraph_checkpoint_s3.plans import list_checkpoints
from langgraph_checkpoint_s3.s3.requests import ListObjects
from tests.plans.helpers import put
from tests.support.checkpoints import address, place, put_chain
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver

PLANS = "langgraph_checkpoint_s3.plans."
THREADS = 200


def shown(fake: FakeS3, config: Any, **keywords: Any) -> list[Any]:
    return [address(each.config) for each in make_saver(fake).list(config, **keywords)]


@pytest.fixture(scope="module")
def many_threads() -> FakeS3:
    """A bucket with 200 threads of five checkpoints, 20 objects each."""
    fake = FakeS3()
    put_chain(make_saver(fake), "t", 5, writes=3)
    objects = {key: fake.objects[key].data for key in fake.objects}
    for number in range(THREADS - 1):
        for key, data in objects.items():
            fake.put(key.replace("t.thread", f"c{number:05}.thread"), data)
    return fake


@pytest.fixture(scope="module")
def one_crowd() -> FakeS3:
    chosen, fake = random.Random(0), FakeS3()
    saver = make_saver(fake)
    for number in range(48):
        thread, ns = chosen.choice("abc"), chosen.choice(["", "", "sub", "x|y"])
        put(saver, f"{chosen.randrange(40):02}", thread=thread, ns=ns, step=number % 7, odd=number % 2)
        if number % 5 == 0:
            saver.put_writes(place(thread, f"{number:02}x", ns), [("d", number)], "early")
    for name in ("b-/x", "b/y", ".exports/b/x", "c", "zz/1"):
        fake.put(f"checkpoints/{name}", b"")
    return fake


@pytest.fixture
def crowd(one_crowd: FakeS3) -> FakeS3:
    """Threads and namespaces with equal ids, writes alone, failed filters, and foreign folders."""
    return one_crowd.snapshot()


@pytest.mark.parametrize("ns", ["", None], ids=["all threads", "all namespaces"])
@pytest.mark.parametrize(
    ("most", "page", "streams"),
    [(1, 2, 16), (1, 1000, 1), (2, 5, 1), (2, 5, 16), (7, 2, 1), (7, 1000, 16), (30, 5, 16)],
)
def test_little_memory_shows_the_same(
    crowd: FakeS3, monkeypatch: pytest.MonkeyPatch, ns: str | None, most: int, page: int, streams: int
) -> None:
    config = place("a", ns=None) if ns is None else None
    calls: list[dict[str, Any]] = [
        {},
        {"limit": 3},
        {"before": place("a", "20")},
        {"filter": {"step": 3}},
        {"filter": {"step": 3}, "limit": 2},
        {"filter": {"odd": 1}, "limit": 4},
        {"filter": {"odd": 1}, "before": place("a", "30")},
    ]
    expected = [shown(crowd, config, **keywords) for keywords in calls]
    assert all(expected)
    every = expected[0]
    assert every == sorted(every, key=lambda each: each[2], reverse=True)
    monkeypatch.setattr(PLANS + "list_checkpoints._MOST_FOLDERS", most)
    monkeypatch.setattr(PLANS + "list_checkpoints._LAST_WINDOW", 2)
    monkeypatch.setattr(PLANS + "list_checkpoints.PAGE", page)
    monkeypatch.setattr(PLANS + "scan.PAGE", page)
    monkeypatch.setattr(PLANS + "list_checkpoints._MOST_STREAMS", streams)
    assert [shown(crowd, config, **keywords) for keywords in calls] == expected


def test_all_threads_are_listed_once(many_threads: FakeS3) -> None:
    for keywords in ({"limit": 10}, {"limit": 10, "filter": {"step": 1}}, {"filter": {"step": 3}}):
        with many_threads.counted() as count:
            shown(many_threads, None, **keywords)
        assert count.kinds["ListObjects"] == THREADS * 20 // 1000


def test_a_limit_bounds_memory(many_threads: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    def peak(**keywords: Any) -> int:
        listing = make_saver(many_threads).list(None, **keywords)
        tracemalloc.start()
        next(iter(listing))
        taken = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return taken

    unbounded = peak(filter={"source": "loop"})
    assert peak(limit=10) < unbounded / 2
    monkeypatch.setattr(PLANS + "list_checkpoints._MOST_FOLDERS", 100)
    assert peak(filter={"source": "loop"}) < unbounded / 2


def test_more_than_is_kept_is_listed_again(many_threads: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    most = THREADS * 5 // 2
    monkeypatch.setattr(PLANS + "list_checkpoints._MOST_FOLDERS", most)
    with many_threads.counted() as count:
        found = shown(many_threads, None)
    assert len(found) == len(set(found)) == THREADS * 5
    assert count.kinds["ListObjects"] == THREADS * 20 // 1000 * 2


def test_what_is_put_while_it_is_listed_again_is_left_out(
    crowd: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listing goes back in time: checkpoints that are newer than the last one shown were not there."""
    monkeypatch.setattr(PLANS + "list_checkpoints._MOST_FOLDERS", 4)
    before = shown(crowd, None)
    listing = make_saver(crowd).list(None)
    first = [address(next(listing).config) for _ in range(8)]
    put(make_saver(crowd), "99", thread="new")
    assert [*first, *(address(each.config) for each in listing)] == before


def test_one_thread_of_one_namespace_takes_a_page_and_the_names(fake: FakeS3) -> None:
    put_chain(make_saver(fake), "t", 520)
    for limit, pages in ((1, 2), (10, 2), (510, 3)):
        with fake.counted() as count:
            assert len(shown(fake, place("t", ns=None), limit=limit)) == limit
        assert count.kinds["ListObjects"] == pages


def test_folders_that_are_no_threads_are_skipped(fake: FakeS3) -> None:
    put_chain(make_saver(fake), "a", 3, run="run")
    put_chain(make_saver(fake), "z", 3)
    for number in range(5000):
        fake.put(f"checkpoints/nested/t.thread/.ns/{number:04}z/checkpoint", b"")
    for call in (
        lambda: shown(fake, None, limit=2),
        lambda: make_saver(fake).delete_for_runs(["run"]),
    ):
        with fake.counted() as count:
            call()
        assert sum(isinstance(each, ListObjects) for each in count.requests) == 2


@pytest.mark.parametrize("key", ["zz/checkpoint", "zz/writes.tx.w0", "cez/checkpoint.s-", "photo"])
@pytest.mark.parametrize("config", [None, place("t", ns=None)])
def test_a_foreign_key_is_an_error(fake: FakeS3, key: str, config: Any) -> None:
    put_chain(make_saver(fake), "t", 3)
    fake.put(f"checkpoints/t.thread/.ns/{key}", b"")
    with pytest.raises(CorruptObjectError):
        shown(fake, config)
    assert list_checkpoints._MOST_FOLDERS > 1000
