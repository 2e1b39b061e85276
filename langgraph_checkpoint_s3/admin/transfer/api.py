"""Moving threads between buckets and savers."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from langgraph_checkpoint_s3.admin.base import BaseAdmin
from langgraph_checkpoint_s3.admin.calls import Progress, call, in_thread, report, then_close
from langgraph_checkpoint_s3.admin.transfer.archive import ExportFile, FileOrPath, temporary_file
from langgraph_checkpoint_s3.admin.transfer.export_import import (
    Exported,
    Imported,
    export_thread,
    import_thread,
)
from langgraph_checkpoint_s3.admin.transfer.portable_file import ImportFile
from langgraph_checkpoint_s3.admin.usage.threads import all_threads
from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.format.ids import thread_name, unique_thread_ids
from langgraph_checkpoint_s3.plans.plan import Plan
from langgraph_checkpoint_s3.saver import S3Saver


class Transfer(BaseAdmin):
    """Moving threads between buckets and savers."""

    def export_thread(
        self, thread_id: str, file: FileOrPath, *, progress: Progress | None = None
    ) -> Exported:
        """Write a thread into one file, which `import_thread` imports into any thread, prefix and bucket.

        The file has all of the thread's checkpoints, namespaces and pending writes, as they are in the
        bucket: compressed, encrypted if they are, borrowing from one another. It is a ZIP archive, which any
        tool reads.

        Checkpoints may be added meanwhile: the file has those that existed when the export began. Takes one
        LIST per 1,000 objects and one GET per object, 64 of them or 34 MB at a time; memory use is that, or
        one larger object. Each object is checked. Needs `s3:ListBucket` and `s3:GetObject`, and `kms:Decrypt`
        with a KMS key.

        Args:
            thread_id: The thread.
            file: A path, or a file that is open for writing bytes (a pipe will do). At a path, the file
                appears when it is complete, and replaces one that was there.
            progress: Called with the number of objects done and the total.

        Returns:
            The contents of the file.

        Raises:
            InvalidKeyError: There is no such thread.
            ConflictError: Some of it was deleted meanwhile. There is no file; export again.
            CorruptObjectError: An object is damaged. There is no file.
            CheckpointArchivedError: An object is in an offline archive class: `restore_archived` first.
            OSError: The file can't be written.
        """
        name, target = thread_name(thread_id), ExportFile(file)
        plan = export_thread(self._context, name, target, self._now(), progress)
        return self._run(plan, "admin.export_thread")

    async def aexport_thread(
        self, thread_id: str, file: FileOrPath, *, progress: Progress | None = None
    ) -> Exported:
        """`export_thread`, as a coroutine. The file is written in a thread."""
        name, target = thread_name(thread_id), ExportFile(file)
        plan = export_thread(self._context, name, target, self._now(), progress)
        return await self._arun(plan, "admin.export_thread")

    def import_thread(
        self, file: FileOrPath, thread_id: str | None = None, *, progress: Progress | None = None
    ) -> Imported:
        """Import a thread from a file of `export_thread` or `dumps`.

        The whole file is read and checked before anything is written: its structure, and each object's
        CRC-32s, header and name. Pending writes are written first, then checkpoints from the oldest to the
        latest, so that until the end the thread looks like its own past.

        Encrypted objects are bound to their bucket, prefix and thread. For another place they are encrypted
        again, deterministically, with their own data keys.

        Nothing that the thread holds is overwritten. So importing a file twice changes nothing, and an
        import that was interrupted is resumed by importing again. Until then, readers skip objects that
        borrow from missing ones. What S3 acknowledges is durable; it isn't read back.

        If new objects borrow from existing ones that are older than `borrow_horizon`, those are written again
        with the same bytes. Lifecycle rules then don't delete them before what borrows from them.

        Takes one LIST per 1,000 objects that exist, and one PUT for each that doesn't. Needs
        `s3:ListBucket`, `s3:PutObject` and `s3:AbortMultipartUpload`, and `s3:GetObject` to compare objects
        that exist. The author of the file controls what the serializer will load, and which encrypted
        objects are encrypted for this thread: import only trusted files, and use LangGraph's strict msgpack.

        Args:
            file: A path, or a seekable file that is open for reading bytes.
            thread_id: The thread to import into; by default the exported thread's name.
            progress: Called with the number of objects done and the total.

        Returns:
            What was written, and what was kept.

        Raises:
            CorruptObjectError: The file is damaged, incomplete, or not a portable file; or an existing object
                that the file's borrow from is damaged. Nothing was written.
            InvalidKeyError: The thread_id is empty, or keys would be too long. Nothing was written.
            ConflictError: The thread holds other checkpoints with the same ids, from which the file's can't
                borrow (nothing was written: import into another thread), or it is being deleted.
            DecryptionError: The file's objects are encrypted, and their key is missing. Nothing was written.
            NotSupportedError: This saver encrypts objects or hashes names, and the file's aren't. Nothing was
                written.
            OSError: The file can't be read.
        """
        return self._run(self._import_thread(file, thread_id, progress), "admin.import_thread")

    async def aimport_thread(
        self, file: FileOrPath, thread_id: str | None = None, *, progress: Progress | None = None
    ) -> Imported:
        """`import_thread`, as a coroutine. The file is read in a thread."""
        return await self._arun(self._import_thread(file, thread_id, progress), "admin.import_thread")

    def import_threads(
        self, source: S3Saver, thread_ids: Iterable[str] | None = None, *, progress: Progress | None = None
    ) -> list[Imported]:
        """Copy threads from another bucket or prefix, by `export_thread` and `import_thread`.

        Encrypted objects are encrypted again for this bucket and prefix, with their own data keys; both
        savers need the keys. Nothing is deserialized. Stop the agents that use the threads before. The
        source is only read, and nothing here is overwritten: repeating an interrupted copy resumes it. Each
        thread takes a temporary file.

        Needs `s3:ListBucket` and `s3:GetObject` there, and here what `import_thread` needs.

        Args:
            source: The saver of the other bucket or prefix.
            thread_ids: The threads; all of them by default.
            progress: Called with the number of threads done and the total.

        Returns:
            For each thread, what was written, and what was kept.

        Raises:
            InvalidKeyError: There is no such thread, or `thread_ids` is a single id.
            InvalidConfigError: The source is no saver of this package.
            DecryptionError: There are encrypted objects, and their key is missing.
            NotSupportedError: This saver encrypts objects or hashes names, and the source doesn't: use
                `migrate`.
            ConflictError: A thread holds other checkpoints with the same ids here, or is being deleted.
            CorruptObjectError: An object is damaged.
        """
        return self._run(self._import_threads(source, thread_ids, progress), "admin.import_threads")

    async def aimport_threads(
        self, source: S3Saver, thread_ids: Iterable[str] | None = None, *, progress: Progress | None = None
    ) -> list[Imported]:
        """`import_threads`, as a coroutine. Files are read and written in a thread."""
        return await self._arun(self._import_threads(source, thread_ids, progress), "admin.import_threads")

    def _import_thread(
        self, file: FileOrPath, thread_id: str | None, progress: Progress | None
    ) -> Plan[Imported]:
        name = None if thread_id is None else thread_name(thread_id)
        return import_thread(self._context, ImportFile(file), name, progress, self._now())

    def _import_threads(
        self, source: S3Saver, thread_ids: Iterable[str] | None, progress: Progress | None
    ) -> Plan[list[Imported]]:
        names = None if thread_ids is None else list(unique_thread_ids(thread_ids))
        given: object = source
        if not isinstance(given, S3Saver):
            raise InvalidConfigError(
                f"The source must be an S3Saver, not {type(given).__name__}: `migrate` takes any other saver."
            )
        return self._copy_threads(Transfer(source), names, progress)

    def _copy_threads(
        self, source: Transfer, names: list[str] | None, progress: Progress | None
    ) -> Plan[list[Imported]]:
        if names is None:
            # The source has a store of its own, so its plans are run there.
            arguments = all_threads(source._context), "admin.threads"
            names = yield from call(partial(source._run, *arguments), partial(source._arun, *arguments))
        done: list[Imported] = []
        for name in names:
            done.append((yield from self._copy_thread(source, name)))
            yield from report(progress, len(done), len(names))
        return done

    def _copy_thread(self, source: Transfer, name: str) -> Plan[Imported]:
        file = yield from in_thread(temporary_file)

        def copy() -> Plan[Imported]:
            arguments = name, file
            yield from call(
                partial(source.export_thread, *arguments), partial(source.aexport_thread, *arguments)
            )
            return (yield from self._import_thread(file, name, None))

        return (yield from then_close(copy(), file.close))
