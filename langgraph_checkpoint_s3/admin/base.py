"""The base of an admin's operations: its saver, and running plans on the saver's store."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.errors import S3CheckpointError
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.plan import Plan
from langgraph_checkpoint_s3.s3.store import Store
from langgraph_checkpoint_s3.saver import S3Saver, UsesSaver, internals_of

if TYPE_CHECKING:
    from langgraph_checkpoint_s3.admin.inventory.report import Report
    from langgraph_checkpoint_s3.admin.inventory.source import Location

T = TypeVar("T")

Inventory: TypeAlias = "str | os.PathLike[str]"
"""An S3 Inventory report: `s3://bucket/key` or a path of a `manifest.json`, of its folder, or of the folder
of an inventory's reports, of which the newest is meant."""


class BaseAdmin(UsesSaver):
    """An admin without operations. Not for use by itself."""

    def __init__(self, saver: S3Saver | S3Config) -> None:
        if isinstance(saver, S3Config):
            super().__init__(S3Saver(config=saver), closes=True)
        else:
            super().__init__(saver, closes=False)

    @property
    def config(self) -> S3Config:
        """The saver's settings."""
        return self._saver.config

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._saver!r})"

    @property
    def _context(self) -> Context:
        return internals_of(self._saver).context

    @property
    def _store(self) -> Store:
        return internals_of(self._saver).store

    @contextmanager
    def _report(self, inventory: Inventory | None) -> Iterator[Report | None]:
        """Open an inventory report, if one is named."""
        if inventory is None:
            yield None
            return
        location, opening = self._opening(inventory)
        if location.bucket is None:
            report = self._run(opening, "admin.inventory")
        else:
            store = self._store.for_bucket(location.bucket)
            try:
                report = store.run(opening, "admin.inventory")
            finally:
                store.close()
        try:
            self._run(report.check_covers(), "admin.inventory")
            yield report
        finally:
            report.close()

    @asynccontextmanager
    async def _areport(self, inventory: Inventory | None) -> AsyncIterator[Report | None]:
        """`_report`, for coroutines."""
        if inventory is None:
            yield None
            return
        location, opening = self._opening(inventory)
        if location.bucket is None:
            report = await self._arun(opening, "admin.inventory")
        else:
            store = self._store.for_bucket(location.bucket)
            try:
                report = await store.arun(opening, "admin.inventory")
            finally:
                await store.aclose()
        try:
            await self._arun(report.check_covers(), "admin.inventory")
            yield report
        finally:
            await asyncio.to_thread(report.close)

    def _opening(self, inventory: Inventory) -> tuple[Location, Plan[Report]]:
        from langgraph_checkpoint_s3.admin.inventory.source import Location, open_report

        location, context = Location.of(inventory), self._context
        return location, open_report(location, self.config.bucket, context.layout.prefix, context.sizes)

    def _now(self) -> datetime:
        """Return the time by the store's clock, which is also that of `LastModified`."""
        now = self._store.saver_state.store_time()
        return datetime.fromtimestamp(now / 1_000_000_000, timezone.utc)

    def _note_error(self, error: S3CheckpointError) -> None:
        """Treat an item's error like one that ends an operation: name the bucket, drop suspect caches."""
        self._store.saver_state.failed(error)
