"""`changes`: since when, the cursor and its file."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.s3.requests import CreateUpload
from tests.cli.conftest import Cli
from tests.support.checkpoints import make_checkpoint, place, put_chain
from tests.support.fake_s3 import FakeS3


@pytest.fixture(autouse=True)
def later(fake: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let admins look two minutes after the last write, when its time has settled."""
    monkeypatch.setattr(S3Admin, "_now", lambda _: fake.now + timedelta(minutes=2))


def test_what_was_written(cli: Cli, thread: str) -> None:
    lines = cli("changes").out.splitlines()
    assert lines[0] == "written\tthread\tnamespace\tcheckpoint\tobject\tsize"
    assert len(lines) == 1 + 9 + 1
    assert lines[1].split("\t")[1:5] == [thread, "", "00000000", "checkpoint"]
    assert lines[-1].startswith("9 objects of 1 thread, ")
    found = cli("changes", "--json").data
    assert [each["kind"] for each in found["objects"]][:2] == ["checkpoint", "writes"]
    assert lines[-1].endswith(f"--since {found['cursor']}")


def test_ids_and_times_stay_whole_in_a_terminal(
    cli: Cli, saver: S3Saver, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = make_checkpoint("1f0a2c6e-0000-6000-8004-c95e3a82f716", {"n": 1})
    saver.put(place("customer-42"), checkpoint, {}, checkpoint["channel_versions"])
    for name, value in {"FORCE_COLOR": "1", "COLUMNS": "80", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    shown = re.sub(r"\x1b\[[0-9;]*m", "", cli("changes").out)
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +customer-42 +c95e3a82f716 +checkpoint +\d+ B", shown)


def test_the_cursor_goes_on(cli: Cli, thread: str, saver: S3Saver, fake: FakeS3) -> None:
    cursor = cli("changes", "--json").data["cursor"]
    assert cli("changes", "--since", cursor).out.startswith("0 objects of 0 threads, ")
    fake.later += timedelta(minutes=5)
    put_chain(saver, "other", 1)
    for since in (cursor, "3m", "180s"):
        found = cli("changes", "--since", since, "--json").data
        assert {each["thread_id"] for each in found["objects"]} == {"other"}
    assert cli("changes", "--thread", thread, "--since", cursor, "--json").data["objects"] == []


def test_a_cursor_may_remember_uploads(cli: Cli, thread: str, fake: FakeS3) -> None:
    fake.execute(CreateUpload("checkpoints/t.thread/.ns/00z/checkpoint"))
    cursor = cli("changes", "--json").data["cursor"]
    assert "~" in cursor
    for ending in ("", ",0123456789abcdef"):
        assert cli("changes", "--since", cursor + ending).code == 0


def test_the_cursor_is_kept_in_a_file(
    cli: Cli, thread: str, saver: S3Saver, fake: FakeS3, tmp_path: Path
) -> None:
    file = tmp_path / "cursor"
    assert len(cli("changes", "--cursor", file, "--json").data["objects"]) == 9
    first = file.read_text()
    assert len(cli("changes", "--cursor", file, "--json").data["objects"]) == 0
    fake.later += timedelta(minutes=5)
    put_chain(saver, "other", 1)
    assert len(cli("changes", "--cursor", file, "--json").data["objects"]) == 2
    assert file.read_text() > first
    assert [each.name for each in tmp_path.iterdir()] == ["cursor"]
    ran = cli("changes", "--cursor", file, "--since", "1d")
    assert ran.code == 2
    assert "leave out --since" in ran.err


def test_a_cursor_stays_if_the_command_fails(cli: Cli, thread: str, fake: FakeS3, tmp_path: Path) -> None:
    file = tmp_path / "cursor"
    file.write_text("2026-01-01T00:00:00Z\n")
    fake.put("checkpoints/t.thread/notes.txt", b"a stranger's")
    assert cli("changes", "--cursor", file).code == 1
    assert file.read_text() == "2026-01-01T00:00:00Z\n"


@pytest.mark.parametrize("since", ["soon", "yesterday", "2026-03-01", "2026-03-01T12:00:00"])
def test_a_wrong_time_is_wrong_usage(cli: Cli, since: Any) -> None:
    ran = cli("changes", "--since", since)
    assert (ran.code, ran.out) == (2, "")
