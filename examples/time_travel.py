"""Go back in time: look at a thread's history, and take another way from an earlier point.

`python -m examples.time_travel` takes its bucket from S3_BUCKET_NAME. Nothing is lost by it: the first way
stays in the history, beside the fork.
"""

import uuid

from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig

from examples.quickstart import builder
from langgraph_checkpoint_s3 import S3Saver


def main() -> None:
    with S3Saver.from_env() as saver:
        graph = builder.compile(checkpointer=saver)
        config: RunnableConfig = {"configurable": {"thread_id": f"time-travel-{uuid.uuid4().hex[:8]}"}}
        for text in ("My name is Ada.", "I live in London."):
            graph.invoke({"messages": [HumanMessage(text)]}, config)

        # The newest state is first. Where nothing is next, a turn has ended.
        ended = [state for state in graph.get_state_history(config) if not state.next]
        for state in reversed(ended):
            print(f"after {len(state.values['messages'])} messages: {state.values['messages'][-2].content}")

        # A state's config names its checkpoint: whoever goes on from there forks the thread.
        fork = graph.invoke({"messages": [HumanMessage("I live in Paris.")]}, ended[-1].config)
        print("the fork:", " ".join(message.content for message in fork["messages"][::2]))

        # The thread's latest state is the fork's now. The first way is there by its checkpoint.
        first = graph.get_state(ended[0].config).values
        print("the first way:", " ".join(message.content for message in first["messages"][::2]))
        ends = [state for state in graph.get_state_history(config) if not state.next]
        print("states at which a turn ended:", len(ends))


if __name__ == "__main__":
    main()
