"""Objects that can't be trusted, borrowed frames, and what errors say."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable
from typing import Any

import msgpack
import pytest

from langgraph_checkpoint_s3 import (
    AccessDeniedError,
    CorruptObjectError,
    S3CheckpointError,
    S3Saver,
)
from langgraph_checkpoint_s3.format.container import open_container
from langgraph_checkpoint_s3.s3.requests import (
    DeleteObjects,
    GetObject,
)
from tests.plans.helpers import get, ids, put
from tests.support.checkpoints import place, put_chain
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver
from tests.support.hooks import failing

# Objects that can't be trusted


def damage(fake: FakeS3, key: str, change: Callable[[bytes], bytes]) -> None:
    fake.put(key, change(fake.objects[key].data))


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-1],
        lambda data: data[:8],
        lambda data: b"",
        lambda data: b"{}" + data,
        lambda data: data[:-3] + bytes([data[-3] ^ 1]) + data[-2:],
        lambda data: data[:20] + bytes([data[20] ^ 1]) + data[21:],
        lambda data: data + b"x",
    ],
)
@pytest.mark.parametrize("part", ["/checkpoint", "/writes"])
def test_the_error_of_a_damaged_object_has_its_key(
    fake: FakeS3, part: str, change: Callable[[bytes], bytes]
) -> None:
    put_chain(make_saver(fake), "t", 1)
    [key] = fake.keys(part)
    damage(fake, key, change)
    readings: list[Callable[[S3Saver], Any]] = [
        lambda reader: reader.get_tuple(place("t")),
        lambda reader: list(reader.list(place("t"))),
        lambda reader: list(reader.list(None)),
    ]
    for read in readings:
        with pytest.raises(CorruptObjectError) as raised:
            read(make_saver(fake))
        assert raised.value.key == key
        assert raised.value.bucket == "fake-bucket"
        assert key in str(raised.value)


def test_an_object_under_another_key_is_not_believed(saver: S3Saver, fake: FakeS3) -> None:
    put_chain(saver, "t", 2)
    first, second = fake.keys("/checkpoint")
    damage(fake, first, lambda _: fake.objects[second].data)
    with pytest.raises(CorruptObjectError):
        make_saver(fake).get_tuple(place("t"))


def test_a_foreign_object_in_a_thread_is_an_error(saver: S3Saver, fake: FakeS3) -> None:
    put(saver, "1")
    fake.put("checkpoints/t.thread/.ns/notes.txt", b"hello")
    readings: list[Callable[[S3Saver], Any]] = [
        lambda reader: list(reader.list(place("t"))),
        lambda reader: list(reader.list(None)),
        lambda reader: reader.copy_thread("t", "u"),
        lambda reader: reader.prune(["t"]),
    ]
    for read in readings:
        with pytest.raises(CorruptObjectError, match=r"notes\.txt"):
            read(make_saver(fake))
    assert len(fake.objects) == 2


# Borrowed frames, as `docs/format.md` has them, made without the writer


def lend(fake: FakeS3, lender_key: str, borrower_key: str, channel: str) -> None:
    """Let a borrower have a channel of the lender, by reference."""
    lender = open_container(fake.objects[lender_key].data, len(fake.objects[lender_key].data))
    data = fake.objects[borrower_key].data
    borrower = open_container(data, len(data))
    kind, [[number, start, length]] = lender.fields["channels"][channel]
    frame = lender.frames[number]
    home = [lender.fields["id"], lender_key.rpartition("/")[2], lender.fields["created"] // 10**9]
    row = [lender.base + frame.offset, frame.stored, frame.raw, frame.codec, frame.crc, *home]
    fields = dict(borrower.fields)
    fields["channels"] = {**fields["channels"], channel: [kind, [[len(borrower.frames), start, length]]]}
    fields["frames"] = [*fields["frames"], row]
    header = msgpack.packb(fields, use_bin_type=True)
    preamble = struct.pack(">4sBBHI", b"LGS3", 1, 0, 0, len(header))
    crc = zlib.crc32(header, zlib.crc32(preamble)).to_bytes(4, "big")
    fake.put(borrower_key, preamble + crc + header + data[borrower.base :])


@pytest.fixture
def borrowed(fake: FakeS3) -> FakeS3:
    """A thread whose second and third checkpoint borrow `big` from the first."""
    saver = make_saver(fake)
    put(saver, "1", values={"big": random.Random(0).randbytes(50_000), "v": 1}, even=False)
    put(saver, "2", "1", values={"v": 2}, even=True)
    put(saver, "3", "2", values={"v": 3}, even=True)
    third, second, first = fake.keys("/checkpoint")
    lend(fake, first, second, "big")
    lend(fake, first, third, "big")
    return fake


def test_borrowed_frames_are_read_in_one_round_trip_more(borrowed: FakeS3) -> None:
    big = random.Random(0).randbytes(50_000)
    for checkpoint_id in ("2", "3"):
        with borrowed.counted() as count:
            found = get(make_saver(borrowed), place("t", checkpoint_id))
        assert found.checkpoint["channel_values"] == {"v": int(checkpoint_id), "big": big}
        assert (count.kinds, count.round_trips) == ({"ListObjects": 1, "GetObject": 2}, 3)
        assert isinstance(count.requests[-1], GetObject)
        assert count.requests[-1].length
    for limit, round_trips in ((2, 3), (None, 2)):  # of all three, one is the lender
        with borrowed.counted() as count:
            listed = list(make_saver(borrowed).list(place("t"), limit=limit))
        assert [each.checkpoint["channel_values"]["big"] for each in listed] == [big] * (limit or 3)
        assert (count.kinds, count.round_trips) == ({"ListObjects": 1, "GetObject": 3}, round_trips)
    assert ids(make_saver(borrowed), place("t"), filter={"even": True}) == ["3", "2"]
    history: Any = make_saver(borrowed).get_delta_channel_history(config=place("t"), channels=["big"])
    assert history == {"big": {"writes": [], "seed": big}}


def test_a_copy_borrows_within_itself(borrowed: FakeS3) -> None:
    make_saver(borrowed).copy_thread("t", "u")
    make_saver(borrowed).delete_thread("t")
    found = get(make_saver(borrowed), place("u"))
    assert found.checkpoint["channel_values"]["big"] == random.Random(0).randbytes(50_000)


def test_the_error_of_a_missing_lender_names_its_borrower(borrowed: FakeS3) -> None:
    third, _, first = borrowed.keys("/checkpoint")
    borrowed.delete(first)
    with pytest.raises(CorruptObjectError) as raised:
        make_saver(borrowed).get_tuple(place("t"))
    assert first in str(raised.value)
    assert raised.value.key == third
    assert third in str(raised.value)


def test_the_error_of_a_changed_lender_names_its_borrower(borrowed: FakeS3) -> None:
    third, _, first = borrowed.keys("/checkpoint")
    whole = borrowed.objects[first].data
    for data in (b"\0" * len(whole), whole[:10_000], whole[:100]):
        borrowed.put(first, data)
        with pytest.raises(CorruptObjectError) as raised:
            make_saver(borrowed).get_tuple(place("t"))
        assert raised.value.key == third
        assert first in str(raised.value)
        assert third in str(raised.value)


# Errors carry what is needed to act


def test_errors_name_bucket_and_key(saver: S3Saver, fake: FakeS3) -> None:
    fake.hook = failing(code="AccessDenied", status=403)
    with pytest.raises(AccessDeniedError, match="s3:PutObject") as raised:
        put(saver, "1")
    assert raised.value.bucket == "fake-bucket"
    assert raised.value.key
    assert raised.value.key.endswith("/checkpoint.v")
    assert isinstance(raised.value, S3CheckpointError)
    assert isinstance(raised.value, PermissionError)
    fake.hook = failing(DeleteObjects, "AccessDenied", 403)
    put(saver, "1")
    with pytest.raises(AccessDeniedError, match="s3:DeleteObject"):
        saver.delete_thread("t")
