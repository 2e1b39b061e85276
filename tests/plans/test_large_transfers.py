"""Large objects: their parts are copied when they are sent, and what was joined is freed."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from langgraph_checkpoint_s3.plans.transfer import Sizes, fetch, store
from langgraph_checkpoint_s3.s3.requests import Body, Entry, GetObject, Stored, UploadPart

SIZES = Sizes(multipart_threshold=2_000, part_size=900)
DATA = bytes(range(250)) * 10


def entry(key: str, size: int) -> Entry:
    return Entry(key, size, '"0"', datetime(2026, 1, 1, tzinfo=timezone.utc))


def test_parts_are_views_of_the_body() -> None:
    plan = store("key", DATA, SIZES)
    next(plan)
    parts: Any = plan.send(["upload"])
    assert all(isinstance(part, UploadPart) and getattr(part.body, "obj", None) is DATA for part in parts)
    assert b"".join(part.body for part in parts) == DATA
    plan.send(['"1"'] * len(parts))
    with pytest.raises(StopIteration) as stopped:
        plan.send([Stored('"0"')])
    assert stopped.value.value == (Stored('"0"'), [])


def test_pieces_that_were_joined_are_held_by_nobody() -> None:
    """The driver holds the list of answers until the plan goes on: so it is the list that is emptied."""
    plan = fetch([entry("large", len(DATA)), entry("small", 3)], SIZES)
    requests = next(plan)
    answers: list[Any] = [
        Body(DATA[each.first : each.first + each.length], '"0"', len(DATA))
        if each.length
        else Body(b"abc", '"0"', 3)
        for each in requests
        if isinstance(each, GetObject)
    ]
    with pytest.raises(StopIteration) as stopped:
        plan.send(answers)
    assert [body.data for body in stopped.value.value] == [DATA, b"abc"]
    assert answers == []


@pytest.mark.parametrize(("remembered", "keep"), [(len(DATA), True), (len(DATA) - 1, False)])
def test_pieces_of_what_the_cache_cannot_hold_are_not_remembered(remembered: int, keep: bool) -> None:
    plan = fetch([entry("large", len(DATA))], Sizes(2_000, 900, remembered))
    assert {getattr(each, "keep", None) for each in next(plan)} == {keep}
    plan.close()
