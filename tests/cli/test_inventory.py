"""Commands that read an inventory report in place of listing."""

from __future__ import annotations

from pathlib import Path

import pytest

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.cli import runtime
from tests.cli.conftest import Cli
from tests.support.checkpoints import put_chain
from tests.support.fake_s3 import FakeS3
from tests.support.reports import FOLDER, make_report, rows_of, write_files


@pytest.fixture
def inventory(fake: FakeS3, saver: S3Saver, tmp_path: Path) -> Path:
    """A report of three threads; a fourth, and a checkpoint of the first, came later."""
    for name in ("a-1", "a-2", "b"):
        put_chain(saver, name, 3)
    folder = write_files(make_report(rows_of(fake), created=fake.now), tmp_path)
    put_chain(saver, "c", 3)
    put_chain(saver, "a-1", 1, first=3)
    return folder


def test_threads(cli: Cli, inventory: Path) -> None:
    assert cli("threads", "--inventory", inventory).out == "a-1\na-2\nb\n"
    assert cli("threads", "--inventory", inventory, "--prefix", "a", "--limit", 1).out == "a-1\n"


def test_usage_says_as_of_when(cli: Cli, inventory: Path, fake: FakeS3) -> None:
    out = cli("usage", "--inventory", inventory).out
    assert out.startswith("3 threads, 3 namespaces, 9 checkpoints")
    assert out.endswith(", as of 2026-01-01 00:00 UTC\n")
    found = cli("usage", "--inventory", inventory, "--json").data
    assert found["threads"] == 3
    assert found["as_of"].startswith("2026-01-01T00:00:")
    assert cli("usage", "--json").data["as_of"] is None


def test_prune(cli: Cli, inventory: Path, fake: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    prune = ("prune", "--keep-last", 1, "--inventory", inventory)
    out = cli(*prune, "--dry-run").out
    assert "Would delete 6 checkpoints" in out
    assert "as of 2026-01-01 00:00 UTC (each thread is listed before anything of it is deleted)" in out
    ran = cli(*prune)
    assert ran.code == 2
    assert "as of 2026-01-01 00:00 UTC" in ran.err
    monkeypatch.setattr(runtime, "_is_interactive", lambda: True)
    ran = cli(*prune, stdin="y\n")
    assert "Deleted 7 checkpoints" in ran.out, "what came since the report counts"
    assert len(fake.keys("c.thread/")) == 6
    found = cli(*prune, "--yes", "--json").data
    assert (found["checkpoints"], found["errors"]) == ([], {})
    assert found["as_of"] is not None


def test_what_does_not_go_together_or_is_no_report(cli: Cli, inventory: Path) -> None:
    ran = cli("prune", "--keep-last", 1, "--inventory", inventory, "--thread", "a-1", "--yes")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    ran = cli("usage", "--inventory", "s3://no-such-bucket/manifest.json")
    assert ran.code == 3
    ran = cli("usage", "--inventory", inventory.parent / "elsewhere")
    assert ran.code == 2
    assert "There is no inventory report at" in ran.err
    assert FOLDER.split("/")[1] in ran.err
