"""A put that borrows, while others delete what it borrows from.

Two processes are interleaved request by request, in every order: one goes on with a line, the other deletes.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

import pytest
from langgraph.checkpoint.base import Checkpoint

from langgraph_checkpoint_s3 import ConflictError, CorruptObjectError, S3Saver
from langgraph_checkpoint_s3.format.tombstones import Group, Reason, decode_tombstones
from langgraph_checkpoint_s3.plans import delete
from langgraph_checkpoint_s3.plans.tombstones import DELETION_WAIT, tombstone_name
from langgraph_checkpoint_s3.plans.transfer import Sizes
from langgraph_checkpoint_s3.s3.requests import (
    Attempted,
    Call,
    CompleteUpload,
    DeleteObjects,
    GetObject,
    HeadObject,
    PutObject,
    Request,
    Stored,
    Tick,
    UploadPart,
)
from tests.plans.borrowers import cold, eager, key_of, layout, lenders, noise, opened, step, succeed
from tests.plans.helpers import get, once, put
from tests.support import inside
from tests.support.checkpoints import place
from tests.support.fake_s3 import Count, FakeS3, Moment, client_error
from tests.support.fake_store import FakeStore, make_saver
from tests.support.sampling import sample

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


def looked(count: Count) -> int:
    """Count the reads of tombstones."""
    return sum(isinstance(each, GetObject) and "/.deleted/" in each.key for each in count.requests)


def asked(count: Count) -> list[str]:
    """The keys that were asked for."""
    return [each.key for each in count.requests if isinstance(each, HeadObject)]


# What is asked


@pytest.mark.modes("plain", "private")
@pytest.mark.parametrize("reads", [False, True], ids=["one run", "a read before each"])
def test_each_put_asks_for_the_tombstones_and_the_oldest_lender(
    fake: FakeS3, saver: S3Saver, reads: bool
) -> None:
    last = step(saver, "01", documents=noise(40_000), notes=noise(12_000, 1))
    last = step(saver, "02", last, more=noise(9_000, 2))
    for _ in range(12):
        if reads:
            assert get(saver, place("t")).checkpoint == last
        with fake.counted() as count:
            last = go_on(saver, last)
        assert lenders(fake, last["id"]) == ["01", "02"]
        assert count.kinds == {"PutObject": 1, "GetObject": 1, "HeadObject": 1}
        assert count.round_trips == 1
        assert asked(count) == [key_of(fake, "01")]
        assert looked(count) == 1
    assert cold(fake) == last["channel_values"]


@pytest.mark.parametrize("sizes", [None, Sizes(150, 90)], ids=["one PUT", "in parts"])
@pytest.mark.parametrize(("seconds", "looks"), [(1.9, 1), (2.1, 2)])
def test_a_put_that_took_long_looks_again(
    fake: FakeS3, seconds: float, looks: int, sizes: Sizes | None
) -> None:
    """A deletion that began meanwhile may have listed for the last time before it landed."""
    saver = eager(fake, sizes=sizes)
    third = line(saver)

    def last(_: Any) -> None:
        fake.seconds += seconds

    fake.hook = once(PutObject if sizes is None else UploadPart, last)
    with fake.counted() as count:
        fourth = go_on(saver, third)
    assert looked(count) == looks
    assert lenders(fake, "04") == ["01", "02"]
    assert cold(fake) == fourth["channel_values"]


@pytest.mark.parametrize("sizes", [None, Sizes(150, 90)], ids=["one PUT", "in parts"])
def test_what_it_sees_then_counts(fake: FakeS3, sizes: Sizes | None) -> None:
    """The whole deletion happens after its first look, and before its PUT lands."""
    saver = eager(fake, sizes=sizes)
    third = line(saver)
    left = iter([True])

    def delete(moment: Moment, request: Request[Any]) -> None:
        lands = isinstance(request, (HeadObject, CompleteUpload)) and moment == "before"
        if lands and next(left, False):
            fake.hook = None
            fake.seconds += 10
            make_saver(fake).delete_for_runs(["old"])
            if sizes is None:  # as if it had landed after the last LIST
                fake.objects[key_of(fake, "04")] = landed[0]

    landed: list[Any] = []

    def note(moment: Moment, request: Request[Any]) -> None:
        if moment == "after" and isinstance(request, PutObject) and not landed:
            landed.append(fake.objects[request.key])
        delete(moment, request)

    fake.hook = note
    fourth = go_on(saver, third)
    assert lenders(fake, "04") == []
    assert cold(fake) == fourth["channel_values"]


def test_a_lender_that_went_by_itself_is_missed_if_it_is_the_oldest(fake: FakeS3) -> None:
    """Somebody deleted it by hand, or a lifecycle rule did: the oldest goes first. Nothing tells of it."""
    saver = eager(fake)
    third = line(saver)
    fake.delete(key_of(fake, "01"))
    with fake.counted() as count:
        fourth = go_on(saver, third)
    assert count.kinds == {"PutObject": 2, "HeadObject": 1, "GetObject": 2}
    assert lenders(fake, "04") == []
    assert cold(fake, "04") == fourth["channel_values"]
    fifth = go_on(saver, fourth)
    assert cold(fake) == fifth["channel_values"]


def test_a_put_whose_lenders_have_tombstones_is_written_whole(fake: FakeS3) -> None:
    """The deletion was cut short when it had written them. Those who borrow from it still find it."""
    saver, other = eager(fake), eager(fake)
    third = line(saver)
    announce_only(fake)
    readers: list[Checkpoint] = []

    def read(_: Any) -> None:
        """Borrow from it before it is rewritten."""
        fake.hook = None
        get(other, place("t", "04"))
        readers.append(step(other, "05", succeed("04", third, n=4, more=noise(900, 3)), n=5))

    before = opened_when(fake, HeadObject, "04", read)
    fourth = go_on(saver, third, n=4, more=noise(900, 3))
    assert lenders(fake, "04") == []
    own = {frame for frame in before[0].frames if not frame.lender}
    assert own <= set(opened(fake, "04").frames)
    make_saver(fake).delete_for_runs(["old"])
    for each in (fourth, *readers):
        assert cold(fake, each["id"])["n"] == each["channel_values"]["n"]
    assert cold(fake, "04") == fourth["channel_values"]


def opened_when(fake: FakeS3, kind: type[Request[Any]], checkpoint_id: str, then: Any) -> list[Any]:
    """Note an object as it is at the first request of a kind, and act then."""
    found: list[Any] = []

    def act(request: Any) -> None:
        fake.hook = None
        found.append(opened(fake, checkpoint_id))
        then(request)

    fake.hook = once(kind, act)
    return found


def stop(_: Any) -> None:
    raise KeyboardInterrupt


def announce_only(fake: FakeS3) -> None:
    """Cut a deletion of the old run short, after it wrote its tombstones and before it deletes."""
    fake.hook = once(DeleteObjects, stop)
    with pytest.raises(KeyboardInterrupt):
        make_saver(fake).delete_for_runs(["old"])
    fake.hook = None


@pytest.mark.modes("plain", "private")
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_put_to_a_thread_that_was_deleted_is_refused(fake: FakeS3, asynchronous: bool) -> None:
    saver = eager(fake)
    third = line(saver)
    make_saver(fake).delete_thread("t")
    seconds = fake.seconds
    fourth = succeed("04", third, n=4)
    versions: Any = {"n": fourth["channel_versions"]["n"]}

    async def go_on_async() -> None:
        await saver.aput(place("t", "03"), fourth, {}, versions)

    act = (
        (lambda: asyncio.run(go_on_async()))
        if asynchronous
        else (lambda: saver.put(place("t", "03"), fourth, {}, versions))
    )
    with pytest.raises(ConflictError, match="isn't brought back"):
        act()
    assert fake.keys("/checkpoint") == []
    assert (
        fake.seconds >= seconds + DELETION_WAIT
    )  # who read it meanwhile, and borrowed from it, was rewritten
    assert make_saver(fake).get_tuple(place("t")) is None
    assert list(make_saver(fake).list(None)) == []


@pytest.mark.modes("plain", "private")
def test_where_something_else_is_there_the_put_is_written_whole(fake: FakeS3) -> None:
    saver = eager(fake)
    third = line(saver)
    make_saver(fake).delete_thread("t")
    put(make_saver(fake), "00")
    fourth = go_on(saver, third)
    assert lenders(fake, "04") == []
    assert cold(fake) == fourth["channel_values"]


@pytest.mark.parametrize("etag", ["right", "wrong", "none"])
@pytest.mark.parametrize("plain", [False, True], ids=["conditions", "none of them"])
def test_the_completion_does_not_depend_on_the_etag(fake: FakeS3, etag: str, plain: bool) -> None:
    """Some stores give no ETag for an upload in parts, or a wrong one."""
    fake.plain = plain
    saver = eager(fake, sizes=Sizes(150, 90))
    third = line(saver)
    announce_only(fake)
    complete: Any = fake._complete

    def answer(*arguments: Any) -> Any:
        outcome = complete(*arguments)
        if etag == "right" or not isinstance(outcome, Stored):
            return outcome
        return Stored("another" if etag == "wrong" else "")

    fake._complete = answer  # type: ignore[assignment, method-assign]  # replaced for the test
    fourth = go_on(saver, third)
    assert lenders(fake, "04") == []
    make_saver(fake).delete_for_runs(["old"])
    assert cold(fake) == fourth["channel_values"]


def test_a_checkpoint_deleted_before_its_completion_is_refused(fake: FakeS3) -> None:
    saver = eager(fake)
    third = line(saver)
    announce_only(fake)

    def delete(_: Any) -> None:
        fake.hook = None
        fake.delete(key_of(fake, "04"))

    fake.hook = once(HeadObject, delete)
    with pytest.raises(ConflictError, match="was deleted while it was being written"):
        go_on(saver, third)


@pytest.mark.parametrize(("reason", "refused"), [("failed", True), ("some", False)])
def test_a_completed_checkpoint_that_somebody_took_for_a_failed_puts_is_refused(
    fake: FakeS3, reason: Reason, refused: bool
) -> None:
    """`remove_orphans` names it before it looks at it for the last time, and then deletes it unseen."""
    saver = eager(fake)
    third = line(saver)
    announce_only(fake)
    puts = itertools.count()

    def name(moment: Moment, request: Request[Any]) -> None:
        if isinstance(request, PutObject) and moment == "after" and next(puts) == 1:  # the completion
            thread = layout().thread("t")
            group = Group(frozenset({tombstone_name(request.key)}), 1 << 40, reason)
            key = layout().tombstones(thread)
            fake.put(key, decode_tombstones(fake.objects[key].data).plus(group, 0).encode())

    fake.hook = name
    if refused:
        with pytest.raises(ConflictError, match="was deleted while it was being written"):
            go_on(saver, third)
    else:
        go_on(saver, third)


@pytest.mark.parametrize("sizes", [None, Sizes(150, 90)], ids=["one PUT", "in parts"])
def test_who_may_not_read_tombstones_writes_whole_and_never_borrows(
    fake: FakeS3, sizes: Sizes | None
) -> None:
    """Without s3:ListBucket, S3 says 403 of what isn't there."""
    saver = eager(fake, sizes=sizes)
    second = line(saver, 1)

    def deny(moment: Moment, request: Request[Any]) -> None:
        if isinstance(request, GetObject) and "/.deleted/" in request.key:
            raise client_error("AccessDenied", 403, request)

    fake.hook = deny
    denied = eager(fake, sizes=sizes)
    get(denied, place("t"))
    third = go_on(denied, second)
    assert lenders(fake, "03") == []
    get(denied, place("t"))  # now it knows the parent again
    with fake.counted() as count:
        fourth = go_on(denied, third)
    assert "GetObject" not in count.kinds
    assert set(asked(count)) <= {key_of(fake, "04")}
    assert lenders(fake, "04") == []
    assert cold(fake) == fourth["channel_values"]


def test_tombstones_that_were_damaged_on_their_way_are_read_again(fake: FakeS3) -> None:
    saver = eager(fake)
    third = line(saver)
    announce_only(fake)
    key = layout().tombstones(layout().thread("t"))
    sound, left = fake.objects[key].data, iter([True])

    def damage(moment: Moment, request: Request[Any]) -> None:
        if isinstance(request, GetObject) and request.key == key:
            first = moment == "before" and next(left, False)
            fake.put(key, bytes([*sound[:30], sound[30] ^ 1, *sound[31:]]) if first else sound)

    fake.hook = damage
    fourth = go_on(saver, third)
    fake.hook = None
    assert next(left, None) is None
    assert lenders(fake, "04") == []
    assert cold(fake) == fourth["channel_values"]


@pytest.mark.parametrize(
    "data", [b"", b"another program's", b"\x81\xa1v\x02"], ids=["empty", "foreign", "later"]
)
def test_unreadable_tombstones_are_an_error(fake: FakeS3, data: bytes) -> None:
    saver = eager(fake)
    third = line(saver)
    key = layout().tombstones(layout().thread("t"))
    fake.put(key, data)
    acts: list[Callable[[], Any]] = [
        lambda: go_on(saver, third),
        lambda: make_saver(fake).delete_thread("t"),
        lambda: make_saver(fake).prune(["t"]),
        lambda: make_saver(fake).delete_for_runs(["old"]),
    ]
    for act in acts:
        with pytest.raises(CorruptObjectError, match="tombstones can't be read"):
            act()
    assert cold(fake, "03") == third["channel_values"]
    assert len(fake.keys("/checkpoint")) == 4  # what the put left can be read, too


# All orders of two processes' requests


class Process:
    """Runs plans, one request at each step. What only reads goes with what comes before it.

    Args:
        saver: Whose.
        plans: Its plans, each with a name.
        backwards: Whether what goes out together is served last first.
    """

    def __init__(self, saver: S3Saver, plans: Iterator[tuple[str, Any]], *, backwards: bool = False) -> None:
        store: Any = inside.store(saver)
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
                        if waits(batch[number]):
                            yield
                        [served[number]], failure = self.store._send_batch([batch[number]])
                        assert failure is None
                        self.at[name].append((next(times), batch[number]))
                    answers = [served[number] for number in numbers]
            except StopIteration:
                pass
            except ConflictError as error:
                self.errors[name] = error
                return

    def when(self, name: str, kind: type[Request[Any]]) -> list[int]:
        """Return the times at which requests of a kind were served."""
        return [time for time, request in self.at.get(name, ()) if isinstance(request, kind)]


def waits(request: Request[Any]) -> bool:
    """Return if the other process may have its turn before a request: not before what only reads states."""
    plain = request.request if isinstance(request, Attempted) else request
    if isinstance(plain, GetObject):
        return "/.deleted/" in plain.key
    return not isinstance(plain, (Tick, Call))


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
    "prune": (lambda context: delete.prune(context, ["t"], "keep_latest"), 7),
    "delete_for_runs": (lambda context: delete.delete_for_runs(context, ["old"]), 7),
    "delete_thread": (lambda context: delete.delete_thread(context, "t"), 6),
}
"""Plans of the one who deletes, and about how many steps each of them takes."""
ORDERS = 40
"""How many orders are played, of 330 or 210; `EXHAUSTIVE=1` plays all."""


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
        self.deleter = Process(other, iter([(what, OTHERS[what][0](inside.context(other)))]))
        interleave(schedule, self.putter, self.deleter)
        assert not self.deleter.errors

    def puts(self) -> Iterator[tuple[str, Any]]:
        """The puts, of which each begins when the one before is acknowledged."""
        for parent, (name, child) in zip(self.children, list(self.children.items())[1:], strict=False):
            versions: Any = {"n": child["channel_versions"]["n"]}
            yield name, inside.put_plan(self.saver, place("t", parent), child, {"run_id": "new"}, versions)

    def shown(self) -> dict[str, Any]:
        """All that a process that has just begun lists, which must be what it gets, too."""
        found = list(make_saver(self.fake).list(None))
        assert [each.checkpoint["id"] for each in make_saver(self.fake).list(place("t"))] == [
            each.checkpoint["id"] for each in found
        ]
        latest = make_saver(self.fake).get_tuple(place("t"))
        assert (latest.checkpoint if latest else None) == (found[0].checkpoint if found else None)
        return {each.checkpoint["id"]: each.checkpoint for each in found}


@pytest.mark.parametrize("backwards", [False, True], ids=["PUT first", "HEAD first"])
@pytest.mark.parametrize("what", ["prune", "delete_for_runs"])
def test_whatever_is_acknowledged_and_stays_is_readable_in_every_order(what: str, backwards: bool) -> None:
    for schedule in sample(list(schedules(4, OTHERS[what][1])), ORDERS):
        race = Race(what, schedule, backwards=backwards)
        assert not race.putter.errors
        shown = race.shown()
        expected = ["05"] if what == "prune" else ["05", "04", "03"]
        assert set(expected) <= shown.keys(), schedule
        for name, checkpoint in shown.items():
            assert name == "02" or checkpoint == race.children[name], (schedule, name)


@pytest.mark.parametrize("backwards", [False, True], ids=["PUT first", "HEAD first"])
def test_a_run_whose_thread_is_deleted_ends_or_is_whole_in_every_order(backwards: bool) -> None:
    outcomes: set[str] = set()
    for schedule in sample(list(schedules(4, OTHERS["delete_thread"][1])), ORDERS):
        race = Race("delete_thread", schedule, backwards=backwards)
        shown = race.shown()
        if race.putter.errors:
            outcomes.add("ended")
            assert not shown, schedule
            continue
        if not shown:  # the deletion takes along what it overlaps
            outcomes.add("deleted")
            continue
        outcomes.add("whole")
        assert "05" in shown
        for name, checkpoint in shown.items():
            assert checkpoint == race.children[name], (schedule, name)
        go_on(race.saver, race.children["05"])
        assert cold(race.fake)["n"] == 6
    assert outcomes >= {"ended", "whole"}
