"""Migration of long-term memory from LangGraph's other stores."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from langgraph.store.base import BaseStore, PutOp, SearchItem
from langgraph.store.memory import InMemoryStore

from langgraph_checkpoint_s3 import InvalidConfigError, InvalidKeyError
from langgraph_checkpoint_s3.admin import ImportedMemories, S3Admin
from langgraph_checkpoint_s3.admin.memories import source as source_module
from tests.memory.support import index, make_store
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver

NAMESPACES = [("users", "ada"), ("users", "adam"), ("users", "ada", "notes"), ("team",)]


def fill(store: BaseStore, each: int = 3) -> None:
    store.batch(
        [
            PutOp(namespace, str(number), {"n": number, "text": f"{namespace[-1]} cat {number}"})
            for namespace in NAMESPACES
            for number in range(each)
        ]
    )


def content(store: BaseStore) -> dict[Any, Any]:
    items = store.search((), limit=9_999)
    return {(item.namespace, item.key): (item.value, item.updated_at) for item in items}


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_all_items_with_their_times(
    fake: FakeS3, asynchronous: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_module, "_PAGE", 4)
    source = InMemoryStore()
    fill(source)
    admin = S3Admin(make_saver(fake))
    seen: list[Any] = []

    def migrate() -> ImportedMemories:
        if asynchronous:
            return asyncio.run(admin.amigrate_memories(source, progress=lambda *each: seen.append(each)))
        return admin.migrate_memories(source, progress=lambda *each: seen.append(each))

    assert migrate() == ImportedMemories(12, 12, 0, 0, ())
    assert seen[-1] == (12, None)
    assert content(make_store(fake)) == content(source)
    with fake.counted() as count:
        assert migrate() == ImportedMemories(12, 0, 12, 0, ())
    assert count.kinds == {"ListObjects": 1, "GetObject": 12}
    source.put(("team",), "0", {"n": "new"})
    fake.later = timedelta(days=36_500)
    make_store(fake).put(("team",), "1", {"n": "newer here"})
    source.put(("other",), "9", {})
    assert migrate().kept == ((("team",), "1"),)
    assert make_store(fake).get(("other",), "9")


def test_one_namespace(fake: FakeS3) -> None:
    source = InMemoryStore()
    fill(source)
    assert S3Admin(make_saver(fake)).migrate_memories(source, ("users", "ada")).written == 6
    assert {item.namespace for item in make_store(fake).search((), limit=99)} == {
        ("users", "ada"),
        ("users", "ada", "notes"),
    }


def test_what_a_store_doesnt_tell_is_the_new_ones(fake: FakeS3) -> None:
    """The vectors, and the time to live."""
    source = InMemoryStore(index={"dims": 3, "embed": lambda texts: [[1.0, 2.0, 3.0]] * len(texts)})
    fill(source)
    store = make_store(fake, index=index(fields=["text"]), ttl={"default_ttl": 10})
    S3Admin(store.saver).migrate_memories(source, store=store)
    same = InMemoryStore(index=index(fields=["text"]))
    fill(same)
    for query in ("cat 2", "adam"):
        found, expected = (each.search((), query=query, limit=99) for each in (store, same))
        assert {(item.namespace, item.key): pytest.approx(item.score) for item in expected} == {
            (item.namespace, item.key): item.score for item in found
        }
    fake.later = timedelta(minutes=11)
    assert make_store(fake).search(()) == []


class Unstable(InMemoryStore):
    """Items of the same time come in another order with each page, and prefixes are those of the text."""

    def search(self, namespace_prefix: Any, /, **options: Any) -> list[SearchItem]:
        offset, limit = options["offset"], options["limit"]
        text = ".".join(namespace_prefix)
        found = [
            item for item in super().search((), limit=9_999) if ".".join(item.namespace).startswith(text)
        ]
        random.Random(offset).shuffle(found)
        return found[offset : offset + limit]


def test_a_source_whose_pages_overlap(fake: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "_PAGE", 4)
    source = Unstable()
    fill(source, 9)
    done = S3Admin(make_saver(fake)).migrate_memories(source)
    assert done == ImportedMemories(36, 36, 0, 0, ())
    assert content(make_store(fake)) == {
        (item.namespace, item.key): (item.value, item.updated_at)
        for item in InMemoryStore.search(source, (), limit=99)
    }


def test_a_source_that_knows_no_pages_ends(fake: FakeS3) -> None:
    class Endless(InMemoryStore):
        def search(self, namespace_prefix: Any, /, **options: Any) -> list[SearchItem]:
            return super().search(namespace_prefix, **{**options, "offset": 0})

        def list_namespaces(self, **options: Any) -> list[tuple[str, ...]]:
            return super().list_namespaces(**{**options, "offset": 0})

    source = Endless()
    fill(source)
    assert S3Admin(make_saver(fake)).migrate_memories(source).written == 12


def test_from_sqlite(fake: FakeS3, tmp_path: Path) -> None:
    sqlite = pytest.importorskip("langgraph.store.sqlite")
    with sqlite.SqliteStore.from_conn_string(str(tmp_path / "m.sqlite")) as source:
        source.setup()
        fill(source)
        assert S3Admin(make_saver(fake)).migrate_memories(source).written == 12
        values = {(item.namespace, item.key): item.value for item in source.search((), limit=99)}
    assert {name: value for name, (value, _) in content(make_store(fake)).items()} == values


def test_from_another_bucket(fake: FakeS3) -> None:
    other = FakeS3()
    fill(make_store(other))
    assert S3Admin(make_saver(fake)).migrate_memories(make_store(other, prefix="checkpoints/")).written == 12
    assert content(make_store(fake)) == content(make_store(other))


def test_errors(fake: FakeS3) -> None:
    source = InMemoryStore()
    source.put(tuple("x" * 100 for _ in range(12)), "too long", {})
    with fake.counted() as count:
        with pytest.raises(InvalidKeyError, match="shorten"):
            S3Admin(make_saver(fake)).migrate_memories(source)
        with pytest.raises(InvalidConfigError, match="not S3Saver: `migrate` takes savers"):
            S3Admin(make_saver(fake)).migrate_memories(make_saver(fake))  # type: ignore[arg-type]  # no store
        with pytest.raises(InvalidConfigError, match="another saver"):
            S3Admin(make_saver(fake)).migrate_memories(source, store=make_store(fake))
    assert set(count.kinds) == {"ListObjects"}
