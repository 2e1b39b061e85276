"""Assembly of an object: bytes become frames; a header and frames become the container of `container.py`."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from langgraph_checkpoint_s3.crypto.aead import ObjectCipher
from langgraph_checkpoint_s3.format.codecs import Compression, compress
from langgraph_checkpoint_s3.format.container import inline_frames, preamble
from langgraph_checkpoint_s3.format.frames import Extent, Frame, pack_frames
from langgraph_checkpoint_s3.format.header import encrypt_header, pack_header
from langgraph_checkpoint_s3.format.pieces import JOINED_BELOW, Pieces, joined

_SPARE_BYTES: Final = 4
"""Bytes by which a borrowed frame's row may grow when the frame is inlined and compressed again."""


class Builder:
    """Packs bytes into frames, and everything into an object.

    Args:
        compression: The compression of frames.
        cipher: The object's cipher, if it is to be encrypted.
    """

    def __init__(self, compression: Compression, cipher: ObjectCipher | None = None) -> None:
        self._compression = compression
        self._cipher = cipher
        self._borrowed: dict[Frame, int] = {}
        self._stored: list[bytes] = []
        self._offset = 0
        self.frames: list[Frame] = []

    def pack(self, blobs: Iterable[tuple[bytes, bool]]) -> list[tuple[Extent, ...]]:
        """Add bytes, each with `True` for a frame of its own. The others share one frame, the first.

        Returns:
            The extents of each blob, in the order given: one, or none if it is empty.
        """
        given = list(blobs)
        shared = [blob for blob, own in given if not own]
        frame = self._compress(b"".join(shared), small=True) if shared else -1
        extents: list[tuple[Extent, ...]] = []
        start = 0
        for blob, own in given:
            if own:
                extents.append((Extent(self._compress(blob), 0, len(blob)),))
            else:
                extents.append((Extent(frame, start, len(blob)),) if blob else ())
                start += len(blob)
        return extents

    def borrow(self, frame: Frame) -> int:
        """Refer to a frame of another object, and return its index in the table."""
        if frame not in self._borrowed:
            self._borrowed[frame] = len(self.frames)
            self.frames.append(frame)
        return self._borrowed[frame]

    def add(self, codec: str, packed: bytes | memoryview, raw: int) -> int:
        """Add a frame that is compressed already, and return its index in the table.

        Args:
            codec: Its codec.
            packed: Its compressed bytes.
            raw: Its length decompressed.
        """
        stored = self._cipher.encrypt(packed) if self._cipher else bytes(packed)
        self.frames.append(Frame(self._offset, len(stored), raw, codec, zlib.crc32(stored)))
        self._stored.append(stored)
        self._offset += len(stored)
        return len(self.frames) - 1

    def finish(self, fields: Mapping[str, Any], *, at_least: int | None = None) -> tuple[bytes, int]:
        """Return what `assemble` does, joined."""
        data, base = self.assemble(fields, at_least=at_least)
        return joined(data), base

    def assemble(
        self, fields: Mapping[str, Any], *, at_least: int | None = None
    ) -> tuple[bytes | Pieces, int]:
        """Return the object's bytes, and the offset of its first frame. Large frames stay where they are.

        Args:
            fields: Its header, without the table of frames.
            at_least: Length to which the header is filled up with zeros.
        """
        space = at_least
        if self._borrowed:
            # Inlining what is borrowed must not move the object's own frames, so the header gets space for
            # the table that it will have then.
            _, inlined = pack_header({**fields, **pack_frames(inline_frames(self.frames))}, 0)
            space = len(inlined) + _SPARE_BYTES * len(self._borrowed)
        own = self._cipher.ref if self._cipher else None
        flags, header = pack_header({**fields, **pack_frames(self.frames, own)}, space)
        flags, header = encrypt_header(flags, header, self._cipher)
        start = preamble(flags, header) + header
        body = [start, *self._stored]
        return b"".join(body) if self._offset < JOINED_BELOW else Pieces.of(body), len(start)

    def _compress(self, raw: bytes, *, small: bool = False) -> int:
        codec = "zstd-d1" if small and self._compression == "zstd" else self._compression
        return self.add(*compress(raw, codec), len(raw))
