"""The keys that a saver has at hand: for how long, how many, and what it says of those that it lacks."""

from __future__ import annotations

import pytest

from langgraph_checkpoint_s3.crypto import key_cache as module
from langgraph_checkpoint_s3.crypto.aead import DataKey, KeyRef
from langgraph_checkpoint_s3.crypto.key_cache import Vault
from langgraph_checkpoint_s3.errors import DecryptionError, InvalidConfigError
from tests.support.keys import Keys, secret

ONE = DataKey(KeyRef("k1"), secret("k1"))
TWO = DataKey(KeyRef("k2", b"wrapped"), secret("k2"))
NAMESPACE = "agents/t.thread/.ns/"
PLACE = "s3://bucket/agents/"


class Clock:
    """Seconds, which pass when they are told to."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def vault(clock: Clock) -> Vault:
    keys = Keys()
    keys.cache_seconds = 60
    return Vault(keys, clock=clock)


def opens(vault: Vault, ref: KeyRef = ONE.ref) -> bool:
    """Whether something can be sealed with a key."""
    made = vault.seal(ref, PLACE, NAMESPACE, "01", "checkpoint")
    return made.open(made.close(b"x")) == b"x"


def test_a_key_serves_until_it_is_stale(vault: Vault, clock: Clock) -> None:
    assert vault.current is None
    assert vault.lacking([ONE.ref, ONE.ref]) == [ONE.ref]
    vault.keep(ONE, current=True)
    clock.now += 59
    assert vault.current == ONE
    assert vault.lacking([ONE.ref, TWO.ref]) == [TWO.ref]
    clock.now += 2
    assert vault.current is None
    assert vault.lacking([ONE.ref]) == [ONE.ref]


def test_what_began_with_a_key_ends_with_it(vault: Vault, clock: Clock) -> None:
    vault.keep(ONE)
    clock.now += 10_000
    assert opens(vault)


def test_to_read_with_a_key_is_not_to_write_with_it(vault: Vault) -> None:
    vault.keep(TWO)
    assert vault.current is None


def test_a_key_that_is_not_there_says_why_and_is_asked_for_again(vault: Vault) -> None:
    with pytest.raises(DecryptionError, match="The key 'k1' isn't there"):
        opens(vault)
    vault.keep_failure(ONE.ref, "it was deleted")
    with pytest.raises(DecryptionError, match="The key 'k1' isn't there: it was deleted"):
        opens(vault)
    assert vault.lacking([ONE.ref]) == [ONE.ref]
    vault.keep(ONE)
    assert opens(vault)


def test_a_key_that_is_taken_away_is_not_used_on(vault: Vault) -> None:
    vault.keep(ONE)
    assert opens(vault)
    vault.keep_failure(ONE.ref, "access was withdrawn")
    with pytest.raises(DecryptionError, match="access was withdrawn"):
        opens(vault)


def test_what_is_no_key_is_told_at_once(vault: Vault) -> None:
    with pytest.raises(InvalidConfigError):
        vault.keep(DataKey(ONE.ref, b"short"))
    assert vault.lacking([ONE.ref]) == [ONE.ref]


def test_there_are_not_ever_more_of_them(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_KEYS", 3)
    monkeypatch.setattr(module, "_MOST_CIPHERS", 3)
    refs = [KeyRef("k", b"%d" % number) for number in range(10)]
    for ref in refs:
        vault.keep(DataKey(ref, secret(repr(ref))))
        assert opens(vault, ref)
    assert vault.lacking(refs) == refs[:7]
    assert len(vault._ciphers) == 3


def test_no_secret_is_shown(vault: Vault) -> None:
    vault.keep(ONE, current=True)
    assert repr(ONE.secret)[2:10] not in repr(vault)


def test_an_object_is_sealed_for_its_place(vault: Vault) -> None:
    vault.keep(ONE)
    made = vault.seal(ONE.ref, PLACE, NAMESPACE, "01", "writes.tt.w0")
    assert (made.place, made.thread, made.namespace) == (PLACE, "t.thread", ".ns")
    assert (made.checkpoint_id, made.leaf) == ("01", "writes.tt.w0")
    sealed = made.close(b"x")
    same = vault.seal(ONE.ref, PLACE, "another/prefix/t.thread/.ns/", "01", "writes.tt.w0")
    assert same.open(sealed) == b"x"  # the place says which prefix counts
    with pytest.raises(DecryptionError):
        vault.seal(ONE.ref, "s3://bucket/b/", NAMESPACE, "01", "writes.tt.w0").open(sealed)
