"""Buckets, objects and their versions in one SQLite file.

SQLite gives what S3 promises: a write is there as a whole or not at all, and keys are in the order of their
bytes. Any key is possible: long names, and names that differ in case only, are trouble for file systems only.
One process at a time can have the file open. A write that was answered outlives a crash of the process. After
a power failure the newest writes may be missing; the rest is intact.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

FILE = "local-s3.sqlite3"
ADDRESS_FILE = "local-s3.address"
NULL = "null"
"""The id of a version that was written without versioning."""
_FORMAT = 1
_SCHEMA = """
CREATE TABLE bucket (name TEXT PRIMARY KEY, created REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE setting (
    bucket TEXT, name TEXT, id TEXT, document BLOB NOT NULL, PRIMARY KEY (bucket, name, id)
) WITHOUT ROWID;
CREATE TABLE version (
    number INTEGER PRIMARY KEY AUTOINCREMENT, bucket TEXT NOT NULL, key TEXT NOT NULL, id TEXT NOT NULL,
    kind TEXT NOT NULL, latest INTEGER NOT NULL, data INTEGER NOT NULL, size INTEGER NOT NULL,
    etag TEXT NOT NULL, modified REAL NOT NULL, headers TEXT NOT NULL, tags TEXT NOT NULL
);
CREATE INDEX by_key ON version (bucket, key, number DESC);
CREATE UNIQUE INDEX current ON version (bucket, key) WHERE latest;
CREATE TABLE part (
    data INTEGER NOT NULL, number INTEGER NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL,
    body BLOB NOT NULL, UNIQUE (data, number)
);
"""


class StorageError(Exception):
    """The folder can't be used; the message is the reason."""


class Version(NamedTuple):
    """A version of an object, a delete marker, or a multipart upload that is under way.

    Attributes:
        number: Its place in the order of writing.
        bucket: The bucket.
        key: The key.
        id: The id of the version or upload.
        kind: `object`, `marker` or `upload`.
        latest: Whether it is the key's latest version.
        data: The number by which `part` has its bytes.
        size: Bytes.
        etag: The ETag, without quotes.
        modified: When it was written, in seconds since 1970.
        headers: The headers to answer with, as JSON.
        tags: The tags, as a query string.
    """

    number: int
    bucket: str
    key: str
    id: str
    kind: str
    latest: bool
    data: int
    size: int
    etag: str
    modified: float
    headers: str
    tags: str


class Storage:
    """The data of one server.

    Args:
        folder: The folder of the file; created if it is missing.

    Raises:
        StorageError: Another process has the folder, or the file isn't this program's.
    """

    def __init__(self, folder: Path) -> None:
        self._lock = threading.RLock()
        path = folder / FILE
        self._address_file = folder / ADDRESS_FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # No waiting: a server keeps the file until it ends.
            self.sql = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
            self._open()
            self._address_file.unlink(missing_ok=True)  # of a server that was killed
        except (OSError, sqlite3.Error) as error:
            if "locked" in str(error):
                raise StorageError(
                    f"{folder} is in use by another server{self._running_at()}: use that one (set "
                    "S3_ENDPOINT_URL to its address), or stop it"
                ) from error
            raise StorageError(f"{path} can't be used: {error}") from error

    def _open(self) -> None:
        for pragma in (
            "auto_vacuum=FULL",
            "locking_mode=EXCLUSIVE",
            "journal_mode=WAL",
            "synchronous=NORMAL",
        ):
            self.sql.execute(f"PRAGMA {pragma}")
        self.sql.execute("PRAGMA journal_size_limit=67108864")
        with self.transaction():  # takes the lock, which stays until the end
            [[found]] = self.sql.execute("PRAGMA user_version")
            if found not in (0, _FORMAT):
                raise sqlite3.DatabaseError("it was written by another release")
            for statement in _SCHEMA.split(";") if found == 0 else ():
                self.sql.execute(statement)
            self.sql.execute(f"PRAGMA user_version={_FORMAT}")

    def announce(self, address: str) -> None:
        """Note the server's address in the folder, for the error of another server that tries to use it."""
        self._address_file.write_text(address, encoding="utf-8")

    def _running_at(self) -> str:
        """Return the address of the server that has the folder, for an error; empty if it isn't known."""
        try:
            return f" at {self._address_file.read_text(encoding='utf-8')}"
        except (OSError, UnicodeDecodeError):
            return ""

    def close(self) -> None:
        """Close the file, after what is under way."""
        with self._lock:
            self._address_file.unlink(missing_ok=True)
            self.sql.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run the body alone, and undo what it did if it raises."""
        with self._lock:
            self.sql.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self.sql.execute("ROLLBACK")
                raise
            self.sql.execute("COMMIT")

    def buckets(self) -> list[tuple[str, float]]:
        """Return the buckets' names and when they were created, in order."""
        return list(self.sql.execute("SELECT name, created FROM bucket ORDER BY name"))

    def create_bucket(self, name: str) -> bool:
        """Create a bucket, and return False if it is there already."""
        values = (name, time.time())
        return self.sql.execute("INSERT OR IGNORE INTO bucket VALUES (?, ?)", values).rowcount == 1

    def delete_bucket(self, name: str) -> None:
        """Delete an empty bucket with its settings."""
        self.sql.execute("DELETE FROM bucket WHERE name = ?", (name,))
        self.sql.execute("DELETE FROM setting WHERE bucket = ?", (name,))

    def has_bucket(self, name: str) -> bool:
        """Return whether there is such a bucket."""
        return self.sql.execute("SELECT 1 FROM bucket WHERE name = ?", (name,)).fetchone() is not None

    def settings(self, bucket: str, name: str) -> dict[str, bytes]:
        """Return a setting's documents by their ids. The id is empty where a bucket can have but one."""
        where = "WHERE bucket = ? AND name = ? ORDER BY id"
        return dict(self.sql.execute(f"SELECT id, document FROM setting {where}", (bucket, name)))  # noqa: S608  # constant

    def set_setting(self, bucket: str, name: str, id: str, document: bytes | None) -> None:
        """Replace a setting's document, or remove it."""
        self.sql.execute("DELETE FROM setting WHERE bucket = ? AND name = ? AND id = ?", (bucket, name, id))
        if document is not None:
            self.sql.execute("INSERT INTO setting VALUES (?, ?, ?, ?)", (bucket, name, id, document))

    def find(self, bucket: str, key: str, id: str | None = None) -> Version | None:
        """Return a version, or the latest one; it may be a delete marker."""
        which = "latest" if id is None else "id = ? AND kind != 'upload'"
        return self._version(
            f"bucket = ? AND key = ? AND {which}", (bucket, key) if id is None else (bucket, key, id)
        )

    def upload(self, bucket: str, key: str, id: str) -> Version | None:
        """Return a multipart upload that is under way."""
        return self._version("bucket = ? AND key = ? AND id = ? AND kind = 'upload'", (bucket, key, id))

    def _version(self, where: str, values: Sequence[object]) -> Version | None:
        found = self.sql.execute(f"SELECT * FROM version WHERE {where}", values).fetchone()  # noqa: S608  # constants
        return found and Version(*found)

    def versions(self, bucket: str, after: str, behind: int, *, kind: str, limit: int) -> list[Version]:
        """Return what follows a place in the order of keys, the newest of a key first.

        Args:
            bucket: The bucket.
            after: The key of that place.
            behind: Of this key, only versions with a smaller number are returned; 0 is none.
            kind: `current`, `upload`, or `version`, which includes delete markers.
            limit: The most to return.
        """
        kinds = {
            "current": "latest AND kind = 'object'",
            "version": "kind != 'upload'",
            "upload": "kind = 'upload'",
        }
        found = self.sql.execute(
            "SELECT * FROM version WHERE bucket = ? AND key >= ? AND (key > ? OR number < ?) "  # noqa: S608  # a constant follows
            f"AND {kinds[kind]} "
            "ORDER BY key, number DESC LIMIT ?",
            (bucket, after, after, behind, limit),
        )
        return [Version(*row) for row in found]

    def write(
        self,
        bucket: str,
        key: str,
        kind: str,
        *,
        data: int,
        versioned: bool = False,
        size: int = 0,
        etag: str = "",
        headers: str = "{}",
        tags: str = "",
    ) -> Version:
        """Add a version, a marker or an upload. Without `versioned`, it takes the null version's place."""
        is_upload = kind == "upload"
        new_id = secrets.token_urlsafe(24) if versioned or is_upload else NULL
        if not is_upload:
            replaced = self.find(bucket, key, new_id)
            if replaced is not None:
                self.remove(replaced)
            self.sql.execute(
                "UPDATE version SET latest = 0 WHERE bucket = ? AND key = ? AND latest", (bucket, key)
            )
        written = (bucket, key, new_id, kind, not is_upload, data, size, etag, time.time(), headers, tags)
        number = self.sql.execute(
            "INSERT INTO version (bucket, key, id, kind, latest, data, size, etag, modified, headers, tags) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            written,
        ).lastrowid
        return Version(number or 0, *written)

    def remove(self, version: Version, *, and_parts: bool = True) -> None:
        """Remove a version. If it was the latest, the one before it becomes the latest."""
        self.sql.execute("DELETE FROM version WHERE number = ?", (version.number,))
        if and_parts:
            self.sql.execute("DELETE FROM part WHERE data = ?", (version.data,))
        if version.latest:
            self.sql.execute(
                "UPDATE version SET latest = 1 WHERE number = (SELECT max(number) FROM version "
                "WHERE bucket = ? AND key = ? AND kind != 'upload')",
                (version.bucket, version.key),
            )

    def set_tags(self, version: Version, tags: str) -> None:
        """Replace a version's tags."""
        self.sql.execute("UPDATE version SET tags = ? WHERE number = ?", (tags, version.number))

    def add_part(self, data: int, number: int, body: bytes, etag: str) -> None:
        """Store a part, or a whole body as the only one."""
        self.sql.execute(
            "INSERT OR REPLACE INTO part (data, number, size, etag, body) VALUES (?, ?, ?, ?, ?)",
            (data, number, len(body), etag, body),
        )

    def parts(self, data: int) -> dict[int, tuple[int, str]]:
        """Return the size and ETag of each part, by its number, in order."""
        found = self.sql.execute(
            "SELECT number, size, etag FROM part WHERE data = ? ORDER BY number", (data,)
        )
        return {number: (size, etag) for number, size, etag in found}

    def copy_parts(self, source: int, target: int) -> None:
        """Copy all parts of an object."""
        self.sql.execute(
            "INSERT INTO part (data, number, size, etag, body) "
            "SELECT ?, number, size, etag, body FROM part WHERE data = ?",
            (target, source),
        )

    def remove_part(self, data: int, number: int) -> None:
        """Remove a part that was uploaded, and isn't wanted."""
        self.sql.execute("DELETE FROM part WHERE data = ? AND number = ?", (data, number))

    def read(self, data: int, first: int, end: int) -> list[bytes]:
        """Return the bytes from `first` up to `end`."""
        blocks, offset = [], 0
        for number, (size, _) in self.parts(data).items():
            start, stop = max(first - offset, 0), min(end - offset, size)
            if start < stop:
                [block] = self.sql.execute(
                    "SELECT substr(body, ?, ?) FROM part WHERE data = ? AND number = ?",
                    (start + 1, stop - start, data, number),
                ).fetchone()
                blocks.append(block)
            offset += size
        return blocks
