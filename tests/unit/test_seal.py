"""The cipher: what it binds bytes to, what it adds, and what it says where something isn't right."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_checkpoint_s3.crypto import aead as module
from langgraph_checkpoint_s3.crypto.aead import (
    MOST_NAME,
    MOST_WRAPPED,
    OVERHEAD,
    DataKey,
    KeyRef,
    ObjectCipher,
    cipher,
    derive,
    pack_ref,
    unpack_ref,
)
from langgraph_checkpoint_s3.errors import DecryptionError, InvalidConfigError, NotSupportedError
from langgraph_checkpoint_s3.format.header import header_key
from tests.support.keys import secret

REF = KeyRef("k1")


def seal(thread: str = "t.thread", name: str = "k1", **changes: Any) -> ObjectCipher:
    """What an object in a place is sealed with."""
    place = ("s3://bucket/a/", thread, ".ns", "01", "checkpoint.rone")
    made = ObjectCipher(REF, *place, lambda ref, thread: cipher(secret(name), thread))
    return dataclasses.replace(made, **changes)


@given(st.binary(max_size=300), st.booleans())
def test_what_is_sealed_opens(plain: bytes, repeatable: bool) -> None:
    sealed = seal(repeatable=repeatable).close(plain, "header", 2)
    assert len(sealed) == len(plain) + OVERHEAD
    assert seal().open(memoryview(sealed), "header", 2) == plain


@pytest.mark.parametrize(
    "other",
    [
        seal(thread="u.thread"),
        seal(namespace="sub.ns"),
        seal(checkpoint_id="02"),
        seal(leaf="checkpoint.rtwo"),
        seal(leaf="writes.tt.w0"),
        seal(place="s3://bucket/b/"),
        seal(place="s3://another/a/"),
        seal(name="k2"),
    ],
    ids=["thread", "namespace", "checkpoint", "leaf", "kind", "prefix", "bucket", "key"],
)
def test_elsewhere_it_does_not_open(other: ObjectCipher) -> None:
    sealed = seal().close(b"plain")
    with pytest.raises(DecryptionError, match=r"the key 'k1'.*moved here from another place"):
        other.open(sealed)


def test_a_header_is_no_frame_and_its_flags_count() -> None:
    sealed = seal().close(b"plain", "header", 2)
    for more in [(), ("header", 3), ("frame", 2)]:
        with pytest.raises(DecryptionError):
            seal().open(sealed, *more)


def test_a_thread_is_bound_by_the_data_too_not_by_its_key_alone() -> None:
    """Whatever key a thread has."""
    place = ("s3://bucket/a/", "t", ".ns", "01", "checkpoint")
    one = ObjectCipher(REF, *place, lambda ref, thread: cipher(secret("k1"), "any"))
    with pytest.raises(DecryptionError):
        dataclasses.replace(one, thread="u").open(one.close(b"plain"))


@given(st.binary(max_size=40), st.data())
def test_a_changed_bit_anywhere(plain: bytes, data: st.DataObject) -> None:
    sealed = bytearray(seal().close(plain))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(DecryptionError):
        seal().open(bytes(sealed))


@pytest.mark.parametrize("length", [0, 1, 11, 12, 27])
def test_what_is_too_short(length: int) -> None:
    with pytest.raises(DecryptionError):
        seal().open(bytes(length))


def test_what_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 10)
    seal().close(bytes(10))
    with pytest.raises(NotSupportedError, match=r"11 bytes.*Nothing was written"):
        seal().close(bytes(11))


def test_nonces_are_drawn_or_made() -> None:
    drawn = {seal().close(b"plain")[:12] for _ in range(20)}
    assert len(drawn) == 20
    again = seal(repeatable=True)
    assert again.close(b"plain") == again.close(b"plain")
    others = [
        again.close(b"plaim"),
        again.close(b"plain", "header"),
        dataclasses.replace(again, checkpoint_id="02").close(b"plain"),
        seal(thread="u.thread", repeatable=True).close(b"plain"),
        seal(name="k2", repeatable=True).close(b"plain"),
    ]
    assert len({each[:12] for each in [again.close(b"plain"), *others]}) == 6


def test_what_it_is_bound_to_can_not_flow_into_what_is_encrypted() -> None:
    """Else two places could have one nonce for different bytes."""
    one = cipher(secret("k1"), "t")
    assert one.nonce(b"bc", b"a") != one.nonce(b"c", b"ab")


def test_what_was_written_once_is_read_for_ever() -> None:
    """Fixed by the format: `docs/format.md`."""
    made = seal(repeatable=True).close(b"plain", "header", 2)
    assert made.hex() == EXPECTED
    assert seal().open(bytes.fromhex(EXPECTED), "header", 2) == b"plain"


EXPECTED = "d2134cf5bef55342fc3523f4ac26f7beea32fa7b41cd5ac6e66387260d065173bc"


def test_keys_for_different_ends_differ() -> None:
    made = [
        derive(secret("k1"), "thread", "t"),
        derive(secret("k1"), "thread", "u"),
        derive(secret("k1"), "nonces", "t"),
        derive(secret("k1"), "names"),
        derive(secret("k2"), "thread", "t"),
    ]
    assert len(set(made)) == len(made)
    assert {len(each) for each in made} == {32}


@pytest.mark.parametrize("given_one", [b"", bytes(31), bytes(33), "x" * 32, None])
def test_what_is_no_key(given_one: Any) -> None:
    with pytest.raises(InvalidConfigError, match="something else than 32 bytes"):
        derive(given_one, "thread")


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.kdf.hkdf", None)
    with pytest.raises(InvalidConfigError, match="its extra `crypto`, or pip install cryptography"):
        derive(secret("k1"), "thread")


def test_no_secret_is_shown() -> None:
    key = DataKey(REF, secret("k1"))
    shown = repr([key, seal(), cipher(key.secret, "t")])
    assert repr(key.secret)[2:-1] not in shown
    assert key.secret.hex() not in shown
    assert "k1" in shown


@given(st.text(max_size=20), st.binary(max_size=20))
def test_references_are_read_back(name: str, wrapped: bytes) -> None:
    ref = KeyRef(name, wrapped)
    assert unpack_ref(pack_ref(ref)) == ref
    packed = msgpack.packb(pack_ref(ref))
    stored = len(packed).to_bytes(2, "big") + packed + b"and more"
    assert header_key(stored) == ref
    for end in range(len(packed) + 2):
        with pytest.raises(ValueError):  # whatever msgpack says
            header_key(stored[:end])


@pytest.mark.parametrize(
    "row", [[1, b""], ["k", "text"], ["k"], ["k", b"", 1], ["k" * (MOST_NAME + 1), b""], None, 7]
)
def test_what_is_no_reference(row: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        unpack_ref(row)


def test_a_wrapped_key_that_is_too_long() -> None:
    unpack_ref(["k", bytes(MOST_WRAPPED)])
    with pytest.raises(ValueError, match="too long"):
        unpack_ref(["k", bytes(MOST_WRAPPED + 1)])
