"""Pruning and subgraphs: a call's namespace goes with its callers, and what can go on stays."""

from __future__ import annotations

import operator
from datetime import timedelta
from typing import Annotated, Any

import pytest
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt
from typing_extensions import TypedDict

from langgraph_checkpoint_s3 import S3Saver, StorageUnavailableError
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.s3.requests import DeleteObjects, GetObject, ListObjects
from tests.plans.crashes import Scenario, sweep
from tests.plans.helpers import get, ids, once, pending, put
from tests.support import inside
from tests.support.checkpoints import make_checkpoint, place, put_chain, shown
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver
from tests.support.modes import cached
from tests.support.sampling import pairs

pytestmark = pytest.mark.modes("plain", "private")


def call(saver: S3Saver, ns: str, callers: dict[str, str], count: int = 2, **keywords: Any) -> None:
    """Put the checkpoints of a subgraph call, each with a task's writes."""
    for number in range(count):
        parent = f"{number - 1:08}" if number else None
        config = put(saver, f"{number:08}", parent, ns=ns, parents=callers, **keywords)
        saver.put_writes(config, [("d", [number])], "task")


def namespaces(fake: FakeS3) -> set[str]:
    return {
        each.config["configurable"]["checkpoint_ns"] for each in make_saver(fake).list(place("t", ns=None))
    }


def test_a_call_goes_with_the_checkpoint_that_it_was_called_from(saver: S3Saver, fake: FakeS3) -> None:
    put_chain(saver, "t", 3)
    call(saver, "ended:1", {"": "00000001"})
    call(saver, "interrupted:2", {"": "00000002"})
    call(saver, "running:3", {"": "00000003"})  # its caller isn't saved yet
    call(saver, "untold:4", {})
    call(saver, "persistent", {"": "00000001"})
    call(saver, "persistent|ended:5", {"": "00000001", "persistent": "00000000"})
    stay = {"", "interrupted:2", "running:3", "untold:4", "persistent"}
    heads = {ns: shown(get(saver, place("t", ns=ns))) for ns in stay}
    saver.prune(["t"])
    assert namespaces(fake) == stay
    assert {ns: shown(get(make_saver(fake), place("t", ns=ns))) for ns in stay} == heads
    assert len(list(make_saver(fake).list(place("t", ns=None)))) == len(stay)
    left = fake.keys()
    saver.prune(["t"])
    assert fake.keys() == left


def test_a_call_within_a_call_goes_once_that_has_gone_on(saver: S3Saver, fake: FakeS3) -> None:
    put_chain(saver, "t", 1)
    call(saver, "outer:1", {"": "00000000"})
    call(saver, "outer:1|before:2", {"": "00000000", "outer:1": "00000000"})
    call(saver, "outer:1|now:3", {"": "00000000", "outer:1": "00000001"})
    call(
        saver, "outer:1|now:3|deeper:4", {"": "00000000", "outer:1": "00000001", "outer:1|now:3": "00000001"}
    )
    saver.prune(["t"])
    assert namespaces(fake) == {"", "outer:1", "outer:1|now:3", "outer:1|now:3|deeper:4"}
    put(saver, "00000001", "00000000")
    saver.prune(["t"])
    assert namespaces(fake) == {""}
    assert len(fake.keys("checkpoint")) == 1


def test_names_that_are_too_long_for_keys(saver: S3Saver, fake: FakeS3) -> None:
    put_chain(saver, "t", 2)
    long = "|".join(f"node-{number}:{'0' * 36}" for number in range(9))
    call(saver, long, {"": "00000000"})
    call(saver, "n" * 300, {"": "00000000"})
    call(saver, f"{long}|next", {"": "00000001", long: "00000001"})
    saver.prune(["t"])
    assert namespaces(fake) == {"", "n" * 300, f"{long}|next"}


@pytest.mark.parametrize("parents", [None, [1], {"": None}, {"": 1.5}, {1: "00000000"}, {"": "x" * 2000}])
def test_metadata_of_another_shape_proves_nothing(saver: S3Saver, fake: FakeS3, parents: Any) -> None:
    put_chain(saver, "t", 2)
    call(saver, "call:1", parents)
    saver.prune(["t"])
    assert namespaces(fake) == {"", "call:1"}


def test_early_writes_of_an_ended_call_go_with_it(saver: S3Saver, fake: FakeS3) -> None:
    put_chain(saver, "t", 2)
    call(saver, "call:1", {"": "00000000"})
    saver.put_writes(place("t", "00000005", "call:1"), [("d", [1])], "early")
    saver.put_writes(place("t", "00000005"), [("d", [1])], "early")
    saver.prune(["t"])
    assert len(fake.objects) == 3
    put(saver, "00000005", "00000001")
    assert pending(make_saver(fake), place("t")) == [("early", "d", [1])]


def test_calls_that_lend_and_borrow(saver: S3Saver, fake: FakeS3) -> None:
    put_chain(saver, "t", 2)
    large = {"document": "x" * 40_000}
    for ns, caller in (("ended:1", "00000000"), ("interrupted:2", "00000001")):
        call(saver, ns, {"": caller}, count=4, values=large)
    before = shown(get(saver, place("t", ns="interrupted:2")))
    saver.prune(["t"])
    assert namespaces(fake) == {"", "interrupted:2"}
    assert shown(get(make_saver(fake), place("t", ns="interrupted:2"))) == before


@pytest.mark.parametrize("kept", [1, 2, 5])
def test_every_rule_lets_calls_go_with_their_callers(saver: S3Saver, fake: FakeS3, kept: int) -> None:
    put_chain(saver, "t", 6)
    for number in range(6):
        call(saver, f"call:{number}", {"": f"{number:08}"}, count=3)
    admin = S3Admin(make_saver(fake))
    would = admin.prune_threads(kept)
    assert len({each.checkpoint_ns for each in would.victims}) >= 6 - kept
    went = admin.prune_threads(kept, dry_run=False)
    assert went.victims == would.victims
    assert namespaces(fake) == {"", *(f"call:{number}" for number in range(6 - kept, 6))}
    assert len(ids(make_saver(fake), place("t", ns="call:5"))) == min(kept, 3)


def test_calls_of_old_checkpoints_go_with_them(saver: S3Saver, fake: FakeS3) -> None:
    put_chain(saver, "t", 3)
    call(saver, "call:1", {"": "00000001"})
    call(saver, "call:2", {"": "00000002"})
    fake.age(timedelta(days=40))
    admin = S3Admin(make_saver(fake))
    admin._now = lambda: fake.now  # type: ignore[method-assign]  # the test's own
    admin.prune_older_than(timedelta(days=30), dry_run=False)
    assert namespaces(fake) == {"", "call:2"}


def test_the_requests(fake: FakeS3, mode: str) -> None:
    """One head for each call; nothing, where no caller goes."""
    saver = make_saver(fake)
    put_chain(saver, "t", 1)
    for number in range(20):
        call(saver, f"call:{number}", {"": "00000000"}, count=1)
    call(saver, "persistent", {"": "00000000"}, count=1)
    with fake.counted() as count:
        make_saver(fake).prune(["t"])
    assert (count.kinds, count.round_trips) == ({"ListObjects": 1}, 1)
    put(saver, "00000001", "00000000")
    with fake.counted() as count:
        make_saver(fake).prune(["t"])
    heads = 20 + (mode == "private")  # keys don't tell that `persistent` isn't a call
    assert count.kinds == {"ListObjects": 1, "GetObject": heads, "DeleteObjects": 2}
    assert count.round_trips == 4


# While a run goes on


@pytest.mark.parametrize("moment", [GetObject, DeleteObjects])
def test_a_call_that_begins_while_the_thread_is_pruned_stays(
    saver: S3Saver, fake: FakeS3, moment: Any
) -> None:
    put_chain(saver, "t", 2)
    call(saver, "ended:1", {"": "00000000"})

    def go_on(_: Any) -> None:
        put(saver, "00000002", "00000001")
        call(saver, "new:2", {"": "00000002"})

    fake.hook = once(moment, go_on)
    make_saver(fake).prune(["t"])
    fake.hook = None
    assert namespaces(fake) == {"", "new:2"}
    assert ids(make_saver(fake), place("t")) == ["00000002", "00000001"]


def test_a_caller_that_is_saved_after_its_call_keeps_it(saver: S3Saver, fake: FakeS3) -> None:
    put_chain(saver, "t", 2)
    call(saver, "new:2", {"": "00000002"})
    fake.hook = once(ListObjects, lambda _: put(make_saver(fake), "00000002", "00000001"), "after")
    make_saver(fake).prune(["t"])
    assert namespaces(fake) == {"", "new:2"}


def test_a_call_whose_head_vanishes_meanwhile(saver: S3Saver, fake: FakeS3) -> None:
    put_chain(saver, "t", 2)
    call(saver, "call:1", {"": "00000000"})
    fake.hook = once(GetObject, lambda request: fake.delete(request.key))
    make_saver(fake).prune(["t"])
    assert namespaces(fake) == {""}


# Crashes


@cached
def with_calls() -> FakeS3:
    fake = FakeS3()
    saver = make_saver(fake)
    put_chain(saver, "t", 3, values={"v": 1})
    call(saver, "ended:1", {"": "00000000"}, count=3)
    call(saver, "ended:1|inner:2", {"": "00000000", "ended:1": "00000001"})
    call(saver, "interrupted:3", {"": "00000002"})
    call(saver, "persistent", {"": "00000001"})
    return fake


@cached
def with_large_calls() -> FakeS3:
    fake = with_calls().snapshot()
    for ns, caller in (("large:4", "00000001"), ("large:5", "00000002")):
        call(make_saver(fake), ns, {"": caller}, count=3, values={"document": "x" * 20_000})
    return fake


@pytest.mark.parametrize("batch", [2, 1000])
@pytest.mark.parametrize("bucket", [with_calls, with_large_calls])
def test_cut_short(bucket: Any, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However it ends, the next prune finds the calls that have ended."""
    scenario = Scenario(
        "prune, calls",
        lambda saver: saver.prune(["t"]),
        bucket,
        removes=True,
        patches={"delete._BATCH": batch},
    )
    sweep(scenario, monkeypatch)


def test_callers_stay_while_a_call_cant_be_deleted(saver: S3Saver, fake: FakeS3) -> None:
    put_chain(saver, "t", 2)
    call(saver, "call:1", {"": "00000000"}, count=1)
    root = inside.layout(saver).namespace("t", "")
    [stuck] = [key for key in fake.keys("/checkpoint") if not key.startswith(root)]
    fake.undeletable = {stuck: ("InternalError", "no")}
    with pytest.raises(StorageUnavailableError):
        make_saver(fake).prune(["t"])
    assert ids(make_saver(fake), place("t")) == ["00000001", "00000000"]
    fake.undeletable = {}
    make_saver(fake).prune(["t"])
    assert namespaces(fake) == {""}


# Real graphs


class State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]


def nested(saver: S3Saver, persistent: Any) -> Any:
    """A subgraph called twice from a subgraph, whose second call asks; then the graph asks itself."""

    def ask(name: str) -> Any:
        return lambda state: {"log": [f"{name}: {interrupt(name)}"]}

    inner: Any = StateGraph(State)
    inner.add_node("first", lambda state: {"log": ["first"]})
    inner.add_node(
        "second", lambda state: {"log": [interrupt("inner")] if "ask" in state["log"] else ["second"]}
    )
    inner.add_edge(START, "first")
    inner.add_edge("first", "second")
    middle: Any = StateGraph(State)
    middle.add_node("one", inner.compile())
    middle.add_node("between", lambda state: {"log": ["ask"]})
    middle.add_node("two", inner.compile())
    for edge in ((START, "one"), ("one", "between"), ("between", "two")):
        middle.add_edge(*edge)
    outer: Any = StateGraph(State)
    outer.add_node("middle", middle.compile(checkpointer=persistent))
    outer.add_node("ask", ask("outer"))
    outer.add_edge(START, "middle")
    outer.add_edge("middle", "ask")
    return outer.compile(checkpointer=saver)


@pytest.mark.parametrize(
    ("mode", "durability", "persistent"),
    pairs(["plain", "private"], ["sync", "async", "exit"], [None, True]),
    indirect=["mode"],
)
def test_an_interrupted_graph_goes_on_after_each_prune(
    fake: FakeS3, persistent: bool | None, durability: Any
) -> None:
    def graph() -> Any:
        return nested(make_saver(fake), persistent)

    def calls() -> set[str]:
        """Return the namespaces that are left, without task ids."""
        parts = (ns.split("|") for ns in namespaces(fake))
        return {"|".join(part.partition(":")[0] for part in each) for each in parts}

    config: Any = {"configurable": {"thread_id": "t"}}
    options: Any = {"durability": durability}
    asked = graph().invoke({"log": ["input"]}, config, **options)
    assert asked["__interrupt__"][0].value == "inner"
    state = graph().get_state(config, subgraphs=True)
    make_saver(fake).prune(["t"])
    assert graph().get_state(config, subgraphs=True).tasks == state.tasks
    assert calls() == {"", "middle", "middle|two"}
    asked = graph().invoke(Command(resume="yes"), config, **options)
    assert asked["__interrupt__"][0].value == "outer"
    make_saver(fake).prune(["t"])
    assert calls() == ({"", "middle"} if persistent else {""})
    ran = graph().invoke(Command(resume="well"), config, **options)
    assert ran["log"][-1] == "outer: well"
    make_saver(fake).prune(["t"])
    assert len(list(make_saver(fake).list(place("t", ns=None)))) == len(calls()) == 1 + bool(persistent)
    assert graph().get_state(config).values == ran


def test_a_checkpoint_without_versions_is_unaffected(saver: S3Saver, fake: FakeS3) -> None:
    """A head of an older format (`v` below 4) holds its pending sends itself: its parent needn't stay."""
    for number in range(3):
        checkpoint = make_checkpoint(f"{number:08}", {"__pregel_tasks": [f"send-{number}"]})
        checkpoint["v"] = 1
        saver.put(place("t", f"{number - 1:08}" if number else None), checkpoint, {}, {})
    before = shown(get(saver, place("t")))
    saver.prune(["t"])
    assert len(fake.objects) == 1
    assert shown(get(make_saver(fake), place("t"))) == before
