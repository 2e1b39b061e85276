"""When to save: at each step, or once a run, and what that saves.

`python -m examples.durability` takes its bucket from S3_BUCKET_NAME. With `durability="exit"` LangGraph
stores the state when a run ends (or fails, or stops at an interrupt): fewer requests, but a process that
is killed in mid-run begins that run again. "async", the default, and "sync" store every step.
"""

import uuid
from typing import Literal, TypeAlias, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph

from langgraph_checkpoint_s3 import S3Saver


class Count(TypedDict):
    steps: int


CountBuilder: TypeAlias = StateGraph[Count, None, Count, Count]


def step(state: Count) -> Count:
    return {"steps": state["steps"] + 1}


builder: CountBuilder = StateGraph(Count)
names = ["first", "second", "third", "fourth"]
for name, before in zip(names, [START, *names], strict=False):
    builder.add_node(name, step)
    builder.add_edge(before, name)


def run(durability: Literal["sync", "async", "exit"]) -> None:
    with S3Saver.from_env() as saver:
        graph = builder.compile(checkpointer=saver)
        config: RunnableConfig = {"configurable": {"thread_id": f"durability-{uuid.uuid4().hex[:8]}"}}
        done = graph.invoke({"steps": 0}, config, durability=durability)
        puts = saver.stats().requests["PutObject"]
        checkpoints = len(list(graph.get_state_history(config)))
        print(f"{durability}: {done['steps']} steps, {checkpoints} checkpoints, {puts} PUTs")


def main() -> None:
    run("sync")
    run("exit")


if __name__ == "__main__":
    main()
