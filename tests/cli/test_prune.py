"""Pruning: confirmations, dry runs, policies, drawings, and what is deleted."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from langgraph_checkpoint_s3 import S3Saver
from tests.cli.conftest import Cli
from tests.support.checkpoints import make_checkpoint, place, put_chain
from tests.support.fake_s3 import FakeS3


def test_without_a_terminal_yes_is_required(cli: Cli, thread: str, fake: FakeS3) -> None:
    before = fake.keys()
    ran = cli("prune", "--keep-last", 2)
    assert (ran.code, ran.out) == (2, "")
    assert "Delete 3 checkpoints of 1 thread" in ran.err
    assert fake.keys() == before


def test_a_dry_run_shows_what_would_go(cli: Cli, thread: str, fake: FakeS3) -> None:
    before = fake.keys()
    lines = cli("prune", "--keep-last", 2, "--dry-run").out.splitlines()
    assert lines[0] == "thread\tnamespace\tcheckpoint\tsize\tage"
    assert [line.split("\t")[2] for line in lines[1:-1]] == ["00000002", "00000001", "00000000"]
    assert lines[-1].startswith("Would delete 3 checkpoints")
    assert fake.keys() == before


def test_a_table_on_a_terminal(cli: Cli, thread: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    out = cli("prune", "--keep-last", 2, "--dry-run").out
    assert "\t" not in out
    assert "─" in out
    assert "\x1b[1m" in out


def test_it_deletes(cli: Cli, thread: str, saver: S3Saver) -> None:
    found = cli("prune", "--keep-last", 2, "--yes", "--json").data
    assert [each["checkpoint_id"] for each in found["checkpoints"]] == [
        "00000002",
        "00000001",
        "00000000",
    ]
    assert len(list(saver.list(place(thread)))) == 2
    assert cli("prune", "--keep-last", 2).out == "There is nothing to delete.\n"


def test_with_yes_there_is_no_dry_run_before(cli: Cli, saver: S3Saver, fake: FakeS3) -> None:
    put_chain(saver, "a", 5)
    prune = ("prune", "--keep-last", 1, "a")
    with fake.counted() as look:
        cli(*prune, "--dry-run")
    with fake.counted() as done:
        assert cli(*prune, "--yes").out.startswith("Deleted 4 checkpoints")
    assert look.kinds["ListObjects"] == 2  # the second is for the drawing
    assert done.kinds == {**look.kinds, "ListObjects": 1, "DeleteObjects": 1}


def test_by_age_and_thread(cli: Cli, thread: str, saver: S3Saver, fake: FakeS3) -> None:
    put_chain(saver, "other", 3)
    fake.age(timedelta(days=40))
    ran = cli("prune", "--older-than", "30d", "other", "--yes")
    assert ran.out.startswith("Deleted 2 checkpoints")
    assert len(list(saver.list(place(thread)))) == 5


def test_idle_threads(cli: Cli, thread: str, saver: S3Saver, fake: FakeS3) -> None:
    put_chain(saver, "other", 3)
    fake.age(timedelta(days=40), "/other.thread/")
    before = fake.keys()
    lines = cli("prune", "--idle", "30d", "--dry-run").out.splitlines()
    assert lines[0] == "thread\tcheckpoints\tsize\tidle"
    assert lines[1].startswith("other\t3\t")
    assert lines[2].startswith("Would delete 1 thread with 3 checkpoints, ")
    ran = cli("prune", "--idle", "30d")
    assert (ran.code, ran.out, fake.keys()) == (2, "", before)
    assert "Delete 1 thread with 3 checkpoints" in ran.err
    found = cli("prune", "--idle", "30d", "--yes", "--json").data
    assert [each["thread_id"] for each in found["threads"]] == ["other"]
    assert (found["dry_run"], found["spared"], found["errors"]) == (False, {}, {})
    assert cli("threads").out == f"{thread}\n"
    assert cli("prune", "--idle", "30d", "--yes").out == "There is nothing to delete.\n"


def test_why_an_idle_thread_stays(cli: Cli, thread: str, saver: S3Saver, fake: FakeS3) -> None:
    with saver.lease(thread, auto_renew=False):
        fake.age(timedelta(days=40), f"/{thread}.thread/")
        ran = cli("prune", "--idle", "30d", "--yes")
    assert (ran.code, ran.out) == (0, "There is nothing to delete.\n")
    assert ran.err.startswith(f"{thread} stays: its lease was in use at ")


def test_an_idle_thread_that_fails(cli: Cli, thread: str, fake: FakeS3) -> None:
    fake.age(timedelta(days=40))
    fake.undeletable = {fake.keys()[0]: ("AccessDenied", "no")}
    ran = cli("prune", "--idle", "30d", "--yes")
    assert ran.code == 1
    assert ran.err.startswith(f"error: {thread}: ")


@pytest.mark.parametrize(
    "more",
    [
        (),
        ("--idle", "1d", "--keep-last", 1),
        ("--keep-last", 1, "--older-than", "1d"),
        ("--keep-last", 0),
        ("--keep-first", -1),
        ("--keep-daily", "0s"),
        ("--older-than", "soon"),
    ],
)
def test_exactly_one_criterion_is_required(cli: Cli, thread: str, more: tuple[Any, ...]) -> None:
    assert cli("prune", *more, "--yes").code == 2


def test_a_policy(cli: Cli, thread: str, saver: S3Saver) -> None:
    for number in (8, 9):
        checkpoint = make_checkpoint(f"{number:08}", {"n": number})
        metadata: Any = {"source": "update", "step": number, "tag": "gold", "score": number}
        saver.put(place(thread, "00000003"), checkpoint, metadata, checkpoint["channel_versions"])

    def left(*more: object) -> list[str]:
        gone = cli("prune", thread, *more, "--dry-run", "--json").data["checkpoints"]
        names = [each.checkpoint["id"] for each in saver.list(place(thread))]
        return [name for name in names if name not in [each["checkpoint_id"] for each in gone]]

    assert left("--keep-last", 1, "--keep-first", 1) == ["00000009", "00000000"]
    assert left("--keep-source", "fork", "--keep-source", "input") == ["00000009", "00000007"]
    assert left("--keep-metadata", "tag=gold") == ["00000009", "00000008"]
    assert left("--keep-metadata", "tag=gold", "--keep-metadata", "score=8") == ["00000009", "00000008"]
    assert left("--keep-metadata", "score=eight") == ["00000009"]
    assert len(left("--keep-within", "2h")) == 7
    assert left("--keep-hourly", "1d", "--keep-daily", "30d") == ["00000009"]


def test_a_dry_run_of_one_thread_draws_it(cli: Cli, thread: str, fake: FakeS3) -> None:
    before = fake.keys()
    lines = cli("prune", thread, "--keep-last", 2, "--dry-run").out.splitlines()
    assert lines[0] == f"thread {thread}"
    assert [line[:5].rstrip() for line in lines[1:7]] == ["●", "│ ●", "│ ○", "├─╯", "○", "○"]
    assert [line.endswith("  goes") for line in lines[1:7]] == [False, False, True, False, True, True]
    assert lines[-2] == "○ would go: 3 of 5 checkpoints"
    assert lines[-1].startswith("Would delete 3 checkpoints, ")
    assert fake.keys() == before
    lines = cli("prune", thread, "--older-than", "1d", "--dry-run").out.splitlines()
    assert lines == ["There is nothing to delete."]


def test_what_goes_is_coloured(cli: Cli, thread: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    out = cli("prune", thread, "--keep-last", 4, "--dry-run").out
    assert "\x1b[31m00000000" in out
    assert "\x1b[33m00000001" in out


@pytest.mark.parametrize("more", ["tag", "=gold", ""])
def test_metadata_is_a_name_and_a_value(cli: Cli, thread: str, more: str) -> None:
    ran = cli("prune", "--keep-metadata", more, "--yes")
    assert ran.code == 2
    assert "--keep-metadata tag=gold" in ran.err
