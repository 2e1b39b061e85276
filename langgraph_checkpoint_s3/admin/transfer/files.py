"""The files that threads are exported to and imported from."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, TypeAlias, cast

from langgraph_checkpoint_s3.admin.transfer.portable_file import (
    Borrowing,
    Manifest,
    Member,
    PortableFile,
    PortableWriter,
)
from langgraph_checkpoint_s3.admin.transfer.rebase import RebasedFile, needs_rebase, target_thread
from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.plans.context import Context

FileOrPath: TypeAlias = "str | os.PathLike[str] | BinaryIO"


class ExportFile:
    """A file, or path, to export a thread into. At a path, the file appears only when it is finished.

    Raises:
        InvalidConfigError: It is neither a path nor a file that is open for writing bytes.
    """

    def __init__(self, file: FileOrPath) -> None:
        self._path = _path(file, "write")
        self._given = None if self._path else cast("BinaryIO", file)
        self._temporary: Path | None = None
        self._opened: BinaryIO | None = None
        self._writer: PortableWriter | None = None

    def open(self, manifest: Manifest) -> None:
        """Open the file, and write the manifest."""
        if self._path is not None:
            handle, name = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=self._path.parent)
            self._temporary, self._opened = Path(name), os.fdopen(handle, "wb")
        self._writer = PortableWriter(self._file, manifest)

    def add(self, objects: Sequence[tuple[str, bytes]]) -> None:
        """Write objects, as names and bodies."""
        assert self._writer is not None  # noqa: S101  # for mypy
        for name, body in objects:
            self._writer.add(name, body)

    def finish(self) -> None:
        """Complete the archive, and move it to its path."""
        assert self._writer is not None  # noqa: S101  # for mypy
        self._writer.close()
        self._writer = None
        self._file.flush()
        if self._path is not None and self._temporary is not None:
            os.fsync(self._file.fileno())
            self._file.close()
            self._temporary.replace(self._path)
            self._temporary = None

    def close(self) -> None:
        """Close the file. If `finish` wasn't called, discard partial output."""
        if self._writer is not None:
            self._writer.abandon()
        if self._opened is not None:
            self._opened.close()
        if self._temporary is not None:
            self._temporary.unlink(missing_ok=True)

    @property
    def _file(self) -> BinaryIO:
        file = self._opened or self._given
        assert file is not None  # noqa: S101  # for mypy
        return file


class ImportFile:
    """A file, or path, to import a thread from.

    Attributes:
        members: Its objects, once it is open.
        borrowings: What they borrow from one another.

    Raises:
        InvalidConfigError: It is neither a path nor a seekable file that is open for reading bytes.
    """

    def __init__(self, file: FileOrPath) -> None:
        self._path = _path(file, "read")
        self._given = None if self._path else cast("BinaryIO", file)
        self._opened: BinaryIO | None = None
        self._source: PortableFile | RebasedFile | None = None
        self.members: Sequence[Member] = ()
        self.borrowings: Sequence[Borrowing] = ()
        if self._given is not None and not self._given.seekable():
            raise InvalidConfigError("The file must be one that can seek: it is read twice. Save it first.")

    def open(self, context: Context, thread_id: str | None, *, untrusted: bool) -> str:
        """Open the file, check all of it, and rebase its objects if needed.

        Returns:
            The thread to import into: the given one, or the file's own.
        """
        if self._path is not None:
            self._opened = self._path.open("rb")
        file = self._opened or self._given
        assert file is not None  # noqa: S101  # for mypy
        portable = PortableFile(file, context.key_cache)
        self._source, self.borrowings = portable, portable.check()
        target = target_thread(context, portable, thread_id)
        if needs_rebase(context, portable, target, untrusted=untrusted):
            self._source = RebasedFile(portable, context, target)
            self.borrowings = self._source.borrowings
        self.members = self._source.members
        return target

    def read(self, members: Sequence[Member]) -> list[bytes]:
        """Return the bodies of objects."""
        assert self._source is not None  # noqa: S101  # for mypy
        return [self._source.read(member) for member in members]

    def close(self) -> None:
        """Close the file, if it was opened here."""
        if self._opened is not None:
            self._opened.close()


def temporary_file() -> BinaryIO:
    """Open a temporary file, which is deleted when it is closed."""
    return cast("BinaryIO", tempfile.TemporaryFile())


def _path(file: FileOrPath, what: str) -> Path | None:
    """Return a path; `None` for an open file."""
    if isinstance(file, (str, os.PathLike)):
        return Path(file)
    if not hasattr(file, what) or hasattr(file, "encoding"):
        raise InvalidConfigError(
            f"The file must be a path, or a file that is open to {what} bytes, not {type(file).__name__}."
        )
    return None
