"""The cache of bodies: it stays within its bytes, and only ever gives the very version asked for."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_checkpoint_s3.s3 import cache as cache_module
from langgraph_checkpoint_s3.s3.cache import BodyCache, Lru
from langgraph_checkpoint_s3.s3.requests import Body, GetObject


@pytest.fixture(scope="module", autouse=True)
def plain_bytes() -> Iterator[None]:
    """Count bytes alone here, so that a few of them fill a cache: what entries cost has its own file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache_module, "ENTRY_BYTES", 0)
        patch.setattr(cache_module, "ITEM_BYTES", 0)
        patch.setattr(cache_module, "sys", SimpleNamespace(getsizeof=len))
        yield


def body(data: bytes, etag: str = "e", size: int | None = None) -> Body:
    return Body(data, etag, len(data) if size is None else size)


def cache_of(capacity: int) -> BodyCache:
    return BodyCache(Lru(capacity))


def held(lru: Lru) -> int:
    """The bytes of what is in it: bodies, and their objects' keys."""
    items: dict[Any, tuple[Any, int]] = dict(lru._items)
    keys = (slot if isinstance(slot, str) else slot[0] for slot in items)
    return sum(len(item.data) for item, _ in items.values()) + sum(len(key) for key in keys)


def test_what_was_kept_is_recalled() -> None:
    cache = cache_of(100)
    cache.keep("k", body(b"data"))
    assert cache.recall(GetObject("k", "e")) == body(b"data")
    assert cache.lru.size == len("k") + 4


def test_another_version_is_never_given() -> None:
    cache = cache_of(100)
    cache.keep("k", body(b"data", "old"))
    assert cache.recall(GetObject("k", "new")) is None
    assert cache.recall(GetObject("k", "new", 1, 2)) is None
    assert cache.recall(GetObject("other", "old")) is None
    cache.keep("k", body(b"DATA", "new"))
    assert cache.recall(GetObject("k", "new")) == body(b"DATA", "new")
    assert cache.recall(GetObject("k", "old")) is None


def test_without_a_version_nothing_is_given() -> None:
    cache = cache_of(100)
    cache.keep("k", body(b"data"))
    assert cache.recall(GetObject("k")) is None
    assert cache.recall(GetObject("k", None, 0, 2)) is None


def test_a_body_without_an_etag_is_not_kept() -> None:
    cache = cache_of(100)
    cache.keep("k", body(b"data", ""))
    assert cache.recall(GetObject("k", "")) is None
    assert cache.lru.size == 0


def test_a_range_is_cut_out_of_the_whole() -> None:
    cache = cache_of(100)
    cache.keep("k", body(b"9876543210", "f"))
    assert cache.recall(GetObject("k", "f", 2, 3)) == body(b"765", "f", 10)
    cache.keep("k", body(b"0123456789"))
    assert cache.recall(GetObject("k", "f", 2, 3)) is None
    assert cache.recall(GetObject("k", "e", 2, 3)) == body(b"234", size=10)
    assert cache.recall(GetObject("k", "e", 0, 3)) == body(b"012", size=10)
    assert cache.recall(GetObject("k", "e", 7)) == body(b"789", size=10)
    assert cache.recall(GetObject("k", "e", 8, 100)) == body(b"89", size=10)
    assert cache.recall(GetObject("k", "e", 0, 100)) == body(b"0123456789")


def test_the_whole_is_never_made_of_a_range() -> None:
    cache = cache_of(100)
    cache.keep("k", body(b"234", size=10), 2, 3)
    assert cache.recall(GetObject("k", "e", 2, 3)) == body(b"234", size=10)
    assert cache.recall(GetObject("k", "e")) is None
    assert cache.recall(GetObject("k", "e", 2)) is None
    assert cache.recall(GetObject("k", "e", 2, 2)) is None
    cache.keep("k", body(b"0123", size=10), 0, 4)
    assert cache.recall(GetObject("k", "e")) is None
    assert cache.recall(GetObject("k", "e", 0, 4)) == body(b"0123", size=10)


def test_a_range_that_was_the_whole_object_is_the_whole() -> None:
    cache = cache_of(100)
    cache.keep("k", body(b"0123"), 0, 16_384)
    assert cache.recall(GetObject("k", "e")) == body(b"0123")
    assert cache.recall(GetObject("k", "e", 0, 16_384)) == body(b"0123")
    assert cache.recall(GetObject("k", "e", 1, 2)) == body(b"12", size=4)
    assert cache.lru.size == len("k") + 4


def test_the_least_recently_used_goes_first() -> None:
    cache = cache_of(33)
    for name in "abc":
        cache.keep(name, body(b"0123456789"))
    assert cache.recall(GetObject("a", "e", 1, 1))  # used, if only a slice of it
    cache.keep("d", body(b"0123456789"))
    assert cache.lru.size == 33
    assert [name for name in "abcd" if cache.recall(GetObject(name, "e"))] == ["a", "c", "d"]
    cache.keep("c", body(b"0123456789"))  # kept again is used
    cache.keep("e", body(b"01234567890123456789"))
    assert [name for name in "abcde" if cache.recall(GetObject(name, "e"))] == ["c", "e"]


def test_what_is_larger_than_the_cache_is_not_kept() -> None:
    cache = cache_of(15)
    cache.keep("small", body(b"0123456789"))
    cache.keep("large", body(b"0123456789X"))
    assert cache.recall(GetObject("small", "e"))
    assert cache.recall(GetObject("large", "e")) is None


def test_a_cache_of_nothing_keeps_nothing() -> None:
    cache = cache_of(0)
    cache.keep("k", body(b"x"))
    assert cache.recall(GetObject("k", "e")) is None
    assert cache.lru.size == 0


def test_kept_twice_counts_once() -> None:
    cache = cache_of(10)
    for _ in range(5):
        cache.keep("k", body(b"0123"))
    assert cache.lru.size == len("k") + 4


def test_clear_forgets_everything() -> None:
    cache = cache_of(10)
    cache.keep("k", body(b"0123"))
    cache.clear()
    assert cache.lru.size == 0
    assert cache.recall(GetObject("k", "e")) is None


def test_the_last_whole_version_is_found_by_its_key() -> None:
    cache = cache_of(100)
    assert cache.whole("k") is None
    cache.keep("k", body(b"01", size=4), 0, 2)
    assert cache.whole("k") is None
    cache.keep("k", body(b"data", "old"))
    cache.keep("k", body(b"DATA", "new"))
    cache.keep("other", body(b"else"))
    assert cache.whole("k") == body(b"DATA", "new")
    cache.recall(GetObject("k", "old"))
    assert cache.whole("k") == body(b"DATA", "new")
    cache.clear()
    assert cache.whole("k") is None


def test_a_whole_version_that_went_is_not_found() -> None:
    cache = cache_of(12)
    cache.keep("k", body(b"0123456789"))
    cache.lru.keep("other", None, 2)
    assert (cache.whole("k"), cache.lru.size) == (None, 2)


def test_any_slot_holds_anything() -> None:
    lru = Lru(10)
    lru.keep(("a", 1), [1], 4)
    lru.keep("b", {"b": 2}, 6)
    assert (lru.recall(("a", 1)), lru.recall("b"), lru.recall("c")) == ([1], {"b": 2}, None)
    lru.keep("b", "instead", 1)
    assert (lru.recall("b"), lru.size) == ("instead", 5)
    lru.drop(("a", 1))
    lru.drop("never there")
    assert (lru.recall(("a", 1)), lru.size) == (None, 1)
    lru.keep("large", "x", 11)
    assert (lru.recall("large"), lru.recall("b")) == (None, "instead")
    lru.keep("b", "x", 11)  # what is there no longer holds, and the new one is too large
    assert (lru.recall("b"), lru.size) == (None, 0)


def test_what_is_of_no_size_is_held_too_if_anything_is() -> None:
    for capacity in (0, 1):
        lru = Lru(capacity)
        lru.keep("a", "x", 0)
        assert (lru.recall("a"), lru.size) == ("x" if capacity else None, 0)


STEPS = st.tuples(
    st.sampled_from("abc"), st.sampled_from(["1", "2"]), st.integers(0, 8), st.none() | st.integers(1, 9)
)


@given(st.integers(0, 40), st.lists(STEPS, max_size=30))
def test_it_gives_what_s3_would_and_stays_within_its_bytes(
    capacity: int, steps: list[tuple[str, str, int, int | None]]
) -> None:
    cache = cache_of(capacity)
    for key, etag, first, length in steps:
        whole = f"{key}{etag}".encode() * 5
        data = whole[first : None if length is None else first + length]
        found = cache.recall(GetObject(key, etag, first, length))
        assert found is None or found == Body(data, etag, len(whole))
        assert cache.whole(key) in (None, *(Body(f"{key}{each}".encode() * 5, each, 10) for each in "12"))
        cache.keep(key, Body(data, etag, len(whole)), first, length)
        assert cache.lru.size <= capacity
        assert cache.lru.size == held(cache.lru)


def test_many_threads_may_use_it() -> None:
    cache = cache_of(1000)
    start = threading.Barrier(4)

    def use(seed: int) -> None:
        own = random.Random(seed)
        start.wait()
        for _ in range(1500):
            key = str(own.randrange(30))
            found = cache.recall(GetObject(key, "e"))
            assert found is None or found.data == key.encode() * 50
            cache.keep(key, body(key.encode() * 50))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(use, range(4)))
    assert cache.lru.size <= 1000
    assert cache.lru.size == held(cache.lru)
