"""Batches on a fake S3: windows, progress, errors of the caller's code, and bounded memory."""

from __future__ import annotations

import asyncio
import gc
import random
import tracemalloc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_checkpoint_s3 import (
    InvalidKeyError,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.s3.requests import PutObject, Request, Stored
from tests.admin.bulk.batch_items import chain, item
from tests.support.checkpoints import place
from tests.support.fake_s3 import FakeS3, Moment
from tests.support.fake_store import make_saver
from tests.support.hooks import failing


class TestProgressAndErrorsOfTheUser:
    def test_progress(self, fake: FakeS3) -> None:
        reported: list[tuple[int, int | None]] = []
        admin = S3Admin(make_saver(fake))

        def note(done: int, total: int | None) -> None:
            reported.append((done, total))

        admin.batch_put(chain(5), concurrency=2, progress=note)
        assert reported == [(2, 5), (4, 5), (5, 5)]
        reported.clear()
        assert len(list(admin.batch_get((place("t") for _ in range(3)), concurrency=2, progress=note))) == 3
        assert reported == [(2, None), (3, None)]
        reported.clear()
        admin.batch_delete(["a", "b", "c"], concurrency=2, progress=note)
        assert reported == [(2, 3), (3, 3)]
        reported.clear()
        assert admin.batch_put([], progress=note) == []
        assert reported == []

    def test_an_error_of_the_iterable_is_raised_after_its_items(self, fake: FakeS3) -> None:
        def giving() -> Iterator[CheckpointTuple]:
            yield from chain(3)
            raise LookupError("the cursor is gone")

        with pytest.raises(LookupError, match="the cursor is gone"):
            S3Admin(make_saver(fake)).batch_put(giving(), concurrency=2)
        assert len(fake.keys()) == 3
        ids: list[str] = []
        with pytest.raises(LookupError):
            ids.extend(
                str(each.value and each.value.checkpoint["id"])
                for each in S3Admin(make_saver(fake)).batch_get(
                    (each.config for each in giving()), concurrency=2
                )
            )
        assert ids == ["0000", "0001", "0002"]

    def test_a_callback_that_fails_raises_once_the_window_is_done(self, fake: FakeS3) -> None:
        def broken(done: int, total: int | None) -> None:
            raise LookupError("no terminal")

        with pytest.raises(LookupError, match="no terminal"):
            S3Admin(make_saver(fake)).batch_put(chain(5), concurrency=2, progress=broken)
        assert len(fake.keys()) == 2

    def test_items_are_taken_a_window_at_a_time(self, fake: FakeS3) -> None:
        taken: list[str] = []

        def giving() -> Iterator[Any]:
            for each in chain(6):
                taken.append(each.checkpoint["id"])
                yield each.config

        S3Admin(make_saver(fake)).batch_put(chain(6))
        reading = S3Admin(make_saver(fake)).batch_get(giving(), concurrency=2)
        assert taken == []
        next(reading)
        assert len(taken) == 2

    @pytest.mark.parametrize("one", ["thread-1", {"configurable": {"thread_id": "t"}}])
    def test_one_item_is_not_taken_for_many(self, fake: FakeS3, one: Any) -> None:
        make_saver(fake).put_writes(place("h", "1"), [("c", 1)], "t")  # a thread with the name of a letter
        admin = S3Admin(make_saver(fake))
        with pytest.raises(InvalidKeyError, match="put it in a list"):
            admin.batch_delete(one)
        with pytest.raises(InvalidKeyError, match="put it in a list"):
            list(admin.batch_get(one))
        assert len(fake.keys()) == 1

    @pytest.mark.parametrize("kind", [KeyboardInterrupt, asyncio.CancelledError, RuntimeError])
    def test_other_exceptions_end_the_batch(self, fake: FakeS3, kind: type[BaseException]) -> None:
        def hook(moment: Moment, request: Request[Any]) -> None:
            if moment == "before" and isinstance(request, PutObject) and ".s2" in request.key:
                raise kind

        fake.hook = hook
        with pytest.raises(kind):
            S3Admin(make_saver(fake, borrow=False)).batch_put(chain(8), concurrency=4)
        assert len(fake.keys()) == 3  # the others of its window were under way


class Watched(dict[str, Any]):
    """A checkpoint that counts its live instances."""

    alive = 0
    most = 0

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        Watched.alive += 1
        Watched.most = max(Watched.most, Watched.alive)
        weakref.finalize(self, self._gone).atexit = False

    @staticmethod
    def _gone() -> None:
        Watched.alive -= 1


def watched(count: int, **values: Any) -> Iterator[CheckpointTuple]:
    Watched.alive = Watched.most = 0
    for n in range(count):
        made = item(f"{n:08}", f"{n - 1:08}" if n else None, values=values, writes=[("t", "c", n)])
        checkpoint: Any = Watched(made.checkpoint)
        yield made._replace(checkpoint=checkpoint)


class Sink(FakeS3):
    """A fake that discards objects."""

    def put(self, key: str, data: bytes, tag: str | None = None) -> Stored:
        return Stored("etag")


class TestMemory:
    @pytest.mark.parametrize("values", [{"v": 1}, {"v": object()}], ids=["good", "bad"])
    def test_items_are_released_window_by_window(self, fake: FakeS3, values: dict[str, Any]) -> None:
        gc.disable()  # what only the collector could free would show
        try:
            results = S3Admin(make_saver(fake)).batch_put(watched(200, **values), concurrency=8)
            assert len(results) == 200
            assert {result.ok for result in results} == {values == {"v": 1}}
            assert 8 <= Watched.most <= 8 + 1
            assert Watched.alive <= 1
        finally:
            gc.enable()

    def test_errors_of_requests_hold_no_bodies(self, fake: FakeS3) -> None:
        fake.hook = failing(PutObject)
        gc.disable()
        try:
            results = S3Admin(make_saver(fake)).batch_put(watched(100, v=1), concurrency=8)
            assert {type(result.error) for result in results} == {StorageUnavailableError}
            assert 8 <= Watched.most <= 8 + 1
            assert Watched.alive <= 1
        finally:
            gc.enable()

    def test_an_error_that_the_caller_handles_keeps_its_traceback(self, fake: FakeS3) -> None:
        fake.hook = failing(PutObject)
        try:
            raise ZeroDivisionError
        except ZeroDivisionError as error:
            handled = error
            [result] = S3Admin(make_saver(fake)).batch_put(watched(1, v=1))
        assert isinstance(result.error, StorageUnavailableError)
        assert result.error.__traceback__ is None
        assert handled.__traceback__ is not None

    def test_the_peak_does_not_grow_with_the_number(self) -> None:
        size = 50_000
        noise = random.Random(0)

        def items(count: int) -> Iterator[CheckpointTuple]:
            for n in range(count):
                values = {"big": noise.randbytes(size)}
                yield item(f"{n:08}", f"{n - 1:08}" if n else None, values=values)

        def peak(count: int) -> int:
            admin = S3Admin(make_saver(Sink(), cache_bytes=1_000_000))
            tracemalloc.start()
            try:
                assert all(result.ok for result in admin.batch_put(items(count), concurrency=4))
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

        peak(20)  # what is loaded and made only once
        small, large = peak(40), peak(240)  # the cache is full after 20
        assert large - small < 40 * size  # of the 200 more; their results are small

    def test_states_that_were_read_are_released(self, fake: FakeS3) -> None:
        class Watching(JsonPlusSerializer):
            def loads_typed(self, data: tuple[str, bytes]) -> Any:
                found = super().loads_typed(data)
                return Watched({"v": found}) if found == "state" else found

        saver = make_saver(fake, serde=Watching())
        S3Admin(saver).batch_put([item(f"{n:04}", values={"v": "state"}) for n in range(60)])
        Watched.alive = Watched.most = 0
        for result in S3Admin(saver).batch_get([place("t", f"{n:04}") for n in range(60)], concurrency=4):
            assert result.ok
            assert Watched.alive <= 2 * 4
        assert 0 < Watched.most <= 2 * 4
