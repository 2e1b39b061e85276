"""ZIP archives of objects, written without seeking, and checked when they are read.

The first member is a manifest. The others are objects' bytes as they are: stored, not compressed, since their
content is compressed. What their names mean is the formats' own affair (`portable_file.py`,
`memory_file.py`).
"""

from __future__ import annotations

import errno
import io
import json
import os
import struct
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, TypeAlias, cast

from langgraph_checkpoint_s3.errors import CorruptObjectError, InvalidConfigError

FileOrPath: TypeAlias = "str | os.PathLike[str] | BinaryIO"

MANIFEST: Final = "manifest.json"
_MAX_MANIFEST: Final = 1024 * 1024
_ENCRYPTED: Final = 1
_READABLE: Final = 0o644 << 16
"""File permissions of unpacked members."""
_BROKEN: Final = (
    zipfile.BadZipFile,
    EOFError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
    struct.error,
)
"""The exceptions of zipfile for bytes that aren't an archive."""


def path_or_file(file: FileOrPath, use: Literal["read", "write"]) -> tuple[Path | None, BinaryIO | None]:
    """Return what was given: a path, or a file that is open for reading or writing bytes.

    Raises:
        InvalidConfigError: It is neither.
    """
    if isinstance(file, (str, os.PathLike)):
        return Path(file), None
    if not hasattr(file, use) or hasattr(file, "encoding"):
        raise InvalidConfigError(
            f"The file must be a path, or a file that is open to {use} bytes, not {type(file).__name__}."
        )
    return None, file


class ExportFile:
    """An archive to write, without seeking. At a path, the file appears only when it is finished.

    Raises:
        InvalidConfigError: It is neither a path nor a file that is open for writing bytes.
    """

    def __init__(self, file: FileOrPath) -> None:
        self._path, self._file = path_or_file(file, "write")
        self._temporary: Path | None = None
        self._archive: zipfile.ZipFile | None = None

    def open(self, manifest: bytes) -> None:
        """Open the file, and write the manifest."""
        if self._path is not None:
            handle, name = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=self._path.parent)
            self._temporary, self._file = Path(name), os.fdopen(handle, "wb")
        assert self._file is not None  # noqa: S101  # for mypy
        self._archive = zipfile.ZipFile(self._file, "w")
        self.add([(MANIFEST, manifest)])

    def add(self, objects: Iterable[tuple[str, bytes]]) -> None:
        """Write objects, as names and bodies."""
        assert self._archive is not None  # noqa: S101  # for mypy
        for name, body in objects:
            info = zipfile.ZipInfo(name)  # dated 1980, so that equal members are equal bytes
            info.external_attr = _READABLE
            self._archive.writestr(info, body)

    def finish(self) -> None:
        """Write the archive's directory, without which the file is incomplete, and move it to its path."""
        assert self._archive is not None  # noqa: S101  # for mypy
        assert self._file is not None  # noqa: S101  # for mypy
        self._archive.close()
        self._archive = None
        self._file.flush()
        if self._path is not None and self._temporary is not None:
            os.fsync(self._file.fileno())
            self._file.close()
            self._temporary.replace(self._path)
            self._temporary = None

    def close(self) -> None:
        """Close the file. If `finish` wasn't called, discard partial output."""
        if self._archive is not None:
            self._archive.mode = "r"  # or it would write the directory, now or when it is collected
            self._archive.close()
        if self._path is not None and self._file is not None:
            self._file.close()
        if self._temporary is not None:
            self._temporary.unlink(missing_ok=True)


class InputFile:
    """A file, or path, to read an archive from.

    Raises:
        InvalidConfigError: It is neither a path nor a seekable file that is open for reading bytes.
    """

    def __init__(self, file: FileOrPath) -> None:
        self._path, self._file = path_or_file(file, "read")
        if self._file is not None and not self._file.seekable():
            raise InvalidConfigError("The file must be one that can seek: it is read twice. Save it first.")

    def open(self) -> BinaryIO:
        """Open the file, if it is a path."""
        if self._path is not None:
            self._file = self._path.open("rb")
        assert self._file is not None  # noqa: S101  # for mypy
        return self._file

    def close(self) -> None:
        """Close the file, if it was opened here."""
        if self._path is not None and self._file is not None:
            self._file.close()


class Archive:
    """An opened archive, whose structure is checked.

    Args:
        file: The file, which must be seekable, and stay open.

    Attributes:
        members: The members behind the manifest.
        manifest: The manifest's bytes.

    Raises:
        CorruptObjectError: The file is damaged or incomplete, or not an archive of this kind.
    """

    def __init__(self, file: BinaryIO) -> None:
        with _reading():
            self._archive = zipfile.ZipFile(file)
            size = file.seek(0, io.SEEK_END)
        first, *rest = self._archive.infolist() or [zipfile.ZipInfo("")]
        if first.filename != MANIFEST or first.file_size > _MAX_MANIFEST:
            raise CorruptObjectError(f"The archive's first member isn't a {MANIFEST}: not a portable file")
        if not all(_is_plain(info) for info in (first, *rest)):
            raise CorruptObjectError(
                "The archive has compressed or encrypted members: a portable file has none"
            )
        if sum(info.file_size for info in (first, *rest)) > size:
            raise CorruptObjectError("The archive's members are together larger than it is")
        self.members: Sequence[zipfile.ZipInfo] = rest
        self.manifest = self.read(MANIFEST)

    def read(self, name: str) -> bytes:
        """Return a member's bytes, after comparing them with its CRC-32."""
        with _reading(name):
            return self._archive.read(name)


def read_manifest(raw: bytes, format: str, version: int) -> dict[str, Any]:
    """Return the fields of a manifest.

    Raises:
        CorruptObjectError: It is damaged, or of another format or version.
    """
    try:
        fields = json.loads(raw)
        if not isinstance(fields, dict) or fields.get("format") != format:
            raise ValueError("it says another format")
    except (ValueError, RecursionError) as error:
        raise CorruptObjectError(f"The file's {MANIFEST} isn't a portable file's: {error}") from error
    if fields.get("version") != version:
        raise CorruptObjectError(
            f"The file has version {fields.get('version')!r}, and this release reads version {version}. "
            "A newer langgraph-checkpoint-s3 wrote it: upgrade this one"
        )
    return fields


def temporary_file() -> BinaryIO:
    """Open a temporary file, which is deleted when it is closed."""
    return cast("BinaryIO", tempfile.TemporaryFile())


def _is_plain(info: zipfile.ZipInfo) -> bool:
    stored = info.compress_type == zipfile.ZIP_STORED and info.compress_size == info.file_size
    return stored and not info.flag_bits & _ENCRYPTED


@contextmanager
def _reading(name: str | None = None) -> Iterator[None]:
    """Turn zipfile's exceptions into `CorruptObjectError`. An `OSError` of the disk propagates."""
    try:
        yield
    except (*_BROKEN, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # EINVAL: a negative seek
            raise
        what = f"The archive's member {name!r} is damaged" if name else "The file isn't a whole ZIP archive"
        raise CorruptObjectError(f"{what}: {error}") from error
