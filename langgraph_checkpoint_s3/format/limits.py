"""How much a header may say. What a writer makes stays far below; what somebody forged is refused early.

A header of a few kB, compressed, could otherwise announce what takes gigabytes to hold, or thousands of
requests to read. `docs/format.md` tells the limits, and why each is what it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgpack

from langgraph_checkpoint_s3.format.frames import Frame, Value, short_repr
from langgraph_checkpoint_s3.format.keys import MAX_KEY_BYTES

MOST_HEADER: Final = 64 * 1024 * 1024
"""Bytes of a header, decompressed."""
MOST_LISTS: Final = 4 * 1024 * 1024
"""Lists and maps in a header: one in 16 bytes of the longest. Each takes 70 bytes of memory."""
MOST_BYTES: Final = 64 * 1024 * 1024 * 1024
"""What an object's frames may come to, stored or decompressed: a writer has all of it in memory."""
MOST_OFFSET: Final = 64 * 1024**4
"""Where a frame may begin in its lender. S3's largest object is smaller."""
MOST_LENDERS: Final = 64
"""Of a checkpoint. A writer takes 20."""
MOST_LENT: Final = 64 * 1024
"""Frames that a checkpoint borrows: each may be a request. A writer takes one a lender and channel."""

_LEAF: Final = re.compile(r"checkpoint[A-Za-z0-9._-]*")
_WASTE: Final = 4
"""One part in so many of a lent frame is used: it is read whole. A writer uses half."""
_USES: Final = 2
"""How often a frame's bytes may be used. A writer uses them once."""


def unpack(header: bytes | memoryview) -> Any:
    """Read msgpack that somebody else may have written.

    Raises:
        ValueError: It can't be read, or there is more in it than a header may hold.
    """
    if len(header) > MOST_HEADER:
        raise ValueError(f"it has {len(header)} bytes, and {MOST_HEADER} are the most")
    if len(header) <= MOST_LISTS:  # then it can't hold more of them
        return msgpack.unpackb(header, raw=False, strict_map_key=True)
    left = MOST_LISTS

    def counted(found: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise ValueError(f"it holds over {MOST_LISTS} lists and maps")
        return found

    return msgpack.unpackb(header, raw=False, strict_map_key=True, list_hook=counted, object_hook=counted)


def check_frames(frames: Sequence[Frame]) -> None:
    """Check a table of frames.

    Raises:
        ValueError: No writer makes such a one.
    """
    if max(sum(frame.raw for frame in frames), sum(frame.stored for frame in frames)) > MOST_BYTES:
        raise ValueError(f"its frames come to over {MOST_BYTES} bytes")
    lent = [(frame.lender, frame.offset) for frame in frames if frame.lender is not None]
    if not lent:
        return
    lenders = {lender for lender, _ in lent}
    if len(lent) > MOST_LENT or len(lenders) > MOST_LENDERS:
        raise ValueError(f"it borrows {len(lent)} frames from {len(lenders)} objects")
    if len({frame.key for frame in frames}) > MOST_LENDERS:
        raise ValueError(f"its frames are encrypted with over {MOST_LENDERS} keys")
    if len(set(lent)) < len(lent):
        raise ValueError("it borrows a frame twice")
    if max(offset for _, offset in lent) > MOST_OFFSET:
        raise ValueError("a lent frame lies further out than any object is long")
    for lender in lenders:
        # Some stores and proxies take `..` for a way up, and out of the thread.
        named = len(lender.checkpoint_id) + len(lender.leaf) <= MAX_KEY_BYTES
        if not named or not _LEAF.fullmatch(lender.leaf):
            raise ValueError(f"its lender {short_repr(lender.leaf)} isn't a checkpoint")


def check_values(values: Iterable[Value], frames: Sequence[Frame]) -> None:
    """Check how much of its frames an object's values use: no byte often, and of what is lent a good part.

    Raises:
        ValueError: No writer makes such ones.
    """
    used: dict[int, int] = {}
    for value in values:
        for number, _, length in value.extents:
            used[number] = used.get(number, 0) + length
    for number, length in used.items():
        frame = frames[number]
        if frame.lender is not None and _WASTE * length < frame.raw:
            raise ValueError(f"its values use {length} bytes of lent frame {number}, of {frame.raw}")
        if length > _USES * frame.raw:
            raise ValueError(f"its values use {length} bytes of frame {number}, of {frame.raw}")
