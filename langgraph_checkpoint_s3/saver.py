"""`S3Saver`, LangGraph's checkpointer. Each method builds a plan, and the store runs it."""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)

from langgraph_checkpoint_s3.config import S3Config, unknown_setting
from langgraph_checkpoint_s3.crypto.aead import derive_key
from langgraph_checkpoint_s3.crypto.key_cache import KeyCache
from langgraph_checkpoint_s3.crypto.provider import SECRET_BYTES
from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.fork_safety import renew_after_fork
from langgraph_checkpoint_s3.format.borrowing import BorrowPolicy
from langgraph_checkpoint_s3.format.ids import (
    require_iterable,
    thread_name,
    unique_run_ids,
    unique_thread_ids,
)
from langgraph_checkpoint_s3.format.keys import Layout
from langgraph_checkpoint_s3.format.name_hashing import NameHasher
from langgraph_checkpoint_s3.format.serialization import COALESCE_BELOW, estimate_size
from langgraph_checkpoint_s3.plans import delete, get_tuple, put
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.parent_cache import ParentCache
from langgraph_checkpoint_s3.plans.place import Place
from langgraph_checkpoint_s3.plans.plan import Plan
from langgraph_checkpoint_s3.plans.retention import class_in
from langgraph_checkpoint_s3.plans.transfer import Sizes
from langgraph_checkpoint_s3.s3.stats import Stats
from langgraph_checkpoint_s3.s3.store import Store
from langgraph_checkpoint_s3.version import __version__

if TYPE_CHECKING:
    from types import TracebackType

    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.serde.base import SerializerProtocol
    from typing_extensions import Self, Unpack

    from langgraph_checkpoint_s3.config import S3Settings, S3SettingsWithBucket
    from langgraph_checkpoint_s3.crypto.provider import KeyProvider
    from langgraph_checkpoint_s3.lease import Lease
    from langgraph_checkpoint_s3.plans.list_checkpoints import Listing
    from langgraph_checkpoint_s3.plans.put import PreparedWrites

T = TypeVar("T")

_WRITER: Final = f"langgraph-checkpoint-s3/{__version__}"
_OWN_KEYWORDS: Final = frozenset({"serde", "client", "session", "aio_session", "encryption"})
_MAX_CLOCK_LEAD: Final = 2_000_000_000


class Closing:
    """Mixin for `with` and `async with`, which call `close` and `aclose` at the end."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def close(self) -> None:
        """Close what is open."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """`close`, as a coroutine."""
        raise NotImplementedError


class S3Saver(Closing, BaseCheckpointSaver[str]):
    """LangGraph checkpointer that stores checkpoints in Amazon S3 or an S3-compatible store.

    One object serves the blocking and the async methods, any number of threads and event loops:

        from langgraph_checkpoint_s3 import S3Saver

        saver = S3Saver("my-bucket", prefix="agents/")
        graph = builder.compile(checkpointer=saver)
        graph.invoke(inputs, {"configurable": {"thread_id": "1"}})

    It needs no `with`, but `with S3Saver(…) as saver` (or `async with`) closes its connections.
    Nothing is sent before the first use. The bucket must exist; `setup()` creates it and checks
    permissions. The run-time role needs `s3:GetObject`, `s3:PutObject`, `s3:DeleteObject` and
    `s3:AbortMultipartUpload` on `BUCKET/PREFIX*`, and `s3:ListBucket` on the bucket; each method lists
    its own. A KMS key also needs `kms:GenerateDataKey` and `kms:Decrypt`, and `object_tags` and
    `retention` need `s3:PutObjectTagging`.

    Args:
        bucket: The bucket's name.
        config: All settings in one object. Settings given as keywords override it.
        serde: The serializer of values. Default: LangGraph's `JsonPlusSerializer`.
        client: A boto3 S3 client to use as it is. The async methods then run it in threads, unless
            `aio_session` is given too.
        session: A `boto3.Session` that has the credentials and AWS's settings.
        aio_session: An `aiobotocore` (or `aioboto3`) session that has them for the async methods.
        encryption: The key provider for client-side encryption: a `KeyRing`, `KmsKeys` or any
            `KeyProvider` of `langgraph_checkpoint_s3.encryption`. Needs the extra `crypto`.
        **settings: Any other setting of `S3Config`, by name.

    Raises:
        InvalidConfigError: A setting is unknown, missing or out of range.
    """

    def __init__(
        self,
        bucket: str | None = None,
        *,
        config: S3Config | None = None,
        serde: SerializerProtocol | None = None,
        client: Any = None,
        session: Any = None,
        aio_session: Any = None,
        encryption: KeyProvider | None = None,
        **settings: Unpack[S3Settings],
    ) -> None:
        super().__init__(serde=serde)
        _check_keywords(settings)
        given: dict[str, Any] = {**settings}
        if bucket is not None:
            given["bucket"] = bucket
        self.config = config.replace(**given) if config else S3Config(**given)
        self._key_cache = _key_cache(self.config, encryption)
        names = _name_hasher(self.config, encryption)
        self._layout = Layout(self.config.prefix, names, self.config.indexed_metadata)
        self._borrow_policy = BorrowPolicy(horizon=self.config.borrow_horizon)
        self._store = Store(self.config, _WRITER, client=client, session=session, aio_session=aio_session)
        cache = self._store.saver_state.cache
        self._sizes = Sizes(self.config.multipart_threshold, self.config.multipart_part_size, cache)
        self._plans_context: Context | None = None
        self._now: Callable[[], int] = _UniqueClock(self._store_time)

    @classmethod
    def from_conn_string(
        cls,
        conn_string: str,
        *,
        serde: SerializerProtocol | None = None,
        client: Any = None,
        session: Any = None,
        aio_session: Any = None,
        encryption: KeyProvider | None = None,
        **settings: Unpack[S3SettingsWithBucket],
    ) -> Self:
        """Make a saver from `s3://bucket/prefix?setting=value&…`.

        Args:
            conn_string: Bucket, prefix and any setting of `S3Config` by name, such as
                `s3://my-bucket/agents?region=eu-west-1`. No credentials.
            serde: As for `S3Saver`.
            client: As for `S3Saver`.
            session: As for `S3Saver`.
            aio_session: As for `S3Saver`.
            encryption: As for `S3Saver`.
            **settings: Settings that override the string's.

        Raises:
            InvalidConfigError: The string is malformed, or a setting is unknown or out of range.
        """
        _check_keywords(settings)
        return cls(
            config=S3Config.from_conn_string(conn_string, **settings),
            serde=serde,
            client=client,
            session=session,
            aio_session=aio_session,
            encryption=encryption,
        )

    @classmethod
    def from_env(
        cls,
        *,
        serde: SerializerProtocol | None = None,
        client: Any = None,
        session: Any = None,
        aio_session: Any = None,
        encryption: KeyProvider | None = None,
        **settings: Unpack[S3SettingsWithBucket],
    ) -> Self:
        """Make a saver from environment variables.

        Reads `S3_BUCKET_NAME`, `S3_KEY_PREFIX`, `AWS_REGION`, `S3_ENDPOINT_URL` and
        `S3_FORCE_PATH_STYLE`. Credentials come from AWS's own variables, profiles and roles. Without
        `S3_BUCKET_NAME` the bucket is `langgraph-test`, on another store than AWS only.

        Args:
            serde: As for `S3Saver`.
            client: As for `S3Saver`.
            session: As for `S3Saver`.
            aio_session: As for `S3Saver`.
            encryption: As for `S3Saver`.
            **settings: Settings that override the environment's.

        Raises:
            InvalidConfigError: `S3_BUCKET_NAME` is missing on AWS, or a value is out of range.
        """
        _check_keywords(settings)
        if session is not None or aio_session is not None:
            # The session may have a region of its own, which wins over AWS_REGION.
            settings.setdefault("region", None)
        return cls(
            config=S3Config.from_env(**settings),
            serde=serde,
            client=client,
            session=session,
            aio_session=aio_session,
            encryption=encryption,
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.config.bucket!r}, prefix={self.config.prefix!r})"

    def _repr_html_(self) -> str:
        """Return settings and `stats` as a table, for notebooks. Sends nothing."""
        from langgraph_checkpoint_s3.notebook import setting_rows, stats_rows, table

        return table(type(self).__name__, [*setting_rows(self.config), *stats_rows(self.stats())])

    def close(self) -> None:
        """Close connections and threads. The saver stays usable: its next use opens new ones."""
        self._store.close()

    async def aclose(self) -> None:
        """Close the running event loop's connections, and those of the blocking methods."""
        await self._store.aclose()

    def stats(self) -> Stats:
        """Return counters of this saver in this process: operations, requests, bytes, retries, cache hits."""
        return self._store.saver_state.stats()

    def setup(self) -> None:
        """Create the bucket if it is missing, and check permissions. Optional, and safe to repeat.

        Writes, reads, lists and deletes one small probe object. Needs the run-time role's permissions,
        `s3:CreateBucket` if there is no bucket, and `s3:PutBucketVersioning` with `versioning=True`. With
        `retention`, also `s3:PutObjectTagging` and `s3:GetObjectTagging`.

        Raises:
            BucketNotFoundError: The bucket doesn't exist and can't be created.
            AccessDeniedError: Permissions are missing; the message names them all.
            NotSupportedError: The store lists in another order than S3's, or has no tags for `retention`.
            StorageUnavailableError: The store can't be reached, or doesn't return what was written.
        """
        self._note_conditional(self._store.run(self._setup(), "setup"))

    async def asetup(self) -> None:
        """`setup`, as a coroutine."""
        self._note_conditional(await self._store.arun(self._setup(), "setup"))

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return the checkpoint that the config names, or else the latest of its namespace.

        One LIST, then one concurrent GET for the checkpoint and for each task that has writes. Objects
        that this process wrote or read before need no GET. Needs `s3:ListBucket` and `s3:GetObject`.

        Args:
            config: `thread_id`, and optionally `checkpoint_ns` (the root by default) and
                `checkpoint_id`.

        Returns:
            The checkpoint, its `pending_writes` in `writes_sort_key` order; `None` if there is none.

        Raises:
            InvalidKeyError: The config has no thread_id.
            InvalidConfigError: It names a retention class that isn't one of `retention`.
            CorruptObjectError: An object is damaged, or was written by something else.
            S3CheckpointError: The store can't be reached, refuses, or has no such bucket.
        """
        return self._store.run(self._get_tuple(config), "get_tuple")

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """`get_tuple`, as a coroutine."""
        return await self._store.arun(self._get_tuple(config), "get_tuple")

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Iterate over checkpoints, newest first. Needs `s3:ListBucket` and `s3:GetObject`.

        Args:
            config: The thread, optionally narrowed to a namespace (all by default) and a checkpoint
                id. `None` lists all threads, which lists the whole prefix.
            filter: Metadata that must be equal. `source`, `step` and `run_id` are read from the
                keys, without reading an object.
            before: Only checkpoints with an id less than this one's.
            limit: The maximum number of checkpoints, counted after the filter.

        Returns:
            The checkpoints, read in windows during the iteration.

        Raises:
            InvalidKeyError: The config has no thread_id.
            CorruptObjectError: An object is damaged, or was written by something else.
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
        """Store a checkpoint in one PUT, or in a parallel multipart upload if it is large.

        If this process wrote or read the parent, the bytes that both share aren't stored again: they are
        borrowed from earlier objects of the same thread and namespace. A HEAD alongside the PUT checks
        that the parent still exists. On every eighth put, and after a read, there is one HEAD for each
        object that is borrowed from.

        With `keep_last`, older checkpoints are deleted after that: a LIST of the thread and a DeleteObjects,
        and for delta channels a PUT and another DeleteObjects.

        Needs `s3:PutObject`, `s3:GetObject` and `s3:ListBucket` (which HEAD uses), for large objects
        `s3:AbortMultipartUpload`, and `s3:DeleteObject` to remove a checkpoint that arrived after its
        thread was deleted.

        Args:
            config: The thread and namespace; its checkpoint_id is the parent's.
            checkpoint: The checkpoint, with all of its channel values.
            metadata: Its metadata.
            new_versions: The channels that have changed since the parent. Any other channel whose
                version equals the parent's is taken over from the parent.

        Returns:
            The config of the stored checkpoint, which is durable by then.

        Raises:
            InvalidKeyError: The config has no thread_id, or the key would be too long. Nothing was sent.
            InvalidConfigError: It names a retention class that isn't one of `retention`. Nothing was sent.
            ConflictError: The thread was deleted during this run, and isn't brought back. Detected only
                if the checkpoint borrows. Or, with `keep_last`, another run has deleted what its delta
                channels are rebuilt from. It wasn't kept.
            S3CheckpointError: The store can't be reached, refuses, or has no such bucket.
        """
        return self._store.run(self._put(config, checkpoint, metadata, new_versions), "put")

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
            "put",
            weight=estimate_size(checkpoint["channel_values"].values()),
        )

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store a task's writes in one PUT. Concurrent calls share PUTs.

        The first value of a regular write is kept, also across processes (`If-None-Match: *`). Of special
        ones (errors, interrupts, resumes) the last one in the store's order wins. A task's special writes
        share an object: if another process wrote to it, one more GET and PUT are needed. Needs
        `s3:PutObject` and `s3:GetObject`; from `multipart_threshold` bytes on also `s3:ListBucket` and
        `s3:AbortMultipartUpload`.

        Args:
            config: The checkpoint, which may be put later.
            writes: Channels and values.
            task_id: The task.
            task_path: Its path in the graph, by which pending writes are sorted.

        Raises:
            InvalidKeyError: There is no thread_id or checkpoint_id, or the key would be too long.
            InvalidConfigError: It names a retention class that isn't one of `retention`.
            ConflictError: Each attempt was overtaken by another process's special writes of this task.
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

    def save_checkpoint(self, thread_id: str, values: Mapping[str, Any]) -> str:
        """Save a thread's state without a graph, as a new checkpoint of the root namespace.

            checkpoint_id = saver.save_checkpoint("customer-42", {"name": "Ada", "orders": [7]})

        The checkpoint follows the thread's latest one, as after LangGraph's `update_state`. A graph compiled
        with the saver reads it: `get_state` has the values, and a run goes on from them. Values that didn't
        change since the latest checkpoint are borrowed from it.

        One LIST and one PUT; if the latest checkpoint was written by another process, also its GET. A
        checkpoint that borrows takes one more GET and one HEAD, as with `put`. Needs what `put` needs.

        Two processes that save to a thread at once fork it, as with every saver: both checkpoints are
        listed, and the one with the later id is the latest. To read, change and save without losing
        another's change, take the thread's `lease`.

        Args:
            thread_id: The thread.
            values: All of its state, by name: what the graph's channels hold, such as `{"messages": […]}`.
                What the latest checkpoint has besides is no longer in the new one. Which node is next stays
                as it is.

        Returns:
            The checkpoint's id. The checkpoint is durable by then.

        Raises:
            InvalidKeyError: The thread_id is empty, or a name isn't a string or is reserved by LangGraph.
                Nothing was sent.
            ConflictError: The thread was deleted at the same time, as with `put`.
            S3CheckpointError: The store can't be reached, refuses, or has no such bucket.
        """
        return self._store.run(self._save(thread_id, values), "save_checkpoint")

    async def asave_checkpoint(self, thread_id: str, values: Mapping[str, Any]) -> str:
        """`save_checkpoint`, as a coroutine."""
        return await self._store.arun(self._save(thread_id, values), "save_checkpoint")

    def load_checkpoint(self, thread_id: str, checkpoint_id: str | None = None) -> dict[str, Any] | None:
        """Return a thread's state without a graph: what `save_checkpoint` or a graph stored.

        One LIST, and one GET unless this process wrote or read the checkpoint before (with borrowed values,
        also a range GET for each object that they are borrowed from). Writes of tasks whose step isn't
        finished aren't in it. Needs `s3:ListBucket` and `s3:GetObject`.

        Args:
            thread_id: The thread.
            checkpoint_id: The checkpoint; by default the latest one of the root namespace.

        Returns:
            The values by name, without LangGraph's own channels; `None` if there is no such checkpoint.

        Raises:
            InvalidKeyError: An id is empty or invalid.
            NotSupportedError: A `DeltaChannel` isn't stored in this checkpoint: only its graph can rebuild it
                (`graph.get_state`).
            CorruptObjectError: The object is damaged, or was written by something else.
            S3CheckpointError: The store can't be reached, refuses, or has no such bucket.
        """
        return self._store.run(self._load(thread_id, checkpoint_id), "load_checkpoint")

    async def aload_checkpoint(
        self, thread_id: str, checkpoint_id: str | None = None
    ) -> dict[str, Any] | None:
        """`load_checkpoint`, as a coroutine."""
        return await self._store.arun(self._load(thread_id, checkpoint_id), "load_checkpoint")

    def delete_thread(self, thread_id: str) -> None:
        """Delete all checkpoints and writes of a thread.

        One LIST and one DeleteObjects per 1,000 objects. In a versioned bucket, S3 keeps the old versions.
        An interrupted deletion leaves only whole checkpoints; call it again to finish. A process that is
        writing to the thread at the same time may write after the deletion: take the thread's `lease` to
        wait for its run. A pinned thread is unpinned, which takes a GET where there are retention classes.
        Needs `s3:ListBucket` and `s3:DeleteObject`.

        Args:
            thread_id: The thread. If it doesn't exist, nothing is deleted.

        Raises:
            InvalidKeyError: The thread_id is empty.
            S3CheckpointError: Something couldn't be deleted; the message says how much was.
        """
        self._store.run(delete.delete_thread(self._context(), thread_name(thread_id)), "delete_thread")

    async def adelete_thread(self, thread_id: str) -> None:
        """`delete_thread`, as a coroutine."""
        await self._store.arun(delete.delete_thread(self._context(), thread_name(thread_id)), "delete_thread")

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints of these runs, with their writes, in all threads.

        Lists the whole prefix, and reads only the headers of checkpoints that descend from deleted ones.
        Checkpoints that do, or whose parent is deleted, are first rewritten without borrowing. Delta
        channels that are rebuilt from deleted checkpoints can't be rebuilt afterwards, as with every
        saver. Needs `s3:ListBucket`, `s3:DeleteObject`, `s3:GetObject`, `s3:PutObject` and
        `s3:AbortMultipartUpload`.

        Args:
            run_ids: The runs, as in the metadata's `run_id`. UUIDs are converted to text.

        Raises:
            InvalidKeyError: This isn't a list of ids. Nothing was sent.
            S3CheckpointError: Something couldn't be deleted; the message says how much was.
        """
        self._store.run(delete.delete_for_runs(self._context(), unique_run_ids(run_ids)), "delete_for_runs")

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """`delete_for_runs`, as a coroutine."""
        await self._store.arun(
            delete.delete_for_runs(self._context(), unique_run_ids(run_ids)), "delete_for_runs"
        )

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a thread's checkpoints and writes with server-side copies, in parallel.

        Existing checkpoints of the target thread stay. Copies keep their retention class, and are pinned
        only if the target is. Where the metadata has the source's `thread_id`, a copy's has the target's.
        Copying a thread that doesn't exist, or onto itself, does nothing. Needs `s3:ListBucket`,
        `s3:GetObject` and `s3:PutObject`; if the source's objects have tags, also `s3:GetObjectTagging` and
        `s3:PutObjectTagging`.

        Encrypted objects are bound to their thread. They are downloaded, encrypted again for the target
        with the same data keys, and uploaded: a GET and a PUT each.

        Args:
            source_thread_id: The thread to copy.
            target_thread_id: The thread to copy it to.

        Raises:
            InvalidKeyError: A thread_id is empty, or the target's keys would be too long.
            DecryptionError: Objects are encrypted and their key is missing. Unless it is the key of a
                single object, nothing was copied.
            ConflictError: The source was being deleted at the same time.
            S3CheckpointError: The store can't be reached or refuses.
        """
        self._store.run(self._copy(source_thread_id, target_thread_id), "copy_thread")

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """`copy_thread`, as a coroutine."""
        await self._store.arun(self._copy(source_thread_id, target_thread_id), "copy_thread")

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Delete old checkpoints of these threads. Needs what `delete_for_runs` needs.

        A kept checkpoint that borrows from a deleted one is first rewritten without borrowing.

        Args:
            thread_ids: The threads.
            strategy: `keep_latest` keeps the latest checkpoint of each namespace. What its delta channels
                are rebuilt from is gathered in one object beside it. Subgraph calls whose caller isn't kept
                go as a whole. `delete` (or `delete_all`) deletes the threads.

        Raises:
            InvalidKeyError: This isn't a list of thread ids. Nothing was sent.
            InvalidConfigError: The strategy is unknown.
            S3CheckpointError: Something couldn't be deleted; the message says how much was.
        """
        self._store.run(self._prune(thread_ids, strategy), "prune")

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """`prune`, as a coroutine."""
        await self._store.arun(self._prune(thread_ids, strategy), "prune")

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """Return each channel's writes in the ancestors, back to the nearest stored value.

        LIST pages, and GETs in windows that double: a depth of d takes about 2 + log2(d) round trips. In a
        walk from newer to older checkpoints, each call reuses the listing of the one before, for at most 2 s.
        Needs `s3:ListBucket` and `s3:GetObject`.

        Args:
            config: The thread, namespace and checkpoint id; without an id the latest checkpoint.
            channels: The delta channels.

        Returns:
            By channel, a dict of `writes` (the ancestors', oldest first) and, if an ancestor has the
            channel's value stored, `seed`: that value.

        Raises:
            InvalidKeyError: The config has no thread_id.
            ConflictError: An ancestor was deleted at the same time, or with `keep_last` the checkpoint.
            S3CheckpointError: The store can't be reached or refuses.
        """
        return self._store.run(self._history(config, channels), "get_delta_channel_history")

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """`get_delta_channel_history`, as a coroutine."""
        return await self._store.arun(self._history(config, channels), "get_delta_channel_history")

    def get_next_version(self, current: str | float | None, channel: None = None) -> str:
        """Return the next version of a channel: a counter that sorts as text, and a random part.

        Continues from `current` (`None` is none yet), whichever saver made it; after a number comes a number.
        `channel` is unused.
        """
        # LangGraph compares a thread's versions with one another. So a thread that was migrated from a saver
        # that uses numbers (DynamoDB's, MongoDB's) continues with numbers.
        if isinstance(current, (int, float)):
            return current + 1  # type: ignore[return-value]  # as that saver does
        number = 0 if current is None else int(current.partition(".")[0])
        return f"{number + 1:032}.{random.random():016}"  # noqa: S311  # tells forks apart, no secret

    def lease(
        self,
        thread_id: str,
        *,
        ttl: float | timedelta = 60.0,
        wait: float | timedelta = 0.0,
        holder: str | None = None,
        auto_renew: bool = True,
    ) -> Lease:
        """Return a lock for a thread, across machines, that expires if its holder dies.

            with saver.lease("customer-42", wait=300) as lease:
                graph.invoke(inputs, config)

        It is advisory: it excludes only callers that take it too. Entering it sends one GET and one PUT
        (and, once per saver, three PUTs that check that the store honours conditional writes); each
        renewal and the release send one PUT. Needs `s3:GetObject` and `s3:PutObject`. A holder that is
        paused for longer than `ttl` loses it without noticing at once: call `Lease.check` before
        anything that matters, and pass `Lease.token` to other systems so that they can reject such a
        holder.

        Args:
            thread_id: The thread.
            ttl: Seconds (or a timedelta), from 1 s to 7 days, until it expires unless it is renewed.
                Others can take it over 2 s later.
            wait: Seconds (or a timedelta) to keep trying to acquire it; `math.inf` waits forever.
            holder: A name that is shown to other callers. Default: host and process id.
            auto_renew: Renew it in the background at each third of `ttl`.

        Returns:
            The lease, for use with `with`. If it was lost meanwhile, leaving the `with` raises a
            `ConflictError`.

        Raises:
            InvalidKeyError: The thread_id is empty or too long.
            InvalidConfigError: A value is out of range.
            ConflictError: On entering: another holder has it.
            NotSupportedError: On entering: the store ignores conditional writes.
        """
        from langgraph_checkpoint_s3.lease import Lease, LeaseSettings

        settings = LeaseSettings.of(ttl, wait, holder, auto_renew)
        name = thread_name(thread_id)
        return Lease(self._store, self._layout.lease(name), name, settings, self._now)

    def alease(
        self,
        thread_id: str,
        *,
        ttl: float | timedelta = 60.0,
        wait: float | timedelta = 0.0,
        holder: str | None = None,
        auto_renew: bool = True,
    ) -> Lease:
        """`lease`, for `async with`. A task of the event loop renews it, so don't block the loop for long."""
        return self.lease(thread_id, ttl=ttl, wait=wait, holder=holder, auto_renew=auto_renew)

    def _context(self) -> Context:
        context = self._plans_context
        if context is None or context.serde is not self.serde:  # `with_allowlist` gives a clone another one
            context = self._plans_context = self._make_context()
        return context

    def _make_context(self) -> Context:
        state = self._store.saver_state
        return Context(
            self._layout,
            self.serde,
            self.config.compression,
            self._sizes,
            _WRITER,
            self._borrow_policy,
            ParentCache(state.states, state.cache, state.lives),
            self.config.borrow and self.config.keep_last is None,
            self._key_cache,
            self.config.place,
            self.config.retention,
        )

    def _note_conditional(self, honoured: bool) -> None:
        if not honoured:
            self._store.saver_state.without_conditions()

    def _pages(self, listing: Listing) -> Iterator[CheckpointTuple]:
        while not listing.done:
            yield from self._store.run(listing.page(), "list")

    async def _apages(self, listing: Listing) -> AsyncIterator[CheckpointTuple]:
        while not listing.done:
            for each in await self._store.arun(listing.page(), "list"):
                yield each

    def _get_tuple(self, config: RunnableConfig) -> Plan[CheckpointTuple | None]:
        context = self._context()
        if self.config.retention:
            class_in(context, config)  # a wrong class is found before the run, not at its first put
        return get_tuple.get_tuple(context, Place.of(config))

    def _put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> Plan[RunnableConfig]:
        context, keep_last = self._context(), self.config.keep_last
        plan = put.put(context, config, checkpoint, metadata, new_versions, self._now())
        if keep_last is None:
            return plan
        from langgraph_checkpoint_s3.plans.keep_last import put_and_prune

        return put_and_prune(context, plan, keep_last)

    def _store_time(self) -> int:
        return self._store.saver_state.store_time()

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

    def _prune(self, thread_ids: Sequence[str], strategy: str) -> Plan[None]:
        return delete.prune(self._context(), list(unique_thread_ids(thread_ids)), strategy)

    # The plans below are imported on first use, so that cold starts don't pay for them.

    def _listing(
        self, config: RunnableConfig | None, filter: Any, before: RunnableConfig | None, limit: int | None
    ) -> Listing:
        from langgraph_checkpoint_s3.plans.list_checkpoints import Listing

        return Listing(self._context(), config, filter, before, limit)

    def _history(
        self, config: RunnableConfig, channels: Sequence[str]
    ) -> Plan[Mapping[str, DeltaChannelHistory]]:
        from langgraph_checkpoint_s3.plans import delta_history

        names, strict = list(require_iterable(channels, "channels")), self.config.keep_last is not None
        return delta_history.delta_history(self._context(), Place.of(config), names, strict=strict)

    def _save(self, thread_id: str, values: Mapping[str, Any]) -> Plan[str]:
        from langgraph_checkpoint_s3.plans import state

        checked = state.state_of(values)
        return state.save(self._context(), thread_id, checked, self._now(), self.get_next_version)

    def _load(self, thread_id: str, checkpoint_id: str | None) -> Plan[dict[str, Any] | None]:
        from langgraph_checkpoint_s3.plans import state

        return state.load(self._context(), thread_id, checkpoint_id)

    def _copy(self, source: str, target: str) -> Plan[None]:
        from langgraph_checkpoint_s3.plans import copy_thread

        return copy_thread.copy_thread(self._context(), thread_name(source), thread_name(target), self._now())

    def _setup(self) -> Plan[bool]:
        from langgraph_checkpoint_s3.plans import setup

        return setup.setup(
            self.config.prefix,
            uuid.uuid4().hex,
            versioning=self.config.versioning,
            tagged=bool(self.config.retention),
        )


class Internals(NamedTuple):
    """The parts of a saver that `S3Admin` works with.

    Attributes:
        store: Runs plans.
        context: What plans need to know of the saver.
        now: The store's time in ns since 1970, strictly increasing.
    """

    store: Store
    context: Context
    now: Callable[[], int]


def internals_of(saver: S3Saver) -> Internals:
    """Return a saver's internals. For users of a saver alone: the only access from outside the class."""
    return Internals(saver._store, saver._context(), saver._now)  # noqa: SLF001  # its own class


class UsesSaver(Closing):
    """Base of what works on a saver's bucket, with its settings and connections.

    Args:
        saver: The saver.
        closes: Whether closing this closes the saver, since it was made for this.
    """

    def __init__(self, saver: S3Saver, *, closes: bool) -> None:
        self._saver = saver
        self._closes = closes

    @property
    def saver(self) -> S3Saver:
        """The saver whose bucket and prefix are used."""
        return self._saver

    def close(self) -> None:
        """Close the saver's connections, unless the saver was passed in."""
        if self._closes:
            self._saver.close()

    async def aclose(self) -> None:
        """`close`, as a coroutine."""
        if self._closes:
            await self._saver.aclose()

    def _run(self, plan: Plan[T], operation: str) -> T:
        return internals_of(self._saver).store.run(plan, operation)

    async def _arun(self, plan: Plan[T], operation: str, weight: int = 0) -> T:
        return await internals_of(self._saver).store.arun(plan, operation, weight=weight)


class _UniqueClock:
    """Strictly increasing time in ns since 1970, so that no two writes have the same time.

    It steps back only if it was seconds ahead. That happens before the store's first response, which
    corrects a wrong local clock.

    Args:
        source: Returns the store's time.
    """

    def __init__(self, source: Callable[[], int]) -> None:
        self._source = source
        self._last = 0
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        self._lock = threading.Lock()

    def __call__(self) -> int:
        with self._lock:
            now = self._source()
            self._last = now if self._last - now > _MAX_CLOCK_LEAD else max(self._last + 1, now)
            return self._last


def _key_cache(config: S3Config, encryption: KeyProvider | None) -> KeyCache | None:
    if encryption is None:
        if config.require_encryption or config.private_keys:
            raise InvalidConfigError(
                "require_encryption and private_keys need keys: pass S3Saver(…, encryption=KeyRing(…))."
            )
        return None
    from langgraph_checkpoint_s3.crypto.provider import KeyProvider

    if not isinstance(encryption, KeyProvider):
        raise InvalidConfigError(
            f"encryption={type(encryption).__name__}(…) is no key provider: pass a KeyRing, KmsKeys, or a "
            "KeyProvider of your own."
        )
    derive_key(bytes(SECRET_BYTES), "check")  # raises now, not later, if the cryptography library is missing
    return KeyCache(encryption, required=config.require_encryption or config.private_keys)


def _name_hasher(config: S3Config, encryption: KeyProvider | None) -> NameHasher | None:
    if not config.private_keys or encryption is None:
        return None
    secret = encryption.names_key()
    if secret is None:
        raise InvalidConfigError(
            "private_keys=True needs a key to hash names with: give the key provider a names_key. It can "
            "never be changed for a prefix: with another one, nothing is found."
        )
    return NameHasher(derive_key(secret, "names"))


def _check_keywords(settings: Mapping[str, Any]) -> None:
    if "config" in settings:
        raise InvalidConfigError(
            "config doesn't go with from_conn_string or from_env; use S3Saver(config=…)."
        )
    known = _OWN_KEYWORDS | {setting.name for setting in fields(S3Config)}
    for name in settings:
        if name not in known:
            raise unknown_setting(name, known)
