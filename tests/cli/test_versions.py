"""Versions of checkpoints, and restoring deleted and archived threads."""

from __future__ import annotations

import pytest

from langgraph_checkpoint_s3 import S3Saver
from tests.cli.conftest import Cli
from tests.support.checkpoints import place, put_chain
from tests.support.fake_s3 import FakeS3


class TestVersions:
    @pytest.fixture
    def deleted(self, cli: Cli, thread: str, saver: S3Saver, fake: FakeS3) -> str:
        fake.set_versioning("Enabled")
        put_chain(saver, "kept", 2)
        saver.delete_thread("kept")
        return "kept"

    def test_a_deleted_thread_comes_back(self, cli: Cli, deleted: str, saver: S3Saver) -> None:
        assert cli("restore", deleted, "--dry-run").out.startswith("Would restore 2 checkpoints")
        assert saver.get_tuple(place(deleted)) is None
        assert cli("restore", deleted).out.startswith("Restored 2 checkpoints")
        assert len(list(saver.list(place(deleted)))) == 2

    def test_a_version(self, cli: Cli, deleted: str, saver: S3Saver, fake: FakeS3) -> None:
        lines = cli("versions", deleted, "00000001").out.splitlines()
        assert len(lines) == 3
        assert "deleted\tlatest" in lines[1]
        found = cli("versions", deleted, "00000001", "--json").data["versions"]
        version = found[1]["version_id"]
        dry = cli("restore", deleted, "00000001", "--version", version, "--dry-run")
        assert dry.out == f"Would restore version {version} of 00000001.\n"
        assert saver.get_tuple(place(deleted)) is None
        assert cli("restore", deleted, "00000001", "--version", version, "--json").code == 0
        assert saver.get_tuple(place(deleted, "00000001")) is not None
        assert cli("restore", deleted, "00000001", "--version", "nonsense").code in {1, 2, 3}

    @pytest.mark.parametrize(
        "more", [("00000001",), ("--version", "1"), ("--before", "soon"), ("--before", "2026-01-01T00:00:00")]
    )
    def test_wrong_usage(self, cli: Cli, deleted: str, more: tuple[str, ...]) -> None:
        assert cli("restore", deleted, *more).code == 2

    def test_an_archive(self, cli: Cli, thread: str) -> None:
        assert "9 objects can be read" in cli("restore", thread, "--archived", "--dry-run").out
        assert cli("restore", thread, "--archived", "--json").data["status"]["readable"] == 9
