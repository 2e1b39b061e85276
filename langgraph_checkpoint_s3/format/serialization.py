"""Serialization of values, estimates of their size, and a serializer's failures as this package's errors.

Anyone who can write to the bucket controls what gets deserialized. So whatever the serializer raises becomes
a `CorruptObjectError` or a `DecryptionError`. Neither has the serializer's own error as its cause or context,
since that may hold the value.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sized
from typing import Any, Final, TypeAlias

from langgraph.checkpoint.serde.base import SerializerProtocol

from langgraph_checkpoint_s3.errors import CorruptObjectError, DecryptionError, S3CheckpointError
from langgraph_checkpoint_s3.format.codecs import Compression
from langgraph_checkpoint_s3.format.container import Container
from langgraph_checkpoint_s3.format.frames import Value, short_repr

Dumped: TypeAlias = "tuple[str, bytes]"
"""A serialized value: the serializer's type for it, and its bytes."""

ENCRYPTED_TYPE: Final = "+"
"""Character that LangGraph's `EncryptedSerializer` puts into a value's type, before the cipher's name."""

COALESCE_BELOW: Final = 64 * 1024
"""Bytes below which tasks' writes may share an object: one more of them hardly delays it."""
_ITEM_BYTES: Final = 512
"""Estimated size of an item of a list or map: a short message."""


def dump(serde: SerializerProtocol, value: Any, channel: str | None = None) -> Dumped:
    """Serialize a value. An error of the serializer's gets a note that names the channel."""
    try:
        kind, raw = serde.dumps_typed(value)
    except Exception as error:
        if channel is not None:
            add_note(error, f"The value is of the channel {channel!r}.")
        raise
    return kind, raw if type(raw) is bytes else bytes(raw)  # a bytearray may change later


def add_note(error: Exception, note: str) -> None:
    """Add a note to an error, which its traceback ends with. Before Python 3.11 there are none."""
    if sys.version_info >= (3, 11):
        error.add_note(note)


def compression_for(kinds: Iterable[str], default: Compression) -> Compression:
    """Return the compression for values of these types: `none` if the serializer encrypts them."""
    for kind in kinds:
        if ENCRYPTED_TYPE in kind:
            return "none"
    return default


def load(serde: SerializerProtocol, container: Container, value: Value) -> Any:
    """Deserialize a value.

    Raises:
        CorruptObjectError: It is damaged, or the serializer can't read it.
        DecryptionError: The serializer encrypts, and can't read it.
    """
    return loads(serde, value.type, container.bytes_of(value))


def loads(serde: SerializerProtocol, kind: str, raw: bytes) -> Any:
    """Deserialize a value's bytes.

    Raises:
        CorruptObjectError: The serializer can't read it.
        DecryptionError: The serializer encrypts, and can't read it.
    """
    try:
        return serde.loads_typed((kind, raw))
    except (S3CheckpointError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001  # whatever a serializer raises
        why = type(error).__name__
    if ENCRYPTED_TYPE in kind:
        raise DecryptionError(
            f"A value is encrypted ({short_repr(kind)}), and this serializer can't read it ({why}): "
            "use the serde that it was written with, and its key"
        )
    raise CorruptObjectError(
        f"A value of type {short_repr(kind)} can't be loaded (the serializer raises {why}): use the "
        "serde that it was written with. If it was that one, the object is somebody else's"
    )


def load_map(serde: SerializerProtocol, container: Container, value: Value) -> Mapping[str, Any]:
    """Deserialize a value that must be a map, such as metadata.

    Raises:
        CorruptObjectError: It can't be read, or isn't a map.
        DecryptionError: The serializer encrypts, and can't read it.
    """
    return loads_map(serde, value.type, container.bytes_of(value))


def loads_map(serde: SerializerProtocol, kind: str, raw: bytes) -> dict[str, Any]:
    """Deserialize the bytes of a value that must be a map.

    Raises:
        CorruptObjectError: It can't be read, or isn't a map.
        DecryptionError: The serializer encrypts, and can't read it.
    """
    found = loads(serde, kind, raw)
    if not isinstance(found, dict):
        raise CorruptObjectError("The object holds something else than its header says")
    return found


def estimate_size(values: Iterable[Any]) -> int:
    """Return a rough size of values in bytes, without a look into them.

    Large ones are encoded in a thread, off the event loop.
    """
    return sum(map(_estimate, values))


def _estimate(value: Any) -> int:
    try:
        if not isinstance(value, Sized):
            return 0
        return len(value) * (1 if isinstance(value, (str, bytes, bytearray)) else _ITEM_BYTES)
    except Exception:  # noqa: BLE001  # `len` may raise anything, as for a 0-d array; an estimate mustn't fail
        return 0
