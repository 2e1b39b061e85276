"""Assemble an object: bytes become frames, a header and frames become the container of `container.py`."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from langgraph_checkpoint_s3.crypto.aead import ObjectCipher
from langgraph_checkpoint_s3.format.codecs import Compression, compress
from langgraph_checkpoint_s3.format.container import PREAMBLE_BYTES, inline_frames, join
from langgraph_checkpoint_s3.format.frames import Extent, Frame, pack_frames
from langgraph_checkpoint_s3.format.header import pack_header, seal_header

_SPARE_BYTES: Final = 4
"""What a lent frame's row may need more when the frame is moved in, and is compressed anew."""


class Builder:
    """Packs bytes into frames, then everything into an object.

    Args:
        compression: How frames are compressed.
        seal: What it is encrypted with, if at all.
    """

    def __init__(self, compression: Compression, seal: ObjectCipher | None = None) -> None:
        self._compression = compression
        self._seal = seal
        self._lent: dict[Frame, int] = {}
        self._stored: list[bytes] = []
        self._offset = 0
        self.frames: list[Frame] = []

    def pack(self, blobs: Iterable[tuple[bytes, bool]]) -> list[tuple[Extent, ...]]:
        """Add bytes, each of them in a frame of its own or (`False`) in one together with others, the first.

        Returns:
            Where each of them is, in the order given: in one extent, or none if it is empty.
        """
        sent = list(blobs)
        extents: dict[int, tuple[Extent, ...]] = {}
        small = [(place, blob) for place, (blob, own) in enumerate(sent) if not own]
        frame = self._add(b"".join([blob for _, blob in small]), small=True) if small else -1
        start = 0
        for place, blob in small:
            extents[place] = (Extent(frame, start, len(blob)),) if blob else ()
            start += len(blob)
        for place, (blob, own) in enumerate(sent):
            if own:
                extents[place] = (Extent(self._add(blob), 0, len(blob)),)
        return [extents[place] for place in range(len(sent))]

    def lend(self, frame: Frame) -> int:
        """Refer to a frame in another object."""
        if frame not in self._lent:
            self._lent[frame] = len(self.frames)
            self.frames.append(frame)
        return self._lent[frame]

    def finish(
        self,
        fields: Mapping[str, Any],
        *,
        at_least: int | None = None,
    ) -> tuple[bytes, int]:
        """Return the object's bytes, and where its first frame begins.

        The header has room for the table that it gets when lent frames are moved in.

        Args:
            fields: Its header, without the table of frames.
            at_least: How many bytes the header must have.
        """
        scope = at_least
        if self._lent:
            _, moved = pack_header({**fields, **pack_frames(inline_frames(self.frames))}, 0)
            scope = len(moved) + _SPARE_BYTES * len(self._lent)
        own = self._seal.ref if self._seal else None
        flags, header = pack_header({**fields, **pack_frames(self.frames, own)}, scope)
        flags, header = seal_header(flags, header, self._seal)
        return join(flags, header, self._stored), PREAMBLE_BYTES + len(header)

    def _add(self, raw: bytes, *, small: bool = False) -> int:
        codec, packed = compress(
            raw, "zstd-d1" if small and self._compression == "zstd" else self._compression
        )
        return self.add(codec, packed, len(raw))

    def add(self, codec: str, packed: bytes | memoryview, raw: int) -> int:
        """Add a frame that is compressed already.

        Args:
            codec: How.
            packed: Its bytes.
            raw: How many they are decompressed.

        Returns:
            Its place in the table.
        """
        stored = self._seal.close(packed) if self._seal else bytes(packed)
        self.frames.append(Frame(self._offset, len(stored), raw, codec, zlib.crc32(stored)))
        self._stored.append(stored)
        self._offset += len(stored)
        return len(self.frames) - 1
