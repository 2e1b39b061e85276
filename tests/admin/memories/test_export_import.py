"""Export of long-term memory to a file and import into another bucket, without overwriting what is newer."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from langgraph_checkpoint_s3 import (
    ConflictError,
    CorruptObjectError,
    DecryptionError,
    InvalidConfigError,
    InvalidKeyError,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.admin import ExportedMemories, ImportedMemories, S3Admin
from langgraph_checkpoint_s3.format.pieces import joined
from langgraph_checkpoint_s3.memory import S3Store
from langgraph_checkpoint_s3.plans.transfer import Sizes
from langgraph_checkpoint_s3.s3.requests import GetObject, PutObject
from tests.memory.support import index, make_store
from tests.plans.borrowers import noise
from tests.plans.helpers import once
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver
from tests.support.hooks import failing
from tests.support.keys import Keys

ADA = ("users", "ada")
BOB = ("users", "bob/é")
HOUR = timedelta(hours=1)
MINUTES = timedelta(minutes=2)


def filled(fake: FakeS3, **settings: Any) -> S3Store:
    """Return a store with items of three namespaces, with vectors, one that expires, and a long name."""
    store = make_store(fake, index=index(fields=["text"]), **settings)
    store.put(ADA, "diet", {"text": "the cat eats"})
    store.put(ADA, "x" * 300, {"text": "red"})
    store.put(BOB, "a/b", {"text": "dog", "n": 1}, ttl=60)
    store.put(("notes",), "large", {"text": "blue", "raw": noise(5_000).hex()})
    return store


def export(fake: FakeS3, namespace: tuple[str, ...] = (), **settings: Any) -> bytes:
    file = io.BytesIO()
    S3Admin(make_saver(fake, **settings)).export_memories(file, namespace)
    return file.getvalue()


def admin_of(fake: FakeS3, **settings: Any) -> S3Admin:
    return S3Admin(make_saver(fake, **settings))


def text_of(store: S3Store) -> str | None:
    item = store.get(ADA, "diet")
    return None if item is None else str(item.value["text"])


def shown(store: S3Store) -> list[Any]:
    """All items, with all that is known of them."""
    return [
        (item.namespace, item.key, item.value, item.updated_at, item.score)
        for query in (None, "the cat")
        for item in store.search((), query=query, limit=99, refresh_ttl=False)
    ]


@pytest.mark.modes
def test_items_go_to_another_bucket_and_prefix(fake: FakeS3) -> None:
    filled(fake)
    target, file = FakeS3(), io.BytesIO(export(fake))
    settings = {"prefix": "other/", "bucket": "other-bucket"}
    target.later = MINUTES
    assert admin_of(target, **settings).import_memories(file) == ImportedMemories(4, 4, 0, 0, ())
    moved = make_store(target, index=index(fields=["text"]), **settings)
    assert shown(moved) == shown(make_store(fake, index=index(fields=["text"])))
    target.later = HOUR - MINUTES
    assert moved.get(BOB, "a/b", refresh_ttl=False)
    target.later = HOUR + MINUTES
    assert moved.get(BOB, "a/b") is None, "it expires when it would have"


@pytest.mark.modes("plain", "private")
def test_one_namespace(fake: FakeS3) -> None:
    filled(fake)
    exported = S3Admin(make_saver(fake)).export_memories(file := io.BytesIO(), ADA)
    assert exported.items == 2
    assert 0 < exported.bytes < len(file.getvalue())
    target = FakeS3()
    assert admin_of(target).import_memories(io.BytesIO(export(fake)), BOB).items == 1
    assert [item.key for item in make_store(target).search(())] == ["a/b"]
    with pytest.raises(InvalidKeyError, match="no items"):
        export(fake, ("users", "a"))


def test_paths_progress_and_coroutines(fake: FakeS3, tmp_path: Path) -> None:
    filled(fake)
    seen: list[Any] = []

    async def scenario() -> tuple[ExportedMemories, ImportedMemories]:
        exported = await admin_of(fake).aexport_memories(
            tmp_path / "m.zip", progress=lambda *each: seen.append(each)
        )
        target = FakeS3()
        return exported, await admin_of(target).aimport_memories(
            tmp_path / "m.zip", progress=lambda *each: seen.append(each)
        )

    exported, imported = asyncio.run(scenario())
    assert (exported.items, imported.written) == (4, 4)
    assert seen == [(4, 4), (4, 4)]
    assert [path.name for path in tmp_path.iterdir()] == ["m.zip"]
    with zipfile.ZipFile(tmp_path / "m.zip") as archive:
        manifest, *names = archive.namelist()
        assert set(json.loads(archive.read(manifest))) == {"format", "version", "exported", "writer"}
    assert "users/ada/diet.item" in names


def test_requests(fake: FakeS3) -> None:
    filled(fake)
    with fake.counted() as count:
        file = export(fake)
    assert (count.kinds, count.round_trips) == ({"ListObjects": 1, "GetObject": 4}, 2)
    target = FakeS3()
    with target.counted() as count:
        admin_of(target).import_memories(io.BytesIO(file))
    assert (count.kinds, count.round_trips) == ({"ListObjects": 1, "PutObject": 4}, 2)
    before = dict(target.objects)
    with target.counted() as count:
        again = admin_of(target).import_memories(io.BytesIO(file))
    assert again == ImportedMemories(4, 0, 4, 0, ())
    assert (count.kinds, count.round_trips) == ({"ListObjects": 1, "GetObject": 4}, 2)
    assert target.objects == before


def test_newer_items_stay_and_older_ones_are_replaced(fake: FakeS3) -> None:
    store = filled(fake)
    old = io.BytesIO(export(fake))
    store.put(ADA, "diet", {"text": "the dog eats"})
    new = io.BytesIO(export(fake))
    assert admin_of(fake).import_memories(old) == ImportedMemories(4, 0, 3, 0, ((ADA, "diet"),))
    assert admin_of(fake).import_memories(old, overwrite=True) == ImportedMemories(4, 1, 3, 0, ())
    assert text_of(store) == "the cat eats"
    assert admin_of(fake).import_memories(new) == ImportedMemories(4, 1, 3, 0, ())
    assert text_of(store) == "the dog eats"


def test_expired_items_stay_behind(fake: FakeS3) -> None:
    store = filled(fake)
    file = export(fake)
    fake.later = HOUR + MINUTES
    assert len(zipfile.ZipFile(io.BytesIO(export(fake))).namelist()) == 4
    target = FakeS3()
    target.later = HOUR + MINUTES
    assert admin_of(target).import_memories(io.BytesIO(file)) == ImportedMemories(4, 3, 0, 1, ())
    store.put(BOB, "a/b", {"n": 2}, ttl=1)
    fake.later += MINUTES
    later = make_store(target)
    later.put(BOB, "a/b", {"n": 3}, ttl=None)
    put_before = export(target)
    assert admin_of(fake).import_memories(io.BytesIO(put_before)).written == 1, "over one that has expired"


def test_a_put_meanwhile_stays(fake: FakeS3) -> None:
    filled(fake)
    file, target = io.BytesIO(export(fake)), FakeS3()
    store = make_store(target)
    target.later = MINUTES

    def another(_: PutObject) -> None:
        target.hook = None
        store.put(ADA, "diet", {"text": "newer"})

    target.hook = once(PutObject, another)
    assert admin_of(target).import_memories(file) == ImportedMemories(4, 3, 0, 0, ((ADA, "diet"),))
    assert text_of(store) == "newer"


def test_a_lost_answer_is_found_out(fake: FakeS3) -> None:
    """The item is there, and the PUT that is sent again is refused: it is our own."""
    filled(fake)
    file, target = io.BytesIO(export(fake)), FakeS3()

    def lost(request: PutObject) -> None:
        target.put(request.key, joined(request.body))

    target.hook = once(PutObject, lost)
    assert admin_of(target).import_memories(file) == ImportedMemories(4, 4, 0, 0, ())


def test_somebody_who_never_stops_writing(fake: FakeS3) -> None:
    filled(fake)
    file, target = io.BytesIO(export(fake, ADA)), FakeS3()
    store = make_store(target)

    def hook(moment: str, request: Any) -> None:
        if moment == "before" and isinstance(request, PutObject) and request.key.endswith("diet.item"):
            target.hook, kept = None, target.hook
            store.put(ADA, "diet", {"text": "again"})
            target.hook = kept

    target.hook = hook
    with pytest.raises(ConflictError, match="stop them"):
        admin_of(target).import_memories(file, overwrite=True)


def test_vectors_fit_the_stores_index(fake: FakeS3) -> None:
    """Those of another length are made anew, and all of them only if it is said."""
    filled(fake)
    file = export(fake)
    asked: list[str] = []

    def embed(texts: list[str]) -> list[list[float]]:
        asked.extend(texts)
        return [[float("cat" in text), 1.0] for text in texts]

    short = {"dims": 2, "embed": embed, "fields": ["text"]}
    target = FakeS3()
    store = make_store(target, index=short)
    S3Admin(store.saver).import_memories(io.BytesIO(file), store=store)
    assert sorted(asked) == ["blue", "dog", "red", "the cat eats"]
    assert store.search((), query="cat")[0].key == "diet"
    asked.clear()
    S3Admin(store.saver).import_memories(io.BytesIO(file), store=store, reembed=True)
    assert asked == [], "they are there already"
    again = S3Admin(store.saver).import_memories(io.BytesIO(file), store=store, reembed=True, overwrite=True)
    assert (again.written, len(asked)) == (4, 4)
    target = FakeS3()
    store = make_store(target, index=index(fields=["text"], embed=lambda texts: pytest.fail("not needed")))
    assert asyncio.run(S3Admin(store.saver).aimport_memories(io.BytesIO(file), store=store)).written == 4
    long = make_store(FakeS3(), index={"dims": 3, "embed": embed})
    with pytest.raises(InvalidConfigError, match="dims=3"):
        S3Admin(long.saver).import_memories(io.BytesIO(file), store=long)


def test_large_items_and_many(fake: FakeS3) -> None:
    sizes = Sizes(multipart_threshold=2_000, part_size=900)
    store = S3Store(saver=make_saver(fake, sizes=sizes))
    for number in range(150):
        store.put(("n",), str(number), {"n": number})
    store.put(("n",), "large", {"raw": noise(5_000).hex()})
    file, target = export(fake, sizes=sizes), FakeS3()
    with target.counted() as count:
        assert S3Admin(make_saver(target, sizes=sizes)).import_memories(io.BytesIO(file)).written == 151
    assert max(len(batch) for batch in count.batches) <= 64
    assert len(make_store(target).search((), limit=999)) == 151
    assert not target.uploads


@pytest.mark.modes("plain", "sealed")
def test_a_damaged_file_is_refused_before_anything_is_written(fake: FakeS3) -> None:
    filled(fake)
    file = export(fake)
    start = file.index(b"users/ada/diet.item")
    damaged = {
        "cut": file[:-10],
        "empty": b"",
        "flipped": file[: start + 60] + bytes([file[start + 60] ^ 1]) + file[start + 61 :],
        "other": zipped({"manifest.json": b"{}"}),
        "newer": zipped({"manifest.json": b'{"format": "langgraph-checkpoint-s3/memories", "version": 2}'}),
        "place": zipped({"manifest.json": manifest(place=1)}),
        "foreign": zipped({"manifest.json": manifest(), "a/b.item": b"x"}),
        "unnamed": zipped({"manifest.json": manifest(), "a/b": b"x"}),
        "twice": rezipped(
            file, lambda name: [name, f"copy/{name}"] if name.endswith("diet.item") else [name]
        ),
    }
    target = FakeS3()
    with target.counted() as count:
        for name, each in damaged.items():
            with pytest.raises((CorruptObjectError, DecryptionError)) as caught:
                admin_of(target).import_memories(io.BytesIO(each))
            assert caught.value.key or name not in ("foreign", "unnamed", "twice")
    assert not count.requests


def manifest(**fields: Any) -> bytes:
    return json.dumps({"format": "langgraph-checkpoint-s3/memories", "version": 1, **fields}).encode()


def zipped(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def rezipped(file: bytes, names: Any) -> bytes:
    """Return an archive with members under other names."""
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        return zipped({new: archive.read(name) for name in archive.namelist() for new in names(name)})


def test_plain_and_encrypted(fake: FakeS3) -> None:
    """A plain file becomes encrypted where the saver encrypts; an encrypted one needs its key."""
    store = filled(fake)
    plain = io.BytesIO(export(fake))
    sealed = FakeS3()
    keys = Keys("k1")
    assert admin_of(sealed, encryption=keys).import_memories(plain).written == 4
    assert not any(b"the cat eats" in each.data for each in sealed.objects.values())
    assert len(make_store(sealed, encryption=keys).search((), limit=9)) == 4
    encrypted = io.BytesIO(export(sealed, encryption=keys))
    target = FakeS3()
    for settings in ({}, {"encryption": Keys("k2")}):
        with target.counted() as count, pytest.raises(DecryptionError):
            admin_of(target, **settings).import_memories(encrypted)
        assert not count.requests
    with pytest.raises(DecryptionError, match="require_encryption"):
        admin_of(target, encryption=keys, require_encryption=True).import_memories(plain)
    rotated = Keys("k2", "k1", names="names")
    assert admin_of(target, encryption=rotated, private_keys=True).import_memories(encrypted).written == 4
    assert store.search(())[0].key
    with pytest.raises(DecryptionError):
        make_store(target, encryption=keys).search(())


def test_a_damaged_item_leaves_no_file(fake: FakeS3, tmp_path: Path) -> None:
    filled(fake)
    fake.put("checkpoints/.store/users/ada/diet.item", b"damaged")
    with pytest.raises(CorruptObjectError) as caught:
        admin_of(fake).export_memories(tmp_path / "m.zip")
    assert caught.value.key == "checkpoints/.store/users/ada/diet.item"
    assert list(tmp_path.iterdir()) == []


def test_items_that_go_meanwhile_are_left_out(fake: FakeS3) -> None:
    filled(fake)

    def gone(_: Any) -> None:
        del fake.objects["checkpoints/.store/users/ada/diet.item"]

    fake.hook = once(GetObject, gone)
    assert admin_of(fake).export_memories(io.BytesIO()).items == 3


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"namespace": "users"}, InvalidKeyError),
        ({"namespace": ("users", "")}, InvalidKeyError),
        ({"namespace": ("users", 1)}, InvalidKeyError),
        ({"reembed": True}, InvalidConfigError),
        ({"file": 1}, InvalidConfigError),
        ({"file": io.StringIO()}, InvalidConfigError),
    ],
    ids=("text", "empty label", "number", "reembed", "no file", "text file"),
)
def test_bad_arguments_send_nothing(fake: FakeS3, arguments: dict[str, Any], error: type[Exception]) -> None:
    admin = admin_of(fake)
    given: dict[str, Any] = {"file": io.BytesIO(), **arguments}
    with fake.counted() as count:
        with pytest.raises(error):
            admin.import_memories(**given)
        if "reembed" not in arguments:
            with pytest.raises(error):
                admin.export_memories(**given)
    assert not count.requests


def test_a_store_of_another_saver(fake: FakeS3) -> None:
    with pytest.raises(InvalidConfigError, match="another saver"):
        admin_of(fake).import_memories(io.BytesIO(), store=make_store(fake))


def test_an_interrupted_import_is_resumed(fake: FakeS3) -> None:
    filled(fake)
    file, target = io.BytesIO(export(fake)), FakeS3()
    target.hook = failing(PutObject, after=2)
    with pytest.raises(StorageUnavailableError):
        admin_of(target, max_attempts=1).import_memories(file)
    target.hook = None
    done = admin_of(target).import_memories(file)
    assert done.written + done.unchanged == 4
    assert len(make_store(target).search((), limit=9)) == 4
