"""The cipher: what it binds bytes to, what it adds, and what it says where something isn't right."""

from __future__ import annotations

import sys
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_checkpoint_s3.crypto import aead as module
from langgraph_checkpoint_s3.crypto.aead import (
    OVERHEAD,
    ObjectCipher,
    derive_key,
    make_thread_cipher,
    unpack_key_ref,
)
from langgraph_checkpoint_s3.crypto.provider import MAX_KEY_ID, MAX_WRAPPED_KEY, DataKey, KeyRef
from langgraph_checkpoint_s3.errors import DecryptionError, InvalidConfigError, NotSupportedError
from langgraph_checkpoint_s3.format.header import header_key_ref
from tests.support.keys import secret

REF = KeyRef("k1")


def cipher(thread: str = "t.thread", name: str = "k1", **changes: Any) -> ObjectCipher:
    """Return the cipher of an object."""
    place = ("s3://bucket/a/", thread, ".ns", "01", "checkpoint.rone")
    made = ObjectCipher(REF, *place, lambda ref, thread: make_thread_cipher(secret(name), thread))
    return made._replace(**changes)


@given(st.binary(max_size=300), st.booleans())
def test_what_is_encrypted_decrypts(plain: bytes, deterministic: bool) -> None:
    encrypted = cipher(deterministic=deterministic).encrypt(plain, "header", 2)
    assert len(encrypted) == len(plain) + OVERHEAD
    assert cipher().decrypt(memoryview(encrypted), "header", 2) == plain


@pytest.mark.parametrize(
    "other",
    [
        cipher(thread="u.thread"),
        cipher(namespace="sub.ns"),
        cipher(checkpoint_id="02"),
        cipher(leaf="checkpoint.rtwo"),
        cipher(leaf="writes.tt.w0"),
        cipher(place="s3://bucket/b/"),
        cipher(place="s3://another/a/"),
        cipher(name="k2"),
    ],
    ids=["thread", "namespace", "checkpoint", "leaf", "kind", "prefix", "bucket", "key"],
)
def test_elsewhere_it_does_not_decrypt(other: ObjectCipher) -> None:
    encrypted = cipher().encrypt(b"plain")
    with pytest.raises(DecryptionError, match=r"the key 'k1'.*moved here from another place"):
        other.decrypt(encrypted)


def test_a_header_is_no_frame_and_its_flags_count() -> None:
    encrypted = cipher().encrypt(b"plain", "header", 2)
    for more in [(), ("header", 3), ("frame", 2)]:
        with pytest.raises(DecryptionError):
            cipher().decrypt(encrypted, *more)


def test_a_thread_is_bound_by_the_data_too_not_by_its_key_alone() -> None:
    """Whatever key a thread has."""
    place = ("s3://bucket/a/", "t", ".ns", "01", "checkpoint")
    one = ObjectCipher(REF, *place, lambda ref, thread: make_thread_cipher(secret("k1"), "any"))
    with pytest.raises(DecryptionError):
        one._replace(thread="u").decrypt(one.encrypt(b"plain"))


@given(st.binary(max_size=40), st.data())
def test_a_changed_bit_anywhere(plain: bytes, data: st.DataObject) -> None:
    encrypted = bytearray(cipher().encrypt(plain))
    encrypted[data.draw(st.integers(0, len(encrypted) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(DecryptionError):
        cipher().decrypt(bytes(encrypted))


@pytest.mark.parametrize("length", [0, 1, 11, 12, 27])
def test_what_is_too_short(length: int) -> None:
    with pytest.raises(DecryptionError):
        cipher().decrypt(bytes(length))


def test_what_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_PLAINTEXT", 10)
    cipher().encrypt(bytes(10))
    with pytest.raises(NotSupportedError, match=r"11 bytes.*Nothing was written"):
        cipher().encrypt(bytes(11))


def test_nonces_are_drawn_or_made() -> None:
    drawn = {cipher().encrypt(b"plain")[:12] for _ in range(20)}
    assert len(drawn) == 20
    again = cipher(deterministic=True)
    assert again.encrypt(b"plain") == again.encrypt(b"plain")
    others = [
        again.encrypt(b"plaim"),
        again.encrypt(b"plain", "header"),
        again._replace(checkpoint_id="02").encrypt(b"plain"),
        cipher(thread="u.thread", deterministic=True).encrypt(b"plain"),
        cipher(name="k2", deterministic=True).encrypt(b"plain"),
    ]
    assert len({each[:12] for each in [again.encrypt(b"plain"), *others]}) == 6


def test_what_it_is_bound_to_can_not_flow_into_what_is_encrypted() -> None:
    """Else two places could have one nonce for different bytes."""
    one = make_thread_cipher(secret("k1"), "t")
    assert one.derive_nonce(b"bc", b"a") != one.derive_nonce(b"c", b"ab")


def test_what_was_written_once_is_read_for_ever() -> None:
    """Fixed by the format: `docs/format.md`."""
    made = cipher(deterministic=True).encrypt(b"plain", "header", 2)
    assert made.hex() == EXPECTED
    assert cipher().decrypt(bytes.fromhex(EXPECTED), "header", 2) == b"plain"


EXPECTED = "d2134cf5bef55342fc3523f4ac26f7beea32fa7b41cd5ac6e66387260d065173bc"


def test_keys_for_different_ends_differ() -> None:
    made = [
        derive_key(secret("k1"), "thread", "t"),
        derive_key(secret("k1"), "thread", "u"),
        derive_key(secret("k1"), "nonces", "t"),
        derive_key(secret("k1"), "names"),
        derive_key(secret("k2"), "thread", "t"),
    ]
    assert len(set(made)) == len(made)
    assert {len(each) for each in made} == {32}


@pytest.mark.parametrize("given_one", [b"", bytes(31), bytes(33), "x" * 32, None])
def test_what_is_no_key(given_one: Any) -> None:
    with pytest.raises(InvalidConfigError, match="something else than 32 bytes"):
        derive_key(given_one, "thread")


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.kdf.hkdf", None)
    with pytest.raises(InvalidConfigError, match="pip install cryptography"):
        derive_key(secret("k1"), "thread")


def test_no_secret_is_shown() -> None:
    key = DataKey(REF, secret("k1"))
    shown = repr([key, cipher(), make_thread_cipher(key.secret, "t")])
    assert repr(key.secret)[2:-1] not in shown
    assert key.secret.hex() not in shown
    assert "k1" in shown


@given(st.text(max_size=20), st.binary(max_size=20))
def test_references_are_read_back(name: str, wrapped: bytes) -> None:
    ref = KeyRef(name, wrapped)
    assert unpack_key_ref(list(ref)) == ref
    packed = msgpack.packb(ref)
    stored = len(packed).to_bytes(2, "big") + packed + b"and more"
    assert header_key_ref(stored) == ref
    for end in range(len(packed) + 2):
        with pytest.raises(ValueError):  # whatever msgpack says
            header_key_ref(stored[:end])


@pytest.mark.parametrize(
    "row", [[1, b""], ["k", "text"], ["k"], ["k", b"", 1], ["k" * (MAX_KEY_ID + 1), b""], None, 7]
)
def test_what_is_no_reference(row: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        unpack_key_ref(row)


def test_a_wrapped_key_that_is_too_long() -> None:
    unpack_key_ref(["k", bytes(MAX_WRAPPED_KEY)])
    with pytest.raises(ValueError, match="too long"):
        unpack_key_ref(["k", bytes(MAX_WRAPPED_KEY + 1)])
