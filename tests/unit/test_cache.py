"""The cache of bodies: it stays within its bytes, and only ever gives the very version asked for."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from langgraph_checkpoint_s3.s3.cache import BodyCache
from langgraph_checkpoint_s3.s3.requests import Body, GetObject


def body(data: bytes, etag: str = "e", size: int | None = None) -> Body:
    return Body(data, etag, len(data) if size is None else size)


def test_what_was_kept_is_recalled() -> None:
    cache = BodyCache(100)
    cache.keep("k", body(b"data"))
    assert cache.recall(GetObject("k", "e")) == body(b"data")
    assert cache.size == 4


def test_another_version_is_never_given() -> None:
    cache = BodyCache(100)
    cache.keep("k", body(b"data", "old"))
    assert cache.recall(GetObject("k", "new")) is None
    assert cache.recall(GetObject("k", "new", 1, 2)) is None
    assert cache.recall(GetObject("other", "old")) is None
    cache.keep("k", body(b"DATA", "new"))
    assert cache.recall(GetObject("k", "new")) == body(b"DATA", "new")
    assert cache.recall(GetObject("k", "old")) == body(b"data", "old")


def test_without_a_version_nothing_is_given() -> None:
    cache = BodyCache(100)
    cache.keep("k", body(b"data"))
    assert cache.recall(GetObject("k")) is None
    assert cache.recall(GetObject("k", None, 0, 2)) is None


def test_a_body_without_an_etag_is_not_kept() -> None:
    cache = BodyCache(100)
    cache.keep("k", body(b"data", ""))
    assert cache.recall(GetObject("k", "")) is None
    assert cache.size == 0


def test_a_range_is_cut_out_of_the_whole() -> None:
    cache = BodyCache(100)
    cache.keep("k", body(b"0123456789"))
    cache.keep("k", body(b"9876543210", "f"))
    assert cache.recall(GetObject("k", "f", 2, 3)) == body(b"765", "f", 10)
    assert cache.recall(GetObject("k", "e", 2, 3)) == body(b"234", size=10)
    assert cache.recall(GetObject("k", "e", 0, 3)) == body(b"012", size=10)
    assert cache.recall(GetObject("k", "e", 7)) == body(b"789", size=10)
    assert cache.recall(GetObject("k", "e", 8, 100)) == body(b"89", size=10)
    assert cache.recall(GetObject("k", "e", 0, 100)) == body(b"0123456789")


def test_the_whole_is_never_made_of_a_range() -> None:
    cache = BodyCache(100)
    cache.keep("k", body(b"234", size=10), 2, 3)
    assert cache.recall(GetObject("k", "e", 2, 3)) == body(b"234", size=10)
    assert cache.recall(GetObject("k", "e")) is None
    assert cache.recall(GetObject("k", "e", 2)) is None
    assert cache.recall(GetObject("k", "e", 2, 2)) is None
    cache.keep("k", body(b"0123", size=10), 0, 4)
    assert cache.recall(GetObject("k", "e")) is None
    assert cache.recall(GetObject("k", "e", 0, 4)) == body(b"0123", size=10)


def test_a_range_that_was_the_whole_object_is_the_whole() -> None:
    cache = BodyCache(100)
    cache.keep("k", body(b"0123"), 0, 16_384)
    assert cache.recall(GetObject("k", "e")) == body(b"0123")
    assert cache.recall(GetObject("k", "e", 0, 16_384)) == body(b"0123")
    assert cache.recall(GetObject("k", "e", 1, 2)) == body(b"12", size=4)
    assert cache.size == 4


def test_the_least_recently_used_goes_first() -> None:
    cache = BodyCache(30)
    for name in "abc":
        cache.keep(name, body(b"0123456789"))
    assert cache.recall(GetObject("a", "e", 1, 1))  # used, if only a slice of it
    cache.keep("d", body(b"0123456789"))
    assert cache.size == 30
    assert [name for name in "abcd" if cache.recall(GetObject(name, "e"))] == ["a", "c", "d"]
    cache.keep("c", body(b"0123456789"))  # kept again is used
    cache.keep("e", body(b"01234567890123456789"))
    assert [name for name in "abcde" if cache.recall(GetObject(name, "e"))] == ["c", "e"]


def test_what_is_larger_than_the_cache_is_not_kept() -> None:
    cache = BodyCache(10)
    cache.keep("small", body(b"0123456789"))
    cache.keep("large", body(b"0123456789X"))
    assert cache.recall(GetObject("small", "e"))
    assert cache.recall(GetObject("large", "e")) is None


def test_a_cache_of_nothing_keeps_nothing() -> None:
    cache = BodyCache(0)
    cache.keep("k", body(b"x"))
    assert cache.recall(GetObject("k", "e")) is None
    assert cache.size == 0


def test_kept_twice_counts_once() -> None:
    cache = BodyCache(10)
    for _ in range(5):
        cache.keep("k", body(b"0123"))
    assert cache.size == 4


def test_clear_forgets_everything() -> None:
    cache = BodyCache(10)
    cache.keep("k", body(b"0123"))
    cache.clear()
    assert cache.size == 0
    assert cache.recall(GetObject("k", "e")) is None


STEPS = st.tuples(
    st.sampled_from("abc"), st.sampled_from(["1", "2"]), st.integers(0, 8), st.none() | st.integers(1, 9)
)


@given(st.integers(0, 40), st.lists(STEPS, max_size=30))
def test_it_gives_what_s3_would_and_stays_within_its_bytes(
    capacity: int, steps: list[tuple[str, str, int, int | None]]
) -> None:
    cache = BodyCache(capacity)
    for key, etag, first, length in steps:
        whole = f"{key}{etag}".encode() * 5
        data = whole[first : None if length is None else first + length]
        found = cache.recall(GetObject(key, etag, first, length))
        assert found is None or found == Body(data, etag, len(whole))
        cache.keep(key, Body(data, etag, len(whole)), first, length)
        assert cache.size <= capacity
        assert cache.size == sum(len(each.data) for each in cache._bodies.values())


def test_many_threads_may_use_it() -> None:
    cache = BodyCache(1000)
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
    assert cache.size <= 1000
    assert cache.size == sum(len(each.data) for each in cache._bodies.values())
