"""What a put that borrows asks for beside its PUT: its parent, as a rule, and at times all of its lenders.

Two processes are interleaved request by request, in every order: one goes on with a line, the other deletes.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Generator, Iterator, Sequence
from typing import Any

import pytest
from langgraph.checkpoint.base import Checkpoint

from langgraph_checkpoint_s3 import ConflictError, CorruptObjectError, S3Saver
from langgraph_checkpoint_s3.objects.keys import encode_rank
from langgraph_checkpoint_s3.plans import remove
from langgraph_checkpoint_s3.plans.transfer import Sizes
from langgraph_checkpoint_s3.s3.requests import (
    DeleteObjects,
    GetObject,
    HeadObject,
    ListObjects,
    PutObject,
    Request,
)
from tests.plans.borrowers import cold, eager, key_of, lenders, noise, step, succeed
from tests.plans.helpers import get, once, put
from tests.support.checkpoints import place
from tests.support.fake_s3 import Count, FakeS3
from tests.support.fake_store import FakeStore, make_saver

DOCUMENTS, LOG = noise(700), noise(1_000, 1)


def line(saver: S3Saver, count: int = 3) -> Checkpoint:
    """So many checkpoints, from the third on all with the same two lenders, the first and the second."""
    last = step(saver, "01", run="old", documents=DOCUMENTS, log=LOG[:500])
    last = step(saver, "02", last, run="new", log=LOG[:900])
    return go_on(saver, last, count - 2)


def go_on(saver: S3Saver, last: Checkpoint, count: int = 1, **changed: Any) -> Checkpoint:
    """So many more."""
    for _ in range(count):
        number = int(last["id"]) + 1
        last = step(saver, f"{number:02}", last, run="new", **(changed or {"n": number}))
    return last


def asked(count: Count) -> list[str]:
    """The keys that were asked for."""
    return [each.key for each in count.requests if isinstance(each, HeadObject)]


# How much is asked


@pytest.mark.modes("plain", "private")
@pytest.mark.parametrize("reads", [False, True], ids=["one run", "a read before each"])
def test_seven_in_a_row_ask_for_their_parent_and_the_eighth_for_all_lenders(
    fake: FakeS3, saver: S3Saver, reads: bool
) -> None:
    last = step(saver, "01", documents=noise(40_000), notes=noise(12_000, 1))
    last = step(saver, "02", last, more=noise(9_000, 2))
    keys: list[list[str]] = []
    for _ in range(17):
        if reads:
            assert get(saver, place("t")).checkpoint == last
        with fake.counted() as count:
            last = go_on(saver, last)
        assert lenders(fake, last["id"]) == ["01", "02"]
        assert (count.kinds["PutObject"], count.round_trips) == (1, 1)
        keys.append(asked(count))
    parents = [[key_of(fake, f"{number:02}")] for number in range(2, 19)]
    for eighth in (7, 15):
        parents[eighth] = [key_of(fake, "01"), key_of(fake, "02")]
    assert keys == parents
    assert cold(fake) == last["channel_values"]


def test_who_read_the_parent_asks_for_all_lenders_once(fake: FakeS3) -> None:
    last = line(eager(fake))
    reader = eager(fake)
    get(reader, place("t"))
    counts = []
    for _ in range(3):
        with fake.counted() as count:
            last = go_on(reader, last)
        counts.append(len(asked(count)))
    assert counts == [2, 1, 1]


def test_one_lender_is_asked_for_whoever_the_parent_is(fake: FakeS3) -> None:
    saver = eager(fake)
    last = step(saver, "01", documents=DOCUMENTS)
    for _ in range(9):
        with fake.counted() as count:
            last = go_on(saver, last)
        assert asked(count) == [key_of(fake, "01")]


@pytest.mark.parametrize("sizes", [None, Sizes(150, 90)], ids=["one PUT", "in parts"])
def test_a_parent_that_was_rewritten_says_nothing_of_its_lenders(fake: FakeS3, sizes: Sizes | None) -> None:
    saver = eager(fake, sizes=sizes)
    third = line(saver)
    keys = [key_of(fake, each) for each in ("03", "01", "02")]
    make_saver(fake).delete_for_runs(["old"])
    assert lenders(fake, "03") == []
    with fake.counted() as count:
        fourth = go_on(saver, third)
    own = key_of(fake, "04")
    assert [key for key in asked(count) if key != own] == keys
    assert lenders(fake, "04") == []
    assert cold(fake, "04") == fourth["channel_values"]


def test_they_may_still_be_there(fake: FakeS3) -> None:
    """Who rewrote the parent was cut short. The next put trusts its own parent again."""
    saver = eager(fake)
    third = line(saver)
    fake.hook = once(DeleteObjects, stop)
    with pytest.raises(KeyboardInterrupt):
        make_saver(fake).prune(["t"])
    fake.hook = None
    with fake.counted() as count:
        fourth = go_on(saver, third)
    assert [[each.key for each in batch if isinstance(each, HeadObject)] for batch in count.batches] == [
        [key_of(fake, "03")],
        [key_of(fake, "01"), key_of(fake, "02")],
    ]
    assert lenders(fake, "04") == ["01", "02"]
    with fake.counted() as count:
        go_on(saver, fourth)
    assert asked(count) == [key_of(fake, "04")]


def stop(_: Any) -> None:
    raise KeyboardInterrupt


def test_a_parent_that_is_gone_is_enough_to_write_whole(fake: FakeS3) -> None:
    saver = eager(fake)
    third = line(saver)
    put(make_saver(fake), "00")
    fake.delete(key_of(fake, "03"))
    with fake.counted() as count:
        fourth = go_on(saver, third)
    assert count.kinds == {"PutObject": 2, "HeadObject": 1, "ListObjects": 1}
    assert lenders(fake, "04") == []
    assert cold(fake, "04") == fourth["channel_values"]


def test_a_lender_that_went_by_itself_is_missed_at_the_eighth_put(fake: FakeS3) -> None:
    """Somebody deleted it by hand, and rewrote nothing before."""
    saver = eager(fake)
    last = line(saver)
    fake.delete(key_of(fake, "01"))
    while lenders(fake, last["id"]):
        last = go_on(saver, last)
    assert last["id"] == "10"  # the third is the first of the seven
    assert cold(fake, "10") == last["channel_values"]


def test_a_parent_that_was_put_beside_itself_is_asked_for_where_it_is(fake: FakeS3) -> None:
    saver = eager(fake)
    third = line(saver)
    put(make_saver(fake), "04", "03", run_id="new")
    fourth = go_on(saver, third)
    [key] = [key for key in fake.keys("/checkpoint") if ".c" in key.rpartition("/")[2]]
    with fake.counted() as count:
        fifth = go_on(saver, fourth)
    assert asked(count) == [key]
    assert cold(fake, "05") == fifth["channel_values"]


# All orders of two processes' requests


class Process:
    """Runs plans, one request at each step. What only reads goes with what comes before it.

    Args:
        saver: Whose.
        plans: Its plans, each with a name.
        backwards: Whether what goes out together is served last first.
    """

    def __init__(self, saver: S3Saver, plans: Iterator[tuple[str, Any]], *, backwards: bool = False) -> None:
        store: Any = saver._store
        self.store: FakeStore = store
        self.plans = plans
        self.backwards = backwards
        self.at: dict[str, list[Any]] = {}
        self.errors: dict[str, Exception] = {}

    def steps(self, times: Iterator[int]) -> Generator[None, None, None]:
        """Go on by a request at each `next`; note when each was served."""
        for name, plan in self.plans:
            self.at[name] = []
            answers: list[Any] | None = None
            try:
                while True:
                    batch: Sequence[Request[Any]] = next(plan) if answers is None else plan.send(answers)
                    numbers = list(range(len(batch)))
                    served: dict[int, Any] = {}
                    for number in reversed(numbers) if self.backwards else numbers:
                        if not isinstance(batch[number], GetObject):
                            yield
                        [served[number]], failure = self.store._settle([batch[number]])
                        assert failure is None
                        self.at[name].append((next(times), batch[number]))
                    answers = [served[number] for number in numbers]
            except StopIteration:
                pass
            except ConflictError as error:
                self.errors[name] = error
                return

    def when(self, name: str, kind: type[Request[Any]]) -> list[int]:
        """When requests of a kind were served."""
        return [time for time, request in self.at.get(name, ()) if isinstance(request, kind)]


def schedules(first: int, second: int) -> Iterator[tuple[bool, ...]]:
    """All orders of so many steps of two processes: whose turn it is."""
    for chosen in itertools.combinations(range(first + second), first):
        yield tuple(number in chosen for number in range(first + second))


def interleave(schedule: Sequence[bool], one: Process, other: Process) -> None:
    """Run both to their ends; what one has left when its turns are over comes last."""
    times = itertools.count()
    both = one.steps(times), other.steps(times)
    for each in both:
        next(each)  # up to its first request
    for turn in schedule:
        next(both[0] if turn else both[1], None)
    for rest in both:
        for _ in rest:
            pass


OTHERS: dict[str, tuple[Any, int]] = {
    "prune": (lambda context: remove.prune(context, ["t"], "keep_latest"), 5),
    "delete_for_runs": (lambda context: remove.delete_for_runs(context, ["old"]), 5),
    "delete_thread": (lambda context: remove.delete_thread(context, "t"), 2),
}
"""Plans of the one who deletes, and about how many steps each of them takes."""


class Race:
    """Two puts of one process, and a deletion of another one's.

    Attributes:
        children: What is put, after the third.
        putter: The one process.
        deleter: The other.
    """

    def __init__(self, what: str, schedule: Sequence[bool], *, backwards: bool) -> None:
        self.fake = FakeS3()
        self.saver, other = eager(self.fake), eager(self.fake)
        third = line(self.saver)
        fourth = succeed("04", third, n=4)
        self.children = {"03": third, "04": fourth, "05": succeed("05", fourth, n=5)}
        self.putter = Process(self.saver, self.puts(), backwards=backwards)
        self.deleter = Process(other, iter([(what, OTHERS[what][0](other._context()))]))
        interleave(schedule, self.putter, self.deleter)
        assert not self.deleter.errors

    def puts(self) -> Iterator[tuple[str, Any]]:
        """The puts, of which each begins when the one before is acknowledged."""
        for parent, (name, child) in zip(self.children, list(self.children.items())[1:], strict=False):
            versions: Any = {"n": child["channel_versions"]["n"]}
            yield name, self.saver._put(place("t", parent), child, {"run_id": "new"}, versions)

    def readable(self, name: str) -> bool:
        """Whether a process that has just begun reads a checkpoint as it was put."""
        try:
            return cold(self.fake, name) == self.children[name]["channel_values"]
        except CorruptObjectError:
            return False

    def there(self) -> list[str]:
        """What is there of the line."""
        return [name for name in self.children if self.fake.keys(f"/{encode_rank(name)}/checkpoint")]


@pytest.mark.parametrize("backwards", [False, True], ids=["PUT first", "HEAD first"])
@pytest.mark.parametrize("what", ["prune", "delete_for_runs"])
def test_whatever_stays_is_readable_in_every_order(what: str, backwards: bool) -> None:
    for schedule in schedules(4, OTHERS[what][1]):
        race = Race(what, schedule, backwards=backwards)
        assert not race.putter.errors
        stayed = race.there()
        assert stayed[-1:] == ["05"]
        assert what == "prune" or stayed == ["03", "04", "05"]
        for name in stayed:
            assert race.readable(name), (schedule, name)


@pytest.mark.parametrize("backwards", [False, True], ids=["PUT first", "HEAD first"])
def test_a_run_whose_thread_is_deleted_ends_or_is_whole_in_every_order(backwards: bool) -> None:
    """At once; and after seven more puts at most where one was on its way at that moment."""
    outcomes: set[str] = set()
    for schedule in schedules(4, OTHERS["delete_thread"][1]):
        race = Race("delete_thread", schedule, backwards=backwards)
        [listed], [gone] = (race.deleter.when("delete_thread", kind) for kind in (ListObjects, DeleteObjects))
        late = [
            name
            for name in ("04", "05")
            for landed, head in zip(
                race.putter.when(name, PutObject)[:1], race.putter.when(name, HeadObject)[:1], strict=True
            )
            if landed > listed and head < gone
        ]
        if race.putter.errors:
            outcomes.add("ended")
            continue
        stayed = race.there()
        if not late:
            outcomes.add("deleted")
            assert not stayed, schedule
            continue
        outcomes.add("on its way")
        last = race.children["05"]
        with contextlib.suppress(ConflictError):
            while lenders(race.fake, last["id"]):
                assert last["id"] < "10", schedule  # the third asked for its parent alone, too
                last = go_on(race.saver, last)
            assert cold(race.fake) == last["channel_values"]
    assert outcomes == {"ended", "deleted", "on its way"}
