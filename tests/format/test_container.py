"""The container: values come back from frames of their own, shared ones and borrowed ones."""

from __future__ import annotations

import random
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_checkpoint_s3.errors import CorruptObjectError
from langgraph_checkpoint_s3.format.builder import Builder
from langgraph_checkpoint_s3.format.codecs import Compression
from langgraph_checkpoint_s3.format.container import MAGIC, Container, header_length, open_container
from langgraph_checkpoint_s3.format.frames import Extent, Frame, Lender, Value, pack_value, unpack_value
from tests.format.craft import FRAME, crafted, opened, row
from tests.format.strategies import EVERY_CODEC

LARGE = 8 * 1024
NOISE = random.Random(2).randbytes(64 * 1024)
DATA = st.one_of(
    st.binary(max_size=40),
    st.integers(0, 3 * LARGE).map(bytes),
    st.integers(LARGE - 2, LARGE + 2).map(lambda size: NOISE[:size]),
)
BLOBS = st.lists(st.tuples(DATA, st.booleans()), max_size=8)


def written(values: list[Value], builder: Builder) -> tuple[Container, list[Value]]:
    """The object, opened, and where its header says that the values are."""
    data, base = builder.finish({"values": [pack_value(*value) for value in values]})
    container = opened(data)
    assert container.base == base == header_length(data)
    return container, [unpack_value(value, container.frames) for value in container.fields["values"]]


def packed(builder: Builder, *blobs: tuple[bytes, bool]) -> list[Value]:
    """Values of these bytes, each with a frame of its own or in the common one."""
    return [Value("x", place) for place in builder.pack(blobs)]


@given(st.sampled_from(EVERY_CODEC), st.lists(BLOBS, max_size=3))
def test_values_come_back(codec: Compression, batches: list[list[tuple[bytes, bool]]]) -> None:
    builder = Builder(codec)
    made = [
        Value(str(number), place)
        for number, place in enumerate(place for batch in batches for place in builder.pack(batch))
    ]
    container, values = written(made, builder)
    found = [(value.type, container.bytes_of(value)) for value in values]
    assert found == [
        (str(number), raw) for number, (raw, _) in enumerate(blob for batch in batches for blob in batch)
    ]
    assert container.missing(values) == []
    assert all(container.has_frames(value) for value in values)


def test_small_values_share_the_first_frame_and_a_large_one_has_its_own() -> None:
    builder = Builder("none")
    small = [(b"1", False), (NOISE[:LARGE], True), (b"", False), (NOISE[:100], False), (b"own", True)]
    assert builder.pack(small) == [
        (Extent(0, 0, 1),),
        (Extent(1, 0, LARGE),),
        (),
        (Extent(0, 1, 100),),
        (Extent(2, 0, 3),),
    ]
    assert builder.pack([(b"more", False), (b"", False)]) == [(Extent(3, 0, 4),), ()]
    assert builder.pack([(b"own", True)]) == [(Extent(4, 0, 3),)]
    assert builder.pack([]) == []
    assert len(builder.frames) == 5


def test_only_whats_compressible_is_compressed() -> None:
    builder = Builder("zstd")
    container, _ = written(packed(builder, (NOISE, True), (bytes(100_000), True), (b"tiny", False)), builder)
    assert [frame.codec for frame in container.frames] == ["none", "none", "zstd"]


def test_an_object_may_mix_codecs() -> None:
    parts = [Builder(codec) for codec in EVERY_CODEC]
    rows, body, values = [], b"", []
    for number, part in enumerate(parts):
        [value] = packed(part, (b"%d" % number * LARGE, True))
        container = opened(part.finish({"values": []})[0])
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
    for fields, flags in ({"a": 1}, 0), ({"a": "checkpoint" * 9}, 1):
        data, base = Builder("none").finish(fields)
        assert data[:8] == b"LGS3\x01" + bytes([flags, 0, 0])
        assert header_length(data) == base == len(data) == 16 + int.from_bytes(data[8:12], "big")
        assert int.from_bytes(data[12:16], "big") == zlib.crc32(data[:12] + data[16:])
        assert opened(data).fields == {**fields, "frames": []}
    assert MAGIC == b"LGS3"


def test_a_beginning_is_enough_for_what_lies_in_it() -> None:
    builder = Builder("none")
    first, second = packed(builder, (b"first", False), (NOISE, True))
    data, _ = builder.finish({})
    head = open_container(data[: header_length(data) + 5], len(data))
    assert head.missing([first]) == []
    assert head.missing([first, second, second]) == [1]
    assert (head.has_frames(first), head.has_frames(second)) == (True, False)
    assert head.bytes_of(first) == b"first"
    with pytest.raises(CorruptObjectError, match="Frame 1 is cut off"):
        head.bytes_of(second)
    frame = head.frames[1]
    assert head.add_frame(1, data[head.base + frame.offset :])
    assert head.missing([second]) == []
    assert head.has_frames(second)
    assert head.bytes_of(second) == NOISE


def test_what_is_provided_must_be_the_frame() -> None:
    builder = Builder("none")
    [value] = packed(builder, (NOISE, True))
    data, _ = builder.finish({})
    for wrong in (b"", NOISE[:-1], NOISE + b"x", bytes(len(NOISE))):
        head = open_container(data[: header_length(data)], len(data))
        assert not head.add_frame(0, wrong)
        assert head.missing([value]) == [0]
        with pytest.raises(CorruptObjectError, match="Frame 0 is cut off"):
            head.bytes_of(value)
        assert head.add_frame(0, NOISE)
        assert not head.add_frame(0, wrong)
        assert head.bytes_of(value) == NOISE


LENDER = Lender("0", "checkpoint.p9", 12)


def borrower(lent: bytes, **changes: object) -> Container:
    """An object whose second frame lies in its lender, beginning at the lender's hundredth byte."""
    return opened(crafted(frames=[row(FRAME), [*row(lent, offset=100, **changes), *LENDER]]))


def test_a_borrowed_frame_is_read_when_it_is_provided() -> None:
    container = borrower(b"lent")
    assert container.frames[1] == Frame(100, 4, 4, "none", zlib.crc32(b"lent"), LENDER)
    own, lent = Value("x", (Extent(0, 0, 4),)), Value("x", (Extent(1, 1, 3), Extent(0, 0, 1)))
    assert container.missing([own]) == []
    assert container.missing([own, lent]) == [1]
    with pytest.raises(CorruptObjectError, match="Frame 1 of its lender 0 is cut off"):
        container.bytes_of(lent)
    assert container.add_frame(1, b"lent")
    assert container.missing([lent]) == []
    assert container.bytes_of(lent) == b"entm"


def test_a_borrowed_frame_is_never_taken_from_the_object_itself() -> None:
    container = opened(crafted(frames=[row(FRAME), [*row(FRAME), *LENDER]]))
    assert container.missing([Value("x", (Extent(1, 0, 4),))]) == [1]


@pytest.mark.parametrize("stored", [b"", b"len", b"lenT", b"lent!"])
def test_a_borrowed_frame_that_differs_is_refused(stored: bytes) -> None:
    container = borrower(b"lent")
    value = Value("x", (Extent(1, 0, 4),))
    assert not container.add_frame(1, stored)
    assert container.missing([value]) == [1]
    with pytest.raises(CorruptObjectError, match="Frame 1 of its lender 0 is cut off"):
        container.bytes_of(value)


def test_a_borrowed_frame_that_unpacks_to_something_else_names_its_lender() -> None:
    container = borrower(b"lent", codec="zstd")
    assert container.add_frame(1, b"lent")
    with pytest.raises(CorruptObjectError, match="Frame 1 of its lender 0 can't be read"):
        container.bytes_of(Value("x", (Extent(1, 0, 4),)))


def test_an_extent_that_is_supplied_needs_no_frame() -> None:
    container = borrower(b"lent")
    extent = Extent(1, 1, 3)
    value = Value("x", (Extent(0, 0, 4), extent))
    container.add_extent(extent, b"ent")
    assert container.missing([value]) == []
    assert container.bytes_of(value) == b"metaent"
    other = Value("x", (Extent(1, 0, 2),))
    assert container.missing([value, other]) == [1]


def test_a_frame_is_lent_from_where_its_object_has_it() -> None:
    builder = Builder("none")
    packed(builder, (b"first", True), (b"second", True))
    data, base = builder.finish({})
    frame = builder.frames[1].as_borrowed(base, LENDER)
    assert data[frame.offset :] == b"second"
    assert frame == Frame(base + 5, 6, 6, "none", zlib.crc32(b"second"), LENDER)
    assert frame.as_borrowed(base, Lender("1", "checkpoint", 13)) is frame  # by the object that it lies in


def test_a_lent_frame_is_named_once() -> None:
    builder = Builder("none")
    frames = [Frame(offset, 4, 4, "none", 0, LENDER) for offset in (100, 104)]
    packed(builder, (b"own", True))
    assert [builder.borrow(frame) for frame in (*frames, *frames)] == [1, 2, 1, 2]
    container = opened(builder.finish({})[0])
    assert container.frames == (*builder.frames[:1], *frames)


def test_a_value_outside_of_a_borrowed_frame_is_refused() -> None:
    frames = borrower(b"lent").frames
    assert unpack_value(["x", [[1, 0, 4]]], frames).extents == (Extent(1, 0, 4),)
    for extent in ([1, 0, 5], [1, 4, 1], [1, 2**64 - 1, 1], [2, 0, 1]):
        with pytest.raises(ValueError, match="outside of its frame"):
            unpack_value(["x", [extent]], frames)


class TestALargeFrameThatIsNotCompressed:
    """It is moved within the object's memory, and everything else can still be asked for."""

    LARGE = bytes(range(256)) * 8192

    def made(self) -> bytes:
        builder = Builder("none")
        builder.pack([(b"small", False), (self.LARGE, True), (b"other" * 1000, True)])
        return builder.finish({"ns": ""})[0]

    @pytest.mark.parametrize("held", [False, True])
    def test_the_rest_stays(self, held: bool) -> None:
        data = self.made()
        expected, others = bytearray(data), data if held else None
        container = open_container(data, len(data))
        del data
        values = [Value("bytes", (Extent(n, 0, frame.raw),)) for n, frame in enumerate(container.frames)]
        assert container.bytes_of(values[1]) == self.LARGE
        assert [container.bytes_of(value) for value in values] == [b"small", self.LARGE, b"other" * 1000]
        assert [bytes(container.packed(n)) for n in range(3)] == [b"small", self.LARGE, b"other" * 1000]
        assert container.missing(values) == []
        assert container.whole() == expected
        assert others is None or others == expected

    def test_it_needs_no_memory(self) -> None:
        tracemalloc.start()
        try:
            data = self.made()
            before = tracemalloc.get_traced_memory()[0]
            container = open_container(data, len(data))
            del data
            tracemalloc.reset_peak()
            assert len(container.bytes_of(Value("bytes", (Extent(1, 0, len(self.LARGE)),)))) == len(
                self.LARGE
            )
            assert tracemalloc.get_traced_memory()[1] < before + len(self.LARGE) / 10
        finally:
            tracemalloc.stop()

    def test_a_damaged_one_is_refused(self) -> None:
        data = bytearray(self.made())
        data[len(data) // 2] ^= 1
        container = open_container(bytes(data), len(data))
        with pytest.raises(CorruptObjectError, match="damaged"):
            container.bytes_of(Value("bytes", (Extent(1, 0, len(self.LARGE)),)))
