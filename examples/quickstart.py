"""A chat that remembers: two calls on one thread, and the second one knows of the first.

`python -m examples.quickstart` takes its bucket from S3_BUCKET_NAME. Run it twice: the thread goes on.
"""

from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, MessagesState, StateGraph

from langgraph_checkpoint_s3 import S3Saver


def reply(state: MessagesState) -> dict[str, list[AIMessage]]:
    """Stands in for a chat model."""
    said = [str(message.content) for message in state["messages"] if message.type == "human"]
    return {"messages": [AIMessage(f"You have told me {len(said)} things, first: {said[0]}")]}


builder: StateGraph[MessagesState, None, MessagesState, MessagesState] = StateGraph(MessagesState)
builder.add_node("reply", reply)
builder.add_edge(START, "reply")


def main() -> None:
    with S3Saver.from_env() as saver:
        graph = builder.compile(checkpointer=saver)
        config: RunnableConfig = {"configurable": {"thread_id": "quickstart"}}
        for text in ("My name is Ada.", "What is my name?"):
            answer = graph.invoke({"messages": [HumanMessage(text)]}, config)
            print(answer["messages"][-1].content)


if __name__ == "__main__":
    main()
