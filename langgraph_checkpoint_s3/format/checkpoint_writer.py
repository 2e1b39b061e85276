"""A checkpoint's object about to be written: what is new of it, and what it borrows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langgraph.checkpoint.base import Checkpoint, CheckpointMetadata
from langgraph.checkpoint.serde.base import SerializerProtocol

from langgraph_checkpoint_s3.crypto.aead import KeyRef
from langgraph_checkpoint_s3.format.borrowing import BorrowPolicy, Known, Part, Parts, compose, known_of
from langgraph_checkpoint_s3.format.builder import Builder
from langgraph_checkpoint_s3.format.checkpoint import (
    SECOND,
    Content,
    Origin,
    open_checkpoint,
)
from langgraph_checkpoint_s3.format.codecs import Compression
from langgraph_checkpoint_s3.format.container import HEAD_BYTES, OWN_FRAME
from langgraph_checkpoint_s3.format.frames import Extent, Lender, Value, pack_value
from langgraph_checkpoint_s3.format.scope import PLAIN, NamespaceScope
from langgraph_checkpoint_s3.format.serialization import Dumped, dump, worthwhile


@dataclass(frozen=True, slots=True)
class Draft:
    """A checkpoint's object, about to be written.

    Attributes:
        key: Where it is to lie.
        body: Its bytes.
        lenders: The objects that it borrows from.
        content: What is in it, and in what it borrows.
        known: What its children may borrow, once it is written.
        origin: Where it comes from.
        leaf: The end of its key.
        scope: The namespace that it is in.
    """

    key: str
    body: bytes = field(repr=False)
    lenders: Sequence[Lender]
    content: Content
    known: Known
    origin: Origin
    leaf: str
    scope: NamespaceScope = PLAIN

    def materialized(self, compression: Compression) -> bytes:
        """The object with what it borrows in it. Its own frames stay where `body` has them.

        Args:
            compression: For what it borrowed.
        """
        origin = self.origin
        where = origin.checkpoint_ns, origin.checkpoint_id, self.leaf
        record = open_checkpoint(self.body, len(self.body), *where, self.scope)
        for name, value in record.channels.items():
            raw, at = self.content.channels[name][1], 0
            for extent in value.extents:
                if record.container.frames[extent.frame].lender is not None:
                    record.container.supply(extent, raw[at : at + extent.length])
                at += extent.length
        return record.materialized(compression)


def serialize(
    serde: SerializerProtocol,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    parent: str | None,
    known: Known | None = None,
    changed: Collection[str] | None = None,
) -> Content:
    """Serialize a checkpoint.

    Args:
        serde: Turns values into bytes.
        checkpoint: The checkpoint.
        metadata: Its metadata.
        parent: The parent's id.
        known: The parent. A channel that isn't among the changed ones, and has the parent's version,
            is taken over from it unseen.
        changed: The channels that are said to have changed; all of them by default.
    """
    rest: dict[str, Any] = {**checkpoint}
    values: dict[str, Any] = rest.pop("channel_values")
    versions: Mapping[str, Any] = rest.get("channel_versions") or {}
    dumped_metadata = dump(serde, metadata)
    if known is None or changed is None or known.serializer != dumped_metadata[0]:
        same: set[str] = set()
    else:
        same = {
            name
            for name in known.versions
            if name in versions and name not in changed and versions[name] == known.versions[name]
        }
    channels: dict[str, Dumped] = {}
    for name, value in values.items():
        if known is not None and name in same:
            channels[name] = (known.values[name].type, known.values[name].raw)
        else:
            channels[name] = dump(serde, value)
    return Content(parent, dumped_metadata, dump(serde, rest), channels)


def draft(
    content: Content,
    versions: Mapping[str, Any],
    origin: Origin,
    key_of: Callable[[bool, bool], str],
    compression: Compression,
    rules: BorrowPolicy,
    known: Known | None = None,
    scope: NamespaceScope = PLAIN,
    sealing: KeyRef | None = None,
) -> Draft:
    """Make the object. The metadata comes first in it, so that the object's head holds it.

    Args:
        content: The checkpoint.
        versions: The channels' versions.
        origin: Where it comes from.
        key_of: Returns the object's key, given if it borrows and if others may borrow from it.
        compression: How new frames are compressed.
        rules: When to borrow.
        known: The parent; without it, nothing is borrowed.
        scope: The namespace that it is in.
        sealing: What it is encrypted with, if at all.
    """
    if known is not None and known.sealed != (sealing is not None):
        known = None
    compression = worthwhile(compression, [content.metadata[0]])
    parts = _borrowed(content, rules, known, origin.created / SECOND) if known and known.values else {}
    key = key_of(bool(parts), any(len(raw) >= rules.smallest for _, raw in content.channels.values()))
    leaf = key.rpartition("/")[2]
    alone = min(OWN_FRAME, rules.smallest)  # what may be lent isn't in one frame with others
    builder = Builder(compression, scope.seal(sealing, origin.checkpoint_id, leaf))
    blobs = [(raw, len(raw) >= OWN_FRAME) for _, raw in (content.metadata, content.rest)]
    for name, (_, raw) in content.channels.items():
        if name in parts:
            new = _new_bytes(parts[name], raw)
            blobs.append((new, len(new) >= rules.least))
        else:
            blobs.append((raw, len(raw) >= alone))
    # The object's head is to hold the metadata: many small values come behind it.
    first = 2 if sum(len(blob) for blob, own in blobs if not own) > HEAD_BYTES // 2 else len(blobs)
    metadata, rest, *places = builder.pack(blobs[:first]) + builder.pack(blobs[first:])
    values: dict[str, Value] = {}
    for (name, (kind, _)), place in zip(content.channels.items(), places, strict=True):
        values[name] = Value(kind, _extents(builder, parts[name], place) if name in parts else place)
    large = {
        name: (value, content.channels[name][1])
        for name, value in values.items()
        if value.size >= rules.smallest
    }
    lenders = sorted({frame.lender for frame in builder.frames if frame.lender})
    fields = {
        **origin.fields(leaf),
        "parent": content.parent,
        "metadata": pack_value(Value(content.metadata[0], metadata)),
        "checkpoint": pack_value(Value(content.rest[0], rest)),
        "channels": {name: pack_value(value) for name, value in values.items()},
    }
    body, base = builder.finish(fields)
    lender, serializer = origin.lender(leaf), content.metadata[0]
    next_known = known_of(lender, serializer, versions, large, builder.frames, base, sealing)
    return Draft(key, body, lenders, content, next_known, origin, leaf, scope)


def _borrowed(content: Content, rules: BorrowPolicy, known: Known, now: float) -> Parts:
    if known.serializer != content.metadata[0]:
        return {}
    both = {
        name: (known.values[name], raw)
        for name, (kind, raw) in content.channels.items()
        if name in known.values and known.values[name].type == kind and len(raw) >= rules.smallest
    }
    return compose(both, rules, now) if both else {}


def _new_bytes(parts: Iterable[Part], raw: bytes) -> bytes:
    """What is new of a value, joined."""
    new: list[bytes] = []
    at = 0
    for part in parts:
        if part.piece is None:
            new.append(raw[at : at + part.length])
        at += part.length
    return b"".join(new)


def _extents(builder: Builder, parts: Iterable[Part], place: Sequence[Extent]) -> tuple[Extent, ...]:
    """A value's extents, its new bytes being where `place` says."""
    extents: list[Extent] = []
    frame, start = place[0][:2] if place else (0, 0)
    for part in parts:
        if part.piece is None:
            extents.append(Extent(frame, start, part.length))
            start += part.length
        else:
            number = builder.lend(part.piece.frame)
            extents.append(Extent(number, part.piece.start, part.piece.length))
    return tuple(extents)
