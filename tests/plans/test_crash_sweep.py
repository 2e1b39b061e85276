"""Every operation, cut short at every request it makes: what is left must be whole, and going on must work.

Each batch of an operation fails in turn, in every subset of its requests (in a sample of them
where there are many), each of them before or after S3 has done it.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from langgraph.checkpoint.serde.types import ERROR, RESUME

from langgraph_checkpoint_s3 import BucketNotFoundError, S3Saver, StorageUnavailableError
from langgraph_checkpoint_s3.plans.transfer import Sizes
from langgraph_checkpoint_s3.s3.requests import AbortUpload, CompleteUpload, CreateUpload, Request, UploadPart
from tests.support.checkpoints import address, make_checkpoint, place, put_chain, shown
from tests.support.fake_s3 import FakeS3, Moment, client_error
from tests.support.fake_store import make_saver

SMALL = Sizes(multipart_threshold=2_000, part_size=900)
LARGE = random.Random(0).randbytes(2_500)
CHECKPOINT = make_checkpoint("00000004", {"new": 1}, absent=["d"])
LARGE_CHECKPOINT = make_checkpoint("00000004", {"new": LARGE}, absent=["d"])
KINDS: list[Callable[[Request[Any]], BaseException]] = [
    lambda request: client_error("SlowDown", 503, request),
    lambda request: KeyboardInterrupt(),
    lambda request: asyncio.CancelledError(),
    lambda request: RuntimeError("a bug, somewhere below"),
]
EXPECTED_ERRORS = (StorageUnavailableError, KeyboardInterrupt, asyncio.CancelledError, RuntimeError)

Pending = frozenset[tuple[str, tuple[tuple[str, str], ...]]]
"""The pending writes by task: what one call of `put_writes` brought is there as a whole, or not at all."""


def counters(*channels: str) -> Any:
    return {
        "source": "loop",
        "step": 4,
        "counters_since_delta_snapshot": {channel: [1, 1] for channel in channels},
    }


@functools.cache
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


@functools.cache
def with_delta_head() -> FakeS3:
    fake = prepared().snapshot()
    put(make_saver(fake))
    return fake


def without_bucket() -> FakeS3:
    fake = FakeS3()
    fake.exists = False
    return fake


@dataclass(frozen=True)
class Scenario:
    """An operation, and what may be gone or there when it was cut short.

    Attributes:
        name: For pytest.
        operate: The operation.
        bucket: What it begins with; `test_cut_short` makes a copy of it for every run.
        removes: Whether checkpoints may go.
        patches: Constants of the plans to make smaller.
    """

    name: str
    operate: Callable[[S3Saver], Any]
    bucket: Callable[[], FakeS3] = prepared
    removes: bool = False
    patches: dict[str, int] = field(default_factory=dict)


PLANS = "langgraph_checkpoint_s3.plans."
SCENARIOS = [
    Scenario("put", put),
    Scenario("put, multipart", lambda saver: put(saver, LARGE_CHECKPOINT)),
    Scenario(
        "put again with other metadata",
        lambda saver: saver.put(place("t"), CHECKPOINT, {"step": 5}, {}),
        with_delta_head,
    ),
    Scenario("put_writes, regular", lambda saver: write(saver, "new", ("c", 2), ("d", [2]))),
    Scenario("put_writes, regular again", lambda saver: write(saver, "regular", ("c", 2))),
    Scenario("put_writes, overlapping", lambda saver: write(saver, "regular", ("c", 2), ("c", 3))),
    Scenario("put_writes, special", lambda saver: write(saver, "new", (ERROR, 2))),
    Scenario("put_writes, special again", lambda saver: write(saver, "special", (ERROR, 2))),
    Scenario("put_writes, mixed", lambda saver: write(saver, "new", ("c", 2), (RESUME, 2))),
    Scenario("put_writes, mixed again", lambda saver: write(saver, "mixed", ("c", 2), (RESUME, 2))),
    Scenario("put_writes, large", lambda saver: write(saver, "new", ("c", LARGE), (RESUME, 2))),
    Scenario(
        "put_writes, large again", lambda saver: write(saver, "large", ("c", LARGE[::-1]), (RESUME, LARGE))
    ),
    Scenario("put_writes, large special", lambda saver: write(saver, "special", (ERROR, LARGE))),
    Scenario("get_tuple, latest", lambda saver: saver.get_tuple(place("t"))),
    Scenario("get_tuple, by id", lambda saver: saver.get_tuple(place("t", "00000002"))),
    Scenario("list", lambda saver: list(saver.list(place("t", ns=None)))),
    Scenario("list, filtered", lambda saver: list(saver.list(None, filter={"even": True}, limit=3))),
    Scenario("history", lambda saver: saver.get_delta_channel_history(config=place("t"), channels=["d"])),
    Scenario("delete_thread", lambda saver: saver.delete_thread("t"), removes=True),
    Scenario(
        "delete_thread, long",
        lambda saver: saver.delete_thread("t"),
        removes=True,
        patches={"remove._BATCH": 3, "scan.PAGE": 5},
    ),
    Scenario("delete_for_runs", lambda saver: saver.delete_for_runs(["new", "other"]), removes=True),
    Scenario(
        "delete_for_runs, long",
        lambda saver: saver.delete_for_runs(["new", "other"]),
        removes=True,
        patches={"remove._BATCH": 3, "scan.PAGE": 7},
    ),
    Scenario("copy_thread", lambda saver: saver.copy_thread("t", "copy/t")),
    Scenario(
        "copy_thread, long",
        lambda saver: saver.copy_thread("t", "copy/t"),
        patches={"copy._BATCH": 3, "scan.PAGE": 5},
    ),
    Scenario("prune", lambda saver: saver.prune(["t", "other/t"]), removes=True),
    Scenario("prune, delta", lambda saver: saver.prune(["t", "other/t"]), with_delta_head, removes=True),
    Scenario(
        "prune, delta, long",
        lambda saver: saver.prune(["t"]),
        with_delta_head,
        removes=True,
        patches={"remove._BATCH": 2, "scan.PAGE": 5},
    ),
    Scenario("prune, delete", lambda saver: saver.prune(["other/t", "t"], strategy="delete"), removes=True),
    Scenario("setup", lambda saver: saver.setup()),
    Scenario("setup without a bucket", lambda saver: saver.setup(), without_bucket),
]


@dataclass
class View:
    """All that a fresh saver tells of a bucket.

    Attributes:
        tuples: Of each checkpoint, all but its pending writes.
        pending: Its pending writes.
        histories: What its delta channel is rebuilt from.
    """

    tuples: dict[Any, Any]
    pending: dict[Any, Pending]
    histories: dict[Any, Any]

    @classmethod
    def of(cls, fake: FakeS3) -> View:
        saver = make_saver(fake, sizes=SMALL)
        view = cls({}, {}, {})
        newest: set[Any] = set()
        try:
            found = list(saver.list(None))
        except BucketNotFoundError:
            return view
        for each in found:
            where = address(each.config)
            assert where is not None
            *rest, writes = shown(each)
            tasks = {
                task: tuple((channel, repr(value)) for _, channel, value in group)
                for task, group in itertools.groupby(writes, key=lambda one: str(one[0]))
            }
            view.tuples[where], view.pending[where] = rest, frozenset(tasks.items())
            view.histories[where] = saver.get_delta_channel_history(config=each.config, channels=["d"])
            assert shown(saver.get_tuple(each.config)) == shown(each)
            if where[:2] not in newest:  # the first of its namespace is the latest
                newest.add(where[:2])
                assert shown(saver.get_tuple(place(where[0], ns=where[1]))) == shown(each)
        assert len(view.tuples) == len(found)
        return view


Failure = tuple[tuple[int, Moment], ...]
"""Which requests fail, by their number in the operation, and when."""


def failures(batches: list[list[Request[Any]]]) -> Iterator[Failure]:
    """Each batch failing in each way, or in a sample of its ways."""
    moments: tuple[Moment, ...] = ("before", "after")
    first = 0
    for batch in batches:
        numbers = range(first, first + len(batch))
        first += len(batch)
        if len(batch) <= 3:
            for ways in itertools.product((None, *moments), repeat=len(batch)):
                failure = tuple((number, way) for number, way in zip(numbers, ways, strict=True) if way)
                if failure:
                    yield failure
            continue
        chosen = random.Random(first)
        for moment in moments:
            yield tuple((number, moment) for number in numbers)
            yield from (((number, moment),) for number in chosen.sample(numbers, min(len(batch), 8)))
        for _ in range(12):
            some = sorted(chosen.sample(numbers, chosen.randrange(2, len(batch))))
            yield tuple((number, chosen.choice(moments)) for number in some)


def failing(failure: Failure, kind: int, *, aborts: bool = False) -> Any:
    """A hook that fails these requests, and the aborts that follow where they are to fail too."""
    when, asked, begun = dict(failure), itertools.count(), False
    number = -1

    def hook(moment: Moment, request: Request[Any]) -> None:
        nonlocal number, begun
        if moment == "before":
            number = next(asked)
        if when.get(number) == moment or (aborts and begun and isinstance(request, AbortUpload)):
            begun = True
            raise KINDS[kind % len(KINDS)](request)

    return hook


def batches_of(scenario: Scenario) -> tuple[list[list[Request[Any]]], View, View]:
    """What an operation asks, and what there is before and after it."""
    fake = scenario.bucket().snapshot()
    before = View.of(fake)
    with fake.counted() as count:
        scenario.operate(make_saver(fake, sizes=SMALL, compression="none"))
    assert not fake.uploads
    return count.batches, before, View.of(fake)


def run(fake: FakeS3, scenario: Scenario) -> None:
    scenario.operate(make_saver(fake, sizes=SMALL, compression="none"))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[scenario.name for scenario in SCENARIOS])
def test_cut_short(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in scenario.patches.items():
        monkeypatch.setattr(PLANS + name, value)
    bucket = scenario.bucket()
    batches, before, after = batches_of(scenario)
    requests = [request for batch in batches for request in batch]
    assert requests
    for kind, failure in enumerate(failures(batches)):
        fake = bucket.snapshot()
        fake.hook = failing(failure, kind)
        with pytest.raises(EXPECTED_ERRORS):
            run(fake, scenario)
        fake.hook = None
        left = View.of(fake)
        check(scenario, before, left, after)
        lost = [
            number
            for number, moment in failure
            if isinstance(requests[number], AbortUpload)
            or (isinstance(requests[number], CreateUpload) and moment == "after")  # nobody knows its id
        ]
        assert lost or not fake.uploads, "an upload was left behind"
        run(fake, scenario)
        assert View.of(fake) == after, f"going on after {failure} led elsewhere"


def check(scenario: Scenario, before: View, left: View, after: View) -> None:
    for where, found in left.tuples.items():
        assert found in (before.tuples.get(where), after.tuples.get(where)), "never put"
        whole = before.pending.get(where, frozenset()) | after.pending.get(where, frozenset())
        assert left.pending[where] <= whole, "half a call of put_writes"
        if not scenario.name.startswith("copy_thread"):  # its source is whole, its target is being made
            assert left.histories[where] in (before.histories.get(where), after.histories.get(where))
    for where, found in before.tuples.items():
        if where in after.tuples:  # acknowledged before, and to stay
            assert left.tuples[where] in (found, after.tuples[where])
            tasks = {task for task, _ in before.pending[where] & after.pending[where]}
            assert tasks <= {task for task, _ in left.pending[where]}
            if found == after.tuples[where] and before.pending[where] == after.pending[where]:
                assert left.pending[where] == before.pending[where]
            if before.histories[where] == after.histories[where]:
                assert left.histories[where] == before.histories[where]
        elif not scenario.removes:
            raise AssertionError(f"{where} is gone")


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
        run(fake, scenario)
    if kind in (0, 3):
        assert any(
            "could not be aborted" in note
            for note in getattr(raised.value, "__notes__", ["could not be aborted"])
        )
    fake.hook = None
    check(scenario, before, View.of(fake), after)
    run(fake, scenario)
    assert View.of(fake) == after


def test_the_async_methods_abort_as_well() -> None:
    fake = prepared().snapshot()
    requests: list[Request[Any]] = []

    def hook(moment: Moment, request: Request[Any]) -> None:
        requests.append(request)
        if isinstance(request, UploadPart) and moment == "after":
            raise asyncio.CancelledError

    fake.hook = hook
    saver = make_saver(fake, sizes=SMALL, compression="none")

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
    monkeypatch.setattr(PLANS + "copy._BATCH", 3)
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
