"""The graph that `langgraph dev` serves: it numbers its answers, so that they show what it remembers."""

from __future__ import annotations

from typing import Any

from langgraph.graph import START, MessagesState, StateGraph


def model(state: MessagesState) -> dict[str, Any]:
    return {"messages": [("ai", f"message {len(state['messages'])}")]}


builder = StateGraph(MessagesState)
builder.add_node("model", model)
builder.add_edge(START, "model")
graph = builder.compile()
