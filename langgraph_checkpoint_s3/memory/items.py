"""Items as objects: from an item's serialized value and vectors to bytes, and back."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from langgraph_checkpoint_s3.crypto.aead import ObjectCipher
from langgraph_checkpoint_s3.crypto.provider import KeyRef
from langgraph_checkpoint_s3.errors import CorruptObjectError
from langgraph_checkpoint_s3.format.builder import Builder
from langgraph_checkpoint_s3.format.codecs import Compression
from langgraph_checkpoint_s3.format.container import OWN_FRAME, Container, open_container
from langgraph_checkpoint_s3.format.frames import Value, non_negative_int, pack_value, text, unpack_value
from langgraph_checkpoint_s3.format.limits import check_values
from langgraph_checkpoint_s3.format.serialization import compression_for
from langgraph_checkpoint_s3.memory.shelf import Shelf
from langgraph_checkpoint_s3.plans.load import error_context

Vectors: TypeAlias = "tuple[tuple[str, bytes], ...]"
"""Vectors of an item, as float32 bytes, each with the path of its text."""
_LEAF: Final = "item"
_VECTOR: Final = "float32"
_OVERHEAD: Final = 600
"""About how many bytes of memory an item takes beyond its value and vectors."""


class ItemRecord(NamedTuple):
    """An item, its value still serialized.

    Attributes:
        namespace: Its namespace.
        key: Its key.
        kind: The serializer's type of its value.
        raw: Its serialized value.
        updated: When it was put, in ns since 1970.
        ttl: Time after which it expires if nobody reads it, in ns; `None` is never.
        expires: When it expires, in ns since 1970; `None` is never.
        vectors: Its vectors, as float32 bytes, by the path of the text.
    """

    namespace: tuple[str, ...]
    key: str
    kind: str
    raw: bytes
    updated: int
    ttl: int | None = None
    expires: int | None = None
    vectors: Vectors = ()

    @property
    def size(self) -> int:
        """Bytes of memory, about."""
        return _OVERHEAD + len(self.raw) + sum(len(vector) for _, vector in self.vectors)

    def expired(self, now: int) -> bool:
        """Return whether it has expired."""
        return self.expires is not None and self.expires <= now

    def renewed(self, now: int) -> ItemRecord:
        """Return the item with its whole time to live ahead."""
        return self if self.ttl is None else self._replace(expires=now + self.ttl)


def pack_vector(vector: Sequence[float]) -> bytes:
    """Return a vector as float32, little-endian."""
    packed = array("f", vector)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def unpack_vector(packed: bytes) -> array[float]:
    """Return the numbers of a packed vector."""
    vector = array("f")
    vector.frombytes(packed)
    if sys.byteorder == "big":
        vector.byteswap()
    return vector


def encode_item(shelf: Shelf, record: ItemRecord, key_ref: KeyRef | None, token: bytes = b"") -> bytes:
    """Return the object of an item. No other one has the same bytes if there is a random token."""
    key = shelf.key(record.namespace, record.key)
    cipher = shelf.scope(key).cipher(key_ref, _name(key), _LEAF)
    builder = Builder(compression_for([record.kind], shelf.context.compression), cipher)
    blobs = [record.raw, *(vector for _, vector in record.vectors)]
    value, *vectors = builder.pack((blob, len(blob) >= OWN_FRAME) for blob in blobs)
    fields = {
        "ns": list(record.namespace),
        "key": record.key,
        "leaf": _LEAF,
        "created": record.updated,
        "ttl": record.ttl,
        "expires": record.expires,
        "writer": shelf.context.writer,
        "value": pack_value(record.kind, value),
        "vectors": [
            [path, pack_value(_VECTOR, extents)]
            for (path, _), extents in zip(record.vectors, vectors, strict=True)
        ],
        **({"token": token} if token else {}),
    }
    body, _ = builder.finish(fields)
    return body


def open_item(shelf: Shelf, key: str, data: bytes) -> ItemRecord:
    """Read the object of an item.

    Raises:
        CorruptObjectError: It is damaged or forged, or lies under another item's key.
        DecryptionError: It is encrypted, and the key is missing or another one; or it isn't, and must be.
    """
    record = read_record(shelf, key, data)
    if shelf.key(record.namespace, record.key) != key:
        raise CorruptObjectError("The object lies under another one's key: it is another item's", key=key)
    return record


def read_record(shelf: Shelf, key: str, data: bytes) -> ItemRecord:
    """Read the object of an item, whatever its key says.

    Raises:
        CorruptObjectError: It is damaged or forged.
        DecryptionError: It is encrypted, and the key is missing or another one; or it isn't, and must be.
    """
    scope = shelf.scope(key)
    with error_context(key):
        container = open_container(data, len(data), scope.cipher_factory(_name(key), _LEAF))
        scope.check(container)
    fields = container.fields
    try:
        if fields.get("leaf") != _LEAF:
            raise ValueError("it is none of an item")
        value = unpack_value(fields["value"], container.frames)
        vectors = [(text(path), unpack_value(row, container.frames)) for path, row in fields["vectors"]]
        check_values([value, *(vector for _, vector in vectors)], container.frames)
        return ItemRecord(
            tuple(map(text, fields["ns"])),
            text(fields["key"]),
            value.type,
            container.bytes_of(value),
            non_negative_int(fields["created"]),
            _optional(fields["ttl"]),
            _optional(fields["expires"]),
            tuple((path, _vector(container, vector)) for path, vector in vectors),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CorruptObjectError(f"The object's header isn't an item's: {error!r}", key=key) from error


def row_of(record: ItemRecord) -> list[Any]:
    """Return an item as an index has it, without its vectors' bytes."""
    vectors = [[path, len(vector)] for path, vector in record.vectors]
    return [[*record.namespace], record.key, record.kind, record.updated, record.ttl, record.expires, vectors]


def record_of(row: Sequence[Any], raw: bytes, vectors: Iterable[bytes]) -> ItemRecord:
    """Return the item of an index's row.

    Raises:
        ValueError: It isn't one.
    """
    namespace, key, kind, updated, ttl, expires, paths = row
    named = tuple((text(path), vector) for (path, _), vector in zip(paths, vectors, strict=True))
    namespace = tuple(map(text, namespace))
    times = non_negative_int(updated), _optional(ttl), _optional(expires)
    return ItemRecord(namespace, text(key), text(kind), raw, *times, named)


def cipher_of_index(shelf: Shelf, key: str, key_ref: KeyRef | None) -> ObjectCipher | None:
    """Return the cipher of an index's object."""
    return shelf.scope(key).cipher(key_ref, _name(key), "index")


def compression_of(records: Iterable[ItemRecord], compression: Compression) -> Compression:
    """Return the compression for items: `none` if the serializer encrypts one of them."""
    return compression_for((record.kind for record in records), compression)


def _name(key: str) -> str:
    return key.rpartition("/")[2]


def _vector(container: Container, value: Value) -> bytes:
    if value.type != _VECTOR or value.size % 4:
        raise ValueError(f"a vector of {value.size} bytes of {value.type!r}")
    return container.bytes_of(value)


def _optional(number: Any) -> int | None:
    return None if number is None else non_negative_int(number)
