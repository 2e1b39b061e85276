"""An object is read in its own place alone: bucket and prefix if it is encrypted, and always its leaf."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_checkpoint_s3 import (
    CorruptObjectError,
    DecryptionError,
    InvalidConfigError,
    InvalidKeyError,
    NotSupportedError,
    S3CheckpointError,
    S3Saver,
)
from langgraph_checkpoint_s3.admin import S3Admin, dumps, loads
from langgraph_checkpoint_s3.admin.transfer.export_import import Imported
from langgraph_checkpoint_s3.encryption import KeyRing
from langgraph_checkpoint_s3.format.keys import TOMBSTONES
from tests.plans.borrowers import eager, made_eager, noise, opened_key, step
from tests.plans.helpers import get, put
from tests.support import inside
from tests.support.checkpoints import place, put_chain, shown
from tests.support.fake_s3 import BUCKET, FakeS3
from tests.support.fake_store import make_saver
from tests.support.keys import Keys

WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "encrypted": {"encryption": Keys("k1")},
    "hashed names": {"encryption": Keys("k1", names="n"), "private_keys": True},
}
SEALED = ["encrypted", "hashed names"]
KEYS = Keys("k1")


def thread(fake: FakeS3, name: str = "chat", **settings: Any) -> S3Saver:
    """A thread that borrows, with pending writes of one task and of several."""
    saver = made_eager(make_saver(fake, **settings))
    first = step(saver, "01", thread=name, text=noise(3_000), run="one")
    second = step(saver, "02", first, thread=name, n=1, run="two")
    step(saver, "03", second, thread=name, n=2, run="two")
    saver.put_writes(place(name, "03"), [("c", 1)], "task")
    saver.put_writes(place(name, "03"), [("__interrupt__", 1)], "task")
    return saver


def copied(fake: FakeS3, old: str, new: str) -> FakeS3:
    """A bucket's objects under another prefix, as `aws s3 sync` makes them."""
    other = FakeS3()
    for key, each in fake.objects.items():
        other.put(key.replace(old, new), each.data)
    return other


def all_of(fake: FakeS3, name: str = "chat", **settings: Any) -> list[Any]:
    return [shown(each) for each in make_saver(fake, **settings).list(place(name, ns=None))]


# Another prefix, another bucket


@pytest.mark.parametrize("way", SEALED)
@pytest.mark.parametrize(
    "elsewhere", [{"prefix": "tenantB/"}, {"bucket": "another-bucket", "prefix": "tenantA/"}]
)
def test_what_is_encrypted_is_read_in_no_other_bucket_or_prefix(
    fake: FakeS3, way: str, elsewhere: dict[str, str]
) -> None:
    thread(fake, **WAYS[way], prefix="tenantA/")
    other = copied(fake, "tenantA/", elsewhere["prefix"])
    there: dict[str, Any] = {**WAYS[way], **elsewhere}
    saver = make_saver(other, **there)
    with pytest.raises(DecryptionError, match=r"moved here from another place.*encrypted_for") as caught:
        get(saver, place("chat"))
    bucket = elsewhere.get("bucket", BUCKET)
    assert f"s3://{bucket}/{elsewhere['prefix']}" in str(caught.value)
    with pytest.raises(DecryptionError):
        list(saver.list(None))
    saver.delete_thread("chat")
    assert not [key for key in other.objects if TOMBSTONES not in key]


def test_what_is_plain_may_be_moved_with_its_prefix(fake: FakeS3) -> None:
    thread(fake, prefix="a/x/")
    other = copied(fake, "a/x/", "y/")
    assert all_of(other, prefix="y/", bucket="another-bucket") == all_of(fake, prefix="a/x/")


@pytest.mark.parametrize("way", SEALED)
def test_a_replica_is_read_by_the_place_that_it_is_of(fake: FakeS3, way: str) -> None:
    thread(fake, **WAYS[way], prefix="agents/")
    place_of_it = f"s3://{BUCKET}/agents"
    replica = copied(fake, "agents/", "replica/")
    where: dict[str, Any] = {**WAYS[way], "bucket": "replica-bucket", "prefix": "replica/"}
    assert all_of(replica, **where, encrypted_for=place_of_it) == all_of(fake, **WAYS[way], prefix="agents/")
    saver = eager(replica, **where, encrypted_for=f"{place_of_it}/")
    fourth = step(saver, "04", get(saver, place("chat")).checkpoint, thread="chat", n=3)
    back = copied(replica, "replica/", "agents/")
    assert get(make_saver(back, **WAYS[way], prefix="agents/"), place("chat")).checkpoint == fourth
    with pytest.raises(DecryptionError):
        get(make_saver(replica, **where), place("chat"))


@pytest.mark.parametrize(
    "text",
    ["my-bucket/agents", "s3://", "s3:///a", "s3://my-bucket/a//b", "s3://my-bucket/a?region=b", "", "s3"],
)
def test_a_place_that_is_none(fake: FakeS3, text: str) -> None:
    with pytest.raises(InvalidConfigError, match=r"encrypted_for=.*s3://bucket/prefix/"):
        make_saver(fake, encryption=KEYS, encrypted_for=text)


def test_the_same_place_however_it_is_written(fake: FakeS3) -> None:
    thread(fake, encryption=KEYS, prefix="")
    for text in (f"s3://{BUCKET}", f"s3://{BUCKET}/"):
        assert all_of(fake, encryption=KEYS, prefix="", encrypted_for=text)


# Another leaf


def renamed(fake: FakeS3, old: str, new: str, part: str = "") -> str:
    """Rename the object whose key has a text in it, by hand."""
    [key] = [key for key in fake.objects if old in key and part in key]
    other = key.replace(old, new)
    fake.put(other, fake.objects[key].data)
    fake.delete(key)
    return other


@pytest.mark.parametrize("way", ["plain", "encrypted"])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("checkpoint.rone", "checkpoint.rtwo"),
        ("checkpoint.rone", "checkpoint.p00.rone"),
        ("checkpoint.rone", "checkpoint.kloop.rone"),
        (".ttask.w0", ".tother.w0"),
        (".ttask.w0", ".ttask.w1"),
    ],
)
def test_under_another_leaf_it_is_refused(fake: FakeS3, way: str, old: str, new: str) -> None:
    """Renamed to another run's, say: it would be deleted with that."""
    thread(fake, **WAYS[way])
    key = renamed(fake, old, new)
    checkpoint_id = "01" if "rone" in old else "03"
    error = CorruptObjectError if way == "plain" else (CorruptObjectError, DecryptionError)
    with pytest.raises(error, match=r"under another one's key|another place") as caught:
        get(make_saver(fake, **WAYS[way]), place("chat", checkpoint_id))
    assert caught.value.key == key
    with pytest.raises(S3CheckpointError):
        list(make_saver(fake, **WAYS[way]).list(place("chat")))


def test_with_hashed_names_under_another_ones_hash(fake: FakeS3) -> None:
    way = WAYS["hashed names"]
    saver = thread(fake, **way)
    names = inside.layout(saver)
    renamed(fake, f".q{names.run('one')}", f".q{names.run('two')}")
    with pytest.raises(DecryptionError):
        get(make_saver(fake, **way), place("chat", "01"))


def test_a_lent_frame_is_bound_to_its_lenders_leaf(fake: FakeS3) -> None:
    thread(fake, **WAYS["encrypted"])
    [key] = [each for each in fake.objects if "checkpoint.p02" in each]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.plans.borrowers.make_saver", lambda fake: make_saver(fake, **WAYS["encrypted"]))
        container = opened_key(fake, key)
    cipher = container.cipher
    [number] = [n for n, frame in enumerate(container.frames) if frame.lender]
    frame = container.frames[number]
    assert frame.lender is not None
    assert cipher is not None
    [lender] = [each for each in fake.objects if each.endswith(frame.lender.leaf)]
    stored = fake.objects[lender].data[frame.offset : frame.offset + frame.stored]
    ref = frame.key or cipher.ref
    assert cipher.for_lender(frame.lender.checkpoint_id, frame.lender.leaf, ref).decrypt(stored)
    for place_of_it in (("02", frame.lender.leaf), (frame.lender.checkpoint_id, "checkpoint.rtwo.e")):
        with pytest.raises(DecryptionError):
            cipher.for_lender(*place_of_it, ref).decrypt(stored)


@pytest.mark.parametrize("way", WAYS)
def test_every_object_names_its_leaf(fake: FakeS3, way: str) -> None:
    """Objects that were put again beside themselves, copied, rewritten and restored are bound too."""
    saver = thread(fake, **WAYS[way])
    put(saver, "02", "01", thread="chat", values={"other": 1})
    saver.put_writes(place("chat", "02"), [(f"c{slot}", slot) for slot in range(0, 999, 2)], "t" * 99)
    saver.copy_thread("chat", "copy")
    assert all_of(fake, **WAYS[way])
    assert len(all_of(fake, "copy", **WAYS[way])) == 3
    saver.delete_for_runs(["one"])
    assert len(all_of(fake, **WAYS[way])) == 2
    saver.prune(["chat"])
    assert len(all_of(fake, "copy", **WAYS[way])) == 2


# Ways to move


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("coroutines", [False, True])
def test_all_threads_of_a_prefix_move_to_another_bucket(fake: FakeS3, way: str, coroutines: bool) -> None:
    """With the paths of their tasks, which `migrate` can't know."""
    for name in ("chat", "other"):
        thread(fake, name, **WAYS[way], prefix="a/x/")
    new = FakeS3()
    where: dict[str, Any] = {**WAYS[way], "bucket": "another-bucket", "prefix": "b/y/"}
    source = make_saver(fake, **WAYS[way], prefix="a/x/")
    admin = S3Admin(make_saver(new, **where))
    reported: list[tuple[int, int | None]] = []

    def move(*names: Any) -> list[Imported]:
        def progress(done: int, total: int | None) -> None:
            reported.append((done, total))

        if coroutines:
            return asyncio.run(admin.aimport_threads(source, *names, progress=progress))
        return admin.import_threads(source, *names, progress=progress)

    assert [each.written for each in move(["chat", "chat"])] == [5]
    done = move()
    assert reported == [(1, 1), (1, 2), (2, 2)]
    assert sorted((each.thread_id, each.written, each.unchanged) for each in done) == [
        ("chat", 0, 5),
        ("other", 5, 0),
    ]
    for name in ("chat", "other"):
        assert all_of(new, name, **where) == all_of(fake, name, **WAYS[way], prefix="a/x/")
    assert sorted(admin.threads()) == ["chat", "other"]


def test_a_prefix_moves_into_an_encrypting_one_by_migrate_alone(fake: FakeS3) -> None:
    thread(fake, prefix="a/x/")
    source, admin = make_saver(fake, prefix="a/x/"), S3Admin(make_saver(FakeS3(), encryption=KEYS))
    with pytest.raises(NotSupportedError, match="migrate"):
        admin.import_threads(source)
    with pytest.raises(InvalidKeyError, match="put it in a list"):
        admin.import_threads(source, "chat")
    with pytest.raises(InvalidConfigError, match="migrate"):
        admin.import_threads(InMemorySaver())  # type: ignore[arg-type]  # invalid on purpose
    assert admin.migrate(source).checkpoints == 3
    assert admin.migrate(make_saver(fake, prefix="a/x/"), ["chat"]).skipped == 3


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("target", [None, "elsewhere"])
def test_a_file_goes_into_any_thread_prefix_and_bucket(
    fake: FakeS3, tmp_path: Path, way: str, target: str | None
) -> None:
    thread(fake, **WAYS[way], prefix="a/x/")
    S3Admin(make_saver(fake, **WAYS[way], prefix="a/x/")).export_thread("chat", tmp_path / "t.zip")
    new = FakeS3()
    where: dict[str, Any] = {**WAYS[way], "bucket": "another-bucket", "prefix": "b/y/"}
    admin = S3Admin(make_saver(new, **where))
    done = admin.import_thread(tmp_path / "t.zip", target)
    assert (done.written, done.checkpoints, done.writes) == (5, 3, 2)
    there, here = all_of(new, target or "chat", **where), all_of(fake, **WAYS[way], prefix="a/x/")
    assert [each[2:] for each in there] == [each[2:] for each in here]
    assert list(admin.threads()) == [target or "chat"]
    again = admin.import_thread(tmp_path / "t.zip", target)
    assert (again.written, again.unchanged, again.kept) == (0, 5, ())
    for key in [key for key in new.objects if ".p02" in key]:
        new.delete(key)
    assert admin.import_thread(tmp_path / "t.zip", target).written == 1  # what it borrows is there still
    assert [each[2:] for each in all_of(new, target or "chat", **where)] == [each[2:] for each in here]


@pytest.mark.parametrize("way", SEALED)
def test_where_it_comes_from_a_file_is_written_byte_for_byte(fake: FakeS3, tmp_path: Path, way: str) -> None:
    thread(fake, **WAYS[way])
    admin = S3Admin(make_saver(fake, **WAYS[way]))
    admin.export_thread("chat", tmp_path / "t.zip")
    before = {key: each.data for key, each in fake.objects.items()}
    for key in sorted(before)[::2]:
        fake.delete(key)
    assert admin.import_thread(tmp_path / "t.zip").kept == ()
    assert {key: each.data for key, each in fake.objects.items() if TOMBSTONES not in key} == before


@pytest.mark.parametrize("where", [{}, {"prefix": "b/"}, {"bucket": "another-bucket"}])
@pytest.mark.parametrize("keys", [None, Keys("k2")])
def test_without_the_keys_nothing_is_written(
    fake: FakeS3, tmp_path: Path, where: dict[str, str], keys: Any
) -> None:
    thread(fake, encryption=KEYS)
    S3Admin(make_saver(fake, encryption=KEYS)).export_thread("chat", tmp_path / "t.zip")
    new = FakeS3()
    there: dict[str, Any] = {"encryption": keys, **where}
    with pytest.raises(DecryptionError):
        S3Admin(make_saver(new, **there)).import_thread(tmp_path / "t.zip", "t")
    assert not new.objects


def test_another_names_key_is_refused_before_anything_is_written(fake: FakeS3, tmp_path: Path) -> None:
    thread(fake, **WAYS["hashed names"])
    S3Admin(make_saver(fake, **WAYS["hashed names"])).export_thread("chat", tmp_path / "t.zip")
    new = FakeS3()
    saver = make_saver(new, encryption=Keys("k1", names="other"), private_keys=True, prefix="b/")
    with pytest.raises(S3CheckpointError, match="names_key"):
        S3Admin(saver).import_thread(tmp_path / "t.zip", "chat")
    assert not new.objects


def test_what_dumps_and_signed_urls_give_is_taken_for_its_thread(fake: FakeS3) -> None:
    saver = thread(fake, encryption=KEYS)
    admin = S3Admin(saver)
    found = get(saver, place("chat"))
    handed = dumps(found, encryption=KEYS)
    assert shown(loads(handed, encryption=KEYS)) == shown(found)
    url = admin.signed_url("chat", "03")
    [key] = [key for key in fake.objects if ".exports/" in key]
    assert key in url
    data = fake.objects[key].data
    assert f"s3://{BUCKET}/".encode() in data
    assert shown(loads(data, encryption=KEYS)) == shown(found)
    for each in (handed, data):
        saver.delete_thread("chat")
        upload = admin.signed_upload_url("chat")
        fake.put(upload.key, each)
        assert admin.accept_upload(upload).thread_id == "chat"
        assert get(make_saver(fake, encryption=KEYS), place("chat")).checkpoint == found.checkpoint
        elsewhere = FakeS3()
        S3Admin(make_saver(elsewhere, encryption=KEYS, prefix="b/")).import_thread(io.BytesIO(each), "t")
        there = get(make_saver(elsewhere, encryption=KEYS, prefix="b/"), place("t"))
        assert there.checkpoint == found.checkpoint


@pytest.mark.parametrize("coroutines", [False, True])
def test_who_hands_in_other_peoples_objects_has_them_not_sealed_for_a_thread_of_their_own(
    fake: FakeS3, tmp_path: Path, coroutines: bool
) -> None:
    """They may have seen the bucket, or a backup: without the keys it must stay of no use to them."""
    victim = thread(fake, encryption=KEYS, prefix="tenantA/")
    S3Admin(victim).export_thread("chat", tmp_path / "stolen.zip")
    handed = dumps(get(victim, place("chat")), encryption=KEYS)
    new = FakeS3()
    admin = S3Admin(make_saver(new, encryption=KEYS, prefix="tenantB/"))
    for name, data in (("chat", (tmp_path / "stolen.zip").read_bytes()), ("mine", handed)):
        upload = admin.signed_upload_url(name)
        new.put(upload.key, data)
        with pytest.raises(NotSupportedError, match="encrypted for another thread, prefix or bucket"):
            asyncio.run(admin.aaccept_upload(upload)) if coroutines else admin.accept_upload(upload)
        new.delete(upload.key)
    assert not new.objects


def test_each_place_has_a_cipher_of_its_own(fake: FakeS3) -> None:
    """So that threads of one name in many prefixes don't share one key's nonces."""
    savers = [make_saver(fake, encryption=KEYS, prefix=prefix) for prefix in ("a/", "b/")]
    for saver in savers:
        put_chain(saver, "t", 1)
    vaults = [inside.context(saver).key_cache for saver in savers]
    ciphers = [next(iter(key_cache._ciphers.values())) for key_cache in vaults if key_cache is not None]
    assert ciphers[0].nonce_key != ciphers[1].nonce_key


def test_a_key_ring_of_ones_own(fake: FakeS3) -> None:
    ring = KeyRing({"k": bytes(32)})
    thread(fake, encryption=ring, prefix="a/")
    with pytest.raises(DecryptionError):
        get(make_saver(copied(fake, "a/", "b/"), encryption=ring, prefix="b/"), place("chat"))
