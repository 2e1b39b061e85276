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

Encrypted objects are rebased when they are imported elsewhere: encrypted again for the thread. If a thread's
name is too long for keys, its objects hold it, and are rewritten too.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, BinaryIO, Final, NamedTuple

from langgraph_checkpoint_s3.admin.transfer.archive import (
    MANIFEST,
    Archive,
    ExportFile,
    FileOrPath,
    InputFile,
    read_manifest,
)
from langgraph_checkpoint_s3.crypto.key_cache import KeyCache
from langgraph_checkpoint_s3.errors import (
    CorruptObjectError,
    InvalidKeyError,
    NotSupportedError,
    S3CheckpointError,
)
from langgraph_checkpoint_s3.format.checkpoint import CheckpointRecord
from langgraph_checkpoint_s3.format.container import Container, object_key_ref
from langgraph_checkpoint_s3.format.frames import text
from langgraph_checkpoint_s3.format.gathered import GatheredRecord
from langgraph_checkpoint_s3.format.key_encoding import HashedName
from langgraph_checkpoint_s3.format.keys import THREAD_SUFFIX, CheckpointLeaf, Layout, ParsedKey
from langgraph_checkpoint_s3.format.reencrypt import Reencryptor
from langgraph_checkpoint_s3.format.scope import NamespaceScope
from langgraph_checkpoint_s3.format.writes import WritesRecord
from langgraph_checkpoint_s3.plans.borrowed import lender_key
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.data_keys import run_calls, unlock_objects
from langgraph_checkpoint_s3.plans.load import error_context, open_object, open_parsed
from langgraph_checkpoint_s3.plans.place import leaf_of, namespace_of
from langgraph_checkpoint_s3.s3.requests import Body

FORMAT: Final = "langgraph-checkpoint-s3/thread"
VERSION: Final = 1

_THREAD: Final = f"x{THREAD_SUFFIX}/"
"""A thread's folder, for parsing members' names as keys."""


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
        fields = read_manifest(raw, FORMAT, VERSION)
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
        self._archive = Archive(file)
        self.manifest = Manifest.unpack(self._archive.manifest)
        self.members: Sequence[Member] = [_member(info) for info in self._archive.members]
        self._check()

    def read(self, member: Member) -> bytes:
        """Return an object's bytes, checked."""
        return self.open(member)[0]

    def keys(self) -> tuple[str, ...]:
        """Return the ids of the keys that its objects are encrypted with. They aren't encrypted."""
        refs = (object_key_ref(self._archive.read(member.name)) for member in self.members)
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

    def open(self, member: Member) -> tuple[bytes, CheckpointRecord | WritesRecord | GatheredRecord]:
        """Return an object's bytes, checked, and their record."""
        body = self._archive.read(member.name)
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
    packed = io.BytesIO()
    file = ExportFile(packed)
    file.open(manifest.pack())
    file.add(objects)
    file.finish()
    return packed.getvalue()


def borrowings_of(member: Member, container: Container) -> list[Borrowing]:
    """Return the frames that an object borrows from others of its file."""
    namespace = member.name.partition("/")[0] + "/"
    frames = ((lender_key(namespace, frame), frame) for frame in container.frames)
    return [
        Borrowing(member.name, lender, (frame.offset, frame.stored, frame.crc))
        for lender, frame in frames
        if lender is not None
    ]


def own_extents(container: Container) -> set[tuple[int, int, int]]:
    """Return the frames that others may borrow from an object: their extents and CRC-32s."""
    return {
        (container.base + frame.offset, frame.stored, frame.crc)
        for frame in container.frames
        if frame.lender is None
    }


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


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} where a count belongs")
    return value


def target_thread(context: Context, file: PortableFile, thread_id: str | None) -> str:
    """Return the thread that a file is imported into: a given one, or its hash, or the file's own."""
    own = file.manifest.thread
    if thread_id is None or (isinstance(thread_id, HashedName) and _same_folder(context, own, thread_id)):
        return own
    if isinstance(thread_id, HashedName):
        raise InvalidKeyError(
            "Keys have but the hash of the thread's name, and objects name their thread: pass its thread_id. "
            "Nothing was written."
        )
    return thread_id


def needs_rebase(context: Context, file: PortableFile, thread_id: str, *, untrusted: bool) -> bool:
    """Return whether a file's objects must be rewritten to be imported into a thread.

    An `untrusted` file may be from someone who doesn't have the keys. Then encrypted objects aren't rebased:
    someone who has other people's objects, but no keys, must not get them into a thread of their own.
    """
    encrypted = [member.parsed.leaf.encrypted for member in file.members]
    hashed = context.layout.names is not None
    if (context.key_cache is not None and not all(encrypted)) or file.manifest.hashed != hashed:
        raise NotSupportedError(
            "The file's objects are not encrypted, or their names not hashed, as this saver's are: import it "
            "with a saver that has the exporting saver's settings, then migrate that to this one. Nothing "
            "was written"
        )
    _check_names(context, file)
    same = _same_folder(context, file.manifest.thread, thread_id)
    if untrusted and any(encrypted) and not (same and file.manifest.place in ("", context.location)):
        raise NotSupportedError(
            "The upload is encrypted for another thread, prefix or bucket, and isn't re-encrypted for this "
            "one: if you trust its origin, download it and call import_thread. Nothing was written"
        )
    must_reencrypt = any(encrypted) and (file.manifest.place != context.location or not same)
    return must_reencrypt or (context.layout.hashes_thread(thread_id) and not same)


def _check_names(context: Context, file: PortableFile) -> None:
    names = context.layout.names
    if names is None:
        return
    name = file.open(file.members[0])[1].container.fields.get("thread")
    if not isinstance(name, str) or names.hash("thread_id", name) != file.manifest.thread:
        raise NotSupportedError(
            "The file's names are hashed with another names_key than this saver's, so nothing in it would be "
            "found: import it with the one that it was exported with, and migrate that. Nothing was written"
        )


def _same_folder(context: Context, one: str, other: str) -> bool:
    return context.layout.thread(one) == context.layout.thread(other)


class RebasedFile:
    """A checked portable file whose objects are rebased, one at a time, when they are read.

    Attributes:
        members: Its objects, with their sizes after rebasing.
        borrowings: What they borrow from one another.

    Raises:
        CorruptObjectError: An object borrows from another one that isn't in the file.
    """

    def __init__(self, file: PortableFile, context: Context, thread_id: str) -> None:
        self._file = file
        self._context = context
        self._folder = context.layout.thread(thread_id)
        self._reencryptor = Reencryptor(thread_id)
        self.borrowings: list[Borrowing] = []
        self.members: Sequence[Member] = [self._measure(member) for member in file.members]

    def read(self, member: Member) -> bytes:
        """Return an object's rebased bytes."""
        _, record = self._file.open(member)
        container = record.container
        scope = self._context.scope(namespace_of(self._folder + member.name))
        with error_context(member.name):
            if not self._reencryptor.has_lenders(container, scope):
                raise CorruptObjectError(
                    "The object borrows from another one that isn't in the file before it, and can't be "
                    "written for another place"
                )
            return self._reencryptor.reencrypt(container, leaf_of(member.name), scope)

    def _measure(self, member: Member) -> Member:
        body = self.read(member)
        record = open_object(self._context, self._folder + member.name, Body(body, "", len(body)))
        self.borrowings += borrowings_of(member, record.container)
        return replace(member, size=len(body))


class ImportFile:
    """A file, or path, to import a thread from.

    Attributes:
        members: Its objects, once it is open.
        borrowings: What they borrow from one another.

    Raises:
        InvalidConfigError: It is neither a path nor a seekable file that is open for reading bytes.
    """

    def __init__(self, file: FileOrPath) -> None:
        self._file = InputFile(file)
        self._source: PortableFile | RebasedFile | None = None
        self.members: Sequence[Member] = ()
        self.borrowings: Sequence[Borrowing] = ()

    def open(self, context: Context, thread_id: str | None, *, untrusted: bool) -> str:
        """Open the file, check all of it, and rebase its objects if needed.

        Returns:
            The thread to import into: the given one, or the file's own.
        """
        portable = PortableFile(self._file.open(), context.key_cache)
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
        self._file.close()
