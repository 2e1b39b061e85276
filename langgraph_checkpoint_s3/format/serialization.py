"""Values to bytes and back: what a serializer makes of them, and what it means if it can't.

Who can write to the bucket decides what the serializer gets. So whatever it raises becomes a
`CorruptObjectError` or a `DecryptionError`. Neither has the serializer's own error as its cause or
context: that may hold the value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from langgraph.checkpoint.serde.base import SerializerProtocol

from langgraph_checkpoint_s3.errors import CorruptObjectError, DecryptionError, S3CheckpointError
from langgraph_checkpoint_s3.format.codecs import Compression
from langgraph_checkpoint_s3.format.container import Container
from langgraph_checkpoint_s3.format.frames import Value, short_repr

Dumped: TypeAlias = "tuple[str, bytes]"
"""What the serializer makes of a value: its type and its bytes."""

ENCRYPTED: Final = "+"
"""What LangGraph's serializer that encrypts puts into a value's type, before the cipher's name."""


def dump(serde: SerializerProtocol, value: Any) -> Dumped:
    """Serialize a value."""
    kind, raw = serde.dumps_typed(value)
    return kind, raw if type(raw) is bytes else bytes(raw)  # a bytearray may change under our hands


def worthwhile(compression: Compression, kinds: Iterable[str]) -> Compression:
    """How to compress values: not at all what a serializer has encrypted.

    Args:
        compression: How it is done else.
        kinds: The values' types, as the serializer calls them.
    """
    return "none" if any(ENCRYPTED in kind for kind in kinds) else compression


def load(serde: SerializerProtocol, container: Container, value: Value) -> Any:
    """Turn a value's bytes into what they stand for.

    Raises:
        CorruptObjectError: They are damaged, or the serializer can't read them.
        DecryptionError: They are encrypted, and the serializer can't read them.
    """
    raw = container.bytes_of(value)
    try:
        return serde.loads_typed((value.type, raw))
    except (S3CheckpointError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001  # whatever a serializer raises
        why = type(error).__name__
    if ENCRYPTED in value.type:
        raise DecryptionError(
            f"A value is encrypted ({short_repr(value.type)}), and this serializer can't read it ({why}): "
            "use the serde that it was written with, and its key"
        )
    raise CorruptObjectError(
        f"A value of type {short_repr(value.type)} can't be loaded (the serializer raises {why}): use the "
        "serde that it was written with. If it was that one, the object is somebody else's"
    )


def load_map(serde: SerializerProtocol, container: Container, value: Value) -> Mapping[str, Any]:
    """Turn a value's bytes into a map, as metadata and checkpoints are.

    Raises:
        CorruptObjectError: They can't be read, or are something else.
        DecryptionError: They are encrypted, and the serializer can't read them.
    """
    found = load(serde, container, value)
    if not isinstance(found, Mapping):
        raise CorruptObjectError("The object holds something else than its header says")
    return found
