"""Batches over the wire, by both drivers: bounded requests, and a result for each item."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from langgraph.checkpoint.base import CheckpointTuple

from langgraph_checkpoint_s3 import AccessDeniedError, CorruptObjectError, InvalidKeyError
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.admin.bulk.batches import BatchResult
from tests.contract.admin.drivers import async_mostly, async_only, sync_mostly
from tests.contract.front import Answer, Front, Hold, Park
from tests.contract.support import (
    MIB,
    Calls,
    MakeCalls,
    MakeSaver,
    Place,
    at,
    build_thread,
    checkpoint,
    guarded,
    metadata,
    noise,
)
from tests.support.checkpoints import shown


def items(count: int, thread: str = "thread", **values: Any) -> list[CheckpointTuple]:
    """Return a chain of checkpoints with pending writes of two tasks each."""
    made: list[CheckpointTuple] = []
    for number in range(count):
        held = checkpoint({"number": number, **values}, checkpoint_id=f"{number:04}")
        made.append(
            CheckpointTuple(
                at(thread, checkpoint_id=held["id"]),
                held,
                metadata(number),
                at(thread, checkpoint_id=f"{number - 1:04}") if number else None,
                [("task-b", "c", number), ("task-a", "c", -number)],
            )
        )
    return made


def bad_items() -> list[tuple[Any, type[Exception]]]:
    """Return items that can't be put, with their errors."""
    [good] = items(1)
    name = "i" * 200
    return [
        ("not a tuple", TypeError),
        (good._replace(config={"configurable": {}}), InvalidKeyError),
        (good._replace(config=at(checkpoint_id="elsewhere")), InvalidKeyError),
        (good._replace(checkpoint={**good.checkpoint, "id": ""}), InvalidKeyError),
        (good._replace(checkpoint={"id": "0000"}), TypeError),  # type: ignore[typeddict-item]  # wrong on purpose
        (items(1, "other", bad=object())[0], TypeError),
        (good._replace(pending_writes=[("task", "c", object())]), TypeError),
        (good._replace(pending_writes=[("task",)]), ValueError),  # type: ignore[list-item]  # wrong on purpose
        (
            good._replace(config=at(checkpoint_id=name), checkpoint=checkpoint(checkpoint_id=name)),
            InvalidKeyError,
        ),
    ]


def read(admin: Calls, configs: Any, **keywords: Any) -> list[BatchResult[CheckpointTuple | None]]:
    """Return all that `batch_get` yields."""
    if not admin.asynchronous:
        return list(admin.saver.batch_get(configs, **keywords))

    async def collect() -> list[Any]:
        return [each async for each in admin.saver.abatch_get(configs, **keywords)]

    return admin.run(collect())


class TestBatches:
    def test_put_get_and_delete(self, make_admin: MakeCalls, front: Front, place: Place) -> None:
        admin = make_admin()
        given = items(6)
        results = admin.batch_put(iter(given), concurrency=4)
        assert [result.value for result in results] == [each.config for each in given]
        assert front.counts() == {"PutObject": 18}
        assert front.most_at_once("PutObject") <= 16
        front.reset()

        fresh = make_admin()
        found = read(fresh, [each.config for each in given], concurrency=4)
        assert [shown(result.value) for result in found] == [shown(each) for each in given]
        assert front.counts() == {"ListObjectsV2": 6, "GetObject": 18}
        front.reset()

        gone = fresh.batch_delete([given[0].config, given[3].config])
        assert all(result.ok for result in gone)
        assert front.counts()["ListObjectsV2"] == 1
        left = [each.checkpoint["id"] for each in admin.saver.saver.list(at(ns=None))]
        assert left == ["0005", "0004", "0002", "0001"]
        front.reset()

        assert [result.ok for result in fresh.batch_delete(["thread", "nowhere"])] == [True, True]
        assert front.counts()["ListObjectsV2"] == 2
        assert place.listing() == []

    @async_only
    def test_large_states(self, make_admin: MakeCalls, place: Place) -> None:
        """They move in parts, and an event loop goes on while they are encoded and decoded."""
        given = items(3, raw=noise(6 * MIB))
        assert all(result.ok for result in make_admin(cache_bytes=0).batch_put(given, concurrency=2))
        found = read(make_admin(), [each.config for each in given], concurrency=2)
        assert [shown(result.value) for result in found] == [shown(each) for each in given]
        assert place.uploads() == []

    @async_mostly
    def test_a_bad_item_ends_nothing_else(self, make_admin: MakeCalls, front: Front, place: Place) -> None:
        admin = make_admin(max_attempts=1)
        given = items(4)
        bad = bad_items()
        front.fail("PutObject", Answer(403, "AccessDenied"), within=".s2")
        results = admin.batch_put([*(item for item, _ in bad), *given])
        assert [type(result.error) for result in results] == [
            *(error for _, error in bad),
            type(None),
            type(None),
            AccessDeniedError,
            type(None),
        ]
        assert [result.item for result in results[:5]] == [None] * 5  # they have no config
        assert results[5].item == bad[5][0].config
        assert not results[0].ok
        assert f"s3://{place.bucket}/" in str(results[-2].error)
        assert {each.checkpoint["id"] for each in admin.saver.saver.list(None)} == {"0000", "0001", "0003"}
        again = admin.batch_put(given)
        assert all(result.ok for result in again)
        assert len(place.listing("checkpoints/thread.thread/")) == 12
        found = read(admin, [*(each.config for each in given), at("nowhere"), {}])
        assert [result.ok for result in found] == [True] * 5 + [False]
        assert found[4].value is None
        refused = admin.batch_delete([at(), at(checkpoint_id="0001")])
        assert [result.ok for result in refused] == [False, True]

    @sync_mostly
    def test_a_damaged_item_has_its_own_error(self, make_admin: MakeCalls, place: Place) -> None:
        admin = make_admin()
        given = items(3)
        admin.batch_put(given)
        [key] = [key for key in place.listing() if ".s1" in key]
        sound = place.read(key)
        place.write(key, b"garbage")
        found = read(admin, [given[0].config, {}, given[1].config, None, given[2].config])
        assert [type(result.error) for result in found] == [
            type(None),
            InvalidKeyError,
            CorruptObjectError,
            InvalidKeyError,
            type(None),
        ]
        damaged = found[2].error
        assert isinstance(damaged, CorruptObjectError)
        assert damaged.key == key
        assert f"s3://{place.bucket}/" in str(damaged)
        place.write(key, sound)  # what was damaged isn't kept
        assert all(result.ok for result in read(admin, [each.config for each in given]))

    @async_only
    def test_tuples_of_another_savers_list_can_be_put(
        self, make_admin: MakeCalls, make_saver: MakeSaver
    ) -> None:
        source = make_saver(prefix="old/")
        build_thread(source, checkpoints=4)
        target = make_admin(prefix="new/")
        assert all(result.ok for result in target.batch_put(list(source.list(at()))))
        assert [shown(each) for each in make_saver(prefix="new/").list(at())] == [
            shown(each) for each in source.list(at())
        ]


class TestSavedStates:
    def test_save_and_delete(self, make_admin: MakeCalls, front: Front) -> None:
        admin = make_admin()
        states = [(f"thread-{number}", {"number": number}) for number in range(5)]
        results = admin.batch_save_checkpoints(iter(states), concurrency=3)
        assert front.counts() == {"ListObjectsV2": 5, "PutObject": 5}
        assert [(result.index, result.item) for result in results] == list(enumerate(dict(states)))
        saver = admin.saver.saver
        ids = [result.value for result in results]
        assert [saver.load_checkpoint(*pair) for pair in zip(dict(states), ids, strict=True)] == [
            values for _, values in states
        ]
        admin.batch_save_checkpoints([("thread-0", {"number": 10})])
        front.reset()
        gone = admin.batch_delete_checkpoints(dict(states).keys(), ids)
        assert all(result.ok for result in gone)
        assert [result.item for result in gone] == [
            at(thread, checkpoint_id=name) for thread, name in zip(dict(states), ids, strict=True)
        ]
        assert front.counts() == {"ListObjectsV2": 5, "DeleteObjects": 5}
        assert [saver.load_checkpoint(thread) for thread in dict(states)] == [{"number": 10}, *[None] * 4]

    @async_mostly
    def test_states_of_one_thread_follow_one_another(self, make_admin: MakeCalls, front: Front) -> None:
        admin = make_admin()
        states = [
            (thread, {"raw": noise(50_000), "n": n}) for n in range(4) for thread in ("thread", "other")
        ]
        results = admin.batch_save_checkpoints(states, concurrency=5)
        assert front.counts() == {"ListObjectsV2": 8, "PutObject": 8, "GetObject": 6, "HeadObject": 6}
        for thread in ("thread", "other"):
            listed = list(admin.saver.saver.list(at(thread)))
            names = [result.value for result in results if result.item == thread]
            assert [each.checkpoint["id"] for each in listed] == names[::-1]
            assert [each.checkpoint["channel_values"]["n"] for each in listed] == [3, 2, 1, 0]
            assert [each.parent_config is None for each in listed] == [False, False, False, True]

    @sync_mostly
    def test_a_bad_state_ends_nothing_else(self, make_admin: MakeCalls, front: Front, place: Place) -> None:
        admin = make_admin(max_attempts=1)
        front.fail("PutObject", Answer(403, "AccessDenied"), within="refused.thread")
        bad: list[Any] = [
            "thread",
            ("thread", {"number": 1}, "more"),
            ("", {"number": 1}),
            ("thread", [1]),
            ("thread", {"__start__": 1}),
            ("thread", {"number": object()}),
            ("refused", {"number": 1}),
        ]
        results = admin.batch_save_checkpoints([*bad, ("thread", {"number": 2})])
        assert [type(result.error) for result in results] == [
            *[InvalidKeyError] * 5,
            TypeError,
            AccessDeniedError,
            type(None),
        ]
        assert [result.item for result in results] == [None, None, None, *["thread"] * 3, "refused", "thread"]
        assert f"s3://{place.bucket}/" in str(results[6].error)
        assert admin.saver.saver.load_checkpoint("thread") == {"number": 2}

    def test_a_checkpoint_that_can_not_be_deleted_ends_nothing_else(
        self, make_admin: MakeCalls, front: Front
    ) -> None:
        admin = make_admin(max_attempts=1)
        threads = ["one", "two", "three"]
        saved = admin.batch_save_checkpoints([(name, {"a": 1}) for name in threads])
        front.fail("DeleteObjects", Answer(403, "AccessDenied"), times=1)
        results = admin.batch_delete_checkpoints([*threads, "one"], [*(each.value for each in saved), None])
        assert isinstance(results.pop().error, InvalidKeyError)
        [failed] = [result for result in results if not result.ok]
        assert isinstance(failed.error, AccessDeniedError)
        left = [name for name in threads if admin.saver.saver.load_checkpoint(name)]
        assert left == [failed.item["configurable"]["thread_id"]]

    @pytest.mark.parametrize(
        ("threads", "ids", "reason"),
        [
            (["a", "b"], ["1"], "2 thread_ids and 1 checkpoint_ids"),
            ([], ["1"], "0 thread_ids and 1 checkpoint_ids"),
            ("a", ["1"], "thread_ids must be a list"),
            (["a"], "1", "checkpoint_ids must be a list"),
        ],
    )
    def test_lists_that_do_not_go_together_are_refused(
        self, make_admin: MakeCalls, front: Front, threads: Any, ids: Any, reason: str
    ) -> None:
        with pytest.raises(InvalidKeyError, match=reason):
            make_admin().batch_delete_checkpoints(threads, ids)
        assert front.counts() == {}

    @sync_mostly
    def test_progress_is_told(self, make_admin: MakeCalls) -> None:
        reported: list[tuple[int, int | None]] = []
        admin = make_admin()

        def note(done: int, total: int | None) -> None:
            reported.append((done, total))

        states = [(f"thread-{number}", {"number": number}) for number in range(3)]
        results = admin.batch_save_checkpoints(states, concurrency=2, progress=note)
        assert reported == [(2, 3), (3, 3)]
        reported.clear()
        admin.batch_delete_checkpoints(
            [result.item for result in results], [result.value for result in results], progress=note
        )
        assert reported == [(3, 3)]
        assert admin.batch_save_checkpoints([], progress=note) == []
        assert admin.batch_delete_checkpoints([], []) == []


class TestConcurrency:
    def test_requests_at_once_are_bounded_by_the_saver(self, make_admin: MakeCalls, front: Front) -> None:
        admin = make_admin(max_concurrency=3, borrow=False)
        front.fail("PutObject", Hold(0.02), times=100)
        assert all(result.ok for result in admin.batch_put(items(8), concurrency=8))
        assert front.most_at_once("PutObject") <= 3

    def test_a_cancelled_batch_can_be_put_again(
        self, make_saver: MakeSaver, front: Front, place: Place
    ) -> None:
        admin = S3Admin(make_saver(borrow=False))
        given = items(12)
        answers = threading.Event()

        async def use() -> None:
            front.fail("PutObject", Park(answers), times=100, within="checkpoint.p0006")
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(admin.abatch_put(given, concurrency=2), 0.3)
            front.reset()
            answers.set()
            assert all(result.ok for result in await admin.abatch_put(given, concurrency=2))

        guarded(use())
        assert len(place.listing()) == 36
        assert [shown(each) for each in make_saver().list(at())] == [shown(each) for each in given[::-1]]
