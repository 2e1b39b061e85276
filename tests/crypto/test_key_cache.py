"""The keys that a saver has at hand: for how long, how many, and what it says of those that it lacks."""

from __future__ import annotations

import pytest

from langgraph_checkpoint_s3.crypto import key_cache as module
from langgraph_checkpoint_s3.crypto.key_cache import KeyCache
from langgraph_checkpoint_s3.crypto.provider import DataKey, KeyRef
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
def key_cache(clock: Clock) -> KeyCache:
    keys = Keys()
    keys.cache_seconds = 60
    return KeyCache(keys, clock=clock)


def works(key_cache: KeyCache, ref: KeyRef = ONE.ref) -> bool:
    """Return whether a key encrypts and decrypts."""
    made = key_cache.object_cipher(ref, PLACE, NAMESPACE, "01", "checkpoint")
    return made.decrypt(made.encrypt(b"x")) == b"x"


def test_a_key_serves_until_it_is_stale(key_cache: KeyCache, clock: Clock) -> None:
    assert key_cache.current is None
    assert key_cache.missing([ONE.ref, ONE.ref]) == [ONE.ref]
    key_cache.add(ONE, current=True)
    clock.now += 59
    assert key_cache.current == ONE
    assert key_cache.missing([ONE.ref, TWO.ref]) == [TWO.ref]
    clock.now += 2
    assert key_cache.current is None
    assert key_cache.missing([ONE.ref]) == [ONE.ref]


def test_what_began_with_a_key_ends_with_it(key_cache: KeyCache, clock: Clock) -> None:
    key_cache.add(ONE)
    clock.now += 10_000
    assert works(key_cache)


def test_to_read_with_a_key_is_not_to_write_with_it(key_cache: KeyCache) -> None:
    key_cache.add(TWO)
    assert key_cache.current is None


def test_a_key_that_is_not_there_says_why_and_is_asked_for_again(key_cache: KeyCache) -> None:
    with pytest.raises(DecryptionError, match="The key 'k1' isn't there"):
        works(key_cache)
    key_cache.add_failure(ONE.ref, "it was deleted")
    with pytest.raises(DecryptionError, match="The key 'k1' isn't there: it was deleted"):
        works(key_cache)
    assert key_cache.missing([ONE.ref]) == [ONE.ref]
    key_cache.add(ONE)
    assert works(key_cache)


def test_a_key_that_is_taken_away_is_not_used_on(key_cache: KeyCache) -> None:
    key_cache.add(ONE)
    assert works(key_cache)
    key_cache.add_failure(ONE.ref, "access was withdrawn")
    with pytest.raises(DecryptionError, match="access was withdrawn"):
        works(key_cache)


def test_an_invalid_key_is_refused_at_once(key_cache: KeyCache) -> None:
    with pytest.raises(InvalidConfigError):
        key_cache.add(DataKey(ONE.ref, b"short"))
    assert key_cache.missing([ONE.ref]) == [ONE.ref]


def test_there_are_not_ever_more_of_them(key_cache: KeyCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_KEYS", 3)
    monkeypatch.setattr(module, "_MAX_CIPHERS", 3)
    refs = [KeyRef("k", b"%d" % number) for number in range(10)]
    for ref in refs:
        key_cache.add(DataKey(ref, secret(repr(ref))))
        assert works(key_cache, ref)
    assert key_cache.missing(refs) == refs[:7]
    assert len(key_cache._ciphers) == 3


def test_no_secret_is_shown(key_cache: KeyCache) -> None:
    key_cache.add(ONE, current=True)
    assert repr(ONE.secret)[2:10] not in repr(key_cache)


def test_an_object_is_encrypted_for_its_place(key_cache: KeyCache) -> None:
    key_cache.add(ONE)
    made = key_cache.object_cipher(ONE.ref, PLACE, NAMESPACE, "01", "writes.tt.w0")
    assert (made.place, made.thread, made.namespace) == (PLACE, "t.thread", ".ns")
    assert (made.checkpoint_id, made.leaf) == ("01", "writes.tt.w0")
    encrypted = made.encrypt(b"x")
    same = key_cache.object_cipher(ONE.ref, PLACE, "another/prefix/t.thread/.ns/", "01", "writes.tt.w0")
    assert same.decrypt(encrypted) == b"x"  # the place says which prefix counts
    with pytest.raises(DecryptionError):
        key_cache.object_cipher(ONE.ref, "s3://bucket/b/", NAMESPACE, "01", "writes.tt.w0").decrypt(encrypted)


def test_the_providers_property_is_not_read_under_the_lock(clock: Clock) -> None:
    """It is of the user's own making, and may do anything."""

    class Watching(Keys):
        def __init__(self) -> None:
            self.key_cache: KeyCache | None = None
            super().__init__()

        @property
        def cache_seconds(self) -> float:
            assert self.key_cache is None or not self.key_cache._lock.locked()
            return 60.0

        @cache_seconds.setter
        def cache_seconds(self, seconds: float) -> None:
            pass

    keys = Watching()
    keys.key_cache = key_cache = KeyCache(keys, clock=clock)
    key_cache.add(ONE, current=True)
    assert key_cache.current == ONE
    assert key_cache.missing([ONE.ref, TWO.ref]) == [TWO.ref]
