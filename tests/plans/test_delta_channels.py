"""Graphs with delta channels: what is reloaded equals what ran, whatever happened to the thread since."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import pytest
import typing_extensions
from langgraph.channels.delta import DeltaChannel
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Overwrite, Send, interrupt

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.s3.requests import GetObject, ListObjects
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver
from tests.support.sampling import pairs

Durability = Literal["sync", "async", "exit"]
FAN = 12


def extend(state: list[str], batch: Sequence[Any]) -> list[str]:
    """Order counts: a permuted replay gives another list."""
    return [*state, *(item for items in batch for item in items)]


def make_state(frequency: int) -> Any:
    log = Annotated[list[str], DeltaChannel(extend, list, snapshot_frequency=frequency)]
    channels = {"log": log, "unused": log, "total": Annotated[int, operator.add], "rounds": int}
    typed_dict: Any = vars(typing_extensions)["TypedDict"]  # mypy knows only those that are written out
    return typed_dict("State", channels, total=False)


def fan(state: Any) -> list[Send]:
    return [Send("work", {"number": number, "round": state["total"]}) for number in range(FAN)]


def build(saver: S3Saver, frequency: int) -> Any:
    """Rounds of parallel tasks, each of which writes to the same delta channel."""

    def work(task: Any) -> dict[str, Any]:
        return {"log": [f"{task['round']}/{task['number']}", "…"], "total": 1}

    def again(state: Any) -> Any:
        return fan(state) if state["total"] < state["rounds"] * FAN else END

    builder: Any = StateGraph(make_state(frequency))
    builder.add_node("begin", lambda state: {"log": ["begin"]})
    builder.add_node("work", work)
    builder.add_node("join", lambda state: {"log": [f"join {state['total']}"]})
    builder.add_edge(START, "begin")
    builder.add_conditional_edges("begin", fan, ["work"])
    builder.add_edge("work", "join")
    builder.add_conditional_edges("join", again, ["work", END])
    return builder.compile(checkpointer=saver)


def counting(saver: S3Saver, frequency: int = 1000) -> Any:
    """One node that appends, as often as asked: a long line of checkpoints."""
    builder: Any = StateGraph(make_state(frequency))
    builder.add_node("step", lambda state: {"log": [str(state.get("total", 0))], "total": 1})
    builder.add_edge(START, "step")
    builder.add_conditional_edges("step", lambda state: END if state["total"] >= state["rounds"] else "step")
    return builder.compile(checkpointer=saver)


def config(thread: str = "t") -> Any:
    return {"configurable": {"thread_id": thread}, "recursion_limit": 10_000}


def fresh(fake: FakeS3) -> S3Saver:
    """The saver of a new process."""
    return make_saver(fake)


FREQUENCIES = pytest.mark.parametrize("frequency", [1, 2, 5, 1000])
DURABILITIES = pytest.mark.parametrize("durability", ["sync", "async", "exit"])


@FREQUENCIES
@DURABILITIES
def test_a_fan_out_reloads_in_the_order_in_which_it_ran(frequency: int, durability: Durability) -> None:
    fake = FakeS3()
    ran = build(fresh(fake), frequency).invoke(
        {"log": ["input"], "total": 0, "rounds": 3}, config(), durability=durability
    )
    assert len(ran["log"]) == 2 + 3 * (2 * FAN + 1)
    assert ran["log"][:2] == ["input", "begin"]
    assert [item for item in ran["log"] if item.startswith("0/")] == [f"0/{number}" for number in range(FAN)]
    assert build(fresh(fake), frequency).get_state(config()).values == ran


@FREQUENCIES
def test_every_state_of_the_past_reloads_as_it_was(frequency: int) -> None:
    fake = FakeS3()
    graph = build(fresh(fake), frequency)
    inputs = {"log": ["input"], "total": 0, "rounds": 2}
    states = list(graph.stream(inputs, config(), stream_mode="values", durability="sync"))
    history = list(build(fresh(fake), frequency).get_state_history(config()))
    assert [snapshot.values["log"] for snapshot in history[::-1]][-len(states) :] == [
        state["log"] for state in states
    ]
    for snapshot in history:
        assert build(fresh(fake), frequency).get_state(snapshot.config).values == snapshot.values


@pytest.mark.parametrize(
    ("frequency", "durability", "way"),
    pairs([1, 2, 5, 1000], ["sync", "async", "exit"], ["prune", "copy", "copy and prune"]),
)
def test_it_survives_and_goes_on(frequency: int, durability: Durability, way: str) -> None:
    fake, thread = FakeS3(), "t"
    first = build(fresh(fake), frequency).invoke(
        {"log": ["input"], "total": 0, "rounds": 3}, config(), durability=durability
    )
    if "copy" in way:
        fresh(fake).copy_thread("t", "u/v")
        fresh(fake).delete_thread("t")
        thread = "u/v"
    if "prune" in way:
        fresh(fake).prune([thread])
    graph = build(fresh(fake), frequency)
    assert graph.get_state(config(thread)).values == first
    more = graph.invoke({"log": ["more"], "rounds": 5}, config(thread), durability=durability)
    assert more["log"][: len(first["log"]) + 1] == [*first["log"], "more"]
    fourth = f"{3 * FAN}/"
    assert [item for item in more["log"] if item.startswith(fourth)] == [f"{fourth}{n}" for n in range(FAN)]
    assert build(fresh(fake), frequency).get_state(config(thread)).values == more
    fresh(fake).prune([thread])
    assert build(fresh(fake), frequency).get_state(config(thread)).values == more


@pytest.mark.parametrize("frequency", [1, 5, 10, 1000])
def test_pruning_keeps_the_latest_alone(frequency: int) -> None:
    """What it is rebuilt from is gathered beside it: a cold read takes one GET in place of a walk."""
    fake = FakeS3()
    steps = 42
    ran = counting(fresh(fake), frequency).invoke({"total": 0, "rounds": steps}, config(), durability="sync")
    with fake.counted() as walk:
        assert counting(fresh(fake), frequency).get_state(config()).values == ran
    fresh(fake).prune(["t"])
    assert len(fake.keys("/checkpoint")) == 1
    assert len(fake.keys("/writes.g")) == len(fake.keys("/writes.")) == (frequency > 1)
    graph = counting(fresh(fake), frequency)
    with fake.counted() as count:
        assert graph.get_state(config()).values == ran
    assert ran["log"] == [str(number) for number in range(steps)]
    if frequency == 1:
        assert (count.kinds, count.round_trips) == ({"ListObjects": 1, "GetObject": 1}, 2)
    else:
        assert (count.kinds, count.round_trips) == ({"ListObjects": 2, "GetObject": 2}, 4)
        assert len(walk.requests) > len(count.requests)


def test_what_goes_on_from_a_pruned_checkpoint_ends_at_what_was_gathered() -> None:
    fake = FakeS3()
    counting(fresh(fake), 1000).invoke({"total": 0, "rounds": 30}, config(), durability="sync")
    fresh(fake).prune(["t"])
    for rounds in (33, 36):
        ran = counting(fresh(fake), 1000).invoke({"rounds": rounds}, config(), durability="sync")
        assert ran["log"] == [str(number) for number in range(rounds)]
        graph = counting(fresh(fake), 1000)
        with fake.counted() as count:
            assert graph.get_state(config()).values == ran
        gathered = [
            each for each in count.requests if isinstance(each, GetObject) and "/writes.g" in each.key
        ]
        assert len(gathered) == 1
        # The input's checkpoints, too: two before each run's steps.
        for snapshot in graph.get_state_history(config(), limit=4):
            alone = counting(fresh(fake), 1000).get_state(snapshot.config)
            assert alone.values == snapshot.values
        fresh(fake).prune(["t"])
        assert len(fake.objects) == 2


def test_pruning_what_was_pruned_deletes_no_more() -> None:
    fake = FakeS3()
    counting(fresh(fake), 10).invoke({"total": 0, "rounds": 25}, config(), durability="sync")
    fresh(fake).prune(["t"])
    once = fake.keys()
    fresh(fake).prune(["t"])
    assert fake.keys() == once


def test_a_channel_that_nothing_is_written_to_keeps_nothing() -> None:
    """LangGraph counts its supersteps all the same."""
    fake = FakeS3()
    counting(fresh(fake), 5).invoke({"total": 0, "rounds": 30}, config(), durability="sync")
    [newest] = fresh(fake).list(config(), limit=1)
    assert "unused" in newest.metadata["counters_since_delta_snapshot"]
    fresh(fake).prune(["t"])
    assert len(list(fresh(fake).list(config()))) == 1


@FREQUENCIES
def test_forks_and_time_travel(frequency: int) -> None:
    fake = FakeS3()
    graph = counting(fresh(fake), frequency)
    graph.invoke({"log": ["input"], "total": 0, "rounds": 6}, config(), durability="sync")
    trunk = list(graph.get_state_history(config()))
    past = next(snapshot for snapshot in trunk if snapshot.values.get("total") == 3 and snapshot.next)
    assert past.values["log"] == ["input", "0", "1", "2"]

    fork = graph.update_state(past.config, {"log": ["forked"], "rounds": 5}, as_node="step")
    assert counting(fresh(fake), frequency).get_state(fork).values["log"] == [
        "input",
        "0",
        "1",
        "2",
        "forked",
    ]
    ran = counting(fresh(fake), frequency).invoke(None, fork, durability="sync")
    assert ran["log"] == ["input", "0", "1", "2", "forked", "3", "4"]
    assert counting(fresh(fake), frequency).get_state(config()).values == ran
    for snapshot in trunk:  # the trunk is what it was
        assert counting(fresh(fake), frequency).get_state(snapshot.config).values == snapshot.values

    copied = graph.update_state(trunk[2].config, None, as_node="__copy__")
    assert counting(fresh(fake), frequency).get_state(copied).values == trunk[2].values
    fresh(fake).prune(["t"])
    assert counting(fresh(fake), frequency).get_state(config()).values == trunk[2].values
    fresh(fake).copy_thread("t", "u")
    assert counting(fresh(fake), frequency).get_state(config("u")).values == trunk[2].values


@FREQUENCIES
@DURABILITIES
def test_interrupts_and_overwrites(frequency: int, durability: Durability) -> None:
    fake = FakeS3()

    def graph() -> Any:
        builder: Any = StateGraph(make_state(frequency))
        builder.add_node("ask", lambda state: {"log": [interrupt("which?")]})
        builder.add_node("beside", lambda state: {"log": ["beside"]})
        builder.add_node("clear", lambda state: {"log": Overwrite([*state["log"][-1:], "cleared"])})
        builder.add_edge(START, "ask")
        builder.add_edge(START, "beside")
        builder.add_edge("ask", "clear")
        builder.add_edge("clear", END)
        return builder.compile(checkpointer=fresh(fake))

    asked = graph().invoke({"log": ["input"]}, config(), durability=durability)
    assert asked["__interrupt__"][0].value == "which?"
    assert graph().get_state(config()).values["log"][:1] == ["input"]
    fresh(fake).copy_thread("t", "u")
    fresh(fake).prune(["t", "u"])
    for thread in ("t", "u"):
        ran = graph().invoke(Command(resume="this"), config(thread), durability=durability)
        assert ran["log"][-1] == "cleared"
        assert graph().get_state(config(thread)).values == ran
        fresh(fake).prune([thread])
        assert graph().get_state(config(thread)).values == ran


@pytest.mark.parametrize("depth", [10, 100, 400])
def test_depth_is_no_chain_of_reads(depth: int) -> None:
    fake = FakeS3()
    ran = counting(fresh(fake)).invoke({"total": 0, "rounds": depth}, config(), durability="sync")
    graph = counting(fresh(fake))
    with fake.counted() as count:
        assert graph.get_state(config()).values == ran
    # Two for the checkpoint, then a listing and windows that double.
    assert count.round_trips <= 2 + 3 + depth.bit_length()
    assert len([request for request in count.requests if isinstance(request, ListObjects)]) <= 4 + depth / 300
    reads = [request for request in count.requests if isinstance(request, GetObject)]
    assert len(reads) == len(set(reads)) <= len(fake.objects)


@DURABILITIES
def test_the_async_methods_reload_the_same(durability: Durability) -> None:
    async def run() -> None:
        fake = FakeS3()
        inputs = {"log": ["input"], "total": 0, "rounds": 2}
        ran = await build(fresh(fake), 5).ainvoke(inputs, config(), durability=durability)
        assert (await build(fresh(fake), 5).aget_state(config())).values == ran
        await fresh(fake).acopy_thread("t", "u")
        await fresh(fake).aprune(["u"])
        assert (await build(fresh(fake), 5).aget_state(config("u"))).values == ran
        assert build(fresh(fake), 5).get_state(config("u")).values == ran

    asyncio.run(run())
