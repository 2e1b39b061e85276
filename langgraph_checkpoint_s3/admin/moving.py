"""An admin's operations that move threads between buckets and savers."""

from __future__ import annotations

from collections.abc import Sequence

from langgraph_checkpoint_s3.admin.base import BaseAdmin
from langgraph_checkpoint_s3.admin.files import FileOrPath, Sink, Source, in_thread
from langgraph_checkpoint_s3.admin.plans.moving import Export, Exported, Import, Imported, check_sealing
from langgraph_checkpoint_s3.admin.plans.portable import Loan, PortableFile
from langgraph_checkpoint_s3.admin.plans.progress import Progress, silent
from langgraph_checkpoint_s3.objects.ids import thread_name


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
                (progress or silent)(export.count, export.total)
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
                (progress or silent)(export.count, export.total)
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

        What the thread already holds stays: nothing is overwritten. So importing a file twice changes
        nothing, and an import that was cut short is gone on with by importing again. (Until then, some of
        the objects that were being written at once at that moment may be there without those that they
        borrow from, and can't be read.) What S3 acknowledges is durable; it isn't read back.

        One LIST per 1,000 objects that are there, one PUT for each that isn't. Needs `s3:ListBucket`,
        `s3:PutObject` and `s3:AbortMultipartUpload`, and `s3:GetObject` to compare what is there.
        Whoever made the file decides what the serializer will load: take files from those you trust, or
        run with LangGraph's strict msgpack.

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
            NotSupportedError: The file's objects are encrypted for another thread, or aren't encrypted and
                this saver encrypts. Nothing was written.
            OSError: The file can't be read.
        """
        thread_id = None if thread_id is None else thread_name(thread_id)
        source = Source(file)
        try:
            arriving = self._arriving(source.open(self._context.vault), source.loans, thread_id)
            self._run(arriving.begin())
            while not arriving.done:
                self._run(arriving.write(source.read(arriving.window)))
                (progress or silent)(arriving.count, arriving.total)
        finally:
            source.close()
        return arriving.result

    async def aimport_thread(
        self, file: FileOrPath, thread_id: str | None = None, *, progress: Progress | None = None
    ) -> Imported:
        """`import_thread`, as a coroutine. The file is read in a thread."""
        thread_id = None if thread_id is None else thread_name(thread_id)
        source = Source(file)
        try:
            opened = await in_thread(source.open, self._context.vault)
            arriving = self._arriving(opened, source.loans, thread_id)
            await self._arun(arriving.begin())
            while not arriving.done:
                await self._arun(arriving.write(await in_thread(source.read, arriving.window)))
                (progress or silent)(arriving.count, arriving.total)
        finally:
            await in_thread(source.close)
        return arriving.result

    def _arriving(self, opened: PortableFile, loans: Sequence[Loan], thread_id: str | None) -> Import:
        name = thread_id or opened.manifest.thread
        check_sealing(self._context, opened, name)
        return Import(self._context, name, opened.members, loans)
