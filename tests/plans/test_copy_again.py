"""A thread that is copied onto a copy of it: what went on there stays readable."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.base import Checkpoint

from langgraph_checkpoint_s3 import S3Saver, StorageUnavailableError
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.format.keys import encode_rank
from langgraph_checkpoint_s3.plans.tombstones import add_coming
from langgraph_checkpoint_s3.s3.requests import CopyObject, PutObject, Request
from tests.plans.borrowers import eager, key_of, layout, lenders, noise, step
from tests.plans.helpers import put, refuse_etags
from tests.support import inside
from tests.support.checkpoints import address, place
from tests.support.fake_s3 import FakeS3, Moment, client_error
from tests.support.fake_store import make_saver

pytestmark = pytest.mark.modes


def grown(fake: FakeS3) -> list[Checkpoint]:
    """Three checkpoints, each of which borrows from those before it."""
    saver = eager(fake)
    first = step(saver, "1", one=noise(600, 1))
    second = step(saver, "2", first, two=noise(600, 2))
    return [first, second, step(saver, "3", second, n=3)]


def values(fake: FakeS3, thread: str) -> dict[str, Any]:
    """Return the checkpoints that a new process reads."""
    found = list(make_saver(fake).list(place(thread)))
    return {each.checkpoint["id"]: each.checkpoint["channel_values"] for each in found}


def test_the_same_bytes_each_time(fake: FakeS3) -> None:
    grown(fake)
    make_saver(fake).copy_thread("t", "u")
    first = {key: fake.objects[key].data for key in fake.keys("/checkpoint")}
    make_saver(fake).copy_thread("t", "u")
    assert {key: fake.objects[key].data for key in fake.keys("/checkpoint")} == first


def test_a_later_copy_borrows_from_no_copy_of_what_was_rewritten_since(fake: FakeS3) -> None:
    """The source's rewritten object has bytes that the first copy of it lacks."""
    grown(fake)
    make_saver(fake).copy_thread("t", "u")
    make_saver(fake).prune(["t"])
    saver = eager(fake)
    found = saver.get_tuple(place("t"))
    assert found is not None
    step(saver, "4", found.checkpoint, n=4)
    assert lenders(fake, "4") == ["3"]
    make_saver(fake).copy_thread("t", "u")
    for name, state in values(fake, "t").items():
        assert values(fake, "u")[name] == state


@pytest.mark.parametrize("days", [0, 2])
def test_a_later_copy_borrows_from_nothing_that_was_copied_long_before(
    fake: FakeS3, days: int, mode: str
) -> None:
    """Lifecycle rules count a copy's age from when it was copied, so they delete the first copies before."""
    grown(fake)
    make_saver(fake).copy_thread("t", "u")
    first = fake.keys(layout().thread("u"))
    saver = eager(fake)
    found = saver.get_tuple(place("t"))
    assert found is not None
    step(saver, "5", step(saver, "4", found.checkpoint, n=4), n=5)
    fake.later += timedelta(days=days)
    expected = values(fake, "t")
    make_saver(fake).copy_thread("t", "u")
    assert values(fake, "u") == expected
    # What is encrypted borrows only within one copy.
    assert bool(lenders(fake, "4", thread="u")) == (days == 0 and mode == "plain")
    if days:
        for key in first:
            fake.delete(key)
        assert values(fake, "u") == {each: expected[each] for each in ("4", "5")}


@pytest.mark.parametrize("target", ["u", "u" * 300], ids=["short", "hashed"])
def test_the_copy_says_its_own_thread_in_the_metadata(fake: FakeS3, target: str) -> None:
    """As LangGraph's servers put it there. What names another thread stays as it is."""
    saver = make_saver(fake)
    put(saver, "1", thread_id="t")
    put(saver, "2", "1", thread_id="another")
    saver.copy_thread("t", target)
    reader = make_saver(fake)
    for thread in ("t", target):
        found = {each.checkpoint["id"]: each.metadata for each in reader.list(place(thread))}
        said: Any = {"1": thread, "2": "another"}
        assert {name: each["thread_id"] for name, each in found.items()} == said  # type: ignore[typeddict-item]  # LangGraph's type doesn't name it
        [only] = reader.list(None, filter={"thread_id": thread})
        assert address(only.config) == (thread, "", "1")
        [newest] = reader.list(place(thread), filter={"thread_id": "another"})
        assert newest.checkpoint["id"] == "2"
    reader.copy_thread(target, "v")
    assert [each.checkpoint["id"] for each in reader.list(None, filter={"thread_id": "v"})] == ["1"]


def test_an_export_says_the_thread_that_it_is_imported_into(fake: FakeS3, tmp_path: Path) -> None:
    put(make_saver(fake), "1", thread_id="t")
    admin = S3Admin(make_saver(fake))
    admin.export_thread("t", tmp_path / "t.zip")
    admin.import_thread(tmp_path / "t.zip", "u")
    [found] = make_saver(fake).list(None, filter={"thread_id": "u"})
    assert address(found.config) == ("u", "", "1")


@pytest.mark.parametrize("rewrite", [False, True])
def test_what_borrows_from_the_copy_stays_whole(fake: FakeS3, rewrite: bool) -> None:
    line = grown(fake)
    make_saver(fake).copy_thread("t", "a longer name than that")
    saver = eager(fake)
    assert saver.get_tuple(place("a longer name than that"))
    step(saver, "4", line[-1], thread="a longer name than that", n=4)
    assert lenders(fake, "4", "a longer name than that") == ["1", "2"]
    before = values(fake, "a longer name than that")
    if rewrite:
        make_saver(fake).prune(["t"])  # of the source, "3" alone stays, and holds all
        assert not lenders(fake, "3")
    make_saver(fake).copy_thread("t", "a longer name than that")
    assert values(fake, "a longer name than that") == before


def test_the_copy_of_a_copy_can_be_pruned(fake: FakeS3) -> None:
    grown(fake)
    expected = values(fake, "t")
    for source, target in (("t", "u"), ("u", "v" * 60), ("v" * 60, "w")):
        make_saver(fake).copy_thread(source, target)
        assert lenders(fake, "3", target) == ["1", "2"]
        assert values(fake, target) == expected
    make_saver(fake).prune(["w"])
    assert values(fake, "w") == {"3": expected["3"]}


def test_a_copy_cut_short_is_made_again(fake: FakeS3) -> None:
    """Whatever of it is there: a borrower, say, but not its lender."""
    grown(fake)
    expected = values(fake, "t")
    tried: set[str] = set()
    target = key_of(fake, "1").replace(key_of(fake, "1").split("/")[1], thread_folder("u"))

    def fail(moment: Moment, request: Request[Any]) -> None:
        tried.add(type(request).__name__)
        where = request.target if isinstance(request, CopyObject) else getattr(request, "key", None)
        if moment == "before" and isinstance(request, (CopyObject, PutObject)) and where == target:
            raise client_error("SlowDown", 503, request)

    fake.hook = fail
    with pytest.raises(StorageUnavailableError):
        make_saver(fake).copy_thread("t", "u")
    fake.hook = None
    assert target not in fake.objects
    if "CopyObject" in tried:  # what borrows comes after what the server copies
        assert not fake.keys(f"{layout().namespace('u', '')}{encode_rank('2')}/checkpoint")
    else:
        assert lenders(fake, "2", "u") == ["1"]
    make_saver(fake).copy_thread("t", "u")
    assert values(fake, "u") == expected


@pytest.mark.parametrize("comparing", [True, False])
def test_what_a_cut_copy_left_without_its_lender_is_replaced(
    fake: FakeS3, comparing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source was rewritten whole since. Some stores refuse the ETag that they show."""
    saver = eager(fake)
    first = step(saver, "1", run="old", one=noise(600, 1))
    step(saver, "2", first, run="new", n=2)
    make_saver(fake).copy_thread("t", "u")
    lender = key_of(fake, "1", "u")
    inside.store(saver).run(add_coming(inside.context(saver), layout().thread("u"), [lender]), "test")
    fake.delete(lender)
    make_saver(fake).delete_for_runs(["old"])
    assert not values(fake, "u")
    if not comparing:
        refuse_etags(monkeypatch)
    make_saver(fake).copy_thread("t", "u")
    assert values(fake, "u") == values(fake, "t")
    assert not lenders(fake, "2", "u")


def thread_folder(thread: str) -> str:
    """A thread's folder's name."""
    saver: S3Saver = make_saver(FakeS3())
    return inside.layout(saver).thread(thread).split("/")[-2]
