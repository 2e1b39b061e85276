"""Deleting threads and pruning: confirmations, dry runs, and what is deleted."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from langgraph_checkpoint_s3 import S3Saver
from tests.cli.conftest import Cli
from tests.support.checkpoints import place, put_chain
from tests.support.fake_s3 import FakeS3


class TestDelete:
    def test_without_a_terminal_yes_is_required(self, cli: Cli, thread: str, fake: FakeS3) -> None:
        before = fake.keys()
        for more in ((), ("--json",), ("--for-good",)):
            ran = cli("delete", thread, *more)
            assert (ran.code, ran.out) == (2, "")
            assert "--yes" in ran.err
            assert fake.keys() == before

    def test_a_dry_run_changes_nothing(self, cli: Cli, thread: str, fake: FakeS3) -> None:
        before = fake.keys()
        ran = cli("delete", thread, "--dry-run")
        assert ran.code == 0
        assert ran.out.startswith(f"Would delete {thread} (9 objects, ")
        found = cli("delete", thread, "--dry-run", "--for-good", "--json", "--yes").data
        assert found["dry_run"]
        assert found["threads"][0]["objects"] == 9
        assert fake.keys() == before

    def test_it_deletes(self, cli: Cli, thread: str, saver: S3Saver, fake: FakeS3) -> None:
        put_chain(saver, "other", 1)
        ran = cli("delete", thread, "nobody", "--yes")
        assert ran.code == 3
        assert ran.out.startswith(f"Deleted {thread} (9 objects")
        assert "nobody" in ran.err
        assert cli("threads").out == "other\n"

    def test_for_good_leaves_no_version(self, cli: Cli, thread: str, fake: FakeS3) -> None:
        fake.set_versioning("Enabled")
        cli("delete", thread, "--yes")
        assert cli("restore", thread, "--dry-run", "--json").data["checkpoints"] == 5
        assert cli("delete", thread, "--yes", "--for-good").code == 0
        assert cli("restore", thread).code == 3


class TestDeleteCheckpoints:
    def test_they_are_deleted_alone(self, cli: Cli, thread: str, saver: S3Saver, fake: FakeS3) -> None:
        ids = [each.checkpoint["id"] for each in saver.list(place(thread))]
        before = fake.keys()
        options = ("--checkpoint", "latest", "--checkpoint", ids[-1], "--checkpoint", ids[0])
        ran = cli("delete", thread, *options, "--dry-run")
        assert ran.out == f"Would delete {ids[0]}, {ids[-1]} of {thread}.\n"
        ran = cli("delete", thread, *options)
        assert ran.code == 2
        assert "--yes" in ran.err
        assert fake.keys() == before
        assert cli("delete", thread, *options, "--yes").out == f"Deleted {ids[0]}, {ids[-1]} of {thread}.\n"
        left = [each.checkpoint["id"] for each in saver.list(place(thread))]
        assert left == ids[1:-1]

    def test_wrong_usage(self, cli: Cli, thread: str) -> None:
        for options in ((thread, "other"), (thread, "--for-good")):
            ran = cli("delete", *options, "--checkpoint", "latest", "--yes")
            assert (ran.code, ran.err.count("\n")) == (2, 1)


class TestPrune:
    def test_without_a_terminal_yes_is_required(self, cli: Cli, thread: str, fake: FakeS3) -> None:
        before = fake.keys()
        ran = cli("prune", "--keep-last", 2)
        assert (ran.code, ran.out) == (2, "")
        assert "Delete 3 checkpoints of 1 thread" in ran.err
        assert fake.keys() == before

    def test_a_dry_run_shows_what_would_go(self, cli: Cli, thread: str, fake: FakeS3) -> None:
        before = fake.keys()
        lines = cli("prune", "--keep-last", 2, "--dry-run").out.splitlines()
        assert lines[0] == "thread\tnamespace\tcheckpoint\tsize\tage"
        assert [line.split("\t")[2] for line in lines[1:-1]] == ["00000002", "00000001", "00000000"]
        assert lines[-1].startswith("Would delete 3 checkpoints")
        assert fake.keys() == before

    def test_a_table_on_a_terminal(self, cli: Cli, thread: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FORCE_COLOR", "1")
        out = cli("prune", "--keep-last", 2, "--dry-run").out
        assert "\t" not in out
        assert "─" in out
        assert "\x1b[1m" in out

    def test_it_deletes(self, cli: Cli, thread: str, saver: S3Saver) -> None:
        found = cli("prune", "--keep-last", 2, "--yes", "--json").data
        assert [each["checkpoint_id"] for each in found["checkpoints"]] == [
            "00000002",
            "00000001",
            "00000000",
        ]
        assert len(list(saver.list(place(thread)))) == 2
        assert cli("prune", "--keep-last", 2).out == "There is nothing to delete.\n"

    def test_with_yes_there_is_no_dry_run_before(self, cli: Cli, saver: S3Saver, fake: FakeS3) -> None:
        put_chain(saver, "a", 5)
        prune = ("prune", "--keep-last", 1, "--thread", "a")
        with fake.counted() as look:
            cli(*prune, "--dry-run")
        with fake.counted() as done:
            assert cli(*prune, "--yes").out.startswith("Deleted 4 checkpoints")
        assert done.kinds == {**look.kinds, "DeleteObjects": 1}

    def test_by_age_and_thread(self, cli: Cli, thread: str, saver: S3Saver, fake: FakeS3) -> None:
        put_chain(saver, "other", 3)
        fake.age(timedelta(days=40))
        ran = cli("prune", "--older-than", "30d", "--thread", "other", "--yes")
        assert ran.out.startswith("Deleted 2 checkpoints")
        assert len(list(saver.list(place(thread)))) == 5

    @pytest.mark.parametrize("more", [(), ("--keep-last", 1, "--older-than", "1d"), ("--older-than", "soon")])
    def test_exactly_one_criterion_is_required(self, cli: Cli, thread: str, more: tuple[Any, ...]) -> None:
        assert cli("prune", *more, "--yes").code == 2
