"""Another saver as a source: what is read of it, blocking or async, whatever it offers of the two."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.format.ids import optional_id, required_id, thread_name

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

MOST: Final = 1_000_000
"""The most checkpoints to ask for. Without a limit, some savers (Redis) stop at 10,000 without a word."""


class Source:
    """A saver that is read from.

    A listing is read to its end before anything else is: some savers hold a lock meanwhile.

    Args:
        saver: The saver. For the async methods, its own coroutines are used if it has them, and
            otherwise its blocking methods, in a thread.
    """

    def __init__(self, saver: BaseCheckpointSaver[Any]) -> None:
        self._saver = saver
        self._blocking = False

    def list(self, config: RunnableConfig | None, note: Callable[[str, str, str], None]) -> None:
        """List checkpoints.

        Args:
            config: Which ones; `None` are all.
            note: Is told the thread, namespace and id of each.

        Raises:
            InvalidConfigError: There are too many to be sure that none is left out.
        """
        count = 0
        for found in self._saver.list(config, limit=MOST):
            note(*_place(found))
            count += 1
        _check(count)

    async def alist(self, config: RunnableConfig | None, note: Callable[[str, str, str], None]) -> None:
        """`list`, as a coroutine."""
        count = 0
        if not self._blocking:
            try:
                async for found in self._saver.alist(config, limit=MOST):
                    note(*_place(found))
                    count += 1
            except NotImplementedError:
                if count:
                    raise
                self._blocking = True
        if self._blocking:
            await asyncio.to_thread(self.list, config, note)
        _check(count)

    def get(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Read a checkpoint."""
        return self._saver.get_tuple(config)

    async def aget(self, config: RunnableConfig) -> CheckpointTuple | None:
        """`get`, as a coroutine."""
        if self._blocking:
            return await asyncio.to_thread(self.get, config)
        return await self._saver.aget_tuple(config)


def _place(found: CheckpointTuple) -> tuple[str, str, str]:
    configurable: dict[str, Any] = found.config["configurable"]
    return (
        thread_name(configurable["thread_id"]),
        optional_id(configurable.get("checkpoint_ns"), "checkpoint_ns") or "",
        required_id(configurable["checkpoint_id"]),
    )


def _check(count: int) -> None:
    if count >= MOST:
        raise InvalidConfigError(
            f"The source lists {MOST:,} checkpoints or more at once, too many to be sure that none is left "
            "out; pass thread_ids, a part of them at a time."
        )
