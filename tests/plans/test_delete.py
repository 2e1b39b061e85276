"""Deleting, copying and pruning."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from typing import Any

import pytest

from langgraph_checkpoint_s3 import (
    AccessDeniedError,
    ConflictError,
    InvalidConfigError,
    InvalidKeyError,
    S3Saver,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.format.keys import CheckpointLeaf, encode_rank
from langgraph_checkpoint_s3.s3.requests import (
    CopyObject,
    GetObject,
)
from tests.plans.helpers import get, ids, once, pending, put
from tests.support import inside
from tests.support.checkpoints import address, make_checkpoint, place, put_chain, shown
from tests.support.fake_s3 import FakeS3
from tests.support.fake_store import make_saver
from tests.support.inside import silent_keys

pytestmark = pytest.mark.modes("plain", "private")

# Deleting, copying and pruning


def test_deletions_that_fail_are_told(fake: FakeS3) -> None:
    put_chain(make_saver(fake), "t", 3, run="run")
    stuck = fake.keys()[0]
    for code, error in (("InternalError", StorageUnavailableError), ("AccessDenied", AccessDeniedError)):
        fake.undeletable = {stuck: (code, "no")}
        operations: list[Callable[[S3Saver], None]] = [
            lambda saver: saver.delete_thread("t"),
            lambda saver: saver.delete_for_runs(["run"]),
            lambda saver: saver.prune(["t"], strategy="delete"),
        ]
        for operation in operations:
            with pytest.raises(error, match=r"1 of \d+ objects could not be deleted") as raised:
                operation(make_saver(fake))
            assert raised.value.key == stuck
    fake.undeletable = {}
    make_saver(fake).delete_thread("t")
    assert not fake.objects


def test_deleting_a_run_deletes_its_checkpoints_alone(saver: S3Saver, fake: FakeS3) -> None:
    for thread in ("t", "u/v"):
        put_chain(saver, thread, 2, run="run/1")
        put_chain(saver, thread, 2, first=2, run="run/2")
    put(saver, "1", thread="none")
    saver.delete_for_runs(["run/1", "unknown"])
    assert sorted(ids(make_saver(fake), None)) == ["00000002", "00000002", "00000003", "00000003", "1"]
    assert not [key for key in fake.keys("writes.") if encode_rank("00000001") in key]
    saver.delete_for_runs([])
    assert len(ids(saver, None)) == 5


@pytest.mark.parametrize("run", ["first", "second"])
def test_a_checkpoint_that_two_runs_put_goes_with_either(saver: S3Saver, fake: FakeS3, run: str) -> None:
    for each in ("first", "second"):
        put(saver, "1", run_id=each)
    put(saver, "2", "1", run_id="third")
    saver.delete_for_runs([run])
    assert ids(make_saver(fake), place("t")) == ["2"]
    assert len(fake.objects) == 1


def test_pruning_keeps_the_latest_of_each_namespace_and_early_writes(saver: S3Saver, fake: FakeS3) -> None:
    for ns in ("", "sub", "__default__"):
        put_chain(saver, "t", 4, ns=ns)
    put_chain(saver, "other", 2)
    saver.put_writes(place("t", "9"), [("c", "early")], "task")
    latest = [shown(get(saver, place("t", ns=ns))) for ns in ("", "sub", "__default__")]
    saver.prune(["t", "nobody", "t"])
    reader = make_saver(fake)
    assert [shown(get(reader, place("t", ns=ns))) for ns in ("", "sub", "__default__")] == latest
    assert len(list(reader.list(place("t", ns=None)))) == 3
    assert len(ids(reader, place("other"))) == 2
    put(saver, "9", "00000003")
    assert pending(make_saver(fake), place("t")) == [("task", "c", "early")]
    with pytest.raises(InvalidConfigError):
        saver.prune(["t"], strategy="keep_all")
    assert ids(reader, place("t")) == ["9", "00000003"]


def counters(*channels: str) -> dict[str, Any]:
    return {"counters_since_delta_snapshot": {channel: [1, 1] for channel in channels}}


def test_pruning_gathers_what_delta_channels_are_rebuilt_from(saver: S3Saver, fake: FakeS3) -> None:
    put_chain(saver, "t", 4, values={})
    put_chain(saver, "t", 3, first=4, seed={"d": ["seed"]}, values={})
    checkpoint = make_checkpoint("00000007", {}, absent=["d"])
    said: Any = counters("d")
    saver.put(place("t", "00000006"), checkpoint, said, checkpoint["channel_versions"])
    expected = saver.get_delta_channel_history(config=place("t"), channels=["d"])
    assert expected["d"] == {
        "writes": [("task-0", "d", [f"{number}.0"]) for number in (4, 5, 6)],
        "seed": ["seed"],
    }
    saver.prune(["t"])
    reader = make_saver(fake)
    assert reader.get_delta_channel_history(config=place("t"), channels=["d"]) == expected
    assert ids(reader, place("t")) == ["00000007"]
    assert len(fake.objects) == 2


@pytest.mark.parametrize(
    ("counted", "absent", "needs"),
    [
        ((), (), False),
        (("d",), (), False),  # counted, and stored
        (("d",), ("d",), True),
        (("never",), (), False),  # it has no version
        ((), ("d",), False),  # not counted: an ordinary channel that is empty
    ],
)
def test_a_key_says_that_no_channel_is_rebuilt_from_ancestors(
    saver: S3Saver, fake: FakeS3, counted: tuple[str, ...], absent: tuple[str, ...], needs: bool
) -> None:
    put_chain(saver, "t", 3)
    values = {"x": 1, "d": ["stored"]} if "d" not in absent else {"x": 1}
    checkpoint = make_checkpoint("00000003", values, absent)
    said: Any = counters(*counted)
    saver.put(place("t", "00000002"), checkpoint, said, checkpoint["channel_versions"])
    [key] = [key for key in fake.keys("/checkpoint") if encode_rank("00000003") in key]
    leaf = inside.layout(saver).parse(key).leaf
    assert isinstance(leaf, CheckpointLeaf)
    assert leaf.needs_ancestors is needs
    with fake.counted() as count:
        make_saver(fake).prune(["t"])
    assert ("GetObject" in count.kinds) is needs
    assert ids(make_saver(fake), place("t")) == ["00000003"]
    assert len(fake.keys("/writes.g")) == needs


def test_pruning_keeps_the_same_where_keys_do_not_say_what_is_needed() -> None:
    """A writer that doesn't know the field `v` puts checkpoints, too: those are read."""
    left: list[list[str]] = []
    for keys in (contextlib.nullcontext(), silent_keys()):
        fake = FakeS3()
        with keys:
            saver = make_saver(fake)
            put_chain(saver, "t", 3, seed={"d": ["seed"]}, values={"v": 1})
            put_chain(saver, "plain", 5)
            checkpoint = make_checkpoint("00000003", {}, absent=["d"])
            said: Any = counters("d")
            saver.put(place("t", "00000002"), checkpoint, said, checkpoint["channel_versions"])
        with fake.counted() as count:
            make_saver(fake).prune(["t", "plain"])
        read = {request.key for request in count.requests if isinstance(request, GetObject)}
        plain = inside.layout(saver).thread("plain")
        assert any(key.startswith(plain) for key in read) is (len(left) == 1)
        left.append([thread for name in ("t", "plain") for thread in ids(make_saver(fake), place(name))])
        assert len(fake.keys("/writes.g")) == 1
    assert left[0] == left[1] == ["00000003", "00000004"]


@pytest.mark.parametrize("noise", [0, 60_000], ids=["in the head", "beyond the head"])
def test_pruning_keeps_nothing_for_a_delta_channel_that_was_never_written(
    saver: S3Saver, fake: FakeS3, noise: int
) -> None:
    put_chain(saver, "t", 10, values={})
    values = {"x": 1, "noise": random.Random(0).randbytes(noise)}
    put(saver, "00000010", "00000009", values=values, **counters("d"))
    saver.prune(["t"])
    assert ids(make_saver(fake), place("t")) == ["00000010"]


def test_pruning_deletes_nothing_of_a_thread_whose_latest_vanishes(saver: S3Saver, fake: FakeS3) -> None:
    with silent_keys():
        put_chain(saver, "t", 3)
    fake.hook = once(GetObject, lambda request: fake.delete(request.key))
    with pytest.raises(ConflictError):
        make_saver(fake).prune(["t"])
    fake.hook = None
    assert ids(make_saver(fake), place("t")) == ["00000001", "00000000"]


def test_a_copy_is_equal_and_its_own(saver: S3Saver, fake: FakeS3) -> None:
    for ns in ("", "sub|x"):
        put_chain(saver, "t", 5, ns=ns)
    saver.put_writes(place("t", "9"), [("c", "early")], "task")
    saver.copy_thread("t", "u/v")
    reader = make_saver(fake)
    for ns in ("", "sub|x"):
        assert [
            (each.checkpoint, each.metadata, each.pending_writes) for each in reader.list(place("u/v", ns=ns))
        ] == [
            (each.checkpoint, each.metadata, each.pending_writes) for each in reader.list(place("t", ns=ns))
        ]
        assert address(get(reader, place("u/v", ns=ns)).parent_config) == ("u/v", ns, "00000003")
    saver.delete_thread("t")
    assert len(list(make_saver(fake).list(place("u/v", ns=None)))) == 10
    saver.copy_thread("nobody", "u/v")
    saver.copy_thread("u/v", "u/v")
    assert len(list(make_saver(fake).list(None))) == 10


def test_a_copy_leaves_what_the_target_held(saver: S3Saver, fake: FakeS3) -> None:
    put_chain(saver, "t", 2)
    put(saver, "00000005", thread="u", values={"own": 1})
    saver.copy_thread("t", "u")
    assert ids(make_saver(fake), place("u")) == ["00000005", "00000001", "00000000"]
    saver.copy_thread("t", "u")
    assert ids(make_saver(fake), place("u")) == ["00000005", "00000001", "00000000"]


def test_a_copy_of_what_is_being_deleted_is_told(saver: S3Saver, fake: FakeS3, mode: str) -> None:
    put_chain(saver, "t", 3)
    moved = CopyObject if mode == "plain" else GetObject
    fake.hook = once(moved, lambda _: make_saver(fake).delete_thread("t"))
    with pytest.raises(ConflictError):
        make_saver(fake).copy_thread("t", "u")


def test_a_copy_whose_keys_would_be_too_long_copies_nothing(saver: S3Saver, fake: FakeS3, mode: str) -> None:
    saver = make_saver(fake, prefix="/".join(["p" * 250, "q" * 220]))
    put(saver, "1" * 127, "0" * 90)
    with contextlib.nullcontext() if mode == "private" else pytest.raises(InvalidKeyError):
        saver.copy_thread("t", "x" * 200)
    assert len(fake.objects) == (2 if mode == "private" else 1)  # hashes are short
