"""Deleting threads and pruning: confirmations, dry runs, and what is deleted."""

from __future__ import annotations

import json
from pathlib import Path

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
        ran = cli("delete", thread, "other", "--checkpoint", "latest", "--yes")
        assert (ran.code, ran.err.count("\n")) == (2, 1)


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
