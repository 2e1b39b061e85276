"""The file of exported memories: items of long-term memory outside of any bucket.

It is a ZIP archive as that of an exported thread (`transfer/archive.py`):

    manifest.json                  first
    {label}/{label}/{key}.item     then the objects' bytes as they are, by their keys below `.store/`

    {"format": "langgraph-checkpoint-s3/memories", "version": 1, "exported": "2026-01-31T12:00:00+00:00",
     "writer": "langgraph-checkpoint-s3/0.1.0"}

Objects have their namespace, key, times and vectors in them, so that they can be imported under any prefix of
any bucket. Encrypted ones are bound to the bucket and prefix in `"place"` (`s3://bucket/prefix/`). Readers
ignore unknown keys of the manifest.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Final

from langgraph_checkpoint_s3.admin.transfer.archive import Archive, FileOrPath, InputFile, read_manifest
from langgraph_checkpoint_s3.errors import CorruptObjectError
from langgraph_checkpoint_s3.format.frames import text
from langgraph_checkpoint_s3.format.keys import Layout
from langgraph_checkpoint_s3.memory.items import ItemRecord, read_record
from langgraph_checkpoint_s3.memory.shelf import ITEM, STORE, Namespace, Shelf
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.data_keys import run_calls, unlock_objects
from langgraph_checkpoint_s3.s3.requests import Entry

FORMAT: Final = "langgraph-checkpoint-s3/memories"
VERSION: Final = 1
_NEVER: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)


def pack_manifest(context: Context, now: datetime) -> bytes:
    """Return the manifest of an export."""
    fields = {"format": FORMAT, "version": VERSION, "exported": now.isoformat(), "writer": context.writer}
    if context.key_cache is not None:
        fields["place"] = context.location
    return json.dumps(fields, indent=1).encode()


class MemoryFile:
    """A file, or path, to import memories from.

    Raises:
        InvalidConfigError: It is neither a path nor a seekable file that is open for reading bytes.
    """

    def __init__(self, file: FileOrPath) -> None:
        self._file = InputFile(file)

    def open(self, target: Shelf, namespace: Namespace) -> list[Entry]:
        """Open the file, and check all of it.

        Args:
            target: Where its items are imported.
            namespace: The labels with which the namespaces of the wanted items begin.

        Returns:
            The members that are wanted.

        Raises:
            CorruptObjectError: The file is damaged, incomplete, or not one of memories.
            DecryptionError: Its objects are encrypted, and their key is missing.
            InvalidKeyError: An item's key would be too long.
        """
        context = target.context
        self._archive = Archive(self._file.open())
        fields = read_manifest(self._archive.manifest, FORMAT, VERSION)
        try:
            place = text(fields.get("place", ""))
        except ValueError as error:
            raise CorruptObjectError(f"The file's manifest can't be read: {error!r}") from error
        self._shelf = Shelf(context._replace(layout=Layout(""), location=place), STORE)
        wanted: list[Entry] = []
        keys: set[str] = set()
        for member in self._archive.members:
            [record] = self.read([member.filename])
            key = target.key(record.namespace, record.key)
            if key in keys:
                raise CorruptObjectError("The archive has an item twice", key=member.filename)
            keys.add(key)
            if record.namespace[: len(namespace)] == namespace:
                wanted.append(Entry(member.filename, member.file_size, "", _NEVER))
        return wanted

    def read(self, names: Iterable[str]) -> list[ItemRecord]:
        """Return the items of members."""
        return [self._read(name) for name in names]

    def close(self) -> None:
        """Close the file, if it was opened here."""
        self._file.close()

    def _read(self, name: str) -> ItemRecord:
        body = self._archive.read(name)
        if not name.endswith(ITEM):
            raise CorruptObjectError("The archive's member isn't named like an item", key=name)
        if self._shelf.context.key_cache is not None:
            run_calls(unlock_objects(self._shelf.context.key_cache, [body]))
        return read_record(self._shelf, STORE + name, body)
