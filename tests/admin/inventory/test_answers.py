"""A report that was made just now gives the answers of a listing: random buckets, both formats."""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from langgraph_checkpoint_s3.admin import RetentionPolicy, S3Admin
from langgraph_checkpoint_s3.format.keys import encode_rank
from tests.admin.retention.test_orphans_of_deletions import failed
from tests.admin.retention.test_prune import admin_of
from tests.admin.retention.test_prune_many import clone
from tests.plans.borrowers import noise, step
from tests.support import inside
from tests.support.checkpoints import place, put_chain
from tests.support.fake_s3 import FakeS3, Upload
from tests.support.fake_store import make_saver
from tests.support.modes import cached
from tests.support.reports import make_report, rows_of, write_files

DAY = timedelta(days=1)
FORMATS = ("Parquet", "CSV")
NAMES = ("a", "a-b", "a/b", "a.b", "A", "ü 💥", "z" * 300, "z" * 301, "0", "thread")


def report_of(fake: FakeS3, root: Path, **how: Any) -> Path:
    """A report of what a fake holds now."""
    return write_files(make_report(rows_of(fake), **{"created": fake.now, **how}), root)


def random_bucket(seed: int) -> FakeS3:
    """A bucket with threads of every kind and size, orphans, and what belongs to others."""
    return _made(seed)().snapshot()


@functools.cache
def _made(seed: int) -> Callable[[], FakeS3]:
    return cached(lambda: _make_bucket(seed))


def _make_bucket(seed: int) -> FakeS3:
    chance = random.Random(seed)
    fake = FakeS3()
    failed(fake, "failed")
    for name in chance.sample(NAMES, 6):
        saver = make_saver(fake)
        for ns in chance.sample(("", "sub", "sub|inner:1"), chance.randrange(1, 3)):
            put_chain(saver, name, chance.randrange(1, 6), ns=ns, writes=chance.randrange(3))
        fake.age(chance.randrange(20) * DAY, chance.choice(["", ".thread"]))
    first = step(make_saver(fake), "1", thread="borrows", documents=noise(9_000))
    saver = make_saver(fake)
    saver.get_tuple(place("borrows", "1"))
    for number in range(2, 6):
        first = step(saver, f"{number}", first, thread="borrows", n=number)
    saver = make_saver(fake)
    step(saver, "1", thread="gone", documents=noise(9_000))
    saver.delete_thread("gone")
    fake.age(chance.randrange(15) * DAY)
    saver.put_writes(place("lost", "1"), [("d", [1])], "one")
    saver.put_writes(place("a", "lost"), [("d", [1])], "one")
    put_chain(make_saver(fake, prefix="checkpoints/nested"), "other", 3)
    for key in (
        ".exports/a/1",
        ".store/a/b.item",
        ".store/-.index",
        ".cache/a/b.item",
        ".probe/1",
        "a-/x",
        "a.thread",
        "b b+é/x",
        "zz",
        ".leases/a.lease",
    ):
        fake.put(f"checkpoints/{key}", b"others'")
    fake.put("elsewhere", b"")
    fake.uploads["1"] = Upload("checkpoints/a.thread/.ns/cez/checkpoint", begun=fake.now - 3 * DAY)
    fake.age(chance.randrange(9) * DAY)
    put_chain(make_saver(fake), "young", 3)
    for key in chance.sample(fake.keys(".thread/"), 5):
        fake.objects[key] = replace(fake.objects[key], storage_class="STANDARD_IA")
    return fake


def answers(admin: S3Admin, now: datetime, **source: Any) -> dict[str, Any]:
    """Return an admin's answers about a bucket."""
    found: dict[str, Any] = {
        "usage": replace(admin.usage(**source), as_of=None),
        "of one": [
            replace(admin.usage(name, **source), as_of=None) for name in (*NAMES[::5], "borrows", "none")
        ],
        "threads": list(admin.threads(**source)),
        "some threads": [
            list(admin.threads(*each, **source)) for each in (("a",), ("a", 2), ("", 3), ("z",))
        ],
        "orphans": replace(admin.find_orphans(**source), as_of=None),
        "old orphans": replace(admin.find_orphans(9 * DAY, **source), as_of=None),
    }
    for keep in (1, 2, 4):
        found[f"keep {keep}"] = replace(admin.prune_threads(keep, **source), as_of=None)
    for policy in (
        RetentionPolicy(first=1, within=8 * DAY),
        RetentionPolicy(metadata={"step": 2, "even": True}),
    ):
        found[f"keep by {policy}"] = replace(admin.prune_threads(policy, **source), as_of=None)
    for age in (1, 8, 20):
        for latest in (True, False):
            pruned = admin.prune_older_than(age * DAY, keep_latest=latest, **source)
            found[f"older than {age}, {latest}"] = replace(pruned, as_of=None)
    return found


@pytest.mark.parametrize(
    ("mode", "seed", "file_format"),
    [("plain", 0, FORMATS[0]), ("private", 1, FORMATS[1]), ("plain", 2, FORMATS[0])],
    indirect=["mode"],
)
def test_the_answers_are_those_of_a_listing(
    fake: FakeS3, tmp_path: Path, seed: int, file_format: str
) -> None:
    fake = random_bucket(seed)
    folder = report_of(fake, tmp_path, file_format=file_format, seed=seed, versions=seed == 1)
    listed = answers(admin_of(fake), fake.now)
    assert answers(admin_of(fake), fake.now, inventory=folder) == listed
    assert listed["usage"].threads > 5
    assert any(listed[name].victims for name in listed if name.startswith("older"))
    assert any(listed[name].victims for name in listed if name.startswith("keep"))


DELETIONS: dict[str, Callable[..., Any]] = {
    "policy": lambda admin, **source: admin.prune_threads(
        RetentionPolicy(last=1, metadata={"even": True}), dry_run=False, **source
    ),
    "keep last": lambda admin, **source: admin.prune_threads(1, dry_run=False, **source),
    "older": lambda admin, **source: admin.prune_older_than(DAY, dry_run=False, **source),
    "idle": lambda admin, **source: admin.prune_older_than(DAY, keep_latest=False, dry_run=False, **source),
    "orphans": lambda admin, **source: admin.remove_orphans(dry_run=False, **source),
}


@pytest.mark.parametrize("name", DELETIONS)
@pytest.mark.parametrize(("mode", "seed"), [("plain", 0), ("private", 1)], indirect=["mode"])
def test_the_same_is_deleted(fake: FakeS3, tmp_path: Path, name: str, seed: int) -> None:
    fake = random_bucket(seed)
    folder = report_of(fake, tmp_path, file_format=FORMATS[seed])
    by_listing, by_report = fake.snapshot(), fake.snapshot()
    listed = DELETIONS[name](admin_of(by_listing))
    found = DELETIONS[name](admin_of(by_report), inventory=folder)
    assert by_report.keys() == by_listing.keys()
    assert by_report.keys() != fake.keys()
    assert found.as_of == fake.now
    assert replace(found, as_of=None) == listed
    assert "inventory of 2026-" in str(found)


def test_a_coroutine_gives_the_same(fake: FakeS3, tmp_path: Path) -> None:
    fake = random_bucket(7)
    folder = report_of(fake, tmp_path)
    admin = admin_of(fake)

    async def threads() -> list[str]:
        return [each async for each in admin.athreads("a", inventory=folder)]

    assert asyncio.run(threads()) == list(admin.threads("a", inventory=folder))
    assert asyncio.run(admin.ausage(inventory=folder)) == admin.usage(inventory=folder)
    assert asyncio.run(admin.aprune_threads(1, inventory=folder)) == admin.prune_threads(1, inventory=folder)
    assert asyncio.run(admin.afind_orphans(inventory=folder)) == admin.find_orphans(inventory=folder)
    assert asyncio.run(admin.aremove_orphans(inventory=folder)) == admin.find_orphans(inventory=folder)
    by_age = asyncio.run(admin.aprune_older_than(DAY, inventory=folder))
    assert by_age == admin.prune_older_than(DAY, inventory=folder)


@pytest.mark.parametrize("file_format", FORMATS)
def test_thousands_of_threads_take_no_more_requests(tmp_path: Path, file_format: str) -> None:
    """And one of more than a page, which a listing lists by itself."""
    fake = FakeS3()
    put_chain(make_saver(fake), "t", 3)
    clone(fake, 300)
    folder = inside.layout(make_saver(fake)).namespace("long", "")
    for number in range(1_100):
        fake.put(f"{folder}{encode_rank(f'{number:08}')}/checkpoint.p{number - 1:08}", b"x")
    fake.later += 9 * DAY
    inventory = report_of(fake, tmp_path, file_format=file_format, parts=5)
    admin = admin_of(fake)
    expected = admin.usage()
    assert expected.checkpoints > 2_000
    with fake.counted() as count:
        assert replace(admin.usage(inventory=inventory), as_of=None) == expected
        assert len(list(admin.threads(inventory=inventory))) == 302
        would = admin.prune_older_than(DAY, keep_latest=False, inventory=inventory)
    assert count.kinds == {"ListObjects": 3}  # whether the report covers the prefix
    assert replace(would, as_of=None) == admin.prune_older_than(DAY, keep_latest=False)


def test_threads_of_a_store_without_folders(tmp_path: Path, fake: FakeS3, monkeypatch: Any) -> None:
    """A report doesn't need the store's delimiter."""
    put_chain(make_saver(fake), "t", 1)
    inventory = report_of(fake, tmp_path)
    folded = fake._list
    monkeypatch.setattr(fake, "_list", lambda request: folded(replace(request, delimiter=None)))
    assert list(admin_of(fake).threads(inventory=inventory)) == ["t"]
