"""Sizes that the caches count are what they cost, keys and tables included: measured."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from langgraph_checkpoint_s3.format.borrowing import Known, KnownValue, Piece
from langgraph_checkpoint_s3.format.frames import Frame
from langgraph_checkpoint_s3.plans.parent_cache import CachedCheckpoint, ParentCache
from langgraph_checkpoint_s3.s3.cache import BodyCache, Lru
from langgraph_checkpoint_s3.s3.requests import Body

MIB = 1024 * 1024
RANK = "ce" * 36


def key(number: int) -> str:
    folder = f"checkpoints/customer-{number:08d}.thread/.ns/{RANK}"
    return f"{folder}/checkpoint.p1f1e7b84-5e37-6ab4-8000-000000000000.kloop.s{number}"


def cost(fill: Callable[[ParentCache], None], capacity: int = 100 * MIB) -> tuple[int, int]:
    """The bytes that a filled cache takes, and those that it counts."""
    gc.collect()
    tracemalloc.start()
    try:
        memory = ParentCache(Lru(capacity), BodyCache(Lru(capacity)), Lru(0))
        before = tracemalloc.get_traced_memory()[0]
        fill(memory)
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    return taken, memory.states.size + memory.bodies.lru.size


def bodies(memory: ParentCache, size: int, count: int) -> None:
    for number in range(count):
        memory.bodies.keep(key(number), Body(bytes(size), f'"{number:032x}"', size))


def ranges(memory: ParentCache, size: int, count: int) -> None:
    for number in range(count):
        memory.bodies.keep(
            key(number), Body(bytes(size), f'"{number:032x}"', 10 * size + 1), 100 + number, size
        )


def frames(memory: ParentCache, size: int, count: int) -> None:
    for number in range(count):
        frame = Frame(1000 + number, size, 100_000 + number, "zstd", 10**9 + number)
        memory.add_frame(key(number), frame, bytes(size))


def states(memory: ParentCache, size: int, count: int, channels: int = 20, pieces: int = 3) -> None:
    for number in range(count):
        frame = Frame(1000 + number, size, 100_000 + number, "zstd", 10**9 + number)
        values = {
            "messages": KnownValue(
                "msgpack", bytes(size), [Piece(frame, 300 + each, 900 + each) for each in range(pieces)]
            )
        }
        versions: dict[str, Any] = {
            f"channel-{each}": f"{number:032}.{each / 7:.16f}" for each in range(channels)
        }
        known = Known(f"1f1e7b84-5e37-6ab4-8000-{number:012d}", "msgpack", False, versions, values)
        memory.add(
            f"checkpoints/{number}.thread/.ns/", CachedCheckpoint(known, key(number), f'"{number:032x}"')
        )


@pytest.mark.parametrize("size", [0, 120, 1000, 100_000])
@pytest.mark.parametrize("fill", [bodies, ranges, frames, states], ids=lambda each: each.__name__)
def test_what_is_counted_is_what_it_costs(fill: Callable[[ParentCache, int, int], None], size: int) -> None:
    count = 400 if size < 10_000 else 50
    taken, counted = cost(lambda memory: fill(memory, size, count))
    assert 0.75 < taken / counted < 1.15, taken / counted


@pytest.mark.parametrize(("channels", "pieces"), [(1, 0), (200, 1), (5, 60)])
def test_so_it_is_of_states_with_many_channels_or_pieces(channels: int, pieces: int) -> None:
    taken, counted = cost(lambda memory: states(memory, 5000, 150, channels, pieces))
    assert 0.6 < taken / counted < 1.15, taken / counted


def test_a_cache_of_small_objects_stays_within_its_bytes() -> None:
    taken, counted = cost(lambda memory: bodies(memory, 120, 5000), capacity=MIB)
    assert counted <= MIB
    assert taken < 1.3 * MIB, "tables that entries come and go in have room to spare"
