"""Graphs whose every step has a side effect, and how a worker carries one to its end from wherever it is.

An effect is told by its label, which no other step of the run has, and by the task that has it.
"""

from __future__ import annotations

import asyncio
import itertools
import operator
import random
from collections.abc import Callable
from typing import Annotated, Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt
from typing_extensions import TypedDict

from tests.contract.support import MIB, noise

Graph = StateGraph[Any, Any, Any, Any]
Effect = Callable[[str, RunnableConfig], None]
Build = Callable[[Effect], Graph]

REQUEST = 7


class State(TypedDict, total=False):
    request: int
    log: Annotated[list[str], operator.add]
    inner: list[str]
    raw: bytes


def step(effect: Effect, label: str, log: str = "log") -> Callable[..., Any]:
    """A node that does one thing."""

    def node(state: State, config: RunnableConfig) -> Any:
        effect(label, config)
        return {log: [f"{label} of {state['request']}"]}

    return node


def question(effect: Effect, label: str, log: str = "log") -> Callable[..., Any]:
    """A node that asks, and does what it does once it is answered."""

    def node(state: State, config: RunnableConfig) -> Any:
        said = interrupt(f"{label}?")
        effect(label, config)
        return {log: [f"{label}: {said}"]}

    return node


def in_a_row(**nodes: Any) -> Graph:
    builder = StateGraph(State)
    for name, node in nodes.items():
        builder.add_node(name, node)
    names = [START, *nodes, END]
    for one, other in itertools.pairwise(names):
        builder.add_edge(one, other)
    return builder


class Part(TypedDict):
    round: str
    number: int
    request: int


def part(effect: Effect) -> Callable[..., Any]:
    """A node that does one of many things."""

    def node(job: Part, config: RunnableConfig) -> Any:
        label = f"{job['round']}-{job['number']}"
        effect(label, config)
        return {"log": [f"{label} of {job['request']}"]}

    return node


def fan_out(effect: Effect) -> Graph:
    """Eight at once, a question, and eight more."""

    def send(round_name: str) -> Callable[[State], list[Send]]:
        return lambda state: [
            Send(f"work-{round_name}", {"round": round_name, "number": number, "request": state["request"]})
            for number in range(8)
        ]

    builder = StateGraph(State)
    builder.add_node("plan", step(effect, "plan"))
    builder.add_node("ask", question(effect, "ask"))
    builder.add_node("end", step(effect, "end"))
    for name in ("one", "two"):
        builder.add_node(f"work-{name}", part(effect))
    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", send("one"), ["work-one"])
    builder.add_edge("work-one", "ask")
    builder.add_conditional_edges("ask", send("two"), ["work-two"])
    builder.add_edge("work-two", "end")
    builder.add_edge("end", END)
    return builder


class Inner(TypedDict, total=False):
    request: int
    inner: Annotated[list[str], operator.add]


def nested(effect: Effect) -> Graph:
    """A graph in a graph, with steps and a question of its own."""
    inner = StateGraph(Inner)
    inner.add_node("first", step(effect, "inner first", "inner"))
    inner.add_node("ask", question(effect, "inner ask", "inner"))
    inner.add_node("left", step(effect, "inner left", "inner"))
    inner.add_node("right", step(effect, "inner right", "inner"))
    inner.add_edge(START, "first")
    inner.add_edge("first", "ask")
    inner.add_edge("ask", "left")
    inner.add_edge("ask", "right")
    return in_a_row(before=step(effect, "before"), within=inner.compile(), after=step(effect, "after"))


def large(effect: Effect) -> Graph:
    """States of several megabytes, which go in parts, as checkpoints and as what a task wrote."""

    def node(label: str, size: int) -> Callable[..., Any]:
        def make(state: State, config: RunnableConfig) -> Any:
            effect(label, config)
            # Its first half is the last one's, its second is new: some of it can be borrowed.
            kept = state.get("raw", b"")[: size // 2]
            raw = kept + noise(size - len(kept), len(label))
            return {"raw": raw, "log": [f"{label} of {state['request']}"]}

        return make

    return in_a_row(
        small=step(effect, "small"),
        six=node("six", 6 * MIB),
        ask=question(effect, "ask"),
        twelve=node("twelves", 12 * MIB),
        last=step(effect, "last"),
    )


SCENARIOS: dict[str, Build] = {"fan-out": fan_out, "nested": nested, "large": large}


def answer(asked: str) -> str:
    return f"{asked} {random.Random(asked).randrange(1000)}"


def carry(
    builder: Graph,
    saver: BaseCheckpointSaver[Any],
    thread: str,
    *,
    asynchronous: bool,
    durability: Any,
    ready: Callable[[], None] = lambda: None,
) -> Any:
    """Run a graph to its end, from wherever its thread is; the state that it ends with.

    Calls `ready` once the first request was answered, and clients are made.
    """
    config: RunnableConfig = {"configurable": {"thread_id": thread}}
    graph = builder.compile(checkpointer=saver)
    loop = asyncio.new_event_loop() if asynchronous else None

    def get_state() -> Any:
        return loop.run_until_complete(graph.aget_state(config)) if loop else graph.get_state(config)

    try:
        state = get_state()
        ready()
        while True:
            value: Any = None
            if state.metadata is None:
                value = {"request": REQUEST, "log": []}
            elif state.interrupts:
                # By the question's id: an answer never goes to another question.
                value = Command(resume={asked.id: answer(asked.value) for asked in state.interrupts})
            elif not state.tasks:
                # Not `next`: it leaves out what has written its part, of a step that isn't stored yet.
                return state.values
            if loop:
                loop.run_until_complete(graph.ainvoke(value, config, durability=durability))
            else:
                graph.invoke(value, config, durability=durability)
            state = get_state()
    finally:
        if loop:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()
