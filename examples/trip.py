"""A trip planner: an agent as a subgraph, a parallel fan-out with `Send`, and a question to a person.

    research ──► hold, hold, hold, hold ──► plan ──► approve ──► book
    (subgraph)   (in parallel)                       (interrupt) └─► release

Each step from left to right is a superstep, and after each one a checkpoint is stored. Inside a superstep,
what a task wrote is stored as soon as it finishes, so a crash loses only the tasks that were still running.
"""

import operator
from typing import Annotated, Any, Literal, TypeAlias, TypedDict

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, Send, interrupt

from examples import bookings
from examples.agent import AgentState, agent_builder


class TripRequest(MessagesState):
    """What a trip begins with."""

    travellers: int


class TripState(AgentState):
    travellers: int
    holds: Annotated[list[bookings.Hold], operator.add]  # parallel tasks add to it
    plan: str
    verdict: str


class HoldTask(TypedDict):
    """What one `hold` task is sent: its own input, not the graph's state."""

    item: str


TripGraph: TypeAlias = CompiledStateGraph[TripState, None, TripRequest, TripState]
TripBuilder: TypeAlias = StateGraph[TripState, None, TripRequest, TripState]

REQUEST: TripRequest = {"messages": [HumanMessage("A weekend in Lisbon for two, please.")], "travellers": 2}


def fan_out(state: TripState) -> list[Send]:
    """One task for each wish; they run at the same time."""
    return [Send("hold", HoldTask(item=wish)) for wish in state["wishes"]]


def hold(state: HoldTask) -> dict[str, list[bookings.Hold]]:
    return {"holds": [bookings.hold(state["item"])]}


def plan(state: TripState) -> dict[str, str]:
    each = sum(held["price"] for held in state["holds"])
    items = ", ".join(held["item"] for held in state["holds"])
    return {"plan": f"{items} for {state['travellers']}: {each * state['travellers']} EUR"}


def approve(state: TripState) -> Command[Literal["book", "release"]]:
    """Stop, and go on with the person's answer. The node runs again from its top then, so keep it cheap."""
    verdict = interrupt({"question": "Shall I book this?", "plan": state["plan"]})
    return Command(update={"verdict": verdict}, goto="book" if verdict == "yes" else "release")


def book(state: TripState) -> dict[str, list[AIMessage]]:
    references = ", ".join(held["reference"] for held in state["holds"])
    return {"messages": [AIMessage(f"Booked {state['plan']} ({references}).")]}


def release(state: TripState) -> dict[str, list[AIMessage]]:
    return {"messages": [AIMessage(f"Released {state['plan']}.")]}


def trip_graph(checkpointer: BaseCheckpointSaver[Any]) -> TripGraph:
    builder: TripBuilder = StateGraph(TripState, input_schema=TripRequest)
    builder.add_node("research", agent_builder().compile())  # a subgraph shares its parent's checkpointer
    builder.add_node("hold", hold)
    builder.add_node("plan", plan)
    builder.add_node("approve", approve)
    builder.add_node("book", book)
    builder.add_node("release", release)
    builder.add_edge(START, "research")
    builder.add_conditional_edges("research", fan_out, ["hold"])
    builder.add_edge("hold", "plan")
    builder.add_edge("plan", "approve")
    builder.add_edge("book", END)
    builder.add_edge("release", END)
    return builder.compile(checkpointer=checkpointer, name="trip")
