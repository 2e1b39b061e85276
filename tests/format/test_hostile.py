"""Whatever lies in the bucket or is handed over: nothing but an `S3CheckpointError` comes of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from langgraph_checkpoint_s3 import InvalidConfigError, S3CheckpointError, S3Config
from tests.support.checkpoints import place
from tests.support.fake_store import make_saver
from tests.support.hostile import (
    DOUBLE,
    DROP,
    JUNK,
    LAYOUT,
    assembled,
    changed,
    mend,
    mutations,
    portable,
    read_key,
    read_object,
    read_portable,
    read_uri,
    stored,
)

BUCKET = stored()
OBJECTS = mutations(BUCKET)
KEYS = sorted(OBJECTS)
FILE = portable()
WAYS = st.lists(st.integers(0, 12), min_size=1, max_size=5)
CHANGES = st.lists(st.tuples(WAYS, st.sampled_from([DOUBLE, DROP, *JUNK])), min_size=1, max_size=3)


@settings(max_examples=150)
@given(st.sampled_from(KEYS), CHANGES, st.booleans(), st.booleans(), st.integers(0, 2**16))
@example(next(key for key in KEYS if key.endswith(".s2.b.v")), [([9, 0, 0], 1)], False, False, 0)  # no lender
def test_a_changed_object_is_read_or_refused(
    key: str, changes: list[Any], mended: bool, packed: bool, flip: int
) -> None:
    header, body = OBJECTS[key]
    for way, junk in changes:
        header = changed(header, way, junk)
    if flip < len(body):
        body = body[:flip] + bytes([body[flip] ^ 1]) + body[flip + 1 :]
    data = assembled(mend(header, body) if mended else header, body, packed=packed)
    read_object(data, LAYOUT.parse(key).checkpoint_id, key.rpartition("/")[2])
    read_portable(data)
    fake = BUCKET.snapshot()
    fake.put(key, data)
    saver = make_saver(fake)
    asked = place("t", LAYOUT.parse(key).checkpoint_id)
    reads: list[Any] = [
        lambda: saver.get_tuple(asked),
        lambda: list(saver.list(place("t"), filter={"other": 1})),
        lambda: saver.get_delta_channel_history(config=place("t"), channels=["d", "large"]),
        lambda: saver.prune(["t"], strategy="keep_latest"),
    ]
    for read in reads:
        try:
            read()
        except S3CheckpointError as error:
            assert error.key  # noqa: PT017  # which object it is, or whose lender


@given(st.text(max_size=60) | st.text("abcdefp0123456789.-_/zts", max_size=60), st.integers(0, 80))
@example("0" * 5000, 3)
def test_any_key_is_parsed_or_refused(text: str, place_: int) -> None:
    key = KEYS[0]
    for each in (text, LAYOUT.thread("t") + text, key[:place_] + text + key[place_:], f"checkpoint.s{text}"):
        read_key(each)


@given(st.text(max_size=40), st.sampled_from([*S3Config.__dataclass_fields__, "tag.a", "x"]))
@example("1" + "0" * 400, "cache_bytes")
@example("1" + "0" * 5000, "cache_bytes")
@example("1e999", "read_timeout")
@example("nan", "read_timeout")
def test_any_connection_string_is_parsed_or_refused(text: str, name: str) -> None:
    read_uri(text)
    read_uri(f"{name}={text}")


def test_a_number_too_large_for_a_float_is_a_number() -> None:
    assert S3Config(bucket="bucket", cache_bytes=10**400).cache_bytes == 10**400
    with pytest.raises(InvalidConfigError, match="at least 0"):
        S3Config(bucket="bucket", cache_bytes=-(10**400))


@settings(max_examples=150)
@given(
    st.lists(st.tuples(st.integers(0, len(FILE) - 1), st.integers(0, 255)), max_size=4),
    st.integers(0, len(FILE)),
    st.binary(max_size=20),
)
def test_a_changed_portable_file_is_loaded_or_refused(
    flips: list[tuple[int, int]], cut: int, more: bytes
) -> None:
    data = bytearray(FILE)
    for where, byte in flips:
        data[where] = byte
    read_portable(bytes(data))
    read_portable(bytes(data[:cut]) + more + bytes(data[cut:]))
    read_portable(bytes(data[:cut]))
