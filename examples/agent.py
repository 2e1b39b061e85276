"""An agent with tools: the model asks for tool calls, the tools answer, until the model has what it needs.

`python -m examples.agent` runs it on S3. In `examples.trip` the same graph is a subgraph of a larger one.
"""

import uuid
from typing import Annotated, TypeAlias

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import InjectedToolCallId, tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import Command

from examples.scripted_model import ScriptedModel, calls
from langgraph_checkpoint_s3 import S3Saver


class AgentState(MessagesState):
    wishes: list[str]


AgentBuilder: TypeAlias = StateGraph[AgentState, None, AgentState, AgentState]


@tool
def weather(city: str) -> str:
    """What the weather will be like at the weekend."""
    return f"{city}: sunny, 24 degrees, a light wind"


@tool
def offers(city: str) -> list[str]:
    """What can be booked there."""
    return ["train", "hotel", "ferry", "dinner", "helicopter"]


@tool
def shortlist(items: list[str], tool_call_id: Annotated[str, InjectedToolCallId]) -> Command[str]:
    """Settle on what to book. A tool that returns a `Command` writes to the graph's state."""
    answer = ToolMessage(f"{len(items)} items on the list", tool_call_id=tool_call_id)
    return Command(update={"wishes": items, "messages": [answer]})


TOOLS = [weather, offers, shortlist]

SCRIPT = [
    calls(("weather", {"city": "Lisbon"}), ("offers", {"city": "Lisbon"})),
    calls(("shortlist", {"items": ["train", "hotel", "ferry", "dinner"]})),
    AIMessage("It will be sunny in Lisbon: take the train, the hotel, the ferry and the dinner."),
]

model = ScriptedModel(script=SCRIPT).bind_tools(TOOLS)


def think(state: AgentState) -> dict[str, list[AIMessage]]:
    return {"messages": [model.invoke(state["messages"])]}


def agent_builder() -> AgentBuilder:
    builder: AgentBuilder = StateGraph(AgentState)
    builder.add_node("think", think)
    builder.add_node("tools", ToolNode(TOOLS))
    builder.add_edge(START, "think")
    builder.add_conditional_edges("think", tools_condition)  # to "tools", or to the end
    builder.add_edge("tools", "think")
    return builder


def main() -> None:
    with S3Saver.from_env() as saver:
        graph = agent_builder().compile(checkpointer=saver)
        config: RunnableConfig = {"configurable": {"thread_id": f"agent-{uuid.uuid4().hex[:8]}"}}
        graph.invoke({"messages": [HumanMessage("A weekend in Lisbon, please.")], "wishes": []}, config)
        for message in graph.get_state(config).values["messages"]:
            message.pretty_print()


if __name__ == "__main__":
    main()
