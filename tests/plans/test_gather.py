"""Pruning threads with delta channels: their writes are gathered first, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import io
import itertools
import random
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

import pytest

from langgraph_checkpoint_s3 import ConflictError, CorruptObjectError, DecryptionError, S3Saver
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.admin.retention.prune import prune as prune_by_rule
from langgraph_checkpoint_s3.format.container import open_container
from langgraph_checkpoint_s3.format.keys import is_gathered
from langgraph_checkpoint_s3.s3.requests import DeleteObjects, GetObject, PutObject
from tests.plans.borrowers import eager, lenders
from tests.plans.borrowers import step as step_of
from tests.plans.crashes import PLANS, Scenario, sweep
from tests.plans.helpers import get, ids, once
from tests.plans.oracle import COUNTERS
from tests.support import inside
from tests.support.checkpoints import make_checkpoint, place, shown
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver
from tests.support.hostile import DROP, JUNK, assembled, mend, parts
from tests.support.modes import cached
from tests.support.sampling import sample

pytestmark = pytest.mark.modes("plain", "private")

CHANNELS = ["d", "e", "f"]
SMALL_PAGES = {"scan.PAGE": 4, "delta_history._FIRST_PAGE": 3, "delta_history._FIRST_WINDOW": 2}


def grow(saver: S3Saver, numbers: range, *, thread: str = "t", parent: int | None = None) -> None:
    """Put a line of checkpoints whose delta channels are counted, each with the writes of a few tasks.

    `d` is stored in checkpoint 1, `e` in none, and nothing is ever written to `f`.
    """
    for number in numbers:
        held = {"d": ["seed"]} if number == 1 else {"v": number}
        checkpoint = make_checkpoint(f"{number:04}", held, ["d", "e"])
        counters = {"d": [1, 1], "e": [1, 1], "f": [0, 1]}
        metadata: Any = {"source": "loop", "step": number, COUNTERS: counters}
        before = number - 1 if parent is None else parent
        config = place(thread, f"{before:04}" if number else None)
        put_at = saver.put(config, checkpoint, metadata, checkpoint["channel_versions"])
        for task in ("b", "a"):
            writes = [("d", f"{number} {task}"), ("v", 0), ("e", [number])][: 3 if number % 3 else 2]
            saver.put_writes(put_at, writes, f"task-{task}", f"~path-{task}")
        parent = None


@cached
def grown() -> FakeS3:
    fake = FakeS3()
    grow(make_saver(fake), range(9))
    return fake


@pytest.fixture
def fake() -> FakeS3:
    """A bucket with nine checkpoints of a thread, of which only the first ones have stored values."""
    return grown().snapshot()


def history(fake: FakeS3, number: int | None = None, *, thread: str = "t") -> Any:
    config = place(thread, None if number is None else f"{number:04}")
    return make_saver(fake).get_delta_channel_history(config=config, channels=CHANNELS)


def gathered(fake: FakeS3) -> list[str]:
    return [key for key in fake.keys("/writes.") if is_gathered(key)]


def test_one_object_takes_the_place_of_all_ancestors(fake: FakeS3, mode: str) -> None:
    before, tuple_before = history(fake), shown(get(make_saver(fake), place("t")))
    assert (len(before["d"]["writes"]), before["d"]["seed"]) == (14, ["seed"])
    assert (len(before["e"]["writes"]), before["f"]) == (10, {"writes": []})
    make_saver(fake).prune(["t"])
    assert len(fake.objects) == 4  # with the writes of two tasks
    assert history(fake) == before
    assert shown(get(make_saver(fake), place("t"))) == tuple_before
    [key] = gathered(fake)
    assert key.endswith(".e") == (mode == "private")
    if mode == "private":
        with pytest.raises(DecryptionError):
            open_container(fake.objects[key].data, len(fake.objects[key].data))


def test_a_cold_read_is_a_list_and_a_get(fake: FakeS3) -> None:
    make_saver(fake).prune(["t"])
    with fake.counted() as count:
        make_saver(fake).get_delta_channel_history(config=place("t"), channels=["d", "e"])
    assert (count.kinds, count.round_trips) == ({"ListObjects": 1, "GetObject": 1}, 2)
    with fake.counted() as count:  # the checkpoint itself is read without it
        get(make_saver(fake), place("t"))
    assert count.kinds == {"ListObjects": 1, "GetObject": 3}


def test_the_requests_of_a_prune(fake: FakeS3) -> None:
    with fake.counted() as count:
        make_saver(fake).prune(["t"])
    # Of the nine checkpoints all but one have a head and two objects of writes to read.
    assert count.kinds == {"ListObjects": 1, "GetObject": 1 + 3 * 8, "PutObject": 1, "DeleteObjects": 2}
    with fake.counted() as count:
        make_saver(fake).prune(["t"])
    assert count.kinds == {"ListObjects": 1}


def test_pruning_again_goes_on_from_what_was_gathered(fake: FakeS3) -> None:
    whole = fake.snapshot()
    for first in (9, 12, 15):
        make_saver(fake).prune(["t"])
        grow(make_saver(fake), range(first, first + 3))
        grow(make_saver(whole), range(first, first + 3))
        for number in range(first - 1, first + 3):
            assert history(fake, number) == history(whole, number)
    with fake.counted() as count:
        make_saver(fake).prune(["t"])
    assert count.kinds["GetObject"] == 1 + 3 * 3 + 1
    assert len(gathered(fake)) == 1
    assert history(fake) == history(whole)


def test_forks_from_what_stays_and_two_that_share_ancestors(fake: FakeS3) -> None:
    grow(make_saver(fake), range(20, 24), parent=4)
    grow(make_saver(fake), range(30, 31), parent=8)
    before = {number: history(fake, number) for number in (8, 23, 30)}
    admin = S3Admin(make_saver(fake))
    kept = {f"{number:04}" for number in before}

    def stay(folders: Any) -> Any:
        return [folder for folder in folders if folder.checkpoint_id in kept]

    admin._run(prune_by_rule(admin._context, stay, ["t"], None, dry_run=False), "test")
    assert set(ids(make_saver(fake), place("t"))) == kept
    # 30 is a child of 8, which stays: it goes on there.
    layout = inside.layout(make_saver(fake))
    beside = {layout.checkpoint("t", "", f"{number:04}") for number in (8, 23)}
    assert {f"{key.rpartition('/')[0]}/" for key in gathered(fake)} == beside
    assert {number: history(fake, number) for number in before} == before
    grow(make_saver(fake), range(40, 41), parent=8)
    assert history(fake, 40) == history(fake, 30)


def test_what_was_gathered_for_another_parent_counts_for_nothing(fake: FakeS3) -> None:
    """An id that is put again with another parent has another history."""
    make_saver(fake).prune(["t"])
    grow(make_saver(fake), range(2))
    grow(make_saver(fake), range(8, 9), parent=1)
    assert history(fake)["d"] == {
        "writes": [("task-a", "d", "1 a"), ("task-b", "d", "1 b")],
        "seed": ["seed"],
    }


# Crashes, and what others do meanwhile


@pytest.mark.parametrize("batch", [2, 1000])
def test_cut_short(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SMALL_PAGES.items():
        monkeypatch.setattr(PLANS + name, value)
    scenario = Scenario(
        "prune", lambda saver: saver.prune(["t"]), grown, removes=True, patches={"delete._BATCH": batch}
    )
    sweep(scenario, monkeypatch)


@pytest.mark.parametrize("kind", [PutObject, DeleteObjects, GetObject])
def test_a_run_goes_on_while_its_thread_is_pruned(fake: FakeS3, kind: Any) -> None:
    whole = fake.snapshot()
    grow(make_saver(whole), range(9, 12))
    runner = make_saver(fake)
    fake.hook = once(kind, lambda _: grow(runner, range(9, 12)))
    make_saver(fake).prune(["t"])
    fake.hook = None
    assert ids(make_saver(fake), place("t")) == ["0011", "0010", "0009", "0008"]
    for number in range(8, 12):
        assert history(fake, number) == history(whole, number)


def read(saver: S3Saver, number: int) -> Coroutine[Any, Any, Any]:
    return saver.aget_delta_channel_history(config=place("t", f"{number:04}"), channels=CHANNELS)


def step(operation: Coroutine[Any, Any, Any]) -> Any:
    """Go on by one batch of requests. Return the result or the error at the end, in a list, else nothing."""
    try:
        operation.send(None)
    except StopIteration as done:
        return [done.value]
    except ConflictError as error:
        return [error]
    return []


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("number", [5, 8])
def test_a_reader_meets_a_prune_at_any_request(
    fake: FakeS3, monkeypatch: pytest.MonkeyPatch, number: int, warm: bool
) -> None:
    """The latest checkpoint's history is whole at any time. One that goes is whole, too, or gone."""
    for name, value in SMALL_PAGES.items():
        monkeypatch.setattr(PLANS + name, value)
    before = history(fake, number)
    for at in itertools.count():
        bucket = fake.snapshot()
        reader = make_saver(bucket)
        if warm:  # what it has read comes from its cache
            list(reader.list(place("t")))
            reader.get_delta_channel_history(config=place("t", "0008"), channels=CHANNELS)
            bucket.seconds += 3
        reading = read(reader, number)
        found: list[Any] = []
        steps = 0
        while not found:
            if steps == at:
                make_saver(bucket).prune(["t"])
            found = step(reading)
            steps += 1
        if number == 8:
            assert found == [before]
        else:
            assert isinstance(found[0], ConflictError) or found[0] in (before, history(bucket, number))
        if steps <= at:
            break
    assert at > 3


@pytest.mark.parametrize("seed", sample(range(12), 4))
def test_prunes_reads_and_puts_interleaved(fake: FakeS3, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prunes, readers of what is the latest then, and a run that goes on, batch by batch."""
    for name, value in SMALL_PAGES.items():
        monkeypatch.setattr(PLANS + name, value)
    chosen = random.Random(seed)
    monkeypatch.setattr(PLANS + "delete._BATCH", chosen.choice([2, 5, 1000]))
    whole = fake.snapshot()
    grow(make_saver(whole), range(9, 14))
    expected = {number: history(whole, number) for number in range(14)}
    savers = [make_saver(fake) for _ in range(3)]
    number = 8
    running: list[tuple[bool, int, Coroutine[Any, Any, Any]]] = []
    for turn in range(400):
        if chosen.random() < 0.03 and number < 13:
            number += 1
            grow(savers[0], range(number, number + 1))
        if len(running) < 3 and turn < 350:
            saver = chosen.choice(savers)
            pruning = chosen.random() < 0.5
            running.append((pruning, number, saver.aprune(["t"]) if pruning else read(saver, number)))
        if not running:
            break
        each = chosen.choice(running)
        for outcome in step(each[2]):
            running.remove(each)
            pruning, of, _ = each
            if isinstance(outcome, ConflictError):
                assert pruning or of < number, "the latest checkpoint can be read at any time"
            elif not pruning and outcome != expected[of]:
                # What had been superseded may have been deleted before it was read at all.
                assert of < number
                assert not any(channel["writes"] for channel in outcome.values())
    for _, _, operation in running:
        operation.close()
    assert history(fake, number) == expected[number]
    make_saver(fake).prune(["t"])
    assert history(fake, number) == expected[number]
    assert ids(make_saver(fake), place("t")) == [f"{number:04}"]


# Where it goes


def test_it_travels_with_copies_and_files(fake: FakeS3) -> None:
    make_saver(fake).prune(["t"])
    before = history(fake)
    make_saver(fake).copy_thread("t", "copy/t")
    file = io.BytesIO()
    admin = S3Admin(make_saver(fake))
    exported = admin.export_thread("t", file)
    assert (exported.checkpoints, exported.writes) == (1, 3)
    file.seek(0)
    admin.import_thread(file, "imported")
    make_saver(fake).delete_thread("t")
    for thread in ("copy/t", "imported"):
        assert history(fake, thread=thread) == before
        grow(make_saver(fake), range(9, 10), thread=thread)
        make_saver(fake).prune([thread])
        assert history(fake, thread=thread)["d"]["writes"][:14] == before["d"]["writes"]
        make_saver(fake).delete_thread(thread)
    assert not fake.keys("/writes.")


@pytest.mark.modes("plain")
def test_it_travels_with_a_signed_url(fake: FakeS3) -> None:
    make_saver(fake).prune(["t"])
    admin = S3Admin(make_saver(fake))
    admin.signed_url("t", "0008")
    [key] = fake.keys(".exports/")
    admin.import_thread(io.BytesIO(fake.objects[key].data), "other")
    assert history(fake, thread="other") == history(fake)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_it_is_migrated(fake: FakeS3, asynchronous: bool) -> None:
    """The source's checkpoints alone wouldn't tell what was written to its delta channels."""
    make_saver(fake).prune(["t"])
    grow(make_saver(fake), range(9, 11))
    target = FakeS3()
    admin = S3Admin(make_saver(target))
    if asynchronous:
        asyncio.run(admin.amigrate(make_saver(fake)))
    else:
        admin.migrate(make_saver(fake))
    assert len(target.keys("/checkpoint")) == 3
    for number in (8, 9, 10):
        assert history(target, number) == history(fake, number)


def test_a_stored_value_that_is_borrowed_is_gathered_whole() -> None:
    fake = FakeS3()
    saver = eager(fake)
    large = [f"item {number}" for number in range(1000)]
    first = step_of(saver, "0001", d=large)
    step_of(saver, "0002", first, other="x")
    assert lenders(fake, "0002") == ["0001"]
    third = make_checkpoint("0003", {"v": 1}, absent=["d"])
    metadata: Any = {COUNTERS: {"d": [1, 1]}}
    saver.put(place("t", "0002"), third, metadata, third["channel_versions"])
    before = history(fake)
    assert before["d"]["seed"] == large
    make_saver(fake).prune(["t"])
    assert len(fake.keys("/checkpoint")) == 1
    assert history(fake) == before


def test_without_its_checkpoint_it_is_an_orphan(fake: FakeS3) -> None:
    make_saver(fake).prune(["t"])
    for key in fake.keys("/checkpoint"):
        fake.delete(key)
    fake.age(timedelta(days=2))
    admin = S3Admin(make_saver(fake))
    admin._now = lambda: fake.now  # type: ignore[method-assign]  # the test's own
    assert len(admin.remove_orphans(dry_run=False).of("writes")) == 3
    assert not fake.objects


def test_it_comes_back_with_a_thread_that_is_undeleted(mode: str) -> None:
    fake = FakeS3()
    fake.set_versioning("Enabled")
    grow(make_saver(fake), range(9))
    before = history(fake)
    make_saver(fake).prune(["t"])
    make_saver(fake).delete_thread("t")
    S3Admin(make_saver(fake)).undelete_thread("t", dry_run=False)
    assert history(fake) == before


# What somebody else wrote

WAYS: list[Any] = [["parent"], ["channels"], ["seeds"], ["seeds", "d"], ["writes"], ["writes", 0, 2]]


@pytest.mark.modes("plain")
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_changed_object_is_read_or_refused(fake: FakeS3, way: Any) -> None:
    make_saver(fake).prune(["t"])
    [key] = gathered(fake)
    refused = 0
    for junk in (DROP, *JUNK):
        header, body = parts(fake.objects[key].data)
        node: Any = header
        *path, last = way
        for name in path:
            node = node[name]
        if junk is DROP:
            del node[last]
        else:
            node[last] = junk
        bucket = fake.snapshot()
        bucket.put(key, assembled(mend(header, body), body, packed=False))
        try:
            assert history(bucket).keys() == set(CHANNELS)
        except (CorruptObjectError, DecryptionError) as error:
            refused += error.key == key
    assert refused


@pytest.mark.parametrize("pinned", [False, True])
def test_it_is_kept_as_long_as_its_checkpoint(fake: FakeS3, pinned: bool) -> None:
    fake = FakeS3()
    saver = make_saver(fake, retention={"default": timedelta(days=90)})
    grow(saver, range(6))
    if pinned:
        S3Admin(saver).pin_thread("t")
    before = history(fake, 5)
    S3Admin(make_saver(fake)).prune_threads(1, thread_ids=["t"], dry_run=False).raise_errors()
    [key] = gathered(fake)
    assert fake.objects[key].tag == ("pinned" if pinned else "default")
    assert history(fake, 5) == before
