"""Operations on threads leave long-term memory and the node cache alone, and count them apart."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from langgraph_checkpoint_s3.admin import ClassUsage, ItemUsage, RetentionPolicy, S3Admin
from langgraph_checkpoint_s3.s3.requests import CreateUpload
from tests.memory.support import index, make_cache, make_store
from tests.support.checkpoints import put_chain
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver

DAY = timedelta(days=1)


def filled(fake: FakeS3) -> S3Admin:
    """Fill a bucket with threads, memories with an index, and cached values, all of them old."""
    saver = make_saver(fake)
    put_chain(saver, "t", 3)
    put_chain(saver, "u", 2)
    store = make_store(fake, index=index())
    for number in range(33):
        store.put(("users", "ada"), str(number), {"n": number})
    store.search(())
    make_cache(fake).set({(("node",), "key"): (1, 60), (("node",), "other"): (2, None)})
    fake.age(400 * DAY)
    return S3Admin(make_saver(fake))


def others(fake: FakeS3) -> dict[str, Any]:
    return {key: each for key, each in fake.objects.items() if "/.store/" in key or "/.cache/" in key}


@pytest.mark.modes
def test_usage_counts_them_apart(fake: FakeS3) -> None:
    admin = filled(fake)
    with fake.counted() as count:
        used = admin.usage()
    assert (count.kinds, count.round_trips) == ({"ListObjects": 4}, 2)
    assert (used.threads, used.checkpoints) == (2, 5)
    assert used.bytes == sum(len(each.data) for key, each in fake.objects.items() if ".thread/" in key)
    size = sum(len(each.data) for key, each in fake.objects.items() if "/.store/" in key)
    assert used.memories == ItemUsage(33, {"STANDARD": ClassUsage(34, size, size)})  # and an index
    assert used.cache.items == 2
    assert used.cache.bytes == sum(len(each.data) for key, each in fake.objects.items() if "/.cache/" in key)
    assert used.memories.monthly_cost() == pytest.approx(size * 0.023 / 2**30)
    assert "; 33 items of long-term memory: " in str(used)
    assert "; 2 values of the node cache: " in str(used)
    one = admin.usage("t")
    assert one.memories == one.cache == ItemUsage()
    assert "memory" not in str(one)


OPERATIONS: dict[str, Any] = {
    "remove_orphans": lambda admin: admin.remove_orphans(DAY, dry_run=False),
    "prune_older_than": lambda admin: admin.prune_older_than(DAY, keep_latest=False, dry_run=False),
    "prune_threads": lambda admin: admin.prune_threads(1, dry_run=False),
    "prune_threads by policy": lambda admin: admin.prune_threads(RetentionPolicy(first=1), dry_run=False),
    "prune_idle": lambda admin: admin.prune_idle(DAY, dry_run=False),
    "purge_thread": lambda admin: admin.purge_thread("t", dry_run=False),
    "batch_delete": lambda admin: admin.batch_delete(["t", "u"]),
    "delete_for_runs": lambda admin: admin.saver.delete_for_runs(["run", ""]),
    "prune": lambda admin: admin.saver.prune(["t", "u"], strategy="delete"),
    "copy_thread": lambda admin: admin.saver.copy_thread("t", "v"),
    "changes": lambda admin: admin.changes(),
    "threads": lambda admin: list(admin.threads()),
}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.modes("plain", "private")
def test_they_are_left_alone(fake: FakeS3, name: str) -> None:
    admin = filled(fake)
    before = others(fake)
    found = OPERATIONS[name](admin)
    assert others(fake) == before
    assert len(before) == 36
    assert ".store" not in str(found)
    assert ".cache" not in str(found)


def test_unfinished_uploads_of_items_are_orphans(fake: FakeS3) -> None:
    for key in (".store/a/large.item", ".cache/a/large.item", "others/large.item"):
        fake.execute(CreateUpload(f"checkpoints/{key}"))
    fake.later = 2 * DAY
    removed = S3Admin(make_saver(fake)).remove_orphans(DAY, dry_run=False)
    assert sorted(item.key for item in removed.of("upload")) == [
        "checkpoints/.cache/a/large.item",
        "checkpoints/.store/a/large.item",
    ]
    assert [each.key for each in fake.uploads.values()] == ["checkpoints/others/large.item"]
