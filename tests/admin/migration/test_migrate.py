"""Migrations to a fake S3: contents, order, skipped checkpoints, and interruptions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt

from langgraph_checkpoint_s3 import (
    BucketNotFoundError,
    InvalidConfigError,
    InvalidKeyError,
    S3Saver,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.admin.migration.migrate import Migrated
from langgraph_checkpoint_s3.s3.requests import GetObject, ListObjects, PutObject, Request
from tests.support.checkpoints import make_checkpoint, place, put_chain, shown
from tests.support.fake_s3 import FakeS3, Moment
from tests.support.fake_store import make_saver
from tests.support.histories import Saver, assert_equal, everything, fill, small
from tests.support.hooks import failing


@pytest.fixture
def admin(saver: S3Saver) -> S3Admin:
    return S3Admin(saver)


class TestAllKindsOfCheckpoints:
    def test_they_compare_equal_and_are_skipped_the_next_time(
        self, fake: FakeS3, source: SqliteSaver
    ) -> None:
        fill(source, 200)
        reported: list[tuple[int, int | None]] = []
        done = S3Admin(make_saver(fake)).migrate(source, progress=lambda *each: reported.append(each))
        assert done == Migrated(threads=11, checkpoints=200, skipped=0, failed=0, failures=())
        assert reported[-1] == (200, 200)
        assert assert_equal(source, make_saver(fake)) == 200
        before = dict(fake.objects)
        for verify in (True, False):
            with fake.counted() as count:
                done = S3Admin(make_saver(fake)).migrate(source, verify=verify)
            assert done == Migrated(threads=11, checkpoints=0, skipped=200, failed=0, failures=())
            assert "PutObject" not in count.kinds
            assert verify or count.kinds == {"ListObjects": 11}
        assert fake.objects == before

    def test_migrated_checkpoints_borrow_like_new_ones(self, source: SqliteSaver) -> None:
        put_chain(source, "t", 50, values={"big": "0123456789" * 5_000}, writes=0)
        sizes = []
        for borrow in (True, False):
            fake = FakeS3()
            S3Admin(make_saver(fake, compression="none", borrow=borrow)).migrate(source)
            sizes.append(sum(len(each.data) for each in fake.objects.values()))
        assert sizes[0] * 10 < sizes[1]


class TestSources:
    def test_chosen_threads(self, fake: FakeS3, source: SqliteSaver) -> None:
        small(source)
        reported: list[tuple[int, int | None]] = []
        done = S3Admin(make_saver(fake)).migrate(
            source, (each for each in ["u", "gone", "u"]), progress=lambda *each: reported.append(each)
        )
        assert done == Migrated(threads=1, checkpoints=2, skipped=0, failed=0, failures=())
        assert reported[-1] == (2, None)
        assert {each[0] for each in everything(make_saver(fake))} == {"u"}

    def test_more_threads_than_are_moved_side_by_side(self, fake: FakeS3, source: SqliteSaver) -> None:
        for n in range(7):
            put_chain(source, f"t{n}", n + 1)
        assert S3Admin(make_saver(fake)).migrate(source, concurrency=2).threads == 7
        assert_equal(source, make_saver(fake))

    def test_a_source_that_lists_only_named_threads(self) -> None:
        class Silent(InMemorySaver):
            def list(self, config: Any, **keywords: Any) -> Iterator[CheckpointTuple]:
                return super().list(config, **keywords) if config else iter(())

        class Refusing(InMemorySaver):
            def list(self, config: Any, **keywords: Any) -> Iterator[CheckpointTuple]:
                if config is None:
                    raise ValueError("Runnable config must contain thread_id")
                return super().list(config, **keywords)

        for kind in (Silent, Refusing):
            source, admin = kind(), S3Admin(make_saver(FakeS3()))
            small(source)
            with pytest.raises(InvalidConfigError, match="Pass thread_ids"):
                admin.migrate(source)
            assert admin.migrate(source, ["t"]).threads == 1

    def test_one_that_lists_the_root_namespace_unless_another_is_named(
        self, fake: FakeS3, admin: S3Admin
    ) -> None:
        class RootOnly(InMemorySaver):
            def list(self, config: Any, **keywords: Any) -> Iterator[CheckpointTuple]:
                if config:
                    config = {"configurable": {"checkpoint_ns": "", **config["configurable"]}}
                return super().list(config, **keywords)

        source = RootOnly()
        small(source)
        assert admin.migrate(source).checkpoints == 7
        assert_equal(source, make_saver(fake))

    def test_one_thread_is_not_taken_for_many(self, admin: S3Admin, source: SqliteSaver) -> None:
        with pytest.raises(InvalidKeyError, match="in a list"):
            admin.migrate(source, "thread-1")

    def test_errors_of_the_source_are_raised(self, fake: FakeS3, source: SqliteSaver) -> None:
        small(source)
        source.conn.execute(
            "UPDATE checkpoints SET checkpoint = x'c1' WHERE thread_id = 't' AND checkpoint_ns = ''"
        )
        with pytest.raises(ValueError, match="invalid type"):
            S3Admin(make_saver(fake)).migrate(source, ["u", "t"], concurrency=1)
        assert {each[0] for each in everything(make_saver(fake))} == {"u"}

    def test_ids_that_savers_keep_as_they_are(self, fake: FakeS3, source: SqliteSaver) -> None:
        for thread in ("a/b", "ü", "..", " ", "a|b:c"):
            put_chain(source, thread, 2, ns="inner:1|x/y")
        S3Admin(make_saver(fake)).migrate(source)
        assert_equal(source, make_saver(fake))

    def test_a_graph_goes_on_from_versions_that_are_numbers(self, fake: FakeS3) -> None:
        """DynamoDB's and MongoDB's savers use the base class's versions: 1, 2, 3."""

        class Numbers(InMemorySaver):
            get_next_version = BaseCheckpointSaver.get_next_version

        builder = StateGraph(MessagesState)
        builder.add_node("ask", lambda _: {"messages": [("ai", interrupt("Sure?"))]})
        builder.add_edge(START, "ask")
        config: Any = {"configurable": {"thread_id": "t"}}
        source = Numbers()
        question: Any = {"messages": [("user", "hello")]}
        builder.compile(checkpointer=source).invoke(question, config)
        saver = make_saver(fake)
        S3Admin(saver).migrate(source)
        graph = builder.compile(checkpointer=saver)
        assert [each.value for each in graph.get_state(config).interrupts] == ["Sure?"]
        said = graph.invoke(Command(resume="yes"), config)["messages"]
        assert [each.content for each in said] == ["hello", "yes"]

    def test_metadata_stays_exactly_as_it_is(self, fake: FakeS3, source: SqliteSaver) -> None:
        checkpoint = make_checkpoint("1", {"v": 1})
        metadata: Any = {"source": "loop", "step": 3, "user": "me", "deep": {"a": [1, None]}, "f": 0.5}
        source.put(place("t"), checkpoint, metadata, {})
        S3Admin(make_saver(fake)).migrate(source)
        found = make_saver(fake).get_tuple(place("t"))
        assert found is not None
        assert found.metadata == metadata


class TestOrder:
    def test_each_request_leaves_the_sources_past(self, fake: FakeS3, source: SqliteSaver) -> None:
        small(source)
        wanted = everything(source)
        puts = 0

        def hook(moment: Moment, request: Request[Any]) -> None:
            nonlocal puts
            if moment == "after" and isinstance(request, PutObject):
                puts += 1
                fake.hook = None
                for thread in ("t", "u"):
                    found = everything_of(make_saver(fake), thread)
                    past = sorted(
                        (each for each in wanted if each[0] == thread), key=lambda each: (each[2], each[1])
                    )
                    assert found == {each: wanted[each] for each in past[: len(found)]}
                fake.hook = hook

        fake.hook = hook
        S3Admin(make_saver(fake)).migrate(source)
        assert puts == len(fake.keys())

    def test_requests_are_counted(self, fake: FakeS3, source: SqliteSaver) -> None:
        put_chain(source, "t", 3, writes=2)
        with fake.counted() as count:
            S3Admin(make_saver(fake)).migrate(source, verify=False)
        assert count.kinds == {"ListObjects": 1, "PutObject": 9}
        assert count.round_trips == 1 + 3 * 2
        other = FakeS3()
        with other.counted() as count:
            S3Admin(make_saver(other)).migrate(source)
        assert count.kinds == {"ListObjects": 4, "PutObject": 9, "GetObject": 9}


def everything_of(saver: Saver, thread: str) -> dict[Any, Any]:
    return {each[0]: each for each in map(shown, saver.list(place(thread, ns=None)))}


class TestBeingCutShort:
    def test_at_every_request_and_going_on(self, source: SqliteSaver) -> None:
        put_chain(source, "t", 2, writes=2)
        put_chain(source, "u", 1)
        whole = FakeS3()
        with whole.counted() as count:
            S3Admin(make_saver(whole)).migrate(source)
        wanted = everything(source)
        for number in range(len(count.requests)):
            for moment in ("before", "after"):
                fake = FakeS3()
                fake.hook = self.interrupting(number, moment)
                with pytest.raises(KeyboardInterrupt):
                    S3Admin(make_saver(fake)).migrate(source)
                fake.hook = None
                left = everything(make_saver(fake))
                assert left == {each: wanted[each] for each in left}
                done = S3Admin(make_saver(fake)).migrate(source)
                assert (done.skipped, done.checkpoints) == (len(left), 3 - len(left))
                assert fake.keys() == whole.keys()
                assert_equal(source, make_saver(fake))

    @staticmethod
    def interrupting(number: int, moment: str) -> Callable[[Moment, Request[Any]], None]:
        seen = 0

        def hook(now: Moment, request: Request[Any]) -> None:
            nonlocal seen
            if now == moment:
                seen += 1
                if seen == number + 1:
                    raise KeyboardInterrupt

        return hook

    def test_a_store_that_fails_ends_it_and_it_goes_on(self, fake: FakeS3, source: SqliteSaver) -> None:
        small(source)
        fake.hook = failing(PutObject, within="u.thread")
        with pytest.raises(StorageUnavailableError):
            S3Admin(make_saver(fake)).migrate(source, concurrency=1)
        fake.hook = None
        assert S3Admin(make_saver(fake)).migrate(source).skipped == 5
        assert_equal(source, make_saver(fake))

    def test_no_bucket(self, fake: FakeS3, source: SqliteSaver) -> None:
        small(source)
        fake.exists = False
        with pytest.raises(BucketNotFoundError):
            S3Admin(make_saver(fake)).migrate(source)

    def test_a_callback_that_fails(self, fake: FakeS3, source: SqliteSaver) -> None:
        small(source)

        def broken(done: int, total: int | None) -> None:
            if done:
                raise LookupError("no terminal")

        with pytest.raises(LookupError):
            S3Admin(make_saver(fake)).migrate(source, progress=broken)
        S3Admin(make_saver(fake)).migrate(source)
        assert_equal(source, make_saver(fake))


def test_verification_reads_from_the_store(fake: FakeS3, source: SqliteSaver) -> None:
    put_chain(source, "t", 2, writes=1)
    with fake.counted() as count:
        S3Admin(make_saver(fake)).migrate(source)
    read = [request.key for request in count.requests if isinstance(request, GetObject)]
    assert sorted(read) == fake.keys()
    assert sum(isinstance(request, ListObjects) for request in count.requests) == 3
