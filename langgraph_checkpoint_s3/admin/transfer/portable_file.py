"""The portable file: a thread, or one checkpoint, outside of any bucket.

It is a ZIP archive that any tool can read. Its members are stored, not compressed, since what is in
them is compressed already:

    manifest.json                                                      first; what this is
    {namespace}.ns/{rank}/writes.t{task}.w{slots}                      then the objects' bytes as they are,
    {namespace}.ns/{rank}/checkpoint.p{parent}.k{source}.s{step}       by their key in the thread's folder

    {"format": "langgraph-checkpoint-s3/thread", "version": 1, "thread_id": "customer-42",
     "exported": "2026-01-31T12:00:00+00:00", "writer": "langgraph-checkpoint-s3/0.1.0",
     "checkpoints": 7, "writes": 12}

`checkpoints` and `writes` count the objects, which name their lenders within the namespace: so it may go to
any thread of any bucket. A reader passes over keys of the manifest that it doesn't know. Writes come before
checkpoints, which go from the oldest to the newest, the latest of each namespace last: what was unpacked so
far is the thread's past. Encrypted objects stay so, and are bound to the bucket and prefix that `"place"`
says (`s3://bucket/prefix/`) and to their thread: who brings them into another one seals them anew. Where
names are hashed, `thread_id` is a hash, and `"hashed": true` says so.

A reader refuses, before it gives anything out: what isn't a whole archive, no manifest in the first
place, another format or version, a member that is compressed, encrypted, there twice or not named like an
object of a thread, writes without their checkpoint, other counts than the manifest's, members that
together are larger than the file. And then each object whose CRC-32, header or frames aren't right, or
that lies under another one's name.
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
from langgraph_checkpoint_s3.format.container import Container, sealed_with
from langgraph_checkpoint_s3.format.frames import text
from langgraph_checkpoint_s3.format.key_encoding import HashedName
from langgraph_checkpoint_s3.format.keys import THREAD_SUFFIX, CheckpointLeaf, Layout, ParsedKey
from langgraph_checkpoint_s3.format.scope import NamespaceScope
from langgraph_checkpoint_s3.format.writes import WritesRecord
from langgraph_checkpoint_s3.plans.borrowed import lender_key
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.data_keys import run_calls, unlock_objects
from langgraph_checkpoint_s3.plans.load import leaf_of, namespace_of, open_parsed
from langgraph_checkpoint_s3.s3.requests import Body

FORMAT: Final = "langgraph-checkpoint-s3/thread"
VERSION: Final = 1
MANIFEST: Final = "manifest.json"

_THREAD: Final = f"x{THREAD_SUFFIX}/"
"""Any thread's folder: names are read as keys in it."""
_MOST_MANIFEST: Final = 1024 * 1024
_ENCRYPTED: Final = 1
_READABLE: Final = 0o644 << 16
"""What a member is on disk, if a tool unpacks it."""
_BROKEN: Final = (
    zipfile.BadZipFile,
    EOFError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
    struct.error,
)
"""What zipfile raises for bytes that aren't an archive."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a portable file says of itself.

    Attributes:
        thread_id: The thread that it was made from.
        exported: When, as ISO 8601 has it.
        writer: The package and version that made it.
        checkpoints: How many objects of checkpoints there are in it.
        writes: How many objects of tasks' writes.
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
        """The thread, as layouts take it."""
        return HashedName(self.thread_id) if self.hashed else self.thread_id

    def pack(self) -> bytes:
        """The manifest's bytes."""
        said = {"format": FORMAT, "version": VERSION}
        optional = ("hashed", "place")
        named = ((name, getattr(self, name)) for name in self.__slots__)
        said |= {name: value for name, value in named if value or name not in optional}
        return json.dumps(said, ensure_ascii=True, indent=1).encode()

    @classmethod
    def unpack(cls, raw: bytes) -> Manifest:
        """Read a manifest.

        Raises:
            CorruptObjectError: It isn't one, or of a version that this release can't read.
        """
        try:
            said = json.loads(raw)
            if not isinstance(said, dict) or said.get("format") != FORMAT:
                raise ValueError("it says another format")
        except (ValueError, RecursionError) as error:
            raise CorruptObjectError(f"The file's {MANIFEST} isn't a portable file's: {error}") from error
        if said.get("version") != VERSION:
            raise CorruptObjectError(
                f"The file has version {said.get('version')!r}, and this release reads version {VERSION}. A "
                "newer langgraph-checkpoint-s3 wrote it: upgrade this one"
            )
        try:
            thread_id = text(said["thread_id"])
            thread_id.encode()  # a lone surrogate has no UTF-8 form
            if not thread_id:
                raise ValueError("an empty thread_id")
            counts = _count(said["checkpoints"]), _count(said["writes"])
            hashed = said.get("hashed", False) is True
            place = text(said.get("place", ""))
            return cls(thread_id, text(said["exported"]), text(said["writer"]), *counts, hashed, place)
        except (ValueError, KeyError) as error:
            raise CorruptObjectError(f"The file's {MANIFEST} can't be read: {error!r}") from error


def manifest_of(context: Context, thread_id: str, now: datetime, checkpoints: int, writes: int) -> Manifest:
    """The manifest of what a saver exports. A thread's name that is a secret isn't in it."""
    names = context.layout.names
    name = thread_id if names is None else str.__str__(names.hide("thread_id", thread_id))
    counts = checkpoints, writes
    place = context.place if context.key_cache is not None else ""
    return Manifest(name, now.isoformat(), context.writer, *counts, names is not None, place)


class PortableWriter:
    """Writes a portable file, member by member, and never goes back: a pipe will do.

    Args:
        file: Where to.
        manifest: What it is going to be.
    """

    def __init__(self, file: BinaryIO, manifest: Manifest) -> None:
        self._archive = zipfile.ZipFile(file, "w")
        self.add(MANIFEST, manifest.pack())

    def add(self, name: str, body: bytes) -> None:
        """Add a member."""
        info = zipfile.ZipInfo(name)  # of 1980: equal members are equal bytes
        info.external_attr = _READABLE
        self._archive.writestr(info, body)

    def close(self) -> None:
        """Write the archive's directory: without it, nobody takes the file for whole."""
        self._archive.close()

    def abandon(self) -> None:
        """Leave it without a directory."""
        self._archive.mode = "r"  # or it would write one as soon as it is collected
        self._archive.close()


@dataclass(frozen=True, slots=True)
class Member:
    """An object in a portable file.

    Attributes:
        name: Its key below the thread's folder.
        size: Its length in bytes.
        parsed: What the name says.
    """

    name: str
    size: int
    parsed: ParsedKey

    @property
    def folder(self) -> str:
        """What the names of its checkpoint's objects begin with."""
        return self.name.rpartition("/")[0]

    @property
    def is_checkpoint(self) -> bool:
        """Whether it is a checkpoint, rather than a task's writes."""
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
    """A portable file that was opened: its structure is checked, and its objects are read one by one.

    Attributes:
        manifest: What it says of itself.
        members: Its objects.

    Args:
        file: It. Must be seekable, and stay open.
        key_cache: The keys at hand, for encrypted objects.

    Raises:
        CorruptObjectError: It can't be trusted.
    """

    def __init__(self, file: BinaryIO, key_cache: KeyCache | None = None) -> None:
        self._vault = key_cache
        with _reading():
            self._archive = zipfile.ZipFile(file)
            size = file.seek(0, io.SEEK_END)
        first, *rest = self._archive.infolist() or [zipfile.ZipInfo("")]
        if first.filename != MANIFEST or first.file_size > _MOST_MANIFEST:
            raise CorruptObjectError(f"The archive's first member isn't a {MANIFEST}: not a portable file")
        if any(_is_packed(info) for info in (first, *rest)):
            raise CorruptObjectError(
                "The archive has compressed or encrypted members: a portable file has none"
            )
        if sum(info.file_size for info in (first, *rest)) > size:
            raise CorruptObjectError("The archive's members are together larger than it is")
        self.manifest = Manifest.unpack(self._read(MANIFEST))
        self.members: Sequence[Member] = [_member(info) for info in rest]
        self._check()

    def read(self, member: Member) -> bytes:
        """An object's bytes, checked.

        Raises:
            CorruptObjectError: They aren't those that were written, or another object's.
        """
        return self.open(member)[0]

    def keys(self) -> tuple[str, ...]:
        """The names of the keys that its objects are encrypted with, which stand in the open."""
        refs = (sealed_with(self._read(member.name)) for member in self.members)
        return tuple(dict.fromkeys(ref.id for ref in refs if ref is not None))

    def check(self) -> list[Borrowing]:
        """Read everything once, one object at a time.

        Returns:
            What the objects borrow from one another.

        Raises:
            CorruptObjectError: Something in it is damaged.
        """
        borrowings: list[Borrowing] = []
        for member in self.members:
            borrowings += borrowings_of(member, self.open(member)[1].container)
        return borrowings

    def open(self, member: Member) -> tuple[bytes, CheckpointRecord | WritesRecord]:
        """Return an object's bytes, checked, and what they are.

        Raises:
            CorruptObjectError: They aren't those that were written, or another object's.
        """
        body = self._read(member.name)
        found = Body(body, "", len(body))
        if self._vault is not None:
            run_calls(unlock_objects(self._vault, [body]))
        folder = namespace_of(Layout("").thread(self.manifest.thread) + member.name)
        scope = NamespaceScope(folder, self._vault, place=self.manifest.place)
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
    """A portable file in memory, of objects by their names."""
    file = io.BytesIO()
    writer = PortableWriter(file, manifest)
    for name, body in objects:
        writer.add(name, body)
    writer.close()
    return file.getvalue()


def borrowings_of(member: Member, container: Container) -> list[Borrowing]:
    """Return what an object borrows from others of its file."""
    namespace = member.name.partition("/")[0] + "/"
    frames = ((lender_key(namespace, frame), frame) for frame in container.frames)
    return [
        Borrowing(member.name, lender, (frame.offset, frame.stored, frame.crc))
        for lender, frame in frames
        if lender is not None
    ]


def check_object(container: Container) -> None:
    """Check that an object's frames are as they were written.

    Raises:
        CorruptObjectError: One isn't.
    """
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


def _is_packed(info: zipfile.ZipInfo) -> bool:
    stored = info.compress_type == zipfile.ZIP_STORED and info.compress_size == info.file_size
    return not stored or bool(info.flag_bits & _ENCRYPTED)


@contextmanager
def _reading(name: str | None = None) -> Iterator[None]:
    """Say what is wrong with an archive. What is wrong with the disk is an `OSError` as ever."""
    try:
        yield
    except (*_BROKEN, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # a seek to before the beginning
            raise
        what = f"The archive's member {name!r} is damaged" if name else "The file isn't a whole ZIP archive"
        raise CorruptObjectError(f"{what}: {error}") from error


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} where a count belongs")
    return value
