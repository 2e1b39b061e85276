"""The receipt of a purge: what was removed, when, and what a listing showed afterwards, as JSON."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from langgraph_checkpoint_s3.errors import InvalidConfigError
from langgraph_checkpoint_s3.format.keys import EXPORTS, LEASES, TOMBSTONES, Layout
from langgraph_checkpoint_s3.memory.shelf import INDEX, ITEM, STORE
from langgraph_checkpoint_s3.s3.admin_requests import Upload, Version
from langgraph_checkpoint_s3.s3.requests import Entry

FORMAT: Final = "langgraph-checkpoint-s3/purge-receipt"
VERSION: Final = 1

PurgedKind: TypeAlias = Literal[
    "checkpoint", "writes", "lease", "export", "tombstones", "item", "index", "other"
]
PurgedState: TypeAlias = Literal["version", "marker", "upload"]


@dataclass(frozen=True, slots=True)
class PurgedObject:
    """An object's version, a delete marker or an unfinished upload, as a listing showed it.

    Attributes:
        kind: What its key is for: `checkpoint`, `writes`, `lease`, `export`, `tombstones`, `item` or
            `index` of long-term memory, or `other` for a key in the folder that no saver wrote.
        state: `version`, `marker` (a delete marker, without content) or `upload` (an unfinished one).
        key: Its key.
        id: The version's id (`null` without versioning), or the upload's.
        size: Its size in bytes; 0 for a marker, `None` for an upload, whose size S3 doesn't tell.
        etag: Its ETag: the digest of its content that S3 keeps. Empty for a marker or an upload.
        modified: The time at which it was written, or begun, by the store's clock.
    """

    kind: PurgedKind
    state: PurgedState
    key: str
    id: str
    size: int | None
    etag: str
    modified: datetime

    @classmethod
    def of_version(cls, layout: Layout, each: Version) -> PurgedObject:
        """Return a version or a marker."""
        state: PurgedState = "marker" if each.marker else "version"
        kind = kind_of(layout, each.key)
        return cls(kind, state, each.key, each.version_id, each.size, each.etag, each.modified)

    @classmethod
    def of_upload(cls, layout: Layout, each: Upload) -> PurgedObject:
        """Return an unfinished upload."""
        return cls(kind_of(layout, each.key), "upload", each.key, each.upload_id, None, "", each.begun)

    @classmethod
    def of_entry(cls, layout: Layout, each: Entry) -> PurgedObject:
        """Return a current object."""
        return cls(
            kind_of(layout, each.key), "version", each.key, "null", each.size, each.etag, each.modified
        )


@dataclass(frozen=True, slots=True)
class PurgeReceipt:
    """A record of the purge of a thread or of memories, to be kept.

    It names the thread or the namespace, and keys have the ids of checkpoints or items: keep it as
    confidentially as those.

    Attributes:
        thread_id: The thread; empty if it wasn't one.
        place: The bucket and prefix: `s3://bucket/prefix/`.
        dry_run: Whether nothing was removed.
        begun: The time of the first listing, by the store's clock, before anything was removed.
        ended: The time of the end; `None` if the process ended before the purge did.
        listed: The time of the last listing, after the removal. `None` if there was none, as after a failure
            of the store: then it isn't known what was removed, and all of it is in `left`.
        removed: What was removed, in the order of their keys.
        left: What the last listing showed. It is empty after a purge that succeeded.
        kept: What stays on purpose: the thread's tombstones, which are hashes of names of deleted objects,
            until `remove_orphans` removes them.
        unseen: What the store can't list, so that some may be left: `versions`, `uploads`, or nothing.
        error: Why the purge failed; `None` if it didn't.
        writer: The package and version.
        namespace: The namespace of long-term memory, if it was one.
    """

    thread_id: str
    place: str
    dry_run: bool
    begun: datetime
    ended: datetime | None
    listed: datetime | None
    removed: tuple[PurgedObject, ...]
    left: tuple[PurgedObject, ...]
    kept: tuple[PurgedObject, ...]
    unseen: tuple[str, ...]
    error: str | None
    writer: str
    namespace: tuple[str, ...] | None = None

    @property
    def complete(self) -> bool:
        """True if a listing after the removal found nothing of it."""
        return not self.dry_run and self.error is None and self.listed is not None and not self.left

    def to_json(self) -> str:
        """Return the receipt as a JSON document, with times in ISO 8601."""
        document: dict[str, Any] = {"format": FORMAT, "version": VERSION, "complete": self.complete}
        document |= asdict(self)
        if self.namespace is None:
            del document["namespace"]
        return json.dumps(document, indent=2, default=datetime.isoformat) + "\n"


def kind_of(layout: Layout, key: str) -> PurgedKind:
    """Return what a key is for."""
    below = key[len(layout.prefix) :]
    if below.startswith(STORE):
        return "item" if below.endswith(ITEM) else "index" if below.endswith(INDEX) else "other"
    folders: dict[str, PurgedKind] = {EXPORTS: "export", LEASES: "lease", TOMBSTONES: "tombstones"}
    for folder, kind in folders.items():
        if below.startswith(folder):
            return kind
    end = key.rpartition("/")[2].partition(".")[0]
    kinds: dict[str, PurgedKind] = {"checkpoint": "checkpoint", "writes": "writes"}
    return kinds.get(end, "other")


def in_order(objects: Iterable[PurgedObject]) -> tuple[PurgedObject, ...]:
    """Return objects by key, each key's newest first."""
    found = sorted(objects, key=lambda each: each.modified, reverse=True)
    return tuple(sorted(found, key=lambda each: each.key))


class ReceiptFile:
    """A file for a receipt, which only its owner may read. It replaces no file that was there.

    Raises:
        InvalidConfigError: The path isn't one.
    """

    def __init__(self, path: object) -> None:
        if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
            raise InvalidConfigError(f"receipt must be the path of a file to write, not {path!r}.")
        self._path = Path(path)
        self._made = False

    def write(self, receipt: PurgeReceipt) -> None:
        """Write the receipt, in the place of the one that was written before.

        Raises:
            FileExistsError: There was a file already.
            OSError: It can't be written.
        """
        data = receipt.to_json().encode()
        if not self._made:
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            self._made = True
            _fill(handle, data)
            return
        handle, name = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=self._path.parent)
        try:
            _fill(handle, data)
            Path(name).replace(self._path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def _fill(handle: int, data: bytes) -> None:
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
