"""Migrations from a Postgres of the tests' own, by the command line and by coroutines.

Skipped, with the reason, where Postgres isn't installed (Debian's package `postgresql`).
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import psycopg.sql
import pytest
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.store.base import PutOp
from langgraph.store.postgres import PostgresStore
from langgraph.store.postgres.aio import AsyncPostgresStore
from langgraph.types import Command

from benchmarks import postgres
from benchmarks.environments import InstallError
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.memory import S3Store
from tests.cli.conftest import run
from tests.contract.support import MakeSaver, Place, at
from tests.contract.test_graphs import Runner, asking, plain, shape
from tests.support.checkpoints import put_chain
from tests.support.histories import around, assert_equal, run_graphs, small


@pytest.fixture(scope="module")
def postgres_server() -> str:
    try:
        return postgres.server()
    except InstallError as reason:
        pytest.skip(str(reason))


@pytest.fixture
def database(postgres_server: str) -> str:
    """An empty database's connection string, with the password that strangers would need."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(f"{postgres_server}/postgres", autocommit=True) as connection:
        connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name)))
    return f"{postgres_server.replace('@', ':sesame@')}/{name}"


@pytest.fixture
def source(database: str) -> Iterator[PostgresSaver]:
    with PostgresSaver.from_conn_string(database) as saver:
        saver.setup()
        yield saver


def migrate(place: Place, *arguments: str) -> Any:
    """Run `langgraph-s3 migrate`; its answer, or what it said when it failed."""
    uri = f"s3://{place.bucket}?endpoint_url={place.server.endpoint_url}&region={place.server.region}"
    ran = run("migrate", "--uri", uri, "--json", *arguments)
    return ran.data if ran.code == 0 else ran.err


def test_what_graphs_left_comes_over_by_the_command_line(
    place: Place, make_saver: MakeSaver, source: PostgresSaver, database: str
) -> None:
    run_graphs(source)
    small(source)
    put_chain(source, "delta", 1, seed={"d": ["seed"]}, writes=3)
    put_chain(source, "delta", 6, first=1, writes=3)
    count = sum(1 for _ in source.list(None))
    assert migrate(place, database, "--dry-run") == {"dry_run": True, "threads": 9, "checkpoints": count}
    assert place.listing() == []
    done = migrate(place, database)
    assert (done["threads"], done["checkpoints"], done["failed"]) == (9, count, 0)
    saver = make_saver()
    assert assert_equal(source, saver) == count
    namespaces = {each.config["configurable"]["checkpoint_ns"] for each in saver.list(None)}
    assert {"", "inner|1"} < namespaces  # made ones, and those of the graphs' subgraphs
    wanted = source.get_delta_channel_history(config=at("delta"), channels=["d"])
    assert len(wanted["d"]["writes"]) == 18
    assert saver.get_delta_channel_history(config=at("delta"), channels=["d"]) == wanted
    before = place.objects()
    assert migrate(place, database)["skipped"] == count
    assert place.objects() == before


def test_graphs_go_on_as_they_would_have_in_postgres(
    place: Place, make_saver: MakeSaver, source: PostgresSaver, database: str
) -> None:
    run_graphs(source, turns=1, tasks=3)
    migrate(place, database)
    saver = make_saver()
    played: list[Any] = []
    for where in (source, saver):
        log: list[Any] = []
        for builder, threads in ((asking(), ("asker", "asker/half-way")), (around(), ("nested",))):
            runner = Runner(builder, where, asynchronous=False)
            for thread in threads:
                log.append(shape(runner.state(at(thread))))
                log += [plain(runner.invoke(Command(resume=text), at(thread))) for text in ("one", "two")]
                log += [shape(each) for each in runner.history(at(thread))]
        played.append(log)
    assert played[0] == played[1]


def test_the_async_saver(make_saver: MakeSaver, source: PostgresSaver, database: str) -> None:
    run_graphs(source, turns=1, tasks=3)
    saver = make_saver()

    async def move() -> Any:
        async with AsyncPostgresSaver.from_conn_string(database) as there:
            return await S3Admin(saver).amigrate(there)

    assert asyncio.run(move()).failed == 0
    assert_equal(source, saver)


@pytest.mark.usefixtures("postgres_server")
def test_a_database_that_cannot_be_read_is_one_line_without_its_password(place: Place, database: str) -> None:
    empty = migrate(place, database)
    assert "UndefinedTable" in empty
    nobody = migrate(place, database.replace("postgres:sesame", "nobody:sesame"))
    assert 'role "nobody" does not exist' in json.loads(nobody)["error"]
    for said in (empty, nobody):
        assert said.count("\n") == 1
        assert "sesame" not in said
    assert place.listing() == []


def test_long_term_memory(place: Place, make_saver: MakeSaver, database: str) -> None:
    """Items of one statement have the same time, so that Postgres may show them in any order."""
    names = [("users", "ada"), ("users", "adam"), ("users", "ada", "notes")]
    puts = [PutOp(name, str(number), {"n": number}) for name in names for number in range(600)]
    with PostgresStore.from_conn_string(database) as source:
        source.setup()
        source.batch(puts)
        assert migrate(place, database, "--memories", "--dry-run") == {"dry_run": True, "namespaces": 3}
        done = migrate(place, database, "--memories")
        assert (done["items"], done["written"]) == (1_800, 1_800)
        expected = {(item.namespace, item.key): item for item in source.search((), limit=9_999)}
    store = S3Store(saver=make_saver())
    found = store.search((), limit=9_999)
    assert {(item.namespace, item.key) for item in found} == expected.keys()
    for item in found:
        original = expected[item.namespace, item.key]
        assert (item.value, item.updated_at) == (original.value, original.updated_at)

    async def again() -> Any:
        async with AsyncPostgresStore.from_conn_string(database) as there:
            return await S3Admin(store.saver).amigrate_memories(there, ("users", "ada"))

    assert asyncio.run(again()).unchanged == 1_200
