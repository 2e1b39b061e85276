"""`S3Saver`: LangGraph's checkpointer. Each method names its plan; the store runs it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)

from langgraph_checkpoint_s3.base import BaseS3Saver
from langgraph_checkpoint_s3.format.ids import (
    require_iterable,
    thread_name,
    unique_run_ids,
    unique_thread_ids,
)
from langgraph_checkpoint_s3.format.serialization import COALESCE_BELOW, estimate_size
from langgraph_checkpoint_s3.plans import delete, get_tuple, put
from langgraph_checkpoint_s3.plans.place import Place
from langgraph_checkpoint_s3.plans.plan import Plan

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

    from langgraph_checkpoint_s3.plans.list_checkpoints import Listing
    from langgraph_checkpoint_s3.plans.put import PreparedWrites


class S3Saver(BaseS3Saver):
    """Keeps LangGraph's checkpoints in Amazon S3, or in any S3-compatible store.

    One object serves the blocking and the asyncio methods, any number of threads and event loops:

        from langgraph_checkpoint_s3 import S3Saver

        saver = S3Saver("my-bucket", prefix="agents/")
        graph = builder.compile(checkpointer=saver)
        graph.invoke(inputs, {"configurable": {"thread_id": "1"}})

    It needs no `with`, but `with S3Saver(…) as saver` (or `async with`) closes its connections.
    Nothing is sent before the first use. The bucket must exist; `setup()` makes it and checks what
    the saver will need. Its run-time role needs `s3:GetObject`, `s3:PutObject`, `s3:DeleteObject`
    and `s3:AbortMultipartUpload` on `BUCKET/PREFIX*`, and `s3:ListBucket` on the bucket; each method names
    its own. With a KMS key it also needs `kms:GenerateDataKey` and `kms:Decrypt` on that, with `object_tags`
    `s3:PutObjectTagging`.

    Args:
        bucket: The bucket's name.
        config: All settings at once, instead of or below the keywords.
        serde: Turns values into bytes and back. Default: LangGraph's `JsonPlusSerializer`.
        client: A boto3 S3 client of your own, used as it is. The async methods then run it in
            threads, unless `aio_session` is there too. The same holds for `session`.
        session: A `boto3.Session` of your own.
        aio_session: An `aiobotocore` (or `aioboto3`) session of your own, for the async methods.
        encryption: Where keys come from, if objects are to be encrypted here: a `KeyRing`, `KmsKeys` or any
            `KeyProvider` of `langgraph_checkpoint_s3.encryption`. Needs the extra `crypto`.
        **settings: Any other setting of `S3Config`, by its name.

    Raises:
        InvalidConfigError: A setting is unknown, missing or out of range.
    """

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that the config names, or its namespace's latest one; `None` if there is none.

        One LIST, then one GET for the checkpoint and each task that wrote, at once. What this
        process wrote or read before costs no GET. Needs `s3:ListBucket` and `s3:GetObject`.

        Args:
            config: `thread_id`, and optionally `checkpoint_ns` (the root by default) and
                `checkpoint_id`.

        Returns:
            The checkpoint, its `pending_writes` in `writes_sort_key` order.

        Raises:
            InvalidKeyError: There is no thread_id.
            CorruptObjectError: An object is damaged, or not ours.
            S3CheckpointError: The store can't be reached, refuses, or has no such bucket.
        """
        return self._store.run(get_tuple.get_tuple(self._context(), Place.of(config)))

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """`get_tuple`, as a coroutine."""
        return await self._store.arun(get_tuple.get_tuple(self._context(), Place.of(config)))

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Checkpoints, newest first. Needs `s3:ListBucket` and `s3:GetObject`.

        Args:
            config: The thread; a namespace (all of them if it names none) and a checkpoint id
                narrow it down. `None` lists all threads, and lists the whole prefix to do so.
            filter: Metadata that must be equal. `source`, `step` and `run_id` are decided by the
                keys, without reading an object.
            before: Only checkpoints with an id less than this one's.
            limit: How many at most, counted after the filter.

        Returns:
            The checkpoints, read in windows as the iteration goes on.

        Raises:
            InvalidKeyError: The config has no thread_id.
            CorruptObjectError: An object is damaged, or not ours.
            S3CheckpointError: The store can't be reached, refuses, or has no such bucket.
        """
        return self._pages(self._listing(config, filter, before, limit))

    def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """`list`, as an async iterator."""
        return self._apages(self._listing(config, filter, before, limit))

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint in one PUT (a parallel multipart upload where it is large).

        If this process wrote or read the parent, what the two share isn't stored again but
        borrowed from earlier objects of the same thread and namespace. A HEAD beside the PUT, for the
        parent (at every eighth put and behind a read, for each of them), makes sure that they are there.

        Needs `s3:PutObject`, `s3:GetObject` and `s3:ListBucket` (of which HEADs make use), for large ones
        `s3:AbortMultipartUpload`, and `s3:DeleteObject` to take out what came after its thread's deletion.

        Args:
            config: The thread and namespace; its checkpoint_id is the parent's.
            checkpoint: The checkpoint, with all of its channel values.
            metadata: Its metadata.
            new_versions: The channels that have changed since the parent. One that isn't among them
                and has the parent's version is taken over from it.

        Returns:
            The config that points at it. When this returns, it is durable.

        Raises:
            InvalidKeyError: There is no thread_id, or the key would be too long. Nothing was sent.
            ConflictError: The thread was deleted while this run went on, and isn't brought back; as far as
                that shows, which is where the checkpoint borrows.
            S3CheckpointError: The store can't be reached, refuses, or has no such bucket.
        """
        return self._store.run(self._put(config, checkpoint, metadata, new_versions))

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """`put`, as a coroutine."""
        return await self._store.arun(
            self._put(config, checkpoint, metadata, new_versions),
            weight=estimate_size(checkpoint["channel_values"].values()),
        )

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store what a task wrote, in one PUT. What many tasks wrote at once shares some PUTs.

        The first value of a regular write stays, also across processes (`If-None-Match: *`); of special ones
        (errors, interrupts, resumes) the last, by the store's order. A task's special writes share an object:
        where another process wrote to it, one more costs a GET and a PUT more. Needs `s3:PutObject`,
        `s3:GetObject`; from `multipart_threshold` bytes on also `s3:ListBucket`, `s3:AbortMultipartUpload`.

        Args:
            config: The checkpoint; it may be put later.
            writes: Channels and values.
            task_id: The task.
            task_path: Its place in the graph, by which the pending writes are ordered.

        Raises:
            InvalidKeyError: There is no thread_id or checkpoint_id, or the key would be too long.
            ConflictError: Others wrote special writes of this task each time in between.
            S3CheckpointError: The store can't be reached, refuses, or has no such bucket.
        """
        if estimate_size(value for _, value in writes) < COALESCE_BELOW:
            self._store.run_coalesced(*self._joint(config, writes, task_id, task_path))
        else:
            plan = put.put_task(self._context(), config, writes, task_id, task_path, self._now())
            self._store.run(plan, "put_writes")

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """`put_writes`, as a coroutine."""
        weight = estimate_size(value for _, value in writes)
        if weight < COALESCE_BELOW:
            await self._store.arun_coalesced(*self._joint(config, writes, task_id, task_path))
        else:
            plan = put.put_task(self._context(), config, writes, task_id, task_path, self._now())
            await self._store.arun(plan, "put_writes", weight=weight)

    def delete_thread(self, thread_id: str) -> None:
        """Delete all of a thread's checkpoints and writes.

        One LIST and one DeleteObjects per 1,000 objects. With versioning on, S3 keeps the old
        versions. If it is cut short, what is left is whole; deleting again goes on. What another process is
        just writing to the thread may come later: take the thread's `lease` to wait for its run.
        Needs `s3:ListBucket` and `s3:DeleteObject`.

        Args:
            thread_id: The thread. One that isn't there is none to delete.

        Raises:
            InvalidKeyError: The thread_id is empty.
            S3CheckpointError: Something couldn't be deleted; the message says how much was.
        """
        self._store.run(delete.delete_thread(self._context(), thread_name(thread_id)))

    async def adelete_thread(self, thread_id: str) -> None:
        """`delete_thread`, as a coroutine."""
        await self._store.arun(delete.delete_thread(self._context(), thread_name(thread_id)))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints that these runs made, with their writes, in all threads.

        Lists the whole prefix, and reads only the heads of what may borrow from what goes. What
        does, or has its parent there, is rewritten first, with what it borrows in it. Delta channels that
        were rebuilt from what goes can't be any more, as with every saver. Needs `s3:ListBucket`,
        `s3:DeleteObject`, `s3:GetObject`, `s3:PutObject` and `s3:AbortMultipartUpload`.

        Args:
            run_ids: The runs, as in the metadata's `run_id`. UUIDs stand for their text.

        Raises:
            InvalidKeyError: It isn't a list of ids. Nothing was sent.
            S3CheckpointError: Something couldn't be deleted; the message says how much was.
        """
        self._store.run(delete.delete_for_runs(self._context(), unique_run_ids(run_ids)))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """`delete_for_runs`, as a coroutine."""
        await self._store.arun(delete.delete_for_runs(self._context(), unique_run_ids(run_ids)))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a thread's checkpoints and writes, on the server, in parallel.

        What the target thread already held stays. Copying a thread that isn't there, or onto
        itself, does nothing. Needs `s3:ListBucket`, `s3:GetObject` and `s3:PutObject`; with tags on the
        source's objects also `s3:GetObjectTagging` and `s3:PutObjectTagging`.

        Encrypted objects are bound to their thread. So they are read, sealed anew for the target, with the
        data keys that they have, and written: a GET and a PUT each.

        Args:
            source_thread_id: The thread to copy.
            target_thread_id: The thread to copy it to.

        Raises:
            InvalidKeyError: A thread_id is empty, or the target's keys would be too long.
            DecryptionError: There are encrypted objects, and their key is missing. If it isn't that of one
                object alone, nothing was copied.
            ConflictError: The source was being deleted meanwhile.
            S3CheckpointError: The store can't be reached or refuses.
        """
        self._store.run(self._copy(source_thread_id, target_thread_id))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """`copy_thread`, as a coroutine."""
        await self._store.arun(self._copy(source_thread_id, target_thread_id))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Delete what is old of these threads. Needs what `delete_for_runs` needs.

        Args:
            thread_ids: The threads.
            strategy: `keep_latest` keeps the latest checkpoint of each namespace, and what its
                delta channels are rebuilt from; `delete` (or `delete_all`) deletes the threads.
                What stays and borrows from what goes is first rewritten, with what it borrows in it.

        Raises:
            InvalidKeyError: It isn't a list of thread ids. Nothing was sent.
            InvalidConfigError: The strategy is unknown.
            S3CheckpointError: Something couldn't be deleted; the message says how much was.
        """
        self._store.run(self._prune(thread_ids, strategy))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """`prune`, as a coroutine."""
        await self._store.arun(self._prune(thread_ids, strategy))

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """For each channel, the ancestors' writes, oldest first, back to the nearest stored value.

        LIST pages and GETs in windows that double: a depth of d takes about 2 + log2(d) round trips.
        Needs `s3:ListBucket` and `s3:GetObject`.

        Args:
            config: The checkpoint: its thread, namespace and id; without an id the latest one.
            channels: The delta channels.

        Returns:
            By channel, a dict of `writes` (the ancestors', oldest first) and, where an ancestor has the
            channel's value stored, `seed`: that value.

        Raises:
            InvalidKeyError: The config has no thread_id.
            ConflictError: An ancestor was deleted meanwhile.
            S3CheckpointError: The store can't be reached or refuses.
        """
        return self._store.run(self._history(config, channels), "get_delta_channel_history")

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """`get_delta_channel_history`, as a coroutine."""
        return await self._store.arun(self._history(config, channels), "get_delta_channel_history")

    def get_next_version(self, current: str | float | None, channel: None = None) -> str:
        """The next version of a channel: a counter that sorts as text, and a random part.

        Goes on from `current` (`None` is none yet), whichever saver made it. `channel` is unused.
        """
        if current is None:
            number = 0
        elif isinstance(current, str):
            number = int(current.partition(".")[0])
        else:
            number = int(current)
        return f"{number + 1:032}.{random.random():016}"  # noqa: S311  # tells forks apart, no secret

    # What few processes use is imported when it is used: a cold start goes without.

    def _listing(
        self, config: RunnableConfig | None, filter: Any, before: RunnableConfig | None, limit: int | None
    ) -> Listing:
        from langgraph_checkpoint_s3.plans.list_checkpoints import Listing

        return Listing(self._context(), config, filter, before, limit)

    def _pages(self, listing: Listing) -> Iterator[CheckpointTuple]:
        while not listing.done:
            yield from self._store.run(listing.page(), "list")

    async def _apages(self, listing: Listing) -> AsyncIterator[CheckpointTuple]:
        while not listing.done:
            for shown in await self._store.arun(listing.page(), "list"):
                yield shown

    def _put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> Plan[RunnableConfig]:
        return put.put(self._context(), config, checkpoint, metadata, new_versions, self._now())

    def _joint(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
    ) -> tuple[
        Callable[[], tuple[Place, PreparedWrites]], Callable[[Sequence[PreparedWrites]], Plan[None]], str
    ]:
        context = self._context()

        def make() -> tuple[Place, PreparedWrites]:
            call = put.prepare_writes(context, config, writes, task_id, task_path)
            return call.place, call

        return make, lambda calls: put.put_writes(context, calls, self._now()), "put_writes"

    def _history(
        self, config: RunnableConfig, channels: Sequence[str]
    ) -> Plan[Mapping[str, DeltaChannelHistory]]:
        from langgraph_checkpoint_s3.plans import delta_history

        return delta_history.delta_history(
            self._context(), Place.of(config), list(require_iterable(channels, "channels"))
        )

    def _copy(self, source: str, target: str) -> Plan[None]:
        from langgraph_checkpoint_s3.plans import copy_thread

        return copy_thread.copy_thread(self._context(), thread_name(source), thread_name(target))

    def _prune(self, thread_ids: Sequence[str], strategy: str) -> Plan[None]:
        return delete.prune(self._context(), list(unique_thread_ids(thread_ids)), strategy)
