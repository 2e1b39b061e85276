"""Batches on a fake S3: the result of each item, and the requests."""

from __future__ import annotations

import random
from typing import Any

import pytest
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, RESUME

from langgraph_checkpoint_s3 import (
    CorruptObjectError,
    InvalidConfigError,
    InvalidKeyError,
    S3Saver,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.s3.requests import DeleteObjects, ListObjects, PutObject
from tests.admin.bulk.batch_items import chain, errors, item
from tests.plans.borrowers import eager
from tests.support.checkpoints import make_checkpoint, place, put_chain, shown
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver
from tests.support.hooks import failing


class TestPut:
    def test_puts_keep_all_of_an_item(self, fake: FakeS3) -> None:
        writes = [("b", "c", 1), ("b", "c", 2), ("a", "d", [3])]
        items = [*chain(5, writes=writes), item("0009", thread="u", ns="inner|1")]
        results = S3Admin(make_saver(fake)).batch_put(iter(items), concurrency=2)
        assert [result.index for result in results] == list(range(6))
        assert all(result.ok for result in results)
        assert [result.value for result in results] == [each.config for each in items]
        assert [result.item for result in results] == [each.config for each in items]
        reader = make_saver(fake)
        for each in items:
            assert shown(reader.get_tuple(each.config)) == shown(each)

    def test_tasks_keep_their_order_and_special_writes_their_slots(self, fake: FakeS3) -> None:
        writes = [
            ("z", INTERRUPT, "asked"),
            ("z", "c", 1),
            ("a", "c", 2),
            ("z", RESUME, "told"),
            ("z", "c", 3),
            ("m", ERROR, "broke"),
        ]
        saver = make_saver(fake)
        S3Admin(saver).batch_put([item("0001", writes=writes)])
        found = saver.get_tuple(place("t"))
        assert found is not None
        expected = [
            ("z", RESUME, "told"),
            ("z", INTERRUPT, "asked"),
            ("z", "c", 1),
            ("z", "c", 3),
            ("a", "c", 2),
            ("m", ERROR, "broke"),
        ]
        assert found.pending_writes == expected
        # LangGraph saves a task's list of writes again, regular ones from slot 0 on: nothing doubles.
        saver.put_writes(place("t", "0001"), [("c", 1), ("c", 3)], "z", "~__pregel_pull, z")
        assert shown(saver.get_tuple(place("t")))[4] == expected

    @pytest.mark.parametrize("borrow", [True, False])
    def test_it_costs_as_much_as_single_puts(self, borrow: bool) -> None:
        values = {"big": random.Random(0).randbytes(40_000)}
        items = [
            item(f"{n:04}", f"{n - 1:04}" if n else None, values=values, writes=[("t", "c", n)])
            for n in range(6)
        ]
        one, other = FakeS3(), FakeS3()
        saver = make_saver(one, borrow=borrow)
        with one.counted() as expected:
            for each in items:
                parent = each.parent_config or place("t")
                saver.put_writes(each.config, [("c", each.pending_writes[0][2])], "t", "~00000000")  # type: ignore[index]  # it has some
                saver.put(parent, each.checkpoint, each.metadata, each.checkpoint["channel_versions"])
        with other.counted() as count:
            S3Admin(make_saver(other, borrow=borrow)).batch_put(items)
        assert count.kinds == expected.kinds
        assert count.kinds["PutObject"] == 12
        assert one.keys() == other.keys()
        assert sum(len(each.data) for each in other.objects.values()) == pytest.approx(
            sum(len(each.data) for each in one.objects.values()), abs=64
        )
        # Without borrowing nothing waits for its parent: all writes, then all checkpoints.
        assert count.round_trips == (7 if borrow else 2)

    def test_writes_come_before_their_checkpoint(self, fake: FakeS3) -> None:
        with fake.counted() as count:
            S3Admin(make_saver(fake)).batch_put(chain(3, writes=[("t", "c", 1)]), concurrency=2)
        order = [request.key.rpartition("/") for request in count.requests if isinstance(request, PutObject)]
        for folder in {folder for folder, _, _ in order}:
            leaves = [leaf.partition(".")[0] for path, _, leaf in order if path == folder]
            assert leaves == ["writes", "checkpoint"]

    def test_again_nothing_is_doubled(self, fake: FakeS3) -> None:
        items = chain(4, writes=[("a", "c", 1), ("a", INTERRUPT, 2), ("b", "c", 3)])
        admin = S3Admin(make_saver(fake))
        admin.batch_put(items)
        keys = fake.keys()
        for saver in (admin, S3Admin(make_saver(fake))):
            assert all(result.ok for result in saver.batch_put(items))
            assert fake.keys() == keys

    def test_a_child_borrows_from_its_parent_in_the_same_window(self, fake: FakeS3) -> None:
        values = {"big": random.Random(0).randbytes(40_000)}
        items = [item(f"{n:04}", f"{n - 1:04}" if n else None, values=values) for n in range(8)]
        S3Admin(make_saver(fake)).batch_put(items)
        assert sum(len(each.data) for each in fake.objects.values()) < 60_000
        for each in items:
            assert shown(make_saver(fake).get_tuple(each.config)) == shown(each)

    def test_a_checkpoint_that_comes_twice_waits_for_itself(self, fake: FakeS3) -> None:
        twice = item("0001")
        results = S3Admin(make_saver(fake, borrow=False)).batch_put([twice, twice])
        assert [result.value for result in results] == [twice.config] * 2
        assert len(fake.keys()) == 1

    @pytest.mark.parametrize("concurrency", [0, -1, True, 1.5])
    def test_an_invalid_concurrency(self, saver: S3Saver, concurrency: Any) -> None:
        admin = S3Admin(saver)
        with pytest.raises(InvalidConfigError, match="concurrency"):
            admin.batch_put([], concurrency=concurrency)
        with pytest.raises(InvalidConfigError, match="concurrency"):
            list(admin.batch_get([], concurrency=concurrency))
        with pytest.raises(InvalidConfigError, match="concurrency"):
            admin.batch_delete([], concurrency=concurrency)


class TestGet:
    def test_each_in_the_order_asked(self, fake: FakeS3) -> None:
        put_chain(make_saver(fake), "t", 5)
        configs = [
            place("t", "00000001"),
            place("t"),
            place("t", "nowhere"),
            place("u"),
            place("t", "00000000"),
        ]
        admin = S3Admin(make_saver(fake))
        with fake.counted() as count:
            results = list(admin.batch_get(configs, concurrency=3))
        found = [result.value.checkpoint["id"] if result.value else None for result in results]
        assert found == ["00000001", "00000004", None, None, "00000000"]
        assert all(result.ok for result in results)
        assert [result.item for result in results] == configs
        assert [result.index for result in results] == [0, 1, 2, 3, 4]
        assert shown(results[0].value) == shown(make_saver(fake).get_tuple(configs[0]))
        assert count.kinds == {"ListObjects": 5, "GetObject": 6}
        assert count.round_trips == 4  # two windows of two

    def test_a_value_that_cannot_be_read_is_its_items_error(self, fake: FakeS3) -> None:
        class Picky(JsonPlusSerializer):
            def loads_typed(self, data: tuple[str, bytes]) -> Any:
                found = super().loads_typed(data)
                if found == "00000001":
                    raise ZeroDivisionError
                return found

        saver = make_saver(fake, serde=Picky())
        for n in range(3):
            S3Admin(saver).batch_put([item(f"{n:08}")])
        results = list(S3Admin(saver).batch_get([place("t", f"{n:08}") for n in range(3)]))
        assert errors(results) == [None, CorruptObjectError, None]


class TestDelete:
    def test_threads_cost_as_much_as_delete_thread(self, fake: FakeS3) -> None:
        for thread in ("a", "b", "c", "d"):
            put_chain(make_saver(fake), thread, 3, writes=2)
        with fake.counted() as count:
            results = S3Admin(make_saver(fake)).batch_delete(["a", "b", "gone", "c"])
        assert [(result.index, result.item, result.value, result.ok) for result in results] == [
            (0, "a", None, True),
            (1, "b", None, True),
            (2, "gone", None, True),
            (3, "c", None, True),
        ]
        assert count.kinds == {"ListObjects": 4, "DeleteObjects": 3}
        assert count.round_trips == 2
        assert {key.partition(".thread")[0] for key in fake.keys("t")} == {"checkpoints/d"}

    def test_checkpoints_go_with_their_writes_and_a_namespace_is_listed_once(self, fake: FakeS3) -> None:
        saver = make_saver(fake)
        put_chain(saver, "t", 5, writes=2)
        put_chain(saver, "t", 3, ns="inner|1")
        going = [place("t", "00000001"), place("t", "00000003"), place("t", "00000000", "inner|1")]
        with fake.counted() as count:
            results = S3Admin(make_saver(fake)).batch_delete([*going, place("t", "nowhere")])
        assert all(result.ok for result in results)
        assert count.kinds["ListObjects"] == 2
        assert count.kinds["DeleteObjects"] == 2
        left = [
            (each.config["configurable"]["checkpoint_ns"], each.checkpoint["id"]) for each in saver.list(None)
        ]
        assert sorted(left) == [
            ("", "00000000"),
            ("", "00000002"),
            ("", "00000004"),
            ("inner|1", "00000001"),
            ("inner|1", "00000002"),
        ]
        assert len(fake.keys("writes")) == 3 * 2 + 2

    def test_a_config_without_the_namespace_is_of_the_root_one(self, fake: FakeS3) -> None:
        put_chain(make_saver(fake), "t", 2)
        put_chain(make_saver(fake), "t", 2, ns="inner|1")
        S3Admin(make_saver(fake)).batch_delete([place("t", "00000001", None)])
        assert len(list(make_saver(fake).list(place("t", ns=None)))) == 3

    def test_borrowers_are_freed_first(self, fake: FakeS3) -> None:
        saver = eager(fake)
        parent: str | None = None
        for n in range(6):
            checkpoint = make_checkpoint(f"{n:08}", {"big": random.Random(0).randbytes(4_000), "n": n})
            saver.put(place("t", parent), checkpoint, {"step": n}, checkpoint["channel_versions"])
            parent = f"{n:08}"
        before = {each.checkpoint["id"]: shown(each) for each in make_saver(fake).list(place("t"))}
        results = S3Admin(eager(fake)).batch_delete([place("t", "00000000"), place("t", "00000002")])
        assert all(result.ok for result in results)
        after = {each.checkpoint["id"]: shown(each) for each in make_saver(fake).list(place("t"))}
        assert after == {name: each for name, each in before.items() if name not in ("00000000", "00000002")}

    def test_a_thread_takes_its_checkpoints_along(self, fake: FakeS3) -> None:
        put_chain(make_saver(fake), "t", 4)
        with fake.counted() as count:
            results = S3Admin(make_saver(fake)).batch_delete([place("t", "00000001"), "t", "t"])
        assert [result.ok for result in results] == [True] * 3
        assert count.kinds == {"ListObjects": 1, "DeleteObjects": 1}
        assert fake.keys() == []

    def test_a_bad_item_is_its_own_error(self, fake: FakeS3) -> None:
        put_chain(make_saver(fake), "t", 2)
        put_chain(make_saver(fake), "u", 2)
        [stuck] = fake.keys("checkpoints/u.thread/.ns/cfcfcfcfcfcfcfcez/checkpoint")
        fake.undeletable[stuck] = ("InternalError", "try again")
        items: list[Any] = [place("t"), "", {}, None, place("u", "00000001"), place("t", "00000000")]
        results = S3Admin(make_saver(fake)).batch_delete(items)
        assert errors(results) == [
            InvalidKeyError,
            InvalidKeyError,
            InvalidKeyError,
            InvalidKeyError,
            StorageUnavailableError,
            None,
        ]
        assert "To delete a thread, give its id" in str(results[0].error)
        assert [each.checkpoint["id"] for each in make_saver(fake).list(place("t"))] == ["00000001"]

    def test_all_that_share_a_namespace_share_its_error(self, fake: FakeS3) -> None:
        put_chain(make_saver(fake), "t", 3)
        fake.hook = failing(DeleteObjects)
        results = S3Admin(make_saver(fake)).batch_delete(
            [place("t", "00000001"), place("t", "00000002"), place("u", "1")]
        )
        assert errors(results) == [StorageUnavailableError, StorageUnavailableError, None]

    def test_many_items_of_a_namespace_are_one_listing(self, fake: FakeS3) -> None:
        put_chain(make_saver(fake), "t", 60, writes=0)
        configs = [place("t", f"{n:08}") for n in range(60)]
        with fake.counted() as count:
            S3Admin(make_saver(fake)).batch_delete(configs, concurrency=2)
        assert sum(isinstance(request, ListObjects) for request in count.requests) == 1
        assert fake.keys() == []
