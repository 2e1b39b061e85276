"""Purging a namespace of long-term memory: no version of an item is left, nor a copy in an index."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from langgraph.store.base import PutOp

from langgraph_checkpoint_s3 import ConflictError, InvalidKeyError
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.memory import S3Store
from langgraph_checkpoint_s3.memory.shelf import STORE, Shelf
from langgraph_checkpoint_s3.s3.requests import CreateUpload
from tests.memory.support import make_store
from tests.support import inside
from tests.support.checkpoints import put_chain
from tests.support.fake_s3 import FakeS3, Moment
from tests.support.fake_store import make_saver

ADA = ("users", "ada")
SECRET = "likes the number 123456789"


@pytest.fixture
def fake() -> FakeS3:
    fake = FakeS3()
    fake.set_versioning("Enabled")
    return fake


def filled(fake: FakeS3) -> S3Store:
    """Return a store with a namespace and others, with old versions, a marker, and indexes above it."""
    store = make_store(fake, compression="none")
    for namespace in (ADA, (*ADA, "notes"), ("users", "adam"), ("users",), ("team",)):
        value = {"text": SECRET if namespace[:2] == ADA else "nothing"}
        store.batch([PutOp(namespace, str(number), value) for number in range(40)])
    store.put(ADA, "0", {"text": "new"})
    store.delete(ADA, "1")
    put_chain(store.saver, "ada", 2)
    make_store(fake, compression="none").search((), limit=1)
    make_store(fake, compression="none").search(("users",), limit=1)
    fake.execute(CreateUpload(Shelf(inside.context(store.saver), STORE).key(ADA, "large")))
    return store


def all_bytes(fake: FakeS3) -> bytes:
    """The bytes of all versions of all objects."""
    kept = [stored.data for versions in fake.versions.values() for _, stored, _ in versions if stored]
    return b"".join([*kept, *(each.data for each in fake.objects.values())])


@pytest.mark.modes("plain", "private")
def test_nothing_is_left_of_a_namespace(fake: FakeS3, mode: str, tmp_path: Path) -> None:
    filled(fake)
    assert (SECRET.encode() in all_bytes(fake)) == (mode == "plain")
    admin = S3Admin(make_saver(fake, compression="none"))
    before = dict(fake.objects)
    found = admin.purge_memories(ADA)
    assert found.dry_run
    assert fake.objects == before
    done = admin.purge_memories(ADA, dry_run=False, receipt=tmp_path / "receipt.json")
    assert (done.thread_id, done.namespace, done.markers, done.exports) == ("", ADA, 1, 0)
    assert done.uploads == 1
    assert done.versions == found.versions == 40 + 40 + 1 + 2
    assert SECRET.encode() not in all_bytes(fake)
    assert not fake.uploads
    assert admin.purge_memories(ADA).versions == 0
    receipt = json.loads((tmp_path / "receipt.json").read_text())
    assert receipt["complete"]
    assert receipt["namespace"] == ["users", "ada"]
    assert {each["kind"] for each in receipt["removed"]} == {"item", "index"}
    fresh = make_store(fake)
    assert fresh.list_namespaces() == [("team",), ("users",), ("users", "adam")]
    assert len(fresh.search((), limit=999)) == 120
    assert len(list(make_saver(fake).list(None))) == 2


def test_everything_as_a_coroutine_in_a_bucket_without_versions() -> None:
    fake = FakeS3()
    filled(fake)
    admin = S3Admin(make_saver(fake))
    assert asyncio.run(admin.apurge_memories((), dry_run=False)).namespace == ()
    assert fake.keys("/.store/") == []
    assert len(list(make_saver(fake).list(None))) == 2


def test_somebody_who_goes_on_writing(fake: FakeS3) -> None:
    store = make_store(fake)
    store.put(ADA, "0", {})

    def hook(moment: Moment, request: object) -> None:
        if moment == "before" and type(request).__name__ == "ListVersions":
            fake.hook, kept = None, fake.hook
            store.put(ADA, "again", {})
            fake.hook = kept

    fake.hook = hook
    with pytest.raises(ConflictError, match="writing to the namespace"):
        S3Admin(make_saver(fake)).purge_memories(ADA, dry_run=False)


def test_a_namespace_is_a_tuple(fake: FakeS3) -> None:
    with fake.counted() as count, pytest.raises(InvalidKeyError, match="labels in a tuple"):
        S3Admin(make_saver(fake)).purge_memories("users", dry_run=False)
    assert not count.requests
