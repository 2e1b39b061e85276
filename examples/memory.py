"""An agent that remembers a user across threads: what is learned in one conversation is known in the next.

`python -m examples.memory` runs two conversations, each in a thread of its own. The bucket is taken from
S3_BUCKET_NAME. Memories are searched by a toy embedding that counts letters; use a model's in its place.
"""

import uuid
from collections.abc import Sequence
from typing import TypeAlias

from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.store.base import BaseStore, IndexConfig

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.memory import S3Store

ChatBuilder: TypeAlias = StateGraph[MessagesState, None, MessagesState, MessagesState]


def embed(texts: Sequence[str]) -> list[list[float]]:
    return [[float(text.lower().count(letter)) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts]


def chat(state: MessagesState, config: RunnableConfig, store: BaseStore) -> dict[str, list[AIMessage]]:
    memories = ("users", config["configurable"]["user"], "facts")
    said = str(state["messages"][-1].content)
    if said.startswith("I "):
        store.put(memories, str(uuid.uuid4()), {"text": said})
        return {"messages": [AIMessage("I'll remember that.")]}
    best = store.search(memories, query=said, limit=1)
    answer = f"You told me: {best[0].value['text']}" if best else "I know nothing about you yet."
    return {"messages": [AIMessage(answer)]}


builder: ChatBuilder = StateGraph(MessagesState)
builder.add_node("chat", chat)
builder.add_edge(START, "chat")


def main() -> None:
    user = f"user-{uuid.uuid4().hex[:8]}"
    with S3Saver.from_env() as saver:
        index: IndexConfig = {"dims": 26, "embed": embed, "fields": ["text"]}
        store = S3Store(saver=saver, index=index)
        graph = builder.compile(checkpointer=saver, store=store)
        for thread, said in (
            ("monday", "What do I eat?"),
            ("monday", "I eat no meat."),
            ("monday", "I live in Turin."),
            ("friday", "What do I eat?"),
        ):
            config: RunnableConfig = {"configurable": {"thread_id": f"{user}/{thread}", "user": user}}
            answer = graph.invoke({"messages": [HumanMessage(said)]}, config)["messages"][-1]
            print(f"{thread}: {said} {answer.content}")


if __name__ == "__main__":
    main()
