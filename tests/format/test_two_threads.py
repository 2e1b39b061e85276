"""Work in two threads: all of it is done, and none of it outlives the call."""

from __future__ import annotations

import threading

import pytest

from langgraph_checkpoint_s3.format import two_threads
from langgraph_checkpoint_s3.format.two_threads import cores, do_all
from tests.support.hanging import HANG


def test_two_calls_are_under_way_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(two_threads, "cores", lambda: 8)
    together = threading.Barrier(2)
    before = threading.active_count()
    done: list[int] = []

    def work(number: int) -> None:
        together.wait(HANG)
        done.append(number)

    do_all(work, range(6))
    assert sorted(done) == list(range(6))
    assert threading.active_count() == before


@pytest.mark.parametrize(("count", "items"), [(1, 5), (8, 1), (8, 0)])
def test_where_it_makes_no_sense_there_is_no_other_thread(
    count: int, items: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(two_threads, "cores", lambda: count)
    names: list[str] = []
    do_all(lambda _: names.append(threading.current_thread().name), range(items))
    assert names == [threading.current_thread().name] * items


def test_where_no_thread_can_be_started_this_one_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(two_threads, "cores", lambda: 8)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    done: list[int] = []
    do_all(done.append, range(4))
    assert done == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_an_error_ends_it(kind: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(two_threads, "cores", lambda: 2)
    begun: list[int] = []

    def work(number: int) -> None:
        begun.append(number)
        raise kind

    before = threading.active_count()
    with pytest.raises(kind):
        do_all(work, range(100))
    assert len(begun) <= 2
    assert threading.active_count() == before


def test_cores_are_those_that_the_process_may_use() -> None:
    assert cores() >= 1
