"""Stop and ask a person; the answer may come days later, to another process on another machine.

    python -m examples.approval                 asks, prints the thread's name, and ends
    python -m examples.approval THREAD yes      goes on from there

The bucket is taken from S3_BUCKET_NAME.
"""

import sys
import uuid
from typing import TypeAlias, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt

from langgraph_checkpoint_s3 import S3Saver


class Payment(TypedDict):
    amount: int
    status: str


PaymentBuilder: TypeAlias = StateGraph[Payment, None, Payment, Payment]


def approve(state: Payment) -> dict[str, str]:
    answer = interrupt(f"Pay {state['amount']} EUR?")  # what `Command(resume=…)` brings
    return {"status": "paid" if answer == "yes" else "refused"}


builder: PaymentBuilder = StateGraph(Payment)
builder.add_node("approve", approve)
builder.add_edge(START, "approve")


def main(arguments: list[str]) -> None:
    if len(arguments) not in (0, 2):
        sys.exit(__doc__)
    with S3Saver.from_env() as saver:
        graph = builder.compile(checkpointer=saver)
        if not arguments:
            thread = f"payment-{uuid.uuid4().hex[:8]}"
            config: RunnableConfig = {"configurable": {"thread_id": thread}}
            stopped = graph.invoke({"amount": 540, "status": "open"}, config)
            print(stopped["__interrupt__"][0].value)
            print(f"Answer with: python -m examples.approval {thread} yes")
        else:
            thread, answer = arguments
            done = graph.invoke(Command(resume=answer), {"configurable": {"thread_id": thread}})
            print(f"{done['amount']} EUR: {done['status']}")


if __name__ == "__main__":
    main(sys.argv[1:])
