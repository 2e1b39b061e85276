"""Changes between a listing and a read."""

from __future__ import annotations

import functools
import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest

from langgraph_checkpoint_s3 import (
    ConflictError,
    S3Saver,
)
from langgraph_checkpoint_s3.plans.transfer import Sizes
from langgraph_checkpoint_s3.s3.requests import (
    GetObject,
    Request,
)
from tests.plans.helpers import get, once, overwrite, put
from tests.support.checkpoints import place, put_chain
from tests.support.fake_s3 import FakeS3, Moment
from tests.support.fake_store import make_saver

# What changes between a listing and a read


def test_a_latest_that_vanishes_gives_way_to_the_one_before(saver: S3Saver, fake: FakeS3) -> None:
    put_chain(saver, "t", 2)
    fake.hook = once(GetObject, lambda _: make_saver(fake).delete_for_runs(["run"]))
    put(saver, "00000009", "00000001", run_id="run")
    assert get(make_saver(fake), place("t")).checkpoint["id"] == "00000001"


@pytest.mark.parametrize("seed", range(5))
def test_ancestors_may_lie_anywhere(fake: FakeS3, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of forks of forks jumps back and forth among the ids."""
    monkeypatch.setattr("langgraph_checkpoint_s3.plans.scan.PAGE", 4)
    monkeypatch.setattr("langgraph_checkpoint_s3.plans.delta_history._FIRST_PAGE", 3)
    saver, order = make_saver(fake), random.Random(seed).sample(range(40), 40)
    for parent, number in zip([None, *order], order, strict=False):
        config = put(saver, f"{number:02}", None if parent is None else f"{parent:02}")
        saver.put_writes(config, [("d", number)], "task")
    history = saver.get_delta_channel_history(config=place("t", f"{order[-1]:02}"), channels=["d"])
    assert history["d"]["writes"] == [("task", "d", number) for number in order[:-1]]


def delete_now(fake: FakeS3, _: Any) -> None:
    make_saver(fake).delete_thread("t")


def test_a_thread_that_vanishes_is_gone(saver: S3Saver, fake: FakeS3) -> None:
    put_chain(saver, "t", 3)
    snapshot = fake.snapshot()
    readings: list[Callable[[S3Saver], Any]] = [
        lambda reader: reader.get_tuple(place("t")),
        lambda reader: reader.get_tuple(place("t", "00000001")),
        lambda reader: list(reader.list(place("t"))) or None,
        lambda reader: list(reader.list(place("t"), filter={"even": True})) or None,
        lambda reader: list(reader.list(None)) or None,
    ]
    for read in readings:
        bucket = snapshot.snapshot()
        assert read(make_saver(bucket)) is not None
        bucket.hook = once(GetObject, functools.partial(delete_now, bucket))
        assert read(make_saver(bucket)) is None


def test_an_ancestor_that_vanishes_is_no_empty_history(saver: S3Saver, fake: FakeS3) -> None:
    put_chain(saver, "t", 5, values={}, run="run")
    fake.hook = once(GetObject, lambda _: make_saver(fake).delete_thread("t"))
    with pytest.raises(ConflictError):
        make_saver(fake).get_delta_channel_history(config=place("t"), channels=["d"])


def test_a_checkpoint_of_which_an_object_vanishes_does_not_lose_its_parent(fake: FakeS3) -> None:
    """Its id was put twice, and the objects tell which parent counts."""
    saver = make_saver(fake)
    put(saver, "1", values={"d": ["seed"]})
    put(saver, "2", "1", values={"v": 1})
    put(saver, "2", "0", values={"v": 1}, step=2)
    [last] = [key for key in fake.keys("/checkpoint") if ".p0" in key]
    fake.hook = once(GetObject, lambda _: fake.delete(last))
    found = make_saver(fake).get_delta_channel_history(config=place("t", "2"), channels=["d"])["d"]
    assert (found["writes"], found.get("seed")) == ([], ["seed"])


@pytest.mark.parametrize("replace", [overwrite, put], ids=["overwritten", "put again"])
@pytest.mark.parametrize("sizes", [Sizes(1 << 20, 1 << 20), Sizes(1000, 700)], ids=["whole", "in ranges"])
@pytest.mark.parametrize(
    "lengths", [(5000, 9000), (9000, 5000), (9000, 4200), (4200, 9000), (5000, 5000)], ids=str
)
def test_an_object_that_is_replaced_is_never_read_mixed(
    fake: FakeS3, sizes: Sizes, lengths: tuple[int, int], replace: Callable[..., Any]
) -> None:
    writer = make_saver(fake, compression="none")
    old, new = (bytes([number]) * length for number, length in zip(b"ab", lengths, strict=True))
    put(writer, "1", values={"v": old})
    ranges = len(range(0, max(lengths), sizes.part_size)) + 2
    for place_of_change in range(ranges):
        bucket = fake.snapshot()
        asked = itertools.count()

        def change(
            moment: Moment,
            request: Request[Any],
            bucket: FakeS3 = bucket,
            asked: Any = asked,
            at: int = place_of_change,
        ) -> None:
            if moment == "before" and isinstance(request, GetObject) and next(asked) == at:
                bucket.hook = None
                replace(make_saver(bucket, compression="none"), "1", values={"v": new})

        bucket.hook = change
        reader = make_saver(bucket, sizes=sizes)
        assert get(reader, place("t")).checkpoint["channel_values"]["v"] in (old, new)
        for each in reader.list(place("t")):
            assert each.checkpoint["channel_values"]["v"] in (old, new)
        assert get(make_saver(bucket), place("t")).checkpoint["channel_values"]["v"] in (old, new)


@pytest.mark.parametrize("replace", [overwrite, put], ids=["overwritten", "put again"])
def test_a_head_that_is_replaced_is_never_read_mixed(fake: FakeS3, replace: Callable[..., Any]) -> None:
    noise = random.Random(0).randbytes(50_000)
    put(make_saver(fake), "1", values={f"channel-{n}" * 20: n for n in range(300)}, noise=noise, mark="old")
    for at in range(6):
        bucket = fake.snapshot()
        asked = itertools.count()

        def change(
            moment: Moment, request: Request[Any], bucket: FakeS3 = bucket, asked: Any = asked, at: int = at
        ) -> None:
            if moment == "before" and isinstance(request, GetObject) and next(asked) == at:
                bucket.hook = None
                replace(make_saver(bucket), "1", values={"v": 1}, mark="new")

        bucket.hook = change
        reader = make_saver(bucket)
        found = [each.metadata for each in reader.list(place("t"), filter={"mark": "old"})]
        assert not found or (found[0]["mark"] == "old" and found[0]["noise"] == noise)  # type: ignore[typeddict-item]  # metadata of the test


@pytest.mark.parametrize("replace", [overwrite, put], ids=["overwritten", "put again"])
def test_a_reader_sees_what_another_process_replaced(
    saver: S3Saver, fake: FakeS3, replace: Callable[..., Any]
) -> None:
    put(saver, "1", values={"v": "old"})
    assert get(saver, place("t")).checkpoint["channel_values"] == {"v": "old"}
    replace(make_saver(fake), "1", values={"v": "new"})
    assert get(saver, place("t")).checkpoint["channel_values"] == {"v": "new"}
