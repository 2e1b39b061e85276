"""Nodes of the tests' graphs that run beside one another."""

from __future__ import annotations

from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver

from tests.support.hanging import until


def wait_for_write(config: RunnableConfig, wanted: tuple[str, Any]) -> None:
    """Wait until a task beside this one has stored its write, or LangGraph cancels it when this one fails.

    Args:
        config: The waiting task's.
        wanted: A channel and a value.
    """
    place = config["configurable"]
    saver: BaseCheckpointSaver[Any] = place["__pregel_checkpointer"]

    def written() -> bool:
        found = saver.get_tuple({"configurable": {"thread_id": place["thread_id"], "checkpoint_ns": ""}})
        return found is not None and wanted in [write[1:] for write in found.pending_writes or ()]

    until(written, f"a task writes {wanted}")
