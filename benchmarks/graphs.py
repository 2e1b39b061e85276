"""The graphs whose turns are timed, and their inputs. They use no model and no network.

Runs in every saver's environment, so it imports LangGraph and nothing of this package.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Send
from typing_extensions import TypedDict

from benchmarks.workloads import words

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

QUESTION: Final = 100
ANSWER: Final = 400
TOOL_RESULT: Final = 1_000
TOOL_CALLS: Final = 5
SENDS: Final = 50
DOCUMENTS: Final = 5_000_000
DEPTH: Final = 100

Node = Callable[[Any], Any]
Compiled = Any
"""A compiled graph."""


def _asked() -> dict[str, Any]:
    return {"messages": [HumanMessage(_text(QUESTION))]}


def chat(saver: BaseCheckpointSaver[Any], asynchronous: bool) -> Compiled:
    """Build a chat of one node."""

    def model(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage(_text(ANSWER))]}

    builder = StateGraph(MessagesState)
    builder.add_node("model", _node(model, asynchronous))
    builder.add_edge(START, "model")
    return builder.compile(checkpointer=saver)


def subgraphs(saver: BaseCheckpointSaver[Any], asynchronous: bool) -> Compiled:
    """Build a chat of nested graphs, three deep, each with its own namespace."""

    def model(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage(_text(ANSWER))]}

    inner: Any = _node(model, asynchronous)
    for name in ("inner", "middle"):
        builder = StateGraph(MessagesState)
        builder.add_node(name, inner)
        builder.add_edge(START, name)
        inner = builder.compile()
    builder = StateGraph(MessagesState)
    builder.add_node("outer", inner)
    builder.add_edge(START, "outer")
    return builder.compile(checkpointer=saver)


def delta(saver: BaseCheckpointSaver[Any], asynchronous: bool) -> Compiled:
    """Build a chat whose messages are a delta channel. Its first turn writes to it 100 times.

    Raises:
        ImportError: This LangGraph has no delta channels.
    """
    from langgraph.channels.delta import DeltaChannel

    def extend(messages: list[AnyMessage], writes: Sequence[list[AnyMessage]]) -> list[AnyMessage]:
        return [*messages, *itertools.chain.from_iterable(writes)]

    # no snapshot of the whole channel while the turns are timed
    channel = Annotated[list[AnyMessage], DeltaChannel(extend, snapshot_frequency=100 * DEPTH)]
    schema: Any = TypedDict("schema", {"messages": channel})

    def model(state: Any) -> dict[str, Any]:
        return {"messages": [AIMessage(_text(ANSWER))]}

    def after(state: Any) -> str:
        return "model" if len(state["messages"]) < DEPTH else END

    builder = StateGraph(schema)
    builder.add_node("model", _node(model, asynchronous))
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", after, ["model", END])
    return builder.compile(checkpointer=saver)


class Documented(MessagesState):
    """The state of a chat about documents."""

    documents: str


def documents(saver: BaseCheckpointSaver[Any], asynchronous: bool) -> Compiled:
    """Build a chat of one node that loads documents in its first turn; they never change."""

    def model(state: Documented) -> dict[str, Any]:
        loaded = {} if state.get("documents") else {"documents": _text(DOCUMENTS)}
        return {"messages": [AIMessage(_text(ANSWER))], **loaded}

    builder = StateGraph(Documented)
    builder.add_node("model", _node(model, asynchronous))
    builder.add_edge(START, "model")
    return builder.compile(checkpointer=saver)


def agent(saver: BaseCheckpointSaver[Any], asynchronous: bool) -> Compiled:
    """Build an agent that calls a tool five times in sequence, and then answers."""

    def model(state: MessagesState) -> dict[str, Any]:
        messages: list[AnyMessage] = state["messages"]
        asked = max(at for at, each in enumerate(messages) if isinstance(each, HumanMessage))
        number = sum(isinstance(each, ToolMessage) for each in messages[asked:])
        if number == TOOL_CALLS:
            return {"messages": [AIMessage(_text(ANSWER))]}
        call = {"name": "look_up", "args": {"about": _text(QUESTION)}, "id": f"{asked}-{number}"}
        return {"messages": [AIMessage("", tool_calls=[call])]}

    def tools(state: MessagesState) -> dict[str, Any]:
        calls = state["messages"][-1].tool_calls  # type: ignore[union-attr]  # an AIMessage
        return {"messages": [ToolMessage(_text(TOOL_RESULT), tool_call_id=each["id"]) for each in calls]}

    def after(state: MessagesState) -> str:
        return "tools" if state["messages"][-1].tool_calls else END  # type: ignore[union-attr]  # the same

    builder = StateGraph(MessagesState)
    builder.add_node("model", _node(model, asynchronous))
    builder.add_node("tools", _node(tools, asynchronous))
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", after, ["tools", END])
    builder.add_edge("tools", "model")
    return builder.compile(checkpointer=saver)


class Results(TypedDict):
    """The state of the fan-out."""

    question: str
    results: Annotated[list[str], operator.add]


def fan_out(saver: BaseCheckpointSaver[Any], asynchronous: bool) -> Compiled:
    """Build a graph whose first node sends 50 tasks, each of which returns a result."""

    def plan(state: Results) -> dict[str, Any]:
        return {"question": state["question"]}

    def work(item: dict[str, Any]) -> dict[str, Any]:
        return {"results": [_text(QUESTION)]}

    def sends(state: Results) -> list[Send]:
        return [Send("work", {"item": item}) for item in range(SENDS)]

    builder = StateGraph(Results)
    builder.add_node("plan", _node(plan, asynchronous))
    builder.add_node("work", _node(work, asynchronous))
    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", sends, ["work"])
    return builder.compile(checkpointer=saver)


GRAPHS: Final[Mapping[str, Callable[[BaseCheckpointSaver[Any], bool], Compiled]]] = {
    "chat": chat,
    "agent": agent,
    "fan-out": fan_out,
    "documents": documents,
    "subgraphs": subgraphs,
    "delta": delta,
    "durability=sync": chat,
    "durability=exit": chat,
}
INPUTS: Final[Mapping[str, Callable[[], dict[str, Any]]]] = {
    "chat": _asked,
    "agent": _asked,
    "fan-out": lambda: {"question": _text(QUESTION)},
    "documents": _asked,
    "subgraphs": _asked,
    "delta": _asked,
    "durability=sync": _asked,
    "durability=exit": _asked,
}
DURABILITY: Final[Mapping[str, str]] = {"durability=sync": "sync", "durability=exit": "exit"}
"""Other workloads have LangGraph's default, "async"."""


@functools.cache
def _words() -> Callable[[int], str]:
    return words()


def _text(length: int) -> str:
    return _words()(length)


def _node(function: Node, asynchronous: bool) -> Any:
    """Return a node, as a coroutine function if asked for, since async graphs run others in threads."""
    if not asynchronous:
        return function

    @functools.wraps(function)
    async def node(state: Any) -> Any:
        return function(state)

    return node
