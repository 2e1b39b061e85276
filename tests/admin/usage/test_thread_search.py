"""Finding threads by metadata on the fake S3: what is found, and what is read for it."""

from __future__ import annotations

import random
from typing import Any

import pytest

from langgraph_checkpoint_s3 import InvalidConfigError
from langgraph_checkpoint_s3.admin import S3Admin
from tests.admin.retention.test_prune_many import clone
from tests.plans.helpers import ids, put
from tests.support.checkpoints import make_checkpoint, place, put_chain
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver
from tests.support.keys import Keys
from tests.support.sampling import sample

INDEXED: dict[str, Any] = {"indexed_metadata": ("user_id", "tenant")}
PRIVATE: dict[str, Any] = {"encryption": Keys("k", names="n"), "private_keys": True}


def admin_of(fake: FakeS3, **settings: Any) -> S3Admin:
    """An admin in a new process."""
    return S3Admin(make_saver(fake, **settings))


def users(fake: FakeS3, **settings: Any) -> None:
    """Put threads of two users, with steps of other users in between, and one of nobody."""
    saver = make_saver(fake, **settings)
    threads: dict[str, list[str | None]] = {"a": ["1"], "b": ["2", "1", "2"], "c": ["2"], "d": [None]}
    for thread, names in threads.items():
        for number, name in enumerate(names):
            said: dict[str, Any] = {"user_id": name, "tenant": 7} if name else {}
            put(saver, f"{number:08}", thread=thread, source="loop", step=number, **said)


@pytest.mark.parametrize("settings", [INDEXED, {**INDEXED, **PRIVATE}])
def test_keys_tell(fake: FakeS3, settings: dict[str, Any]) -> None:
    users(fake, **settings)
    for metadata, threads in (
        ({"user_id": "1"}, ["a", "b"]),
        ({"user_id": "2", "tenant": 7}, ["b", "c"]),
        ({"user_id": "3"}, []),
        ({"user_id": "2", "tenant": 8}, []),
        ({"user_id": None}, ["d"]),
        ({"user_id": "2", "step": 2}, ["b"]),
        ({"source": "loop", "step": 1}, ["b"]),
    ):
        private = "encryption" in settings
        with fake.counted() as count:
            found = list(admin_of(fake, **settings).threads(metadata=metadata))
        assert sorted(found) == threads
        # With secret names, each name that is found is read.
        assert count.kinds == {"ListObjects": 1, **({"GetObject": len(found)} if private and found else {})}


def test_it_is_one_list_per_thousand_objects(fake: FakeS3) -> None:
    put(make_saver(fake, **INDEXED), "1", thread="t", user_id="1")
    clone(fake, 2_500)
    put(make_saver(fake, **INDEXED), "1", thread="z", user_id="2")
    with fake.counted() as count:
        assert list(admin_of(fake).threads(metadata={"user_id": "2"})) == ["z"]
    assert count.kinds == {"ListObjects": 3}
    with fake.counted() as count:
        assert len(list(admin_of(fake).threads(metadata={"user_id": "1"}, limit=5))) == 5
    assert count.kinds == {"ListObjects": 1}


def test_what_keys_do_not_tell_is_read(fake: FakeS3) -> None:
    """Checkpoints from before the setting, of which the first that matches is enough."""
    saver = make_saver(fake)
    for number in range(5):
        put(saver, f"{number:08}", thread="old", user_id="1", step=number)
    put(make_saver(fake, **INDEXED), "1", thread="new", user_id="1")
    put(make_saver(fake, **INDEXED), "1", thread="other", user_id="2")
    with fake.counted() as count:
        assert sorted(admin_of(fake).threads(metadata={"user_id": "1"})) == ["new", "old"]
    assert count.kinds == {"ListObjects": 1, "GetObject": 5}
    with fake.counted() as count:
        assert list(admin_of(fake).threads(metadata={"user_id": "1", "step": 3})) == ["old"]
    assert count.kinds == {"ListObjects": 1, "GetObject": 2}  # one of the old ones, and the new one


def test_a_thread_of_many_objects(fake: FakeS3) -> None:
    """Its first page decides, if it can."""
    saver = make_saver(fake, **INDEXED)
    put(saver, "00000000", thread="large", user_id="1")
    put_chain(saver, "large", 600, first=1)
    with fake.counted() as count:
        assert list(admin_of(fake).threads(metadata={"even": True})) == ["large"]
    assert count.kinds["GetObject"] <= 64
    with fake.counted() as count:
        assert list(admin_of(fake).threads(metadata={"user_id": "1"})) == ["large"]
    assert set(count.kinds) == {"ListObjects"}
    with fake.counted() as count:
        assert list(admin_of(fake).threads(metadata={"user_id": None})) == ["large"]
    assert count.kinds == {"ListObjects": 2}


def test_prefix_and_long_names(fake: FakeS3) -> None:
    saver = make_saver(fake, **INDEXED)
    long = "customer/" * 40
    for thread in ("customer-1", "other", long):
        put(saver, "1", thread=thread, user_id="1")
    admin = admin_of(fake)
    assert sorted(admin.threads("customer", metadata={"user_id": "1"})) == sorted(["customer-1", long])
    assert list(admin.threads("other", metadata={"user_id": "1"})) == ["other"]
    assert len(list(admin.threads(metadata={"user_id": "1"}))) == 3


@pytest.mark.parametrize("metadata", [{}, [], "user_id", {1: 2}, [("a", 1)], 7])
def test_a_wrong_filter_is_refused(fake: FakeS3, metadata: Any) -> None:
    with fake.counted() as count, pytest.raises(InvalidConfigError, match="metadata"):
        list(admin_of(fake).threads(metadata=metadata))
    assert not count.requests


def test_an_inventory_tells_no_metadata(fake: FakeS3) -> None:
    with fake.counted() as count, pytest.raises(InvalidConfigError, match="inventory"):
        list(admin_of(fake).threads(metadata={"user_id": "1"}, inventory="s3://bucket/manifest.json"))
    assert not count.requests


def test_what_a_runs_config_says_is_indexed(fake: FakeS3) -> None:
    saver = make_saver(fake, **INDEXED)
    checkpoint = make_checkpoint("1", {"v": 1})
    config: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": "", "user_id": "42"}}
    saver.put(config, checkpoint, {"source": "loop", "step": 0}, checkpoint["channel_versions"])
    with fake.counted() as count:
        assert list(admin_of(fake).threads(metadata={"user_id": "42"})) == ["t"]
        assert list(admin_of(fake).threads(metadata={"user_id": "43"})) == []
    assert set(count.kinds) == {"ListObjects"}


# The other readers of keys


def test_list_reads_only_what_can_match(fake: FakeS3) -> None:
    saver = make_saver(fake, **INDEXED)
    for number in range(40):
        put(saver, f"{number:08}", user_id=str(number % 10), n=number)
    with fake.counted() as count:
        found = ids(make_saver(fake), place("t"), filter={"user_id": "3"})
    assert found == ["00000033", "00000023", "00000013", "00000003"]
    assert count.kinds["GetObject"] <= 2 * len(found)
    assert ids(make_saver(fake), place("t"), filter={"user_id": "3", "n": 13}) == ["00000013"]


@pytest.mark.parametrize("seed", sample(range(20), 8))
def test_with_and_without_an_index_the_same_is_found(seed: int) -> None:
    """Some checkpoints are indexed, others not, by names that differ."""
    draw = random.Random(seed)
    fake = FakeS3()
    values: list[Any] = [None, "1", 1, True, 1.0, 0, "x", ""]
    for number in range(30):
        names = draw.choice([(), ("a",), ("a", "b"), ("b", "c", "d")])
        said: dict[str, Any] = {name: draw.choice(values) for name in "abc" if draw.random() < 0.7}
        put(make_saver(fake, indexed_metadata=names), f"{number:08}", thread=draw.choice("tuv"), **said)
    saver = make_saver(fake)
    everything = [
        (each.config["configurable"]["thread_id"], each.checkpoint["id"], each.metadata)
        for each in saver.list(None)
    ]
    for _ in range(10):
        wanted = {name: draw.choice(values) for name in draw.sample("abc", draw.choice([1, 2]))}
        matching = [
            (thread, name)
            for thread, name, metadata in everything
            if all(metadata.get(each) == value for each, value in wanted.items())
        ]
        listed = [
            (each.config["configurable"]["thread_id"], each.checkpoint["id"])
            for each in make_saver(fake).list(None, filter=wanted)
        ]
        assert listed == matching
        assert set(admin_of(fake).threads(metadata=wanted)) == {thread for thread, _ in matching}


def test_copies_and_restored_versions_keep_the_index(fake: FakeS3) -> None:
    saver = make_saver(fake, **INDEXED)
    put(saver, "1", user_id="1")
    saver.copy_thread("t", "copy")
    with fake.counted() as count:
        assert list(admin_of(fake).threads(metadata={"user_id": "1"})) == ["copy", "t"]
    assert count.kinds == {"ListObjects": 1}


def test_putting_again_writes_nothing(fake: FakeS3) -> None:
    saver = make_saver(fake, **INDEXED)
    checkpoint = make_checkpoint("1", {"v": 1})
    said: Any = {"user_id": "1"}
    for _ in range(2):
        saver.put(place("t"), checkpoint, said, checkpoint["channel_versions"])
        make_saver(fake, **INDEXED).put(place("t"), checkpoint, said, checkpoint["channel_versions"])
    assert len(fake.keys("/t.thread/")) == 1
