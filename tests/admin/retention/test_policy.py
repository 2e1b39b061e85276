"""Retention policies on the fake S3: what each rule keeps, their union, what they read, and the drawing."""

from __future__ import annotations

import random
import re
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from langgraph.checkpoint.base.id import uuid6

from langgraph_checkpoint_s3 import InvalidConfigError, S3Saver
from langgraph_checkpoint_s3.admin import RetentionPolicy
from langgraph_checkpoint_s3.format.ids import time_of_id
from tests.admin.retention.test_prune import admin_of, counters, left, named
from tests.plans.borrowers import noise, step
from tests.plans.helpers import get, put
from tests.support.checkpoints import make_checkpoint, place, put_chain
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver
from tests.support.keys import Keys

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOW = datetime(2026, 3, 31, 12, 30, tzinfo=timezone.utc)
_GREGORIAN = datetime(1582, 10, 15, tzinfo=timezone.utc)


def id_at(moment: datetime, number: int = 0, version: int = 6) -> str:
    """Return a UUID of version 6 or 7 with this time."""
    if version == 7:
        milliseconds = (moment - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(milliseconds=1)
        return str(UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62 | number))
    ticks = (moment - _GREGORIAN) // timedelta(microseconds=1) * 10
    return str(UUID(int=(ticks >> 12) << 80 | 6 << 76 | (ticks & 0xFFF) << 64 | 2 << 62 | number))


def kept(fake: FakeS3, policy: RetentionPolicy, now: datetime = NOW, ns: str = "") -> list[str]:
    """Prune by a policy, and return what is left, the newest first."""
    admin = admin_of(fake, now)
    would = admin.prune_threads(policy)
    went = admin.prune_threads(policy, dry_run=False)
    assert went.victims == would.victims
    assert not went.errors
    assert not admin_of(fake, now).prune_threads(policy, dry_run=False).victims  # once is enough
    return left(fake, ns=ns)


def chain_at(saver: S3Saver, *moments: datetime, thread: str = "t", ns: str = "") -> list[str]:
    """Put a line of checkpoints with ids of these times, which are in order."""
    ids: list[str] = []
    for number, moment in enumerate(moments):
        name = id_at(moment, number)
        put(saver, name, ids[-1] if ids else None, thread=thread, ns=ns, source="loop", step=number)
        ids.append(name)
    return ids


# Single rules


@pytest.mark.parametrize(
    ("policy", "numbers"),
    [
        ({"last": 3}, [6, 5, 4]),
        ({"last": 100}, [6, 5, 4, 3, 2, 1, 0]),
        ({"first": 1}, [6, 0]),
        ({"first": 2}, [6, 1, 0]),
        ({"first": 100}, [6, 5, 4, 3, 2, 1, 0]),
        ({"last": 2, "first": 2}, [6, 5, 1, 0]),
        ({"last": 4, "first": 4}, [6, 5, 4, 3, 2, 1, 0]),
    ],
)
def test_the_newest_and_the_oldest(fake: FakeS3, policy: Any, numbers: list[int]) -> None:
    for ns in ("", "sub"):
        put_chain(make_saver(fake), "t", 7, ns=ns)
    assert kept(fake, RetentionPolicy(**policy)) == [f"{number:08}" for number in numbers]
    assert left(fake, ns="sub") == [f"{number:08}" for number in numbers]


@pytest.mark.parametrize("settings", [{}, {"long": True}, {"private": True}])
def test_sources(fake: FakeS3, settings: dict[str, bool]) -> None:
    """Keys tell the source, as a hash too. Nothing is read for it."""
    made: dict[str, Any] = {}
    if settings.get("private"):
        made = {"encryption": Keys("k", names="n"), "private_keys": True}
    update = "update" * (20 if settings.get("long") else 1)
    saver = make_saver(fake, **made)
    sources = ["input", "loop", update, "loop", "fork", "loop", "loop"]
    for number, source in enumerate(sources):
        parent = f"{number - 1:08}" if number else None
        put(saver, f"{number:08}", parent, source=source, step=number)
    policy = RetentionPolicy(sources=[update, "fork"])
    with fake.counted() as count:
        admin_of(fake, NOW, **made).prune_threads(policy, thread_ids=["t"])
    assert count.kinds == {"ListObjects": 1}
    admin_of(fake, NOW, **made).prune_threads(policy, dry_run=False)
    found = [each.checkpoint["id"] for each in make_saver(fake, **made).list(place("t"))]
    assert found == ["00000006", "00000004", "00000002"]


def test_one_an_hour_and_one_a_day(fake: FakeS3) -> None:
    """Three days, a checkpoint each 20 minutes."""
    moments = [NOW - 20 * timedelta(minutes=number) for number in range(3 * 72, -1, -1)]
    ids = chain_at(make_saver(fake), *moments)
    times = dict(zip(ids, moments, strict=True))
    stays = [times[name] for name in kept(fake, RetentionPolicy(hourly=DAY, daily=30 * DAY))]
    # The last of the current hour is that of now; of earlier ones that at 50 minutes past.
    hours = [NOW, *(NOW.replace(minute=50) - hour * HOUR for hour in range(1, 25))]
    days = [NOW.replace(hour=23, minute=50) - day * DAY for day in (1, 2, 3)]
    assert stays == sorted({*hours, *days}, reverse=True)


def test_what_a_day_keeps_an_hour_has_kept(fake: FakeS3) -> None:
    """Run each hour for three days, thinning ends with the last one of each day."""
    saver = make_saver(fake)
    policy = RetentionPolicy(hourly=6 * HOUR, daily=30 * DAY)
    begun = datetime(2026, 3, 1, tzinfo=timezone.utc)
    parent: str | None = None
    for number in range(3 * 24 * 2):
        moment = begun + number * timedelta(minutes=30)
        name = id_at(moment, number)
        put(saver, name, parent, step=number)
        parent = name
        if moment.minute:
            admin_of(fake, moment + timedelta(minutes=5)).prune_threads(policy, dry_run=False)
    found = [time_of_id(name) for name in left(fake)]
    days = [begun + day * DAY + timedelta(hours=23, minutes=30) for day in range(3)]
    hours = [days[-1] - hour * HOUR for hour in range(6)]
    assert found == sorted({*days, *hours}, reverse=True)


def test_within(fake: FakeS3) -> None:
    ids = chain_at(make_saver(fake), *(NOW - number * HOUR for number in range(9, -1, -1)))
    assert kept(fake, RetentionPolicy(within=3 * HOUR)) == ids[-1:-5:-1]


def test_the_latest_stays_whatever_the_policy(fake: FakeS3) -> None:
    ids = chain_at(make_saver(fake), NOW - 90 * DAY, NOW - 80 * DAY)
    sub = chain_at(make_saver(fake), NOW - 90 * DAY, ns="sub")
    policy = RetentionPolicy(within=HOUR, hourly=HOUR, daily=DAY, sources=["update"])
    assert kept(fake, policy) == ids[-1:]
    assert left(fake, ns="sub") == sub


# Metadata


def test_metadata_is_read_of_what_would_go(fake: FakeS3) -> None:
    saver = make_saver(fake)
    for number in range(6):
        tag: dict[str, Any] = {"tag": "gold"} if number in (1, 4) else {"tag": "lead"} if number == 2 else {}
        put(saver, f"{number:08}", f"{number - 1:08}" if number else None, source="loop", step=number, **tag)
    policy = RetentionPolicy(last=2, metadata={"tag": "gold"})
    with fake.counted() as count:
        would = admin_of(fake).prune_threads(policy)
    assert [name for _, _, name in named(would)] == ["00000003", "00000002", "00000000"]
    assert (count.kinds, count.round_trips) == ({"ListObjects": 1, "GetObject": 4}, 2)
    assert kept(fake, policy) == ["00000005", "00000004", "00000001"]


def test_keys_tell_what_can_not_match(fake: FakeS3) -> None:
    saver = make_saver(fake)
    put_chain(saver, "t", 8)
    policy = RetentionPolicy(metadata={"step": 3, "even": False})
    with fake.counted() as count:
        admin_of(fake).prune_threads(policy)
    assert count.kinds == {"ListObjects": 1, "GetObject": 1}  # the head of step 3
    assert kept(fake, policy) == ["00000007", "00000003"]


def test_rules_of_each_kind_together(fake: FakeS3) -> None:
    """The union of the checkpoints that each rule keeps by itself stays."""
    draw = random.Random(7)
    original = make_saver(fake)
    moments = sorted(NOW - draw.random() * 40 * DAY for _ in range(60))
    parent: str | None = None
    for number, moment in enumerate(moments):
        name = id_at(moment, number)
        source = draw.choice(["input", "loop", "update", "fork"])
        put(original, name, parent, source=source, step=number, tag=draw.choice(["gold", "lead"]))
        parent = name
    rules: list[dict[str, Any]] = [
        {"last": 3},
        {"first": 2},
        {"within": 4 * DAY},
        {"hourly": 5 * DAY},
        {"daily": 20 * DAY},
        {"sources": ["fork"]},
        {"metadata": {"tag": "gold", "source": "update"}},
    ]
    alone = [set(kept(fake.snapshot(), RetentionPolicy(**rule))) for rule in rules]
    assert len(set(map(frozenset, alone))) == len(rules)
    together = RetentionPolicy(**{name: value for rule in rules for name, value in rule.items()})
    assert set(kept(fake, together)) == set().union(*alone)


# A checkpoint's time


@pytest.mark.parametrize("version", [6, 7])
def test_an_id_tells_the_time(version: int) -> None:
    moment = datetime(2026, 3, 1, 12, 30, 15, 250_000, tzinfo=timezone.utc)
    assert time_of_id(id_at(moment, 5, version)) == moment


def test_langgraphs_ids_tell_the_time() -> None:
    before = datetime.now(timezone.utc) - timedelta(milliseconds=1)
    time = time_of_id(str(uuid6(clock_seq=3)))
    assert time is not None
    assert before <= time <= datetime.now(timezone.utc) + timedelta(milliseconds=1)


@pytest.mark.parametrize(
    "name",
    [
        *("", "1", "00000001", "1f0a2c6e-0000-6000-8001", "x" * 36),
        "1f0a2c6e-0000-4000-8001-000000000000",
        "1f0a2c6e-0000-1000-8001-000000000000",
        "1f0a2c6e-0000-6000-c001-000000000000",
        "1F0A2C6E-0000-6000-8001-000000000000",
        "1f0a2c6e000060008001000000000000",
        "1f0a2c6e-0000-6000-8001-000000000000\n",
    ],
)
def test_other_ids_tell_none(name: str) -> None:
    assert time_of_id(name) is None


@pytest.mark.parametrize("version", ["6", "7"])
def test_the_greatest_ids_are_no_error(version: str) -> None:
    for digit in "0f":
        name = f"{digit * 8}-{digit * 4}-{version}{digit * 3}-8{digit * 3}-{digit * 12}"
        found = time_of_id(name)
        assert found is None or found.tzinfo is not None


def test_a_copy_is_thinned_like_its_original(fake: FakeS3) -> None:
    """All objects of a copy are as young as the copy. Their ids aren't."""
    saver = make_saver(fake)
    ids = chain_at(saver, *(NOW - number * DAY for number in range(9, -1, -1)))
    saver.copy_thread("t", "copy")
    admin_of(fake, NOW).prune_threads(RetentionPolicy(daily=4 * DAY), dry_run=False)
    assert left(fake, "copy") == left(fake, "t") == ids[-1:-6:-1]


def test_other_ids_have_the_time_of_their_object(fake: FakeS3) -> None:
    saver = make_saver(fake)
    put_chain(saver, "t", 4, writes=0)
    fake.later += 3 * HOUR
    put_chain(saver, "t", 2, first=4, writes=0)
    found = kept(fake, RetentionPolicy(within=2 * HOUR), fake.now)
    assert found == ["00000005", "00000004"]


# What stays is whole


def test_what_kept_checkpoints_are_rebuilt_from_is_gathered(fake: FakeS3) -> None:
    saver = make_saver(fake)
    put_chain(saver, "t", 3, seed={"d": ["seed"]}, values={"v": 1})
    for number in (3, 4):
        checkpoint = make_checkpoint(f"{number:08}", {}, absent=["d"])
        said: Any = {**counters("d"), "source": "update" if number == 3 else "loop"}
        saver.put(place("t", f"{number - 1:08}"), checkpoint, said, {})
    put_chain(saver, "t", 3, first=5, seed={"d": ["new"]}, values={"d": ["later"]})
    config = place("t", "00000003")
    before = saver.get_delta_channel_history(config=config, channels=["d"])
    assert kept(fake, RetentionPolicy(last=1, sources=["update"])) == ["00000007", "00000003"]
    assert make_saver(fake).get_delta_channel_history(config=config, channels=["d"]) == before


def test_what_kept_checkpoints_borrow_is_written_into_them(fake: FakeS3) -> None:
    """Every second one goes: each of the others borrows from one that goes."""
    saver = make_saver(fake)
    values = {f"v{number}": noise(9_000, number) for number in range(8)}
    parent: Any = None
    for number in range(8):
        added: dict[str, Any] = {f"v{number}": values[f"v{number}"]}
        parent = step(saver, f"{number}", parent, run="kept" if number % 2 else "other", **added)
    before = {name: get(make_saver(fake), place("t", name)).checkpoint for name in "1357"}
    assert kept(fake, RetentionPolicy(metadata={"run_id": "kept"})) == ["7", "5", "3", "1"]
    after = {name: get(make_saver(fake), place("t", name)).checkpoint for name in "1357"}
    assert after == before


# Mistakes


@pytest.mark.parametrize(
    "wrong",
    [
        *({}, {"sources": []}, {"metadata": {}}),
        *({"last": 0}, {"last": -1}, {"last": True}, {"last": 2.0}, {"last": "2"}),
        *({"first": 0}, {"first": False}, {"first": "1"}),
        *({"within": timedelta(0)}, {"within": 30}, {"hourly": "1d"}, {"daily": -DAY}),
        *({"sources": "update"}, {"sources": [1]}, {"sources": [""]}, {"sources": 7}),
        *({"metadata": "tag"}, {"metadata": {1: 2}}, {"metadata": [("tag", "gold")]}),
    ],
)
def test_a_policy_must_make_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfigError):
        RetentionPolicy(**wrong)


@pytest.mark.parametrize("keep", [{"last": 1}, [1], DAY, RetentionPolicy])
def test_a_number_or_a_policy(fake: FakeS3, keep: Any) -> None:
    put_chain(make_saver(fake), "t", 2)
    with fake.counted() as count, pytest.raises(InvalidConfigError, match="RetentionPolicy"):
        admin_of(fake).prune_threads(keep, dry_run=False)
    assert not count.requests


def test_spans_may_be_longer_than_time(fake: FakeS3) -> None:
    ids = chain_at(make_saver(fake), NOW - 2 * HOUR, NOW - HOUR, NOW)
    assert kept(fake, RetentionPolicy(within=timedelta.max)) == ids[::-1]


def test_a_policy_can_be_compared_and_shown() -> None:
    policy = RetentionPolicy(last=1, sources=["update"])
    assert policy == RetentionPolicy(last=1, sources=("update",))
    assert "sources=('update',)" in repr(policy)


# The drawing


def forked(fake: FakeS3) -> None:
    put_chain(make_saver(fake), "t", 4)
    put(make_saver(fake), "00000007", "00000001", source="fork", step=2)
    put_chain(make_saver(fake), "t", 2, ns="sub")


def test_a_dry_run_draws_what_would_go(fake: FakeS3) -> None:
    forked(fake)
    admin = admin_of(fake)
    would = admin.prune_threads(RetentionPolicy(last=2, first=1), thread_ids=["t"])
    assert len(would.victims) == 2
    with fake.counted() as count:
        history = admin.history("t", limit=None, read=False)
    assert count.kinds == {"ListObjects": 1}
    lines = would.draw(history).splitlines()
    shapes = [line.partition("  0")[0].rstrip() for line in lines[1:6]]
    assert lines[0] == "thread t"
    assert shapes == ["●", "│ ●", "│ ○", "├─╯", "○"]
    assert re.fullmatch(r"│ ○  00000002  step 2  +\S+  \d+ B  loop  goes", lines[3])
    assert [line.endswith("  goes") for line in lines[1:7]] == [False, False, True, False, True, False]
    assert lines[-1] == "○ would go: 2 of 7 checkpoints"
    went = admin.prune_threads(RetentionPolicy(last=2, first=1), dry_run=False)
    assert went.draw(history).endswith("○ went: 2 of 7 checkpoints")


def test_another_threads_victims_are_no_marks(fake: FakeS3) -> None:
    forked(fake)
    put_chain(make_saver(fake), "u", 4)
    admin = admin_of(fake)
    assert "○ would go: 0 of 7 checkpoints" in admin.prune_threads(1, thread_ids=["u"]).draw(
        admin.history("t", read=False)
    )


def test_hashed_namespaces_are_drawn(fake: FakeS3) -> None:
    ns = "sub:" + "x" * 300
    put_chain(make_saver(fake), "t", 3, ns=ns)
    admin = admin_of(fake)
    would = admin.prune_threads(1, thread_ids=["t"])
    for read in (True, False):
        assert "○ would go: 2 of 3 checkpoints" in would.draw(admin.history("t", read=read))


def test_a_history_of_keys_tells_what_one_that_is_read_does(fake: FakeS3) -> None:
    forked(fake)
    read, keys = (admin_of(fake).history("t", read=read) for read in (True, False))
    assert len(read) == len(keys) == 7
    for name in ("checkpoint_id", "checkpoint_ns", "parent_id", "step", "source", "bytes"):
        assert [getattr(each, name) for each in read] == [getattr(each, name) for each in keys]
    assert [each.pending_writes for each in keys] == [0] * 7
    assert admin_of(fake).history("t", "sub", read=False).entries == tuple(
        each for each in keys if each.checkpoint_ns == "sub"
    )
    short = admin_of(fake).history("t", limit=3, read=False)
    assert (short.entries, short.more) == (keys.entries[:3], True)
    assert len(admin_of(fake).history("nobody", read=False)) == 0
