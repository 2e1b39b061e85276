"""The portable file: round trips of checkpoints, and refused content."""

from __future__ import annotations

import contextlib
import io
import json
import warnings
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.serde.base import CipherProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, RESUME

from langgraph_checkpoint_s3 import (
    CorruptObjectError,
    DecryptionError,
    InvalidConfigError,
    InvalidKeyError,
    S3CheckpointError,
)
from langgraph_checkpoint_s3.admin.transfer.archive import MANIFEST, ExportFile
from langgraph_checkpoint_s3.admin.transfer.dumps import dumps, loads
from langgraph_checkpoint_s3.admin.transfer.portable_file import Manifest, PortableFile, pack
from tests.format.craft import craft, crafted, opened
from tests.format.strategies import IDS, VALUES
from tests.support.checkpoints import make_checkpoint, place, shown

WRITES = [
    ("b", "channel", 1),
    ("b", "other", [2]),
    ("a", "channel", None),
    ("b", RESUME, "again"),
    ("b", "late", b"raw"),
    ("c", INTERRUPT, []),
    ("c", ERROR, "it went wrong"),
]


def made(thread: str = "t", ns: str = "", writes: Any = WRITES, **values: Any) -> CheckpointTuple:
    checkpoint = make_checkpoint("2", values or {"text": "hello" * 50, "none": None})
    checkpoint["channel_versions"] = dict.fromkeys(checkpoint["channel_values"], "1.5")
    checkpoint["versions_seen"] = {}
    metadata: Any = {"source": "loop", "step": 1, "run_id": "r"}
    return CheckpointTuple(place(thread, "2", ns), checkpoint, metadata, place(thread, "1", ns), writes)


def members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def zipped(
    content: dict[str, bytes] | list[tuple[str, bytes]],
    compression: int = zipfile.ZIP_STORED,
    **manifest: Any,
) -> bytes:
    """Return an archive with this content and changes of its manifest (`...` removes a key)."""
    file = io.BytesIO()
    items = list(content.items()) if isinstance(content, dict) else content
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", compression) as archive:
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, body in items:
            if name == MANIFEST and manifest:
                said = {**json.loads(body), **manifest}
                archive.writestr(name, json.dumps({key: said[key] for key in said if said[key] is not ...}))
            else:
                archive.writestr(name, body)
    return file.getvalue()


FILE = dumps(made())
PLAIN = members(FILE)
NAMES = [name for name in PLAIN if name != MANIFEST]
CHECKPOINT = next(name for name in NAMES if "/checkpoint" in name)


def test_members_of_a_file() -> None:
    assert next(iter(PLAIN)) == MANIFEST
    assert "/checkpoint" in NAMES[-1]
    assert CHECKPOINT == ".ns/cdz/checkpoint.p1.kloop.s1.rr.v"
    said = json.loads(PLAIN[MANIFEST])
    exported, writer = said.pop("exported"), said.pop("writer")
    assert said == {
        "format": "langgraph-checkpoint-s3/thread",
        "version": 1,
        "thread_id": "t",
        "checkpoints": 1,
        "writes": len(NAMES) - 1,
    }
    assert exported.endswith("+00:00")
    assert writer.startswith("langgraph-checkpoint-s3/")
    with zipfile.ZipFile(io.BytesIO(FILE)) as archive:
        assert archive.testzip() is None
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}


def test_a_file_can_be_written_into_a_pipe() -> None:
    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.written = b""

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            self.written += bytes(data)
            return len(data)

    pipe: Any = Pipe()
    file = ExportFile(pipe)
    file.open(Manifest("t", "now", "w", 1, len(NAMES) - 1).pack())
    file.add((name, PLAIN[name]) for name in NAMES)
    file.finish()
    assert shown(loads(pipe.written)) == shown(made())


def test_what_is_abandoned_has_no_end() -> None:
    file = io.BytesIO()
    exporting = ExportFile(file)
    exporting.open(Manifest("t", "now", "w", 1, 0).pack())
    exporting.add([(CHECKPOINT, PLAIN[CHECKPOINT])])
    exporting.close()
    del exporting
    with pytest.raises(CorruptObjectError, match="whole ZIP"):
        PortableFile(io.BytesIO(file.getvalue()))


def test_equal_objects_are_equal_bytes() -> None:
    manifest = Manifest("t", "now", "w", 1, len(NAMES) - 1)
    objects = [(name, PLAIN[name]) for name in NAMES]
    assert pack(manifest, objects) == pack(manifest, objects)


def broken() -> dict[str, tuple[bytes, str]]:
    """Files that are refused, and why."""
    deflated = zipped(PLAIN, zipfile.ZIP_DEFLATED)
    without = {name: body for name, body in PLAIN.items() if name != CHECKPOINT}
    other = {**PLAIN, CHECKPOINT: crafted()}

    def renamed(name: str) -> bytes:
        return zipped([(name if each == NAMES[0] else each, body) for each, body in PLAIN.items()])

    return {
        "nothing": (b"", "whole ZIP"),
        "no archive": (b"hello" * 100, "whole ZIP"),
        "empty archive": (zipped({}), MANIFEST),
        "no manifest": (zipped({name: PLAIN[name] for name in NAMES}), MANIFEST),
        "manifest at the end": (zipped({**{name: PLAIN[name] for name in NAMES}, **PLAIN}), MANIFEST),
        "large manifest": (zipped({**PLAIN, MANIFEST: b"{" + b" " * 2**20 + b"}"}), MANIFEST),
        "no JSON": (zipped({**PLAIN, MANIFEST: b"\xff"}), MANIFEST),
        "deep JSON": (zipped({**PLAIN, MANIFEST: b"[" * 100_000}), MANIFEST),
        "no object": (zipped({**PLAIN, MANIFEST: b"[]"}), MANIFEST),
        "other format": (zipped(PLAIN, format="tar"), MANIFEST),
        "later version": (zipped(PLAIN, version=2), "upgrade"),
        "no version": (zipped(PLAIN, version=...), "version None"),
        "empty thread": (zipped(PLAIN, thread_id=""), MANIFEST),
        "no thread": (zipped(PLAIN, thread_id=...), MANIFEST),
        "a number for a thread": (zipped(PLAIN, thread_id=7), MANIFEST),
        "half a character": (zipped(PLAIN, thread_id="\ud800"), MANIFEST),
        "no counts": (zipped(PLAIN, checkpoints=...), MANIFEST),
        "true checkpoints": (zipped(PLAIN, checkpoints=True), MANIFEST),
        "fewer than said": (zipped(PLAIN, checkpoints=2), "manifest says"),
        "no checkpoints": (zipped({MANIFEST: PLAIN[MANIFEST]}, checkpoints=0, writes=0), "manifest says"),
        "an object missing": (
            zipped({**dict(list(PLAIN.items())[:1]), **dict(list(PLAIN.items())[2:])}),
            "says",
        ),
        "writes alone": (zipped(without, checkpoints=0), "isn't in it"),
        "twice": (zipped([*PLAIN.items(), (CHECKPOINT, PLAIN[CHECKPOINT])], checkpoints=2), "twice"),
        "compressed": (deflated, "compressed"),
        "absolute": (renamed("/etc/passwd"), "isn't named"),
        "upwards": (renamed("../../x"), "isn't named"),
        "upwards below": (renamed(".ns/cdz/../checkpoint"), "isn't named"),
        "a folder": (renamed(".ns/"), "isn't named"),
        "backslash": (renamed(".ns\\cdz\\checkpoint"), "isn't named"),
        "not of a thread": (renamed("readme.txt"), "isn't named"),
        "other ending": (renamed(".ns/cdz/other.ta"), "isn't named"),
        "another object": (zipped(other), "another one's key"),
        "not an object": (zipped({**PLAIN, CHECKPOINT: b"hello, this isn't an object"}), "isn't one of ours"),
        "writes for a checkpoint": (zipped({**PLAIN, CHECKPOINT: PLAIN[NAMES[0]]}), "another one's key"),
    }


BROKEN = broken()


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_cant_be_trusted_is_refused(name: str) -> None:
    data, reason = BROKEN[name]
    with pytest.raises(CorruptObjectError, match=reason):
        PortableFile(io.BytesIO(data)).check()
    with pytest.raises(CorruptObjectError):
        loads(data)


def test_keys_of_the_manifest_that_a_later_version_adds_are_passed_over() -> None:
    assert shown(loads(zipped(PLAIN, signature="x", more={"a": [1]}))) == shown(made())


def test_fields_of_names_that_a_later_version_adds_are_passed_over() -> None:
    found = opened(PLAIN[CHECKPOINT])
    leaf = f"{found.fields['leaf']}.z1"
    later = {name: body for name, body in PLAIN.items() if name != CHECKPOINT}
    later[f"{CHECKPOINT}.z1"] = craft({**found.fields, "leaf": leaf}, bytes(found.data[found.base :]))
    assert shown(loads(zipped(later))) == shown(made())


def test_a_frame_that_was_damaged_before_it_was_packed_is_noticed() -> None:
    body = bytearray(PLAIN[CHECKPOINT])
    body[-1] ^= 1
    with pytest.raises(CorruptObjectError, match="Frame 0 is damaged"):
        PortableFile(io.BytesIO(zipped({**PLAIN, CHECKPOINT: bytes(body)}))).check()


def test_members_that_lie_over_one_another_are_refused() -> None:
    """Return a small file whose members share their bytes, and so unpack to any size."""
    data = bytearray(FILE)
    with zipfile.ZipFile(io.BytesIO(FILE)) as archive:
        start = archive.start_dir
    directory = bytes(data[start:-22])
    end = bytearray(data[-22:])
    end[12:16] = (40 * len(directory)).to_bytes(4, "little")
    with pytest.raises(CorruptObjectError, match="together larger"):
        PortableFile(io.BytesIO(bytes(data[:start]) + 40 * directory + bytes(end)))


def test_a_file_cut_anywhere_is_refused() -> None:
    for length in range(len(FILE)):
        with pytest.raises(CorruptObjectError):
            loads(FILE[:length])


@given(st.integers(0, len(FILE) - 1), st.integers(1, 255))
def test_a_byte_changed_anywhere_is_noticed_or_says_nothing(at: int, flip: int) -> None:
    data = bytearray(FILE)
    data[at] ^= flip
    try:
        found = loads(bytes(data))
    except CorruptObjectError:
        return
    assert shown(found) == shown(made())


OBJECT = members(dumps(made(writes=[])))[CHECKPOINT]


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda tail: b"PK\x03\x04" + tail))
@example(b"LGS3")
@example(b"PK\x05\x06" + bytes(18))
@example(b"PK\x05\x06" + b"\xff" * 18)
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(CorruptObjectError):
        loads(data)


@given(
    st.sampled_from((FILE, OBJECT)),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 3), st.binary(max_size=9)), max_size=4),
)
def test_damaged_bytes_raise_our_errors(base: bytes, edits: list[Any]) -> None:
    data = bytearray(base)
    for at, length, new in edits:
        data[at % len(data) : at % len(data) + length] = new or b"\0"
    with contextlib.suppress(S3CheckpointError):
        loads(bytes(data))


@given(
    st.dictionaries(
        st.sampled_from(
            ["leaf", "ns", "id", "created", "parent", "metadata", "checkpoint", "channels", "frames"]
        ),
        st.recursive(
            st.none()
            | st.integers(-1, 9)
            | st.sampled_from(["", "x", "checkpoint", "msgpack", "msgpack+aes"]),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=2),
            max_leaves=6,
        ),
        max_size=3,
    )
)
def test_a_crafted_object_whose_crc_fits_is_an_error_of_ours(changes: dict[str, Any]) -> None:
    with pytest.raises(S3CheckpointError):
        loads(crafted(**changes))


@pytest.mark.parametrize("given_", ["text", None, 7])
def test_loads_takes_bytes(given_: Any) -> None:
    with pytest.raises(InvalidConfigError, match="bytes"):
        loads(given_)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_bytes_like_thing_will_do(kind: Callable[[bytes], Any]) -> None:
    assert shown(loads(kind(FILE))) == shown(made())


def test_an_object_by_itself_doesnt_know_its_thread() -> None:
    found = loads(OBJECT)
    assert found.config["configurable"]["thread_id"] == ""
    assert shown(loads(OBJECT, thread_id="t")) == shown(made(writes=[]))


def test_a_file_loads_as_another_thread() -> None:
    assert shown(loads(FILE, thread_id="u")) == shown(made("u"))


def test_writes_cant_be_loaded_by_themselves() -> None:
    with pytest.raises(CorruptObjectError, match="by itself"):
        loads(PLAIN[NAMES[0]])


def test_content_that_unpacks_too_large_is_refused() -> None:
    data = dumps(made(text="x" * 100_000))
    assert len(data) < 5_000
    with pytest.raises(CorruptObjectError, match="max_bytes is 100000"):
        loads(data, max_bytes=100_000)
    assert loads(data, max_bytes=200_000)


class Cipher(CipherProtocol):
    def __init__(self, key: int) -> None:
        self.key = key

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        return "xor", bytes(byte ^ self.key for byte in plaintext)

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        return bytes(byte ^ self.key for byte in ciphertext)


def test_of_an_encrypted_one_the_serializer_is_needed() -> None:
    data = dumps(made(), serde=EncryptedSerializer(Cipher(7)))
    assert shown(loads(data, serde=EncryptedSerializer(Cipher(7)))) == shown(made())
    with pytest.raises(DecryptionError, match=r"msgpack\+xor.*serde"):
        loads(data)
    with pytest.raises(DecryptionError):
        loads(data, serde=EncryptedSerializer(Cipher(8)))


@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=3), IDS.filter(bool), IDS)
def test_dumped_checkpoints_load(values: dict[str, Any], thread: str, ns: str) -> None:
    original = made(thread, ns, **values)
    for compression in ("zstd", "none"):
        assert shown(loads(dumps(original, compression=compression))) == shown(original)


WRITE = st.tuples(
    st.sampled_from("abc"), st.sampled_from(["x", "y", RESUME, ERROR, INTERRUPT]), st.integers(0, 9)
)


@given(st.lists(WRITE, max_size=8, unique_by=lambda each: each[:2] if each[1].startswith("__") else object()))
def test_pending_writes_keep_their_order(writes: list[Any]) -> None:
    assert shown(loads(dumps(made(writes=writes)))) == shown(made(writes=writes))


def test_of_two_values_for_a_special_slot_the_last_counts() -> None:
    found = loads(dumps(made(writes=[("a", RESUME, 1), ("b", "x", 2), ("a", RESUME, 3)])))
    assert [tuple(each) for each in found.pending_writes or ()] == [("b", "x", 2), ("a", RESUME, 3)]


def test_a_first_checkpoint_has_no_parent() -> None:
    first = made()._replace(parent_config=None, pending_writes=None)
    assert shown(loads(dumps(first))) == shown(first)


def test_values_that_cannot_be_dumped() -> None:
    with pytest.raises(InvalidKeyError, match="thread_id"):
        dumps(loads(OBJECT))
    with pytest.raises(InvalidConfigError, match="lzma"):
        dumps(made(), compression="lzma")  # type: ignore[arg-type]  # wrong on purpose


def test_a_file_of_several_checkpoints_is_for_import_thread() -> None:
    one, two = members(dumps(made())), members(dumps(made(writes=[])))
    [body] = [body for name, body in two.items() if "/checkpoint" in name]
    other = make_checkpoint("3", {})
    three = members(dumps(made(writes=[])._replace(checkpoint=other, config=place("t", "3"))))
    [(name, body)] = [(name, body) for name, body in three.items() if "/checkpoint" in name]
    with pytest.raises(InvalidConfigError, match=r"2 checkpoints.*import_thread"):
        loads(zipped({**one, name: body}, checkpoints=2))
