"""A saver that encrypts: rotation, missing keys, what a bucket shows, and how often a provider is asked."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer

from langgraph_checkpoint_s3 import (
    DecryptionError,
    InvalidConfigError,
    NotSupportedError,
    S3Saver,
)
from langgraph_checkpoint_s3.admin import S3Admin, dumps, loads
from langgraph_checkpoint_s3.format.container import open_container
from langgraph_checkpoint_s3.format.key_encoding import HashedName
from langgraph_checkpoint_s3.plans.get_tuple import find_folder
from langgraph_checkpoint_s3.plans.load import Loaded, load
from langgraph_checkpoint_s3.plans.place import Place
from tests.admin.retention.test_prune import admin_of
from tests.format.made import Stream
from tests.plans.borrowers import eager, lenders, noise, step
from tests.plans.helpers import get, put
from tests.support import inside
from tests.support.checkpoints import place, put_chain, shown
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver
from tests.support.keys import Keys
from tests.support.modes import mode

SECRETS = ("customer@example.com", "planner|7", "the words", "a-run", "loop", "a-task", "a-channel")


def saver_with(fake: FakeS3, keys: Any, **settings: Any) -> S3Saver:
    """A saver with a provider."""
    return make_saver(fake, encryption=keys, **settings)


def filled(fake: FakeS3, keys: Any, **settings: Any) -> S3Saver:
    """A thread whose every name and value is a secret."""
    saver = saver_with(fake, keys, **settings)
    where: Any = {"thread": SECRETS[0], "ns": SECRETS[1]}
    first = step(saver, "01", run=SECRETS[3], text=SECRETS[2] * 300, **where)
    step(saver, "02", first, run=SECRETS[3], more="more", **where)
    config = place(SECRETS[0], "02", SECRETS[1])
    saver.put_writes(config, [(SECRETS[6], SECRETS[2]), ("__error__", SECRETS[2])], SECRETS[5])
    return saver


# What a bucket shows


def test_values_metadata_and_writes_are_covered(fake: FakeS3) -> None:
    filled(fake, Keys())
    text = b"".join(each.data for each in fake.objects.values())
    for secret in SECRETS:
        assert secret.encode() not in text
    assert all(key.endswith(".e") for key in fake.objects)


def test_with_private_keys_names_are_covered_too(fake: FakeS3, tmp_path: Path) -> None:
    keys = Keys(names="n")
    saver = filled(fake, keys, private_keys=True)
    admin = S3Admin(saver)
    admin.export_thread(SECRETS[0], tmp_path / "file.zip")
    admin.signed_url(SECRETS[0], "02", checkpoint_ns=SECRETS[1])
    text = "\n".join(fake.objects) + "".join(each.data.decode("latin-1") for each in fake.objects.values())
    text += (tmp_path / "file.zip").read_bytes().decode("latin-1")
    for secret in (*SECRETS, "customer", "planner"):
        assert secret not in text
    found = list(saver_with(fake, keys, private_keys=True).list(None))
    assert [each.config["configurable"]["thread_id"] for each in found] == [SECRETS[0]] * 2
    assert [each.config["configurable"]["checkpoint_ns"] for each in found] == [SECRETS[1]] * 2
    task, words = SECRETS[5], SECRETS[2]
    assert found[0].pending_writes == [(task, "__error__", words), (task, SECRETS[6], words)]


NAME = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)


@given(NAME, NAME, NAME, NAME, st.integers(-1, 50))
def test_any_name_is_found_by_it_and_shows_nowhere(
    thread: str, ns: str, run: str, task: str, number: int
) -> None:
    fake = FakeS3()
    saver = saver_with(fake, Keys(names="n"), private_keys=True)
    config = place(thread, None, ns)
    checkpoint = {
        "v": 4,
        "id": "01",
        "ts": "",
        "channel_values": {},
        "channel_versions": {},
        "versions_seen": {},
    }
    metadata: Any = {"source": run, "step": number, "run_id": run}
    saver.put(config, checkpoint, metadata, {})  # type: ignore[arg-type]  # a plain dict
    saver.put_writes(place(thread, "01", ns), [("c", 1)], task)
    reader = saver_with(fake, Keys(names="n"), private_keys=True)
    found = get(reader, config)
    assert found.config["configurable"]["thread_id"] == thread
    assert found.config["configurable"]["checkpoint_ns"] == ns
    assert found.pending_writes == [(task, "c", 1)]
    for wanted in ({"source": run}, {"step": number}, {"run_id": run}):
        assert len(list(reader.list(None, filter=wanted))) == 1
        assert list(reader.list(None, filter=dict.fromkeys(wanted, f"not {run}"))) == []
    for key in fake.objects:
        folder, space, _, leaf = key.removeprefix("checkpoints/").split("/")
        assert (folder[:2], space[:2]) == (".h", ".h")
        assert all(part[:1] in "mnqeuwhv" or part in ("checkpoint", "writes") for part in leaf.split("."))
    reader.delete_for_runs([run])
    reader.delete_thread(thread)
    assert not fake.objects


def test_a_plain_and_an_encrypted_thread_beside_each_other(fake: FakeS3) -> None:
    put_chain(make_saver(fake), "plain", 2)
    saver = saver_with(fake, Keys())
    put_chain(saver, "sealed", 2)
    assert len(list(saver.list(None))) == 4
    assert [each.config["configurable"]["thread_id"] for each in saver.list(place("plain"))] == ["plain"] * 2
    with pytest.raises(DecryptionError, match="encryption="):
        get(make_saver(fake), place("sealed"))


def test_a_thread_that_goes_on_encrypted(fake: FakeS3) -> None:
    """Plain objects stay plain. New ones are encrypted, and borrow nothing from plain ones."""
    first = step(eager(fake), "01", text=noise(500))
    saver = eager(fake, encryption=Keys())
    get(saver, place("t"))
    second = step(saver, "02", first, n=1)
    with mode("sealed"):
        assert lenders(fake, "02") == []
    third = step(saver, "03", second, n=2)
    with mode("sealed"):
        assert lenders(fake, "03") == ["02"]
    assert get(saver_with(fake, Keys()), place("t")).checkpoint == third


# Keys


def test_rotation_without_downtime(fake: FakeS3) -> None:
    old, both, new = Keys("old"), Keys("new", "old"), Keys("new")
    first = step(eager(fake, encryption=old), "01", text=noise(500))
    saver = eager(fake, encryption=both)
    get(saver, place("t"))
    second = step(saver, "02", first, n=1)
    assert get(saver_with(fake, both), place("t")).checkpoint == second
    assert lenders_with(fake, both, "02") == ["01"]  # across keys
    with pytest.raises(DecryptionError, match="'old'"):
        get(saver_with(fake, new), place("t"))  # the old one isn't used up yet
    saver_with(fake, both).prune(["t"])
    assert lenders_with(fake, both, "02") == []
    assert get(saver_with(fake, new), place("t")).checkpoint == second


def lenders_with(fake: FakeS3, keys: Any, checkpoint_id: str) -> list[str]:
    """The checkpoints that one borrows from."""
    saver = saver_with(fake, keys)
    store, context = inside.store(saver), inside.context(saver)
    folder = store.run(find_folder(context, Place("t", "", checkpoint_id)), "test")
    assert folder is not None
    [loaded] = store.run(load(context, [folder]), "test")
    assert isinstance(loaded, Loaded)
    return sorted({each.lender[0] for each in loaded.checkpoint.container.frames if each.lender})


@pytest.mark.parametrize("act", ["get_tuple", "list", "prune", "copy_thread", "put on it"])
def test_a_missing_key_is_named_and_nothing_is_changed(fake: FakeS3, act: str) -> None:
    put_chain(saver_with(fake, Keys("old")), "t", 2)
    before = dict(fake.objects)
    saver = saver_with(fake, Keys("new"))
    acts: dict[str, Any] = {
        "get_tuple": lambda: saver.get_tuple(place("t")),
        "list": lambda: list(saver.list(place("t"))),
        "prune": lambda: (saver.prune(["t"]), saver.get_tuple(place("t"))),  # type: ignore[func-returns-value]  # its result is unused
        "copy_thread": lambda: saver.copy_thread("t", "u"),
        "put on it": lambda: [saver.get_tuple(place("t")), put(saver, "9")],
    }
    with pytest.raises(DecryptionError, match="'old'") as caught:
        acts[act]()
    assert caught.value.key in before
    if act != "prune":
        assert fake.objects == before


def test_no_copy_without_keys(fake: FakeS3) -> None:
    put_chain(saver_with(fake, Keys()), "t", 2)
    before = dict(fake.objects)
    with pytest.raises(DecryptionError, match=r"can be copied only with its key.*Nothing was copied"):
        make_saver(fake).copy_thread("t", "u")
    assert fake.objects == before


def test_a_provider_that_fails_writes_nothing(fake: FakeS3) -> None:
    class Broken(Keys):
        def current(self) -> Any:
            raise RuntimeError("secret details")

    saver = saver_with(fake, Broken())
    with pytest.raises(DecryptionError, match=r"gave no key to write with \(RuntimeError\)"):
        put(saver, "1")
    with pytest.raises(DecryptionError):
        saver.put_writes(place("t", "1"), [("c", 1)], "task")
    assert not fake.objects


def test_a_provider_is_asked_as_seldom_as_it_can_be(fake: FakeS3) -> None:
    """Once to write, and once for each of the data keys that are read."""
    one, two, reader = Keys(wrapped=True), Keys(wrapped=True), Keys(wrapped=True)
    writer = saver_with(fake, one)
    put_chain(writer, "t", 5, writes=2)
    put_chain(saver_with(fake, two), "u", 5, writes=2)
    assert one.asked == {"current": 1}
    reads = saver_with(fake, reader)
    assert len(list(reads.list(None))) == 10
    assert reader.asked == {"unlock": 2}
    list(reads.list(None))
    get(reads, place("t"))
    assert reader.asked == {"unlock": 2}
    put(reads, "9")
    assert reader.asked == {"unlock": 2, "current": 1}


def test_a_key_is_asked_for_again_when_it_is_stale(fake: FakeS3) -> None:
    keys = Keys()
    keys.cache_seconds = 0
    saver = saver_with(fake, keys)
    put(saver, "1")
    put(saver, "2", "1")
    get(saver, place("t"))
    assert keys.asked["current"] == 2
    assert keys.asked["unlock"] >= 1


def test_coroutines_ask_too(fake: FakeS3) -> None:
    keys = Keys()
    saver = saver_with(fake, keys)
    asyncio.run(saver.aput_writes(place("t", "1"), [("c", 1)], "task"))
    assert keys.asked == {"current": 1}


# Requests


@pytest.mark.parametrize("private_keys", [False, True])
def test_no_request_more_than_without(private_keys: bool) -> None:
    counts: list[Any] = []
    ways: list[dict[str, Any]] = [{}, {"encryption": Keys(names="n"), "private_keys": private_keys}]
    for more in ways:
        fake = FakeS3()
        with fake.counted() as count:
            saver = eager(fake, **more)
            first = step(saver, "01", text=noise(5_000))
            saver.put_writes(place("t", "01"), [("c", 1)], "task")
            step(saver, "02", first, n=1)
            reader = make_saver(fake, **more)
            assert get(reader, place("t")).checkpoint["id"] == "02"
            assert len(list(reader.list(place("t"), filter={"source": "loop"}))) == 0
            assert len(list(make_saver(fake, **more).list(place("t")))) == 2
            make_saver(fake, **more).prune(["t"])
            make_saver(fake, **more).delete_thread("t")
        counts.append((count.kinds, count.round_trips))
    assert counts[0] == counts[1]


# Settings


def test_what_must_be_encrypted(fake: FakeS3) -> None:
    put_chain(make_saver(fake), "t", 1, writes=1)
    assert get(saver_with(fake, Keys()), place("t"))
    strict = saver_with(fake, Keys(), require_encryption=True)
    for act in (lambda: get(strict, place("t")), lambda: list(strict.list(None))):
        with pytest.raises(DecryptionError, match="require_encryption=True refuses it") as caught:
            act()
        assert caught.value.key in fake.objects
    put(strict, "01")
    plain = [key for key in fake.objects if not key.endswith(".e")]
    for key in plain:
        fake.delete(key)
    assert get(strict, place("t")).checkpoint["id"] == "01"


def test_settings_that_go_together(fake: FakeS3) -> None:
    with pytest.raises(InvalidConfigError, match="need keys"):
        make_saver(fake, require_encryption=True)
    with pytest.raises(InvalidConfigError, match="need keys"):
        make_saver(fake, private_keys=True)
    with pytest.raises(InvalidConfigError, match="needs a key to hash names with"):
        saver_with(fake, Keys(), private_keys=True)
    with pytest.raises(InvalidConfigError, match="is no key provider: pass a KeyRing"):
        saver_with(fake, b"0" * 32)


def test_another_names_key_finds_nothing(fake: FakeS3) -> None:
    put_chain(saver_with(fake, Keys(names="n"), private_keys=True), "t", 1)
    assert saver_with(fake, Keys(names="m"), private_keys=True).get_tuple(place("t")) is None


# Admins


def test_threads_are_listed_by_name(fake: FakeS3) -> None:
    names = ["a/1", "a/2", "b", "only writes"]
    keys = Keys(names="n")
    saver = saver_with(fake, keys, private_keys=True)
    for name in names[:3]:
        put_chain(saver, name, 2)
    saver.put_writes(place("only writes", "01"), [("c", 1)], "task")
    put_chain(saver_with(fake, Keys("other", names="n"), private_keys=True), "locked", 1)
    admin = S3Admin(saver_with(fake, Keys(names="n"), private_keys=True))
    with fake.counted() as count:
        listed = list(admin.threads())
    assert count.round_trips == 3
    [locked] = [each for each in listed if isinstance(each, HashedName)]
    assert sorted(set(listed) - {locked}) == names
    assert {each for each in admin.threads("a/") if not isinstance(each, HashedName)} == {"a/1", "a/2"}
    assert len(list(admin.threads(limit=2))) == 2
    assert admin.usage("a/1").checkpoints == 2
    assert admin.usage().threads == 5
    assert admin.usage(locked).checkpoints == 1
    saver.delete_thread(locked)
    assert sorted(admin.threads()) == names
    victims = admin.prune_threads(1, dry_run=False).victims
    assert {each.thread_id for each in victims} == {"a/1", "a/2", "b"}


@pytest.mark.parametrize("private_keys", [False, True])
def test_threads_move_through_files(fake: FakeS3, tmp_path: Path, private_keys: bool) -> None:
    keys = Keys(names="n")
    put_chain(saver_with(fake, keys, private_keys=private_keys), "t", 3, writes=1)
    S3Admin(saver_with(fake, keys, private_keys=private_keys)).export_thread("t", tmp_path / "t.zip")
    other = FakeS3()
    admin = S3Admin(saver_with(other, keys, private_keys=private_keys))
    assert admin.import_thread(tmp_path / "t.zip").checkpoints == 3
    assert {key: each.data for key, each in other.objects.items()} == {
        key: each.data for key, each in fake.objects.items()
    }
    assert admin.import_thread(tmp_path / "t.zip", thread_id="u").written == 6
    assert admin.import_thread(tmp_path / "t.zip", thread_id="u").unchanged == 6
    admin.saver.copy_thread("t", "v")
    there = [[shown(each)[2:] for each in admin.saver.list(place(name))] for name in ("t", "u", "v")]
    assert len(there[0]) == 3
    assert there[0] == there[1] == there[2]
    plain = FakeS3()
    put_chain(make_saver(plain), "t", 1)
    admin_of(plain).export_thread("t", tmp_path / "plain.zip")
    error = DecryptionError if private_keys else NotSupportedError
    with pytest.raises(error, match=r"(not|isn't) encrypted"):
        admin.import_thread(tmp_path / "plain.zip")


def test_a_file_of_one_checkpoint(fake: FakeS3) -> None:
    put_chain(make_saver(fake), "t", 2, writes=2)
    found = get(make_saver(fake), place("t"))
    data = dumps(found, encryption=Keys())
    assert shown(loads(data, encryption=Keys())) == shown(found)
    for keys in (None, Keys("other")):
        with pytest.raises(DecryptionError, match="'k1'"):
            loads(data, encryption=keys)
    strict = saver_with(FakeS3(), Keys(), require_encryption=True)
    admin = S3Admin(strict)
    assert admin.import_thread(io.BytesIO(data)).checkpoints == 1
    assert shown(get(strict, place("t"))) == shown(found)


def test_equal_checkpoints_share_an_encrypted_export(fake: FakeS3) -> None:
    """It is made whole of what it borrows, and comes out the same each time."""
    keys = Keys(wrapped=True)
    first = step(eager(fake, encryption=keys), "01", text=noise(500))
    saver = eager(fake, encryption=keys)
    saver.get_tuple(place("t"))
    step(saver, "02", first, n=1)
    before = len(fake.objects)
    urls = {S3Admin(saver_with(fake, keys)).signed_url("t", "02").partition("?")[0] for _ in range(2)}
    assert (len(urls), len(fake.objects)) == (1, before + 1)


def test_no_file_without_a_key(fake: FakeS3) -> None:
    class Broken(Keys):
        def current(self) -> Any:
            raise DecryptionError("there is no key today")

    put_chain(make_saver(fake), "t", 1)
    with pytest.raises(DecryptionError, match="no key today"):
        dumps(get(make_saver(fake), place("t")), encryption=Broken())


def test_the_leases_name_no_thread(fake: FakeS3) -> None:
    saver = saver_with(fake, Keys(names="n"), private_keys=True)
    with saver.lease("customer-42"):
        [key] = fake.objects
        assert "customer" not in key
        assert b"customer" not in fake.objects[key].data


def test_a_serializer_that_encrypts_is_not_compressed_in_vain(fake: FakeS3) -> None:
    serde = EncryptedSerializer(Stream())
    saver = make_saver(fake, serde=serde)
    step(saver, "01", text="the same words " * 1_000)
    saver.put_writes(place("t", "01"), [("c", "the same words " * 1_000)], "task")
    for each in fake.objects.values():
        container = open_container(each.data, len(each.data))
        assert {frame.codec for frame in container.frames} == {"none"}
    assert get(make_saver(fake, serde=serde), place("t")).checkpoint["channel_values"]
