"""Damaged objects, and crafted ones whose CRC fits, are a `CorruptObjectError`, never wrong data."""

from __future__ import annotations

import copy
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_checkpoint_s3.errors import CorruptObjectError
from langgraph_checkpoint_s3.format.checkpoint import CheckpointRecord, Origin, open_checkpoint
from langgraph_checkpoint_s3.format.codecs import CODECS, Compression, compress
from langgraph_checkpoint_s3.format.container import header_length, open_container
from langgraph_checkpoint_s3.format.writes import Task, WritesRecord, encode_tasks, open_writes
from tests.format.craft import CHECKPOINT, FRAME, WRITES, contents, craft, crafted, row
from tests.format.made import encode_checkpoint

SERDE = JsonPlusSerializer()
ORIGIN = Origin("", "1", 1, "w")
Open = Callable[[bytes, int], "CheckpointRecord | WritesRecord"]


def as_checkpoint(data: bytes, size: int) -> CheckpointRecord:
    return open_checkpoint(data, size, "", "1", "checkpoint")


def as_writes(data: bytes, size: int) -> WritesRecord:
    return open_writes(data, size, "", "1", "writes.tt.w0")


def small(codec: Compression) -> list[tuple[bytes, Open]]:
    """A small object of each kind, with a frame that the codec compresses."""
    checkpoint = {**empty_checkpoint(), "id": "1", "channel_values": {"a": "x" * 200, "b": None}}
    return [
        (encode_checkpoint(SERDE, codec, ORIGIN, checkpoint, {"step": 1}, "0"), as_checkpoint),  # type: ignore[arg-type]  # a plain dict
        (
            encode_tasks(
                codec,
                ORIGIN,
                "writes.tt.w0",
                [Task.of(SERDE, {0: ("a", "y" * 200), -1: ("b", None)}, "t", "p")],
            ),
            as_writes,
        ),
    ]


def read(open_: Open, data: bytes, size: int) -> list[bytes]:
    """All that is in an object."""
    return contents(open_(data, size))


@pytest.mark.parametrize("codec", CODECS)
def test_an_object_cut_anywhere_is_refused(codec: Compression) -> None:
    for data, open_ in small(codec):
        assert read(open_, data, len(data))
        for length in range(len(data)):
            with pytest.raises(CorruptObjectError):
                read(open_, data[:length], length)  # it is stored like this
            with pytest.raises(CorruptObjectError):
                read(open_, data[:length], len(data))  # it broke off on its way


@pytest.mark.parametrize("codec", CODECS)
def test_a_bit_flipped_anywhere_is_noticed(codec: Compression) -> None:
    for data, open_ in small(codec):
        for place in range(len(data)):
            for bit in range(8):
                damaged = bytearray(data)
                damaged[place] ^= 1 << bit
                with pytest.raises(CorruptObjectError):
                    read(open_, bytes(damaged), len(damaged))


def test_an_object_with_more_behind_it_is_refused() -> None:
    for data, open_ in small("zstd"):
        with pytest.raises(CorruptObjectError, match=f"{len(data) + 1} bytes where its header announces"):
            read(open_, data + b"\0", len(data) + 1)
        with pytest.raises(CorruptObjectError, match="where its header announces"):
            read(open_, data, len(data) + 1)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "only 0 bytes"),
        (b"LGS3", "only 4 bytes"),
        (b"<html>somebody else's file</html>", "begins with b'<htm'"),
        (craft(CHECKPOINT, magic=b"LGS4"), "isn't one of ours"),
        (craft(CHECKPOINT, magic=b"\x00\x00\x00\x00"), "isn't one of ours"),
        (craft(CHECKPOINT, version=0), "version 0, flags 0"),
        (craft(CHECKPOINT, version=2), "version 2, flags 0.* upgrade"),
        (craft(CHECKPOINT, flags=1), "can't be read"),  # says that it is compressed, and isn't
        (craft(CHECKPOINT, flags=4), "version 1, flags 4.* upgrade"),
        (craft(CHECKPOINT, flags=5), "version 1, flags 5.* upgrade"),
        (craft(CHECKPOINT, flags=128), "version 1, flags 128.* upgrade"),
        (craft(CHECKPOINT, length=2**32 - 1), "only [0-9]+ are there"),
        (craft(CHECKPOINT, length=3), "header is damaged"),
        (craft(CHECKPOINT, length=0), "header is damaged"),
        (craft(b"", b""), "can't be read"),
    ],
)
def test_what_is_not_ours_is_refused_with_the_reason(data: bytes, message: str) -> None:
    with pytest.raises(CorruptObjectError, match=message):
        as_checkpoint(data, len(data))


def test_a_foreign_object_is_refused_by_its_first_bytes() -> None:
    for data in (b"x" * 16, craft({}, version=9)):
        with pytest.raises(CorruptObjectError):
            header_length(data)


def nested(depth: int) -> bytes:
    return b"\x91" * depth + b"\x01"


HEADERS: dict[str, Any] = {
    "a list": [],
    "a number": 5,
    "nothing": None,
    "a text": "frames",
    "no msgpack": b"\xc1",
    "two values": b"\x80\x80",
    "cut off": b"\x81\xa1",
    "a text that isn't UTF-8": b"\x81\xa1\xff\x01",
    "a number as a name": {1: 2},
    "a list of 4 billion": b"\xdd\xff\xff\xff\xff",
    "a map of 4 billion": b"\xdf\xff\xff\xff\xff",
    "bytes of 4 billion": b"\xc6\xff\xff\xff\xff",
    "deep nesting": nested(100_000),
    "deep nesting in a field": b"\x81\xa6frames" + nested(2000),
    "a timestamp": b"\xd6\xff\x00\x00\x00\x00",
    "a broken timestamp": b"\xc7\x03\xff\x00\x00\x00",
    "an impossible timestamp": b"\xd7\xff" + b"\xff" * 8,
    "an extension": b"\xc7\x00\x05",
    "no frames": {**CHECKPOINT},
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_header_that_is_no_header_is_refused(header: Any) -> None:
    data = craft(header)
    with pytest.raises(CorruptObjectError):
        as_checkpoint(data, len(data))


BIG = 2**64 - 1
FRAMES: dict[str, Any] = {
    "none": [],
    "nothing": None,
    "a number": 1,
    "a map": {"0": row()},
    "no row": [[]],
    "a short row": [row()[:4]],
    "a number as a row": [5],
    "a text as a row": ["abcde"],
    "a negative offset": [row(offset=-1)],
    "a negative length": [row(stored=-8)],
    "a negative raw length": [row(raw=-1)],
    "too long": [row(stored=9)],
    "too short": [row(stored=7)],
    "out of the object": [row(offset=1)],
    "far out": [row(offset=BIG)],
    "huge": [row(stored=BIG)],
    "huge in sum": [row(stored=BIG), row(stored=BIG)],
    "hugely packed": [row(raw=BIG)],
    "hugely packed zstd": [row(raw=2**62, codec="zstd")],
    "hugely packed gzip": [row(raw=2**62, codec="gzip")],
    "another CRC": [row(crc=0)],
    "a huge CRC": [row(crc=BIG)],
    "a fraction": [row(offset=0.0)],
    "a truth": [row(offset=False)],
    "a text as a number": [row(stored="8")],
    "no codec": [row(codec=None)],
    "bytes as a codec": [row(codec=b"none")],
    "an unknown codec": [row(codec="brotli")],
    "not compressed": [row(codec="zstd")],
    "not compressed either": [row(codec="gzip")],
    "a lender without a leaf": [[*row(), "0"]],
    "a lender without a time": [[*row(), "0", "checkpoint"]],
    "a number as a lender": [[*row(), 5, "checkpoint", 1]],
    "bytes as a lender": [[*row(), b"x", "checkpoint", 1]],
    "nothing as a lender": [[*row(), None, None, None]],
    "a number as a leaf": [[*row(), "0", 5, 1]],
    "bytes as a leaf": [[*row(), "0", b"x", 1]],
    "a text as a time": [[*row(), "0", "checkpoint", "1"]],
    "a negative time": [[*row(), "0", "checkpoint", -1]],
    "a fraction as a time": [[*row(), "0", "checkpoint", 1.5]],
    "all of it borrowed": [[*row(), "0", "checkpoint", 1]],
}


@pytest.mark.parametrize("frames", FRAMES.values(), ids=FRAMES)
def test_a_table_of_frames_that_lies_is_refused(frames: Any) -> None:
    for fields, open_ in ((CHECKPOINT, as_checkpoint), (WRITES, as_writes)):
        data = crafted(fields, frames=frames)
        with pytest.raises(CorruptObjectError):
            read(open_, data, len(data))


VALUES: dict[str, Any] = {
    "nothing": None,
    "empty": [],
    "a type alone": ["x"],
    "three things": ["x", [], []],
    "no type": [None, [[0, 0, 4]]],
    "bytes as a type": [b"x", [[0, 0, 4]]],
    "no extents": ["x", None],
    "a number as extents": ["x", 5],
    "a number as an extent": ["x", [5]],
    "a short extent": ["x", [[0, 0]]],
    "a long extent": ["x", [[0, 0, 4, 0, 0]]],
    "a negative origin": ["x", [[0, 0, 4, -1]]],
    "a fraction as an origin": ["x", [[0, 0, 4, 0.5]]],
    "nothing as an origin": ["x", [[0, 0, 4, None]]],
    "another frame": ["x", [[1, 0, 4]]],
    "a negative frame": ["x", [[-1, 0, 4]]],
    "a huge frame": ["x", [[BIG, 0, 4]]],
    "out of the frame": ["x", [[0, 5, 4]]],
    "longer than the frame": ["x", [[0, 0, 9]]],
    "far out": ["x", [[0, BIG, BIG]]],
    "a negative start": ["x", [[0, -4, 4]]],
    "a negative length": ["x", [[0, 4, -4]]],
    "a fraction": ["x", [[0, 0.0, 4.0]]],
    "a fourth number": ["x", [[0, 0, 4, 0]]],
    "a text": ["x", ["abc"]],
    "a truth": ["x", [[False, 0, True]]],
    "infinite": ["x", [[0, 0, float("inf")]]],
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_value_that_lies_is_refused(value: Any) -> None:
    write = ["t", "p", 0, "one", *(value if isinstance(value, list) else [value])]
    for data, open_ in (
        (crafted(metadata=value), as_checkpoint),
        (crafted(checkpoint=value), as_checkpoint),
        (crafted(channels={"one": value}), as_checkpoint),
        (crafted(WRITES, writes=[write]), as_writes),
    ):
        with pytest.raises(CorruptObjectError):
            open_(data, len(data))


WRONG: dict[str, tuple[Any, ...]] = {
    "created": (None, "1", "x", 1.5, -1, [], float("inf"), float("nan")),
    "parent": (5, b"p", ["p"], {}, 1.5, True),
    "channels": (None, 5, [], "x", [["one", ["x", []]]], {b"one": ["x", []]}),
}


@pytest.mark.parametrize(
    ("name", "wrong"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_a_checkpoints_field_of_another_type_is_refused(name: str, wrong: Any) -> None:
    data = crafted(**{name: wrong})
    with pytest.raises(CorruptObjectError):
        as_checkpoint(data, len(data))


@pytest.mark.parametrize(
    "name", ["created", "parent", "metadata", "checkpoint", "channels", "leaf", "ns", "id"]
)
def test_a_checkpoint_without_a_field_is_refused(name: str) -> None:
    data = crafted({key: value for key, value in CHECKPOINT.items() if key != name})
    with pytest.raises(CorruptObjectError):
        as_checkpoint(data, len(data))


WRITE = ["t", "p", 0, "one", "x", [[0, 0, 8]]]
WRONGS: tuple[Any, ...] = (None, "0", "x", 1.5, b"0", [], float("inf"), float("nan"))
NO_TEXTS: tuple[Any, ...] = (None, 5, b"t", ["t"])
ROWS: tuple[Any, ...] = (
    None,
    5,
    "x",
    {"a": 1},
    [5],
    ["abcdef"],
    [[]],
    [WRITE[:4]],
    [WRITE[:5]],
    [[*WRITE, 1]],
    *([[*WRITE[:place], wrong, *WRITE[place + 1 :]]] for place in (0, 1, 3) for wrong in NO_TEXTS),
    *([[*WRITE[:2], wrong, *WRITE[3:]]] for wrong in WRONGS),
)


@pytest.mark.parametrize("rows", ROWS, ids=repr)
def test_writes_of_another_shape_are_refused(rows: Any) -> None:
    assert as_writes(crafted(WRITES, writes=[WRITE]), len(crafted(WRITES, writes=[WRITE]))).rows
    data = crafted(WRITES, writes=rows)
    with pytest.raises(CorruptObjectError):
        as_writes(data, len(data))


@pytest.mark.parametrize("created", [None, "1", 1.5, float("inf")])
def test_writes_without_a_time_are_refused(created: Any) -> None:
    data = crafted(WRITES, created=created)
    with pytest.raises(CorruptObjectError):
        as_writes(data, len(data))


JUNK: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), BIG),
        st.integers(-2, 10),
        st.floats(),
        st.text(max_size=3),
        st.binary(max_size=3),
        st.just(msgpack.ExtType(1, b"x")),
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=5,
)


def put_at(tree: Any, choices: list[int], junk: Any) -> Any:
    """The tree with one of its nodes, found by these choices on the way down, replaced."""
    if not choices or not isinstance(tree, (dict, list)) or not tree:
        return junk
    keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
    key = keys[choices[0] % len(keys)]
    tree[key] = put_at(tree[key], choices[1:], junk)
    return tree


@given(st.booleans(), st.lists(st.integers(0, 9), min_size=1, max_size=4), JUNK)
@example(True, [3], float("inf"))
@example(False, [5, 0, 2], float("inf"))
def test_whatever_a_header_says_nothing_but_a_corrupt_object_comes_of_it(
    of_checkpoint: bool, choices: list[int], junk: Any
) -> None:
    fields, open_ = (CHECKPOINT, as_checkpoint) if of_checkpoint else (WRITES, as_writes)
    header = put_at(copy.deepcopy({**fields, "frames": [row()]}), choices, junk)
    data = craft(header)
    try:
        values = read(open_, data, len(data))
    except CorruptObjectError:
        return
    assert all(value in FRAME for value in values)


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(header: bytes) -> None:
    for data in (header, craft(header)):
        with pytest.raises(CorruptObjectError):
            open_container(data, len(data))


@pytest.mark.parametrize("codec", ["zstd", "gzip"])
def test_a_frame_that_unpacks_to_more_than_announced_is_refused_unread(codec: Compression) -> None:
    _, stored = compress(bytes(16 * 1024 * 1024), codec)
    data = crafted(frames=[row(stored, codec=codec, raw=8)], body=stored)
    tracemalloc.start()
    try:
        with pytest.raises(CorruptObjectError, match="over 8 bytes where 8 were announced"):
            read(as_checkpoint, data, len(data))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1024 * 1024
