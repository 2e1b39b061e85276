"""Limits of a header. Real headers stay far below; forged ones are rejected early.

Without limits, a header of a few compressed kB could announce what takes gigabytes of memory, or thousands of
requests to read. `docs/format.md` lists the limits, with a reason for each.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgpack

from langgraph_checkpoint_s3.format.frames import Frame, Value, short_repr
from langgraph_checkpoint_s3.format.keys import MAX_KEY_BYTES

MAX_HEADER: Final = 64 * 1024 * 1024
"""Most bytes of a header, decompressed."""
MAX_LISTS: Final = 4 * 1024 * 1024
"""Most lists and maps in a header: one in 16 bytes of the longest. Each takes 70 bytes of memory."""
MAX_BYTES: Final = 64 * 1024 * 1024 * 1024
"""Most bytes of an object's frames together, stored or decompressed: a writer has all of it in memory."""
MAX_OFFSET: Final = 64 * 1024**4
"""Largest offset of a frame in its lender. S3's largest object is smaller."""
MAX_LENDERS: Final = 64
"""Most lenders of a checkpoint. A writer uses 20."""
MAX_BORROWED_FRAMES: Final = 64 * 1024
"""Most frames that a checkpoint borrows: each may be a request. A writer needs one per lender and channel."""

_LEAF: Final = re.compile(r"checkpoint[A-Za-z0-9._-]*")
_MIN_SHARE: Final = 4
"""One part in so many of a borrowed frame must be used, since it is read whole. A writer uses half."""
_MAX_USES: Final = 2
"""How often a frame's bytes may be used. A writer uses them once."""


def unpack(header: bytes | memoryview) -> Any:
    """Decode msgpack that may be forged.

    Raises:
        ValueError: It can't be read, or exceeds the limits of a header.
    """
    if len(header) > MAX_HEADER:
        raise ValueError(f"it has {len(header)} bytes, and {MAX_HEADER} are the most")
    if len(header) <= MAX_LISTS:  # each list or map takes a byte at least
        return msgpack.unpackb(header, raw=False, strict_map_key=True)
    left = MAX_LISTS

    def counted(found: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise ValueError(f"it holds over {MAX_LISTS} lists and maps")
        return found

    return msgpack.unpackb(header, raw=False, strict_map_key=True, list_hook=counted, object_hook=counted)


def check_frames(frames: Sequence[Frame]) -> None:
    """Check a table of frames against the limits.

    Raises:
        ValueError: No writer makes such a table.
    """
    if max(sum(frame.raw for frame in frames), sum(frame.stored for frame in frames)) > MAX_BYTES:
        raise ValueError(f"its frames come to over {MAX_BYTES} bytes")
    borrowed = [(frame.lender, frame.offset) for frame in frames if frame.lender is not None]
    if not borrowed:
        return
    lenders = {lender for lender, _ in borrowed}
    if len(borrowed) > MAX_BORROWED_FRAMES or len(lenders) > MAX_LENDERS:
        raise ValueError(f"it borrows {len(borrowed)} frames from {len(lenders)} objects")
    if len({frame.key for frame in frames}) > MAX_LENDERS:
        raise ValueError(f"its frames are encrypted with over {MAX_LENDERS} keys")
    if len(set(borrowed)) < len(borrowed):
        raise ValueError("it borrows a frame twice")
    if max(offset for _, offset in borrowed) > MAX_OFFSET:
        raise ValueError("a borrowed frame lies further out than any object is long")
    for lender in lenders:
        # A leaf with a `/` or a `..` segment could lead to an object outside of the thread: some stores and
        # proxies resolve `..` in paths.
        fits = len(lender.checkpoint_id) + len(lender.leaf) <= MAX_KEY_BYTES
        if not fits or not _LEAF.fullmatch(lender.leaf):
            raise ValueError(f"its lender {short_repr(lender.leaf)} isn't a checkpoint")


def check_values(values: Iterable[Value], frames: Sequence[Frame]) -> None:
    """Check how much of its frames an object's values use: no byte too often, of a borrowed frame enough.

    Raises:
        ValueError: No writer makes such values.
    """
    used: dict[int, int] = {}
    for value in values:
        for number, _, length in value.extents:
            used[number] = used.get(number, 0) + length
    for number, length in used.items():
        frame = frames[number]
        if frame.lender is not None and _MIN_SHARE * length < frame.raw:
            raise ValueError(f"its values use {length} bytes of lent frame {number}, of {frame.raw}")
        if length > _MAX_USES * frame.raw:
            raise ValueError(f"its values use {length} bytes of frame {number}, of {frame.raw}")
