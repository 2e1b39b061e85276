"""Small objects that announce much: they are refused before it takes memory, time or requests."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgpack
import pytest
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_checkpoint_s3 import CorruptObjectError, NotSupportedError
from langgraph_checkpoint_s3.format import limits
from langgraph_checkpoint_s3.format.checkpoint import Origin, open_checkpoint
from langgraph_checkpoint_s3.format.codecs import MAX_RATIO, compress, decompress
from langgraph_checkpoint_s3.format.frames import MAX_EXTENTS
from langgraph_checkpoint_s3.format.header import pack_header, unpack_header
from langgraph_checkpoint_s3.format.limits import MAX_BORROWED_FRAMES, MAX_HEADER, MAX_LENDERS, MAX_LISTS
from langgraph_checkpoint_s3.format.writes import Task, encode_tasks
from tests.format.craft import CHECKPOINT, WRITES, contents, crafted, row
from tests.format.made import SMALL, Shelf
from tests.format.test_corruption import as_checkpoint, as_writes
from tests.support.checkpoints import place, put_chain
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver

MIB = 1024 * 1024
LARGE = 32 * MIB
"""Far above what other threads of the tests take meanwhile."""
ZEROS = compress(bytes(LARGE), "zstd")[1]


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """Memory, in bytes, that Python may take meanwhile."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < size
    finally:
        tracemalloc.stop()


def refused(data: bytes, why: str) -> None:
    with pytest.raises(CorruptObjectError, match=why):
        contents(as_checkpoint(data, len(data)))


@pytest.mark.parametrize("of", ["one value", "many values", "writes"])
def test_one_large_frame_cannot_be_used_over_and_over(of: str) -> None:
    extents = [[0, 0, LARGE]]
    frames = [row(ZEROS, codec="zstd", raw=LARGE)]
    with at_most(LARGE * 3 // 4):
        if of == "writes":
            rows = [["t", "p", number, "one", "bytes", extents] for number in range(500)]
            data = crafted(WRITES, ZEROS, frames=frames, writes=rows)
            with pytest.raises(CorruptObjectError, match=r"its values use [0-9]+ bytes of frame 0"):
                contents(as_writes(data, len(data)))
        else:
            values = {"a": extents * 500} if of == "one value" else {f"{n}": extents for n in range(500)}
            channels = {name: ["bytes", each] for name, each in values.items()}
            data = crafted(CHECKPOINT, ZEROS, frames=frames, channels=channels)
            refused(data, "its values use [0-9]+ bytes of frame 0")


def test_a_value_has_not_more_pieces_than_a_writer_makes() -> None:
    refused(crafted(channels={"a": ["x", [[0, 0, 0]] * (MAX_EXTENTS + 1)]}), "in 1025 pieces")
    data = crafted(channels={"a": ["x", [[0, 0, 0]] * MAX_EXTENTS]})
    assert as_checkpoint(data, len(data)).channels["a"].size == 0
    assert 2 * SMALL.max_runs + 1 < MAX_EXTENTS


@pytest.mark.parametrize("inner", [b"\x90", b"\x80"])
def test_a_header_full_of_lists_is_refused_while_it_is_read(
    inner: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_LISTS", MAX_LISTS // 64)
    count = MIB
    raw = b"\xdd" + count.to_bytes(4, "big") + inner * count
    header = len(raw).to_bytes(4, "big") + compress(raw, "zstd-d1")[1]
    assert len(header) < 1024
    with at_most(24 * MIB), pytest.raises(ValueError, match="lists and maps"):  # 64 MiB without the limit
        unpack_header(memoryview(header), 1)


def test_a_header_too_long_is_refused_packed_or_not() -> None:
    with pytest.raises(ValueError, match="are the most"):
        unpack_header(memoryview(bytes(MAX_HEADER + 1)), 0)


def test_what_a_reader_would_refuse_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_LISTS", 3000)
    monkeypatch.setattr("langgraph_checkpoint_s3.format.header.MAX_LISTS", 3000)
    serde, origin = JsonPlusSerializer(), Origin("", "1", 1, "w")
    writes: dict[int, Any] = dict.fromkeys(range(1400), ("a", None))
    assert encode_tasks("zstd", origin, "writes.tt.w0", [Task.of(serde, writes, "t", "p")])
    writes |= dict.fromkeys(range(1400, 1600), ("a", None))
    with pytest.raises(NotSupportedError, match=r"so many channels or writes.* 3000 lists"):
        encode_tasks("zstd", origin, "writes.tt.w0", [Task.of(serde, writes, "t", "p")])
    assert MAX_LISTS * 16 == MAX_HEADER
    monkeypatch.setattr(limits, "MAX_HEADER", 50_000)
    with pytest.raises(NotSupportedError, match="50000 are the most"):
        pack_header({"a": "x" * 50_000})


def lent(number: int, **changes: Any) -> list[Any]:
    leaf = changes.pop("leaf", "checkpoint")
    lender = changes.pop("lender", f"{number}")
    return [*row(**{"offset": 100 + number, **changes}), lender, leaf, 1]


def borrowing(*rows: list[Any]) -> bytes:
    channels = {f"{number}": ["x", [[number, 0, 8]]] for number in range(1, len(rows) + 1)}
    return crafted(frames=[row(), *rows], channels=channels)


def test_a_checkpoint_borrows_of_so_many_objects_only() -> None:
    data = borrowing(*(lent(number) for number in range(MAX_LENDERS)))
    assert as_checkpoint(data, len(data)).container.frames[1].lender
    refused(borrowing(*(lent(number) for number in range(MAX_LENDERS + 1))), "borrows 65 frames from 65")
    many = [lent(number, lender="0") for number in range(MAX_BORROWED_FRAMES + 1)]
    refused(borrowing(*many), "borrows 65537 frames from 1 objects")
    assert SMALL.max_lenders < MAX_LENDERS


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ([lent(1), lent(1)], "a frame twice"),
        ([lent(1, offset=2**62)], "further out"),
        ([lent(1, stored=2**60)], "come to over"),
        ([lent(1, raw=2**60)], "come to over"),
        ([lent(1, raw=8 * 4 + 1)], "bytes of lent frame 1"),
        ([lent(1, leaf="checkpoint/../../../other.thread/.ns/z/checkpoint")], "isn't a checkpoint"),
        ([lent(1, leaf="checkpoint.p1\n")], "isn't a checkpoint"),
        ([lent(1, leaf="writes.t1.w0")], "isn't a checkpoint"),
        ([lent(1, leaf="")], "isn't a checkpoint"),
        ([lent(1, leaf="checkpoint" + "x" * 1100)], "isn't a checkpoint"),
        ([lent(1, lender="x" * 2000)], "isn't a checkpoint"),
    ],
)
def test_what_no_lender_is_is_not_asked_for(bad: list[Any], why: str) -> None:
    fake = FakeS3()
    put_chain(make_saver(fake), "t", 1, writes=0)
    [key] = fake.keys()
    data = borrowing(*bad)
    refused(data, why)
    fake.put(key, data)
    with fake.counted() as count, pytest.raises(CorruptObjectError):
        make_saver(fake).get_tuple(place("t"))
    assert count.kinds == {"ListObjects": 1, "GetObject": 1}


def test_a_checkpoint_of_very_many_borrowed_frames_is_written_whole() -> None:
    shelf = Shelf()
    object.__setattr__(shelf, "rules", SMALL.__class__(24 * 3600, 16, 4, 8, max_frames=3))
    values = {name: name.encode() * 100 for name in "abc"}
    shelf.put("1", values, versions=dict.fromkeys(values, 1))
    assert shelf.put("2", values, "1", versions=dict.fromkeys(values, 1), changed=()).lenders
    values["d"] = b"d" * 100
    shelf.put("3", values, versions=dict.fromkeys(values, 1))
    assert not shelf.put("4", values, "3", versions=dict.fromkeys(values, 1), changed=()).lenders


@pytest.mark.parametrize("codec", ["zstd", "zstd-d1", "gzip"])
def test_what_a_frame_announces_is_not_set_aside(codec: Any) -> None:
    _, stored = compress(b"x" * 1000, codec)
    with at_most(MIB), pytest.raises(ValueError, match="holds 1000 bytes where"):
        decompress(stored, codec, len(stored) * MAX_RATIO)
    with pytest.raises(ValueError, match="bytes at most where 34359738368 were announced"):
        decompress(stored, codec, 2**35)


BOMB = """
import resource, sys
from langgraph_checkpoint_s3.format.codecs import decompress

def block(last):  # 128 KiB of one byte, in four bytes
    return (128 * 1024 << 3 | 1 << 1 | last).to_bytes(3, "little") + b"\\0"

frame = bytes.fromhex("28b52ffd 0038") + block(0) * 4095 + block(1)  # 16 KiB, for 512 MiB
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for announced in (512 << 20, 60 << 30, len(frame) * 1032):
    try:
        decompress(frame, "zstd", announced)
    except ValueError as error:
        print(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_small_frame_that_becomes_much_takes_little_memory() -> None:
    """All of it, what the codec itself takes included: 1 GiB for this frame without the limit."""
    done = subprocess.run([sys.executable, "-c", BOMB], capture_output=True, text=True, check=True)
    *errors, taken = done.stdout.splitlines()
    assert [error.partition(" bytes")[0] for error in errors] == [
        "it holds 16914480",
        "it holds 16914480",
        "it holds over 16914480",
    ]
    assert int(taken) * (1024 if sys.platform == "linux" else 1) < 64 * MIB


@pytest.mark.parametrize("codec", ["zstd", "zstd-d1", "gzip"])
@pytest.mark.parametrize("size", [1000, 20_000, MIB, 40 * MIB])
def test_an_honest_state_of_zeros_stays_within_the_limit(codec: Any, size: int) -> None:
    used, stored = compress(bytes(size), codec)
    assert used == codec
    assert len(stored) * MAX_RATIO >= size
    assert len(stored) < max(100, size // 900)
    assert decompress(stored, codec, size) == bytes(size)


def test_what_an_error_shows_of_a_header_is_short() -> None:
    """A header may hold megabytes, nested as deep as Python's own recursion goes."""
    deep = msgpack.unpackb(b"\x91" * 1000 + b"\x01")
    for changes in (
        {"id": deep},
        {"ns": "x" * MIB},
        {"leaf": ["y" * MIB]},
        {"created": deep},
        {"parent": deep},
    ):
        data = crafted(**changes)
        with pytest.raises(CorruptObjectError) as caught:
            open_checkpoint(data, len(data), "", "1", "checkpoint")
        assert len(str(caught.value)) < 1000
    data = crafted(frames=[row(codec="z" * MIB)])
    with pytest.raises(CorruptObjectError) as caught:
        contents(as_checkpoint(data, len(data)))
    assert len(str(caught.value)) < 1000
