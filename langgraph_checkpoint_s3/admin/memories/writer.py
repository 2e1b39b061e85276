"""Writing items that come from elsewhere, beside those that are there: imports and migrations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from langgraph_checkpoint_s3.admin.calls import call
from langgraph_checkpoint_s3.errors import ConflictError
from langgraph_checkpoint_s3.format.serialization import loads_map
from langgraph_checkpoint_s3.memory.embedding import Embedder
from langgraph_checkpoint_s3.memory.index import Row
from langgraph_checkpoint_s3.memory.items import ItemRecord, encode_item
from langgraph_checkpoint_s3.memory.plans import read_items
from langgraph_checkpoint_s3.memory.shelf import Namespace, Shelf
from langgraph_checkpoint_s3.plans.data_keys import key_to_write
from langgraph_checkpoint_s3.plans.plan import Plan, before_encoding
from langgraph_checkpoint_s3.plans.scan import Pages
from langgraph_checkpoint_s3.plans.transfer import store, write_all
from langgraph_checkpoint_s3.s3.requests import Stored

_ROUNDS: Final = 4


@dataclass(frozen=True, slots=True)
class ImportedMemories:
    """The outcome of an import of long-term memory.

    Attributes:
        items: How many items there were to import.
        written: How many of them were written.
        unchanged: How many were there already, as of the same put.
        expired: How many have expired, and were left out.
        kept: The namespaces and keys of those that are newer here, and were left as they are.
    """

    items: int
    written: int
    unchanged: int
    expired: int
    kept: tuple[tuple[Namespace, str], ...]


class ItemWriter:
    """Writes items where there are none, or older ones.

    Args:
        shelf: Where to write.
        now: The time, in ns since 1970.
        embedder: The store's embedder, if it has an index.
        reembed: Whether to embed all items, and not only those whose vectors are of another length.
        overwrite: Whether to replace newer items too; with `reembed` also those that are there already.
    """

    def __init__(
        self, shelf: Shelf, now: int, embedder: Embedder | None, *, reembed: bool, overwrite: bool
    ) -> None:
        self._shelf = shelf
        self._now = now
        self._embedder = embedder
        self._reembed = reembed and embedder is not None
        self._overwrite = overwrite
        self._listed: set[str] = set()
        self._items = self._written = self._unchanged = self._expired = 0
        self._kept: list[tuple[Namespace, str]] = []

    @property
    def outcome(self) -> ImportedMemories:
        """The outcome so far."""
        counts = self._items, self._written, self._unchanged, self._expired
        return ImportedMemories(*counts, tuple(self._kept))

    def look(self, namespace: Namespace) -> Plan[None]:
        """List what is there of a namespace, and of those that begin with it."""
        entries = yield from Pages(self._shelf.folder(namespace)).rest()
        self._listed = {entry.key for entry in entries}

    def write(self, records: Sequence[ItemRecord]) -> Plan[None]:
        """Write those of some items that aren't there, or are older there.

        Raises:
            ConflictError: Others are writing the same items all the time.
        """
        live = [record for record in records if not record.expired(self._now)]
        self._items += len(records)
        self._expired += len(records) - len(live)
        keys = {self._shelf.key(record.namespace, record.key): record for record in live}
        there = yield from read_items(self._shelf, [key for key in keys if key in self._listed])
        chosen: dict[str, ItemRecord] = {}
        for key, record in keys.items():
            row = there.get(key)
            if self._replaces(record, row):
                chosen[key] = record
            elif _is_same_put(record, row):
                self._unchanged += 1
            else:
                self._kept.append((record.namespace, record.key))
        chosen = yield from self._with_vectors(chosen)
        for _ in range(_ROUNDS):
            refused = yield from self._put(chosen, there)
            # Somebody writes these too. Or the answer to our own PUT was lost, and the item is there.
            there = yield from read_items(self._shelf, refused)
            left = {key: chosen[key] for key in refused}
            chosen = {
                key: record for key, record in left.items() if not self._is_settled(record, there.get(key))
            }
            if not chosen:
                return
        raise ConflictError(
            "Others are writing the same items: stop them, and import again", key=next(iter(chosen))
        )

    def _replaces(self, record: ItemRecord, row: Row | None) -> bool:
        if row is None or row.record.expired(self._now) or row.record.updated < record.updated:
            return True
        return self._overwrite and (self._reembed or not _is_same_put(record, row))

    def _is_settled(self, record: ItemRecord, row: Row | None) -> bool:
        """Return whether nothing is left to write in the place of an item that was refused, and count it."""
        if _is_same_put(record, row) and row is not None and row.record.vectors == record.vectors:
            self._written += 1
        elif self._replaces(record, row) or _is_same_put(record, row):
            return False
        else:
            self._kept.append((record.namespace, record.key))
        return True

    def _with_vectors(self, records: dict[str, ItemRecord]) -> Plan[dict[str, ItemRecord]]:
        """Embed items, if the store has an index that their vectors don't fit."""
        embedder = self._embedder
        if embedder is None:
            return records
        size = 4 * embedder.dims
        keys = [
            key
            for key, record in records.items()
            if self._reembed or any(len(vector) != size for _, vector in record.vectors)
        ]
        if not keys:
            return records
        serde = self._shelf.context.serde
        values = [loads_map(serde, records[key].kind, records[key].raw) for key in keys]
        vectors = yield from call(
            partial(embedder.embed_values, values), partial(embedder.aembed_values, values)
        )
        made = {key: records[key]._replace(vectors=each) for key, each in zip(keys, vectors, strict=True)}
        return {**records, **made}

    def _put(self, records: Mapping[str, ItemRecord], there: Mapping[str, Row]) -> Plan[list[str]]:
        """Write items, if there still is what was there. Return the keys of those that were refused."""
        shelf, sizes = self._shelf, self._shelf.context.sizes
        refused: list[str] = []

        def put(key: str, record: ItemRecord, body: bytes) -> Plan[None]:
            expected = there[key].etag if key in there else None
            outcome, _ = yield from store(
                key, body, sizes, only_new=expected is None, expected=expected, raw=len(record.raw)
            )
            if isinstance(outcome, Stored):
                self._written += 1
            else:
                refused.append(key)

        key_ref = (yield from key_to_write(shelf.context)) if records else None
        yield from before_encoding(sum(record.size for record in records.values()))
        plans: list[tuple[int, Plan[None]]] = []
        for key, record in records.items():
            body = encode_item(shelf, record, key_ref)
            plans.append((len(body), put(key, record, body)))
        yield from write_all(plans, sizes)
        return refused


def _is_same_put(record: ItemRecord, row: Row | None) -> bool:
    return row is not None and row.record.updated == record.updated
