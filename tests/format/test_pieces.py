"""Bytes in several buffers, and memory that is received into and moved without copies."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_checkpoint_s3.format.pieces import Landing, Pieces, buffers_of, cut_out, joined

SIZE = 4_000_000


def peak(work: Callable[[], Any]) -> tuple[int, Any]:
    """Return the most bytes that were allocated meanwhile, and the result."""
    tracemalloc.start()
    try:
        found = work()
        return tracemalloc.get_traced_memory()[1], found
    finally:
        tracemalloc.stop()


@given(st.lists(st.binary(max_size=20), max_size=6), st.data())
def test_a_part_is_that_of_the_joined_bytes(buffers: list[bytes], data: st.DataObject) -> None:
    whole, pieces = b"".join(buffers), Pieces(buffers)
    first = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(first, len(whole)))
    assert joined(pieces.between(first, end)) == whole[first:end]
    assert len(pieces) == len(whole)
    assert joined(pieces) == whole
    assert pieces.equals(whole)
    assert not pieces.equals(whole + b"x")
    assert not pieces.equals(bytes(len(whole)) if any(whole) else b"\1" * len(whole) or b"x")


def test_small_buffers_are_joined_and_large_ones_stay() -> None:
    large = bytes(100_000)
    pieces = Pieces.of([b"a", b"b", large, b"c", large, large])
    assert pieces.buffers == (b"ab", large, b"c", large, large)
    assert pieces.buffers[1] is large


def test_one_buffer_is_not_copied() -> None:
    data = b"data"
    assert joined(data) is data
    assert buffers_of(data) == (data,)


def test_what_landed_is_taken_without_a_copy() -> None:
    def land() -> bytes:
        landing = Landing(SIZE)
        landing.view[:1], landing.view[-1:] = b"<", b">"
        return landing.taken()

    most, found = peak(land)
    assert (len(found), found[:1], found[-1:]) == (SIZE, b"<", b">")
    assert most < 1.1 * SIZE


def test_memory_that_somebody_holds_is_taken_as_a_copy() -> None:
    landing = Landing(8)
    held = landing.view[2:4]
    found = landing.taken()
    held[:] = b"xx"
    assert found == bytes(8)


def test_a_slice_is_moved_if_nobody_else_has_the_bytes() -> None:
    def cut() -> bytes:
        held = [b"head" + bytes(SIZE) + b"tail"]
        return cut_out(held, 4, SIZE)

    most, found = peak(cut)
    assert found == bytes(SIZE)
    assert most < 2.1 * SIZE  # `+` makes a copy, and nothing else does


@pytest.mark.parametrize(("start", "length"), [(0, 10), (3, 4), (9, 1), (5, 0)])
def test_bytes_that_somebody_else_has_stay_as_they_are(start: int, length: int) -> None:
    data = bytes(range(65, 75))
    assert cut_out([data], start, length) == data[start : start + length]
    assert data == b"ABCDEFGHIJ"
