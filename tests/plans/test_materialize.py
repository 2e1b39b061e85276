"""Checkpoints stay readable when `prune` and `delete_for_runs` delete lenders, and copies of borrowers."""

from __future__ import annotations

import asyncio
import functools
import itertools
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from langgraph.checkpoint.base import Checkpoint

from langgraph_checkpoint_s3 import ConflictError, CorruptObjectError, S3Saver
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.format.tombstones import Group, Tombstones, decode_tombstones, tombstone_digest
from langgraph_checkpoint_s3.plans import materialize
from langgraph_checkpoint_s3.plans.borrowed import lender_key
from langgraph_checkpoint_s3.plans.scan import Scan
from langgraph_checkpoint_s3.plans.tombstones import (
    DELETION_WAIT,
    borrowers_among,
    lenders_among,
    tombstone_name,
)
from langgraph_checkpoint_s3.plans.transfer import Sizes
from langgraph_checkpoint_s3.s3.requests import (
    CopyObject,
    GetObject,
    PutObject,
    Request,
)
from tests.admin.retention.test_prune_histories import History
from tests.plans.borrowers import cold, eager, key_of, layout, lenders, noise, opened, opened_key, step
from tests.plans.helpers import get, once, put
from tests.support import inside
from tests.support.checkpoints import make_checkpoint, place, put_chain, shown
from tests.support.fake_s3 import Count, FakeS3, Moment
from tests.support.fake_store import make_saver
from tests.support.sampling import sample

pytestmark = pytest.mark.modes("plain", "private")

PLANS = "langgraph_checkpoint_s3.plans."
IN_PARTS = Sizes(multipart_threshold=2_000, part_size=900)
DOCUMENTS, NOTES, MORE = noise(40_000), noise(12_000, 1), noise(6_000, 2)


def family(saver: S3Saver, thread: str = "t", ns: str = "") -> list[Checkpoint]:
    """Five checkpoints, of a run each: 3 borrows from 1 and 2, 4 from 1, 2 and 3, 5 from 2 and 3."""
    where: Any = {"thread": thread, "ns": ns}
    first = step(saver, "1", run="run-1", documents=DOCUMENTS, **where)
    second = step(saver, "2", first, run="run-2", notes=NOTES, **where)
    third = step(saver, "3", second, run="run-3", more=MORE, **where)
    fourth = step(saver, "4", third, run="run-4", n=4, **where)
    fifth = step(saver, "5", fourth, run="run-5", drop=["documents"], n=5, **where)
    for each in (first, third, fifth):
        saver.put_writes(place(thread, each["id"], ns), [("c", each["id"])], "task")
    return [first, second, third, fourth, fifth]


def read_thread(fake: FakeS3, thread: str = "t", ns: str = "") -> dict[str, Any]:
    """Return a thread as a new process reads it."""
    return {each.checkpoint["id"]: shown(each) for each in make_saver(fake).list(place(thread, ns=ns))}


def sources(fake: FakeS3) -> dict[str, list[str]]:
    return {each: lenders(fake, each) for each in read_thread(fake)}


def kinds(count: Count) -> list[set[str]]:
    """The kinds of requests of each round trip."""
    return [{type(request).__name__ for request in batch} for batch in count.batches]


def test_the_family_borrows_as_it_says(fake: FakeS3, saver: S3Saver) -> None:
    family(saver)
    assert sources(fake) == {"1": [], "2": ["1"], "3": ["1", "2"], "4": ["1", "2", "3"], "5": ["2", "3"]}


# What it asks, and in what order


def test_pruning_rewrites_before_it_deletes(fake: FakeS3, saver: S3Saver) -> None:
    family(saver)
    before = read_thread(fake)
    with fake.counted() as count:
        make_saver(fake).prune(["t"])
    assert kinds(count) == [
        {"ListObjects"},
        {"GetObject"},  # the tombstones: has anything failed here?
        {"GetObject"},
        {"PutObject"},  # tombstones
        {"ListObjects"},  # three seconds later
        {"GetObject"},  # the latest one's head
        {"GetObject"},  # what it borrows
        {"PutObject"},
        {"DeleteObjects"},
    ]
    assert [len(batch) for batch in count.batches] == [1, 1, 1, 1, 1, 1, 2, 1, 1]
    assert fake.seconds == DELETION_WAIT
    assert read_thread(fake) == {"5": before["5"]}
    assert sources(fake) == {"5": []}


def test_deleting_a_run_rewrites_its_borrowers_first(fake: FakeS3, saver: S3Saver) -> None:
    family(saver)
    before = read_thread(fake)
    with fake.counted() as count:
        make_saver(fake).delete_for_runs(["run-1"])
    assert kinds(count) == [
        {"ListObjects"},
        {"GetObject"},  # the tombstones
        {"PutObject"},
        {"ListObjects"},  # three seconds later
        {"GetObject"},  # the heads of the other four
        {"GetObject"},  # what those three borrow that borrow from the first
        {"PutObject"},
        {"DeleteObjects"},
    ]
    assert [len(batch) for batch in count.batches[:5] + count.batches[6:]] == [1, 1, 1, 1, 4, 3, 1]
    assert fake.seconds == DELETION_WAIT
    assert read_thread(fake) == {name: each for name, each in before.items() if name != "1"}
    assert sources(fake) == {"2": [], "3": [], "4": [], "5": ["2", "3"]}


def test_who_borrows_from_what_is_rewritten_still_finds_it(fake: FakeS3, saver: S3Saver) -> None:
    """The rewritten objects' own frames stay where they were."""
    family(saver)
    before = read_thread(fake)
    fifth = fake.objects[key_of(fake, "5")]
    frames = {each: opened(fake, each) for each in ("2", "3")}
    make_saver(fake).delete_for_runs(["run-1"])
    assert fake.objects[key_of(fake, "5")] == fifth
    for each, old in frames.items():
        new = opened(fake, each)
        assert new.base == old.base
        assert {frame for frame in old.frames if not frame.lender} <= set(new.frames)
    with fake.counted() as count:
        assert shown(make_saver(fake).get_tuple(place("t"))) == before["5"]
    assert [len(batch) for batch in count.batches] == [1, 2, 2]  # its lenders' ranges, and nothing else


def test_where_nothing_is_borrowed_nothing_is_listed_twice(fake: FakeS3) -> None:
    family(make_saver(fake, borrow=False))
    with fake.counted() as count:
        make_saver(fake).delete_for_runs(["run-2"])
        make_saver(fake).prune(["t"])
    assert count.kinds["ListObjects"] == 2
    assert "PutObject" not in count.kinds
    assert list(read_thread(fake)) == ["5"]


def test_nor_where_nothing_goes(fake: FakeS3, saver: S3Saver) -> None:
    family(saver)
    with fake.counted() as count:
        make_saver(fake).delete_for_runs(["unknown"])
    assert count.kinds == {"ListObjects": 1}


def test_what_may_lend_and_lends_nothing_costs_a_wait(fake: FakeS3, saver: S3Saver) -> None:
    """Only descendants may borrow from it, and there are none: no head is read."""
    family(saver)
    before = read_thread(fake)
    with fake.counted() as count:
        make_saver(fake).delete_for_runs(["run-5", "run-4"])
    assert count.kinds == {"ListObjects": 2, "GetObject": 1, "PutObject": 1, "DeleteObjects": 1}
    assert sources(fake) == {"1": [], "2": ["1"], "3": ["1", "2"]}
    assert read_thread(fake) == {name: before[name] for name in "321"}


@pytest.mark.parametrize("large", [False, True])
def test_deleting_a_run_of_states_that_do_not_borrow_reads_no_head(fake: FakeS3, large: bool) -> None:
    """Their keys say so. If others may borrow from them, tombstones are read and written."""
    saver = make_saver(fake)
    for number in range(48):
        values = {"v": noise(10_000 if large else 100, number)}
        put(
            saver,
            f"{number:02}",
            f"{number - 1:02}" if number else None,
            values=values,
            run_id=f"run-{number // 12}",
        )
    for number in range(4):
        copy = fake.snapshot()
        with copy.counted() as count:
            make_saver(copy).delete_for_runs([f"run-{number}"])
        tombstones = {"GetObject": 1, "PutObject": 1} if large else {}
        assert count.kinds == {"ListObjects": 1 + large, "DeleteObjects": 1, **tombstones}


def test_heads_are_read_of_descendants_and_behind_gaps(fake: FakeS3, saver: S3Saver) -> None:
    _, second, *_ = family(saver)
    step(saver, "6", second, run="run-6", documents=noise(30_000, 6))
    before = read_thread(fake)

    def heads(run: str, threads: FakeS3) -> int:
        """Delete a run, and return the number of heads that were read."""
        with threads.counted() as count:
            make_saver(threads).delete_for_runs([run])
        [listed] = [n for n, batch in enumerate(count.batches) if isinstance(batch[0], PutObject)][:1]
        after = count.batches[listed + 2]
        return len(after) if isinstance(after[0], GetObject) else 0

    assert heads("run-6", fake.snapshot()) == 0
    assert heads("run-3", fake.snapshot()) == 2
    assert heads("run-2", fake) == 3
    assert heads("run-6", fake) == 3  # 3, 4 and 5 descend from 2, which is gone
    assert read_thread(fake) == {name: before[name] for name in "5431"}


def test_other_namespaces_and_threads_are_left_alone(fake: FakeS3, saver: S3Saver) -> None:
    family(saver)
    family(saver, ns="sub")
    family(saver, "u")
    put(saver, "9", thread="t", ns="sub", values={"small": 1}, run_id="run-9")
    others = {key: fake.objects[key] for key in fake.keys("u.thread") + fake.keys("sub.ns/")}
    with fake.counted() as count:
        make_saver(fake).delete_for_runs(["run-9"])
    assert count.kinds == {"ListObjects": 1, "DeleteObjects": 1}  # it lends nothing: its key says so
    before = read_thread(fake, ns="sub"), read_thread(fake, "u")
    make_saver(fake).prune(["nobody"])
    assert (read_thread(fake, ns="sub"), read_thread(fake, "u")) == before
    others = {key: each for key, each in others.items() if key in fake.objects}
    with fake.counted() as count:
        make_saver(fake).prune(["t"])
    assert not [request for request in count.requests if "u.thread" in getattr(request, "key", "")]
    assert read_thread(fake, ns="sub") == {"5": before[0]["5"]}
    assert read_thread(fake, "u") == before[1]
    assert {key: each for key, each in fake.objects.items() if "u.thread" in key} == {
        key: each for key, each in others.items() if "u.thread" in key
    }


def test_who_borrows_long_after_its_lender_was_written_is_rewritten(fake: FakeS3, saver: S3Saver) -> None:
    """By the store's times, as an import of an export makes them, or a restored bucket."""
    family(saver)
    before = read_thread(fake)
    young = timedelta(days=20)
    for each in ("1", "2"):
        fake.age(young, key_of(fake, each))
    make_saver(fake).delete_for_runs(["run-1"])
    assert read_thread(fake) == {name: each for name, each in before.items() if name != "1"}
    S3Admin(make_saver(fake)).batch_delete([place("t", "2")])
    assert read_thread(fake) == {name: each for name, each in before.items() if name > "2"}


def test_so_it_is_when_old_ones_are_pruned(fake: FakeS3, saver: S3Saver) -> None:
    family(saver)
    before = read_thread(fake)
    for each in ("1", "2"):
        fake.age(timedelta(days=20), layout().checkpoint("t", "", each))
    admin = S3Admin(make_saver(fake))
    admin._now = lambda: fake.now  # type: ignore[method-assign]  # the test's own
    admin.prune_older_than(timedelta(days=10), dry_run=False)
    assert read_thread(fake) == {name: each for name, each in before.items() if name > "2"}


# What arrives while it goes on


def test_who_is_put_within_the_wait_is_rewritten_too(fake: FakeS3, saver: S3Saver) -> None:
    """It read the tombstones before they were written, and its PUT lands before the last LIST."""
    fourth = family(saver)[3]
    other = make_saver(fake)
    get(other, place("t", "4"))
    children: list[Checkpoint] = []

    def hook(moment: Moment, request: Request[Any]) -> None:
        if moment == "before" and isinstance(request, PutObject) and "/.deleted/" in request.key:
            fake.hook = None
            children.append(step(other, "41", fourth, n=41))
            assert lenders(fake, "41") == ["1", "2", "3"]

    fake.hook = hook
    make_saver(fake).delete_for_runs(["run-1"])
    assert lenders(fake, "41") == []
    assert cold(fake, "41") == children[0]["channel_values"]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_two_concurrent_deletions_both_leave_tombstones(
    fake: FakeS3, saver: S3Saver, asynchronous: bool
) -> None:
    """One writes tombstones between the other one's reading and writing them."""
    family(saver)
    before = read_thread(fake)

    def hook(moment: Moment, request: Request[Any]) -> None:
        if moment == "before" and isinstance(request, PutObject) and "/.deleted/" in request.key:
            fake.hook = None
            make_saver(fake).delete_for_runs(["run-2"])

    fake.hook = hook
    doomed = key_of(fake, "1"), key_of(fake, "2")
    deleter = make_saver(fake)
    if asynchronous:
        asyncio.run(deleter.adelete_for_runs(["run-1"]))
    else:
        deleter.delete_for_runs(["run-1"])
    thread = layout().thread("t")
    tombstones = decode_tombstones(fake.objects[layout().tombstones(thread)].data)
    assert all(tombstones.named([tombstone_name(key)]) for key in doomed)
    assert read_thread(fake) == {name: each for name, each in before.items() if name > "2"}


def test_tombstones_that_always_change_end_it_and_nothing_is_deleted(fake: FakeS3, saver: S3Saver) -> None:
    family(saver)
    before = read_thread(fake)

    def hook(moment: Moment, request: Request[Any]) -> None:
        if moment == "before" and isinstance(request, PutObject) and "/.deleted/" in request.key:
            found = fake.objects.get(request.key)
            data = found.data if found else Tombstones().encode()
            group = Group(frozenset({tombstone_digest(str(fake.now))}), 1 << 40)
            fake.put(request.key, decode_tombstones(data).plus(group, 0).encode())

    fake.hook = hook
    with fake.counted() as count, pytest.raises(ConflictError, match="nothing was deleted"):
        make_saver(fake).delete_for_runs(["run-1"])
    assert count.kinds == {"ListObjects": 1, "GetObject": 16, "PutObject": 16}
    fake.hook = None
    assert read_thread(fake) == before


def test_what_is_deleted_while_others_are_rewritten_is_no_error(fake: FakeS3, saver: S3Saver) -> None:
    family(saver)
    before = read_thread(fake)
    fake.hook = once(PutObject, lambda _: make_saver(fake).delete_for_runs(["run-1", "run-2"]))
    make_saver(fake).delete_for_runs(["run-1", "run-3"])
    fake.hook = None
    found = read_thread(fake)
    assert {"4", "5"} <= found.keys() <= {"2", "4", "5"}
    assert all(found[each] == before[each] for each in found)


# However it is put together


@pytest.mark.parametrize("page", [1, 3, 7])
def test_pages_that_part_lender_and_borrower_change_nothing(
    fake: FakeS3, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected: dict[tuple[str, str], Any] = {}
    for thread, ns in itertools.product(("t", "u"), ("", "sub")):
        family(make_saver(fake), thread, ns)
        expected[thread, ns] = read_thread(fake, thread, ns)
    monkeypatch.setattr(PLANS + "scan.PAGE", page)
    monkeypatch.setattr(PLANS + "delete._BATCH", 2)
    monkeypatch.setattr(PLANS + "materialize._AT_ONCE", 2)
    for saver in (make_saver(fake), make_saver(fake, cache_bytes=0)):
        for gone in ("1", "3") if saver.config.cache_bytes else ("2",):
            saver.delete_for_runs([f"run-{gone}"])
            for each in expected.values():
                del each[gone]
            assert {where: read_thread(fake, *where) for where in expected} == expected
    make_saver(fake).prune(["t", "u"])
    for where, each in expected.items():
        assert read_thread(fake, *where) == {"5": each["5"]}


def test_large_objects_are_rewritten_in_parts(fake: FakeS3) -> None:
    family(make_saver(fake, sizes=IN_PARTS))
    before = read_thread(fake)
    with fake.counted() as count:
        make_saver(fake, sizes=IN_PARTS).delete_for_runs(["run-1", "run-2"])
    assert count.kinds["CompleteUpload"] == 3
    assert not fake.uploads
    assert read_thread(fake) == {name: before[name] for name in ("5", "4", "3")}


def test_a_checkpoint_whose_delta_channels_were_gathered_is_rewritten(fake: FakeS3) -> None:
    saver = eager(fake)
    text = "documents " * 50
    put_chain(saver, "t", 3, values={"text": text})
    put_chain(saver, "t", 3, first=3, seed={"text": text, "d": ["seed"]}, values={"text": text})
    checkpoint = make_checkpoint("00000006", {"text": text}, absent=["d"])
    said: Any = {"counters_since_delta_snapshot": {"d": [1, 1]}}
    saver.put(place("t", "00000005"), checkpoint, said, checkpoint["channel_versions"])
    assert {"00000000"} == set(itertools.chain(*sources(fake).values()))
    before = read_thread(fake)
    history = saver.get_delta_channel_history(config=place("t"), channels=["d"])
    assert history["d"]["seed"] == ["seed"]
    make_saver(fake).prune(["t"])
    assert read_thread(fake) == {"00000006": before["00000006"]}
    assert make_saver(fake).get_delta_channel_history(config=place("t"), channels=["d"]) == history
    assert not set(itertools.chain(*sources(fake).values()))


def test_many_channels_from_one_lender_fit(fake: FakeS3) -> None:
    """The header may not grow, whatever the numbers in it come to."""
    large = noise(17_000_000)
    for count in (1, 40, 138, 270):
        saver = make_saver(fake, compression="none")
        values: dict[str, Any] = {f"channel-{number}": noise(4_200, number) for number in range(count)}
        first = step(saver, "1", thread=str(count), **values)
        second = step(saver, "2", first, thread=str(count), big=large)
        assert lenders(fake, "2", str(count)) == ["1"]
        make_saver(fake).prune([str(count)])
        assert cold(fake, thread=str(count)) == second["channel_values"]


def test_who_knows_what_was_rewritten_goes_on_borrowing_from_it(fake: FakeS3, saver: S3Saver) -> None:
    fifth = family(saver)[4]
    make_saver(fake).delete_for_runs(["run-1"])
    sixth = step(saver, "6", fifth, n=6)
    assert lenders(fake, "6") == ["2", "3"]
    assert cold(fake) == sixth["channel_values"]


def test_what_is_lost_already_is_no_obstacle(fake: FakeS3, saver: S3Saver) -> None:
    """Somebody deleted a lender by hand: 2, 3 and 4 can't be read any more, and 5 can."""
    family(saver)
    fake.delete(key_of(fake, "1"))
    before = {key: fake.objects[key] for key in fake.keys("/checkpoint") if key != key_of(fake, "5")}
    assert cold(fake)["n"] == 5
    make_saver(fake).delete_for_runs(["run-5"])
    assert {key: fake.objects[key] for key in fake.keys("/checkpoint")} == before
    with pytest.raises(CorruptObjectError) as raised:
        make_saver(fake).prune(["t"])  # 4 would lose what it borrows from 2 and 3 as well
    assert raised.value.key == key_of(fake, "4")
    assert {key: fake.objects[key] for key in fake.keys("/checkpoint")} == before


# Copies


def test_a_copy_rewrites_nothing_and_is_its_own(fake: FakeS3, saver: S3Saver, mode: str) -> None:
    family(saver)
    family(saver, ns="sub")
    expected = {ns: [each[1:] for each in without_thread(read_thread(fake, ns=ns))] for ns in ("", "sub")}
    with fake.counted() as count:
        make_saver(fake).copy_thread("t", "copy/t")
    # Half of them borrow. Those are read and written, the target is listed before, and three times somebody's
    # tombstones are read: the source's, and the target's before and after, which are written, too.
    moved = {"CopyObject": 8, "GetObject": 8, "PutObject": 8}
    if mode != "plain":
        moved = {"GetObject": 16, "PutObject": 16}
    moved["GetObject"] += 3
    moved["PutObject"] += 2
    assert count.kinds == {"ListObjects": 2, **moved}
    make_saver(fake).delete_thread("t")
    for ns in ("", "sub"):
        assert [each[1:] for each in without_thread(read_thread(fake, "copy/t", ns))] == expected[ns]
        assert lenders(fake, "4", "copy/t", ns) == ["1", "2", "3"]


def without_thread(found: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [(each[0], each[1] and each[1][1:], *each[2:]) for each in found.values()]


def test_a_copy_can_be_borrowed_from_and_pruned(fake: FakeS3, saver: S3Saver) -> None:
    fifth = family(saver)[4]
    before = read_thread(fake)
    make_saver(fake).copy_thread("t", "u")
    assert get(saver, place("u")).checkpoint == fifth
    sixth = step(saver, "6", fifth, thread="u", n=6)
    assert lenders(fake, "6", "u") == ["2", "3"]
    make_saver(fake).prune(["u"])
    assert cold(fake, thread="u") == sixth["channel_values"]
    assert len(fake.keys(layout().thread("u"))) == 1
    assert read_thread(fake) == before
    make_saver(fake).prune(["t"])
    assert cold(fake, thread="u") == sixth["channel_values"]
    assert read_thread(fake) == {"5": before["5"]}


def test_a_copy_during_a_pruning_is_whole_or_a_conflict(fake: FakeS3, saver: S3Saver, mode: str) -> None:
    """At whatever copied object the pruning happens."""
    family(saver)
    snapshot = fake.snapshot()
    outcomes: set[str] = set()
    for at in range(8 if mode == "plain" else 12):  # the first ones look at tombstones and heads
        bucket = snapshot.snapshot()
        moved = CopyObject if mode == "plain" else GetObject
        bucket.hook = nth(moved, at, functools.partial(make_saver(bucket).prune, ["t"]))
        try:
            make_saver(bucket).copy_thread("t", "u")
        except Exception as error:  # noqa: BLE001  # its name is what is looked at
            outcomes.add(type(error).__name__)
        else:
            outcomes.add("whole")
            assert len(read_thread(bucket, "u")) == 5
        assert cold(bucket)["n"] == 5
    assert outcomes == {"ConflictError", "whole"}


def nth(kind: type[Request[Any]], at: int, action: Callable[[], None]) -> Any:
    """A hook that acts at the request of a kind with this number."""
    asked = itertools.count()

    def hook(moment: Moment, request: Request[Any]) -> None:
        if moment == "before" and isinstance(request, kind) and next(asked) == at:
            action()

    return hook


@pytest.mark.parametrize("seed", sample(range(30), 10))
def test_who_borrows_is_a_descendant(seed: int) -> None:
    """In random histories with forks, ids put again, and deletions between."""
    history = History(seed)
    fake, chosen = history.fake, random.Random(seed)
    if seed % 2:
        for name in [name for name in history.made if chosen.random() < 0.2]:
            S3Admin(make_saver(fake)).batch_delete([place(name[0], name[2], name[1])])
    store: Any = inside.store(make_saver(fake))
    for namespace in {key.rsplit("/", 2)[0] + "/" for key in fake.keys(".thread/")}:
        folders = store.run(Scan(layout(), namespace).rest())
        borrowers: dict[str, set[str]] = {}
        for _, entry in borrowers_among(folders):
            for frame in opened_key(fake, entry.key).frames:
                if (lender := lender_key(namespace, frame)) is not None:
                    borrowers.setdefault(lender, set()).add(entry.key)
        for entry in lenders_among(folders):
            possible = {each.key for _, each in materialize._possible_borrowers(folders, {entry.key})}
            assert borrowers.get(entry.key, set()) <= possible
