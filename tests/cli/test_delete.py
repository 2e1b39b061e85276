"""Deleting threads and pruning: confirmations, dry runs, and what is deleted."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from langgraph_checkpoint_s3 import S3Saver
from tests.cli.conftest import Cli
from tests.support.checkpoints import place, put_chain
from tests.support.fake_s3 import FakeS3


class TestDelete:
    def test_without_a_terminal_yes_is_required(self, cli: Cli, thread: str, fake: FakeS3) -> None:
        before = fake.keys()
        for command in (("delete",), ("delete", "--json"), ("purge",), ("purge", "--json")):
            ran = cli(*command, thread)
            assert (ran.code, ran.out) == (2, "")
            assert "--yes" in ran.err
            assert fake.keys() == before

    def test_a_dry_run_changes_nothing(self, cli: Cli, thread: str, fake: FakeS3) -> None:
        before = fake.keys()
        ran = cli("delete", thread, "--dry-run")
        assert ran.code == 0
        assert ran.out.startswith(f"Would delete {thread} (9 objects, ")
        found = cli("purge", thread, "--dry-run", "--json", "--yes").data
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


class TestPurge:
    def test_it_leaves_no_version(self, cli: Cli, thread: str, fake: FakeS3) -> None:
        fake.set_versioning("Enabled")
        cli("delete", thread, "--yes")
        assert cli("restore", thread, "--dry-run", "--json").data["checkpoints"] == 5
        ran = cli("purge", thread, "nobody", "--yes")
        assert ran.code == 3
        assert ran.out.startswith(f"Purged {thread} (18 objects")
        assert "nobody" in ran.err
        assert cli("restore", thread).code == 3

    def test_a_receipt_is_written(self, cli: Cli, thread: str, tmp_path: Path) -> None:
        file = tmp_path / "purged.json"
        assert cli("purge", thread, "--receipt", file, "--dry-run").code == 0
        assert not file.exists()
        ran = cli("purge", thread, "--receipt", file, "--yes", "--json")
        assert ran.data["receipt"] == str(file)
        assert file.stat().st_mode & 0o777 == 0o600
        receipt = json.loads(file.read_text())
        assert (receipt["thread_id"], receipt["complete"], len(receipt["removed"])) == (thread, True, 9)

    def test_one_receipt_is_about_one_thread(
        self, cli: Cli, thread: str, fake: FakeS3, tmp_path: Path
    ) -> None:
        before = fake.keys()
        file = tmp_path / "purged.json"
        ran = cli("purge", thread, "other", "--receipt", file, "--yes")
        assert (ran.code, file.exists()) == (2, False)
        assert "one thread" in ran.err
        file.write_text("another's")
        ran = cli("purge", thread, "--receipt", file, "--yes")
        assert (ran.code, file.read_text()) == (2, "another's")
        assert fake.keys() == before

    def test_a_purge_that_fails_says_where_its_receipt_is(
        self, cli: Cli, thread: str, fake: FakeS3, tmp_path: Path
    ) -> None:
        file = tmp_path / "purged.json"
        fake.undeletable = {fake.keys()[0]: ("AccessDenied", "object protected by lock")}
        ran = cli("purge", thread, "--receipt", file, "--yes")
        assert ran.code == 1
        assert f"{file} says what was removed" in ran.err
        receipt = json.loads(file.read_text())
        assert (len(receipt["removed"]), len(receipt["left"])) == (8, 1)
        assert "protected by lock" in receipt["error"]


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

    def test_idle_threads(self, cli: Cli, thread: str, saver: S3Saver, fake: FakeS3) -> None:
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

    def test_why_an_idle_thread_stays(self, cli: Cli, thread: str, saver: S3Saver, fake: FakeS3) -> None:
        with saver.lease(thread, auto_renew=False):
            fake.age(timedelta(days=40), f"/{thread}.thread/")
            ran = cli("prune", "--idle", "30d", "--yes")
        assert (ran.code, ran.out) == (0, "There is nothing to delete.\n")
        assert ran.err.startswith(f"{thread} stays: its lease was in use at ")

    def test_an_idle_thread_that_fails(self, cli: Cli, thread: str, fake: FakeS3) -> None:
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
            ("--older-than", "soon"),
        ],
    )
    def test_exactly_one_criterion_is_required(self, cli: Cli, thread: str, more: tuple[Any, ...]) -> None:
        assert cli("prune", *more, "--yes").code == 2
