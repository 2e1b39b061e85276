"""A task's errors, interrupts and resumes: the last one counts, and the store says which that is."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, RESUME, SCHEDULED

from langgraph_checkpoint_s3 import ConflictError, CorruptObjectError, S3Saver, StorageUnavailableError
from langgraph_checkpoint_s3.plans import special_writes
from langgraph_checkpoint_s3.plans.transfer import Sizes
from langgraph_checkpoint_s3.s3.requests import GetObject, PutObject, Request
from tests.plans.helpers import once, pending, put
from tests.support import inside
from tests.support.checkpoints import place
from tests.support.fake_s3 import FakeS3, Moment, client_error
from tests.support.fake_store import make_saver
from tests.support.hooks import failing
from tests.support.keys import Keys

SECOND = 1_000_000_000
Write = Callable[[S3Saver, list[tuple[str, Any]]], None]
CALLS: list[list[tuple[str, Any]]] = [
    [(INTERRUPT, "alone")],
    [(INTERRUPT, "with"), (RESUME, ["with"])],
]


def blocking(saver: S3Saver, writes: list[tuple[str, Any]]) -> None:
    saver.put_writes(place("t", "1"), writes, "task", "~p")


def as_coroutine(saver: S3Saver, writes: list[tuple[str, Any]]) -> None:
    asyncio.run(saver.aput_writes(place("t", "1"), writes, "task", "~p"))


@pytest.fixture(params=[blocking, as_coroutine], ids=["sync", "async"])
def write(request: pytest.FixtureRequest) -> Write:
    found: Write = request.param
    return found


def ahead(fake: FakeS3, seconds: int) -> S3Saver:
    """A saver whose clock is so many seconds ahead."""
    saver = make_saver(fake)
    right = inside.clock(saver)
    inside.set_clock(saver, lambda: right() + seconds * SECOND)
    return saver


def shown(fake: FakeS3) -> dict[str, Any]:
    """Return a new process's view of the task's writes."""
    found = pending(make_saver(fake), place("t", "1"))
    assert {task for task, _, _ in found} <= {"task"}
    assert len(found) == len({channel for _, channel, _ in found})
    return {channel: value for _, channel, value in found}


@pytest.mark.modes
@pytest.mark.parametrize("seconds", [5, 7200, -7200])
@pytest.mark.parametrize("first", CALLS, ids=["alone first", "with a resume first"])
@pytest.mark.parametrize("second", CALLS, ids=["then alone", "then with a resume"])
def test_the_newer_one_shows_whatever_the_clocks_say(
    fake: FakeS3, write: Write, seconds: int, first: list[tuple[str, Any]], second: list[tuple[str, Any]]
) -> None:
    put(make_saver(fake), "1")
    write(ahead(fake, seconds), first)
    write(make_saver(fake), [(channel, [value, "newer"]) for channel, value in second])
    newer = {channel: [value, "newer"] for channel, value in second}
    assert shown(fake) == {**dict(first), **newer}


@pytest.mark.modes
def test_all_slots_of_a_task_are_one_object(fake: FakeS3, write: Write) -> None:
    put(make_saver(fake), "1")
    said: dict[str, Any] = {}
    for channel in (ERROR, INTERRUPT, RESUME, SCHEDULED, INTERRUPT):
        said[channel] = f"{channel} of {len(said)}"
        write(make_saver(fake), [(channel, said[channel])])
        assert shown(fake) == said
    assert len(fake.objects) == 2


def rivals(fake: FakeS3) -> list[tuple[S3Saver, list[tuple[str, Any]]]]:
    """Two processes, whose clocks disagree, and what each writes."""
    return [
        (ahead(fake, 7200), [(INTERRUPT, "one"), (RESUME, "one")]),
        (make_saver(fake), [(INTERRUPT, "two"), (ERROR, "two")]),
    ]


@pytest.mark.modes
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("at", range(3))
@pytest.mark.parametrize("there", [False, True], ids=["nothing there", "something there"])
@pytest.mark.parametrize("sizes", [None, Sizes(200, 150)], ids=["whole", "in parts"])
def test_two_processes_at_once(
    fake: FakeS3, at: int, moment: Moment, there: bool, sizes: Sizes | None
) -> None:
    """One comes in between each two requests of the other one: what the store took last shows."""
    put(make_saver(fake), "1")
    if there:
        blocking(make_saver(fake), [(SCHEDULED, "old"), (RESUME, "old")])
    (one, writes), (two, others) = rivals(fake)
    if sizes:
        one._sizes = two._sizes = sizes
    asked, who, last, etag = 0, "one", "", ""

    def hook(now: Moment, request: Request[Any]) -> None:
        nonlocal asked, who, last, etag
        [now_there] = [fake.objects[key].etag for key in fake.keys("/writes.")] or [""]
        if now_there != etag:
            last, etag = who, now_there
        if now == moment and who == "one":
            asked += 1
            if asked == at + 1:
                who = "two"
                blocking(two, others)
                who = "one"

    fake.hook = hook
    blocking(one, writes)
    fake.hook = None
    found = shown(fake)
    if asked <= at:
        assert asked > 0
        return  # it has fewer requests than that
    assert found.pop(SCHEDULED, None) == ("old" if there else None)
    assert found == {INTERRUPT: last, RESUME: "one", ERROR: "two"}
    assert not fake.uploads


@pytest.mark.modes
def test_many_processes_in_any_order(fake: FakeS3) -> None:
    """None of the slots is lost, and the two of one call belong together."""
    put(make_saver(fake), "1")
    order = random.Random(3)

    async def one(number: int) -> None:
        for _ in range(order.randrange(3)):
            await asyncio.sleep(0)
        both = [(INTERRUPT, number), (RESUME, number)]
        writes = [(ERROR, number)] if number == 4 else both
        await ahead(fake, order.randrange(-9, 9)).aput_writes(place("t", "1"), writes, "task")

    async def body() -> None:
        await asyncio.gather(*(one(number) for number in range(8)))

    asyncio.run(body())
    found = shown(fake)
    assert found[ERROR] == 4
    assert found[INTERRUPT] == found[RESUME]


@pytest.mark.modes
@pytest.mark.parametrize("kind", [PutObject, GetObject])
@pytest.mark.parametrize("which", [0, 1])
def test_a_lost_reply(fake: FakeS3, write: Write, kind: type[Request[Any]], which: int) -> None:
    """The client library sends again what wasn't answered, and is refused by what it wrote itself."""
    put(make_saver(fake), "1")
    write(make_saver(fake), [(RESUME, "old"), (INTERRUPT, "old")])
    moments: tuple[Moment, ...] = ("before", "after")
    for when in moments:
        asked = 0

        def twice(moment: Moment, request: Request[Any], when: Moment = when) -> None:
            nonlocal asked
            if moment == when and isinstance(request, kind):
                asked += 1
                if asked == which + 1:
                    fake.hook = None
                    fake.execute(request)
                    fake.hook = twice

        fake.hook = twice
        write(make_saver(fake), [(INTERRUPT, when)])
        fake.hook = None
        assert shown(fake) == {RESUME: "old", INTERRUPT: when}


def test_what_is_there_already_is_not_written_again(fake: FakeS3, write: Write) -> None:
    put(make_saver(fake), "1")
    for writes in ([(RESUME, "a"), (INTERRUPT, "b")], [(INTERRUPT, "b")], [(RESUME, "a")]):
        write(make_saver(fake), writes)
    [key] = fake.keys("/writes.")
    before = fake.objects[key]
    write(make_saver(fake), [(INTERRUPT, "b"), (RESUME, "a")])
    assert fake.objects[key] is before
    write(make_saver(fake), [(INTERRUPT, None)])
    assert shown(fake) == {RESUME: "a", INTERRUPT: None}


def test_a_call_that_fails_half_way_leaves_what_was_there(fake: FakeS3, write: Write) -> None:
    put(make_saver(fake), "1")
    write(make_saver(fake), [(RESUME, "a"), (INTERRUPT, "b")])
    fake.hook = failing(GetObject, times=1)
    with pytest.raises(StorageUnavailableError):
        write(make_saver(fake), [(INTERRUPT, "c"), (RESUME, "c")])
    assert shown(fake) == {RESUME: "a", INTERRUPT: "b"}


def test_what_was_damaged_on_its_way_is_read_once_more(fake: FakeS3, write: Write) -> None:
    put(make_saver(fake), "1")
    write(make_saver(fake), [(RESUME, "a")])
    [key] = fake.keys("/writes.")
    whole = fake.objects[key]

    def damage(_: Any) -> None:
        fake.objects[key] = replace(whole, data=whole.data[:-1] + bytes([whole.data[-1] ^ 1]))

    def mend(moment: Moment, request: Request[Any]) -> None:
        if isinstance(request, GetObject):
            damage(request) if moment == "before" else fake.objects.update({key: whole})
            if moment == "after":
                fake.hook = None

    fake.hook = mend
    write(make_saver(fake), [(INTERRUPT, "b")])
    assert shown(fake) == {RESUME: "a", INTERRUPT: "b"}
    whole = fake.objects[key]
    damage(None)
    with fake.counted() as count, pytest.raises(CorruptObjectError, match="damaged") as caught:
        write(make_saver(fake), [(INTERRUPT, "c")])
    assert caught.value.key == key
    assert count.kinds == {"PutObject": 1, "GetObject": 2}


def test_of_a_mixed_call_each_kind_goes_its_own_way(fake: FakeS3, write: Write) -> None:
    put(make_saver(fake), "1")
    with fake.counted() as count:
        write(make_saver(fake), [("c", 1), (RESUME, 1), (INTERRUPT, 1)])
    assert (count.kinds, count.round_trips) == ({"PutObject": 2}, 1)
    write(make_saver(fake), [("c", 2), (RESUME, 2)])
    assert shown(fake) == {"c": 1, RESUME: 2, INTERRUPT: 1}


def test_where_a_regular_write_fails_the_special_one_is_stored(fake: FakeS3, write: Write) -> None:
    put(make_saver(fake), "1")

    def fail(moment: Moment, request: Request[Any]) -> None:
        if moment == "before" and isinstance(request, PutObject) and request.key.endswith(".w0"):
            raise client_error("SlowDown", 503, request)

    fake.hook = fail
    with pytest.raises(StorageUnavailableError):
        write(make_saver(fake), [("c", 1), (ERROR, 1)])
    assert shown(fake) == {ERROR: 1}


def test_endless_conflicts_are_an_error(fake: FakeS3, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(special_writes, "_TRIES", 3)
    put(make_saver(fake), "1")
    number = 0

    def hook(moment: Moment, request: Request[Any]) -> None:
        nonlocal number
        if moment == "before" and isinstance(request, PutObject):
            fake.hook = None
            number += 1
            blocking(make_saver(fake), [(INTERRUPT, number)])
            fake.hook = hook

    fake.hook = hook
    with pytest.raises(ConflictError, match="one task at once") as caught:
        write(make_saver(fake), [(INTERRUPT, "mine")])
    fake.hook = None
    assert caught.value.key == fake.keys("/writes.")[0]
    assert shown(fake) == {INTERRUPT: number}


def test_what_was_deleted_meanwhile_is_written_anew(fake: FakeS3, write: Write) -> None:
    put(make_saver(fake), "1")
    write(make_saver(fake), [(RESUME, "old")])
    [key] = fake.keys("/writes.")
    for kind, moment in ((PutObject, "after"), (GetObject, "after")):
        write(make_saver(fake), [(RESUME, "old")])
        fake.hook = once(kind, lambda _: fake.delete(key), moment)  # type: ignore[arg-type]  # one of its moments
        write(make_saver(fake), [(INTERRUPT, "new")])
        fake.hook = None
        assert shown(fake)[INTERRUPT] == "new"
        fake.delete(key)


def test_who_knows_what_is_there_needs_one_request(fake: FakeS3, write: Write) -> None:
    """A worker goes on with what it wrote, or read to resume it; unless somebody else has written."""
    put(make_saver(fake), "1")
    saver, other = make_saver(fake), make_saver(fake)
    write(saver, [(INTERRUPT, "a")])
    assert other.get_tuple(place("t", "1"))
    for number, (writer, cost) in enumerate([(other, 1), (other, 1), (saver, 3), (saver, 1), (other, 3)]):
        with fake.counted() as count:
            write(writer, [(RESUME, number)])
        assert (sum(count.kinds.values()), count.round_trips) == (cost, cost)
        assert shown(fake) == {INTERRUPT: "a", RESUME: number}


def test_what_somebody_wrote_meanwhile_is_not_taken_for_ones_own(fake: FakeS3, write: Write) -> None:
    put(make_saver(fake), "1")
    saver = make_saver(fake)
    for value in ("mine", "theirs", "mine"):
        write(saver if value == "mine" else make_saver(fake), [(INTERRUPT, value)])
        assert shown(fake) == {INTERRUPT: value}


class TestAStoreWithoutConditions:
    """It is read first, and then written plainly."""

    def known(self, fake: FakeS3) -> S3Saver:
        saver = make_saver(fake)
        saver.setup()
        return saver

    @pytest.mark.parametrize("sizes", [None, Sizes(200, 150)], ids=["whole", "in parts"])
    def test_that_says_nothing(self, fake: FakeS3, write: Write, sizes: Sizes | None) -> None:
        fake.plain = True
        put(make_saver(fake), "1")
        for writes in ([(RESUME, "a"), (INTERRUPT, "a")], [(INTERRUPT, "b")], [(ERROR, "c")]):
            saver = self.known(fake)
            if sizes is not None:
                inside.set_sizes(saver, sizes)
            with fake.counted() as count:
                write(saver, writes)
            if sizes is None:
                assert count.kinds == {"GetObject": 1, "PutObject": 1}
        assert shown(fake) == {RESUME: "a", INTERRUPT: "b", ERROR: "c"}

    def test_that_says_nothing_and_nobody_has_asked(self, fake: FakeS3, write: Write) -> None:
        """One process a thread loses nothing there."""
        fake.plain = True
        put(make_saver(fake), "1")
        saver = make_saver(fake)
        for writes in ([(RESUME, "a"), (INTERRUPT, "a")], [(INTERRUPT, "b")], [(ERROR, "c")]):
            write(saver, writes)
        assert shown(fake) == {RESUME: "a", INTERRUPT: "b", ERROR: "c"}

    def test_that_refuses_them(self, fake: FakeS3, write: Write) -> None:
        def refuse(moment: Moment, request: Request[Any]) -> None:
            conditional = isinstance(request, PutObject) and (request.only_new or request.expected)
            if moment == "before" and conditional and inside.shared(saver).conditional:
                raise client_error("NotImplemented", 501, request)

        fake.plain = True
        put(make_saver(fake), "1")
        fake.hook = refuse
        for writes in ([(RESUME, "a"), (INTERRUPT, "a")], [(INTERRUPT, "b")], [(ERROR, "c")]):
            saver = make_saver(fake)
            write(saver, writes)
        assert shown(fake) == {RESUME: "a", INTERRUPT: "b", ERROR: "c"}

    def test_that_compares_etags_wrongly(self, fake: FakeS3, write: Write) -> None:
        """It refuses the one that it shows: nothing but a plain PUT helps."""

        class Odd(FakeS3):
            def _may(self, request: Any, conditional: bool) -> bool:
                return request.expected is None and super()._may(request, conditional)

        odd = Odd()
        put(make_saver(odd), "1")
        for writes in ([(RESUME, "a"), (INTERRUPT, "a")], [(INTERRUPT, "b")]):
            write(make_saver(odd), writes)
        assert shown(odd) == {RESUME: "a", INTERRUPT: "b"}


def test_where_encryption_was_turned_on_between_the_encrypted_one_is_the_later(
    fake: FakeS3, write: Write
) -> None:
    put(make_saver(fake, encryption=None), "1")
    early = make_saver(fake, encryption=None)
    right = inside.clock(early)
    inside.set_clock(early, lambda: right() + 7200 * SECOND)
    write(early, [(INTERRUPT, "plain"), (RESUME, "plain")])
    write(make_saver(fake, encryption=Keys("k")), [(INTERRUPT, "sealed")])
    found = pending(make_saver(fake, encryption=Keys("k")), place("t", "1"))
    assert sorted(found) == [("task", INTERRUPT, "sealed"), ("task", RESUME, "plain")]


@pytest.mark.modes
class TestACopy:
    def test_has_them(self, fake: FakeS3) -> None:
        put(make_saver(fake), "1")
        blocking(make_saver(fake), [(INTERRUPT, "a"), (RESUME, "a")])
        make_saver(fake).copy_thread("t", "u")
        found = pending(make_saver(fake), place("u", "1"))
        assert sorted(found) == [("task", INTERRUPT, "a"), ("task", RESUME, "a")]

    def test_made_again_brings_what_is_new_and_loses_no_other_slot(self, fake: FakeS3) -> None:
        put(make_saver(fake), "1")
        blocking(make_saver(fake), [(INTERRUPT, "a")])
        make_saver(fake).copy_thread("t", "u")
        make_saver(fake).put_writes(place("u", "1"), [(RESUME, "the copy's")], "task", "~p")
        blocking(make_saver(fake), [(INTERRUPT, "b"), (ERROR, "b")])
        for _ in range(2):
            make_saver(fake).copy_thread("t", "u")
            found = {channel: value for _, channel, value in pending(make_saver(fake), place("u", "1"))}
            assert found == {INTERRUPT: "b", ERROR: "b", RESUME: "the copy's"}
