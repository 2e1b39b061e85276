"""Large objects without copies: bytes in several buffers to write, and memory to receive bytes into."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from io import BytesIO
from itertools import groupby
from typing import Final, TypeAlias

View: TypeAlias = "bytes | bytearray | memoryview"

JOINED_BELOW: Final = 1024 * 1024
"""Bytes below which an object is joined: then a copy is cheaper than several buffers."""
_SMALL: Final = 64 * 1024
"""Bytes below which a buffer is joined with its neighbours: each one left is sent by itself."""


class Pieces:
    """Bytes that lie in several buffers, one after the other. Nobody changes them.

    Args:
        buffers: The buffers.
    """

    __slots__ = ("_size", "buffers")

    def __init__(self, buffers: Iterable[View]) -> None:
        self.buffers: Sequence[View] = tuple(buffers)
        self._size = sum(map(len, self.buffers))

    @classmethod
    def of(cls, buffers: Iterable[View]) -> Pieces:
        """Return the bytes of buffers, of which only small ones are copied: runs of them are joined."""
        found: list[View] = []
        for small, run in groupby(buffers, lambda buffer: len(buffer) < _SMALL):
            if small:
                found.append(b"".join(run))
            else:
                found.extend(run)
        return cls(found)

    def __len__(self) -> int:
        return self._size

    def __repr__(self) -> str:
        return f"<{len(self.buffers)} buffers of {self._size} bytes>"  # without the bytes

    def between(self, first: int, end: int) -> memoryview | Pieces:
        """Return the bytes from one offset to another, as views."""
        found: list[memoryview] = []
        at = 0
        for buffer in self.buffers:
            start, stop = max(first - at, 0), min(end - at, len(buffer))
            if start < stop:
                found.append(memoryview(buffer)[start:stop])
            at += len(buffer)
        return found[0] if len(found) == 1 else Pieces(found)

    def equals(self, data: View) -> bool:
        """Return whether they are these bytes."""
        view, at = memoryview(data), 0
        for buffer in self.buffers:
            if view[at : at + len(buffer)] != buffer:
                return False
            at += len(buffer)
        return at == len(view)


Data: TypeAlias = "View | Pieces"
"""An object's bytes, or a part of them."""


def buffers_of(data: Data) -> Sequence[View]:
    """Return the buffers that the bytes lie in."""
    return data.buffers if isinstance(data, Pieces) else (data,)


def joined(data: Data) -> bytes:
    """Return the bytes in one buffer. Those that are in one already aren't copied."""
    if isinstance(data, Pieces):
        return b"".join(data.buffers)
    return bytes(data)


class _Memory(BytesIO):
    """A file that may be collected while its memory is in use, after an error."""

    def close(self) -> None:
        """Close it if that is possible. From Python 3.13 on, the interpreter prints the error if it isn't."""
        with contextlib.suppress(BufferError):
            super().close()


class Landing:
    """Memory that bytes are received into, and that becomes a `bytes` object without a copy.

    Python has no call for that, but CPython's `BytesIO` returns its own buffer as long as nobody else holds
    it. Elsewhere it returns a copy, and nothing else changes.

    Args:
        size: Its length. The system provides the memory as it is written to.

    Attributes:
        view: Writable view of all of it.
    """

    def __init__(self, size: int) -> None:
        self._file = _Memory(bytes(size))
        self.view = self._file.getbuffer()

    def taken(self) -> bytes:
        """Return the bytes. Nothing can be received any more."""
        self.view.release()
        return self._file.getvalue()


def cut_out(data: list[bytes], start: int, length: int) -> bytes:
    """Return a slice of the bytes in a list of one, which is emptied.

    If nobody else holds them, the slice is moved to the beginning of their memory, and needs none of its own.
    """
    file = BytesIO(data.pop())
    with file.getbuffer() as view:
        view[:length] = view[start : start + length]
    file.truncate(length)
    return file.getvalue()
