"""A checkpoint's object, about to be written: from LangGraph's values to bytes, new or borrowed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from langgraph.checkpoint.base import Checkpoint, CheckpointMetadata
from langgraph.checkpoint.serde.base import SerializerProtocol

from langgraph_checkpoint_s3.crypto.provider import KeyRef
from langgraph_checkpoint_s3.format.borrowing import (
    BorrowPolicy,
    Known,
    KnownValue,
    Part,
    Parts,
    choose_parts,
)
from langgraph_checkpoint_s3.format.builder import Builder
from langgraph_checkpoint_s3.format.checkpoint import SECOND, Content, Origin, open_checkpoint
from langgraph_checkpoint_s3.format.codecs import Compression
from langgraph_checkpoint_s3.format.container import HEAD_BYTES, OWN_FRAME
from langgraph_checkpoint_s3.format.frames import Extent, Lender, Value, pack_value
from langgraph_checkpoint_s3.format.pieces import Pieces, joined
from langgraph_checkpoint_s3.format.scope import PLAIN, NamespaceScope
from langgraph_checkpoint_s3.format.serialization import Dumped, compression_for, dump

_LARGE_HEAD: Final = HEAD_BYTES // 2


class Draft(NamedTuple):
    """A checkpoint's object, about to be written.

    Attributes:
        key: Its key.
        data: Its bytes. Large frames aren't joined with the rest.
        lenders: The objects that it borrows from.
        content: The checkpoint, with what it borrows.
        size: The size of the content, in bytes.
        known: What its children may borrow, once it is written.
        origin: Its origin.
        leaf: The end of its key.
        scope: The settings of its namespace.
    """

    key: str
    data: bytes | Pieces
    lenders: Sequence[Lender]
    content: Content
    size: int
    known: Known
    origin: Origin
    leaf: str
    scope: NamespaceScope = PLAIN

    def __repr__(self) -> str:
        return object.__repr__(self)  # without the values

    @property
    def body(self) -> bytes:
        """Bytes of the object, joined."""
        return joined(self.data)

    def materialized(self, compression: Compression) -> bytes:
        """Return a self-contained copy. The offsets of its own frames are those in `data`.

        Args:
            compression: The compression of what it borrowed.
        """
        origin = self.origin
        where = origin.checkpoint_ns, origin.checkpoint_id, self.leaf
        record = open_checkpoint(self.body, len(self.data), *where, self.scope)
        for name, value in record.channels.items():
            raw, at = self.content.channels[name][1], 0
            for extent in value.extents:
                if record.container.frames[extent.frame].lender is not None:
                    record.container.add_extent(extent, raw[at : at + extent.length])
                at += extent.length
        return record.materialized(compression)


def serialize(
    serde: SerializerProtocol,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    parent: str | None,
    known: Known | None = None,
    changed: Collection[str] | None = None,
    dumped: Mapping[str, Dumped] | None = None,
) -> Content:
    """Serialize a checkpoint.

    Args:
        serde: The serializer.
        checkpoint: The checkpoint.
        metadata: Its metadata.
        parent: The parent's id.
        known: The parent. The bytes of a channel that isn't among the changed ones, and has the parent's
            version, are taken from it without serializing the value.
        changed: The channels that LangGraph reports as changed; all of them by default.
        dumped: Channels that are serialized already. Their values aren't used.
    """
    rest: dict[str, Any] = {**checkpoint}
    values: dict[str, Any] = rest.pop("channel_values")
    versions: Mapping[str, Any] = rest.get("channel_versions") or {}
    dumped_metadata = dump(serde, metadata)
    same: Mapping[str, KnownValue] = {}
    if known is not None and changed is not None and known.serializer == dumped_metadata[0]:
        same = {
            name: known.values[name]
            for name in known.versions
            if name in versions and name not in changed and versions[name] == known.versions[name]
        }
    done: Mapping[str, Dumped] = dumped or {}
    if same:
        done = {**{name: (each.type, each.raw) for name, each in same.items()}, **done}
    channels: dict[str, Dumped] = {
        name: done[name] if name in done else dump(serde, value, name) for name, value in values.items()
    }
    return Content(parent, dumped_metadata, dump(serde, rest), channels)


def draft(
    content: Content,
    versions: Mapping[str, Any],
    origin: Origin,
    key_of: Callable[[bool, bool], str],
    compression: Compression,
    policy: BorrowPolicy,
    known: Known | None = None,
    scope: NamespaceScope = PLAIN,
    key_ref: KeyRef | None = None,
) -> Draft:
    """Encode a checkpoint's object. The metadata comes first, so that it is in the object's first bytes.

    Args:
        content: The checkpoint.
        versions: The channels' versions.
        origin: The object's origin.
        key_of: Returns the object's key, given whether it borrows and whether others may borrow from it.
        compression: The compression of new frames.
        policy: The limits of borrowing.
        known: The parent; without it, nothing is borrowed.
        scope: The settings of the namespace.
        key_ref: The key to encrypt with, if at all.
    """
    if known is not None and known.encrypted != (key_ref is not None):
        known = None
    compression = compression_for([content.metadata[0]], compression)
    parts = _choose_parts(content, policy, known, origin.created / SECOND) if known and known.values else {}
    large = [name for name, (_, raw) in content.channels.items() if len(raw) >= policy.min_value]
    key = key_of(bool(parts), bool(large))
    leaf = key.rpartition("/")[2]
    own_frame = min(OWN_FRAME, policy.min_value)  # a value that may be borrowed doesn't share a frame
    builder = Builder(compression, scope.cipher(key_ref, origin.checkpoint_id, leaf))
    first, second = content.metadata[1], content.rest[1]
    blobs = [(first, len(first) >= OWN_FRAME), (second, len(second) >= OWN_FRAME)]
    for name, (_, raw) in content.channels.items():
        if name in parts:
            new = _new_bytes(parts[name], raw)
            blobs.append((new, len(new) >= policy.min_share))
        else:
            blobs.append((raw, len(raw) >= own_frame))
    # HEAD_BYTES are to hold the metadata. So many small values get a frame of their own, after its frame.
    size = content.size
    if size > _LARGE_HEAD and sum([len(blob) for blob, own in blobs if not own]) > _LARGE_HEAD:
        metadata, rest, *places = builder.pack(blobs[:2]) + builder.pack(blobs[2:])
    else:
        metadata, rest, *places = builder.pack(blobs)
    values: dict[str, Value] = {}
    for (name, (kind, _)), place in zip(content.channels.items(), places, strict=True):
        values[name] = Value(kind, _extents(builder, parts[name], place) if name in parts else place)
    lenders = sorted({frame.lender for frame in builder.frames if frame.lender}) if parts else []
    fields = {
        **origin.fields(leaf),
        "parent": content.parent,
        "metadata": pack_value(content.metadata[0], metadata),
        "checkpoint": pack_value(content.rest[0], rest),
        "channels": {name: pack_value(*value) for name, value in values.items()},
    }
    data, base = builder.assemble(fields)
    lender, serializer = origin.lender(leaf), content.metadata[0]
    lent = {name: (values[name], content.channels[name][1]) for name in large}
    next_known = Known.of(lender, serializer, versions, lent, builder.frames, base, key_ref)
    return Draft(key, data, lenders, content, size, next_known, origin, leaf, scope)


def _choose_parts(content: Content, policy: BorrowPolicy, known: Known, now: float) -> Parts:
    if known.serializer != content.metadata[0]:
        return {}
    both = {
        name: (known.values[name], raw)
        for name, (kind, raw) in content.channels.items()
        if name in known.values and known.values[name].type == kind and len(raw) >= policy.min_value
    }
    return choose_parts(both, policy, now) if both else {}


def _new_bytes(parts: Iterable[Part], raw: bytes) -> bytes:
    """Return a value's new bytes, joined."""
    new: list[bytes] = []
    at = 0
    for part in parts:
        if part.piece is None:
            new.append(raw[at : at + part.length])
        at += part.length
    return b"".join(new)


def _extents(builder: Builder, parts: Iterable[Part], place: Sequence[Extent]) -> tuple[Extent, ...]:
    """Return a value's extents. Its new bytes are in the extent `place`, if there are any."""
    extents: list[Extent] = []
    frame, start = place[0][:2] if place else (0, 0)
    for part in parts:
        if part.piece is None:
            extents.append(Extent(frame, start, part.length))
            start += part.length
        else:
            number = builder.borrow(part.piece.frame)
            extents.append(Extent(number, part.piece.start, part.piece.length))
    return tuple(extents)
