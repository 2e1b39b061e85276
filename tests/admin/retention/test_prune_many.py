"""Pruning of many threads: one listing of the prefix, and how it copes with what is in there."""

from __future__ import annotations

import tracemalloc
from datetime import timedelta
from typing import Any

import pytest

from langgraph_checkpoint_s3 import CorruptObjectError, S3Saver
from langgraph_checkpoint_s3.plans import delete
from langgraph_checkpoint_s3.plans.plan import Plan
from langgraph_checkpoint_s3.plans.scan import ListedThread, ThreadScan
from langgraph_checkpoint_s3.s3.requests import DeleteObjects
from tests.admin.retention.test_prune import admin_of, left, named
from tests.plans.helpers import once
from tests.support import inside
from tests.support.checkpoints import place, put_chain
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver
from tests.support.sampling import pairs

PLANS = "langgraph_checkpoint_s3.plans."
DAY = timedelta(days=1)
THREADS = 800
CHECKPOINTS = 5
LISTS = THREADS * CHECKPOINTS * 2 // 1000


def clone(fake: FakeS3, count: int, source: str = "t") -> None:
    """Copy a thread under other names, straight into the bucket."""
    folder = f"checkpoints/{source}.thread/"
    objects = {key: fake.objects[key].data for key in fake.keys(folder)}
    for number in range(count):
        for key, data in objects.items():
            fake.put(key.replace(folder, f"checkpoints/c{number:05}.thread/"), data)


@pytest.fixture(scope="module")
def many_threads() -> FakeS3:
    """A bucket with 800 threads of five checkpoints and as many writes."""
    fake = FakeS3()
    put_chain(make_saver(fake), "t", CHECKPOINTS)
    clone(fake, THREADS - 1)
    return fake


def test_a_dry_run_lists_the_prefix_once(many_threads: FakeS3) -> None:
    """The keys tell that what stays needs no ancestors."""
    with many_threads.counted() as count:
        assert admin_of(many_threads).prune_threads(1).checkpoints == THREADS * (CHECKPOINTS - 1)
    assert count.kinds == {"ListObjects": LISTS}


def test_where_all_stays_a_run_is_the_listing_alone(many_threads: FakeS3) -> None:
    for number in (CHECKPOINTS, 100):
        with many_threads.counted() as count:
            assert not admin_of(many_threads).prune_threads(number, dry_run=number > 5).victims
        assert count.kinds == {"ListObjects": LISTS}
    with many_threads.counted() as count:
        assert not admin_of(many_threads).prune_older_than(DAY).victims
    assert count.kinds == {"ListObjects": LISTS}


def test_idle_threads_are_found_and_deleted_without_reading_any(many_threads: FakeS3) -> None:
    fake = many_threads.snapshot()
    fake.later += 2 * DAY
    with fake.counted() as count:
        would = admin_of(fake).prune_older_than(DAY, keep_latest=False)
    assert count.kinds == {"ListObjects": LISTS}
    assert would.threads == THREADS
    with fake.counted() as count:
        went = admin_of(fake).prune_older_than(DAY, keep_latest=False, dry_run=False)
    assert went.victims == would.victims
    assert count.kinds["ListObjects"] == LISTS
    assert not fake.objects


def test_its_memory_is_bounded(many_threads: FakeS3) -> None:
    """Threads are let go once they were returned."""

    def peak(fake: FakeS3) -> int:
        store: Any = inside.store(make_saver(fake))
        layout = inside.layout(make_saver(fake))

        def read() -> Plan[int]:
            scan, found = ThreadScan(layout), 0
            while not scan.done:
                found += len((yield from scan.more(delete.THREADS_AT_ONCE)))
            return found

        tracemalloc.start()
        assert store.run(read()) == len({key.split("/")[1] for key in fake.objects})
        taken = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return taken

    fewer = FakeS3()
    put_chain(make_saver(fewer), "t", CHECKPOINTS)
    clone(fewer, THREADS // 4)
    assert peak(many_threads) < 2 * peak(fewer)


def crowd(fake: FakeS3) -> list[str]:
    """Put small and large threads, and other things between them. Return the threads."""
    sizes = {"a": 1, "b": 7, "c": 2, "d": 1, "e": 12, "f": 3, "g": 1}
    saver = make_saver(fake)
    for thread, size in sizes.items():
        put_chain(saver, thread, size)
    for name in ("b-/x", "b-/y", ".exports/b/x", ".deleted/1", "c", "c.thread", "zz/1", "b.thread/.ns/"):
        fake.put(f"checkpoints/{name}", b"")
    for number in range(9):
        fake.put(f"checkpoints/e0/{number}", b"")
    put_chain(make_saver(fake, prefix="checkpoints/d-"), "x", 9)
    return list(sizes)


def scanned(fake: FakeS3, count: int, *, fresh: bool) -> list[list[ListedThread]]:
    store: Any = inside.store(make_saver(fake))
    scan = ThreadScan(inside.layout(make_saver(fake)))
    groups: list[list[ListedThread]] = []
    while not scan.done:
        groups.append(store.run(scan.more(count)))
        if fresh:
            scan.refresh()
    return groups


@pytest.mark.parametrize(
    ("page", "count", "fresh"), pairs([1, 2, 3, 4, 5, 8, 1000], [1, 2, 64], [False, True])
)
def test_every_thread_is_returned_once_and_complete(
    fake: FakeS3, monkeypatch: pytest.MonkeyPatch, page: int, count: int, fresh: bool
) -> None:
    monkeypatch.setattr(PLANS + "scan.PAGE", page)
    threads = crowd(fake)
    groups = scanned(fake, count, fresh=fresh)
    found = [each for group in groups for each in group]
    assert [each.folder for each in found] == [f"checkpoints/{name}.thread/" for name in threads]
    assert all(len(group) <= count for group in groups)
    for each in found:
        objects = [key for key in fake.keys(each.folder) if not key.endswith("/")]
        if each.entries is None:
            assert len(objects) >= page
        else:
            assert [entry.key for entry in each.entries] == objects
            assert len(objects) < 2 * page


@pytest.mark.parametrize("page", [2, 5, 1000])
def test_all_are_pruned_whatever_their_size(fake: FakeS3, monkeypatch: pytest.MonkeyPatch, page: int) -> None:
    threads = crowd(fake)
    others = {key for key in fake.objects if ".thread/" not in key}
    expected = {thread: left(fake, thread)[:2] for thread in threads}
    monkeypatch.setattr(PLANS + "scan.PAGE", page)
    would = admin_of(fake).prune_threads(2)
    went = admin_of(fake).prune_threads(2, dry_run=False)
    assert went.victims == would.victims
    assert {thread: left(fake, thread) for thread in threads} == expected
    assert others <= set(fake.keys())
    assert len(fake.keys("checkpoints/d-/x.thread/.ns/")) == 18


def test_other_folders_are_skipped(fake: FakeS3) -> None:
    """A saver below the prefix, however large, costs a page."""
    put_chain(make_saver(fake), "a", 3)
    put_chain(make_saver(fake), "z", 3)
    for number in range(5000):
        fake.put(f"checkpoints/nested/t.thread/.ns/{number:04}z/checkpoint", b"")
    with fake.counted() as count:
        assert admin_of(fake).prune_threads(1).threads == 2
    assert count.kinds == {"ListObjects": 2}


def test_a_large_thread_is_listed_beside_others(fake: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PLANS + "scan.PAGE", 10)
    for thread in ("a", "b", "c", "d"):
        put_chain(make_saver(fake), thread, 20)
    with fake.counted() as count:
        assert admin_of(fake).prune_threads(20).victims == ()
    assert count.kinds == {"ListObjects": 5 + 4 * 4}  # the fifth shows the end
    assert count.round_trips == 5 + 4


def test_a_thread_that_comes_to_life_between_two_groups_stays(
    fake: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its objects were on the page that the first group was deleted by, which took longer than 2 s."""
    monkeypatch.setattr(PLANS + "delete.THREADS_AT_ONCE", 1)
    monkeypatch.setattr("langgraph_checkpoint_s3.admin.retention.prune.THREADS_AT_ONCE", 1)
    for thread in ("a", "b"):
        put_chain(make_saver(fake), thread, 2)
    fake.later += 2 * DAY

    def revive(request: DeleteObjects) -> None:
        put_chain(make_saver(fake), "b", 1, first=2)
        fake.seconds += 2.1

    fake.hook = once(DeleteObjects, revive)
    went = admin_of(fake).prune_older_than(DAY, keep_latest=False, dry_run=False)
    assert {name for name, _, _ in named(went)} == {"a", "b"}
    assert left(fake, "a") == []
    assert left(fake, "b") == ["00000002"]


def test_a_foreign_key_in_a_thread_is_that_threads_error(fake: FakeS3, saver: S3Saver) -> None:
    for thread in ("a", "b", "c"):
        put_chain(saver, thread, 2)
    fake.put("checkpoints/b.thread/.ns/photo", b"")
    for dry_run in (True, False):
        pruned = admin_of(fake).prune_threads(1, dry_run=dry_run)
        assert {name for name, _, _ in named(pruned)} == {"a", "c"}
        assert [(name, type(each)) for name, each in pruned.errors.items()] == [("b", CorruptObjectError)]


@pytest.mark.modes("private")
@pytest.mark.parametrize("dry_run", [True, False])
def test_hashed_names_are_read_where_something_goes(fake: FakeS3, saver: S3Saver, dry_run: bool) -> None:
    for thread in ("a", "b", "c"):
        put_chain(saver, thread, 3 if thread == "b" else 1)
    fake.put(fake.keys("/checkpoint")[0].rpartition("/")[0] + "/photo", b"")  # an error of one of them
    with fake.counted() as count:
        pruned = admin_of(fake).prune_threads(1, dry_run=dry_run)
    assert {name for name, _, _ in named(pruned)} | pruned.errors.keys() <= {"a", "b", "c"}
    assert len(pruned.errors) == 1
    assert count.kinds["ListObjects"] == 2  # one is of the marks of pinned threads, which come later
    assert count.kinds["GetObject"] <= 3


@pytest.mark.modes("private")
def test_hashed_names_of_threads_that_go_whole_are_known(fake: FakeS3, saver: S3Saver) -> None:
    put_chain(saver, "a", 2)
    saver.put_writes(place("b", "1"), [("d", 1)], "task")
    fake.later += 2 * DAY
    went = admin_of(fake).prune_older_than(DAY, keep_latest=False, dry_run=False)
    assert {name for name, _, _ in named(went)} == {"a", "b"}
    assert not fake.objects
