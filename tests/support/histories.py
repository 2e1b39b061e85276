"""Histories of real graphs and of made checkpoints in any saver, and how two savers' are compared."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, RESUME
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command
from typing_extensions import TypedDict

from tests.contract.test_graphs import Text, asking, fan_out, react
from tests.support.checkpoints import place, put_chain, shown
from tests.support.running import wait_for_write

Saver = BaseCheckpointSaver[Any]


class Count(TypedDict):
    count: int


def around() -> StateGraph[Any, Any, Any, Any]:
    """A graph whose subgraph asks two questions, in a namespace of its own."""
    builder = StateGraph(Text)
    builder.add_node("inner", asking().compile(checkpointer=True))
    builder.add_node("last", lambda state: {"text": state["text"] + " end"})
    builder.add_edge(START, "inner")
    builder.add_edge("inner", "last")
    builder.add_edge("last", END)
    return builder


def failing() -> StateGraph[Any, Any, Any, Any]:
    """A graph one of whose two tasks fails, where the other one's writes stay pending."""

    def bad(state: Count, config: RunnableConfig) -> Any:
        wait_for_write(config, ("count", 1))
        raise ValueError("as ever")

    builder = StateGraph(Count)
    builder.add_node("good", lambda state: {"count": 1})
    builder.add_node("bad", bad)
    builder.add_edge(START, "good")
    builder.add_edge(START, "bad")
    return builder


def run_graphs(saver: Saver, *, turns: int = 3, tasks: int = 12) -> None:
    """Run graphs with turns, forks, parallel tasks, errors, and interrupts open at several depths.

    Args:
        saver: Where to leave it.
        turns: How often to talk to an agent.
        tasks: How many run in parallel.
    """
    agent = react().compile(checkpointer=saver)
    for turn in range(turns):
        agent.invoke({"messages": [HumanMessage(f"turn {turn} " + "and more " * 300)]}, place("agent"))
    middle = next(shown for shown in agent.get_state_history(place("agent")) if shown.next == ("tool",))
    fork = agent.update_state(middle.config, {"messages": [AIMessage("instead")]}, as_node="tool")
    agent.invoke(None, fork)
    fan_out(tasks).compile(checkpointer=saver).invoke({"items": [], "total": 0}, place("fan-out"))
    ask(saver)
    with suppress(ValueError):
        failing().compile(checkpointer=saver).invoke({"count": 0}, place("failing"))


def ask(saver: Saver) -> None:
    """Graphs that wait for an answer: to their first question, to their second one, and in a subgraph."""
    asker = asking().compile(checkpointer=saver)
    asker.invoke({"text": "hello"}, place("asker"))
    asker.invoke({"text": "hello"}, place("asker/half-way"))
    asker.invoke(Command(resume="one"), place("asker/half-way"))
    nested = around().compile(checkpointer=saver)
    nested.invoke({"text": "deep"}, place("nested"))
    nested.invoke(Command(resume="one"), place("nested"))


def fill(saver: Saver, checkpoints: int) -> None:
    """All that `run_graphs` leaves, and made checkpoints in several threads, to so many in all."""
    run_graphs(saver)
    left = checkpoints - sum(1 for _ in saver.list(None))
    assert left > 0, f"the graphs alone leave {checkpoints - left} checkpoints"
    for number, share in enumerate(_shares(left, 10)):
        thread, ns = f"made {number // 2}", "inner|1" if number % 2 else ""
        ids = put_chain(saver, thread, share, ns=ns, values={"v": number, "big": "state " * 800}, writes=2)
        for each in ids[::7]:
            saver.put_writes(place(thread, each, ns), [("d", [each])], "task-9", "~path-0000")
            saver.put_writes(
                place(thread, each, ns), [(INTERRUPT, each), (RESUME, [1])], "task-9", "~path-0000"
            )
            saver.put_writes(place(thread, each, ns), [(ERROR, each)], "task-0", "~path-0000")


def small(saver: Saver) -> None:
    """Seven made checkpoints: two threads, a namespace, writes of two tasks."""
    put_chain(saver, "t", 3, writes=2)
    put_chain(saver, "t", 2, ns="inner|1")
    put_chain(saver, "u", 2)


def _shares(whole: int, parts: int) -> list[int]:
    return [whole // parts + (number < whole % parts) for number in range(parts)]


def everything(saver: Saver) -> dict[Any, Any]:
    """All that a saver lists, in a form that can be compared, by thread, namespace and id."""
    listed = [shown(each) for each in saver.list(None)]
    found = {each[0]: each for each in listed}
    assert len(found) == len(listed), "something is there twice"
    return found


def assert_equal(source: Saver, target: Saver) -> int:
    """Compare two savers tuple by tuple, as their `list` has it, and some as `get_tuple` does.

    Returns:
        How many checkpoints there are.
    """
    wanted, found = everything(source), everything(target)
    assert found.keys() == wanted.keys()
    for number, (where, each) in enumerate(wanted.items()):
        assert found[where] == each
        if number % 5 == 0:
            thread, ns, checkpoint_id = where
            assert shown(target.get_tuple(place(thread, checkpoint_id, ns))) == each
    return len(wanted)
