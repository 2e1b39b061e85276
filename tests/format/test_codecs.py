"""The codecs: what they pack they unpack, to exactly the announced length and never into more memory."""

from __future__ import annotations

import random
import sys
import threading
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from types import SimpleNamespace
from typing import Any, Literal, get_args

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from langgraph_checkpoint_s3.format import codecs, two_threads
from langgraph_checkpoint_s3.format.codecs import CODECS, Codec, Compression, compress, decompress
from tests.support.hanging import HANG

PACKING: tuple[Literal["zstd", "gzip", "zstd-d1"], ...] = ("zstd", "gzip", "zstd-d1")
TEXT = b"all work and no play " * 50


@given(
    st.sampled_from(get_args(Codec)),
    st.binary(max_size=300) | st.binary(min_size=1, max_size=30).map(TEXT.__add__),
)
def test_every_codec_gives_back_what_it_was_given(codec: Codec, raw: bytes) -> None:
    used, stored = compress(raw, codec)
    assert used in {codec, "none"}
    assert len(stored) <= len(raw)
    assert decompress(stored, used, len(raw)) == raw
    assert decompress(memoryview(stored), used, len(raw)) == raw


@pytest.mark.parametrize("codec", ["zstd", "zstd-d1"])
def test_what_was_compressed_before_leaves_no_trace(codec: Codec) -> None:
    """A compressor is used again and again; the bytes are those of one made for this frame alone."""
    words = [b"langgraph", b"checkpoint", b"messages", random.Random(2).randbytes(9)]
    chance = random.Random(3)
    for size in [chance.choice([70, 300, 2000, codecs._SMALL]) for _ in range(200)]:
        raw = b"".join(chance.choices(words, k=size))[:size]
        new = codecs._Compressors(codecs._shared.dictionary)
        packer = new.with_dictionary if codec == "zstd-d1" else new.plain
        assert compress(raw, codec) == (codec, packer.compress(raw, packer.FLUSH_FRAME))


def test_threads_compress_side_by_side() -> None:
    """None waits for, or gets, what another one compresses."""
    together = Barrier(4)

    def work(number: int) -> bool:
        raw = b"%d and no play " % number * 100
        together.wait(HANG)
        return all(decompress(compress(raw, "zstd-d1")[1], "zstd-d1", len(raw)) == raw for _ in range(200))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))
        packers = set(
            pool.map(lambda _: (together.wait(HANG), id(codecs._shared.compressors.plain))[1], range(4))
        )
    assert len(packers) == 4


def test_the_codecs_are_the_ones_that_settings_name() -> None:
    assert get_args(Compression) == CODECS == ("zstd", "gzip", "none")
    assert get_args(Codec) == (*CODECS, "zstd-d1")


@pytest.mark.parametrize("codec", PACKING)
def test_what_does_not_get_smaller_stays_as_it_is(codec: Codec) -> None:
    encrypted = random.Random(1).randbytes(20_000)
    assert compress(encrypted, codec) == ("none", encrypted)
    assert compress(b"a" * 63, codec) == ("none", b"a" * 63)
    assert compress(b"", codec) == ("none", b"")
    assert compress(b"a" * 64, codec)[0] == codec


def test_what_is_large_is_compressed_only_if_samples_get_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []
    whole = codecs._worth_trying

    def tell(raw: bytes) -> bool:
        tried.append(len(raw))
        return whole(raw)

    monkeypatch.setattr(codecs, "_worth_trying", tell)
    noise = random.Random(1).randbytes(codecs._LARGE)
    assert compress(noise, "zstd") == ("none", noise)
    half = noise[: len(noise) // 2] + TEXT * (len(noise) // len(TEXT) // 2 + 1)
    used, stored = compress(half, "zstd")
    assert used == "zstd"
    assert decompress(stored, used, len(half)) == half
    assert tried == [len(noise), len(half)]  # and nothing else was done with the first
    text = TEXT * (len(noise) // len(TEXT))
    assert len(text) < len(noise)
    assert compress(text, "gzip")[0] == "gzip"
    assert len(tried) == 2


def test_samples_are_of_all_parts() -> None:
    noise = random.Random(1).randbytes(codecs._LARGE)
    for at in range(8):
        part = len(noise) // 8
        mixed = noise[: at * part] + b"a" * part + noise[(at + 1) * part :]
        assert codecs._worth_trying(mixed)
    assert not codecs._worth_trying(noise)


@pytest.mark.parametrize("codec", PACKING)
def test_text_gets_smaller(codec: Codec) -> None:
    used, stored = compress(TEXT, codec)
    assert used == codec
    assert len(stored) < len(TEXT) // 10


def test_with_the_dictionary_what_is_small_and_usual_gets_much_smaller() -> None:
    raw = msgpack.packb(
        {"kind": "checkpoint", "ns": "", "created": 1, "writer": "x", "parent": None, "updated_channels": []}
    )
    assert len(compress(raw, "zstd-d1")[1]) < len(raw) * 2 / 3 < len(compress(raw, "zstd")[1])


def test_the_dictionary_is_needed_to_read() -> None:
    raw = b"__interrupt__ invalid_tool_calls additional_kwargs response_metadata usage_metadata"
    codec, stored = compress(raw, "zstd-d1")
    assert codec == "zstd-d1"
    with pytest.raises(ValueError, match="damaged"):
        decompress(stored, "zstd", len(raw))


@pytest.mark.parametrize("codec", PACKING)
@pytest.mark.parametrize("size", [8 * 1024, 8 * 1024 + 1])
def test_every_level_reads_back(codec: Codec, size: int) -> None:
    raw = (TEXT * 10)[:size]
    assert decompress(compress(raw, codec)[1], codec, size) == raw


@pytest.mark.parametrize("codec", PACKING)
def test_what_follows_is_passed_over(codec: Codec) -> None:
    _, stored = compress(TEXT, codec)
    assert decompress(stored + bytes(20), codec, len(TEXT)) == TEXT


def test_none_never_compresses() -> None:
    assert compress(TEXT, "none") == ("none", TEXT)


@pytest.mark.parametrize("codec", PACKING)
@pytest.mark.parametrize("announced", [0, 1, len(TEXT) - 1, len(TEXT) + 1, 10 * len(TEXT)])
def test_a_wrong_length_is_refused(codec: Compression, announced: int) -> None:
    _, stored = compress(TEXT, codec)
    with pytest.raises(ValueError, match=f"bytes where {announced} were announced"):
        decompress(stored, codec, announced)


@pytest.mark.parametrize("announced", [0, len(TEXT) - 1, len(TEXT) + 1])
def test_a_wrong_length_is_refused_of_plain_bytes_too(announced: int) -> None:
    with pytest.raises(ValueError, match=f"bytes where {announced} were announced"):
        decompress(TEXT, "none", announced)


@pytest.mark.parametrize("codec", PACKING)
def test_a_bomb_is_not_unpacked(codec: Codec) -> None:
    _, stored = compress(bytes(32 * 1024 * 1024), codec)
    assert len(stored) < 100_000
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="over 1000 bytes where 1000 were announced"):
            decompress(stored, codec, 1000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1024 * 1024


@pytest.mark.parametrize("codec", PACKING)
def test_damaged_data_is_refused(codec: Codec) -> None:
    _, stored = compress(TEXT, codec)
    for cut in (b"", stored[:1], stored[: len(stored) // 2], b"\x00" * 20, stored[::-1]):
        with pytest.raises(ValueError, match=r"damaged|announced"):
            decompress(cut, codec, len(TEXT))


@pytest.mark.parametrize("codec", ["", "zstd ", "ZSTD", "zstd-d2", "brotli", "lz4", "gzip\x00"])
def test_an_unknown_codec_is_refused(codec: str) -> None:
    with pytest.raises(ValueError, match="unknown to this version"):
        decompress(TEXT, codec, len(TEXT))


@pytest.mark.parametrize("codec", get_args(Codec))
def test_an_absurd_length_is_refused(codec: str) -> None:
    for length in (2**31, 2**62, 2**63, 2**64 - 1):
        with pytest.raises((ValueError, OverflowError)):
            decompress(zlib.compress(TEXT), codec, length)


@pytest.mark.parametrize("codec", PACKING)
def test_a_length_beyond_memory_is_refused_without_taking_it(codec: Codec) -> None:
    _, stored = compress(TEXT, codec)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="were announced"):
            decompress(stored, codec, 2**40)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1024 * 1024


class TestChunks:
    """A large value is several zstd frames, which two threads compress and decompress."""

    SIZE = 3 * codecs._CHUNK + 1000

    def large(self) -> bytes:
        chance = random.Random(4)
        part = b" ".join(chance.choices([b"all", b"work", b"and", b"no", b"play", b"makes"], k=50_000))
        return (part * (self.SIZE // len(part) + 1))[: self.SIZE]

    @pytest.mark.parametrize("codec", ["zstd", "zstd-d1"])
    def test_the_bytes_depend_on_nothing_but_the_value(
        self, codec: Codec, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        raw, names = self.large(), set[str]()
        real = zstd.compress

        def compress_chunk(data: memoryview, **settings: Any) -> bytes:
            names.add(threading.current_thread().name)
            return real(data, **settings)

        monkeypatch.setattr(codecs, "zstd", SimpleNamespace(**{**vars(zstd), "compress": compress_chunk}))
        found, stored = set[bytes](), b""
        for count in (1, 2, 64):
            monkeypatch.setattr(two_threads, "cores", lambda count=count: count)
            names.clear()
            used, stored = compress(raw, codec)
            assert used == codec
            found.add(stored)
            assert decompress(stored, used, len(raw)) == raw
            assert len(names) <= min(count, 2)
        assert len(found) == 1
        assert len(stored) < len(raw) / 3

    def test_each_chunk_is_a_frame_of_its_own(self) -> None:
        raw = self.large()
        _, stored = compress(raw, "zstd")
        lengths = []
        while stored:
            lengths.append(zstd.get_frame_info(stored).decompressed_size)
            stored = stored[zstd.get_frame_size(stored) :]
        assert lengths == [codecs._CHUNK] * 3 + [1000]

    def test_one_frame_is_read_too(self) -> None:
        raw = self.large()
        assert decompress(zstd.compress(raw, level=3), "zstd", len(raw)) == raw

    def test_what_follows_is_passed_over(self) -> None:
        raw = self.large()
        _, stored = compress(raw, "zstd")
        assert decompress(stored + bytes(20), "zstd", len(raw)) == raw

    @pytest.mark.parametrize("difference", [-1, 1, 1000, -1001])
    def test_a_wrong_length_is_refused(self, difference: int) -> None:
        raw = self.large()
        _, stored = compress(raw, "zstd")
        with pytest.raises(ValueError, match=r"bytes|damaged"):
            decompress(stored, "zstd", len(raw) + difference)

    def test_a_damaged_or_cut_chunk_is_refused(self) -> None:
        raw = self.large()
        _, stored = compress(raw, "zstd")
        for wrong in (stored[:-5], stored[:100], stored[: len(stored) // 2] + bytes(len(stored) // 2)):
            with pytest.raises(ValueError, match=r"bytes|damaged"):
                decompress(wrong, "zstd", len(raw))

    def test_empty_chunks_are_refused(self) -> None:
        empty = zstd.compress(b"")
        with pytest.raises(ValueError, match="no bytes"):
            decompress(empty * 100_000, "zstd", 2 * codecs._CHUNK)

    def test_decompressing_takes_the_values_memory_and_a_few_chunks(self) -> None:
        raw = self.large() * 3
        _, stored = compress(raw, "zstd")
        tracemalloc.start()
        try:
            decompress(stored, "zstd", len(raw))
            assert tracemalloc.get_traced_memory()[1] < len(raw) + 5 * codecs._CHUNK
        finally:
            tracemalloc.stop()
