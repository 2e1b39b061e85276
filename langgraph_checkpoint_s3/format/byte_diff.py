"""What two versions of a value have in common: the runs of bytes that a new one shares with an old one.

Serialized state changes in few places: a list's count at the front, a new message at the end, an
edit somewhere. So the two are compared from the front until they differ; behind a difference,
a few short samples of one are looked for in the other, and the comparison goes on from there. All
of it is `memcmp` and `memmem` in C, with a bound on how far is searched: two values that share
nothing cost microseconds.
"""

from __future__ import annotations

from typing import Final, NamedTuple

_SAMPLE: Final = 32
_NEAR: Final = (8, 512)
"""How far behind a difference samples are taken at first: beyond a count, beyond a small edit."""
_FAR: Final = (64, 192, 1024, 2048, 4096, 8192, 16 * 1024)
"""And then, unless nothing of one was found in the other: beyond larger edits, and what only looks alike."""
_LONG: Final = 512
"""Bytes of a run that is no accident. Messages look alike for a hundred."""
_WINDOW: Final = 32 * 1024
"""How far a sample is searched at most: beyond an insertion or deletion of up to that length …"""
_WINDOW_SHARE: Final = 8
"""… and no further than one part in so many of the value."""
_FREE_EDITS: Final = 3
_EDIT_WORTH: Final = 8 * 1024
"""How many bytes must have been found for each further edit: compressing them costs about as much."""
_FIRST_STEP: Final = 256
_LAST_STEP: Final = 1024 * 1024


class CommonRun(NamedTuple):
    """Bytes that are the same in both."""

    old: int
    new: int
    length: int


def common_runs(old: bytes, new: bytes, shortest: int) -> list[CommonRun]:
    """The runs that two values share, in order, in both of them.

    Args:
        old: The one that is known.
        new: The other one.
        shortest: Bytes below which a run isn't worth naming.

    Returns:
        Not all that they share, but what shows cheaply: all but the edits where those are few.
    """
    tail = _equal_behind(old, new)
    old_end, new_end = len(old) - tail, len(new) - tail
    runs: list[CommonRun] = []
    at = CommonRun(0, 0, _equal_from(old, 0, old_end, new, 0, new_end))
    same, edits = tail + at.length, 0
    window = min(_WINDOW, len(new) // _WINDOW_SHARE)
    following: CommonRun | None = at
    while following is not None:
        at = following
        if at.length >= shortest:
            runs.append(at)
        old_at, new_at = at.old + at.length, at.new + at.length
        edits += 1
        if edits > _FREE_EDITS + same // _EDIT_WORTH:
            break
        following = _next_run(
            old, old_at, old_end, new, new_at, new_end, shortest, window, unlike=same < shortest
        )
        same += following.length if following else 0
    if tail >= shortest:
        runs.append(CommonRun(old_end, new_end, tail))
    return runs


def _next_run(
    old: bytes,
    old_at: int,
    old_end: int,
    new: bytes,
    new_at: int,
    new_end: int,
    shortest: int,
    window: int,
    *,
    unlike: bool,
) -> CommonRun | None:
    """The next run behind a difference, if one shows.

    `unlike` says that nothing was shared so far: then it is given up soon.
    """
    best: CommonRun | None = None
    for distance in (*_NEAR, *_FAR):
        if distance == _FAR[0] and unlike:
            return best  # nothing of one is in the other
        if distance > max(window, _NEAR[-1]):
            return best  # small values aren't worth it
        reach = distance + window
        for inserted in (True, False):
            if inserted:  # what is old comes later in the new one
                first = old_at + distance
                found = _search(old, first, old_end, new, new_at, min(new_end, new_at + reach))
                old_found, new_found = first, found
            else:
                first = new_at + distance
                found = _search(new, first, new_end, old, old_at, min(old_end, old_at + reach))
                old_found, new_found = found, first
            if found < 0:
                continue
            unlike = False
            before = min(old_found - old_at, new_found - new_at)
            before = _equal_behind(old[old_found - before : old_found], new[new_found - before : new_found])
            length = before + _equal_from(old, old_found, old_end, new, new_found, new_end)
            if length >= shortest and (best is None or length > best.length):
                best = CommonRun(old_found - before, new_found - before, length)
                if length >= _LONG:
                    return best
    return best


def _search(source: bytes, first: int, end: int, target: bytes, begin: int, stop: int) -> int:
    """Where a sample of one is in a part of the other; -1 where it isn't."""
    sample = source[first : min(first + _SAMPLE, end)]
    return target.find(sample, begin, stop) if len(sample) == _SAMPLE else -1


def _equal_from(old: bytes, old_at: int, old_end: int, new: bytes, new_at: int, new_end: int) -> int:
    """How many bytes are equal from two places on."""
    limit = min(old_end - old_at, new_end - new_at)
    same, step = 0, _FIRST_STEP
    while same < limit:
        size = min(step, limit - same)
        if new.startswith(old[old_at + same : old_at + same + size], new_at + same):
            same += size
            step = min(4 * step, _LAST_STEP)
            continue
        while size > 1:  # the difference is among these
            half = size // 2
            if new.startswith(old[old_at + same : old_at + same + half], new_at + same):
                same += half
                size -= half
            else:
                size = half
        break
    return same


def _equal_behind(old: bytes, new: bytes) -> int:
    """How many bytes are equal at the ends of two values."""
    limit = min(len(old), len(new))
    same, step = 0, _FIRST_STEP
    while same < limit:
        size = min(step, limit - same)
        if new.endswith(old[len(old) - same - size : len(old) - same], 0, len(new) - same):
            same += size
            step = min(4 * step, _LAST_STEP)
            continue
        while size > 1:
            half = size // 2
            if new.endswith(old[len(old) - same - half : len(old) - same], 0, len(new) - same):
                same += half
                size -= half
            else:
                size = half
        break
    return same
