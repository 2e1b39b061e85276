"""Failures of migrations to a fake S3: differences, reports, and bounded memory."""

from __future__ import annotations

import gc
import pickle
import weakref
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from langchain_core.messages import AIMessage
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver

from langgraph_checkpoint_s3 import (
    ConflictError,
    CorruptObjectError,
    InvalidConfigError,
    InvalidKeyError,
    S3CheckpointError,
    S3Saver,
)
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.admin.migration.compare import same
from langgraph_checkpoint_s3.admin.migration.migrate import Migrated, MigrationError
from langgraph_checkpoint_s3.s3.requests import PutObject, Request
from tests.support.checkpoints import make_checkpoint, place, put_chain
from tests.support.fake_s3 import FakeS3, Moment
from tests.support.fake_store import make_saver
from tests.support.histories import everything, small


class Point(NamedTuple):
    x: Any
    y: Any


class Count(int):
    pass


@dataclass
class Data:
    values: dict[str, Any]


@pytest.fixture
def admin(saver: S3Saver) -> S3Admin:
    return S3Admin(saver)


class TestErrors:
    def test_differences_in_the_target_are_reported_and_left(self, fake: FakeS3, source: SqliteSaver) -> None:
        small(source)
        saver = make_saver(fake)
        other = make_checkpoint("00000001", {"n": "another"})
        saver.put(place("t", "00000000"), other, {"source": "loop", "step": 1}, other["channel_versions"])
        saver.put_writes(place("u", "00000001"), [("c", "early")], "task-x")
        before = dict(fake.objects)
        with pytest.raises(MigrationError, match="2 checkpoints weren't moved") as caught:
            S3Admin(make_saver(fake)).migrate(source)
        assert all(fake.objects[key] == each for key, each in before.items())
        done = caught.value.migrated
        assert done is not None
        assert (done.checkpoints, done.skipped, done.failed) == (5, 0, 2)
        [first, second] = sorted(done.failures, key=lambda each: each.thread_id)
        assert (first.thread_id, first.checkpoint_ns, first.checkpoint_id) == ("t", "", "00000001")
        assert isinstance(first.error, ConflictError)
        assert "has this checkpoint already, and it differs" in str(first.error)
        assert isinstance(second.error, CorruptObjectError)  # a write that nobody knew of
        assert "which tasks wrote" in str(second.error)
        assert "00000001 of thread 't'" in str(caught.value)
        # Without verifying, nobody would know.
        assert S3Admin(make_saver(fake)).migrate(source, verify=False).skipped == 7

    @pytest.mark.parametrize(
        ("change", "what"),
        [
            ("UPDATE checkpoints SET parent_checkpoint_id = NULL", "its parent"),
            ("""UPDATE checkpoints SET metadata = '{"source": "loop", "step": 1, "even": true}'""", "'even'"),
            ("UPDATE writes SET channel = 'e'", "what task task-0 wrote"),
            ("UPDATE writes SET task_id = 'task-9'", "which tasks wrote"),
        ],
    )
    def test_differences_are_named(self, fake: FakeS3, source: SqliteSaver, change: str, what: str) -> None:
        put_chain(source, "t", 2)
        S3Admin(make_saver(fake)).migrate(source)
        source.conn.execute(f"{change} WHERE checkpoint_id = '00000001'")
        with pytest.raises(MigrationError, match="differs from the source's") as caught:
            S3Admin(make_saver(fake)).migrate(source)
        [failure] = caught.value.migrated.failures  # type: ignore[union-attr]  # it isn't `None`
        assert what in str(failure.error)

    def test_damage_in_the_store_shows_though_the_cache_has_it_right(
        self, fake: FakeS3, source: SqliteSaver
    ) -> None:
        put_chain(source, "t", 3)
        admin = S3Admin(make_saver(fake))
        admin.migrate(source)
        [key] = fake.keys(".s1")
        stored = fake.objects[key]
        fake.objects[key] = type(stored)(b"garbage" + stored.data[7:], stored.etag, stored.modified)
        with pytest.raises(MigrationError) as caught:
            admin.migrate(source)
        [failure] = caught.value.migrated.failures  # type: ignore[union-attr]  # it isn't `None`
        assert isinstance(failure.error, CorruptObjectError)

    def test_damage_of_what_is_borrowed_shows_in_all_that_borrow(
        self, fake: FakeS3, source: SqliteSaver
    ) -> None:
        put_chain(source, "t", 4, values={"big": "0123456789" * 5_000}, writes=0)
        admin = S3Admin(make_saver(fake, compression="none"))
        admin.migrate(source)
        with fake.counted() as count:
            assert admin.migrate(source).skipped == 4
        assert count.kinds == {"ListObjects": 5, "GetObject": 4 + 3}  # and of three what they borrow
        [key] = fake.keys(".s0")
        stored = fake.objects[key]
        damaged = stored.data[:-2000] + bytes(1000) + stored.data[-1000:]
        fake.objects[key] = type(stored)(damaged, stored.etag, stored.modified)
        with pytest.raises(MigrationError) as caught:
            admin.migrate(source)
        assert caught.value.migrated is not None
        assert caught.value.migrated.failed == 4

    def test_a_value_that_the_serializer_does_not_keep(self, fake: FakeS3) -> None:
        class Forgetful(JsonPlusSerializer):
            def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
                return super().dumps_typed("forgotten" if obj == 1 else obj)

        source = InMemorySaver()
        put_chain(source, "t", 3, writes=0)
        with pytest.raises(MigrationError) as caught:
            S3Admin(make_saver(fake, serde=Forgetful())).migrate(source)
        assert caught.value.migrated is not None
        [failure] = caught.value.migrated.failures
        assert failure.checkpoint_id == "00000001"
        assert "reads back other than the source has it: channel 'n'" in str(failure.error)

    def test_an_item_that_cannot_be_put_ends_no_other(self, fake: FakeS3) -> None:
        class Anything(JsonPlusSerializer):
            def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
                return ("kept", repr(obj).encode()) if obj is bad else super().dumps_typed(obj)

            def loads_typed(self, data: tuple[str, bytes]) -> Any:
                return bad if data[0] == "kept" else super().loads_typed(data)

        bad = object()
        source = InMemorySaver(serde=Anything())
        put_chain(source, "t", 2, values={"v": bad})
        put_chain(source, "t", 2, first=2)
        source.put(place("other"), make_checkpoint("i" * 200, {}), {}, {})
        with pytest.raises(MigrationError, match="3 checkpoints weren't moved") as caught:
            S3Admin(make_saver(fake)).migrate(source)
        done = caught.value.migrated
        assert done is not None
        assert done.checkpoints == 2
        assert {each.checkpoint_id: type(each.error) for each in done.failures if each.thread_id == "t"} == {
            "00000000": TypeError,
            "00000001": TypeError,
        }
        [long] = [each.error for each in done.failures if each.thread_id != "t"]
        assert isinstance(long, InvalidKeyError)

    def test_checkpoints_deleted_in_the_source_meanwhile(self, fake: FakeS3, source: SqliteSaver) -> None:
        put_chain(source, "t", 3)

        def hook(moment: Moment, request: Request[Any]) -> None:
            if isinstance(request, PutObject):
                source.conn.execute("DELETE FROM checkpoints WHERE checkpoint_id = '00000002'")

        fake.hook = hook
        with pytest.raises(
            MigrationError, match="00000002 of thread 't': The source has this checkpoint no more"
        ):
            S3Admin(make_saver(fake)).migrate(source)
        assert len(everything(make_saver(fake))) == 2

    def test_only_the_first_hundred_are_kept(self, fake: FakeS3) -> None:
        source = InMemorySaver()
        for number in range(150):
            source.put(place("t"), make_checkpoint(f"{number:0200}", {}), {}, {})
        with pytest.raises(MigrationError, match="and 147 more") as caught:
            S3Admin(make_saver(fake)).migrate(source)
        assert caught.value.migrated is not None
        assert (caught.value.migrated.failed, len(caught.value.migrated.failures)) == (150, 100)

    def test_the_error_survives_another_process(self) -> None:
        error = MigrationError("broke", migrated=Migrated(1, 2, 3, 0, ()))
        copied: MigrationError = pickle.loads(pickle.dumps(error))
        assert issubclass(MigrationError, S3CheckpointError)
        assert (str(copied), copied.migrated, copied.kind) == ("broke", error.migrated, "migration")


class Same:
    """A value without `__eq__`, equal only to itself."""

    def __init__(self, value: int) -> None:
        self.value = value


class Array:
    """A value that compares item by item, as arrays do."""

    def __init__(self, *items: int) -> None:
        self.items = items

    def __eq__(self, other: object) -> Any:
        raise ValueError("the truth value of an array is ambiguous")

    __hash__ = None  # type: ignore[assignment]  # unhashable on purpose


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ({"a": [1, 2]}, {"a": [1, 2]}, True),
        ({"a": [1, 2]}, {"a": [1, 3]}, False),
        ([float("nan")], [float("nan")], True),
        (Same(1), Same(1), True),
        (Same(1), Same(2), False),
        ([Array(1, 2)], [Array(1, 2)], True),
        ([Array(1, 2)], [Array(1, 3)], False),
        (lambda: 1, lambda: 1, False),  # neither can be compared nor serialized
    ],
)
def test_values_are_the_same_if_they_say_so_or_serialize_alike(one: Any, other: Any, equal: bool) -> None:
    assert same(one, other) is equal


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (1, True, False),
        (0, False, False),
        (1, 1.0, False),
        ({"a": [1]}, {"a": [True]}, False),
        ({"a": 1, "b": True}, {"b": 1, "a": 1}, False),
        ({1: "a"}, {True: "a"}, False),
        ({1, 2}, {True, 2}, False),
        ({1}, frozenset({1}), False),
        (Point(1, 2), (1, 2), False),
        (Point(1, 2), Point(True, 2), False),
        (AIMessage("a", response_metadata={"n": 1}), AIMessage("a", response_metadata={"n": True}), False),
        (Data({"a": 1, "b": 1}), Data({"b": 1, "a": True}), False),
        (Data({"a": 1, "b": 1}), Data({"b": 1, "a": 1}), True),
        ((1, (2, 3)), [1, [2, 3]], True),
        ({"a": (1,), "b": Count(2)}, {"b": 2, "a": [1]}, True),
        ({"b", "a", "c"}, {"c", "b", "a"}, True),
    ],
)  # fmt: skip
def test_values_are_compared_as_strictly_as_the_serializer_keeps_types(
    one: Any, other: Any, equal: bool
) -> None:
    assert same(one, other) is equal
    assert same(other, one) is equal


@pytest.mark.parametrize(
    "value",
    [
        *(1, True, 1.0, -0.0, float("nan"), None, "a", b"a", bytearray(b"a"), [bytearray(b"a")], Count(2)),
        *((1, (2,)), [1, [2]], {"a": (1,)}, {(1, 2): 3}, {1, 2}, frozenset({1}), deque([1, (2,)])),
        *(Point(1, (2,)), OrderedDict(a=(1,)), Decimal("1.0"), datetime(2026, 1, 1, tzinfo=timezone.utc)),
        *(Data({"a": (1,)}), AIMessage("a", response_metadata={"n": 1}), ValueError("a")),
    ],
    ids=repr,
)
def test_a_value_is_the_same_after_a_round_trip(value: Any) -> None:
    serde = JsonPlusSerializer(pickle_fallback=True)
    assert same(value, serde.loads_typed(serde.dumps_typed(value)))


class TestMemory:
    def test_few_states_are_held_at_once(self, fake: FakeS3) -> None:
        alive: weakref.WeakSet[Any] = weakref.WeakSet()
        most = 0

        class Watched(set[int]):
            __hash__ = object.__hash__  # type: ignore[assignment]  # hashable again

        class Watching(InMemorySaver):
            def get_tuple(self, config: Any) -> CheckpointTuple | None:
                nonlocal most
                found = super().get_tuple(config)
                assert found is not None
                watched = Watched()
                alive.add(watched)
                most = max(most, len(alive))
                found.config["watched"] = watched  # type: ignore[typeddict-unknown-key]  # a key of the test
                metadata: Any = {**found.metadata, "__watched": watched}
                return found._replace(metadata=metadata)

        class Blind(JsonPlusSerializer):
            def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
                if isinstance(obj, dict):
                    obj = {name: each for name, each in obj.items() if name != "__watched"}
                return super().dumps_typed(obj)

        source = Watching()
        for thread in range(6):
            put_chain(source, f"t{thread}", 30, writes=1)
        gc.disable()
        try:
            with pytest.raises(MigrationError):  # the metadata isn't what the source has, which is fine here
                S3Admin(make_saver(fake, serde=Blind())).migrate(source, concurrency=2)
        finally:
            gc.enable()
        assert 2 <= most <= 4

    def test_a_listing_is_read_to_its_end_before_anything_else(self, admin: S3Admin) -> None:
        class Locking(InMemorySaver):
            busy = False

            def list(self, config: Any, **keywords: Any) -> Iterator[CheckpointTuple]:
                self.busy = True
                yield from super().list(config, **keywords)
                self.busy = False

            def get_tuple(self, config: Any) -> CheckpointTuple | None:
                assert not self.busy
                return super().get_tuple(config)

        source: BaseCheckpointSaver[Any] = Locking()
        small(source)
        assert admin.migrate(source, concurrency=1).checkpoints == 7

    def test_a_limit_is_asked_for(self, admin: S3Admin, monkeypatch: pytest.MonkeyPatch) -> None:
        class Stopping(InMemorySaver):
            """Return at most four without a limit, as the Redis saver returns at most 10,000."""

            def list(
                self, config: Any, *, limit: int | None = None, **keywords: Any
            ) -> Iterator[CheckpointTuple]:
                return super().list(config, limit=limit or 4, **keywords)

        source = Stopping()
        small(source)
        assert admin.migrate(source).checkpoints == 7
        monkeypatch.setattr("langgraph_checkpoint_s3.admin.migration.migrate.MOST", 7)
        with pytest.raises(InvalidConfigError, match="a part of them at a time"):
            admin.migrate(source)
