"""A driver that runs the saver's plans on a dict, to measure this package's own work."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from datetime import datetime, timezone
from typing import Any, Final, TypeVar

from langchain_core.messages import AIMessage
from langgraph.checkpoint.base import Checkpoint, empty_checkpoint

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.format.pieces import joined
from langgraph_checkpoint_s3.plans import put
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.s3.requests import (
    Attempted,
    Body,
    Entry,
    GetObject,
    HeadObject,
    ListObjects,
    NotFound,
    Page,
    PutObject,
    Request,
    Stored,
    Tick,
)
from langgraph_checkpoint_s3.saver import internals_of

T = TypeVar("T")

_NOW: Final = datetime(2026, 1, 1, tzinfo=timezone.utc)
_ETAG: Final = '"0"'


class Instant:
    """A bucket that supports the requests of `put`, `put_writes` and `get_tuple`, and ignores conditions.

    Args:
        cached: Whether bodies are cached as in the saver.
        settings: Settings of the saver.

    Attributes:
        objects: Stored bodies by key.
        saver: The saver, whose clients are never created.
    """

    def __init__(self, *, cached: bool = False, **settings: Any) -> None:
        self.objects: dict[str, bytes] = {}
        self.saver = S3Saver("bucket", **settings)
        self._cached = cached

    @property
    def context(self) -> Context:
        """Settings and caches of the saver, for plans."""
        return internals_of(self.saver).context

    @property
    def now(self) -> Callable[[], int]:
        """The saver's clock."""
        return internals_of(self.saver).now

    def run(self, plan: Generator[Sequence[Request[Any]], list[Any], T]) -> T:
        """Run a plan to its end."""
        try:
            batch = next(plan)
            while True:
                batch = plan.send([self._answer(request) for request in batch])
        except StopIteration as stop:
            found: T = stop.value
            return found

    def _answer(self, request: Request[Any]) -> Any:
        match request:
            case PutObject(key, body):
                self.objects[key] = joined(body)
                return Stored(_ETAG)
            case HeadObject():
                return Stored(_ETAG)
            case Tick():
                return 0.0
            case Attempted(inner):
                return self._answer(inner)
            case GetObject(key) if key not in self.objects:
                return NotFound()
            case GetObject():
                return self._get(request)
            case ListObjects(prefix):
                found = [
                    Entry(key, len(self.objects[key]), _ETAG, _NOW)
                    for key in sorted(self.objects)
                    if key.startswith(prefix)
                ]
                return Page(tuple(found), (), None)
        raise AssertionError(f"{type(request).__name__} isn't known here")

    def _get(self, request: GetObject) -> Body:
        bodies = self.context.parent_cache.bodies
        known = bodies.recall(request) if self._cached else None
        if known is None:
            whole = self.objects[request.key]
            end = None if request.length is None else request.first + request.length
            known = Body(whole[request.first : end], _ETAG, len(whole))
            if self._cached:
                bodies.keep(request.key, known, request.first, request.length)
        return known


def checkpoint_of(value: Any, version: int) -> Checkpoint:
    """Return a checkpoint of one channel."""
    return {
        **empty_checkpoint(),
        "channel_values": {"messages": value},
        "channel_versions": {"messages": f"{version:032}.0"},
    }


def write_thread(thread: str, count: int) -> tuple[list[str], dict[str, bytes]]:
    """Write a thread of similar checkpoints, each with a task's writes.

    Returns:
        The ids, oldest first, and the objects by key.
    """
    bucket = Instant(borrow=False)
    ids: list[str] = []
    config: dict[str, Any] = {"thread_id": thread, "checkpoint_ns": ""}
    message = AIMessage("An answer of some length. " * 15, id="answer")
    for step in range(count):
        checkpoint = checkpoint_of([message], step + 1)
        now = bucket.now
        where = bucket.run(
            put.put(
                bucket.context,
                {"configurable": {**config, "checkpoint_id": ids[-1] if ids else None}},
                checkpoint,
                {"source": "loop", "step": step, "parents": {}},
                ["messages"],
                now(),
            )
        )
        bucket.run(put.put_task(bucket.context, where, [("messages", message)], f"task-{step}", "", now()))
        ids.append(checkpoint["id"])
    return ids, bucket.objects
