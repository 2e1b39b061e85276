"""The header as bytes: it reads back, compressed where that is shorter, and what it announces is checked."""

from __future__ import annotations

import random
import tracemalloc
from typing import Any, get_args

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_checkpoint_s3.errors import CorruptObjectError
from langgraph_checkpoint_s3.format.builder import Builder
from langgraph_checkpoint_s3.format.codecs import Compression, compress
from langgraph_checkpoint_s3.format.container import open_container
from langgraph_checkpoint_s3.format.header import COMPRESSED, pack_header, unpack_header
from tests.format.craft import CHECKPOINT, FRAME, craft, opened, row
from tests.format.strategies import TEXT

FIELDS: dict[str, Any] = {**CHECKPOINT, "frames": [row()]}
HEADERS = st.dictionaries(
    TEXT,
    st.recursive(TEXT | st.integers(0, 2**64 - 1), lambda inner: st.lists(inner, max_size=9), max_leaves=20),
    max_size=9,
)


def packed(raw: bytes, length: int | None = None) -> bytes:
    """A compressed header that announces this length."""
    codec, stored = compress(raw, "zstd-d1")
    assert codec == "zstd-d1"
    return (len(raw) if length is None else length).to_bytes(4, "big") + stored


@given(HEADERS, st.none() | st.integers(0, 300))
def test_a_header_reads_back(fields: dict[str, Any], at_least: int | None) -> None:
    flags, header = pack_header(fields, at_least)
    assert unpack_header(memoryview(header), flags) == fields
    assert len(pack_header(fields)[1]) <= len(msgpack.packb(fields))


def test_it_is_compressed_only_if_that_is_shorter() -> None:
    flags, header = pack_header(FIELDS)
    assert flags == COMPRESSED == 1
    assert len(header) < len(msgpack.packb(FIELDS)) * 2 / 3
    noise = random.Random(7).randbytes(3000)
    for short in ({}, {"a": 1}, {"x": noise[:30]}, {"x": noise}):
        assert pack_header(short) == (0, msgpack.packb(short))


@pytest.mark.parametrize("compression", get_args(Compression))
def test_the_setting_is_for_frames_and_not_for_the_header(compression: Compression) -> None:
    builder = Builder(compression)
    builder.pack([(b"small" * 100, False), (b"large" * 1000, True)])
    body, _ = builder.finish(CHECKPOINT)
    assert body[5] == COMPRESSED
    codecs = [frame.codec for frame in open_container(body, len(body)).frames]
    assert codecs == (["zstd-d1", "zstd"] if compression == "zstd" else [compression] * 2)


def test_it_is_padded_with_zeros() -> None:
    flags, header = pack_header(FIELDS)
    for more in (0, 1, 7, 1000):
        assert pack_header(FIELDS, len(header) + more) == (flags, header + bytes(more))
    assert pack_header(FIELDS, len(header) - 1) == (flags, header)  # at least


def test_what_is_crafted_so_is_read() -> None:
    """The tests below damage what would be read."""
    raw = msgpack.packb(FIELDS)
    for header in (packed(raw), packed(raw) + b"\0", packed(raw) + b"anything"):
        assert opened(craft(header, FRAME, flags=COMPRESSED)).fields == FIELDS


RAW = msgpack.packb(FIELDS)
BAD: dict[str, bytes] = {
    "nothing": b"",
    "no length": b"\0\0",
    "a length alone": len(RAW).to_bytes(4, "big"),
    "of no length": packed(RAW, 0),
    "longer than announced": packed(RAW, len(RAW) - 1),
    "shorter than announced": packed(RAW, len(RAW) + 1),
    "much shorter than announced": packed(RAW, 64 * 1024 * 1024),
    "longer than is read": packed(RAW, 64 * 1024 * 1024 + 1),
    "as long as can be said": packed(RAW, 2**32 - 1),
    "cut off": packed(RAW)[:-1],
    "half": packed(RAW)[:50],
    "garbage": len(RAW).to_bytes(4, "big") + random.Random(8).randbytes(200),
    "zeros": bytes(100),
    "not compressed": RAW,
    "not compressed, with a length": len(RAW).to_bytes(4, "big") + RAW,
    "compressed without the dictionary": len(RAW).to_bytes(4, "big") + compress(RAW * 9, "zstd")[1],
    "gzip": len(RAW).to_bytes(4, "big") + compress(RAW, "gzip")[1],
    "no map": packed(msgpack.packb(["kind", "checkpoint", "created", "writer", "parent", "metadata"] * 2)),
    "no msgpack": packed(b"\xc1" * 100),
    "two values": packed(RAW + RAW),
    "deep nesting": packed(b"\x91" * 100_000 + b"\x01"),
}


@pytest.mark.parametrize("header", BAD.values(), ids=BAD)
def test_a_compressed_header_that_lies_is_refused(header: bytes) -> None:
    data = craft(header, FRAME, flags=COMPRESSED)
    with pytest.raises(CorruptObjectError, match="header can't be read"):
        opened(data)


def test_a_compressed_header_is_not_read_without_its_flag() -> None:
    with pytest.raises(CorruptObjectError, match="header can't be read"):
        opened(craft(packed(RAW), FRAME))


def test_a_header_that_unpacks_to_more_than_it_announces_is_refused_unread() -> None:
    for announced, most in ((len(RAW), 1024 * 1024), (64 * 1024 * 1024 + 1, 1024 * 1024)):
        data = craft(packed(bytes(128 * 1024 * 1024), announced), FRAME, flags=COMPRESSED)
        tracemalloc.start()
        try:
            with pytest.raises(CorruptObjectError, match="announce"):
                opened(data)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < most


@given(st.binary(max_size=200), st.integers(0, 300))
def test_random_bytes_are_no_header(junk: bytes, length: int) -> None:
    for header in (junk, length.to_bytes(4, "big") + junk):
        with pytest.raises(CorruptObjectError):
            opened(craft(header, FRAME, flags=COMPRESSED))
