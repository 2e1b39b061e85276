"""The files that threads are exported to and imported from, and how a coroutine uses them."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, TypeAlias, TypeVar, cast

from langgraph_checkpoint_s3.admin.transfer.portable_file import (
    Loan,
    Manifest,
    Member,
    PortableFile,
    PortableWriter,
)
from langgraph_checkpoint_s3.admin.transfer.rebase import Rehoused
from langgraph_checkpoint_s3.crypto.key_cache import KeyCache
from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.plans.context import Context

T = TypeVar("T")

FileOrPath: TypeAlias = "str | os.PathLike[str] | BinaryIO"


class Sink:
    """A file to write a thread into. At a path, it appears when it is finished, or not at all.

    Args:
        file: A path, or a file that is open for writing bytes.

    Raises:
        InvalidConfigError: It is neither.
    """

    def __init__(self, file: FileOrPath) -> None:
        self._path = _path(file, "write")
        self._given = None if self._path else cast("BinaryIO", file)
        self._temporary: Path | None = None
        self._opened: BinaryIO | None = None
        self._writer: PortableWriter | None = None

    def open(self, manifest: Manifest) -> None:
        """Begin."""
        if self._path is not None:
            handle, name = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=self._path.parent)
            self._temporary, self._opened = Path(name), os.fdopen(handle, "wb")
        self._writer = PortableWriter(self._file, manifest)

    def add(self, objects: Sequence[tuple[str, bytes]]) -> None:
        """Write objects, by their names."""
        assert self._writer is not None  # noqa: S101  # for mypy
        for name, body in objects:
            self._writer.add(name, body)

    def finish(self) -> None:
        """End it, and put it where it belongs."""
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
        """Let go of it. What wasn't finished has no end, and at a path there is nothing."""
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


class Source:
    """A file to read a thread from.

    Attributes:
        loans: What its objects borrow from one another, once it is open.

    Args:
        file: A path, or a file that is open for reading bytes.

    Raises:
        InvalidConfigError: It is neither, or can't seek.
    """

    def __init__(self, file: FileOrPath) -> None:
        self._path = _path(file, "read")
        self._given = None if self._path else cast("BinaryIO", file)
        self._opened: BinaryIO | None = None
        self._portable: PortableFile | None = None
        self._rehoused: Rehoused | None = None
        self.loans: Sequence[Loan] = ()
        if self._given is not None and not self._given.seekable():
            raise InvalidConfigError("The file must be one that can seek: it is read twice. Save it first.")

    def open(self, key_cache: KeyCache | None = None) -> PortableFile:
        """Open it, and check all that is in it.

        Args:
            key_cache: The keys at hand, for encrypted objects.

        Raises:
            CorruptObjectError: It can't be trusted.
        """
        if self._path is not None:
            self._opened = self._path.open("rb")
        file = self._opened or self._given
        assert file is not None  # noqa: S101  # for mypy
        self._portable = PortableFile(file, key_cache)
        self.loans = self._portable.check()
        return self._portable

    def rehouse(self, context: Context, thread_id: str) -> None:
        """Have its objects written anew, for a thread of a saver's.

        Raises:
            CorruptObjectError: An object borrows from another one that isn't in the file.
        """
        assert self._portable is not None  # noqa: S101  # for mypy
        self._rehoused = Rehoused(self._portable, context, thread_id)
        self.loans = self._rehoused.loans

    @property
    def members(self) -> Sequence[Member]:
        """Its objects."""
        assert self._portable is not None  # noqa: S101  # for mypy
        return (self._rehoused or self._portable).members

    def read(self, members: Sequence[Member]) -> list[bytes]:
        """The bodies of objects."""
        assert self._portable is not None  # noqa: S101  # for mypy
        return [(self._rehoused or self._portable).read(member) for member in members]

    def close(self) -> None:
        """Let go of it."""
        if self._opened is not None:
            self._opened.close()


def temporary_file() -> BinaryIO:
    """Open a file that is gone once it is closed."""
    return cast("BinaryIO", tempfile.TemporaryFile())


async def in_thread(function: Callable[..., T], *arguments: object) -> T:
    """Run a function in a thread, to its end even if the task is cancelled: a file has one user at a time."""
    running = asyncio.ensure_future(asyncio.to_thread(function, *arguments))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        running.exception()  # or the loop would complain that nobody looked
        raise


def _path(file: FileOrPath, what: str) -> Path | None:
    """A path; `None` for an open file."""
    if isinstance(file, (str, os.PathLike)):
        return Path(file)
    if not hasattr(file, what) or hasattr(file, "encoding"):
        raise InvalidConfigError(
            f"The file must be a path, or a file that is open to {what} bytes, not {type(file).__name__}."
        )
    return None
