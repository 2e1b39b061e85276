"""Gathered writes: all that delta channels of a checkpoint are rebuilt from, in one object beside it.

LangGraph rebuilds a delta channel from the writes of the checkpoint's ancestors, back to the nearest stored
value. Pruning copies these writes and that value, as the serializer made them, and deletes the ancestors.
Such an object is complete for the channels that it names: whoever finds it reads no ancestor for them. It is
never changed, and it depends on nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from langgraph_checkpoint_s3.crypto.aead import ObjectCipher
from langgraph_checkpoint_s3.errors import CorruptObjectError
from langgraph_checkpoint_s3.format.builder import Builder
from langgraph_checkpoint_s3.format.checkpoint import Origin, open_verified
from langgraph_checkpoint_s3.format.codecs import Compression
from langgraph_checkpoint_s3.format.container import OWN_FRAME, Container
from langgraph_checkpoint_s3.format.frames import Value, non_negative_int, pack_value, text, unpack_value
from langgraph_checkpoint_s3.format.limits import check_values
from langgraph_checkpoint_s3.format.scope import PLAIN, NamespaceScope
from langgraph_checkpoint_s3.format.serialization import Dumped, compression_for


class ChannelHistory(NamedTuple):
    """History of a delta channel: the writes and the stored value that it is rebuilt from, serialized.

    Attributes:
        writes: The task and the value of each write, oldest first.
        seed: The stored value that they are applied to; `None` if there is none.
    """

    writes: Sequence[tuple[str, Dumped]]
    seed: Dumped | None


class GatheredRecord(NamedTuple):
    """An object of gathered writes, as it was read.

    Attributes:
        container: The object.
        created: The time of its checkpoint's writing, in ns since 1970.
        parent: The parent of its checkpoint. If that has another one now, the object counts for nothing.
        writes: Of each channel, the task and the value of each write, oldest first.
        seeds: The stored values of the channels that have one.
    """

    container: Container
    created: int
    parent: str
    writes: Mapping[str, Sequence[tuple[str, Value]]]
    seeds: Mapping[str, Value]


def encode_gathered(
    compression: Compression,
    origin: Origin,
    leaf: str,
    parent: str,
    channels: Mapping[str, ChannelHistory],
    cipher: ObjectCipher | None = None,
) -> bytes:
    """Encode the object with the histories of some channels.

    Args:
        compression: Its compression.
        origin: Its origin.
        leaf: The end of its key.
        parent: The parent of its checkpoint.
        channels: The channels' histories.
        cipher: The object's cipher, if it is to be encrypted.
    """
    seeds = {name: each.seed for name, each in channels.items() if each.seed is not None}
    rows = [(task, name, dumped) for name, each in channels.items() for task, dumped in each.writes]
    values = [*seeds.values(), *(dumped for *_, dumped in rows)]
    builder = Builder(compression_for((kind for kind, _ in values), compression), cipher)
    places = builder.pack((raw, len(raw) >= OWN_FRAME) for _, raw in values)
    packed = [pack_value(kind, place) for (kind, _), place in zip(values, places, strict=True)]
    fields: dict[str, Any] = {
        "parent": parent,
        "channels": list(channels),
        "seeds": dict(zip(seeds, packed, strict=False)),
        "writes": [
            [task, name, *value] for (task, name, _), value in zip(rows, packed[len(seeds) :], strict=True)
        ],
    }
    body, _ = builder.finish({**origin.fields(leaf), **fields})
    return body


def open_gathered(
    data: bytes | memoryview,
    size: int,
    checkpoint_ns: str,
    checkpoint_id: str,
    leaf: str,
    scope: NamespaceScope = PLAIN,
) -> GatheredRecord:
    """Read an object of gathered writes. The arguments are those of `open_checkpoint`.

    Raises:
        CorruptObjectError: It is damaged or forged, or belongs to another checkpoint.
        DecryptionError: It is encrypted, and the key is missing or another one; or it isn't, and must be.
    """
    container = open_verified(data, size, checkpoint_ns, checkpoint_id, leaf, scope)
    fields, frames = container.fields, container.frames
    try:
        writes: dict[str, list[tuple[str, Value]]] = {text(name): [] for name in fields["channels"]}
        for task, name, *value in fields["writes"]:
            writes[name].append((text(task), unpack_value(value, frames)))
        seeds = {name: unpack_value(value, frames) for name, value in fields["seeds"].items()}
        if not seeds.keys() <= writes.keys():
            raise ValueError("a value of a channel that it isn't for")
        check_values(_values(writes, seeds), frames)
        created = non_negative_int(fields["created"])
        return GatheredRecord(container, created, text(fields["parent"]), writes, seeds)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CorruptObjectError(f"The object's header isn't one of gathered writes: {error!r}") from error


def _values(writes: Mapping[str, Sequence[tuple[str, Value]]], seeds: Mapping[str, Value]) -> Iterable[Value]:
    yield from seeds.values()
    for each in writes.values():
        yield from (value for _, value in each)
