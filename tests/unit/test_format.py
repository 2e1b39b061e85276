"""The container: values come back from frames of their own, shared ones and borrowed ones."""

from __future__ import annotations

import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_checkpoint_s3.errors import CorruptObjectError
from langgraph_checkpoint_s3.objects.codecs import Compression
from langgraph_checkpoint_s3.objects.format import (
    MAGIC,
    Builder,
    Container,
    Extent,
    Frame,
    Value,
    header_length,
    open_container,
    pack_value,
    unpack_value,
)
from tests.unit.craft import FRAME, crafted, opened, row
from tests.unit.strategies import EVERY_CODEC

OWN_FRAME = 8 * 1024
NOISE = random.Random(2).randbytes(64 * 1024)
DATA = st.one_of(
    st.binary(max_size=40),
    st.integers(0, 3 * OWN_FRAME).map(bytes),
    st.integers(OWN_FRAME - 2, OWN_FRAME + 2).map(lambda size: NOISE[:size]),
)
SERIALIZED = st.lists(st.tuples(st.text("abc", max_size=2), DATA), max_size=8)


def written(values: list[Value], builder: Builder) -> tuple[Container, list[Value]]:
    """The object, opened, and where its header says that the values are."""
    container = opened(builder.finish({"values": [pack_value(value) for value in values]}))
    return container, [unpack_value(value, container.frames) for value in container.fields["values"]]


@given(st.sampled_from(EVERY_CODEC), st.lists(SERIALIZED, max_size=3))
def test_values_come_back(codec: Compression, batches: list[list[tuple[str, bytes]]]) -> None:
    builder = Builder(codec)
    container, values = written([value for batch in batches for value in builder.pack(batch)], builder)
    found = [(value.type, container.bytes_of(value)) for value in values]
    assert found == [pair for batch in batches for pair in batch]
    assert container.missing(values) == []


def test_small_values_share_a_frame_and_a_large_one_has_its_own() -> None:
    builder = Builder("none")
    small = builder.pack([("x", b"1"), ("x", NOISE[:OWN_FRAME]), ("x", b""), ("x", NOISE[: OWN_FRAME - 1])])
    assert [value.extents for value in small] == [
        (Extent(1, 0, 1),),
        (Extent(0, 0, OWN_FRAME),),
        (),
        (Extent(1, 1, OWN_FRAME - 1),),
    ]


def test_only_whats_compressible_is_compressed() -> None:
    builder = Builder("zstd")
    container, _ = written(builder.pack([("x", NOISE), ("x", bytes(100_000)), ("x", b"tiny")]), builder)
    assert [frame.codec for frame in container.frames] == ["none", "zstd", "none"]


def test_an_object_may_mix_codecs() -> None:
    parts = [Builder(codec) for codec in EVERY_CODEC]
    rows, body, values = [], b"", []
    for number, part in enumerate(parts):
        [value] = part.pack([("x", b"%d" % number * OWN_FRAME)])
        container = opened(part.finish({"values": []}))
        frame = container.frames[0]
        rows.append([len(body), frame.stored, frame.raw, frame.codec, frame.crc])
        body += bytes(container.data[container.base :])
        values.append(Value("x", (Extent(number, 0, value.extents[0].length),)))
    mixed = opened(crafted(body=body, frames=rows))
    assert [frame.codec for frame in mixed.frames] == ["zstd", "gzip", "none"]
    assert [mixed.bytes_of(value)[:2] for value in values] == [b"00", b"11", b"22"]


def test_a_value_may_lie_in_several_frames() -> None:
    container = opened(crafted(frames=[row(b"meta"), row(b"rest", offset=4)]))
    assert (
        container.bytes_of(Value("x", (Extent(1, 0, 4), Extent(0, 1, 2), Extent(1, 3, 1))))
        == b"resteta"[:6] + b"t"
    )


def test_the_preamble_is_what_the_specification_says() -> None:
    data = Builder("none").finish({"a": 1})
    assert data[:8] == b"LGS3\x01\x00\x00\x00"
    assert header_length(data) == len(data) == 16 + int.from_bytes(data[8:12], "big")
    assert int.from_bytes(data[12:16], "big") == zlib.crc32(data[:12] + data[16:])
    assert MAGIC == b"LGS3"


def test_a_beginning_is_enough_for_what_lies_in_it() -> None:
    builder = Builder("none")
    [first] = builder.pack([("x", b"first")])
    [second] = builder.pack([("x", NOISE)])
    data = builder.finish({})
    head = open_container(data[: header_length(data) + 5], len(data))
    assert head.missing([first]) == []
    assert head.missing([first, second, second]) == [1]
    assert head.bytes_of(first) == b"first"
    with pytest.raises(CorruptObjectError, match="Frame 1 is cut off"):
        head.bytes_of(second)
    frame = head.frames[1]
    head.provide(1, data[head.base + frame.offset :])
    assert head.missing([second]) == []
    assert head.bytes_of(second) == NOISE


def test_what_is_provided_must_be_the_frame() -> None:
    builder = Builder("none")
    [value] = builder.pack([("x", NOISE)])
    data = builder.finish({})
    for wrong in (b"", NOISE[:-1], NOISE + b"x", bytes(len(NOISE))):
        head = open_container(data[: header_length(data)], len(data))
        head.provide(0, wrong)
        with pytest.raises(CorruptObjectError, match="Frame 0 is damaged"):
            head.bytes_of(value)


LENDER = "cez/checkpoint"


def borrower(lent: bytes, **changes: object) -> Container:
    """An object whose second frame lies in its lender, beginning at the lender's hundredth byte."""
    return opened(crafted(frames=[row(FRAME), [*row(lent, offset=100, **changes), LENDER]]))


def test_a_borrowed_frame_is_read_when_it_is_provided() -> None:
    container = borrower(b"lent")
    assert container.frames[1] == Frame(100, 4, 4, "none", zlib.crc32(b"lent"), LENDER)
    own, lent = Value("x", (Extent(0, 0, 4),)), Value("x", (Extent(1, 1, 3), Extent(0, 0, 1)))
    assert container.missing([own]) == []
    assert container.missing([own, lent]) == [1]
    with pytest.raises(CorruptObjectError, match=f"Frame 1 of its lender {LENDER} is cut off"):
        container.bytes_of(lent)
    container.provide(1, b"lent")
    assert container.missing([lent]) == []
    assert container.bytes_of(lent) == b"entm"


def test_a_borrowed_frame_is_never_taken_from_the_object_itself() -> None:
    container = opened(crafted(frames=[row(FRAME), [*row(FRAME), LENDER]]))
    assert container.missing([Value("x", (Extent(1, 0, 4),))]) == [1]


@pytest.mark.parametrize("stored", [b"", b"len", b"lenT", b"lent!"])
def test_a_borrowed_frame_that_differs_is_refused(stored: bytes) -> None:
    container = borrower(b"lent")
    container.provide(1, stored)
    with pytest.raises(CorruptObjectError, match=f"Frame 1 of its lender {LENDER} is damaged"):
        container.bytes_of(Value("x", (Extent(1, 0, 4),)))


def test_a_value_outside_of_a_borrowed_frame_is_refused() -> None:
    frames = borrower(b"lent").frames
    assert unpack_value(["x", [[1, 0, 4]]], frames).extents == (Extent(1, 0, 4),)
    for extent in ([1, 0, 5], [1, 4, 1], [1, 2**64 - 1, 1], [2, 0, 1]):
        with pytest.raises(ValueError, match="outside of its frame"):
            unpack_value(["x", [extent]], frames)
