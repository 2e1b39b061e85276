"""Compression of frames. The codec's name is in the object, so a bucket may mix them."""

from __future__ import annotations

import sys
import threading
import zlib
from typing import Final, Literal, get_args

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from langgraph_checkpoint_s3.fork_safety import renew_after_fork
from langgraph_checkpoint_s3.format.pieces import Landing
from langgraph_checkpoint_s3.format.two_threads import do_all

Compression = Literal["zstd", "gzip", "none"]
"""The codecs to choose from: `zstd` (level 3, the default; 9 for a few kB), `gzip` (level 6) and `none`."""

CODECS: Final[tuple[str, ...]] = get_args(Compression)

Codec = Literal["zstd", "gzip", "none", "zstd-d1"]
"""All codecs. `zstd-d1` is zstd with the dictionary below, for small frames."""

_ZSTD_LEVEL: Final = 3
_SMALL_LEVEL: Final = 9
_SMALL: Final = 8 * 1024
_GZIP_LEVEL: Final = 6
_GZIP_CONTAINER: Final = 31  # zlib's wbits for a gzip header and trailer
_TOO_SMALL: Final = 64
"""Bytes below which no codec saves more than its own header."""
_LARGE: Final = 4 * 1024 * 1024
"""Bytes from which samples are compressed first: a vain attempt takes as long, and needs a copy."""
_CHUNK: Final = 4 * 1024 * 1024
"""Bytes of a large value that become one zstd frame. Several of them are compressed at once, and don't know
each other, so the result is the same with any number of threads."""
_SAMPLES: Final = 16
_SAMPLE: Final = 4 * 1024
_MAX_SAMPLE_RATIO: Final = 0.98
"""Compressed share of the samples at most; otherwise the value isn't compressed."""
MAX_RATIO: Final = 1032
"""Most bytes that one stored byte may decompress to: deflate's best ratio (258 bytes for two bits). zstd
reaches 32,768, with which a small forged object could fill a reader's memory."""

# Common content of headers, metadata and checkpoints. They are most of a small object, short and much alike:
# with a dictionary they become half as long. It is a part of the format, and never changes.
_DICTIONARY: Final = (
    b"msgpack\xa4null\xa5bytes\xa4json\xa6pickle\xa4none\xa4gzip kinput.s-1 kupdate.s kfork.s "
    b"__pregel_tasks __interrupt__ __error__ __resume__ __no_writes__ branch:to:agent tools "
    b"\xaarun_id\xd9$\xa9thread_id\xaacheckpoint_ns\xafcounters_since_delta_snapshot"
    b"\x95\xc7\x05\x94\xbdlangchain_core.messages.human\xacHumanMessage\xbalangchain_core.messages.ai\xa9AIMessage"
    b"\x87\xa7content\xd9\xb1additional_kwargs\x80\xb1response_metadata\x80\xa4type\xa2ai\xa5human\xa4name\xc0\xa2id\xd9$"
    b"\xaatool_calls\x90\xb2invalid_tool_calls\x90\xaeusage_metadata\xc0\xb3model_validate_json"
    b"\x83\xa6source\xa5input\xa6update\xa4fork\xa4step\xff\xa7parents\x80"
    b"\x83\xa6source\xa4loop\xa4step\x01\xa7parents\x80"
    b"\x86\xa1v\x04\xa2ts\xd9 2026-11-24T04:16:01.882131+00:00"
    b"\xa2id\xd9$1f1e7b84-5e37-6ab4-8000-\xb0channel_versions\x84\xa9__start__\xd93"
    b"00000000000000000000000000000002.0.\xa8messages\xd92\xafbranch:to:model\xd92"
    b"00000000000000000000000000000003.0.\xadversions_seen\x83\xa9__input__\x80\xa9__start__\x81\xa9__start__\xd93"
    b"00000000000000000000000000000001.0.\xa5model\x81\xafbranch:to:model\xd93\xb0updated_channels\x91\xa9__start__"
    b"\x92\xafbranch:to:model\xa8messages"
    b"\x87\xa2ns\xa0\xa2id\xd9$1f1e7b84-5e37-6ab4-8000-\xa4leaf\xd90writes.t-w0\xa7created\xcf\x18\xea"
    b"\xa6writer\xbdlanggraph-checkpoint-s3/0.1.0\xa6writes\x91\x96\xd9$"
    b"\xb9~__pregel_pull, __start__\x00\xa8messages\xa7msgpack\x91\x93\x00\x00\xcd\x01\x00"
    b"\xa6frames\x91\x95\x00\xcc\xc8\xcd\x01\x00\xa4none\xce"
    b"\x8b\xa2ns\xa0\xa2id\xd9$1f1e7b84-5e37-6ab4-8000-"
    b"\xa4leaf\xd9_checkpoint.p1f1e7b84-5e37-6ab4-8000-.kloop.s1.r\xa7created\xcf\x18\xea"
    b"\xa6writer\xbdlanggraph-checkpoint-s3/0.1.0\xa6parent\xd9$1f1e7b84-5e37-6ab4-8000-"
    b"\xa8metadata\x92\xa7msgpack\x91\x93\x00\x00\x1d\xaacheckpoint\x92\xa7msgpack\x91\x93\x00\x1d\xcd\x02\x00"
    b"\xa8channels\x82\xafbranch:to:model\x92\xa4null\x90\xa8messages\x92\xa7msgpack\x92\x93\x00\xcd\x02\x00\x03"
    b"\x94\x01\x00\xcd\x04\x00\x03\xaeparent_created\xcf\x18\xea\xa6frames\x92\x95\x00\xcd\x01\x00\xcd\x02\x00"
    b"\xa7zstd-d1\xce\x98\xcd\x02\x00\xcd\x04\x00\xcd\x08\x00\xa4zstd\xce\xd9$1f1e7b84-5e37-6ab4-8001-"
    b"\xd9:checkpoint.p1f1e7b84-5e37-6ab4-8000-.kloop.s1\xcek"
)


class _Compressors(threading.local):
    """Compressors for small frames, per thread. Creating one takes longer than compressing such a frame."""

    def __init__(self, dictionary: zstd.ZstdDict) -> None:
        self.plain = zstd.ZstdCompressor(level=_SMALL_LEVEL)
        self.with_dictionary = zstd.ZstdCompressor(level=_SMALL_LEVEL, zstd_dict=dictionary)


class _Shared:
    """The dictionary, which all threads share. zstd locks it while a thread prepares it for use."""

    def __init__(self) -> None:
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Create it again, since another thread may have held the dictionary's lock."""
        self.dictionary = zstd.ZstdDict(_DICTIONARY, is_raw=True)
        self.compressors = _Compressors(self.dictionary)


_shared: Final = _Shared()


def compress(raw: bytes, codec: Codec) -> tuple[str, bytes]:
    """Compress a frame.

    Returns:
        The codec used, and the bytes: `none` and `raw` itself if compression doesn't make it smaller, as
        with compressed or encrypted data. If the bytes exceed `MAX_RATIO`, zeros fill them up, which a reader
        ignores.
    """
    size = len(raw)
    if codec == "none" or size < _TOO_SMALL or (size >= _LARGE and not _worth_trying(raw)):
        return "none", raw
    if codec == "gzip":
        gzip = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_CONTAINER)
        packed = gzip.compress(raw) + gzip.flush()
    else:
        if size <= _SMALL:
            compressors = _shared.compressors
            compressor = compressors.with_dictionary if codec == "zstd-d1" else compressors.plain
            packed = compressor.compress(raw, compressor.FLUSH_FRAME)
        else:
            packed = _compress_chunks(raw, _shared.dictionary if codec == "zstd-d1" else None)
        packed = packed.ljust(-(-size // MAX_RATIO), b"\0")
    return (codec, packed) if len(packed) < size else ("none", raw)


def _compress_chunks(raw: bytes, dictionary: zstd.ZstdDict | None) -> bytes:
    if len(raw) < 2 * _CHUNK:
        packed: bytes = zstd.compress(raw, level=_ZSTD_LEVEL, zstd_dict=dictionary)
        return packed
    view, found = memoryview(raw), [b""] * -(-len(raw) // _CHUNK)

    def work(number: int) -> None:
        chunk = view[number * _CHUNK : (number + 1) * _CHUNK]
        found[number] = zstd.compress(chunk, level=_ZSTD_LEVEL, zstd_dict=dictionary)

    do_all(work, range(len(found)))
    return b"".join(found)


def _decompress_chunks(stored: memoryview, raw_length: int, dictionary: zstd.ZstdDict | None) -> bytes:
    """Decompress what `_compress_chunks` returned, or one zstd frame."""
    if zstd.get_frame_info(stored).decompressed_size in (None, raw_length):
        raw: bytes = zstd.ZstdDecompressor(zstd_dict=dictionary).decompress(stored, raw_length + 1)
        return raw
    chunks: list[tuple[int, int, memoryview]] = []
    start = at = 0
    while at < raw_length:
        size = zstd.get_frame_size(stored[start:])
        length = zstd.get_frame_info(stored[start : start + size]).decompressed_size
        if not length or at + length > raw_length:
            raise ValueError(f"a chunk of it holds {length or 'no'} bytes")
        chunks.append((at, length, stored[start : start + size]))
        start, at = start + size, at + length
    landing = Landing(raw_length)

    def work(chunk: tuple[int, int, memoryview]) -> None:
        at, length, frame = chunk
        part = zstd.ZstdDecompressor(zstd_dict=dictionary).decompress(frame, length + 1)
        if len(part) != length:
            raise ValueError(f"a chunk of it holds {len(part)} bytes where {length} were announced")
        landing.view[at : at + length] = part

    do_all(work, chunks)
    return landing.taken()


def _worth_trying(raw: bytes) -> bool:
    """Return whether a few short samples of a large value become smaller, together."""
    sample = b"".join([raw[at : at + _SAMPLE] for at in range(0, len(raw), len(raw) // _SAMPLES)])
    return len(zstd.compress(sample, level=1)) <= _MAX_SAMPLE_RATIO * len(sample)


def decompress(stored: bytes | memoryview, codec: str, raw_length: int) -> bytes:
    """Decompress a frame, never into more than `raw_length` bytes. Bytes after it are ignored.

    Memory is allocated for the output, not for the announced length. The output is bounded by the input, so
    only a large object can fill a reader's memory.

    Raises:
        ValueError: The codec is unknown, `raw_length` is more than `MAX_RATIO` allows, or the bytes don't
            decompress to exactly that length.
    """
    most = len(stored) * MAX_RATIO
    if raw_length > most:
        raise ValueError(f"it holds {most} bytes at most where {raw_length} were announced")
    try:
        # One byte more than announced is requested, so that a longer output is noticed.
        if codec == "none":
            raw = bytes(stored)
        elif codec in ("zstd", "zstd-d1"):
            dictionary = _shared.dictionary if codec == "zstd-d1" else None
            if raw_length < 2 * _CHUNK:
                raw = zstd.ZstdDecompressor(zstd_dict=dictionary).decompress(stored, raw_length + 1)
            else:
                raw = _decompress_chunks(memoryview(stored), raw_length, dictionary)
        elif codec == "gzip":
            raw = zlib.decompressobj(_GZIP_CONTAINER).decompress(stored, raw_length + 1)
        else:
            raise ValueError(f"its codec {codec[:20]!r} is unknown to this version")
    except (zstd.ZstdError, zlib.error) as error:
        raise ValueError(f"its {codec} data is damaged: {error}") from error
    if len(raw) != raw_length:
        raise ValueError(
            f"it holds {'over ' if len(raw) > raw_length else ''}"
            f"{min(len(raw), raw_length)} bytes where {raw_length} were announced"
        )
    return raw
