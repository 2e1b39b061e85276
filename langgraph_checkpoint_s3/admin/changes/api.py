"""Following what is written: for syncs and audits."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from langgraph_checkpoint_s3.admin.base import BaseAdmin
from langgraph_checkpoint_s3.admin.changes.changes import LEAST_SETTLE, Changes, changes, cursor_of
from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.format.ids import thread_name
from langgraph_checkpoint_s3.plans.plan import Plan

_SETTLE = timedelta(minutes=1)


class Following(BaseAdmin):
    """Following what is written: for syncs and audits."""

    def changes(
        self,
        since: str | datetime | timedelta | None = None,
        *,
        thread_id: str | None = None,
        settle: timedelta = _SETTLE,
    ) -> Changes:
        """List the objects of threads that were written since a time, or since the call before.

            found = admin.changes(timedelta(days=1))
            later = admin.changes(found.cursor)  # what came since then

        Calls that pass on the cursor miss nothing, and tell of each write once: a call stops at `until`, a
        minute before its listing by the store's clock, and the next one begins there. (An object that was
        being uploaded in parts is told of when it shows, out of order and perhaps twice.) Times are S3's
        `LastModified`. A copy, a restored or rewritten object is a write; deletions aren't told of.

        Takes one LIST per 1,000 objects of the prefix, whatever `since` is, and one per 1,000 unfinished
        uploads. Nothing is read. Memory grows with what is found.

        Needs `s3:ListBucket` and `s3:ListBucketMultipartUploads`.

        Args:
            since: The cursor of the call before; a time with a time zone (a `datetime`, or text in ISO 8601);
                or how long ago. By default everything.
            thread_id: The thread. By default all of them.
            settle: How long before the listing to stop, at least 5 seconds. A write that takes longer than
                this, from its beginning on, may be missed.

        Returns:
            The objects, by time and key, and the cursor.

        Raises:
            InvalidConfigError: `since` is no cursor and no past time with a time zone, or `settle` is too
                short. Nothing was sent.
            InvalidKeyError: The thread_id is empty. Nothing was sent.
            CorruptObjectError: A thread's folder has a key that no saver wrote.
            S3CheckpointError: The store can't be reached, refuses, or has no such bucket.
        """
        return self._run(self._changes(since, thread_id, settle), "admin.changes")

    async def achanges(
        self,
        since: str | datetime | timedelta | None = None,
        *,
        thread_id: str | None = None,
        settle: timedelta = _SETTLE,
    ) -> Changes:
        """`changes`, as a coroutine."""
        return await self._arun(self._changes(since, thread_id, settle), "admin.changes")

    def _changes(self, since: object, thread_id: str | None, settle: Any) -> Plan[Changes]:
        if not isinstance(settle, timedelta) or settle < LEAST_SETTLE:
            raise InvalidConfigError(f"settle must be a timedelta of at least 5 seconds, not {settle!r}.")
        cursor_of(since, self._now())
        name = None if thread_id is None else thread_name(thread_id)
        return changes(self._context, since, name, settle, self._now)
