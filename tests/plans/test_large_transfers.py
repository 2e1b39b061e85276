"""Large objects: parts are views of where the bytes lie, and ranges are received where they stay."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_checkpoint_s3.config import MIB
from langgraph_checkpoint_s3.format.pieces import Pieces, buffers_of, joined
from langgraph_checkpoint_s3.plans.transfer import Sizes, fetch, fetch_now, store
from langgraph_checkpoint_s3.s3.cache import BodyCache, Lru
from langgraph_checkpoint_s3.s3.requests import Body, Entry, GetObject, NotFound, Stored, UploadPart

SIZES = Sizes(multipart_threshold=2_000, part_size=900)
DATA = bytes(range(250)) * 10


def entry(key: str, size: int) -> Entry:
    return Entry(key, size, '"0"', datetime(2026, 1, 1, tzinfo=timezone.utc))


def uploads_of(body: bytes | Pieces, sizes: Sizes) -> list[UploadPart]:
    plan = store("key", body, sizes)
    next(plan)
    parts: Any = plan.send(["upload"])
    plan.close()
    assert all(isinstance(part, UploadPart) for part in parts)
    return list(parts)


def answers_to(requests: Sequence[Any], data: bytes, *, landing: bool, etag: str = '"0"') -> list[Any]:
    """Answer as a client does that receives into the requests' memory, or as one that doesn't."""
    answers: list[Any] = []
    for each in requests:
        came = data[each.first : each.first + each.length] if each.length else data
        if each.into is not None and landing and len(each.into) == len(came):
            each.into[:] = came
            answers.append(Body(b"", etag, len(data), landed=True))
        else:
            answers.append(Body(came, etag, len(data)))
    return answers


def result_of(plan: Any, answers: list[Any]) -> Any:
    with pytest.raises(StopIteration) as stopped:
        plan.send(answers)
    return stopped.value.value


def test_parts_are_views_of_the_body() -> None:
    plan = store("key", DATA, SIZES)
    next(plan)
    parts: Any = plan.send(["upload"])
    assert all(isinstance(part, UploadPart) and getattr(part.body, "obj", None) is DATA for part in parts)
    assert b"".join(part.body for part in parts) == DATA
    plan.send(['"1"'] * len(parts))
    assert result_of(plan, [Stored('"0"')]) == (Stored('"0"'), [])


def test_parts_of_several_buffers_are_views_of_them() -> None:
    header, frame = b"header", DATA
    parts = uploads_of(Pieces([header, frame]), SIZES)
    buffers: list[Any] = [buffer for part in parts for buffer in buffers_of(part.body)]
    assert [buffer.obj for buffer in buffers] == [header, frame, frame, frame]
    assert b"".join(joined(part.body) for part in parts) == header + frame


@pytest.mark.parametrize(
    ("size", "parts"),
    [
        (16 * MIB, [8 * MIB] * 2),
        (16 * MIB + 1, [5592406] * 2 + [5592405]),
        (17 * MIB, [5941931, 5941931, 5941930]),
        (24 * MIB, [8 * MIB] * 3),
    ],
)
def test_parts_are_of_one_size(size: int, parts: list[int]) -> None:
    """Else a short last part would take a request, and the others would take longer."""
    sizes = Sizes(16 * MIB, 8 * MIB)
    assert [len(part.body) for part in uploads_of(bytes(size), sizes)] == parts


@given(st.integers(5 * MIB, 40 * MIB), st.integers(5 * MIB, 9 * MIB))
def test_stores_take_the_parts(size: int, part_size: int) -> None:
    """S3 wants 5 MiB of each part but the last one, R2 besides as many of each, and the setting is kept."""
    lengths = [len(part.body) for part in uploads_of(bytes(size), Sizes(5 * MIB, part_size))]
    assert sum(lengths) == size
    assert max(lengths) <= part_size
    assert all(one == other for one, other in pairwise(lengths[:-1]))
    assert len(lengths) == 1 or lengths[0] >= 5 * MIB


@pytest.mark.parametrize("size", [5 * MIB, 8 * MIB, 16 * MIB - 1])
def test_what_parts_would_not_make_faster_is_one_put(size: int) -> None:
    """Two round trips more are worth two parts at once, not one."""
    plan = store("key", bytes(size), Sizes(16 * MIB, 8 * MIB))
    assert len(next(plan)) == 1
    assert result_of(plan, [Stored('"0"')]) == (Stored('"0"'), [])


@pytest.mark.parametrize("landing", [True, False])
def test_ranges_are_one_object(landing: bool) -> None:
    plan = fetch([entry("large", len(DATA)), entry("small", 3)], SIZES)
    requests: Any = next(plan)
    large, small = requests[:3], requests[3]
    assert [(each.first, each.length, len(each.into)) for each in large] == [
        (0, 900, 900),
        (900, 900, 900),
        (1800, 700, 700),
    ]
    assert small == GetObject("small", '"0"')
    answers = [*answers_to(large, DATA, landing=landing), Body(b"abc", '"0"', 3)]
    assert [body.data for body in result_of(plan, answers)] == [DATA, b"abc"]
    assert answers == []  # the driver holds this list until the plan goes on


def test_ranges_of_two_versions_are_read_again() -> None:
    plan = fetch([entry("large", len(DATA))], SIZES)
    requests: Any = next(plan)
    answers = answers_to(requests, DATA, landing=True)
    answers[1].etag = '"1"'
    assert plan.send(answers) == [GetObject("large", length=900)]
    rest: Any = plan.send([Body(DATA[:900], '"1"', len(DATA))])
    assert [each.first for each in rest] == [900, 1800]
    assert result_of(plan, answers_to(rest, DATA, landing=True, etag='"1"'))[0] == Body(
        DATA, '"1"', len(DATA)
    )


@pytest.mark.parametrize("size", [len(DATA) - 800, len(DATA) + 1])
def test_an_object_of_another_length_than_listed_is_read_again(size: int) -> None:
    plan = fetch([entry("large", size)], SIZES)
    requests: Any = next(plan)
    assert plan.send(answers_to(requests, DATA, landing=True)) == [GetObject("large", length=900)]
    plan.close()


def test_an_object_that_is_gone() -> None:
    plan = fetch([entry("large", len(DATA))], SIZES)
    assert result_of(plan, [NotFound() for _ in next(plan)]) == [NotFound()]


@pytest.mark.parametrize("landing", [True, False])
def test_a_read_now_goes_on_behind_its_first_part(landing: bool) -> None:
    plan = fetch_now(GetObject("k"), SIZES)
    next(plan)
    requests: Any = plan.send([Body(DATA[:900], '"0"', len(DATA))])
    assert result_of(plan, answers_to(requests, DATA, landing=landing)) == Body(DATA, '"0"', len(DATA))


def test_a_size_beyond_all_memory_is_asked_for_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listing may lie, and the answers tell the truth."""

    def none(_: int) -> Any:
        raise MemoryError

    monkeypatch.setattr("langgraph_checkpoint_s3.plans.transfer.Landing", none)
    plan = fetch([entry("large", len(DATA))], SIZES)
    requests: Any = next(plan)
    assert {each.into for each in requests} == {None}
    assert result_of(plan, answers_to(requests, DATA, landing=True))[0].data == DATA


@pytest.mark.parametrize("capacity", [100_000, len(DATA)])
def test_an_object_that_was_read_in_ranges_is_cached_whole(capacity: int) -> None:
    """One that is too large isn't: its ranges would evict each other, and everything else."""
    cache = BodyCache(Lru(capacity))
    sizes = Sizes(2_000, 900, cache)
    plan = fetch([entry("large", len(DATA))], sizes)
    requests: Any = next(plan)
    assert not any(each.keep for each in requests)
    body = result_of(plan, answers_to(requests, DATA, landing=True))[0]
    kept = capacity > len(DATA)
    assert cache.has("large", '"0"') == kept
    plan = fetch([entry("large", len(DATA))], sizes)
    again: Any = next(plan)
    assert len(again) == (1 if kept else 3)
    if kept:
        assert getattr(cache.recall(again[0]), "data", None) is body.data
    plan.close()
