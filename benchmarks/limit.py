"""The least time that any saver on S3 needs: one round trip for each of LangGraph's calls.

Loading a thread needs one request to find the latest checkpoint (a LIST), each `put` and `put_writes` one to
store something (a PUT), and a delta channel's writes one more (a GET). LangGraph decides which of them wait
for each other. So this saver keeps everything in memory and sleeps for the latency in each call.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from langgraph.checkpoint.memory import InMemorySaver

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import CheckpointTuple


class Limit(InMemorySaver):
    """An `InMemorySaver` with a latency.

    Attributes:
        latency: Minimum duration of each call, in seconds.
    """

    latency = 0.0

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Wait, then load."""
        self._wait()
        return super().get_tuple(config)

    def put(self, *args: Any, **keywords: Any) -> RunnableConfig:
        """Wait, then store."""
        self._wait()
        return super().put(*args, **keywords)

    def put_writes(self, config: RunnableConfig, writes: Any, task_id: str, task_path: str = "") -> None:
        """Wait, then store."""
        self._wait()
        super().put_writes(config, writes, task_id, task_path)

    def get_delta_channel_history(self, **keywords: Any) -> Any:
        """Wait once, as if all writes were loaded at once, then load."""
        self._wait()
        return super().get_delta_channel_history(**keywords)

    async def aget_delta_channel_history(self, **keywords: Any) -> Any:
        """Wait, then load."""
        await self._await()
        return super().get_delta_channel_history(**keywords)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Wait, then load."""
        await self._await()
        return super().get_tuple(config)

    async def aput(self, *args: Any, **keywords: Any) -> RunnableConfig:
        """Wait, then store."""
        await self._await()
        return super().put(*args, **keywords)

    async def aput_writes(
        self, config: RunnableConfig, writes: Any, task_id: str, task_path: str = ""
    ) -> None:
        """Wait, then store."""
        await self._await()
        super().put_writes(config, writes, task_id, task_path)

    def _wait(self) -> None:
        if self.latency:
            time.sleep(self.latency)

    async def _await(self) -> None:
        if self.latency:
            await asyncio.sleep(self.latency)
