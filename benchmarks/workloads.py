"""What the savers are measured on: graphs as people write them, with made-up text, the same in every run.

Runs in every saver's environment: imports LangGraph, and nothing of this package.
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
"""Makes a text of so many characters."""


@dataclass(frozen=True, slots=True)
class Task:
    """What one run is about.

    Attributes:
        saver: Its name in `savers`.
        workload: Its name in `WORKLOADS`.
        text: Its name in `TEXTS`.
        turns: How many of them.
        endpoint_url: The server.
        bucket: The run's own.
    """

    saver: str
    workload: str
    text: str
    turns: int
    endpoint_url: str
    bucket: str

    @property
    def config(self) -> RunnableConfig:
        """The thread."""
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
    """A conversation about documents that never change; each turn adds a message.

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
