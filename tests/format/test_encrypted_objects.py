"""Encrypted objects: nothing shows, nothing can be changed or moved, and reading needs the key."""

from __future__ import annotations

import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_checkpoint_s3.crypto.key_cache import KeyCache
from langgraph_checkpoint_s3.crypto.provider import DataKey, KeyRef
from langgraph_checkpoint_s3.errors import CorruptObjectError, DecryptionError
from langgraph_checkpoint_s3.format.borrowing import BorrowPolicy
from langgraph_checkpoint_s3.format.checkpoint import SECOND, CheckpointRecord, Origin, open_checkpoint
from langgraph_checkpoint_s3.format.checkpoint_writer import Draft, draft, serialize
from langgraph_checkpoint_s3.format.container import object_key_ref
from langgraph_checkpoint_s3.format.keys import Layout
from langgraph_checkpoint_s3.format.name_hashing import NameHasher
from langgraph_checkpoint_s3.format.scope import PLAIN, NamespaceScope
from langgraph_checkpoint_s3.format.writes import Task, encode_tasks, open_writes, resolve_writes
from tests.format.made import DAY, SMALL, key_at
from tests.support.keys import Keys, secret

SERDE = JsonPlusSerializer()
ORIGIN = Origin("sub", "01", 1_700_000_000_000_000_000, "writer/1")
KEY = KeyRef("key-one")
LEAF = "writes.tt.w0.e"
SECRETS = ("a confidential text", "hidden-channel", "hidden-source", "hidden-parent", "hidden-task")


def scope(
    folder: str = "agents/t.thread/sub.ns/",
    *,
    where: str = "s3://bucket/agents/",
    required: bool = False,
    **keys: str,
) -> NamespaceScope:
    """A namespace, to somebody with these keys."""
    key_cache = KeyCache(Keys(), required=required)
    for name, key in (keys or {"key-one": "key-one"}).items():
        key_cache.add(DataKey(KeyRef(name.replace("_", "-")), secret(key)))
    return NamespaceScope(folder, key_cache, place=where)


ROOM = scope()


def checkpoint(**values: Any) -> Draft:
    """A checkpoint's object, encrypted."""
    values = values or {"hidden-channel": "a confidential text", "n": 1}
    made: Any = {
        "v": 4,
        "id": "01",
        "ts": "",
        "channel_values": values,
        "channel_versions": dict.fromkeys(values, 1),
        "versions_seen": {},
    }
    metadata: Any = {"source": "hidden-source", "step": 1}
    content = serialize(SERDE, made, metadata, "hidden-parent")
    return draft(
        content, {}, ORIGIN, key_at("checkpoint.e"), "zstd", BorrowPolicy(horizon=DAY), None, ROOM, KEY
    )


def writes() -> bytes:
    """The object of a task's writes, encrypted."""
    seal = ROOM.cipher(KEY, "01", LEAF)
    found = {0: ("hidden-channel", "a confidential text")}
    return encode_tasks("zstd", ORIGIN, LEAF, [Task.of(SERDE, found, "hidden-task", "hidden-path")], seal)


def read(
    data: bytes,
    to: NamespaceScope = ROOM,
    ns: str = "sub",
    checkpoint_id: str = "01",
    leaf: str = "checkpoint.e",
) -> CheckpointRecord:
    """Read a checkpoint, all of it."""
    record = open_checkpoint(data, len(data), ns, checkpoint_id, leaf, to)
    record.checkpoint(SERDE)
    record.metadata(SERDE)
    return record


CHECKPOINT = checkpoint().body
WRITES = writes()


def test_it_is_read_back() -> None:
    record = read(CHECKPOINT)
    assert record.checkpoint(SERDE)["channel_values"] == {"hidden-channel": "a confidential text", "n": 1}
    assert record.metadata(SERDE) == {"source": "hidden-source", "step": 1}
    assert record.parent == "hidden-parent"
    found = open_writes(WRITES, len(WRITES), "sub", "01", LEAF, ROOM)
    assert resolve_writes(SERDE, [found]) == [("hidden-task", "hidden-channel", "a confidential text")]


@pytest.mark.parametrize("data", [CHECKPOINT, WRITES], ids=["checkpoint", "writes"])
def test_nothing_of_it_shows_but_the_keys_name(data: bytes) -> None:
    for each in SECRETS:
        assert each.encode() not in data
    assert b"writer/1" not in data
    assert b"key-one" in data
    assert object_key_ref(data) == KEY


def test_it_is_compressed_before() -> None:
    large = "the same words " * 2_000
    assert len(checkpoint(text=large).body) < len(large) / 20


ELSEWHERE = {
    "thread": (scope("agents/u.thread/sub.ns/"), "sub", "01"),
    "namespace": (scope("agents/t.thread/other.ns/"), "other", "01"),
    "checkpoint": (ROOM, "sub", "02"),
}


@pytest.mark.parametrize("where", ELSEWHERE.values(), ids=ELSEWHERE)
def test_moved_to_another_key_it_does_not_open(where: tuple[NamespaceScope, str, str]) -> None:
    with pytest.raises(DecryptionError, match=r"'key-one'.*moved here from another place"):
        read(CHECKPOINT, *where)
    with pytest.raises(DecryptionError):
        open_writes(WRITES, len(WRITES), where[1], where[2], LEAF, where[0])


def test_nor_as_another_kind_of_object() -> None:
    with pytest.raises(DecryptionError):
        read(WRITES)
    with pytest.raises(DecryptionError):
        open_writes(CHECKPOINT, len(CHECKPOINT), "sub", "01", LEAF, ROOM)


@pytest.mark.parametrize("where", ["s3://bucket/elsewhere/", "s3://another/agents/", ""])
def test_nor_in_another_bucket_or_prefix(where: str) -> None:
    with pytest.raises(DecryptionError, match=r"moved here from another place.*encrypted_for"):
        read(CHECKPOINT, scope(where=where))


def test_nor_under_another_leaf() -> None:
    for leaf in ("checkpoint", "checkpoint.rtwo.e", "checkpoint.e.c7"):
        with pytest.raises(DecryptionError):
            read(CHECKPOINT, leaf=leaf)
    with pytest.raises(DecryptionError):
        open_writes(WRITES, len(WRITES), "sub", "01", "writes.tother.w0.e", ROOM)


def test_without_keys() -> None:
    with pytest.raises(DecryptionError, match=r"with the key 'key-one'.*S3Saver\(…, encryption=…\)"):
        read(CHECKPOINT, PLAIN)


def test_with_other_keys() -> None:
    with pytest.raises(DecryptionError, match="The key 'key-one' isn't there"):
        read(CHECKPOINT, scope(key_two="key-two"))


def test_with_another_key_of_this_name() -> None:
    with pytest.raises(DecryptionError, match="or the key of this name is another one"):
        read(CHECKPOINT, scope(key_one="another"))


def test_what_is_plain_is_read_unless_it_must_not_be() -> None:
    made: Any = checkpoint()
    plain = draft(made.content, {}, ORIGIN, key_at("checkpoint"), "zstd", BorrowPolicy(horizon=DAY)).body
    read(plain, leaf="checkpoint")
    with pytest.raises(DecryptionError, match="isn't encrypted, and require_encryption=True refuses it"):
        read(plain, scope(required=True), leaf="checkpoint")
    data = encode_tasks("zstd", ORIGIN, LEAF, [Task.of(SERDE, {0: ("c", 1)}, "t", "")])
    with pytest.raises(DecryptionError):
        open_writes(data, len(data), "sub", "01", LEAF, scope(required=True))


def test_the_flag_can_not_be_taken_off() -> None:
    """To pass for a plain object, it would have to be one."""
    for flags in range(256):
        data = bytearray(CHECKPOINT)
        if flags != data[5]:
            data[5] = flags
            with pytest.raises((CorruptObjectError, DecryptionError)):
                read(bytes(data))


@pytest.mark.parametrize("data", [CHECKPOINT, WRITES], ids=["checkpoint", "writes"])
def test_no_byte_can_be_changed(data: bytes) -> None:
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 0x40
        with pytest.raises((CorruptObjectError, DecryptionError)):
            (read if data is CHECKPOINT else _read_writes)(bytes(changed))


def _read_writes(data: bytes) -> None:
    open_writes(data, len(data), "sub", "01", LEAF, ROOM).check()


@given(st.integers(0, len(CHECKPOINT) - 1), st.binary(max_size=30))
def test_whatever_comes_instead_of_its_end(end: int, more: bytes) -> None:
    if CHECKPOINT[end:] != more:
        with pytest.raises((CorruptObjectError, DecryptionError)):
            read(CHECKPOINT[:end] + more)


@given(st.sampled_from([2, 3]), st.integers(0, 2**16 - 1), st.binary(max_size=60))
def test_whatever_claims_to_be_encrypted(flags: int, length: int, junk: bytes) -> None:
    """With sums that fit."""
    header = length.to_bytes(2, "big") + junk
    start = CHECKPOINT[:5] + bytes([flags, 0, 0]) + len(header).to_bytes(4, "big")
    data = start + zlib.crc32(header, zlib.crc32(start)).to_bytes(4, "big") + header
    object_key_ref(data)
    with pytest.raises((CorruptObjectError, DecryptionError)):
        read(data)


def test_somebody_without_the_key_can_not_mend_the_sums() -> None:
    """CRCs are anybody's to compute: it is the cipher that tells."""
    base = 16 + int.from_bytes(CHECKPOINT[8:12], "big")
    for place in range(16, base):
        header = bytearray(CHECKPOINT[16:base])
        header[place - 16] ^= 1
        crc = zlib.crc32(header, zlib.crc32(CHECKPOINT[:12]))
        data = CHECKPOINT[:12] + crc.to_bytes(4, "big") + header + CHECKPOINT[base:]
        with pytest.raises(DecryptionError if place > 16 + 2 + 10 else (CorruptObjectError, DecryptionError)):
            read(data)


def test_children_borrow_and_are_written_whole_the_same_each_time() -> None:
    parent = checkpoint(documents=b"0123456789" * 50)
    made: Any = {
        "v": 4,
        "id": "02",
        "ts": "",
        "channel_values": {"documents": b"0123456789" * 50, "n": 2},
        "channel_versions": {},
        "versions_seen": {},
    }
    content = serialize(SERDE, made, {}, "01")
    origin = Origin("sub", "02", ORIGIN.created + 1, "writer/1")
    record = open_checkpoint(parent.body, len(parent.body), "sub", "01", "checkpoint.e", ROOM)
    known, rules = record.known("checkpoint.e", ORIGIN.created // SECOND, {}, SMALL), SMALL
    child = draft(content, {}, origin, key_at("checkpoint.p01.e"), "zstd", rules, known, ROOM, KEY)
    assert [lender.checkpoint_id for lender in child.lenders] == ["01"]
    whole = child.materialized("zstd")
    assert whole == child.materialized("zstd")
    assert read(whole, checkpoint_id="02", leaf=child.leaf).content() == content
    plain = draft(content, {}, origin, key_at("checkpoint.p01"), "zstd", rules, known)
    assert plain.lenders == []  # what is plain doesn't borrow from what is encrypted


def test_hashed_names_are_read_from_the_header() -> None:
    names = NameHasher(secret("names"))
    where = NamespaceScope(Layout("agents/", names).namespace("t", "sub"), ROOM.key_cache, names)
    origin = Origin("sub", "01", 1, "writer/1", "t")
    seal = where.cipher(KEY, "01", LEAF)
    data = encode_tasks("zstd", origin, LEAF, [Task.of(SERDE, {0: ("c", 1)}, "task", "")], seal)
    hidden = names.hash("checkpoint_ns", "sub")
    assert open_writes(data, len(data), hidden, "01", LEAF, where).container.fields["thread"] == "t"
    other = Origin("sub", "01", 1, "writer/1", "u")
    data = encode_tasks(
        "zstd", other, LEAF, [Task.of(SERDE, {0: ("c", 1)}, "task", "")], where.cipher(KEY, "01", LEAF)
    )
    with pytest.raises(CorruptObjectError, match="another thread's"):
        open_writes(data, len(data), hidden, "01", LEAF, where)
    with pytest.raises(CorruptObjectError, match="under another one's key"):
        open_writes(data, len(data), names.hash("checkpoint_ns", "other"), "01", LEAF, where)
