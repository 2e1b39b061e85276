"""The graph that `langgraph dev` serves: it numbers its answers, so that they show what it remembers."""

from __future__ import annotations

from typing import Any

from langgraph.graph import START, MessagesState, StateGraph
from langgraph.store.base import BaseStore


def model(state: MessagesState, *, store: BaseStore) -> dict[str, Any]:
    store.put(("texts",), str(state["messages"][-1].content), {"number": len(state["messages"])})
    return {"messages": [("ai", f"message {len(state['messages'])}")]}


builder = StateGraph(MessagesState)
builder.add_node("model", model)
builder.add_edge(START, "model")
graph = builder.compile()
