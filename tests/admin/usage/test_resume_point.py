"""Points at which threads continue, compared with LangGraph's `get_state` on histories of random graphs.

RESUME_HISTORIES=1000 pytest tests/admin/usage/test_resume_point.py      more of them
"""

from __future__ import annotations

import asyncio
import operator
import os
import random
from collections import Counter
from contextlib import suppress
from typing import Annotated, Any

import pytest
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, RESUME
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt
from typing_extensions import TypedDict

from langgraph_checkpoint_s3 import InvalidKeyError, S3Saver
from langgraph_checkpoint_s3.admin import HistoryEntry, S3Admin
from langgraph_checkpoint_s3.admin.usage.resume_point import derive
from langgraph_checkpoint_s3.admin.usage.task_status import task_statuses
from tests.support.checkpoints import make_checkpoint, place, put_chain
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver
from tests.support.sampling import sample

HISTORIES = int(os.environ.get("RESUME_HISTORIES", "30"))
SEEDS = range(HISTORIES) if "RESUME_HISTORIES" in os.environ else sample(range(HISTORIES), 12)
STEPS = 6
"""How often a thread is run, answered, changed or crashed."""


class State(TypedDict):
    seen: Annotated[list[str], operator.add]


class Crash(BaseException):
    """The process ends before a checkpoint is stored."""


class Puts:
    """A saver's `put`, before one of whose calls the process ends."""

    def __init__(self, saver: S3Saver) -> None:
        self.left: int | None = None
        self._put = saver.put

    def __call__(self, *arguments: Any) -> Any:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Crash
        return self._put(*arguments)


def random_graph(draw: random.Random, saver: Any) -> Any:
    """Return a graph of up to five nodes that ask, fail, fan out, join, or do nothing in particular."""
    builder = StateGraph(State)
    names = [f"node {number}" for number in range(draw.randrange(1, 6))]
    failed: set[str] = set()
    for name in names:
        builder.add_node(name, _node(name, draw.choice(("plain", "asks", "asks twice", "fails")), failed))
    builder.add_edge(START, names[0])
    for number, name in enumerate(names):
        later = names[number + 1 :]
        match draw.choice(("edges", "sends", "condition")) if later else "end":
            case "edges":
                for target in draw.sample(later, draw.randrange(1, min(3, len(later)) + 1)):
                    builder.add_edge(name, target)
            case "sends":
                target, count = draw.choice(later), draw.randrange(1, 4)
                builder.add_conditional_edges(name, _sends(target, count), later)
            case "condition":
                builder.add_conditional_edges(name, _choice(draw.choice(later)), [*later, END])
            case _:
                builder.add_edge(name, END)
    if len(names) > 3:
        builder.add_edge(names[1:3], names[3])
    return builder.compile(checkpointer=saver)


def _node(name: str, kind: str, failed: set[str]) -> Any:
    def run(state: State) -> Any:
        if kind == "fails" and name not in failed:
            failed.add(name)
            raise ValueError(f"{name} fails once")
        if kind.startswith("asks"):
            interrupt(f"{name} asks")
        if kind == "asks twice":
            interrupt(f"{name} asks again")
        return {"seen": [name]}

    return run


def _sends(target: str, count: int) -> Any:
    return lambda state: [Send(target, {"seen": []}) for _ in range(count)]


def _choice(target: str) -> Any:
    return lambda state: target if len(state["seen"]) % 3 else END


def step(draw: random.Random, made: Any, puts: Puts) -> None:
    """Run the thread, answer it, change it, or end its process within a run."""
    state = made.get_state(place("t"))
    puts.left = draw.choice((None, None, 0, 1, 2))
    with suppress(Crash, ValueError):
        if not state.next:
            made.invoke({"seen": ["input"]}, place("t"))
        elif state.interrupts and draw.random() < 0.7:
            answered = draw.sample(state.interrupts, draw.randrange(1, len(state.interrupts) + 1))
            made.invoke(Command(resume={each.id: "yes" for each in answered}), place("t"))
        elif draw.random() < 0.2:
            made.update_state(place("t"), {"seen": ["changed"]}, as_node=state.next[0])
        else:
            made.invoke(None, place("t"))
    puts.left = None


@pytest.mark.parametrize("seed", SEEDS)
def test_it_agrees_with_langgraph(fake: FakeS3, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    draw = random.Random(seed)
    saver = make_saver(fake)
    puts = Puts(saver)
    monkeypatch.setattr(saver, "put", puts)
    made = random_graph(draw, saver)
    admin = S3Admin(saver)
    for _ in range(STEPS):
        step(draw, made, puts)
        state = made.get_state(place("t"))
        point = admin.resume_point("t")
        if point is None:
            assert not state.config["configurable"].get("checkpoint_id")
            continue
        assert point.checkpoint_id == state.config["configurable"]["checkpoint_id"]
        assert Counter(point.next) == Counter(state.next)
        assert Counter(point.interrupts) == Counter(each.value for each in state.interrupts)
        assert (point.state == "waiting") == bool(state.interrupts and not point.errors)
        assert (point.state == "finished") == (not state.next and not point.done)
        history = admin.history("t", "", limit=None)
        tasks = [each for each in state.tasks if each.interrupts]
        assert history[0].interrupts == len(tasks)
        parents = {each.parent_id for each in history}
        assert all(
            each.pending_writes == each.interrupts == 0 for each in history if each.checkpoint_id in parents
        )
        older = draw.choice(list(made.get_state_history(place("t"))))
        found = admin.resume_point("t", "", older.config["configurable"]["checkpoint_id"])
        assert found is not None
        assert Counter(found.next) == Counter(older.next)
        assert Counter(found.interrupts) == Counter(each.value for each in older.interrupts)


def test_tasks_that_are_done_dont_run_again_from_the_latest_checkpoint_only(saver: S3Saver) -> None:
    def crashed() -> Any:
        raise Crash

    builder = StateGraph(State)
    builder.add_node("ask", lambda state: {"seen": [interrupt("may I?")]})
    builder.add_node("next", lambda state: crashed())
    builder.add_edge(START, "ask")
    builder.add_edge("ask", "next")
    made = builder.compile(checkpointer=saver)
    made.invoke({"seen": []}, place("t"))
    asked = S3Admin(saver).resume_point("t")
    assert asked is not None
    assert (asked.state, asked.next, asked.interrupts) == ("waiting", ("ask",), ("may I?",))
    with pytest.raises(Crash):
        made.invoke(Command(resume="yes"), place("t"))
    answered = S3Admin(saver).resume_point("t")
    assert answered is not None
    assert (answered.state, answered.next, answered.interrupts) == ("ready", ("next",), ())
    named = S3Admin(saver).resume_point("t", "", asked.checkpoint_id)
    assert named == asked


def test_a_result_that_no_checkpoint_has_taken_in(saver: S3Saver) -> None:
    put_chain(saver, "t", 1, writes=0)
    config = place("t", "00000000")
    saver.put_writes(config, [(INTERRUPT, ["may I?"])], "task-1", "~__pregel_pull, approve")
    admin = S3Admin(saver)
    waiting = admin.resume_point("t")
    assert waiting is not None
    assert (waiting.state, waiting.interrupts, waiting.done) == ("waiting", ("may I?",), ())
    saver.put_writes(config, [(RESUME, ["yes"])], "task-1", "~__pregel_pull, approve")
    saver.put_writes(config, [("answer", "yes")], "task-1", "~__pregel_pull, approve")
    ready = admin.resume_point("t")
    assert ready is not None
    assert (ready.state, ready.next, ready.interrupts, ready.done) == ("ready", (), (), ("approve",))


def test_the_requests_are_those_of_get_tuple(fake: FakeS3, saver: S3Saver) -> None:
    put_chain(saver, "t", 3, writes=2)
    admin = S3Admin(make_saver(fake))
    with fake.counted() as count:
        admin.resume_point("t")
    assert count.round_trips == 2
    assert count.kinds == {"ListObjects": 1, "GetObject": 3}


def test_none_and_bad_ids(saver: S3Saver) -> None:
    admin = S3Admin(saver)
    assert admin.resume_point("nobody") is None
    put_chain(saver, "t", 2)
    assert asyncio.run(admin.aresume_point("t")) == admin.resume_point("t")
    with pytest.raises(InvalidKeyError):
        admin.resume_point("")
    with pytest.raises(InvalidKeyError):
        admin.resume_point("t", "", "\ud800")


@pytest.mark.parametrize(
    ("path", "end"),
    [
        ("~__pregel_pull, a, b", "a, b"),
        ("~__pregel_push, 0000000001, 0000000000", "two"),
        ("~__pregel_push, 0000000009", "task-1"),
        ("~__pregel_push, ~__pregel_pull, a, 0000000000", "task-1"),
        ("", "task-1"),
    ],
)
def test_paths(saver: S3Saver, path: str, end: str) -> None:
    values = {"__pregel_tasks": [Send("one", 1), Send("two", 2)]}
    checkpoint = make_checkpoint("00000001", values)
    config = saver.put(place("t"), checkpoint, {}, checkpoint["channel_versions"])
    saver.put_writes(config, [("x", 1)], "task-1", path)
    found = saver.get_tuple(place("t"))
    assert found is not None
    point = derive(found, {"task-1": path})
    assert point.done == (end,)
    assert point.next == (("one",) if end == "two" else ("one", "two"))


def test_statuses() -> None:
    pending = [
        ("00000000-0000-0000-0000-000000000000", RESUME, "an answer"),
        ("a", INTERRUPT, ["q"]),
        ("a", RESUME, ["r"]),
        ("b", INTERRUPT, "q"),
        ("b", "x", 1),
        ("c", ERROR, "broken"),
        ("d", ERROR, "broken once"),
        ("d", "__no_writes__", None),
    ]
    found = task_statuses(pending)
    assert {name for name, each in found.items() if each.finished} == {"b", "d"}
    assert {name for name, each in found.items() if each.interrupts} == {"a", "b"}
    assert set(found) == {"a", "b", "c", "d"}
    assert found["c"].error == "broken"


def test_an_entry_counts_what_is_open(saver: S3Saver) -> None:
    put_chain(saver, "t", 1, writes=0)
    config = place("t", "00000000")
    saver.put_writes(config, [(INTERRUPT, ["one"])], "asks")
    saver.put_writes(config, [(INTERRUPT, ["one"]), (RESUME, ["yes"])], "was answered")
    saver.put_writes(config, [("x", 1)], "was answered")
    saver.put_writes(config, [(ERROR, "no")], "failed")
    found = saver.get_tuple(place("t"))
    assert found is not None
    entry = HistoryEntry.from_tuple(found)
    assert (entry.interrupts, entry.errors, entry.pending_tasks) == (1, 1, 3)
    assert entry.passed().pending_writes == entry.passed().interrupts == 0
