"""Migrations over the wire from SQLite, memory and another prefix, and graphs continued afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.types import Command

from langgraph_checkpoint_s3.admin.migration.migrate import MigrationError
from tests.contract.admin.drivers import async_mostly, async_only, sync_mostly, sync_only
from tests.contract.front import Front
from tests.contract.support import MakeCalls, MakeSaver, Place, at
from tests.contract.test_graphs import Runner, asking, plain, shape, skip_where_langgraph_cannot
from tests.support.checkpoints import place as config_of
from tests.support.checkpoints import put_chain, shown
from tests.support.histories import around, ask, assert_equal, run_graphs


@pytest.fixture
def sqlite() -> Iterator[SqliteSaver]:
    with SqliteSaver.from_conn_string(":memory:") as saver:
        yield saver


class TestMigration:
    @async_only
    def test_graphs_in_sqlite(
        self, make_admin: MakeCalls, make_saver: MakeSaver, sqlite: SqliteSaver, place: Place
    ) -> None:
        run_graphs(sqlite, turns=1, tasks=3)
        reported: list[tuple[int, int | None]] = []
        done = make_admin().migrate(sqlite, progress=lambda *each: reported.append(each))
        assert (done.threads, done.skipped, done.failed) == (6, 0, 0)
        assert reported[-1] == (done.checkpoints, done.checkpoints)
        assert assert_equal(sqlite, make_saver()) == done.checkpoints
        before = place.objects()
        assert make_admin().migrate(sqlite).skipped == done.checkpoints
        assert place.objects() == before

    def test_a_graph_goes_on_where_it_was(
        self, make_admin: MakeCalls, make_saver: MakeSaver, sqlite: SqliteSaver, driver: str
    ) -> None:
        skip_where_langgraph_cannot(driver)
        ask(sqlite)
        make_admin().migrate(sqlite)
        saver = make_saver()
        played: list[Any] = []
        for where, asynchronous in ((sqlite, False), (saver, driver == "async")):
            log: list[Any] = []
            for builder, threads in ((asking(), ("asker", "asker/half-way")), (around(), ("nested",))):
                runner = Runner(builder, where, asynchronous=asynchronous)
                try:
                    for thread in threads:
                        log.append(shape(runner.state(at(thread))))
                        answers = (runner.invoke(Command(resume=text), at(thread)) for text in ("one", "two"))
                        log += [plain(answer) for answer in answers]
                        log += [shape(each) for each in runner.history(at(thread))]
                finally:
                    runner.end()
            played.append(log)
        assert played[0] == played[1]

    @async_only
    def test_an_async_saver(self, make_admin: MakeCalls, make_saver: MakeSaver, tmp_path: Path) -> None:
        admin = make_admin()
        path = str(tmp_path / "checkpoints.sqlite")
        with SqliteSaver.from_conn_string(path) as sqlite:
            put_chain(sqlite, "t", 5, writes=2)
            put_chain(sqlite, "t", 2, ns="inner|1")

            async def move() -> Any:
                async with AsyncSqliteSaver.from_conn_string(path) as source:
                    return await admin.saver.amigrate(source)

            assert admin.run(move()).checkpoints == 7
            assert_equal(sqlite, make_saver())

    @async_mostly
    def test_memory(self, make_admin: MakeCalls, make_saver: MakeSaver) -> None:
        source = InMemorySaver()
        put_chain(source, "t", 3, writes=2)
        put_chain(source, "u", 2)
        assert make_admin().migrate(source, ["u"]).checkpoints == 2
        assert make_admin().migrate(source, concurrency=1).skipped == 2
        assert_equal(source, make_saver())

    @sync_mostly
    def test_another_s3_saver(self, make_admin: MakeCalls, make_saver: MakeSaver) -> None:
        source = make_saver(prefix="old/")
        put_chain(source, "t", 5, values={"big": "state " * 5_000}, writes=2)
        make_admin(prefix="new/").migrate(make_saver(prefix="old/"))
        assert_equal(source, make_saver(prefix="new/"))

    @sync_only
    def test_delta_channels_are_rebuilt_alike(
        self, make_admin: MakeCalls, make_saver: MakeSaver, sqlite: SqliteSaver
    ) -> None:
        put_chain(sqlite, "t", 1, seed={"d": ["seed"]}, writes=3)
        put_chain(sqlite, "t", 6, first=1, writes=3)
        make_admin().migrate(sqlite)
        wanted = sqlite.get_delta_channel_history(config=at("t"), channels=["d"])
        assert len(wanted["d"]["writes"]) == 18
        assert make_saver().get_delta_channel_history(config=at("t"), channels=["d"]) == wanted

    @async_only
    def test_differences_are_reported(
        self, make_admin: MakeCalls, make_saver: MakeSaver, sqlite: SqliteSaver, front: Front
    ) -> None:
        put_chain(sqlite, "t", 3)
        admin = make_admin()
        admin.migrate(sqlite)
        make_saver().put_writes(config_of("t", "00000001"), [("c", 1)], "another task")
        with pytest.raises(
            MigrationError, match=r"1 checkpoints weren't moved, .* which tasks wrote"
        ) as caught:
            admin.migrate(sqlite)
        assert caught.value.migrated is not None
        assert caught.value.migrated.skipped == 2
        front.reset()
        assert admin.migrate(sqlite, verify=False).skipped == 3
        assert front.counts() == {"ListObjectsV2": 1}
        assert (
            shown(make_saver().get_tuple(config_of("t", "00000002")))[2]
            == shown(sqlite.get_tuple(config_of("t", "00000002")))[2]
        )
