"""Objects that an attacker with write access may store, and the readers that must withstand them.

Real objects are taken apart, changed at any place, and put together again with CRCs that fit. The same
targets serve the suite (Hypothesis) and `make fuzz` (atheris).
"""

from __future__ import annotations

import copy
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgpack
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_checkpoint_s3 import S3CheckpointError, S3Config
from langgraph_checkpoint_s3.admin import dumps, loads
from langgraph_checkpoint_s3.format.borrowing import BorrowPolicy
from langgraph_checkpoint_s3.format.checkpoint import CheckpointRecord, open_checkpoint
from langgraph_checkpoint_s3.format.codecs import compress
from langgraph_checkpoint_s3.format.container import MAGIC, VERSION, header_length, open_container
from langgraph_checkpoint_s3.format.keys import Layout, decode_leaf, decode_rank
from langgraph_checkpoint_s3.format.writes import open_writes, resolve_writes
from langgraph_checkpoint_s3.plans.borrowed import missing
from tests.support.checkpoints import make_checkpoint, place, put_chain
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver

SERDE = JsonPlusSerializer(allowed_msgpack_modules=None)
LAYOUT = Layout("checkpoints/")
JUNK: Sequence[Any] = (
    *(None, True, False, 0, 1, -1, 7, 2**31, 2**32, 2**40, 2**63 - 1, 2**64 - 1, 0.0, 1.5),
    *(float("nan"), float("inf"), "", "x", b"", b"\x00\x00\x08", [], {}, [[]], ["x", []], [0, 0, 8]),
    *("..", "checkpoint", "checkpoint/../x", "zstd", "zstd-d1", "gzip", "none", "msgpack", "pickle", "json"),
    *("bytes", "null", "msgpack+aes", [[0, 0, 2**40]], ["msgpack", [[0, 0, 4]] * 50], "é" * 400),
)
"""Values to put in place of valid ones."""


def stored() -> FakeS3:
    """A bucket with objects of all kinds: small, large, that borrow, and with writes."""
    fake = FakeS3()
    saver = make_saver(fake)
    noise = zlib.compress(bytes(range(256)) * 64) * 200
    put_chain(saver, "t", 2, values={"large": noise[:9000], "small": "text", "none": None})
    config = place("t", "00000001")
    checkpoint = make_checkpoint("00000002", {"large": noise[:9500], "small": [1, {"a": 2}]})
    config = saver.put(config, checkpoint, {"source": "loop", "step": 2}, checkpoint["channel_versions"])
    saver.put_writes(config, [("d", ["x" * 5000]), ("e", None)], "task")
    return fake


def parts(data: bytes) -> tuple[Any, bytes]:
    """An object's header and frames."""
    return open_container(data, len(data)).fields, data[header_length(data) :]


def assembled(header: Any, body: bytes, *, packed: bool = False) -> bytes:
    """An object with this header, whose CRC fits."""
    raw = header if isinstance(header, bytes) else msgpack.packb(header, use_bin_type=True)
    codec, shorter = compress(raw, "zstd-d1") if packed else ("none", raw)
    if codec != "none":
        raw = len(raw).to_bytes(4, "big") + shorter
    start = struct.pack(">4sBBHI", MAGIC, VERSION, int(codec != "none"), 0, len(raw))
    return start + zlib.crc32(raw, zlib.crc32(start)).to_bytes(4, "big") + raw + body


def changed(tree: Any, way: Sequence[int], junk: Any) -> Any:
    """A tree with one of its nodes replaced, dropped or doubled, found by these numbers on the way down."""
    tree = copy.deepcopy(tree)
    node = tree
    for number, choice in enumerate(way):
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            break
        key = keys[choice % len(keys)]
        last = number == len(way) - 1 or not isinstance(node[key], (dict, list))
        if last and junk is DOUBLE and isinstance(node, list):
            node += node[key : key + 1]
        elif last and junk is DROP:
            del node[key]
        elif last:
            node[key] = copy.deepcopy(None if junk is DOUBLE else junk)
        if last:
            break
        node = node[key]
    return tree


DOUBLE, DROP = object(), object()


def mend(header: Any, body: bytes) -> Any:
    """The header with the CRCs and the total length that its frames have, as far as it has any."""
    header = copy.deepcopy(header)
    rows = header.get("frames") if isinstance(header, dict) else None
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, list) and len(row) == 5 and type(row[0]) is int and type(row[1]) is int:
            row[4] = zlib.crc32(body[max(row[0], 0) :][: max(row[1], 0)]) if row[0] < len(body) else 0
    return header


def read_object(data: bytes, checkpoint_id: str = "1", leaf: str = "") -> None:
    """Read all that there is in an object, as either kind, by the end of its key if that is known."""
    with suppress(S3CheckpointError):
        read_checkpoint(open_checkpoint(data, len(data), "", checkpoint_id, leaf or "checkpoint"))
    try:
        record = open_writes(data, len(data), "", checkpoint_id, leaf or "writes.tt.w0")
        record.check()
        resolve_writes(SERDE, [record])
    except S3CheckpointError:
        return


def read_checkpoint(record: CheckpointRecord) -> None:
    """All that the plans do with a checkpoint's object."""
    for number in missing(record):
        record.container.add_frame(number, b"x")
    steps: list[Callable[[], Any]] = [
        lambda: record.metadata(SERDE),
        lambda: record.checkpoint(SERDE),
        lambda: record.known("checkpoint", 0, record.versions(SERDE), BorrowPolicy(horizon=0)),
        lambda: record.materialized("none"),
        record.content,
    ]
    for step in steps:
        try:
            step()
        except S3CheckpointError:
            continue


def read_key(text: str) -> None:
    """Parse a key, or a part of one."""
    try:
        if LAYOUT.holds(text):
            LAYOUT.parse(text)
    except S3CheckpointError:
        pass
    for decode in (decode_leaf, decode_rank):
        try:
            decode(text)
        except ValueError:  # what they promise to `parse`
            continue


def read_uri(text: str) -> None:
    """Parse a connection string."""
    for uri in (text, f"s3://{text}", f"s3://bucket/prefix?{text}"):
        try:
            S3Config.from_conn_string(uri)
        except S3CheckpointError:
            continue


def read_portable(data: bytes) -> None:
    """Load what somebody handed over."""
    try:
        loads(data, serde=SERDE, max_bytes=2**24)
    except S3CheckpointError:
        return


def portable() -> bytes:
    """A portable file, of a checkpoint with writes."""
    fake = stored()
    found = make_saver(fake).get_tuple(place("t"))
    assert found is not None
    return dumps(found)


def mutations(fake: FakeS3) -> Mapping[str, tuple[Any, bytes]]:
    """The bucket's objects, taken apart."""
    return {key: parts(fake.objects[key].data) for key in fake.objects}
