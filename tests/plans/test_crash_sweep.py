"""Every operation, cut short at every request: what is left must be whole, and going on must work."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from langgraph.checkpoint.serde.types import ERROR, RESUME

from langgraph_checkpoint_s3 import S3Saver, StorageUnavailableError
from langgraph_checkpoint_s3.s3.requests import AbortUpload, CompleteUpload, Request, UploadPart
from tests.plans.crashes import (
    EXPECTED_ERRORS,
    KINDS,
    PLANS,
    Scenario,
    View,
    batches_of,
    check,
    failing,
    plain,
    sweep,
)
from tests.support.checkpoints import make_checkpoint, place, put_chain
from tests.support.fake_s3 import FakeS3, Moment
from tests.support.fake_store import make_saver
from tests.support.modes import cached

LARGE = random.Random(0).randbytes(2_500)
CHECKPOINT = make_checkpoint("00000004", {"new": 1}, absent=["d"])
OTHER_CHECKPOINT = make_checkpoint("00000004", {"new": 2}, absent=["d"])
LARGE_CHECKPOINT = make_checkpoint("00000004", {"new": LARGE}, absent=["d"])


def counters(*channels: str) -> Any:
    return {
        "source": "loop",
        "step": 4,
        "counters_since_delta_snapshot": {channel: [1, 1] for channel in channels},
    }


@cached
def prepared() -> FakeS3:
    """A bucket with two threads, two namespaces, writes of several kinds, and writes without a checkpoint."""
    fake = FakeS3()
    saver = make_saver(fake)
    put_chain(saver, "t", 1, run="old", writes=2)
    put_chain(saver, "t", 3, first=1, seed={"d": ["seed"]}, values={"v": 1}, run="new", writes=2)
    put_chain(saver, "t", 2, ns="sub", run="new")
    put_chain(saver, "other/t", 2, run="other")
    saver.put_writes(place("t", "00000003"), [("c", 1), (RESUME, 1)], "mixed")
    saver.put_writes(place("t", "00000003"), [("c", 1)], "regular")
    saver.put_writes(place("t", "00000003"), [(ERROR, 1)], "special")
    saver.put_writes(place("t", "00000003"), [("c", LARGE), (RESUME, 1)], "large")
    saver.put_writes(place("t", "00000004"), [("c", 1)], "early")
    return fake


def put(saver: S3Saver, checkpoint: Any = CHECKPOINT) -> None:
    saver.put(place("t", "00000003"), checkpoint, counters("d"), checkpoint["channel_versions"])


def write(saver: S3Saver, task: str, *writes: tuple[str, Any]) -> None:
    saver.put_writes(place("t", "00000003"), list(writes), task)


@cached
def with_delta_head() -> FakeS3:
    fake = prepared().snapshot()
    put(make_saver(fake))
    return fake


def without_bucket() -> FakeS3:
    fake = FakeS3()
    fake.exists = False
    return fake


SCENARIOS = [
    Scenario("put", put, prepared),
    Scenario("put, multipart", lambda saver: put(saver, LARGE_CHECKPOINT), prepared),
    Scenario("put again", put, with_delta_head),
    Scenario("put again with other content", lambda saver: put(saver, OTHER_CHECKPOINT), with_delta_head),
    Scenario(
        "put again with other content, multipart",
        lambda saver: put(saver, LARGE_CHECKPOINT),
        with_delta_head,
    ),
    Scenario(
        "put again with other metadata",
        lambda saver: saver.put(place("t"), CHECKPOINT, {"step": 5}, {}),
        with_delta_head,
    ),
    Scenario("put_writes, regular", lambda saver: write(saver, "new", ("c", 2), ("d", [2])), prepared),
    Scenario("put_writes, regular again", lambda saver: write(saver, "regular", ("c", 2)), prepared),
    Scenario("put_writes, overlapping", lambda saver: write(saver, "regular", ("c", 2), ("c", 3)), prepared),
    Scenario("put_writes, special", lambda saver: write(saver, "new", (ERROR, 2)), prepared),
    Scenario("put_writes, special again", lambda saver: write(saver, "special", (ERROR, 2)), prepared),
    Scenario("put_writes, mixed", lambda saver: write(saver, "new", ("c", 2), (RESUME, 2)), prepared),
    Scenario("put_writes, mixed again", lambda saver: write(saver, "mixed", ("c", 2), (RESUME, 2)), prepared),
    Scenario("put_writes, large", lambda saver: write(saver, "new", ("c", LARGE), (RESUME, 2)), prepared),
    Scenario(
        "put_writes, large again",
        lambda saver: write(saver, "large", ("c", LARGE[::-1]), (RESUME, LARGE)),
        prepared,
    ),
    Scenario("put_writes, large special", lambda saver: write(saver, "special", (ERROR, LARGE)), prepared),
    Scenario("get_tuple, latest", lambda saver: saver.get_tuple(place("t")), prepared),
    Scenario("get_tuple, by id", lambda saver: saver.get_tuple(place("t", "00000002")), prepared),
    Scenario("list", lambda saver: list(saver.list(place("t", ns=None))), prepared),
    Scenario(
        "list, filtered", lambda saver: list(saver.list(None, filter={"even": True}, limit=3)), prepared
    ),
    Scenario(
        "history", lambda saver: saver.get_delta_channel_history(config=place("t"), channels=["d"]), prepared
    ),
    Scenario("delete_thread", lambda saver: saver.delete_thread("t"), prepared, removes=True),
    Scenario(
        "delete_thread, long",
        lambda saver: saver.delete_thread("t"),
        prepared,
        removes=True,
        patches={"delete._BATCH": 3, "scan.PAGE": 5},
    ),
    Scenario(
        "delete_for_runs", lambda saver: saver.delete_for_runs(["new", "other"]), prepared, removes=True
    ),
    Scenario(
        "delete_for_runs, long",
        lambda saver: saver.delete_for_runs(["new", "other"]),
        prepared,
        removes=True,
        patches={"delete._BATCH": 3, "scan.PAGE": 7},
    ),
    Scenario("copy_thread", lambda saver: saver.copy_thread("t", "copy/t"), prepared, makes="copy/t"),
    Scenario(
        "copy_thread, long",
        lambda saver: saver.copy_thread("t", "copy/t"),
        prepared,
        makes="copy/t",
        patches={"copy_thread._BATCH": 3, "scan.PAGE": 5},
    ),
    Scenario("prune", lambda saver: saver.prune(["t", "other/t"]), prepared, removes=True),
    Scenario("prune, delta", lambda saver: saver.prune(["t", "other/t"]), with_delta_head, removes=True),
    Scenario(
        "prune, delta, long",
        lambda saver: saver.prune(["t"]),
        with_delta_head,
        removes=True,
        patches={"delete._BATCH": 2, "scan.PAGE": 5},
    ),
    Scenario(
        "prune, delete",
        lambda saver: saver.prune(["other/t", "t"], strategy="delete"),
        prepared,
        removes=True,
    ),
    Scenario("setup", lambda saver: saver.setup(), prepared),
    Scenario("setup without a bucket", lambda saver: saver.setup(), without_bucket),
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[scenario.name for scenario in SCENARIOS])
def test_cut_short(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep(scenario, monkeypatch)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("kind", range(len(KINDS)))
@pytest.mark.parametrize("at", [UploadPart, CompleteUpload])
def test_an_abort_that_fails_hides_no_error(at: type[Request[Any]], kind: int, moment: Moment) -> None:
    scenario = next(each for each in SCENARIOS if each.name == "put, multipart")
    batches, before, after = batches_of(scenario)
    requests = [request for batch in batches for request in batch]
    number = next(number for number, request in enumerate(requests) if isinstance(request, at))
    fake = scenario.bucket().snapshot()
    fake.hook = failing(((number, moment),), kind, aborts=True)
    error = EXPECTED_ERRORS[kind]
    with pytest.raises(error) as raised:
        scenario.run(fake)
    if kind in (0, 3):
        assert any(
            "could not be aborted" in note
            for note in getattr(raised.value, "__notes__", ["could not be aborted"])
        )
    fake.hook = None
    check(scenario, before, View.of(fake), after)
    scenario.run(fake)
    assert View.of(fake) == after


def test_the_async_methods_abort_as_well() -> None:
    fake = prepared().snapshot()
    requests: list[Request[Any]] = []

    def hook(moment: Moment, request: Request[Any]) -> None:
        requests.append(request)
        if isinstance(request, UploadPart) and moment == "after":
            raise asyncio.CancelledError

    fake.hook = hook
    saver = plain(fake)

    async def put_large() -> None:
        with pytest.raises(asyncio.CancelledError):
            await saver.aput(
                place("t", "00000003"), LARGE_CHECKPOINT, {}, LARGE_CHECKPOINT["channel_versions"]
            )

    asyncio.run(put_large())
    assert isinstance(requests[-1], AbortUpload)
    assert not fake.uploads


def test_a_copy_cut_short_between_two_batches_is_the_past(monkeypatch: pytest.MonkeyPatch) -> None:
    """The target's checkpoints then have all of their ancestors, which delta channels are rebuilt from."""
    monkeypatch.setattr(PLANS + "copy_thread._BATCH", 3)
    bucket = FakeS3()
    put_chain(make_saver(bucket), "t", 12, values={})
    source = View.of(bucket).histories
    fake = bucket.snapshot()
    with fake.counted() as count:
        make_saver(fake).copy_thread("t", "u")
    for number in range(2, len(count.batches)):
        fake = bucket.snapshot()
        done = sum(len(batch) for batch in count.batches[:number])
        fake.hook = failing(tuple((done + place, "before") for place in range(len(count.batches[number]))), 0)
        with pytest.raises(StorageUnavailableError):
            make_saver(fake).copy_thread("t", "u")
        fake.hook = None
        for (thread, ns, checkpoint_id), history in View.of(fake).histories.items():
            assert history == source["t", ns, checkpoint_id], thread
