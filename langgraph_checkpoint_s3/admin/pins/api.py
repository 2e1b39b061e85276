"""Public methods for pinned threads."""

from __future__ import annotations

from langgraph_checkpoint_s3.admin.base import BaseAdmin
from langgraph_checkpoint_s3.admin.usage.threads import name_of_folder
from langgraph_checkpoint_s3.format.ids import thread_name
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.pins import Pinned, set_pinned
from langgraph_checkpoint_s3.plans.plan import Plan, gather
from langgraph_checkpoint_s3.plans.scan import pinned_folders


class Pins(BaseAdmin):
    """Operations of `S3Admin` on pinned threads."""

    def pin_thread(self, thread_id: str) -> Pinned:
        """Keep a thread for ever: take it out of the rules of its retention class.

            admin.pin_thread("customer-42")

        A mark is written first, which savers with `retention` read when they load a checkpoint: what they
        write from then on is tagged `langgraph-retention=pinned`, for which there is no rule. Then all of the
        thread's objects get that tag, until a listing shows none that is new. Other tags stay, and so does
        each object's age.

        A run that is under way learns of it when it loads the thread the next time. What it writes until
        then has the tag of its class. So pin a thread between runs, or under its `lease`, or pin it again
        afterwards: that tags what lacks it. The same completes a call that was interrupted. A thread without
        objects can be pinned, too.

        `prune_idle` passes over pinned threads; `prune_older_than` and `prune_threads` do unless they are
        named. Other calls delete from pinned threads, too: `delete_thread`, `delete_for_runs`, `prune`,
        `purge_thread`, and a put with `keep_last`. So do lifecycle rules without the tag
        `langgraph-retention`, of which `check()` warns.

        Needs `s3:ListBucket`, `s3:GetObject`, `s3:PutObject`, `s3:GetObjectTagging` and
        `s3:PutObjectTagging`. Costs two LISTs per 1,000 objects and one more, a GET and a PUT of the mark,
        and for each object a GET, and a PUT if its tag differs.

        Args:
            thread_id: The thread.

        Returns:
            The number of its objects, and of those whose tag was changed.

        Raises:
            InvalidKeyError: The thread_id is empty or too long.
            NotSupportedError: The store has no tags. Nothing was changed.
            S3CheckpointError: The store can't be reached, refuses, or has no such bucket. Call it again.
        """
        plan = set_pinned(self._context, thread_name(thread_id), pinned=True)
        return self._run(plan, "admin.pin_thread")

    async def apin_thread(self, thread_id: str) -> Pinned:
        """`pin_thread`, as a coroutine."""
        plan = set_pinned(self._context, thread_name(thread_id), pinned=True)
        return await self._arun(plan, "admin.pin_thread")

    def unpin_thread(self, thread_id: str) -> Pinned:
        """Put a thread back under the rules of its retention class.

        The mark is deleted first. Then each checkpoint's objects get the tag of the class that it was written
        with, `default` if with none: so this also brings a thread under the rules that was written before the
        saver had `retention`. An object's age counts from when it was written: S3 deletes what is past its
        days within a day or two.

        A run that is under way goes on writing pinned objects until it loads the thread again, and an
        interrupted call leaves some pinned: call it again. Until then, old checkpoints that are still pinned
        may borrow from some that are gone, and can't be read.

        Needs `s3:ListBucket`, `s3:GetObject`, `s3:DeleteObject`, `s3:GetObjectTagging` and
        `s3:PutObjectTagging`. Costs what `pin_thread` costs, with a deletion instead of the mark's PUT.

        Args:
            thread_id: The thread, pinned or not.

        Returns:
            The number of its objects, and of those whose tag was changed.

        Raises:
            InvalidKeyError: The thread_id is empty or too long.
            NotSupportedError: The store has no tags. Nothing was changed.
            S3CheckpointError: The store can't be reached, refuses, or has no such bucket. Call it again.
        """
        plan = set_pinned(self._context, thread_name(thread_id), pinned=False)
        return self._run(plan, "admin.unpin_thread")

    async def aunpin_thread(self, thread_id: str) -> Pinned:
        """`unpin_thread`, as a coroutine."""
        plan = set_pinned(self._context, thread_name(thread_id), pinned=False)
        return await self._arun(plan, "admin.unpin_thread")

    def pinned_threads(self) -> list[str]:
        """Return the ids of all pinned threads, also of those that have no objects.

        Takes one LIST per 1,000 pinned threads. A hashed name is read from one of the thread's objects: a
        LIST and a GET more. Needs `s3:ListBucket`, and `s3:GetObject` for hashed names.

        Returns:
            The ids, in the order of their keys.

        Raises:
            S3CheckpointError: The store can't be reached, refuses, or has no such bucket.
        """
        return self._run(_pinned_threads(self._context), "admin.pinned_threads")

    async def apinned_threads(self) -> list[str]:
        """`pinned_threads`, as a coroutine."""
        return await self._arun(_pinned_threads(self._context), "admin.pinned_threads")


def _pinned_threads(context: Context) -> Plan[list[str]]:
    folders = yield from pinned_folders(context.layout)
    names = yield from gather(name_of_folder(context, folder) for folder in sorted(folders))
    return [name for name in names if name is not None]
