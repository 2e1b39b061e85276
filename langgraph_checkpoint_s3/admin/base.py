"""The base of an admin's operations: its saver, and running plans on the saver's store."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TypeVar

from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.errors import S3CheckpointError
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.plan import Plan
from langgraph_checkpoint_s3.s3.store import Store
from langgraph_checkpoint_s3.saver import Closing, S3Saver, internals_of

T = TypeVar("T")


class BaseAdmin(Closing):
    """An admin without operations. Not for use by itself."""

    def __init__(self, saver: S3Saver | S3Config) -> None:
        self._own = isinstance(saver, S3Config)
        self._saver = S3Saver(config=saver) if isinstance(saver, S3Config) else saver

    @property
    def saver(self) -> S3Saver:
        """The saver whose bucket and prefix are administered."""
        return self._saver

    @property
    def config(self) -> S3Config:
        """The saver's settings."""
        return self._saver.config

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._saver!r})"

    def close(self) -> None:
        """Close the saver's connections, if the admin made the saver from an `S3Config`."""
        if self._own:
            self._saver.close()

    async def aclose(self) -> None:
        """`close`, as a coroutine."""
        if self._own:
            await self._saver.aclose()

    @property
    def _context(self) -> Context:
        return internals_of(self._saver).context

    @property
    def _store(self) -> Store:
        return internals_of(self._saver).store

    def _run(self, plan: Plan[T], operation: str) -> T:
        return self._store.run(plan, operation)

    async def _arun(self, plan: Plan[T], operation: str) -> T:
        return await self._store.arun(plan, operation)

    def _now(self) -> datetime:
        """Return the time by the store's clock, which is also that of `LastModified`."""
        now = self._store.saver_state.store_time()
        return datetime.fromtimestamp(now / 1_000_000_000, timezone.utc)

    def _note_error(self, error: S3CheckpointError) -> None:
        """Treat an item's error like one that ends an operation: name the bucket, drop suspect caches."""
        self._store.saver_state.failed(error)
