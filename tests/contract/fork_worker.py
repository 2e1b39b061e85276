"""A process that reads a thread, waits until the others have done so too, and then goes on with it."""

from __future__ import annotations

import asyncio
import json
import operator
import sys
from typing import Annotated, Any

from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from langgraph_checkpoint_s3 import S3Saver
from tests.contract.support import at


class State(TypedDict):
    log: Annotated[list[str], operator.add]


def two_steps(name: str) -> StateGraph[Any, Any, Any, Any]:
    """A graph that says in its state who has run it."""
    builder = StateGraph(State)
    builder.add_node("one", lambda state: {"log": [f"{name} one"]})
    builder.add_node("two", lambda state: {"log": [f"{name} two"]})
    builder.add_edge(START, "one")
    builder.add_edge("one", "two")
    builder.add_edge("two", END)
    return builder


class Meeting(S3Saver):
    """A saver that waits for a word after it has read, and remembers what it has put."""

    made: list[tuple[str, str]]

    def get_tuple(self, config: Any) -> Any:
        return _meet(super().get_tuple(config))

    async def aget_tuple(self, config: Any) -> Any:
        return _meet(await super().aget_tuple(config))

    def put(self, config: Any, checkpoint: Any, *more: Any) -> Any:
        self.made.append((checkpoint["id"], config["configurable"]["checkpoint_id"]))
        return super().put(config, checkpoint, *more)

    async def aput(self, config: Any, checkpoint: Any, *more: Any) -> Any:
        self.made.append((checkpoint["id"], config["configurable"]["checkpoint_id"]))
        return await super().aput(config, checkpoint, *more)


def _meet(found: Any) -> Any:
    print(found.checkpoint["id"], flush=True)
    assert sys.stdin.readline() == "go on\n"
    return found


def main(bucket: str, url: str, region: str, name: str, driver: str) -> None:
    saver = Meeting(bucket, endpoint_url=url, region=region)
    saver.made = []
    graph = two_steps(name).compile(checkpointer=saver)

    async def run() -> None:
        async with saver:
            await graph.ainvoke({"log": [name]}, at(), durability="sync")

    if driver == "async":
        asyncio.run(run())
    else:
        with saver:
            graph.invoke({"log": [name]}, at(), durability="sync")
    print(json.dumps(saver.made), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
