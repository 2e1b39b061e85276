"""Real graphs, compared step by step with the same graph on LangGraph's own `InMemorySaver`."""

from __future__ import annotations

import asyncio
import operator
import sys
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, Interrupt, Send, StateSnapshot, interrupt
from typing_extensions import TypedDict

from tests.contract.support import MakeSaver, at
from tests.support.running import wait_for_write
from tests.support.sampling import combined

Saver = BaseCheckpointSaver[Any]


class Runner:
    """Runs a graph one of two ways, blocking or asynchronous, on one loop for all of a test."""

    def __init__(self, builder: StateGraph[Any, Any, Any, Any], saver: Saver, *, asynchronous: bool) -> None:
        self._graph = builder.compile(checkpointer=saver)
        self._loop = asyncio.new_event_loop() if asynchronous else None

    def invoke(self, value: Any, config: Any, **options: Any) -> Any:
        if self._loop is None:
            return self._graph.invoke(value, config, **options)
        return self._loop.run_until_complete(self._graph.ainvoke(value, config, **options))

    def state(self, config: Any, *, subgraphs: bool = False) -> StateSnapshot:
        if self._loop is None:
            return self._graph.get_state(config, subgraphs=subgraphs)
        return self._loop.run_until_complete(self._graph.aget_state(config, subgraphs=subgraphs))

    def update(self, config: Any, values: Any, as_node: str | None = None) -> Any:
        if self._loop is None:
            return self._graph.update_state(config, values, as_node)
        return self._loop.run_until_complete(self._graph.aupdate_state(config, values, as_node))

    def history(self, config: Any, **options: Any) -> list[StateSnapshot]:
        if self._loop is None:
            return list(self._graph.get_state_history(config, **options))

        async def collect() -> list[StateSnapshot]:
            return [shown async for shown in self._graph.aget_state_history(config, **options)]

        return self._loop.run_until_complete(collect())

    def end(self) -> None:
        if self._loop is not None:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()


def shape(found: StateSnapshot) -> dict[str, Any]:
    """Return the parts of a snapshot that don't depend on time and generated ids."""
    return {
        "values": plain(found.values),
        "next": found.next,
        "metadata": {name: (found.metadata or {}).get(name) for name in ("source", "step")},
        "tasks": [
            (task.name, task.path, task.error, [each.value for each in task.interrupts], plain(task.result))
            for task in found.tasks
        ],
        "parent": found.parent_config is not None,
        "interrupts": [each.value for each in found.interrupts],
    }


def plain(value: Any) -> Any:
    if isinstance(value, (HumanMessage, AIMessage, ToolMessage)):
        return type(value).__name__, value.content, getattr(value, "tool_calls", None)
    if isinstance(value, Interrupt):
        return value.value
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value


Scenario = Callable[[Callable[..., Runner]], list[Any]]


class Talk(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


def react() -> StateGraph[Any, Any, Any, Any]:
    """An agent that calls a tool three times, then answers."""

    def model(state: Talk) -> Any:
        calls = [message for message in state["messages"] if isinstance(message, ToolMessage)]
        if len(calls) % 3 == 2 and isinstance(state["messages"][-1], ToolMessage):
            return {"messages": [AIMessage(f"answer after {len(calls)}")]}
        call = {"name": "add", "args": {"a": len(calls), "b": 1}, "id": f"call-{len(calls)}"}
        return {"messages": [AIMessage("", tool_calls=[call])]}

    def tool(state: Talk) -> Any:
        [call] = state["messages"][-1].tool_calls  # type: ignore[union-attr]  # it isn't `None`
        return {"messages": [ToolMessage(str(call["args"]["a"] + 1), tool_call_id=call["id"])]}

    def route(state: Talk) -> str:
        return "tool" if state["messages"][-1].tool_calls else END  # type: ignore[union-attr]  # it isn't `None`

    builder = StateGraph(Talk)
    builder.add_node("model", model)
    builder.add_node("tool", tool)
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", route, ["tool", END])
    builder.add_edge("tool", "model")
    return builder


def a_react_loop(make: Callable[..., Runner]) -> list[Any]:
    runner = make(react())
    log: list[Any] = []
    for turn in range(2):
        log.append(runner.invoke({"messages": [HumanMessage(f"turn {turn}")]}, at()))
        log.append(runner.state(at()))
    log += runner.history(at())
    log += runner.history(at(), limit=3)
    log += runner.history(at(), filter={"source": "input"})
    return log


class Items(TypedDict):
    items: Annotated[list[int], operator.add]
    total: int


def fan_out(tasks: int) -> StateGraph[Any, Any, Any, Any]:
    builder = StateGraph(Items)
    builder.add_node("worker", lambda number: {"items": [number * number]})
    builder.add_node("sum", lambda state: {"total": sum(state["items"])})
    builder.add_conditional_edges(
        START, lambda _: [Send("worker", number) for number in range(tasks)], ["worker"]
    )
    builder.add_edge("worker", "sum")
    builder.add_edge("sum", END)
    return builder


def a_fan_out_of_fifty(make: Callable[..., Runner]) -> list[Any]:
    runner = make(fan_out(50))
    return [runner.invoke({"items": [], "total": 0}, at()), runner.state(at()), *runner.history(at())]


class Text(TypedDict):
    text: str


def asking() -> StateGraph[Any, Any, Any, Any]:
    def ask(state: Text) -> Any:
        first = interrupt({"question": "first", "text": state["text"]})
        second = interrupt({"question": "second", "first": first})
        return {"text": f"{state['text']} {first} {second}"}

    builder = StateGraph(Text)
    builder.add_node("before", lambda state: {"text": state["text"] + "!"})
    builder.add_node("ask", ask)
    builder.add_node("after", lambda state: {"text": state["text"] + "."})
    builder.add_edge(START, "before")
    builder.add_edge("before", "ask")
    builder.add_edge("ask", "after")
    builder.add_edge("after", END)
    return builder


def interrupts(make: Callable[..., Runner]) -> list[Any]:
    runner = make(asking())
    log = [runner.invoke({"text": "hello"}, at()), runner.state(at())]
    log += [runner.invoke(Command(resume="one"), at()), runner.state(at())]
    # A new process, with nothing in memory, goes on from the bucket alone.
    other = make(asking(), fresh=True)
    log += [other.state(at()), other.invoke(Command(resume="two"), at()), other.state(at())]
    return log + other.history(at())


def subgraphs(make: Callable[..., Runner]) -> list[Any]:
    inner = asking().compile(checkpointer=True)
    builder = StateGraph(Text)
    builder.add_node("inner", inner)
    builder.add_node("last", lambda state: {"text": state["text"] + " end"})
    builder.add_edge(START, "inner")
    builder.add_edge("inner", "last")
    builder.add_edge("last", END)
    runner = make(builder)
    log = [runner.invoke({"text": "deep"}, at())]
    state = runner.state(at(), subgraphs=True)
    log += [state, state.tasks[0].state]
    log += [runner.invoke(Command(resume="one"), at()), runner.invoke(Command(resume="two"), at())]
    log += [runner.invoke({"text": "again"}, at())]  # the inner thread goes on where it was
    return log + runner.history(at())


def time_travel(make: Callable[..., Runner]) -> list[Any]:
    runner = make(react())
    runner.invoke({"messages": [HumanMessage("go")]}, at())
    past = runner.history(at())
    log: list[Any] = [*past]
    replayed = next(
        shown for shown in past if shown.next == ("tool",) and (shown.metadata or {})["step"] == 1
    )
    log += [runner.invoke(None, replayed.config), runner.state(at()), runner.state(replayed.config)]
    forked = runner.update(replayed.config, {"messages": [HumanMessage("instead")]}, as_node="tool")
    log += [runner.state(forked), runner.invoke(None, forked)]
    log += [runner.update(at(), {"messages": [AIMessage("by hand")]}), *runner.history(at())]
    log += runner.history(at(), before=replayed.config, limit=2)
    return [entry for entry in log if not (isinstance(entry, dict) and "configurable" in entry)]


def failures(make: Callable[..., Runner]) -> list[Any]:
    """One task of two fails; the other one's writes stay, and aren't made again."""
    runs: list[str] = []

    def good(state: Items) -> Any:
        runs.append("good")
        return {"items": [1]}

    def bad(state: Items, config: RunnableConfig) -> Any:
        runs.append("bad")
        if runs.count("bad") == 1:
            wait_for_write(config, ("items", [1]))
            raise ValueError("the first time")
        return {"items": [2]}

    builder = StateGraph(Items)
    builder.add_node("good", good)
    builder.add_node("bad", bad)
    builder.add_edge(START, "good")
    builder.add_edge(START, "bad")
    runner = make(builder)
    log: list[Any] = []
    with pytest.raises(ValueError, match="the first time"):
        runner.invoke({"items": [], "total": 0}, at())
    state = runner.state(at())
    log.append([(task.name, task.error, plain(task.result)) for task in state.tasks])
    log.append(runner.invoke(None, at()))
    assert sorted(runs) == ["bad", "bad", "good"]
    return [*log, *runner.history(at())]


SCENARIOS: dict[str, Scenario] = {
    "a ReAct loop": a_react_loop,
    "a fan-out of 50": a_fan_out_of_fifty,
    "interrupts": interrupts,
    "subgraphs": subgraphs,
    "time travel and forks": time_travel,
    "failures": failures,
}


def compared(entry: Any) -> Any:
    return shape(entry) if isinstance(entry, StateSnapshot) else plain(entry)


def skip_where_langgraph_cannot(driver: str) -> None:
    if driver == "async" and sys.version_info < (3, 11):
        pytest.skip("LangGraph's interrupt() in a coroutine needs Python 3.11")


class TestGraphs:
    @pytest.mark.parametrize("name", SCENARIOS)
    def test_a_graph_does_as_in_memory(self, make_saver: MakeSaver, driver: str, name: str) -> None:
        if name in ("interrupts", "subgraphs"):
            skip_where_langgraph_cannot(driver)
        assert self._play(SCENARIOS[name], make_saver, driver) == self._play(SCENARIOS[name], None, driver)

    @combined(durability=["exit", "async", "sync"], driver=["sync", "async"])
    def test_durabilities(self, make_saver: MakeSaver, driver: str, durability: str) -> None:
        skip_where_langgraph_cannot(driver)

        def scenario(make: Callable[..., Runner]) -> list[Any]:
            runner = make(react())
            first = runner.invoke({"messages": [HumanMessage("go")]}, at(), durability=durability)
            log = [first, *runner.history(at())]
            asker = make(asking())
            log += [
                asker.invoke({"text": "hello"}, at("asker"), durability=durability),
                asker.state(at("asker")),
            ]
            log += [asker.invoke(Command(resume="one"), at("asker"), durability=durability)]
            log += [asker.invoke(Command(resume="two"), at("asker"), durability=durability)]
            return [*log, *asker.history(at("asker"))]

        stored = self._play(scenario, make_saver, driver)
        assert stored == self._play(scenario, None, driver)
        snapshots = [entry for entry in stored if isinstance(entry, dict) and "metadata" in entry]
        assert len(snapshots) == (4 if durability == "exit" else 13), len(snapshots)

    @staticmethod
    def _play(scenario: Scenario, make_saver: MakeSaver | None, driver: str) -> list[Any]:
        memory = InMemorySaver()
        shared = make_saver() if make_saver else memory
        runners: list[Runner] = []

        def make(builder: StateGraph[Any, Any, Any, Any], *, fresh: bool = False) -> Runner:
            saver: Saver = make_saver() if make_saver and fresh else shared
            runners.append(Runner(builder, saver, asynchronous=driver == "async"))
            return runners[-1]

        try:
            return [compared(entry) for entry in scenario(make)]
        finally:
            for runner in runners:
                runner.end()
