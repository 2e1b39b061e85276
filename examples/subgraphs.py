"""A subgraph that asks a question: its own state is stored in a namespace of its own, and goes on from there.

`python -m examples.subgraphs` takes its bucket from S3_BUCKET_NAME.
"""

import uuid
from typing import TypeAlias, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt

from langgraph_checkpoint_s3 import S3Saver


class Order(TypedDict, total=False):
    item: str
    address: str


class Delivery(TypedDict, total=False):
    address: str
    carrier: str


OrderBuilder: TypeAlias = StateGraph[Order, None, Order, Order]
DeliveryBuilder: TypeAlias = StateGraph[Delivery, None, Delivery, Delivery]


def choose(state: Delivery) -> Delivery:
    return {"carrier": "the train"}  # the subgraph's own: the graph around it doesn't see it


def ask(state: Delivery) -> Delivery:
    return {"address": interrupt(f"Where shall {state['carrier']} bring it?")}


delivery: DeliveryBuilder = StateGraph(Delivery)
delivery.add_node("choose", choose)
delivery.add_node("ask", ask)
delivery.add_edge(START, "choose")
delivery.add_edge("choose", "ask")

order: OrderBuilder = StateGraph(Order)
order.add_node("deliver", delivery.compile())  # without a checkpointer: it takes the outer graph's
order.add_edge(START, "deliver")


def main() -> None:
    with S3Saver.from_env() as saver:
        graph = order.compile(checkpointer=saver)
        thread = f"order-{uuid.uuid4().hex[:8]}"
        config: RunnableConfig = {"configurable": {"thread_id": thread}}
        stopped = graph.invoke({"item": "a lamp"}, config)
        print(stopped["__interrupt__"][0].value)

        inner = graph.get_state(config, subgraphs=True).tasks[0].state
        assert inner is not None
        assert not isinstance(inner, dict)
        print("the subgraph has:", inner.values)

        done = graph.invoke(Command(resume="Lisbon"), config)
        print(f"{done['item']} goes to {done['address']}")

        found = saver.list({"configurable": {"thread_id": thread}})  # of all namespaces
        namespaces = {checkpoint.config["configurable"]["checkpoint_ns"] for checkpoint in found}
        print("namespaces:", sorted(name.partition(":")[0] or "(the graph itself)" for name in namespaces))


if __name__ == "__main__":
    main()
