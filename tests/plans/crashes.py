"""Cuts an operation short at every request it makes, and looks at all that is left.

Each batch of an operation fails in turn, in every subset of its requests (in a sample of them
where there are many), each of them before or after S3 has done it. `make test` plays one or three failures of
each batch, `EXHAUSTIVE=1` all; `CRASH_SAMPLES=n` takes larger samples of large batches.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from langgraph.checkpoint.base import WRITES_IDX_MAP

from langgraph_checkpoint_s3 import (
    BucketNotFoundError,
    S3Saver,
    StorageUnavailableError,
)
from langgraph_checkpoint_s3.plans.transfer import Sizes
from langgraph_checkpoint_s3.s3.requests import AbortUpload, CreateUpload, Request
from tests.support.checkpoints import address, place, shown
from tests.support.fake_s3 import FakeS3, Moment, client_error
from tests.support.fake_store import make_saver
from tests.support.sampling import is_exhaustive, sample

SAMPLES = int(os.environ.get("CRASH_SAMPLES", "5"))
"""The numbers of single requests and of subsets of a batch of many."""
FEW = 12
"""Of an operation that can fail in no more ways than that, `make test` plays all."""
SMALL = Sizes(multipart_threshold=2_000, part_size=900)
KINDS: list[Callable[[Request[Any]], BaseException]] = [
    lambda request: client_error("SlowDown", 503, request),
    lambda request: KeyboardInterrupt(),
    lambda request: asyncio.CancelledError(),
    lambda request: RuntimeError("a bug, somewhere below"),
]
EXPECTED_ERRORS = (StorageUnavailableError, KeyboardInterrupt, asyncio.CancelledError, RuntimeError)

Pending = frozenset[tuple[tuple[str, bool], tuple[tuple[str, str], ...]]]
"""The pending writes by task, the special ones by themselves: what one call of `put_writes` brought of either
is there as a whole, or not at all."""

PLANS = "langgraph_checkpoint_s3.plans."


def plain(fake: FakeS3) -> S3Saver:
    """A saver that moves objects in parts already when they are small."""
    return make_saver(fake, sizes=SMALL, compression="none")


@dataclass(frozen=True)
class Scenario:
    """An operation, and what may be gone or there when it was cut short.

    Attributes:
        name: For pytest.
        operate: The operation.
        bucket: What it begins with; `sweep` makes a copy of it for every run.
        removes: Whether checkpoints may go.
        makes: A thread that comes about: any part of it may be there before.
        patches: Constants of the plans to make smaller.
        saver: Makes the saver that operates.
    """

    name: str
    operate: Callable[[S3Saver], Any]
    bucket: Callable[[], FakeS3]
    removes: bool = False
    makes: str | None = None
    patches: dict[str, int] = field(default_factory=dict)
    saver: Callable[[FakeS3], S3Saver] = plain

    def run(self, fake: FakeS3) -> None:
        """Operate, in a process that has just begun."""
        self.operate(self.saver(fake))


@dataclass
class View:
    """All that a fresh saver tells of a bucket.

    Attributes:
        tuples: Of each checkpoint, all but its pending writes.
        pending: Its pending writes.
        histories: What its delta channel is rebuilt from.
    """

    tuples: dict[Any, Any] = field(default_factory=dict)
    pending: dict[Any, Pending] = field(default_factory=dict)
    histories: dict[Any, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, fake: FakeS3) -> View:
        """Read everything. Nothing that is listed may be unreadable."""
        # Most failures leave one of a few states, and many scenarios begin with the same bucket.
        content = (fake.exists, *sorted(fake.objects.items()))
        if content not in _VIEWS:
            if len(_VIEWS) == _MOST_VIEWS:
                _VIEWS.pop(next(iter(_VIEWS)))
            _VIEWS[content] = cls._read(fake)
        return _VIEWS[content]

    @classmethod
    def _read(cls, fake: FakeS3) -> View:
        view = cls()
        saver = make_saver(fake, sizes=SMALL)
        newest: set[Any] = set()
        try:
            found = list(saver.list(None))
        except BucketNotFoundError:
            return view
        for each in found:
            where = view.add(each)
            view.histories[where] = saver.get_delta_channel_history(config=each.config, channels=["d"])
            assert shown(saver.get_tuple(each.config)) == shown(each)
            if where[:2] not in newest:  # the first of its namespace is the latest
                newest.add(where[:2])
                assert shown(saver.get_tuple(place(where[0], ns=where[1]))) == shown(each)
        assert len(view.tuples) == len(found)
        return view

    def add(self, found: Any) -> Any:
        """Note a checkpoint; where it is."""
        where = address(found.config)
        assert where is not None
        *rest, writes = shown(found)
        tasks = {
            task: tuple((channel, repr(value)) for _, channel, value in group)
            for task, group in itertools.groupby(
                writes, key=lambda one: (str(one[0]), one[1] in WRITES_IDX_MAP)
            )
        }
        self.tuples[where], self.pending[where] = rest, frozenset(tasks.items())
        return where


_VIEWS: dict[Any, View] = {}
_MOST_VIEWS = 100

Failure = tuple[tuple[int, Moment], ...]
"""Which requests fail, by their number in the operation, and when."""


def failures(batches: list[list[Request[Any]]]) -> list[Failure]:
    """Each batch failing in each of its ways, or in some of them."""
    ways = list(ways_of(batches))
    if is_exhaustive() or sum(map(len, ways)) <= FEW:
        return [each for some in ways for each in some]
    # A request alone fails before or after its effect, in turns from batch to batch.
    return [
        each
        for number, some in enumerate(ways)
        for each in (sample(some, 3) if len(some) > 2 else [some[number % 2]])
    ]


def ways_of(batches: list[list[Request[Any]]]) -> Iterator[list[Failure]]:
    """For each batch the ways in which it can fail, or a sample of them."""
    moments: tuple[Moment, ...] = ("before", "after")
    first = 0
    for batch in batches:
        numbers = range(first, first + len(batch))
        first += len(batch)
        if len(batch) <= 3:
            yield [
                tuple((number, way) for number, way in zip(numbers, each, strict=True) if way)
                for each in itertools.product((None, *moments), repeat=len(batch))
                if any(each)
            ]
            continue
        chosen = random.Random(first)
        ways: list[Failure] = []
        for moment in moments:
            ways.append(tuple((number, moment) for number in numbers))
            ways += (((number, moment),) for number in chosen.sample(numbers, min(len(batch), SAMPLES)))
        for _ in range(SAMPLES):
            some = sorted(chosen.sample(numbers, chosen.randrange(2, len(batch))))
            ways.append(tuple((number, chosen.choice(moments)) for number in some))
        yield ways


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
    """Return an operation's batches, and views of the bucket before and after it."""
    fake = scenario.bucket().snapshot()
    before = View.of(fake)
    with fake.counted() as count:
        scenario.run(fake)
    assert not fake.uploads
    return count.batches, before, View.of(fake)


def sweep(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut an operation short in all ways: what is left must be whole, and going on must work."""
    if scenario.patches:
        _VIEWS.clear()  # all is read with these constants, too
    for name, value in scenario.patches.items():
        monkeypatch.setattr(PLANS + name, value)
    bucket = scenario.bucket()
    batches, before, after = batches_of(scenario)
    # Most failures leave one of a few states, each of which is gone on from once.
    resumed: set[Any] = set()

    requests = [request for batch in batches for request in batch]
    assert requests
    for kind, failure in enumerate(failures(batches)):
        fake = bucket.snapshot()
        fake.hook = failing(failure, kind)
        with pytest.raises(EXPECTED_ERRORS):
            scenario.run(fake)
        fake.hook = None
        check(scenario, before, View.of(fake), after)
        lost = [
            number
            for number, moment in failure
            if isinstance(requests[number], AbortUpload)
            or (isinstance(requests[number], CreateUpload) and moment == "after")  # nobody knows its id
        ]
        assert lost or not fake.uploads, "an upload was left behind"
        uploads = sorted((name, each.key) for name, each in fake.uploads.items())
        state = (fake.now, fake.seconds, fake.exists, *uploads, *sorted(fake.objects.items()))
        if state not in resumed:
            resumed.add(state)
            scenario.run(fake)
            assert View.of(fake) == after, f"going on after {failure} led elsewhere"


def check(scenario: Scenario, before: View, left: View, after: View) -> None:
    """Check that the state after a crash mixes only the states before and after the operation."""
    for where, found in left.tuples.items():
        assert found in (before.tuples.get(where), after.tuples.get(where)), "never put"
        whole = before.pending.get(where, frozenset()) | after.pending.get(where, frozenset())
        assert left.pending[where] <= whole, "half a call of put_writes"
        if where in left.histories and where[0] != scenario.makes:
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
