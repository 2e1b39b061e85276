"""Reading from another saver, with its blocking methods or its coroutines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

from langgraph_checkpoint_s3.admin.calls import call
from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.format.ids import optional_id, required_id, thread_name
from langgraph_checkpoint_s3.plans.plan import Plan

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

MOST: Final = 1_000_000
"""The limit for listings. Without one, some savers (Redis) silently stop at 10,000."""

Note: TypeAlias = Callable[[str, str, str], None]
"""Called with the thread, namespace and id of each checkpoint."""


class SourceSaver:
    """A saver that is read from.

    A listing is read to its end before the next request, since some savers hold a lock meanwhile.

    Args:
        saver: The saver. The async driver uses its coroutines if it has them, and otherwise its blocking
            methods, in a thread.
    """

    def __init__(self, saver: BaseCheckpointSaver[Any]) -> None:
        self._saver = saver
        self._blocking = False

    def read_ids(self, config: RunnableConfig | None, note: Note) -> Plan[None]:
        """List checkpoints.

        Args:
            config: The thread or namespace; `None` is all.
            note: Called for each checkpoint.
        """
        yield from call(partial(self._list, config, note), partial(self._alist, config, note))

    def read(self, config: RunnableConfig) -> Plan[CheckpointTuple | None]:
        """Read a checkpoint."""
        return (yield from call(partial(self._saver.get_tuple, config), partial(self._aget, config)))

    def _list(self, config: RunnableConfig | None, note: Note) -> None:
        count = 0
        for found in self._saver.list(config, limit=MOST):
            note(*_place(found))
            count += 1
        _check(count)

    async def _alist(self, config: RunnableConfig | None, note: Note) -> None:
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
            await asyncio.to_thread(self._list, config, note)
        _check(count)

    async def _aget(self, config: RunnableConfig) -> CheckpointTuple | None:
        if self._blocking:
            return await asyncio.to_thread(self._saver.get_tuple, config)
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
