"""Objects of every format version that was ever released load, to exactly what was stored."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_checkpoint_s3.errors import CorruptObjectError
from langgraph_checkpoint_s3.format.checkpoint import CheckpointRecord, open_checkpoint
from langgraph_checkpoint_s3.format.codecs import _DICTIONARY, CODECS
from langgraph_checkpoint_s3.format.container import VERSION
from langgraph_checkpoint_s3.format.frames import Lender
from langgraph_checkpoint_s3.format.gathered import open_gathered
from langgraph_checkpoint_s3.format.header import COMPRESSED
from langgraph_checkpoint_s3.format.serialization import load
from langgraph_checkpoint_s3.format.writes import WritesRecord, open_writes, resolve_writes
from tests.format import expected
from tests.format.make_fixtures import FIXTURES

SERDE = JsonPlusSerializer()
FORMATS = sorted(FIXTURES.glob("format-*"))
DIGESTS = {
    "format-1": "454a2e71339aea6a64b9ac3c260c47db21b4ca17f2031433fbaa53d01247f3ce",
}
"""SHA-256 over the names and bytes of each version's files: what was released never changes."""


@pytest.fixture(params=FORMATS, ids=lambda path: path.name)
def fixtures(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.param
    return folder


def checkpoint_in(path: Path) -> CheckpointRecord:
    data = path.read_bytes()
    borrower = (expected.CHECKPOINT_ID, expected.BORROWER_LEAF)
    where = {
        "lender": (expected.LENDER_ID, expected.LENDER_LEAF),
        "borrowing": borrower,
        "rewritten": borrower,
    }.get(path.stem, (expected.CHECKPOINT_ID, "checkpoint"))
    return open_checkpoint(data, len(data), expected.NAMESPACE, *where)


def writes_in(path: Path) -> WritesRecord:
    data = path.read_bytes()
    return open_writes(data, len(data), expected.NAMESPACE, expected.CHECKPOINT_ID, expected.WRITES_LEAF)


def with_types(value: Any) -> Any:
    """A value that differs from others of another type, such as `1` from `True`."""
    if isinstance(value, dict):
        return {name: with_types(each) for name, each in value.items()}
    if isinstance(value, list):
        return [with_types(each) for each in value]
    return type(value), value


def test_every_version_has_its_fixtures_and_they_are_what_they_were() -> None:
    digests = {}
    for folder in FORMATS:
        digest = hashlib.sha256()
        for path in sorted(folder.iterdir()):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
        digests[folder.name] = digest.hexdigest()
    assert digests == DIGESTS
    assert list(DIGESTS) == [f"format-{version}" for version in range(1, VERSION + 1)]


def test_the_dictionary_is_what_it_was() -> None:
    """Without it, no compressed header can be read, nor what is small."""
    assert hashlib.sha256(_DICTIONARY).hexdigest() == (
        "67d5a7f06d15c2329ac1cfca6de8d851bbb4b464127ecfc7f967b670beb2f5ac"
    )


@pytest.mark.parametrize("codec", CODECS)
def test_a_checkpoint_loads(fixtures: Path, codec: str) -> None:
    record = checkpoint_in(fixtures / f"checkpoint-{codec}.bin")
    assert record.parent == expected.PARENT_ID
    assert record.created == expected.CREATED
    assert record.metadata(SERDE) == expected.METADATA
    checkpoint = record.checkpoint(SERDE)
    assert with_types(checkpoint["channel_values"]) == with_types(dict(expected.CHANNELS))
    assert {**checkpoint, "channel_values": None} == {**expected.CHECKPOINT, "channel_values": None}
    small = {"zstd": "zstd-d1"}.get(codec, codec)
    assert [frame.codec for frame in record.container.frames] == [small, codec, "none"]


@pytest.mark.parametrize("codec", CODECS)
def test_writes_load(fixtures: Path, codec: str) -> None:
    record = writes_in(fixtures / f"writes-{codec}.bin")
    assert record.created == expected.CREATED
    assert [(row.task_id, row.task_path, row.idx, row.channel) for row in record.rows] == [
        (expected.TASK_ID, expected.TASK_PATH, slot, channel)
        for slot, (channel, _) in expected.WRITES.items()
    ]
    assert resolve_writes(SERDE, [record]) == [
        (expected.TASK_ID, *expected.WRITES[slot]) for slot in sorted(expected.WRITES)
    ]


def test_gathered_writes_load(fixtures: Path) -> None:
    data = (fixtures / "gathered.bin").read_bytes()
    where = (expected.NAMESPACE, expected.CHECKPOINT_ID, expected.GATHERED_LEAF)
    record = open_gathered(data, len(data), *where)
    assert (record.created, record.parent) == (expected.CREATED, expected.PARENT_ID)
    found = {
        name: (
            [(task_id, load(SERDE, record.container, value)) for task_id, value in writes],
            load(SERDE, record.container, record.seeds[name]) if name in record.seeds else None,
        )
        for name, writes in record.writes.items()
    }
    assert with_types(found) == with_types(expected.GATHERED)


def test_a_first_checkpoint_loads(fixtures: Path) -> None:
    record = checkpoint_in(fixtures / "first.bin")
    assert (record.parent, record.metadata(SERDE)) == (None, {})
    assert record.checkpoint(SERDE) == {**expected.CHECKPOINT, "channel_values": {}}


def test_a_checkpoint_whose_header_is_not_compressed_loads(fixtures: Path) -> None:
    plain, compressed = fixtures / "plain-header.bin", fixtures / "checkpoint-none.bin"
    assert (plain.read_bytes()[5], compressed.read_bytes()[5]) == (0, COMPRESSED)
    assert checkpoint_in(plain).content() == checkpoint_in(compressed).content()
    assert with_types(checkpoint_in(plain).checkpoint(SERDE)["channel_values"]) == with_types(
        dict(expected.CHANNELS)
    )


def test_a_checkpoint_that_lends_loads(fixtures: Path) -> None:
    record = checkpoint_in(fixtures / "lender.bin")
    assert record.parent is None
    assert record.checkpoint(SERDE)["channel_values"] == expected.LENT


def test_a_checkpoint_that_borrows_loads(fixtures: Path) -> None:
    lender = (fixtures / "lender.bin").read_bytes()
    record = checkpoint_in(fixtures / "borrowing.bin")
    assert record.metadata(SERDE) == expected.METADATA
    assert record.channel(SERDE, "own") == expected.BORROWED["own"]
    assert record.parent == expected.LENDER_ID
    missing = record.container.missing(record.all_values())
    assert len(missing) == 2
    with pytest.raises(CorruptObjectError, match=f"lender {expected.LENDER_ID} is cut off"):
        record.channel(SERDE, "lent")
    for number in missing:
        frame = record.container.frames[number]
        assert frame.lender == Lender(
            expected.LENDER_ID, expected.LENDER_LEAF, expected.LENDER_CREATED // 10**9
        )
        assert record.container.add_frame(number, lender[frame.offset : frame.offset + frame.stored])
    assert record.checkpoint(SERDE) == {**expected.CHECKPOINT, "channel_values": expected.BORROWED}


def test_a_rewritten_checkpoint_loads_and_what_was_lent_from_it_is_where_it_was(fixtures: Path) -> None:
    before, after = (fixtures / f"{name}.bin" for name in ("borrowing", "rewritten"))
    record = checkpoint_in(after)
    assert record.checkpoint(SERDE) == {**expected.CHECKPOINT, "channel_values": expected.BORROWED}
    assert record.parent == expected.LENDER_ID
    assert {frame.lender for frame in record.container.frames} == {None}
    old = checkpoint_in(before).container
    assert record.container.base == old.base
    assert record.container.frames[0] == old.frames[0]
    assert after.read_bytes()[old.base :].startswith(before.read_bytes()[old.base :])


def test_a_cut_or_changed_fixture_is_refused(fixtures: Path) -> None:
    data = (fixtures / "checkpoint-zstd.bin").read_bytes()
    where = expected.NAMESPACE, expected.CHECKPOINT_ID, "checkpoint"
    for damaged in (data[:-1], data[:100], data[:-1] + bytes([data[-1] ^ 1]), data + b"\0"):
        with pytest.raises(CorruptObjectError):
            open_checkpoint(damaged, len(damaged), *where).checkpoint(SERDE)
