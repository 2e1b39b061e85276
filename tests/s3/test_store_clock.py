"""The store's clock, from the `Date` of its answers; and a saver's own, which follows it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest

from langgraph_checkpoint_s3.s3.store_clock import StoreClock
from langgraph_checkpoint_s3.saver import _UniqueClock

SECOND = 1_000_000_000
NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


def answer(store: datetime) -> dict[str, Any]:
    date = format_datetime(store, usegmt=True)
    return {"ResponseMetadata": {"HTTPHeaders": {"date": date}}}


def clock_at(local: datetime) -> StoreClock:
    clock = StoreClock()
    clock.local = lambda: int(local.timestamp()) * SECOND
    return clock


@pytest.mark.parametrize("hours", [2, -2, 24 * 365])
def test_it_is_the_stores_time(hours: int) -> None:
    clock = clock_at(NOW + timedelta(hours=hours))
    assert clock() == int((NOW + timedelta(hours=hours)).timestamp()) * SECOND  # nothing is known yet
    clock.heard(answer(NOW), 0.05)
    assert abs(clock() - int(NOW.timestamp()) * SECOND) <= 1.1 * SECOND


@pytest.mark.parametrize("seconds", [0, 1, -1, 1.9, -1.9])
def test_clocks_that_nearly_agree_are_left_alone(seconds: float) -> None:
    clock = clock_at(NOW)
    clock.heard(answer(NOW + timedelta(seconds=seconds)), 0.05)
    assert clock.ahead == 0


def test_a_slow_answer_is_no_wrong_clock() -> None:
    """It was dated when it began, and its body took a minute."""
    clock = clock_at(NOW)
    clock.heard(answer(NOW - timedelta(seconds=55)), 60.0)
    assert clock.ahead == 0
    clock.heard(answer(NOW - timedelta(hours=2)), 60.0)
    assert abs(clock.ahead / SECOND + 7200) < 62


def test_a_slow_answer_blurs_nothing_that_is_known() -> None:
    clock = clock_at(NOW + timedelta(hours=2))
    clock.heard(answer(NOW), 0.05)
    before = clock.ahead
    clock.heard(answer(NOW - timedelta(seconds=50)), 60.0)
    assert clock.ahead == before
    later = clock_at(NOW + timedelta(hours=2))
    later.heard(answer(NOW - timedelta(seconds=50)), 60.0)
    later.heard(answer(NOW), 0.05)
    assert abs(later.ahead - before) <= SECOND


def test_a_clock_that_was_set_right_is_noticed() -> None:
    clock = clock_at(NOW + timedelta(hours=2))
    clock.heard(answer(NOW), 0.0)
    assert clock.ahead < 0
    clock.local = lambda: int((NOW + timedelta(seconds=5)).timestamp()) * SECOND
    clock.heard(answer(NOW + timedelta(seconds=5)), 0.0)
    assert clock.ahead == 0


@pytest.mark.parametrize(
    "said",
    [
        None,
        "https://a-signed-url",
        {},
        {"ResponseMetadata": None},
        {"ResponseMetadata": {"HTTPHeaders": None}},
        *({"ResponseMetadata": {"HTTPHeaders": {"date": date}}} for date in ("", "never", 7, "Thu, 99 Foo")),
        {"ResponseMetadata": {"HTTPHeaders": {"date": "Thu, 01 Jan 99999 00:00:00 GMT"}}},
    ],
    ids=repr,
)
def test_what_is_no_date_changes_nothing(said: Any) -> None:
    clock = clock_at(NOW)
    clock.heard(answer(NOW - timedelta(hours=1)), 0.0)
    before = clock.ahead
    clock.heard(said, 0.0)
    assert clock.ahead == before < 0


def test_the_same_text_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = clock_at(NOW)
    clock.heard(answer(NOW), 0.0)

    def never(text: str) -> datetime:
        raise AssertionError(text)

    monkeypatch.setattr("langgraph_checkpoint_s3.s3.store_clock.parse_http_date", never)
    clock.heard(answer(NOW), 0.0)


def test_a_savers_clock_never_says_the_same_twice_and_goes_back_only_once_it_is_set_right() -> None:
    times = iter([100, 100, 99, 101, 7200, 7199, 150, 150, 151])
    clock = _UniqueClock(lambda: next(times) * SECOND)
    said = [clock() for _ in range(9)]
    assert len(set(said)) == 9
    assert [each // SECOND for each in said] == [100, 100, 100, 101, 7200, 7200, 150, 150, 151]
    assert said[:6] == sorted(said[:6])
    assert said[6:] == sorted(said[6:])
