"""Random histories against InMemorySaver while requests fail: what fails is there whole, or not at all.

make chaos                                                                   besides its operations
CHAOS_HISTORIES=40 CHAOS_SEED=7 pytest tests/contract/test_histories.py      some, with a seed's faults
"""

from __future__ import annotations

import copy
import functools
import os
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import moto.s3.models
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from langgraph_checkpoint_s3 import CorruptObjectError, S3CheckpointError, S3Saver, StorageUnavailableError
from tests.contract.chaos import Chaos
from tests.contract.support import Place, farewell
from tests.contract.test_chaos import SEED
from tests.plans.borrowers import made_eager
from tests.plans.test_state_machine import MIDDLING, SMALL, TASKS, Histories, writes
from tests.support.checkpoints import shown
from tests.support.pauses import shorten_pauses

T = TypeVar("T")

HISTORIES = os.environ.get("CHAOS_HISTORIES")
RATE = 0.3
_PUTS = ("put", "put_writes")
_GETS = ("get_tuple", "get_delta_channel_history")
_READS = 4
"""Times to read while requests fail: to list much nearly always fails then."""
_WRITES = 60


class Unacknowledged(Exception):  # noqa: N818 - a state of affairs, not a fault
    """A `put` failed, and isn't done again."""

    def __init__(self, *, there: bool) -> None:
        super().__init__()
        self.there = there


class UnsteadyHistories(Histories):
    """One bucket behind a front that fails requests, three processes, and the oracle.

    After each operation the whole bucket is read past the front, by somebody who knows nothing.
    """

    small_pages: Sequence[Any] = ()
    # Each rule has the same chance: there is more to say of these.
    and_on = Histories.go_on
    and_put = Histories.put

    def __init__(self, place: Place, reader: S3Saver, report: Counter[str]) -> None:
        self.place = place
        self.reader = reader
        self.report = report
        self.draw = random.Random(SEED)
        super().__init__()
        self.chaos = Chaos(SEED, RATE)
        self.before = self.modelled()
        self.kept = self.contents()

    def make_savers(self) -> list[S3Saver]:
        def make(attempts: int, **more: Any) -> S3Saver:
            return S3Saver(**self.place.arguments(max_attempts=attempts, **more))

        # With two attempts, replies get lost and are asked for again; with one, much fails for good.
        savers = [
            made_eager(make(2)),
            make(1, cache_bytes=0, compression="none"),
            made_eager(make(1, cache_bytes=12_000, compression="gzip")),
        ]
        savers[0]._sizes, savers[1]._sizes = SMALL, MIDDLING
        return savers

    def uploads(self) -> Any:
        # One whose very creation wasn't answered stays: see docs/reliability.md.
        return ()

    def teardown(self) -> None:
        self.chaos.rate = 0
        super().teardown()

    def close(self) -> None:
        self.report.update(self.chaos.done)
        for saver in self.savers:
            self.loop.run_until_complete(saver.aclose())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.run_until_complete(farewell())
        self.loop.close()
        for key in self.place.listing():
            self.place.client.delete_object(Bucket=self.place.bucket, Key=key)

    def call(self, name: str, *arguments: Any, **keywords: Any) -> Any:
        def do() -> Any:
            return super(UnsteadyHistories, self).call(name, *arguments, **keywords)

        return self.insist(do) if name in _GETS else self.write(name, do)

    def listed(self, *arguments: Any, **keywords: Any) -> Any:
        return self.insist(lambda: super(UnsteadyHistories, self).listed(*arguments, **keywords))

    def failing(self, do: Callable[[], T]) -> T:
        """Do it while requests fail."""
        self.place.front.schedule = self.chaos
        try:
            return do()
        finally:
            self.place.front.schedule = None

    def insist(self, do: Callable[[], T]) -> T:
        """Read until there is an answer: some times while requests fail, and then while they don't."""
        for _ in range(_READS):
            try:
                return self.failing(do)
            except S3CheckpointError as error:  # damage, or what wouldn't stay, as well
                self.report[f"{type(error).__name__} of a read"] += 1
        try:
            return do()
        except CorruptObjectError:
            # What was damaged on its way, in a batch that failed for another reason, was still in the cache.
            return do()

    @rule(which=st.integers(0, 100), what=writes, task=st.sampled_from(TASKS))
    def put_writes_there(self, which: int, what: Any, task: str) -> None:
        """To a checkpoint that is there: otherwise nobody sees them."""
        there = self.model.all_keys()
        if there:
            self.put_writes(*there[which % len(there)], what, task, "")

    and_put_writes_there = put_writes_there

    def write(self, name: str, do: Callable[[], Any]) -> Any:
        """Write until it is acknowledged; or leave it, if it is sure whether it is there."""
        before, after = self.before, self.modelled()
        answer, tries = None, 0
        while True:
            tries += 1
            assert tries < _WRITES
            try:
                answer = self.failing(do)
                break
            except S3CheckpointError as error:
                self.report[f"{type(error).__name__} of {name}"] += 1
                now = self.stored()
                if name not in _PUTS:  # goes from the one to the other, and may stop on its way
                    assert all(each in before or each in after for each in now)
                    assert all(each in now for each in before if each in after)
                    continue
                if not isinstance(error, StorageUnavailableError):
                    raise
                assert now in (before, after), "it is there in part"
            if before == after or self.draw.random() < 0.5:
                continue
            there = now == after
            self.report[f"{name} left, and {'there' if there else 'not there'}"] += 1
            if not there:
                vars(self.model).update(self.kept)
            self.settle(name)
            if name == "put":
                raise Unacknowledged(there=there)
            return None
        self.settle(name)
        return answer

    def settle(self, name: str) -> None:
        """Compare the stored state with the model's, and record it."""
        self.report[name] += 1
        self.before = self.modelled()
        self.kept = self.contents()
        assert self.stored() == self.before

    def stored(self) -> list[Any]:
        return sorted(map(shown, self.reader.list(None)), key=lambda each: each[0])

    def modelled(self) -> list[Any]:
        return sorted(map(shown, self.model.list(None)), key=lambda each: each[0])

    def contents(self) -> dict[str, Any]:
        """All that the model holds."""
        return {
            name: copy.deepcopy(vars(self.model)[name]) for name in ("storage", "writes", "blobs", "runs")
        }

    def store(self, config: Any, checkpoint: Any, said: Any, changed: Any, *, user: bool = False) -> bool:
        try:
            return super().store(config, checkpoint, said, changed, user=user)
        except Unacknowledged as error:
            if error.there:
                thread, ns = config["configurable"]["thread_id"], config["configurable"]["checkpoint_ns"]
                self.note_new({(thread, ns, checkpoint["id"])})
            return error.there


def test_random_histories_while_requests_fail(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_pauses(monkeypatch, 0.002)
    monkeypatch.setattr(moto.s3.models, "S3_UPLOAD_PART_MIN_SIZE", 256)
    print(f"CHAOS_SEED={SEED}")  # pytest shows it with a failure
    report: Counter[str] = Counter()
    with S3Saver(**place.arguments(endpoint_url=place.server.endpoint_url, cache_bytes=0)) as reader:
        make: Any = functools.partial(UnsteadyHistories, place, reader, report)
        run_state_machine_as_test(
            make,
            settings=settings(
                derandomize=HISTORIES is None,
                max_examples=int(HISTORIES or 4),
                stateful_step_count=30 if HISTORIES else 20,
                database=None,
                phases=[Phase.generate],  # to make a failing one shorter would take very long
                suppress_health_check=list(HealthCheck),
            ),
        )
    print(dict(report))
