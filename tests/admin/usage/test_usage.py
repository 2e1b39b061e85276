"""Threads and their storage on the fake S3, with LIST requests counted."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_checkpoint_s3 import (
    CorruptObjectError,
    InvalidConfigError,
    InvalidKeyError,
    NotSupportedError,
    S3Saver,
)
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.admin.usage.usage import ClassUsage, Prices, UsageReport, usage
from langgraph_checkpoint_s3.format.keys import Layout
from langgraph_checkpoint_s3.s3.requests import Entry, ListObjects, Page
from langgraph_checkpoint_s3.text.humanize import format_size, pluralize
from tests.support import inside
from tests.support.checkpoints import put_chain
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver

KIB = 1024
GIB = 2**30


@pytest.fixture
def admin(saver: S3Saver) -> S3Admin:
    return S3Admin(saver)


def reclass(fake: FakeS3, key: str, storage_class: str, size: int | None = None) -> None:
    """Change an object's storage class and size."""
    before = fake.objects[key]
    data = before.data if size is None else bytes(size)
    fake.objects[key] = replace(before, storage_class=storage_class, data=data)


# Threads


def test_a_request_lists_a_thousand_threads_of_any_size(fake: FakeS3, admin: S3Admin) -> None:
    names = [f"thread-{number:04}" for number in range(2_500)]
    for name in names:
        fake.put(inside.layout(admin.saver).thread(name) + ".ns/cez/checkpoint", b"x")
    put_chain(make_saver(fake), "thread-0000", 20, ns="sub", writes=2)
    with fake.counted() as count:
        assert list(admin.threads()) == names
    assert count.kinds == {"ListObjects": 3}
    with fake.counted() as count:
        assert list(admin.threads(limit=5)) == names[:5]
    assert [request for request in count.requests if isinstance(request, ListObjects)] == count.requests
    assert [request.max_keys for request in count.requests if isinstance(request, ListObjects)] == [5]
    with fake.counted() as count:
        assert list(admin.threads(limit=1_001)) == names[:1_001]
    assert count.kinds == {"ListObjects": 2}
    with fake.counted() as count:
        assert list(admin.threads("thread-24")) == names[2_400:]
        assert list(admin.threads("thread-24", limit=3)) == names[2_400:2_403]
        assert list(admin.threads(limit=0)) == []
    assert count.kinds == {"ListObjects": 4}  # names that are too long for keys are looked for first
    with fake.counted() as count:
        assert list(admin.threads("other")) == []
    assert count.kinds == {"ListObjects": 3}, "none at all is made sure of"


def test_a_store_without_folders_is_not_supported(
    fake: FakeS3, admin: S3Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_chain(admin.saver, "thread", 1)
    folded = fake._list

    def without_folders(asked: ListObjects) -> Page:
        return Page((), (), None) if asked.delimiter else folded(asked)

    monkeypatch.setattr(fake, "_list", without_folders)
    with pytest.raises(NotSupportedError, match="doesn't list folders"):
        list(admin.threads())


def test_threads_are_read_as_the_iteration_goes_on(fake: FakeS3, admin: S3Admin) -> None:
    for number in range(1_500):
        fake.put(f"checkpoints/{number}.thread/.ns/cez/checkpoint", b"x")
    with fake.counted() as count:
        threads = admin.threads()
        assert count.round_trips == 0
        next(threads)
        assert count.round_trips == 1


names = st.text("aAbé💥./ %~_-", min_size=1, max_size=4)


@given(st.sets(names, max_size=6), st.text("aAbé💥./ %~_-", max_size=3), st.integers(1, 3))
def test_a_prefix_is_one_of_the_id(threads: set[str], prefix: str, page: int) -> None:
    fake = FakeS3()
    saver = make_saver(fake)
    layout = inside.layout(saver)
    for name in threads:
        fake.put(layout.thread(name) + ".ns/cez/checkpoint", b"x")
    expected = sorted((name for name in threads if name.startswith(prefix)), key=layout.thread)
    admin = S3Admin(saver)
    assert list(admin.threads(prefix)) == expected
    assert list(admin.threads(prefix, limit=page)) == expected[:page]


def test_a_prefix_without_a_utf_8_form_is_refused(fake: FakeS3, admin: S3Admin) -> None:
    with fake.counted() as count, pytest.raises(InvalidKeyError):
        list(admin.threads("\ud800"))
    assert not count.requests


# Usage


def test_nothing_is_zeros(fake: FakeS3, admin: S3Admin) -> None:
    none = UsageReport(0, 0, 0, 0, 0, None, None, {}, 0)
    assert admin.usage() == admin.usage("nobody") == none
    assert none.monthly_cost() == 0
    assert str(none) == (
        "0 threads, 0 namespaces, 0 checkpoints, 0 objects of writes: 0 B, less than $0.01 a month"
    )
    with fake.counted() as count, pytest.raises(InvalidKeyError):
        admin.usage("")
    assert not count.requests


@pytest.mark.parametrize("page", [1, 2, 3, 7])
def test_pages_change_nothing(
    fake: FakeS3, saver: S3Saver, admin: S3Admin, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for thread in ("a", "ab", "b"):
        put_chain(saver, thread, 2, writes=2)
        put_chain(saver, thread, 1, ns="sub")
    expected = admin.usage()
    monkeypatch.setattr(
        "langgraph_checkpoint_s3.plans.scan.Scan.__init__.__kwdefaults__", {"start_after": None, "page": page}
    )
    monkeypatch.setattr("langgraph_checkpoint_s3.plans.scan.PAGE", page)
    monkeypatch.setattr("langgraph_checkpoint_s3.admin.usage.threads.PAGE", page)
    assert admin.usage() == expected
    assert list(admin.threads()) == ["a", "ab", "b"]


def test_a_foreign_object_is_an_error_with_its_key(fake: FakeS3, admin: S3Admin) -> None:
    fake.put("checkpoints/a.thread/.ns/cez/manifest", b"x")
    with pytest.raises(CorruptObjectError) as raised:
        admin.usage()
    assert raised.value.key == "checkpoints/a.thread/.ns/cez/manifest"


def test_more_objects_take_no_more_memory() -> None:
    context: Any = inside.context(make_saver(FakeS3()))
    assert isinstance(context.layout, Layout)
    when = datetime(2026, 1, 1, tzinfo=timezone.utc)

    def pages(count: int) -> Iterator[Page]:
        for number in range(count):
            folder = f"checkpoints/t{number:06}.thread/.ns"
            yield Page(
                tuple(
                    Entry(f"{folder}/{rank:06x}z/checkpoint", 1, "e", when + timedelta(seconds=rank))
                    for rank in range(300)
                ),
                (),
                None if number == count - 1 else "more",
            )

    def answer(plan: Any, listed: Iterator[Page]) -> None:
        request = next(plan)
        while True:
            exports = request[0].prefix.endswith(".exports/")
            request = plan.send([Page((), (), None) if exports else next(listed)])

    def peak(count: int) -> int:
        tracemalloc.start()
        with pytest.raises(StopIteration) as stop:
            answer(usage(context, None), pages(count))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        found = stop.value.value
        assert (found.threads, found.checkpoints) == (count, 300 * count)
        return most

    assert peak(15) < 1.2 * peak(2)


# Costs


def test_costs_are_those_of_the_storage_class(fake: FakeS3, saver: S3Saver, admin: S3Admin) -> None:
    put_chain(saver, "a", 8, writes=0)
    sizes = {
        "STANDARD": 1_000,
        "STANDARD_IA": 1_000,
        "ONEZONE_IA": 300 * KIB,
        "GLACIER_IR": 5,
        "GLACIER": 1_000,
        "DEEP_ARCHIVE": 200 * KIB,
        "INTELLIGENT_TIERING": 7,
        "EXPRESS_ONEZONE": 9,
    }
    for key, (name, size) in zip(fake.keys(), sizes.items(), strict=True):
        reclass(fake, key, name, size)
    found = admin.usage("a")
    assert {name: used.bytes for name, used in found.classes.items()} == sizes
    assert {name: used.billed_bytes for name, used in found.classes.items()} == {
        **sizes,
        "STANDARD_IA": 128 * KIB,
        "GLACIER_IR": 128 * KIB,
        "GLACIER": 1_000 + 32 * KIB,
        "DEEP_ARCHIVE": 232 * KIB,
    }
    euros = Prices(dict.fromkeys(sizes, 0.0) | {"STANDARD": GIB})
    assert found.monthly_cost(euros) == 1_000 + 2 * 8 * KIB  # and what the archives keep there
    assert found.monthly_cost(Prices({**euros.per_gb_month, "STANDARD_IA": GIB})) == 1_000 + 144 * KIB
    dear = Prices()
    expected = sum(dear.of(name) * used.billed_bytes for name, used in found.classes.items())
    assert found.monthly_cost() == pytest.approx((expected + 16 * KIB * 0.023) / GIB)


def test_the_price_of_a_terabyte() -> None:
    when = datetime(2026, 1, 31, 9, 30, tzinfo=timezone.utc)
    used = {
        "STANDARD": ClassUsage(10, 1024 * GIB, 1024 * GIB),
        "STANDARD_IA": ClassUsage(1, 2 * GIB, 2 * GIB),
    }
    report = UsageReport(1, 1, 10, 1, 1026 * GIB, when - timedelta(days=30), when, used, 3 * KIB)
    assert report.monthly_cost() == pytest.approx(23.552 + 0.025)
    assert str(report) == (
        "1 thread, 1 namespace, 10 checkpoints, 1 object of writes: 1.1 TB (1.1 TB STANDARD, 2.1 GB "
        "STANDARD_IA), written 2026-01-01 09:30 to 2026-01-31 09:30 UTC, $23.58 a month in us-east-1; "
        "and 3.1 kB of exports"
    )


def test_an_unknown_class_needs_a_price(fake: FakeS3, saver: S3Saver, admin: S3Admin) -> None:
    put_chain(saver, "a", 1, writes=0)
    reclass(fake, fake.keys()[0], "COLD_LINE", GIB // 1024)
    found = admin.usage()
    with pytest.raises(InvalidConfigError, match="COLD_LINE"):
        found.monthly_cost()
    assert found.monthly_cost(Prices({"COLD_LINE": 1024.0})) == 1
    assert "COLD_LINE" in str(found)
    assert "$" not in str(found)


def test_sizes_and_counts_in_words() -> None:
    sizes = [0, 999, 1000, 999_949, 999_950, 5_050_000, 3 * 10**9, 10**12, 2048 * 10**12]
    assert [format_size(size) for size in sizes] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "999.9 kB",
        "1.0 MB",
        "5.0 MB",
        "3.0 GB",
        "1.0 TB",
        "2,048.0 TB",
    ]
    assert [pluralize(number, "object of writes") for number in (0, 1, 1_000)] == [
        "0 objects of writes",
        "1 object of writes",
        "1,000 objects of writes",
    ]
