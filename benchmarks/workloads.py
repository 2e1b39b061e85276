"""Conversations with made-up text, the same in every run.

Runs in every saver's environment, so it imports LangGraph and nothing of this package.
"""

from __future__ import annotations

import base64
import random
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from langgraph.graph import START, MessagesState, StateGraph

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import BaseCheckpointSaver

DOCUMENTS: Final = 100_000
MESSAGE: Final = 1_000

Text = Callable[[int], str]
"""Returns a text of the given length."""


@dataclass(frozen=True, slots=True)
class Task:
    """One run.

    Attributes:
        saver: Name of the saver.
        workload: Key of `WORKLOADS`.
        text: Key of `TEXTS`.
        turns: Number of turns.
        endpoint_url: URL of the server.
        bucket: A bucket for this run only.
    """

    saver: str
    workload: str
    text: str
    turns: int
    endpoint_url: str
    bucket: str

    @property
    def config(self) -> RunnableConfig:
        """The config of the thread."""
        return {"configurable": {"thread_id": "conversation"}}


def words(seed: int = 0) -> Text:
    """Texts of 5,000 made-up words, which compress to about a half."""
    chance = random.Random(seed)
    letters = string.ascii_lowercase
    known = ["".join(chance.choices(letters, k=chance.randrange(2, 11))) for _ in range(5000)]

    def text(length: int) -> str:
        return " ".join(chance.choices(known, k=length // 3 + 1))[:length]

    return text


def noise(seed: int = 0) -> Text:
    """Random base64, of which nothing but its own quarter of redundancy can be compressed away."""
    chance = random.Random(seed)

    def text(length: int) -> str:
        return base64.b64encode(chance.randbytes(length)).decode()[:length]

    return text


TEXTS: Final[Mapping[str, Callable[[], Text]]] = {"words": words, "random": noise}


def conversation(saver: BaseCheckpointSaver[Any], task: Task) -> dict[str, Any]:
    """Play a conversation about documents that never change; each turn adds a message.

    Returns:
        The last state.
    """
    text = TEXTS[task.text]()

    class State(MessagesState):
        documents: str

    def model(state: State) -> dict[str, Any]:
        return {"messages": [("ai", text(MESSAGE))]}

    builder = StateGraph(State)
    builder.add_node("model", model)
    builder.add_edge(START, "model")
    graph = builder.compile(checkpointer=saver)
    inputs: Any = {"messages": [], "documents": text(DOCUMENTS)}
    state: dict[str, Any] = {}
    for _ in range(task.turns):
        state = graph.invoke(inputs, task.config)
        inputs = {"messages": []}
    return state


WORKLOADS: Final[Mapping[str, Callable[[BaseCheckpointSaver[Any], Task], dict[str, Any]]]] = {
    "conversation": conversation,
}
