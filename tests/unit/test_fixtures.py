"""Objects of every format version that was ever released load, to exactly what was stored."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_checkpoint_s3.errors import CorruptObjectError
from langgraph_checkpoint_s3.objects.codecs import CODECS
from langgraph_checkpoint_s3.objects.format import VERSION
from langgraph_checkpoint_s3.objects.records import (
    CheckpointRecord,
    WritesRecord,
    open_checkpoint,
    open_writes,
    settle_writes,
)
from tests.unit import expected
from tests.unit.make_fixtures import FIXTURES

SERDE = JsonPlusSerializer()
FORMATS = sorted(FIXTURES.glob("format-*"))
DIGESTS = {
    "format-1": "6d06bb849dcb4f66f6e094ba9414346acef16a13468dca7d74da8a2c404606a1",
}
"""SHA-256 over the names and bytes of each version's files: what was released never changes."""


@pytest.fixture(params=FORMATS, ids=lambda path: path.name)
def fixtures(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.param
    return folder


def checkpoint_in(path: Path, checkpoint_id: str = expected.CHECKPOINT_ID) -> CheckpointRecord:
    data = path.read_bytes()
    return open_checkpoint(data, len(data), expected.NAMESPACE, checkpoint_id)


def writes_in(path: Path) -> WritesRecord:
    data = path.read_bytes()
    return open_writes(data, len(data), expected.NAMESPACE, expected.CHECKPOINT_ID)


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


@pytest.mark.parametrize("codec", CODECS)
def test_a_checkpoint_loads(fixtures: Path, codec: str) -> None:
    record = checkpoint_in(fixtures / f"checkpoint-{codec}.bin")
    assert record.parent == expected.PARENT_ID
    assert record.created == expected.CREATED
    assert record.metadata(SERDE) == expected.METADATA
    checkpoint = record.checkpoint(SERDE)
    assert with_types(checkpoint["channel_values"]) == with_types(dict(expected.CHANNELS))
    assert {**checkpoint, "channel_values": None} == {**expected.CHECKPOINT, "channel_values": None}
    assert {frame.codec for frame in record.container.frames} == {codec, "none"}


@pytest.mark.parametrize("codec", CODECS)
def test_writes_load(fixtures: Path, codec: str) -> None:
    record = writes_in(fixtures / f"writes-{codec}.bin")
    assert record.created == expected.CREATED
    assert [(row.task_id, row.task_path, row.idx, row.channel) for row in record.rows] == [
        (expected.TASK_ID, expected.TASK_PATH, slot, channel)
        for slot, (channel, _) in expected.WRITES.items()
    ]
    assert settle_writes(SERDE, [record]) == [
        (expected.TASK_ID, *expected.WRITES[slot]) for slot in sorted(expected.WRITES)
    ]


def test_a_first_checkpoint_loads(fixtures: Path) -> None:
    record = checkpoint_in(fixtures / "first.bin")
    assert (record.parent, record.metadata(SERDE)) == (None, {})
    assert record.checkpoint(SERDE) == {**expected.CHECKPOINT, "channel_values": {}}


def test_a_checkpoint_that_borrows_loads(fixtures: Path) -> None:
    lender = (fixtures / "lender.bin").read_bytes()
    assert (
        checkpoint_in(fixtures / "lender.bin", expected.PARENT_ID).channel(SERDE, "lent")
        == expected.BORROWED["lent"]
    )
    record = checkpoint_in(fixtures / "borrowing.bin")
    assert record.metadata(SERDE) == expected.METADATA
    assert record.channel(SERDE, "own") == expected.BORROWED["own"]
    [number] = record.container.missing(record.all_values())
    frame = record.container.frames[number]
    assert frame.lender == expected.LENDER
    with pytest.raises(CorruptObjectError, match="lender"):
        record.channel(SERDE, "lent")
    record.container.provide(number, lender[frame.offset : frame.offset + frame.stored])
    assert record.checkpoint(SERDE) == {**expected.CHECKPOINT, "channel_values": expected.BORROWED}


def test_a_cut_or_changed_fixture_is_refused(fixtures: Path) -> None:
    data = (fixtures / "checkpoint-zstd.bin").read_bytes()
    for damaged in (data[:-1], data[:100], data[:-1] + bytes([data[-1] ^ 1]), data + b"\0"):
        with pytest.raises(CorruptObjectError):
            open_checkpoint(damaged, len(damaged), expected.NAMESPACE, expected.CHECKPOINT_ID).checkpoint(
                SERDE
            )
