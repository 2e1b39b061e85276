"""Checkpoints' objects as the saver makes them, kept in memory, where their children borrow from them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from langgraph.checkpoint.base import Checkpoint, CheckpointMetadata
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_checkpoint_s3.format.borrowing import BorrowPolicy, Known
from langgraph_checkpoint_s3.format.checkpoint import SECOND, CheckpointRecord, Origin, open_checkpoint
from langgraph_checkpoint_s3.format.checkpoint_writer import Draft, draft, serialize
from langgraph_checkpoint_s3.format.codecs import Compression
from langgraph_checkpoint_s3.format.frames import Frame, Lender
from langgraph_checkpoint_s3.format.keys import CheckpointLeaf

HOUR = 3600
DAY = 24 * HOUR
SMALL = BorrowPolicy(horizon=DAY, min_value=16, min_run=4, min_share=8)
"""Rules by which short values borrow, too."""


class Stream:
    """A cipher that does what matters here: its output looks random."""

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        return "stream", self._cross(plaintext)

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        assert ciphername == "stream"
        return self._cross(ciphertext)

    @staticmethod
    def _cross(data: bytes) -> bytes:
        pad = b"".join(hashlib.sha256(b"%d" % block).digest() for block in range(len(data) // 32 + 1))
        return bytes(one ^ other for one, other in zip(data, pad, strict=False))


def encode_checkpoint(
    serde: SerializerProtocol,
    codec: Compression,
    origin: Origin,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    parent: str | None,
) -> bytes:
    """A checkpoint's object that borrows nothing."""
    content = serialize(serde, checkpoint, metadata, parent)
    versions = checkpoint["channel_versions"]
    return draft(content, versions, origin, key_at("checkpoint"), codec, BorrowPolicy(horizon=DAY)).body


def key_at(leaf: str) -> Callable[[bool, bool], str]:
    """Return what gives an object a key with this end, whatever it borrows or lends."""
    return lambda borrows, lends: leaf


@dataclass
class Shelf:
    """A namespace's checkpoints. They are written one second after the other, if not said otherwise."""

    rules: BorrowPolicy = SMALL
    codec: Compression = "zstd"
    serde: SerializerProtocol = field(default_factory=JsonPlusSerializer)
    drafts: dict[str, Draft] = field(default_factory=dict)
    bodies: dict[str, bytes] = field(default_factory=dict)

    def put(
        self,
        name: str,
        values: Mapping[str, Any],
        parent: str | None = None,
        *,
        versions: Mapping[str, Any] | None = None,
        changed: Collection[str] | None = None,
        at: float | None = None,
        known: Known | None = None,
        alone: bool = False,
    ) -> Draft:
        """Write a checkpoint.

        Args:
            name: Its id.
            values: Its channels.
            parent: Its parent, which it borrows from.
            versions: The channels' versions; new ones by default.
            changed: The channels that are said to have changed; all of them by default.
            at: When, in seconds.
            known: Its parent, as something else than its writing made it known.
            alone: Whether it borrows nothing.
        """
        created = round((len(self.drafts) + 1 if at is None else at) * SECOND)
        versions = dict.fromkeys(values, name) if versions is None else versions
        checkpoint = {
            "v": 4,
            "id": name,
            "ts": "2026-01-01T00:00:00+00:00",
            "channel_values": dict(values),
            "channel_versions": dict(versions),
            "versions_seen": {},
            "updated_channels": None,
        }
        if known is None and parent is not None and not alone:
            known = self.drafts[parent].known
        content = serialize(
            self.serde,
            cast("Checkpoint", checkpoint),
            {"step": len(self.drafts)},
            parent,
            known,
            set(values) if changed is None else changed,
        )
        origin = Origin("", name, created, "w")
        made = draft(content, versions, origin, self.keys(parent), self.codec, self.rules, known)
        self.drafts[name] = made
        self.bodies[name] = made.body
        return made

    @staticmethod
    def keys(parent: str | None) -> Callable[[bool, bool], str]:
        """Return what gives a child of this parent its key."""
        return lambda borrows, lends: CheckpointLeaf(parent, borrows=borrows, lends=lends).encode()

    def known(self, name: str, versions: Mapping[str, Any], record: CheckpointRecord | None = None) -> Known:
        """Return what children of a checkpoint may borrow, as its object tells when it is read.

        Args:
            name: Its id.
            versions: The channels' versions.
            record: What was read of it; all of it by default.
        """
        made = self.drafts[name]
        written = made.origin.created // SECOND
        return (record or self.read(name)).known(made.key, written, versions, self.rules)

    def open(self, name: str) -> CheckpointRecord:
        """A checkpoint, without what it borrows."""
        body = self.bodies[name]
        return open_checkpoint(body, len(body), "", name, self.drafts[name].leaf)

    def read(self, name: str) -> CheckpointRecord:
        """A checkpoint, with what it borrows."""
        record = self.open(name)
        container = record.container
        for number in container.missing(record.all_values()):
            assert container.add_frame(number, self.lent(container.frames[number]))
        assert container.missing(record.all_values()) == []
        return record

    def lent(self, frame: Frame) -> bytes:
        """A lent frame's stored bytes, where its lender has them."""
        assert frame.lender is not None
        return self.bodies[frame.lender.checkpoint_id][frame.offset : frame.offset + frame.stored]


def shares(draft: Draft, name: str) -> tuple[int, dict[Lender, int]]:
    """Return the bytes of a channel's value in its own object, and those in each lender."""
    own = draft.known.checkpoint_id
    found: dict[Lender, int] = {}
    for piece in draft.known.values[name].pieces:
        assert piece.frame.lender is not None
        found[piece.frame.lender] = found.get(piece.frame.lender, 0) + piece.length
    new = sum(found.pop(lender) for lender in list(found) if lender.checkpoint_id == own)
    return new, found
