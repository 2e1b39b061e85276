"""A walk through a thread's past, with a call of `get_delta_channel_history` for each checkpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.plans import delta_history
from langgraph_checkpoint_s3.s3.requests import GetObject
from tests.plans.helpers import ids, once
from tests.plans.test_delta_channels import build, config, counting
from tests.support.checkpoints import place, put_chain
from tests.support.fake_s3 import Count, FakeS3
from tests.support.fake_store import make_saver
from tests.support.sampling import sample

PLANS = "langgraph_checkpoint_s3.plans."
LENGTH = 30


def history(saver: S3Saver, checkpoint_id: str | None, thread: str = "t", ns: str = "") -> list[Any]:
    found = saver.get_delta_channel_history(config=place(thread, checkpoint_id, ns), channels=["d"])
    return [value for _, _, [value] in found["d"]["writes"]]


def asked(fake: FakeS3, call: Callable[[], Any]) -> dict[str, int]:
    with fake.counted() as count:
        call()
    return dict(count.kinds)


@pytest.fixture
def chain(fake: FakeS3) -> FakeS3:
    put_chain(make_saver(fake), "t", LENGTH, values={})
    return fake


def walked(saver: S3Saver, thread: str = "t") -> dict[str, list[Any]]:
    return {name: history(saver, name, thread) for name in ids(saver, place(thread))}


def test_the_past_of_a_graph_is_listed_once(fake: FakeS3) -> None:
    """By `list`, and by the first of sixty calls. One more is a page more, for every 128 objects."""
    steps = 58
    saver = make_saver(fake)
    counting(saver).invoke({"total": 0, "rounds": steps}, config(), durability="sync")
    for warm in (False, True):
        graph = counting(saver if warm else make_saver(fake))
        with fake.counted() as count:
            states = list(graph.get_state_history(config()))
        assert [len(state.values.get("log", ())) for state in states] == [*range(steps, -1, -1), 0]
        assert count.kinds["ListObjects"] == 2
        # Each object once: what `list` has read is remembered.
        assert count.kinds.get("GetObject", 0) == (0 if warm else len(fake.objects))


def test_so_it_is_with_async_methods(fake: FakeS3) -> None:
    saver = make_saver(fake)
    build(saver, 5).invoke({"log": ["input"], "total": 0, "rounds": 2}, config(), durability="sync")
    expected = list(build(make_saver(fake), 5).get_state_history(config()))

    async def walk() -> tuple[list[Any], Count]:
        with fake.counted() as count:
            return [each async for each in build(saver, 5).aget_state_history(config())], count

    states, count = asyncio.run(walk())
    assert [each.values for each in states] == [each.values for each in expected]
    assert count.kinds == {"ListObjects": 2}


@pytest.mark.parametrize("page", sample([1, 2, 3, 7, 128], 3))
def test_a_walk_tells_what_single_calls_tell(
    chain: FakeS3, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    put_chain(make_saver(chain), "t", 3, first=LENGTH, seed={"d": ["seed"]}, values={})
    put_chain(make_saver(chain), "u", 5, values={})
    expected = {name: history(make_saver(chain), name) for name in ids(make_saver(chain), place("t"))}
    monkeypatch.setattr(PLANS + "delta_history._FIRST_PAGE", page)
    monkeypatch.setattr(PLANS + "scan.PAGE", max(2, page))
    assert walked(make_saver(chain)) == expected
    assert walked(make_saver(chain, cache_bytes=0)) == expected


def test_only_older_checkpoints_go_on_with_a_listing(chain: FakeS3) -> None:
    saver = make_saver(chain)
    assert asked(chain, lambda: history(saver, "00000020"))["ListObjects"] == 1
    assert asked(chain, lambda: history(saver, "00000019")) == {}
    assert asked(chain, lambda: history(saver, "00000010")) == {}
    for again in ("00000010", "00000015", "00000020", None):
        assert asked(chain, partial(history, saver, again))["ListObjects"] == 1
    assert asked(chain, lambda: history(saver, "00000020", "u")) == {"ListObjects": 1}
    assert asked(chain, lambda: history(saver, "00000019")) == {}
    assert asked(chain, lambda: history(saver, "00000018", ns="sub"))["ListObjects"] == 1
    assert asked(chain, lambda: history(saver, "00000017"))["ListObjects"] == 1


def test_it_ends_after_a_moment(chain: FakeS3) -> None:
    saver = make_saver(chain)
    history(saver, "00000020")
    chain.seconds += delta_history._WALK_SECONDS
    assert asked(chain, lambda: history(saver, "00000019")) == {}
    chain.seconds += 0.1
    assert asked(chain, lambda: history(saver, "00000018")) == {"ListObjects": 1}
    assert asked(chain, lambda: history(saver, "00000017")) == {}


CHANGES: dict[str, Callable[[S3Saver], Any]] = {
    "writes": lambda saver: saver.put_writes(place("t", "00000005"), [("d", ["late"])], "late", "~z"),
    "special": lambda saver: saver.put_writes(place("t", "00000005"), [("__error__", "late")], "late"),
    "put": lambda saver: put_chain(saver, "t", 1, first=LENGTH),
    "again": lambda saver: put_chain(saver, "t", 1, first=5, values={"d": ["stored"]}, writes=0),
    "prune": lambda saver: saver.prune(["t"]),
    "delete_for_runs": lambda saver: saver.delete_for_runs(["run"]),
    "delete_thread": lambda saver: saver.delete_thread("t"),
    "copy": lambda saver: saver.copy_thread("u", "t"),
}


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_it_ends_when_this_process_changes_the_thread(change: str, asynchronous: bool) -> None:
    fake = FakeS3()
    put_chain(make_saver(fake), "t", LENGTH, values={}, run="run")
    put_chain(make_saver(fake), "u", 3, first=7, values={}, writes=3)
    saver = make_saver(fake)
    for each in ("00000020", "00000019"):
        history(saver, each)
    if asynchronous and change == "writes":
        asyncio.run(saver.aput_writes(place("t", "00000005"), [("d", ["late"])], "late", "~z"))
    else:
        CHANGES[change](saver)
    assert history(saver, "00000010") == history(make_saver(fake), "00000010")


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_within_a_call_is_seen_by_the_next_one(change: str) -> None:
    """The listing of the call that is under way is from before the change, and isn't kept."""
    fake = FakeS3()
    put_chain(make_saver(fake), "t", LENGTH, values={}, run="run")
    put_chain(make_saver(fake), "u", 3, first=7, values={}, writes=3)
    saver = make_saver(fake)

    def act(request: GetObject) -> None:
        CHANGES[change](saver)

    fake.hook = once(GetObject, act)
    if change in ("prune", "delete_for_runs", "delete_thread"):
        with pytest.raises(Exception, match="deleted"):
            history(saver, "00000020")
    else:
        history(saver, "00000020")
    assert history(saver, "00000010") == history(make_saver(fake), "00000010")


def test_a_walk_shows_what_was_there_when_it_began(chain: FakeS3) -> None:
    saver = make_saver(chain)
    before = history(saver, "00000020")
    make_saver(chain).prune(["t"])
    assert history(saver, "00000019") == before[:-1]
    chain.seconds += 3
    assert history(saver, "00000018") == []


def test_a_walk_that_finds_something_deleted_begins_anew(chain: FakeS3) -> None:
    saver = make_saver(chain)
    put_chain(make_saver(chain), "v", 20, seed={"d": ["older"]}, values={})
    put_chain(make_saver(chain), "v", 20, first=20, seed={"d": ["seed"]}, values={})
    history(saver, "00000030", "v")
    make_saver(chain).delete_thread("v")
    with chain.counted() as count:
        assert history(saver, "00000019", "v") == []
    assert count.kinds["ListObjects"] == 1


def test_a_listing_that_is_too_large_is_not_kept(chain: FakeS3) -> None:
    saver = make_saver(chain, cache_bytes=100_000)
    history(saver, "00000029")
    assert asked(chain, lambda: history(saver, "00000028"))["ListObjects"] == 1
    assert asked(chain, lambda: history(saver, "00000005"))["ListObjects"] == 1
    assert "ListObjects" not in asked(chain, lambda: history(saver, "00000004"))
