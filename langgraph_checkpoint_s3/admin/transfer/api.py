"""An admin's operations that move threads between buckets and savers."""

from __future__ import annotations

from collections.abc import Iterable

from langgraph_checkpoint_s3.admin.base import BaseAdmin
from langgraph_checkpoint_s3.admin.progress import Progress, no_progress
from langgraph_checkpoint_s3.admin.transfer.export_import import Export, Exported, Import, Imported
from langgraph_checkpoint_s3.admin.transfer.files import FileOrPath, Sink, Source, in_thread, temporary_file
from langgraph_checkpoint_s3.admin.transfer.rebase import must_be_rehoused, target_of
from langgraph_checkpoint_s3.admin.usage.usage import Threads
from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.format.ids import thread_name, unique_thread_ids
from langgraph_checkpoint_s3.saver import S3Saver, internals_of


class Moving(BaseAdmin):
    """An admin's operations that move threads between buckets and savers."""

    def export_thread(
        self, thread_id: str, file: FileOrPath, *, progress: Progress | None = None
    ) -> Exported:
        """Write a thread into one file, which `import_thread` brings into any thread, prefix and bucket.

        All of the thread's checkpoints, namespaces and pending writes are in it, as they lie in the
        bucket: compressed, encrypted by the serializer if the saver's does that, borrowing from one another.
        It is a ZIP archive, which any tool reads.

        Who adds checkpoints meanwhile isn't in the way: the file has what was there when the export began.
        One LIST per 1,000 objects and one GET an object, 64 of them or 32 MiB at a time; no more is in
        memory, but for one object that is larger. Each object is checked on its way. Needs
        `s3:ListBucket` and `s3:GetObject`, and `kms:Decrypt` with a KMS key.

        Args:
            thread_id: The thread.
            file: Where to: a path, or a file that is open for writing bytes (a pipe will do). At a path,
                the file appears when it is whole, in the place of one that was there.
            progress: Called with how many objects are done, and how many there are.

        Returns:
            What the file has.

        Raises:
            InvalidKeyError: There is no such thread.
            ConflictError: Some of it was deleted meanwhile. There is no file; export again.
            CorruptObjectError: An object is damaged. There is no file: a copy of it would be of no use.
            CheckpointArchivedError: An object lies in an offline archive class: `restore_archived` first.
            OSError: The file can't be written.
        """
        sink = Sink(file)
        export = Export(self._context, thread_name(thread_id), self._now())
        manifest = self._run(export.begin())
        try:
            sink.open(manifest)
            while not export.done:
                sink.add(self._run(export.more()))
                (progress or no_progress)(export.count, export.total)
            sink.finish()
        finally:
            sink.close()
        return export.result

    async def aexport_thread(
        self, thread_id: str, file: FileOrPath, *, progress: Progress | None = None
    ) -> Exported:
        """`export_thread`, as a coroutine. The file is written in a thread."""
        sink = Sink(file)
        export = Export(self._context, thread_name(thread_id), self._now())
        manifest = await self._arun(export.begin())
        try:
            await in_thread(sink.open, manifest)
            while not export.done:
                await in_thread(sink.add, await self._arun(export.more()))
                (progress or no_progress)(export.count, export.total)
            await in_thread(sink.finish)
        finally:
            await in_thread(sink.close)
        return export.result

    def import_thread(
        self, file: FileOrPath, thread_id: str | None = None, *, progress: Progress | None = None
    ) -> Imported:
        """Bring in a thread from a file that `export_thread` or `dumps` made.

        The whole file is read and checked before anything is written: its structure, and of each object
        the CRC-32s, the header, and that it is what its name says. Then writes go first, checkpoints
        from the oldest on, the latest last, so that until the end the thread looks like its past.

        What is encrypted is bound to its bucket, prefix and thread. For another place it is sealed anew, with
        the data key that it has, and the same each time.

        What the thread already holds stays: nothing is overwritten. So importing a file twice changes
        nothing, and an import that was cut short is gone on with by importing again. Until then, readers pass
        over what lacks an object that it borrows from. What S3 acknowledges is durable; it isn't read back.

        One LIST per 1,000 objects that are there, one PUT for each that isn't. Needs `s3:ListBucket`,
        `s3:PutObject` and `s3:AbortMultipartUpload`, and `s3:GetObject` to compare what is there.
        Whoever made the file decides what the serializer will load, and which encrypted objects are sealed
        for this thread: take files from those you trust, and run with LangGraph's strict msgpack.

        Args:
            file: A path, or a file that is open for reading bytes and can seek.
            thread_id: The thread that it becomes, or becomes a part of; by default that of the same
                name as the exported one.
            progress: Called with how many objects are done, and how many there are.

        Returns:
            What was written, and what was kept.

        Raises:
            CorruptObjectError: The file is damaged, not whole, or not a portable file; or an object that is
                there, from which the file's borrow, is damaged. Nothing was written.
            InvalidKeyError: The thread_id is empty, or keys would be too long. Nothing was written.
            ConflictError: The thread holds other checkpoints of the same ids, from which those of the file
                can't borrow (nothing was written: import into another thread), or somebody deletes it.
            DecryptionError: The file's objects are encrypted, and their key is missing. Nothing was written.
            NotSupportedError: The file's objects aren't encrypted, or their names aren't hashed, and this
                saver does that. Nothing was written.
            OSError: The file can't be read.
        """
        return self._import(file, thread_id, progress)

    async def aimport_thread(
        self, file: FileOrPath, thread_id: str | None = None, *, progress: Progress | None = None
    ) -> Imported:
        """`import_thread`, as a coroutine. The file is read in a thread."""
        return await self._aimport(file, thread_id, progress)

    def _import(
        self, file: FileOrPath, thread_id: str | None, progress: Progress | None, *, handed_in: bool = False
    ) -> Imported:
        thread_id = None if thread_id is None else thread_name(thread_id)
        source = Source(file)
        try:
            arriving = self._arriving(source, thread_id, handed_in)
            self._run(arriving.begin())
            while not arriving.done:
                self._run(arriving.write(source.read(arriving.window)))
                (progress or no_progress)(arriving.count, arriving.total)
        finally:
            source.close()
        return arriving.result

    async def _aimport(
        self, file: FileOrPath, thread_id: str | None, progress: Progress | None, *, handed_in: bool = False
    ) -> Imported:
        thread_id = None if thread_id is None else thread_name(thread_id)
        source = Source(file)
        try:
            arriving = await in_thread(self._arriving, source, thread_id, handed_in)
            await self._arun(arriving.begin())
            while not arriving.done:
                await self._arun(arriving.write(await in_thread(source.read, arriving.window)))
                (progress or no_progress)(arriving.count, arriving.total)
        finally:
            await in_thread(source.close)
        return arriving.result

    def import_threads(
        self,
        source: S3Saver,
        thread_ids: Iterable[str] | None = None,
        *,
        progress: Progress | None = None,
    ) -> list[Imported]:
        """Bring in threads of another bucket or prefix, as they lie there: `export_thread`, `import_thread`.

        What is encrypted is sealed anew for this bucket and prefix, under the data key that it has; both
        savers need the keys. Nothing is deserialized. Stop the agents that use the threads before. Nothing
        that is here is overwritten, and the source is only read: doing it again goes on where it was cut
        short. Each thread's file is a temporary one.

        Needs `s3:ListBucket` and `s3:GetObject` there, and here what `import_thread` needs.

        Args:
            source: The saver of the other bucket or prefix.
            thread_ids: The threads; all of them by default.
            progress: Called with how many threads are done, and how many there are.

        Returns:
            Of each thread, what was written, and what was kept.

        Raises:
            InvalidKeyError: There is no such thread, or `thread_ids` is a single id.
            InvalidConfigError: The source is no saver of this package.
            DecryptionError: There are encrypted objects, and their key is missing.
            NotSupportedError: This saver encrypts, or hashes names, and the source doesn't: `migrate` does
                that.
            ConflictError: A thread holds other checkpoints of the same ids here, or somebody deletes it.
            CorruptObjectError: An object is damaged.
        """
        names = _all(thread_ids)
        there = _admin_of(source)
        if names is None:
            store, context, _ = internals_of(source)
            names, listing = [], Threads(context)
            while not listing.done:
                names += store.run(listing.page(), "admin.threads")
        done: list[Imported] = []
        for name in names:
            with temporary_file() as file:
                there.export_thread(name, file)
                done.append(self.import_thread(file, name))
            (progress or no_progress)(len(done), len(names))
        return done

    async def aimport_threads(
        self,
        source: S3Saver,
        thread_ids: Iterable[str] | None = None,
        *,
        progress: Progress | None = None,
    ) -> list[Imported]:
        """`import_threads`, as a coroutine. Files are read and written in a thread."""
        names = _all(thread_ids)
        there = _admin_of(source)
        if names is None:
            store, context, _ = internals_of(source)
            names, listing = [], Threads(context)
            while not listing.done:
                names += await store.arun(listing.page(), "admin.threads")
        done: list[Imported] = []
        for name in names:
            file = await in_thread(temporary_file)
            try:
                await there.aexport_thread(name, file)
                done.append(await self.aimport_thread(file, name))
            finally:
                await in_thread(file.close)
            (progress or no_progress)(len(done), len(names))
        return done

    def _arriving(self, source: Source, thread_id: str | None, handed_in: bool) -> Import:
        """Check a file, and have its objects as they are to be in the thread."""
        opened = source.open(self._context.key_cache)
        name = target_of(self._context, opened, thread_id)
        if must_be_rehoused(self._context, opened, name, handed_in=handed_in):
            source.rehouse(self._context, name)
        return Import(self._context, name, source.members, source.loans)


def _admin_of(source: S3Saver) -> Moving:
    given: object = source
    if not isinstance(given, S3Saver):
        raise InvalidConfigError(
            f"The source must be an S3Saver, not {type(given).__name__}: `migrate` takes any other saver."
        )
    return Moving(given)


def _all(thread_ids: Iterable[str] | None) -> list[str] | None:
    """Return the threads that are named, each once."""
    return None if thread_ids is None else list(unique_thread_ids(thread_ids))
