"""Index objects: copies of all items below a folder, so that a search needn't read each of them.

An index is only a cache. A search lists the items, and takes from the index those whose ETag is still that of
the listing. So an index may be old, missing, overwritten by any process, or damaged: it costs requests then,
and never changes an answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgpack

from langgraph_checkpoint_s3.crypto.provider import KeyRef
from langgraph_checkpoint_s3.errors import CorruptObjectError
from langgraph_checkpoint_s3.format.builder import Builder
from langgraph_checkpoint_s3.format.container import open_container
from langgraph_checkpoint_s3.format.frames import pack_value, unpack_value
from langgraph_checkpoint_s3.memory.items import (
    ItemRecord,
    cipher_of_index,
    compression_of,
    record_of,
    row_of,
)
from langgraph_checkpoint_s3.memory.shelf import INDEX, Shelf

_LEAF: Final = "index"
_MAX_ITEM: Final = 256 * 1024
"""Largest item, in bytes, that an index holds. Larger ones are read by themselves."""


class Row(NamedTuple):
    """An item with the ETag of the object that it was read from or written to."""

    etag: str
    record: ItemRecord


def fits_index(record: ItemRecord) -> bool:
    """Return whether an index holds an item, or it is too large for that."""
    return record.size <= _MAX_ITEM


def encode_index(shelf: Shelf, key: str, rows: Mapping[str, Row], key_ref: KeyRef | None) -> bytes:
    """Return the index object of items, by their objects' keys."""
    held = {name: row for name, row in rows.items() if fits_index(row.record)}
    table = msgpack.packb(
        [[name, row.etag, len(row.record.raw), *row_of(row.record)] for name, row in held.items()],
        use_bin_type=True,
    )
    records = [row.record for row in held.values()]
    values = b"".join([record.raw for record in records])
    vectors = b"".join([vector for record in records for _, vector in record.vectors])
    builder = Builder(
        compression_of(records, shelf.context.compression), cipher_of_index(shelf, key, key_ref)
    )
    extents = builder.pack((blob, True) for blob in (table, values, vectors))
    names = ("table", "values", "vectors")
    body, _ = builder.finish(
        {
            "leaf": _LEAF,
            "writer": shelf.context.writer,
            **{name: pack_value("bytes", each) for name, each in zip(names, extents, strict=True)},
        }
    )
    return body


def open_index(shelf: Shelf, key: str, data: bytes) -> dict[str, Row]:
    """Return the rows of an index object, by their objects' keys.

    Raises:
        CorruptObjectError: It is damaged or forged, or another folder's.
        DecryptionError: It is encrypted, and the key is missing or another one; or it isn't, and must be.
    """
    scope = shelf.scope(key)
    container = open_container(data, len(data), scope.cipher_factory(INDEX, _LEAF))
    scope.check(container)
    try:
        blobs = [
            memoryview(container.bytes_of(unpack_value(container.fields[name], container.frames)))
            for name in ("table", "values", "vectors")
        ]
        if container.fields.get("leaf") != _LEAF:
            raise ValueError("it is none of an index")
        table: list[list[Any]] = msgpack.unpackb(blobs[0], raw=False, strict_map_key=True)
        return dict(_rows(shelf, table, _Reader(blobs[1]), _Reader(blobs[2])))
    except (ValueError, TypeError, KeyError, AttributeError, msgpack.UnpackException) as error:
        raise CorruptObjectError(f"The object's header isn't an index's: {error!r}", key=key) from error


class _Reader:
    """Reads pieces of bytes, one after the other."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    def read(self, length: Any) -> bytes:
        if type(length) is not int or length < 0 or self._at + length > len(self._data):
            raise ValueError(f"a piece of {length!r} bytes at {self._at}")
        self._at += length
        return bytes(self._data[self._at - length : self._at])


def _rows(shelf: Shelf, table: list[list[Any]], values: _Reader, vectors: _Reader) -> Any:
    for name, etag, length, *row in table:
        record = record_of(row, values.read(length), [vectors.read(size) for _, size in row[-1]])
        if not isinstance(etag, str) or shelf.key(record.namespace, record.key) != name:
            raise ValueError(f"the row of another item than {name!r}")
        yield name, Row(etag, record)
