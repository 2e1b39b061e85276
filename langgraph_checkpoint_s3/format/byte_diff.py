"""Common runs of bytes of two versions of a value.

Serialized state changes in few places: a list's count at the front, a new message at the end, an edit
somewhere. So the two versions are compared from the front until they differ; a few short samples from beyond
the difference are searched in the other version, and the comparison goes on from there. All of it is `memcmp`
and `memmem` in C, and the search is bounded: two values that share nothing cost microseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

_SAMPLE: Final = 32
_NEAR: Final = (8, 512)
"""Distances beyond a difference at which samples are taken first: beyond a count, beyond a small edit."""
_FAR: Final = (64, 192, 1024, 2048, 4096, 8192, 16 * 1024)
"""Further distances, unless the values have nothing in common: beyond larger edits and accidental matches."""
_LONG: Final = 512
"""Length from which a run is no accident. Messages have up to a hundred bytes in common."""
_WINDOW: Final = 32 * 1024
"""Most bytes that are searched for a sample: the longest insertion or deletion that is recognized …"""
_WINDOW_SHARE: Final = 8
"""… and at most one part in so many of the value."""
_FREE_EDITS: Final = 3
_BYTES_PER_EDIT: Final = 8 * 1024
"""Common bytes required for each further edit: the search for it costs about as much as compressing them."""
_FIRST_STEP: Final = 256
_LAST_STEP: Final = 1024 * 1024


class CommonRun(NamedTuple):
    """Bytes that are in both versions: their offset in each, and their length."""

    old: int
    new: int
    length: int


def common_runs(old: bytes, new: bytes, min_run: int) -> list[CommonRun]:
    """Return runs that two values have in common, in the order that they have in both.

    Args:
        old: The known value.
        new: The other value.
        min_run: The shortest run to return.

    Returns:
        Not all common runs, but those that are found cheaply. If there are few edits, all between them.
    """
    # The common end is set aside first, so that a change near the front can't hide it.
    tail = _common_suffix(old, new)
    old_end, new_end = len(old) - tail, len(new) - tail
    runs: list[CommonRun] = []
    run: CommonRun | None = CommonRun(0, 0, _common_prefix(old, 0, old_end, new, 0, new_end))
    common, edits = tail, 0
    window = min(_WINDOW, len(new) // _WINDOW_SHARE)
    while run is not None:
        common += run.length
        if run.length >= min_run:
            runs.append(run)
        edits += 1
        # Where the values have little in common, the search would cost more than the runs save.
        if edits > _FREE_EDITS + common // _BYTES_PER_EDIT:
            break
        old_at, new_at = run.old + run.length, run.new + run.length
        unlike = common < min_run
        run = _next_run(old, old_at, old_end, new, new_at, new_end, min_run, window, unlike=unlike)
    if tail >= min_run:
        runs.append(CommonRun(old_end, new_end, tail))
    return runs


def _next_run(
    old: bytes,
    old_at: int,
    old_end: int,
    new: bytes,
    new_at: int,
    new_end: int,
    min_run: int,
    window: int,
    *,
    unlike: bool,
) -> CommonRun | None:
    """Return the next common run after a difference, if one is found.

    The first long one is taken, else the longest. If the values have nothing in common so far (`unlike`),
    only the near samples are tried.
    """
    best: CommonRun | None = None
    for distance in (*_NEAR, *_FAR):
        if distance == _FAR[0] and unlike:
            return best
        if distance > max(window, _NEAR[-1]):
            return best  # in a small value, a far sample isn't worth the search
        reach = distance + window
        for inserted in (True, False):
            if inserted:  # bytes were inserted, so what follows in the old value is further on in the new one
                first = old_at + distance
                found = _find_sample(old, first, old_end, new, new_at, min(new_end, new_at + reach))
                old_found, new_found = first, found
            else:
                first = new_at + distance
                found = _find_sample(new, first, new_end, old, old_at, min(old_end, old_at + reach))
                old_found, new_found = found, first
            if found < 0:
                continue
            unlike = False
            # The sample is somewhere in the run: extend it in both directions.
            before = min(old_found - old_at, new_found - new_at)
            before = _common_suffix(old[old_found - before : old_found], new[new_found - before : new_found])
            length = before + _common_prefix(old, old_found, old_end, new, new_found, new_end)
            if length >= min_run and (best is None or length > best.length):
                best = CommonRun(old_found - before, new_found - before, length)
                if length >= _LONG:
                    return best
    return best


def _find_sample(source: bytes, first: int, end: int, target: bytes, begin: int, stop: int) -> int:
    """Return where a sample of one value is in a part of the other; -1 if it isn't there."""
    sample = source[first : min(first + _SAMPLE, end)]
    return target.find(sample, begin, stop) if len(sample) == _SAMPLE else -1


def _common_prefix(old: bytes, old_at: int, old_end: int, new: bytes, new_at: int, new_end: int) -> int:
    """Return how many bytes are equal from two offsets on."""

    def equal(start: int, size: int) -> bool:
        return new.startswith(old[old_at + start : old_at + start + size], new_at + start)

    return _equal_bytes(min(old_end - old_at, new_end - new_at), equal)


def _common_suffix(old: bytes, new: bytes) -> int:
    """Return how many bytes are equal at the ends of two values."""

    def equal(start: int, size: int) -> bool:
        end = len(old) - start
        return new.endswith(old[end - size : end], 0, len(new) - start)

    return _equal_bytes(min(len(old), len(new)), equal)


def _equal_bytes(limit: int, equal: Callable[[int, int], bool]) -> int:
    """Return how many bytes are equal, `limit` at most.

    Python has no function for that, only `memcmp`. So steps grow while they are equal, and the first one that
    isn't is bisected.
    """
    same, step = 0, _FIRST_STEP
    while same < limit:
        size = min(step, limit - same)
        if equal(same, size):
            same += size
            step = min(4 * step, _LAST_STEP)
            continue
        while size > 1:  # the first difference is in the next `size` bytes
            half = size // 2
            if equal(same, half):
                same += half
                size -= half
            else:
                size = half
        break
    return same
