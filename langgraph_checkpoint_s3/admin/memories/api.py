"""Public methods for long-term memory: export, import, migration, and purging."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from langgraph_checkpoint_s3.admin.base import BaseAdmin
from langgraph_checkpoint_s3.admin.calls import Progress
from langgraph_checkpoint_s3.admin.memories.memory_file import MemoryFile
from langgraph_checkpoint_s3.admin.memories.source import SourceStore, migrate_memories, record_of
from langgraph_checkpoint_s3.admin.memories.transfer import (
    ExportedMemories,
    export_memories,
    import_memories,
)
from langgraph_checkpoint_s3.admin.memories.writer import ImportedMemories, ItemWriter
from langgraph_checkpoint_s3.admin.transfer.archive import ExportFile, FileOrPath
from langgraph_checkpoint_s3.admin.versions.purge import Purged, Subject, purge
from langgraph_checkpoint_s3.admin.versions.receipt import ReceiptFile
from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.memory.shelf import STORE, Shelf, checked_namespace
from langgraph_checkpoint_s3.memory.store import S3Store, default_ttl, embedder_of
from langgraph_checkpoint_s3.plans.plan import Plan
from langgraph_checkpoint_s3.saver import internals_of

if TYPE_CHECKING:
    from langgraph.store.base import BaseStore


class Memories(BaseAdmin):
    """Operations of `S3Admin` on long-term memory (`S3Store`)."""

    def export_memories(
        self, file: FileOrPath, namespace: Sequence[str] = (), *, progress: Progress | None = None
    ) -> ExportedMemories:
        """Write long-term memory into one file, which `import_memories` imports under any prefix and bucket.

            admin.export_memories("memories.zip")
            admin.export_memories("ada.zip", ("users", "ada"))

        The file has the items' objects as they are in the bucket: compressed, encrypted if they are, with
        their times and vectors. It is a ZIP archive, which any tool reads. Expired items are left out, and so
        are those that are deleted meanwhile.

        Takes one LIST per 1,000 items and one GET per item, 64 of them or 34 MB at a time; memory use is
        that, or one larger object. Each object is checked. Needs `s3:ListBucket` and `s3:GetObject`, and
        `kms:Decrypt` with a KMS key.

        Args:
            file: A path, or a file that is open for writing bytes (a pipe will do). At a path, the file
                appears when it is complete, and replaces one that was there.
            namespace: Only items whose namespaces begin with these labels. Default: all.
            progress: Called with the number of items done and the total.

        Returns:
            The contents of the file.

        Raises:
            InvalidKeyError: There are no such items, or the namespace isn't one. There is no file.
            CorruptObjectError: An item is damaged. There is no file.
            CheckpointArchivedError: An item is in an offline archive class. There is no file.
            OSError: The file can't be written.
        """
        return self._run(self._export_memories(file, namespace, progress), "admin.export_memories")

    async def aexport_memories(
        self, file: FileOrPath, namespace: Sequence[str] = (), *, progress: Progress | None = None
    ) -> ExportedMemories:
        """`export_memories`, as a coroutine. The file is written in a thread."""
        return await self._arun(self._export_memories(file, namespace, progress), "admin.export_memories")

    def import_memories(
        self,
        file: FileOrPath,
        namespace: Sequence[str] = (),
        *,
        store: S3Store | None = None,
        reembed: bool = False,
        overwrite: bool = False,
        progress: Progress | None = None,
    ) -> ImportedMemories:
        """Import long-term memory from a file of `export_memories`.

        The whole file is read and checked before anything is written. Items keep their values, times and
        vectors, and expire when they would have: what has expired since isn't imported. They are compressed,
        and encrypted, as this saver does it.

        **No item is overwritten that is as new here or newer.** So importing a file twice changes nothing,
        and an import that was interrupted is resumed by importing again. An older item is replaced, unless
        somebody changes it at the same moment.

        Vectors are kept as they are without a `store`. With one that has an `index`, those of another length
        than its `dims` are made anew, of the index's fields; the rest can't be told from the store's own. So
        after a change of the model pass `reembed=True`. With S3 Vectors, call `store.rebuild_vectors()`
        afterwards.

        Takes one LIST per 1,000 items that exist, a PUT for each that is written, and a GET for each that is
        there already. Needs `s3:ListBucket`, `s3:GetObject` and `s3:PutObject`, and
        `s3:AbortMultipartUpload` for large ones. The author of the file controls what the serializer will
        load: import only trusted files.

        Args:
            file: A path, or a seekable file that is open for reading bytes.
            namespace: Only items whose namespaces begin with these labels. Default: all.
            store: The store whose `index` makes vectors. It is one of this admin's saver.
            reembed: Whether to make the vectors of all items that are written anew.
            overwrite: Whether to replace newer items too; with `reembed` also those that are there already.
            progress: Called with the number of items done and the total.

        Returns:
            What was written, and what was kept.

        Raises:
            CorruptObjectError: The file is damaged, incomplete, or not one of memories: nothing was written.
                Or an item that is here is damaged: delete it, and import again.
            DecryptionError: The file's objects are encrypted, and their key is missing; or they aren't, and
                `require_encryption` refuses them. Nothing was written.
            InvalidKeyError: An item's key would be too long, or the namespace isn't one. Nothing was written.
            InvalidConfigError: The store is another saver's, `reembed` has no index, or its embedding
                returned vectors of another length.
            ConflictError: Others are writing the same items all the time.
            OSError: The file can't be read.
        """
        plan = self._import_memories(file, namespace, store, reembed, overwrite, progress)
        return self._run(plan, "admin.import_memories")

    async def aimport_memories(
        self,
        file: FileOrPath,
        namespace: Sequence[str] = (),
        *,
        store: S3Store | None = None,
        reembed: bool = False,
        overwrite: bool = False,
        progress: Progress | None = None,
    ) -> ImportedMemories:
        """`import_memories`, as a coroutine. The file is read in a thread."""
        plan = self._import_memories(file, namespace, store, reembed, overwrite, progress)
        return await self._arun(plan, "admin.import_memories")

    def migrate_memories(
        self,
        source: BaseStore,
        namespace: Sequence[str] = (),
        *,
        store: S3Store | None = None,
        progress: Progress | None = None,
    ) -> ImportedMemories:
        """Copy long-term memory from another store: Postgres, SQLite, Redis, memory, another bucket.

            with PostgresStore.from_conn_string(url) as source:
                admin.migrate_memories(source, store=S3Store(saver=saver, index=index))

        The source is only read, by `list_namespaces` and pages of `search`, and no time to live is refreshed
        there. Stop the agents that use it before. Items keep their values and the time of their last change.
        No item is overwritten that is as new here or newer, so a migration can be interrupted and repeated.

        A store doesn't tell an item's vectors, its time to live, or of a first put before the last one. So
        each item is embedded anew if the `store` has an `index`, and gets its `default_ttl`, which begins
        now. With S3 Vectors, call `store.rebuild_vectors()` afterwards.

        Takes a LIST per 1,000 items that exist, a PUT for each that is written, and a GET for each that is
        there already. Needs `s3:ListBucket`, `s3:GetObject` and `s3:PutObject`, and
        `s3:AbortMultipartUpload` for large ones.

        Args:
            source: The store to read from. `migrate_memories` uses its blocking methods, and
                `amigrate_memories` its coroutines.
            namespace: Only items whose namespaces begin with these labels. Default: all.
            store: The store whose `index` and `ttl` the items get. It is one of this admin's saver. Default:
                neither.
            progress: Called now and then with the number of items done, and `None`.

        Returns:
            What was written, and what was kept.

        Raises:
            InvalidKeyError: An item's key would be too long, or the namespace isn't one.
            InvalidConfigError: The source is no store, the store is another saver's, or its embedding
                returned vectors of another length.
            ConflictError: Others are writing the same items all the time.
            S3CheckpointError: The bucket can't be reached or refuses. Copied items stay.
            Exception: An exception of the source, or of a value that the serializer refuses, propagates.
                Copied items stay.
        """
        return self._run(self._migrate_memories(source, namespace, store, progress), "admin.migrate_memories")

    async def amigrate_memories(
        self,
        source: BaseStore,
        namespace: Sequence[str] = (),
        *,
        store: S3Store | None = None,
        progress: Progress | None = None,
    ) -> ImportedMemories:
        """`migrate_memories`, as a coroutine."""
        plan = self._migrate_memories(source, namespace, store, progress)
        return await self._arun(plan, "admin.migrate_memories")

    def purge_memories(
        self,
        namespace: Sequence[str],
        *,
        dry_run: bool = True,
        receipt: str | os.PathLike[str] | None = None,
    ) -> Purged:
        """Remove a namespace of long-term memory permanently: the right to be forgotten.

            admin.purge_memories(("users", "ada"), dry_run=False, receipt="ada.json")

        Removes every version and delete marker of its items and of those in namespaces that begin with it,
        and their unfinished uploads. The indexes of all namespaces above go as well, since they have copies
        of the items: the next search there reads all items once, and writes them anew. It is listed again
        until nothing is left. If interrupted, call it again. Purges everything with the namespace `()`.
        Vectors in S3 Vectors stay until `S3Store.rebuild_vectors` is called.

        `S3Store.delete` alone leaves old versions in a bucket that keeps some, and copies in indexes until
        these are written anew. Nothing of it removes objects under Object Lock or MFA delete, replicas in
        other buckets, backups and exported files, or what other processes have in memory. Stop the agents
        that use the namespace first: a search that goes on meanwhile may write an index with the items in it.

        Needs `s3:ListBucketVersions`, `s3:ListBucket`, `s3:DeleteObject`, `s3:DeleteObjectVersion`,
        `s3:ListBucketMultipartUploads` and `s3:AbortMultipartUpload`.

        Args:
            namespace: The namespace.
            dry_run: Whether to only return what would be removed. This is the default.
            receipt: The path of a file for the receipt, as for `purge_thread`.

        Returns:
            What was removed, with the receipt. On a store that can't list versions, only current objects are
            deleted, and `unseen` says so.

        Raises:
            InvalidKeyError: The namespace isn't one. Nothing was sent.
            FileExistsError: There is a file at the receipt's path. Nothing was removed.
            OSError: The receipt can't be written.
            AccessDeniedError: Something may not be deleted; the message says how many were.
            ConflictError: The namespace is being written to.
        """
        return self._run(self._purge_memories(namespace, dry_run, receipt), "admin.purge_memories")

    async def apurge_memories(
        self,
        namespace: Sequence[str],
        *,
        dry_run: bool = True,
        receipt: str | os.PathLike[str] | None = None,
    ) -> Purged:
        """`purge_memories`, as a coroutine."""
        return await self._arun(self._purge_memories(namespace, dry_run, receipt), "admin.purge_memories")

    def _purge_memories(
        self, namespace: Sequence[str], dry_run: bool, receipt: str | os.PathLike[str] | None
    ) -> Plan[Purged]:
        subject = Subject.of_memories(Shelf(self._context, STORE), checked_namespace(namespace))
        file = None if receipt is None else ReceiptFile(receipt)
        location = f"s3://{self.config.bucket}/{self.config.prefix}"
        return purge(self._context, subject, self._now, location, file, dry_run=dry_run)

    def _export_memories(
        self, file: FileOrPath, namespace: Sequence[str], progress: Progress | None
    ) -> Plan[ExportedMemories]:
        shelf, wanted, now = Shelf(self._context, STORE), checked_namespace(namespace), self._time()
        return export_memories(shelf, wanted, ExportFile(file), self._now(), now, progress)

    def _import_memories(
        self,
        file: FileOrPath,
        namespace: Sequence[str],
        store: S3Store | None,
        reembed: bool,
        overwrite: bool,
        progress: Progress | None,
    ) -> Plan[ImportedMemories]:
        writer = self._writer(store, reembed=reembed, overwrite=overwrite)
        if reembed and (store is None or store.index_config is None):
            raise InvalidConfigError("reembed=True needs a store with an index.")
        shelf, wanted = Shelf(self._context, STORE), checked_namespace(namespace)
        return import_memories(shelf, wanted, MemoryFile(file), writer, progress)

    def _migrate_memories(
        self,
        source: BaseStore,
        namespace: Sequence[str],
        store: S3Store | None,
        progress: Progress | None,
    ) -> Plan[ImportedMemories]:
        writer = self._writer(store, reembed=True, overwrite=False)
        ttl = None if store is None else default_ttl(store)
        convert = partial(record_of, serde=self._context.serde, ttl=ttl, now=self._time())
        return migrate_memories(SourceStore(source), checked_namespace(namespace), writer, convert, progress)

    def _writer(self, store: S3Store | None, *, reembed: bool, overwrite: bool) -> ItemWriter:
        if store is not None and store.saver is not self._saver:
            raise InvalidConfigError("The store is of another saver: use S3Admin(store.saver).")
        embedder = None if store is None else embedder_of(store)
        shelf = Shelf(self._context, STORE)
        return ItemWriter(shelf, self._time(), embedder, reembed=reembed, overwrite=overwrite)

    def _time(self) -> int:
        return internals_of(self._saver).now()
