"""Checkpoints and writes: LangGraph's values come back from their objects, and overlapping writes settle."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.base import (
    Checkpoint,
    CheckpointMetadata,
    empty_checkpoint,
)
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, RESUME, SCHEDULED

from langgraph_checkpoint_s3.errors import CorruptObjectError
from langgraph_checkpoint_s3.format.checkpoint import CheckpointRecord, Origin, open_checkpoint
from langgraph_checkpoint_s3.format.checkpoint_writer import serialize
from langgraph_checkpoint_s3.format.codecs import CODECS, Compression
from langgraph_checkpoint_s3.format.container import HEAD_BYTES, OWN_FRAME, header_length
from langgraph_checkpoint_s3.format.writes import (
    Task,
    WritesRecord,
    encode_tasks,
    number_writes,
    open_writes,
    resolve_writes,
)
from tests.format.made import Stream, encode_checkpoint
from tests.format.strategies import IDS, TEXT, VALUES

SERDE = JsonPlusSerializer()
CODEC = st.sampled_from(CODECS)


def checkpoint_of(channels: Mapping[str, Any], **more: Any) -> Checkpoint:
    return cast("Checkpoint", {**empty_checkpoint(), "id": "1", "channel_values": dict(channels), **more})


def stored(
    checkpoint: Checkpoint,
    metadata: Mapping[str, Any] | None = None,
    *,
    codec: Compression = "zstd",
    serde: Any = SERDE,
    ns: str = "",
    parent: str | None = None,
) -> bytes:
    origin = Origin(ns, checkpoint["id"], 7, "w")
    return encode_checkpoint(
        serde, codec, origin, checkpoint, cast("CheckpointMetadata", metadata or {}), parent
    )


def reopened(data: bytes, ns: str = "", checkpoint_id: str = "1") -> CheckpointRecord:
    return open_checkpoint(data, len(data), ns, checkpoint_id, "checkpoint")


def written(
    writes: Mapping[int, tuple[str, Any]],
    created: int = 1,
    task: str = "t",
    path: str = "p",
    codec: Compression = "zstd",
) -> WritesRecord:
    data = encode_tasks(
        codec, Origin("", "1", created, "w"), "writes.tt.w0", [Task.of(SERDE, writes, task, path)]
    )
    return open_writes(data, len(data), "", "1", "writes.tt.w0")


@given(CODEC, st.dictionaries(TEXT, VALUES, max_size=5), st.dictionaries(TEXT, VALUES, max_size=3), IDS, IDS)
def test_a_checkpoint_comes_back(
    codec: Compression, channels: dict[str, Any], metadata: dict[str, Any], ns: str, parent: str
) -> None:
    checkpoint = checkpoint_of(channels, channel_versions=dict.fromkeys(channels, "1.0"))
    record = reopened(stored(checkpoint, metadata, codec=codec, ns=ns, parent=parent), ns)
    assert record.checkpoint(SERDE) == checkpoint
    assert record.metadata(SERDE) == metadata
    assert (record.parent, record.created) == (parent, 7)
    assert list(record.channels) == list(channels)
    for name, value in channels.items():
        assert record.channel(SERDE, name) == value
        assert type(record.channel(SERDE, name)) is type(value)


def test_messages_come_back() -> None:
    messages = [
        HumanMessage("hi", id="1"),
        AIMessage(
            "", id="2", tool_calls=[{"name": "look", "args": {"at": "it"}, "id": "c", "type": "tool_call"}]
        ),
        ToolMessage("seen", id="3", tool_call_id="c"),
    ]
    assert reopened(stored(checkpoint_of({"messages": messages}))).channel(SERDE, "messages") == messages


def test_what_is_encoded_stays_as_it_was() -> None:
    checkpoint = checkpoint_of({"a": [1]})
    stored(checkpoint)
    assert checkpoint["channel_values"] == {"a": [1]}


def test_a_checkpoint_without_channels_or_parent_comes_back() -> None:
    record = reopened(stored(checkpoint_of({})))
    assert record.checkpoint(SERDE)["channel_values"] == {}
    assert record.parent is None


def test_the_head_holds_the_metadata_whatever_else_there_is() -> None:
    noise = random.Random(3)
    channels = {f"channel {number}": noise.randbytes(9000 * (number % 2)) for number in range(40)}
    data = stored(
        checkpoint_of(channels, versions_seen={"x" * 50_000: {}}), {"source": "loop", "user": "u" * 500}
    )
    assert len(data) > 10 * HEAD_BYTES
    record = open_checkpoint(data[:HEAD_BYTES], len(data), "", "1", "checkpoint")
    assert record.container.missing([record.metadata_value]) == []
    assert record.metadata(SERDE)["source"] == "loop"
    assert record.container.missing(record.all_values())
    with pytest.raises(CorruptObjectError, match="is cut off"):
        record.checkpoint(SERDE)


def test_one_channel_is_read_without_the_others() -> None:
    noise = random.Random(4)
    data = stored(
        checkpoint_of({"small": 1, "first": noise.randbytes(9000), "second": noise.randbytes(9000)})
    )
    frame = reopened(data).container.frames[reopened(data).channels["first"].extents[0].frame]
    kept = header_length(data) + frame.offset + frame.stored
    record = open_checkpoint(data[: kept - 1], len(data), "", "1", "checkpoint")
    assert record.container.missing([record.channels["first"]])
    record = open_checkpoint(data[:kept], len(data), "", "1", "checkpoint")
    assert not record.container.missing([record.channels["first"]])
    assert record.channel(SERDE, "first") == random.Random(4).randbytes(9000)
    assert record.container.missing([record.channels["second"]])


def frames_of(record: CheckpointRecord) -> dict[str, list[int]]:
    """The frames that each channel is in."""
    return {name: [extent.frame for extent in value.extents] for name, value in record.channels.items()}


def test_a_large_channel_has_a_frame_of_its_own_and_small_ones_share_the_first() -> None:
    large, small = bytes(OWN_FRAME), bytes(OWN_FRAME - 1)
    record = reopened(stored(checkpoint_of({"a": 1, "large": large, "b": 2, "small": small, "other": large})))
    assert frames_of(record) == {"a": [0], "large": [1], "b": [0], "small": [0], "other": [2]}
    assert [extent.frame for extent in record.metadata_value.extents] == [0]
    assert [extent.frame for extent in record.checkpoint_value.extents] == [0]


def test_many_small_channels_come_behind_the_metadata() -> None:
    half = HEAD_BYTES // 2
    for length, frame in ((half // 4 - 1000, 0), (half // 4, 1)):
        record = reopened(stored(checkpoint_of({str(number): bytes(length) for number in range(4)})))
        assert frames_of(record) == {str(number): [frame] for number in range(4)}
        assert [extent.frame for extent in record.metadata_value.extents] == [0]
        assert [extent.frame for extent in record.checkpoint_value.extents] == [0]


def test_a_large_write_has_a_frame_of_its_own() -> None:
    writes = {number: ("a", bytes(OWN_FRAME - number)) for number in range(3)}
    assert [[extent.frame for extent in row.value.extents] for row in written(writes).rows] == [[1], [0], [0]]


def test_what_is_read_is_what_was_serialized() -> None:
    checkpoint = checkpoint_of({"a": [1], "large": "x" * 10_000, "none": None})
    metadata: CheckpointMetadata = {"source": "loop"}
    content = serialize(SERDE, checkpoint, metadata, "0")
    assert reopened(stored(checkpoint, metadata, parent="0")).content() == content
    assert content.parent == "0"
    assert content.channels["none"] == ("null", b"")
    assert "channel_values" not in SERDE.loads_typed(content.rest)


def test_encrypted_values_are_stored_as_they_are_and_come_back() -> None:
    serde = EncryptedSerializer(Stream())
    checkpoint = checkpoint_of({"plain": "all work and no play " * 1000})
    data = stored(checkpoint, {"step": 1}, serde=serde)
    record = reopened(data)
    assert {frame.codec for frame in record.container.frames} == {"none"}
    assert b"work" not in data
    assert record.checkpoint(serde) == checkpoint
    assert record.metadata(serde) == {"step": 1}
    assert len(stored(checkpoint)) < len(data) / 10


@pytest.mark.parametrize("leaf", ["checkpoint.rother", "checkpoint.c1", "checkpoint.z", "writes.tt.w0", ""])
def test_an_object_under_another_leaf_is_refused(leaf: str) -> None:
    data = stored(checkpoint_of({}))
    with pytest.raises(CorruptObjectError, match=r"under another one's key: it is 'checkpoint' of"):
        open_checkpoint(data, len(data), "", "1", leaf)
    data = encode_tasks("none", Origin("", "1", 1, "w"), "writes.jx", [])
    with pytest.raises(CorruptObjectError, match=r"under another one's key: it is 'writes.jx' of"):
        open_writes(data, len(data), "", "1", leaf)


@pytest.mark.parametrize(("ns", "checkpoint_id"), [("", "2"), ("sub", "1"), ("", ""), ("1", "")])
def test_an_object_under_another_checkpoints_key_is_refused(ns: str, checkpoint_id: str) -> None:
    data = stored(checkpoint_of({}))
    with pytest.raises(CorruptObjectError, match=r"under another one's key: it is 'checkpoint' of.*'1'"):
        open_checkpoint(data, len(data), ns, checkpoint_id, "checkpoint")
    data = encode_tasks(
        "none", Origin("", "1", 1, "w"), "writes.tt.w0", [Task.of(SERDE, {0: ("a", 1)}, "t", "")]
    )
    with pytest.raises(CorruptObjectError, match=r"under another one's key: it is 'writes.tt.w0' of.*'1'"):
        open_writes(data, len(data), ns, checkpoint_id, "writes.tt.w0")


def test_writes_are_no_checkpoint_nor_the_other_way_round() -> None:
    checkpoint = stored(checkpoint_of({}))
    writes = encode_tasks(
        "none", Origin("", "1", 1, "w"), "writes.tt.w0", [Task.of(SERDE, {0: ("a", 1)}, "t", "")]
    )
    with pytest.raises(CorruptObjectError, match="it is 'checkpoint'"):
        open_writes(checkpoint, len(checkpoint), "", "1", "writes.tt.w0")
    with pytest.raises(CorruptObjectError, match="it is 'writes"):
        open_checkpoint(writes, len(writes), "", "1", "checkpoint")


@given(CODEC, st.lists(st.tuples(TEXT, VALUES), min_size=1, max_size=6), IDS, TEXT)
def test_writes_come_back(codec: Compression, writes: list[tuple[str, Any]], task: str, path: str) -> None:
    numbered = {number: write for number, write in enumerate(writes)}  # noqa: C416  # `dict` of it has another type
    record = written(numbered, 5, task, path, codec)
    assert record.created == 5
    assert [(row.task_id, row.task_path, row.idx, row.channel) for row in record.rows] == [
        (task, path, number, channel) for number, (channel, _) in enumerate(writes)
    ]
    assert resolve_writes(SERDE, [record]) == [(task, channel, value) for channel, value in writes]


def test_writes_are_numbered_as_langgraph_does() -> None:
    writes = [
        ("a", 1),
        (ERROR, "e"),
        ("b", 2),
        (INTERRUPT, "i"),
        (RESUME, "r"),
        (SCHEDULED, None),
        (RESUME, "last"),
    ]
    assert number_writes(writes) == {
        0: ("a", 1),
        -1: (ERROR, "e"),
        2: ("b", 2),
        -3: (INTERRUPT, "i"),
        -4: (RESUME, "last"),
        -2: (SCHEDULED, None),
    }
    assert number_writes([]) == {}
    assert number_writes([("a", 1), ("a", 2)]) == {0: ("a", 1), 1: ("a", 2)}


def test_pending_writes_come_in_the_order_of_tasks() -> None:
    records = [
        written({1: ("b", 1), 0: ("a", 0), -3: (INTERRUPT, "i")}, 1, "t2", "~1"),
        written({0: ("a", 2)}, 2, "t1", "~1"),
        written({0: ("a", 3)}, 3, "t9", ""),
        written({0: ("a", 4)}, 4, "t0", "~2"),
    ]
    expected = [
        ("t9", "a", 3),
        ("t1", "a", 2),
        ("t2", INTERRUPT, "i"),
        ("t2", "a", 0),
        ("t2", "b", 1),
        ("t0", "a", 4),
    ]
    for order in itertools.permutations(records):
        assert resolve_writes(SERDE, order) == expected


def test_of_a_regular_slot_the_first_counts_and_of_a_special_one_the_last() -> None:
    records = [
        written({0: ("a", "first"), -4: (RESUME, "first")}, 1),
        written({0: ("a", "second"), 1: ("b", "second"), -4: (RESUME, "second")}, 2),
        written({1: ("b", "third"), 2: ("c", "third"), -1: (ERROR, "third")}, 3),
        written({-4: (RESUME, "fourth")}, 4),
    ]
    for order in itertools.permutations(records):
        assert resolve_writes(SERDE, order) == [
            ("t", RESUME, "fourth"),
            ("t", ERROR, "third"),
            ("t", "a", "first"),
            ("t", "b", "second"),
            ("t", "c", "third"),
        ]


def test_the_same_slots_of_two_tasks_are_two() -> None:
    records = [written({0: ("a", 1)}, 1, "t1"), written({0: ("a", 2)}, 2, "t2")]
    assert resolve_writes(SERDE, records) == [("t1", "a", 1), ("t2", "a", 2)]


@given(
    st.lists(st.dictionaries(st.integers(-4, 4), st.integers(0, 9), min_size=1), min_size=1, max_size=5),
    st.permutations(range(5)),
)
def test_slots_settle_whatever_the_order_of_reading(calls: list[dict[int, int]], order: list[int]) -> None:
    expected: dict[int, int] = {}
    for call in calls:
        for slot, value in call.items():
            expected[slot] = value if slot < 0 else expected.get(slot, value)
    records = [
        written({slot: (f"c{slot}", value) for slot, value in call.items()}, time)
        for time, call in enumerate(calls)
    ]
    shuffled = [records[place] for place in order if place < len(records)]
    assert resolve_writes(SERDE, shuffled) == [("t", f"c{slot}", expected[slot]) for slot in sorted(expected)]


def test_only_the_channels_asked_for_are_loaded() -> None:
    class Careful(JsonPlusSerializer):
        def loads_typed(self, data: tuple[str, bytes]) -> Any:
            value = super().loads_typed(data)
            assert value != "unwanted"
            return value

    records = [written({0: ("a", 1), 1: ("b", "unwanted")}), written({0: ("a", 2), 2: ("c", 3)}, 2)]
    assert resolve_writes(Careful(), records, {"a", "c"}) == [("t", "a", 1), ("t", "c", 3)]
    assert resolve_writes(Careful(), records, set()) == []


def test_a_slot_that_went_to_another_channel_hides_a_later_one() -> None:
    records = [written({0: ("a", 1)}, 1), written({0: ("b", 2)}, 2)]
    assert resolve_writes(SERDE, records, {"b"}) == []
