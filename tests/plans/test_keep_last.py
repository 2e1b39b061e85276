"""`keep_last`: a put leaves no more than the latest checkpoints, whatever is cut short or done meanwhile."""

from __future__ import annotations

import asyncio
import itertools
import operator
import random
from collections.abc import Coroutine
from typing import Annotated, Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt
from typing_extensions import TypedDict

from langgraph_checkpoint_s3 import AccessDeniedError, ConflictError, S3Saver, StorageUnavailableError
from langgraph_checkpoint_s3.s3.requests import DeleteObjects, GetObject, ListObjects, PutObject
from tests.plans.crashes import SMALL, Scenario, sweep
from tests.plans.helpers import get, ids, once, put
from tests.plans.oracle import COUNTERS
from tests.plans.test_delta_channels import build, counting
from tests.plans.test_delta_channels import config as thread_config
from tests.plans.test_subgraph_calls import call, namespaces, nested
from tests.support.checkpoints import make_checkpoint, place, put_chain
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver
from tests.support.modes import cached
from tests.support.sampling import pairs, sample

pytestmark = pytest.mark.modes("plain", "private")

DURABILITIES = ["sync", "async", "exit"]
COUNTS = pytest.mark.parametrize("count", [1, 2, 5])


def keeping(fake: FakeS3, count: int = 1, **settings: Any) -> S3Saver:
    """The saver of a new process."""
    return make_saver(fake, keep_last=count, **settings)


@COUNTS
def test_a_put_leaves_the_latest_of_each_namespace(fake: FakeS3, count: int) -> None:
    for ns in ("", "sub"):
        put_chain(keeping(fake, count), "t", 7, ns=ns)
    put_chain(make_saver(fake), "other", 3)
    for ns in ("", "sub"):
        left = [f"{number:08}" for number in range(6, 6 - count, -1)]
        assert ids(make_saver(fake), place("t", ns=ns)) == left
    assert len(fake.keys("/writes.")) == 2 * count + 3
    assert len(ids(make_saver(fake), place("other"))) == 3


@COUNTS
def test_the_requests_of_a_put(fake: FakeS3, count: int) -> None:
    saver = keeping(fake, count)
    put_chain(saver, "t", count, values={"v": "x" * 40_000})
    for number in (count, count + 1):
        with fake.counted() as counted:
            put_chain(saver, "t", 1, first=number, values={"v": "x" * 40_000}, writes=0)
        assert counted.kinds == {"PutObject": 1, "ListObjects": 1, "DeleteObjects": 1}
        assert counted.round_trips == 3
    with fake.counted() as counted:  # so it is in a new process: the keys tell enough
        put_chain(keeping(fake, count), "t", 1, first=count + 2, writes=0)
    assert counted.kinds == {"PutObject": 1, "ListObjects": 1, "DeleteObjects": 1}
    with fake.counted() as counted:  # nothing is beyond the last ones
        put_chain(keeping(fake, count + 9), "t", 1, first=count + 3, writes=0)
    assert counted.kinds == {"PutObject": 1, "ListObjects": 1}


def test_the_requests_of_a_put_with_delta_channels(fake: FakeS3) -> None:
    saver = keeping(fake)
    delta_chain(saver, range(4))
    with fake.counted() as counted:
        delta_chain(saver, range(4, 5), writes=False)
    assert counted.kinds == {"PutObject": 2, "ListObjects": 1, "DeleteObjects": 2}
    assert counted.round_trips == 5
    with fake.counted() as counted:
        delta_chain(keeping(fake), range(5, 6), writes=False)
    # A new process reads the head of 4 and what was gathered beside it.
    assert counted.kinds == {"PutObject": 2, "ListObjects": 1, "DeleteObjects": 2, "GetObject": 2}


def delta_chain(saver: S3Saver, numbers: range, *, writes: bool = True) -> None:
    """Put a line of checkpoints with a delta channel `d`, whose value is stored in the first one."""
    for number in numbers:
        checkpoint = make_checkpoint(f"{number:08}", {"v": number} if number else {"d": ["seed"]}, ["d"])
        metadata: Any = {
            "source": "loop",
            "step": number,
            COUNTERS: {"d": [number, number]} if number else {},
        }
        config = place("t", f"{number - 1:08}" if number else None)
        config = saver.put(config, checkpoint, metadata, checkpoint["channel_versions"])
        if writes:
            saver.put_writes(config, [("d", [number])], "task", "~path")


def test_delta_channels_are_exact_after_each_put(fake: FakeS3) -> None:
    whole = FakeS3()
    for number in range(8):
        delta_chain(keeping(fake), range(number, number + 1))
        delta_chain(make_saver(whole), range(number, number + 1))
        history = make_saver(fake).get_delta_channel_history(config=place("t"), channels=["d"])
        assert history == make_saver(whole).get_delta_channel_history(config=place("t"), channels=["d"])
        assert len(fake.keys("/checkpoint")) == 1
        assert len(fake.keys("/writes.g")) == (number > 0)


def test_nothing_borrows(fake: FakeS3) -> None:
    put_chain(keeping(fake), "t", 3, values={"v": "x" * 100_000})
    assert not fake.keys(".l")
    assert not fake.keys(".b")


def test_what_others_borrow_is_rewritten_first(fake: FakeS3) -> None:
    """A thread may have been written without the setting, or is by another process."""
    other = make_saver(fake)
    values = {"v": "x" * 100_000}
    for number in range(3):
        put(other, f"{number}", f"{number - 1}" if number else None, values=values)
    put(keeping(fake, 2), "3", "2", values=values)
    assert ids(make_saver(fake), place("t")) == ["3", "2"]
    assert get(make_saver(fake), place("t", "2")).checkpoint["channel_values"] == values


def test_what_a_crash_or_another_process_has_left_goes_with_the_next_put(fake: FakeS3) -> None:
    put_chain(make_saver(fake), "t", 6)
    call(make_saver(fake), "ended:1", {"": "00000002"})
    put_chain(keeping(fake, 2), "t", 1, first=6)
    assert ids(make_saver(fake), place("t", ns=None)) == ["00000006", "00000005"]
    assert namespaces(fake) == {""}


def test_a_checkpoint_with_an_earlier_id_stays_until_the_next_put(fake: FakeS3) -> None:
    """Ids are from the machines' clocks. A run goes on from what it has just put, all the same."""
    put(keeping(fake), "9")
    put(keeping(fake), "5", "9")
    assert ids(make_saver(fake), place("t")) == ["9", "5"]
    put(keeping(fake), "6", "5")
    assert ids(make_saver(fake), place("t")) == ["9", "6"]


def test_a_deletion_that_fails_is_told_and_made_up_for(fake: FakeS3) -> None:
    put_chain(keeping(fake), "t", 1, writes=0)
    [stuck] = fake.keys("/checkpoint")
    for code, error in (("InternalError", StorageUnavailableError), ("AccessDenied", AccessDeniedError)):
        fake.undeletable = {stuck: (code, "no")}
        number = len(fake.keys("/checkpoint"))
        with pytest.raises(error, match=r"The checkpoint is stored, .* could not be deleted"):
            put_chain(keeping(fake), "t", 1, first=number, writes=0)
        assert get(make_saver(fake), place("t")).checkpoint["id"] == f"{number:08}"
    fake.undeletable = {}
    put_chain(keeping(fake), "t", 1, first=5, writes=0)
    assert ids(make_saver(fake), place("t")) == ["00000005"]


# Crashes and what others do


@cached
def plain_thread() -> FakeS3:
    fake = FakeS3()
    put_chain(make_saver(fake), "t", 3, writes=2)
    call(make_saver(fake), "ended:1", {"": "00000001"})
    call(make_saver(fake), "going:2", {"": "00000003"})
    return fake


@cached
def delta_thread() -> FakeS3:
    fake = FakeS3()
    delta_chain(make_saver(fake), range(3))
    return fake


@cached
def lending_thread() -> FakeS3:
    fake = FakeS3()
    saver = make_saver(fake)
    for number in range(3):
        put(saver, f"{number:08}", f"{number - 1:08}" if number else None, values={"v": "x" * 40_000})
    return fake


CHECKPOINT = make_checkpoint("00000003", {"v": 3}, absent=["d"])


@pytest.mark.parametrize(
    ("bucket", "count"), [(plain_thread, 2), (delta_thread, 1), (delta_thread, 2), (lending_thread, 1)]
)
def test_cut_short(bucket: Any, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is left is whole, the latest is there, and the next attempt completes it."""
    metadata: Any = {"source": "loop", "step": 3, COUNTERS: {"d": [1, 1]}}
    scenario = Scenario(
        "put",
        lambda saver: saver.put(place("t", "00000002"), CHECKPOINT, metadata, CHECKPOINT["channel_versions"]),
        bucket,
        removes=True,
        saver=lambda fake: make_saver(fake, keep_last=count, sizes=SMALL, compression="none"),
    )
    sweep(scenario, monkeypatch)


@pytest.mark.parametrize("kind", [PutObject, ListObjects, DeleteObjects])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_another_run_goes_on_from_the_same_checkpoint(fake: FakeS3, kind: Any, moment: Any) -> None:
    put(keeping(fake), "1")
    other = keeping(fake)
    fake.hook = once(kind, lambda _: put(other, "3", "1"), moment)
    put(keeping(fake), "2", "1")
    fake.hook = None
    assert get(make_saver(fake), place("t")).checkpoint["id"] == "3"
    assert set(ids(make_saver(fake), place("t"))) <= {"3", "2"}
    put(keeping(fake), "4", "3")
    assert ids(make_saver(fake), place("t")) == ["4"]


def step(operation: Coroutine[Any, Any, Any]) -> list[Any]:
    """Go on by one batch of requests. Return the result at the end, in a list, else nothing."""
    try:
        operation.send(None)
    except StopIteration as done:
        return [done.value]
    return []


@pytest.mark.parametrize("seed", sample(range(10), 4))
def test_runs_and_readers_interleaved(fake: FakeS3, seed: int) -> None:
    """Two runs of one thread and a reader, batch by batch: what was acknowledged last can always be read."""
    chosen = random.Random(seed)
    count = chosen.choice([1, 2, 3])
    numbers = itertools.count(1)
    writers = [keeping(fake, count), keeping(fake, count)]
    put(writers[0], "0000")
    acknowledged = ["0000", "0000"]
    latest = "0000"
    running: dict[Any, Any] = {}
    for _ in range(300):
        who: Any = chosen.choice([0, 1, "reader"])
        if who not in running and who == "reader":
            running[who] = latest, make_saver(fake).aget_tuple(place("t"))
        elif who not in running:
            checkpoint = make_checkpoint(f"{next(numbers):04}", {"v": who})
            metadata: Any = {"source": "loop"}
            config = place("t", acknowledged[who])
            plan = writers[who].aput(config, checkpoint, metadata, checkpoint["channel_versions"])
            running[who] = checkpoint["id"], plan
        name, operation = running[who]
        for outcome in step(operation):
            del running[who]
            if who == "reader":
                assert outcome is not None
                assert outcome.checkpoint["id"] >= name
            else:
                acknowledged[who] = name
                latest = max(latest, name)
    for _, operation in running.values():
        operation.close()
    put(keeping(fake, count), "9999", latest)
    left = ids(make_saver(fake), place("t"))
    assert left[0] == "9999"
    assert len(left) == count


# Real graphs


class State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]


def asking(saver: Any) -> Any:
    """A fan-out, whose tasks ask one after another, and a loop."""

    def work(task: Any) -> dict[str, Any]:
        answer = interrupt(f"{task['number']}?") if task["number"] % 2 else "-"
        return {"log": [f"{task['number']}: {answer}"]}

    builder: Any = StateGraph(State)
    builder.add_node("begin", lambda state: {"log": ["begin"]})
    builder.add_node("work", work)
    builder.add_node("join", lambda state: {"log": ["join"]})
    builder.add_edge(START, "begin")
    builder.add_conditional_edges(
        "begin", lambda state: [Send("work", {"number": number}) for number in range(5)], ["work"]
    )
    builder.add_edge("work", "join")
    builder.add_conditional_edges("join", lambda state: "begin" if state["log"].count("join") < 2 else END)
    return builder.compile(checkpointer=saver)


def play(graph: Any, config: Any, durability: Any) -> list[Any]:
    """Run a graph, and answer whatever it asks, each time as a new process does it. Return all outcomes."""
    outcomes = [graph().invoke({"log": ["input"]}, config, durability=durability)]
    while asked := outcomes[-1].get("__interrupt__"):
        assert len(outcomes) < 9
        answers = {each.id: f"answer {len(outcomes)}" for each in asked}
        outcomes.append(graph().invoke(Command(resume=answers), config, durability=durability))
    graph().update_state(config, {"log": ["updated"]})
    outcomes.append(graph().get_state(config).values)
    outcomes.append(graph().invoke({"log": ["again"]}, config, durability=durability))
    return [
        {**each, "__interrupt__": sorted(one.value for one in each.get("__interrupt__", ()))}
        for each in outcomes
    ]


@pytest.mark.parametrize(
    ("mode", "durability", "count"), pairs(["plain", "private"], DURABILITIES, [1, 2]), indirect=["mode"]
)
def test_graphs_that_ask_do_as_in_memory(fake: FakeS3, count: int, durability: Any) -> None:
    memory: Any = InMemorySaver()
    expected = play(lambda: asking(memory), thread_config(), durability)
    assert play(lambda: asking(keeping(fake, count)), thread_config(), durability) == expected
    assert len(ids(make_saver(fake), place("t"))) <= count


@pytest.mark.parametrize(
    ("mode", "durability", "persistent"),
    pairs(["plain", "private"], DURABILITIES, [None, True]),
    indirect=["mode"],
)
def test_subgraphs_do_as_in_memory(fake: FakeS3, persistent: Any, durability: Any) -> None:
    memory: Any = InMemorySaver()
    expected = play(lambda: nested(memory, persistent), thread_config(), durability)
    assert play(lambda: nested(keeping(fake), persistent), thread_config(), durability) == expected
    left = ids(make_saver(fake), place("t", ns=None))
    # The last run waits for an answer, in the inner subgraph: each namespace on the way has its checkpoint.
    assert len(left) == len(namespaces(fake))


@pytest.mark.parametrize(
    ("mode", "durability", "frequency"),
    pairs(["plain", "private"], DURABILITIES, [1, 3, 1000]),
    indirect=["mode"],
)
def test_delta_channels_in_graphs(fake: FakeS3, frequency: int, durability: Any) -> None:
    inputs = {"log": ["input"], "total": 0, "rounds": 3}
    memory: Any = InMemorySaver()
    expected = build(memory, frequency).invoke(inputs, thread_config(), durability=durability)
    ran = build(keeping(fake), frequency).invoke(inputs, thread_config(), durability=durability)
    assert ran == expected
    assert build(keeping(fake), frequency).get_state(thread_config()).values == expected
    assert len(ids(make_saver(fake), place("t"))) == 1
    more = counting(keeping(fake, 2), frequency).invoke(
        {"rounds": 90}, thread_config(), durability=durability
    )
    assert more["log"][: len(expected["log"])] == expected["log"]
    assert counting(keeping(fake), frequency).get_state(thread_config()).values == more


def test_the_async_methods_do_the_same(fake: FakeS3) -> None:
    async def run() -> None:
        graph = build(keeping(fake), 5)
        inputs = {"log": ["input"], "total": 0, "rounds": 2}
        ran = await graph.ainvoke(inputs, thread_config())
        assert (await build(keeping(fake), 5).aget_state(thread_config())).values == ran

    asyncio.run(run())
    assert len(ids(make_saver(fake), place("t"))) == 1


def test_time_travel_reaches_as_far_as_is_kept(fake: FakeS3) -> None:
    graph = counting(keeping(fake, 3), 5)
    graph.invoke({"log": ["input"], "total": 0, "rounds": 8}, thread_config(), durability="sync")
    states = list(graph.get_state_history(thread_config()))
    assert [len(state.values["log"]) for state in states] == [9, 8, 7]
    for state in states:
        assert counting(keeping(fake, 3), 5).get_state(state.config).values == state.values
    fork = graph.update_state(states[1].config, {"log": ["forked"]}, as_node="step")
    assert counting(keeping(fake, 3), 5).get_state(fork).values["log"] == [*states[1].values["log"], "forked"]
    assert len(ids(make_saver(fake), place("t"))) == 3


def test_reading_meets_a_put(fake: FakeS3) -> None:
    put_chain(keeping(fake), "t", 1)

    def go_on(_: Any) -> None:
        put_chain(keeping(fake), "t", 1, first=1)

    fake.hook = once(GetObject, go_on)
    assert get(make_saver(fake), place("t")).checkpoint["id"] == "00000001"


def test_delta_channels_of_a_checkpoint_that_was_superseded_meanwhile(fake: FakeS3) -> None:
    """The reader has its checkpoint, and would take its channels for empty ones."""
    delta_chain(keeping(fake), range(3))
    reader = keeping(fake)
    found = get(reader, place("t"))
    delta_chain(keeping(fake), range(3, 4))
    with pytest.raises(ConflictError, match="Read the thread again"):
        reader.get_delta_channel_history(config=found.config, channels=["d"])
    found = get(reader, place("t"))
    assert reader.get_delta_channel_history(config=found.config, channels=["d"])["d"]["seed"] == ["seed"]


def test_two_runs_of_a_thread_with_delta_channels(fake: FakeS3) -> None:
    """The second one is told, and nobody reads its checkpoint, which couldn't be rebuilt."""
    delta_chain(keeping(fake), range(3))
    first, second = keeping(fake), keeping(fake)
    put_delta(first, 3, 2)
    with pytest.raises(ConflictError, match="A lease keeps runs"):
        put_delta(second, 4, 2)
    put_delta(first, 5, 3)
    history = make_saver(fake).get_delta_channel_history(config=place("t"), channels=["d"])
    assert [value for _, _, value in history["d"]["writes"]] == [[0], [1], [2]]
    assert ids(make_saver(fake), place("t")) == ["00000005"]


def put_delta(saver: S3Saver, number: int, parent: int) -> None:
    checkpoint = make_checkpoint(f"{number:08}", {"v": number}, ["d"])
    metadata: Any = {"source": "loop", COUNTERS: {"d": [1, 1]}}
    saver.put(place("t", f"{parent:08}"), checkpoint, metadata, checkpoint["channel_versions"])
