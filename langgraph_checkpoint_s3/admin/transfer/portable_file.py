"""The portable file: a thread, or one checkpoint, outside of any bucket.

It is a ZIP archive. Its members are stored, not compressed, since their content is compressed:

    manifest.json                                                      first
    {namespace}.ns/{rank}/writes.t{task}.w{slots}                      then the objects' bytes as they are,
    {namespace}.ns/{rank}/checkpoint.p{parent}.k{source}.s{step}       by their key in the thread's folder

    {"format": "langgraph-checkpoint-s3/thread", "version": 1, "thread_id": "customer-42",
     "exported": "2026-01-31T12:00:00+00:00", "writer": "langgraph-checkpoint-s3/0.1.0",
     "checkpoints": 7, "writes": 12}

`checkpoints` and `writes` count the objects. Objects name their lenders within the namespace, so the file can
be imported into any thread of any bucket. Readers ignore unknown keys of the manifest. Writes come before
checkpoints, which are sorted from the oldest to each namespace's latest, so that a file that is partly
unpacked is the thread's past. Encrypted objects are bound to the bucket and prefix in `"place"`
(`s3://bucket/prefix/`), and to their thread: an import into another one encrypts them again. If names are
hashed, `thread_id` is a hash, and `"hashed": true` says so.

A reader first refuses an incomplete archive, one whose first member isn't the manifest, another format or
version, members that are compressed, encrypted, duplicate or not named like a thread's objects, writes
without their checkpoint, other counts than the manifest's, and members that are together larger than the
file. Then it refuses each object whose CRC-32, header or frames are wrong, or that has another one's name.
"""

from __future__ import annotations

import errno
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO, Final, NamedTuple

from langgraph_checkpoint_s3.crypto.key_cache import KeyCache
from langgraph_checkpoint_s3.errors import CorruptObjectError, S3CheckpointError
from langgraph_checkpoint_s3.format.checkpoint import CheckpointRecord
from langgraph_checkpoint_s3.format.container import Container, object_key_ref
from langgraph_checkpoint_s3.format.frames import text
from langgraph_checkpoint_s3.format.key_encoding import HashedName
from langgraph_checkpoint_s3.format.keys import THREAD_SUFFIX, CheckpointLeaf, Layout, ParsedKey
from langgraph_checkpoint_s3.format.scope import NamespaceScope
from langgraph_checkpoint_s3.format.writes import WritesRecord
from langgraph_checkpoint_s3.plans.borrowed import lender_key
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.data_keys import run_calls, unlock_objects
from langgraph_checkpoint_s3.plans.load import open_parsed
from langgraph_checkpoint_s3.plans.place import leaf_of, namespace_of
from langgraph_checkpoint_s3.s3.requests import Body

FORMAT: Final = "langgraph-checkpoint-s3/thread"
VERSION: Final = 1
MANIFEST: Final = "manifest.json"

_THREAD: Final = f"x{THREAD_SUFFIX}/"
"""A thread's folder, for parsing members' names as keys."""
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


@dataclass(frozen=True, slots=True)
class Manifest:
    """The manifest of a portable file.

    Attributes:
        thread_id: The exported thread.
        exported: The time of the export, in ISO 8601.
        writer: The package and version that wrote the file.
        checkpoints: The number of objects of checkpoints.
        writes: The number of objects of tasks' writes.
        hashed: Whether the thread_id, and the names in the members' names, are keyed hashes.
        place: The bucket and prefix that its objects are bound to, if they are encrypted.
    """

    thread_id: str
    exported: str
    writer: str
    checkpoints: int
    writes: int
    hashed: bool = False
    place: str = ""

    @property
    def thread(self) -> str:
        """The thread, as a name for layouts."""
        return HashedName(self.thread_id) if self.hashed else self.thread_id

    def pack(self) -> bytes:
        """Return the manifest's bytes."""
        fields = {"format": FORMAT, "version": VERSION}
        optional = ("hashed", "place")
        named = ((name, getattr(self, name)) for name in self.__slots__)
        fields |= {name: value for name, value in named if value or name not in optional}
        return json.dumps(fields, ensure_ascii=True, indent=1).encode()

    @classmethod
    def unpack(cls, raw: bytes) -> Manifest:
        """Read a manifest."""
        try:
            fields = json.loads(raw)
            if not isinstance(fields, dict) or fields.get("format") != FORMAT:
                raise ValueError("it says another format")
        except (ValueError, RecursionError) as error:
            raise CorruptObjectError(f"The file's {MANIFEST} isn't a portable file's: {error}") from error
        if fields.get("version") != VERSION:
            raise CorruptObjectError(
                f"The file has version {fields.get('version')!r}, and this release reads version {VERSION}. "
                "A newer langgraph-checkpoint-s3 wrote it: upgrade this one"
            )
        try:
            thread_id = text(fields["thread_id"])
            thread_id.encode()  # a lone surrogate has no UTF-8 form
            if not thread_id:
                raise ValueError("an empty thread_id")
            counts = _count(fields["checkpoints"]), _count(fields["writes"])
            hashed = fields.get("hashed", False) is True
            place = text(fields.get("place", ""))
            return cls(thread_id, text(fields["exported"]), text(fields["writer"]), *counts, hashed, place)
        except (ValueError, KeyError) as error:
            raise CorruptObjectError(f"The file's {MANIFEST} can't be read: {error!r}") from error


def manifest_of(context: Context, thread_id: str, now: datetime, checkpoints: int, writes: int) -> Manifest:
    """Return the manifest of an export. With hashed names it has only the hash of the thread's."""
    names = context.layout.names
    name = thread_id if names is None else str.__str__(names.hash("thread_id", thread_id))
    counts = checkpoints, writes
    place = context.location if context.key_cache is not None else ""
    return Manifest(name, now.isoformat(), context.writer, *counts, names is not None, place)


class PortableWriter:
    """Writes a portable file member by member, without seeking."""

    def __init__(self, file: BinaryIO, manifest: Manifest) -> None:
        self._archive = zipfile.ZipFile(file, "w")
        self.add(MANIFEST, manifest.pack())

    def add(self, name: str, body: bytes) -> None:
        """Add a member."""
        info = zipfile.ZipInfo(name)  # dated 1980, so that equal members are equal bytes
        info.external_attr = _READABLE
        self._archive.writestr(info, body)

    def close(self) -> None:
        """Write the archive's directory, without which the file is incomplete."""
        self._archive.close()

    def abandon(self) -> None:
        """Close the archive without a directory."""
        self._archive.mode = "r"  # or it would write the directory when it is collected
        self._archive.close()


@dataclass(frozen=True, slots=True)
class Member:
    """An object in a portable file.

    Attributes:
        name: Its key below the thread's folder.
        size: Its size in bytes.
        parsed: Its parsed name.
    """

    name: str
    size: int
    parsed: ParsedKey

    @property
    def folder(self) -> str:
        """The folder of its checkpoint's objects."""
        return self.name.rpartition("/")[0]

    @property
    def is_checkpoint(self) -> bool:
        """True if it is a checkpoint, rather than a task's writes."""
        return isinstance(self.parsed.leaf, CheckpointLeaf)


class Borrowing(NamedTuple):
    """A frame that an object borrows from another one.

    Attributes:
        borrower: The borrowing object's name.
        lender: The lending object's name.
        extent: The frame's offset in the lender, its stored size, and its CRC-32.
    """

    borrower: str
    lender: str
    extent: tuple[int, int, int]


class PortableFile:
    """An opened portable file. Its structure is checked, and its objects are read one by one.

    Args:
        file: The file, which must be seekable, and stay open.
        key_cache: The keys of encrypted objects.

    Raises:
        CorruptObjectError: The file is damaged, or isn't a portable file.
    """

    def __init__(self, file: BinaryIO, key_cache: KeyCache | None = None) -> None:
        self._key_cache = key_cache
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
        self.manifest = Manifest.unpack(self._read(MANIFEST))
        self.members: Sequence[Member] = [_member(info) for info in rest]
        self._check()

    def read(self, member: Member) -> bytes:
        """Return an object's bytes, checked."""
        return self.open(member)[0]

    def keys(self) -> tuple[str, ...]:
        """Return the ids of the keys that its objects are encrypted with. They aren't encrypted."""
        refs = (object_key_ref(self._read(member.name)) for member in self.members)
        return tuple(dict.fromkeys(ref.id for ref in refs if ref is not None))

    def check(self) -> list[Borrowing]:
        """Read and check all objects, one at a time.

        Returns:
            What the objects borrow from one another.
        """
        borrowings: list[Borrowing] = []
        for member in self.members:
            borrowings += borrowings_of(member, self.open(member)[1].container)
        return borrowings

    def open(self, member: Member) -> tuple[bytes, CheckpointRecord | WritesRecord]:
        """Return an object's bytes, checked, and their record."""
        body = self._read(member.name)
        found = Body(body, "", len(body))
        if self._key_cache is not None:
            run_calls(unlock_objects(self._key_cache, [body]))
        folder = namespace_of(Layout("").thread(self.manifest.thread) + member.name)
        scope = NamespaceScope(folder, self._key_cache, place=self.manifest.place)
        try:
            record = open_parsed(member.parsed, leaf_of(member.name), found, scope)
            check_object(record.container)
        except S3CheckpointError as error:
            error.key = member.name
            raise
        return body, record

    def _read(self, name: str) -> bytes:
        with _reading(name):
            return self._archive.read(name)

    def _check(self) -> None:
        names = {member.name for member in self.members}
        if len(names) < len(self.members):
            raise CorruptObjectError("The archive has a member twice")
        folders = {member.folder for member in self.members if member.is_checkpoint}
        if any(member.folder not in folders for member in self.members):
            raise CorruptObjectError("The file has writes of a checkpoint that isn't in it")
        checkpoints = sum(member.is_checkpoint for member in self.members)
        found = (checkpoints, len(self.members) - checkpoints)
        if found != (self.manifest.checkpoints, self.manifest.writes) or not checkpoints:
            raise CorruptObjectError(
                f"The file has {found[0]} checkpoints and {found[1]} objects of writes, and its manifest "
                f"says {self.manifest.checkpoints} and {self.manifest.writes}"
            )


def pack(manifest: Manifest, objects: Iterable[tuple[str, bytes]]) -> bytes:
    """Return the bytes of a portable file of objects."""
    file = io.BytesIO()
    writer = PortableWriter(file, manifest)
    for name, body in objects:
        writer.add(name, body)
    writer.close()
    return file.getvalue()


def borrowings_of(member: Member, container: Container) -> list[Borrowing]:
    """Return the frames that an object borrows from others of its file."""
    namespace = member.name.partition("/")[0] + "/"
    frames = ((lender_key(namespace, frame), frame) for frame in container.frames)
    return [
        Borrowing(member.name, lender, (frame.offset, frame.stored, frame.crc))
        for lender, frame in frames
        if lender is not None
    ]


def check_object(container: Container) -> None:
    """Check the CRC-32s of an object's frames."""
    for number, frame in enumerate(container.frames):
        start = container.base + frame.offset
        if frame.lender is None and zlib.crc32(container.data[start : start + frame.stored]) != frame.crc:
            raise CorruptObjectError(f"Frame {number} is damaged: its CRC-32 differs")


def _member(info: zipfile.ZipInfo) -> Member:
    try:
        return Member(info.filename, info.file_size, Layout("").parse(_THREAD + info.orig_filename))
    except CorruptObjectError as error:
        raise CorruptObjectError(
            f"The archive's member {info.filename!r} isn't named like an object of a thread"
        ) from error


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


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} where a count belongs")
    return value
