"""Operations on checkpoints that borrow, cut short at every request: nothing acknowledged is unreadable."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from langgraph.checkpoint.base import Checkpoint

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.plans.context import Context
from langgraph_checkpoint_s3.plans.materialize import materialize_borrowers
from langgraph_checkpoint_s3.plans.plan import Plan
from langgraph_checkpoint_s3.plans.scan import Scan
from langgraph_checkpoint_s3.s3.requests import DeleteObjects, HeadObject
from tests.plans.borrowers import eager, lenders, noise, succeed
from tests.plans.crashes import SMALL, Scenario, batches_of, sweep
from tests.plans.helpers import once
from tests.support import inside
from tests.support.checkpoints import place
from tests.support.fake_s3 import FakeS3
from tests.support.hooks import interrupting
from tests.support.modes import cached

LOG = noise(3_000)


def _line() -> list[Checkpoint]:
    """Seven checkpoints whose log is trimmed, edited and goes on, beside documents that stay."""
    line = [succeed("1", None, documents=noise(700, 1), log=LOG[:400], n=1)]
    logs = [LOG[:520], LOG[:540], LOG[40:540], LOG[40:300] + b"edited" + LOG[310:700]]
    for number, log in enumerate(logs, start=2):
        line.append(succeed(str(number), line[-1], log=log, n=number))
    line.append(succeed("6", line[-1], log=logs[-1] + b"and more", n=6))
    line.append(succeed("7", line[-1], n=7))
    return line


LINE = _line()
FORK = succeed("31", LINE[2], log=LOG[:540] + LOG[2_000:2_200])
LARGE = succeed("6", LINE[4], log=LOG)
OTHER = succeed("6", LINE[4], log=LOG[:600], n=-6)


def one_by_one(fake: FakeS3) -> S3Saver:
    """A saver that borrows a few bytes already, and moves what isn't very small in parts."""
    return eager(fake, sizes=SMALL, compression="none")


def put(saver: S3Saver, checkpoint: Checkpoint, parent: Checkpoint | None, run: str = "new") -> None:
    old = parent["channel_versions"] if parent else {}
    changed = {name: each for name, each in checkpoint["channel_versions"].items() if old.get(name) != each}
    saver.put(place("t", parent["id"] if parent else None), checkpoint, {"run_id": run}, changed)


def go_on(saver: S3Saver, *checkpoints: Checkpoint, parent: Checkpoint = LINE[4]) -> None:
    """Read a checkpoint, and put a line of others behind it."""
    saver.get_tuple(place("t", parent["id"]))
    for before, child in pairwise([parent, *checkpoints]):
        put(saver, child, before)


def elsewhere(saver: S3Saver) -> S3Saver:
    """Another process."""
    store: Any = inside.store(saver)
    return one_by_one(store.fake)


def while_deleted(saver: S3Saver, child: Checkpoint) -> None:
    """Put a child when lenders of its were deleted since its parent was read."""
    saver.get_tuple(place("t", "5"))
    elsewhere(saver).delete_for_runs(["old"])
    put(saver, child, LINE[4])


def on_a_rewritten_one(saver: S3Saver) -> None:
    """Go on from what this process put, and somebody rewrote who is about to delete its lenders."""
    go_on(saver, LINE[5])
    other = elsewhere(saver)
    inside.store(other).run(_release(inside.context(other)), "test")
    put(saver, LINE[6], LINE[5])


def _release(context: Context) -> Plan[None]:
    folders = yield from Scan(context.layout, context.layout.thread("t")).rest()
    yield from materialize_borrowers(context, [each for each in folders if each.checkpoint_id < "3"])


@cached
def lent() -> FakeS3:
    """Five checkpoints of two runs, with writes."""
    fake = FakeS3()
    saver = one_by_one(fake)
    for parent, checkpoint in zip([None, *LINE], LINE[:5], strict=False):
        put(saver, checkpoint, parent, "old" if checkpoint["id"] < "3" else "new")
    saver.put_writes(place("t", "1"), [("d", [1])], "task")
    saver.put_writes(place("t", "5"), [("d", [5])], "task")
    return fake


@cached
def on_its_way() -> FakeS3:
    """A child whose put was killed while its lenders were deleted: it was never acknowledged."""
    fake = lent().snapshot()
    saver = one_by_one(fake)
    saver.get_tuple(place("t", "5"))

    def go_on_killed(_: Any) -> None:
        fake.hook = interrupting(HeadObject)
        with pytest.raises(KeyboardInterrupt):
            put(saver, LINE[5], LINE[4])
        fake.hook = None

    fake.hook = once(DeleteObjects, go_on_killed)
    one_by_one(fake).prune(["t"])
    fake.hook = None
    assert "1" in lenders(fake, "6")
    assert len(fake.keys("/checkpoint")) == 2
    return fake


@cached
def with_child() -> FakeS3:
    fake = lent().snapshot()
    go_on(one_by_one(fake), LINE[5])
    return fake


def scenario(name: str, operate: Any, bucket: Any = lent, **keywords: Any) -> Scenario:
    return Scenario(name, operate, bucket, saver=one_by_one, **keywords)


SHORT = {"delete._BATCH": 2, "scan.PAGE": 3, "materialize._AT_ONCE": 1}
SCENARIOS = [
    scenario("put", lambda saver: go_on(saver, LINE[5])),
    scenario("put, multipart", lambda saver: go_on(saver, LARGE)),
    scenario("put two", lambda saver: go_on(saver, LINE[5], LINE[6])),
    scenario("put a fork", lambda saver: go_on(saver, FORK, parent=LINE[2])),
    scenario("put, lender gone", lambda saver: while_deleted(saver, LINE[5]), removes=True),
    scenario("put, lender gone, multipart", lambda saver: while_deleted(saver, LARGE), removes=True),
    scenario("put, parent rewritten", on_a_rewritten_one),
    scenario("put again", lambda saver: go_on(saver, LINE[5]), with_child),
    scenario("put again, unknown", lambda saver: put(saver, LINE[5], LINE[4]), with_child),
    scenario("put again, other content", lambda saver: go_on(saver, OTHER), with_child),
    scenario("put again, on its way", lambda saver: put(saver, LINE[5], LINE[4]), on_its_way),
    scenario("put again, on its way, known", lambda saver: go_on(saver, LINE[5]), on_its_way),
    scenario("put on what is on its way", lambda saver: go_on(saver, LINE[6], parent=LINE[5]), on_its_way),
    scenario("get_tuple", lambda saver: saver.get_tuple(place("t"))),
    scenario("get_tuple, on its way", lambda saver: saver.get_tuple(place("t")), on_its_way),
    scenario("list", lambda saver: list(saver.list(place("t")))),
    scenario("prune", lambda saver: saver.prune(["t"]), removes=True),
    scenario("prune, long", lambda saver: saver.prune(["t"]), removes=True, patches=SHORT),
    scenario("prune, on its way", lambda saver: saver.prune(["t"]), on_its_way, removes=True),
    scenario("delete_for_runs", lambda saver: saver.delete_for_runs(["old"]), removes=True),
    scenario(
        "delete_for_runs, long", lambda saver: saver.delete_for_runs(["old"]), removes=True, patches=SHORT
    ),
    scenario(
        "delete_for_runs, others", lambda saver: saver.delete_for_runs(["new"]), with_child, removes=True
    ),
    scenario("delete_thread, long", lambda saver: saver.delete_thread("t"), removes=True, patches=SHORT),
    scenario("copy_thread", lambda saver: saver.copy_thread("t", "u"), makes="u"),
    scenario(
        "copy_thread, long",
        lambda saver: saver.copy_thread("t", "u"),
        makes="u",
        patches={"copy_thread._BATCH": 3, "scan.PAGE": 4},
    ),
    scenario(
        "copy_thread, on its way",
        lambda saver: saver.copy_thread("t", "u"),
        on_its_way,
        makes="u",
    ),
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[scenario.name for scenario in SCENARIOS])
def test_cut_short(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep(scenario, monkeypatch)


_REWRITTEN = {"put, lender gone", "put again, other content", "prune"}
_MOVED = {"put", "copy_thread", "copy_thread, on its way"}
ENCRYPTED = [each for each in SCENARIOS if each.name in _REWRITTEN | _MOVED]
"""The scenarios whose outcome could depend on encryption."""


@pytest.mark.modes("private")
@pytest.mark.parametrize("scenario", ENCRYPTED, ids=[scenario.name for scenario in ENCRYPTED])
def test_cut_short_encrypted(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep(scenario, monkeypatch)


@pytest.mark.modes("plain", "private")
def test_they_borrow_as_they_are_meant_to(mode: str) -> None:
    fake = with_child()
    assert all("1" in lenders(fake, each) for each in ("2", "3", "4", "5"))
    assert lenders(fake, "6")
    asked = {
        scenario.name: {type(each).__name__ for batch in batches_of(scenario)[0] for each in batch}
        for scenario in SCENARIOS
    }
    unborrowed = {name for name in asked if name.startswith("put") and "HeadObject" not in asked[name]}
    # Who doesn't know the parent. What is encrypted is longer, and goes in parts, with a HEAD beside them.
    strangers = {"put again, unknown", "put again, on its way", "put on what is on its way"}
    assert unborrowed == (strangers if mode == "plain" else set())
    removing = {name for name in asked if name.startswith(("prune", "delete_for_runs"))}
    unfreed = {name for name in removing if not asked[name] & {"PutObject", "CompleteUpload"}}
    assert unfreed == {"prune, on its way"}  # nothing goes
