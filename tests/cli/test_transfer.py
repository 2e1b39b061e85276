"""Copies, exports, imports, signed URLs and migrations."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.sqlite import SqliteSaver

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.cli import runtime, transfer
from langgraph_checkpoint_s3.encryption import KeyRing
from langgraph_checkpoint_s3.s3.requests import GetObject
from tests.cli.conftest import Cli
from tests.support.checkpoints import place, put_chain, shown
from tests.support.fake_s3 import FakeS3, Moment
from tests.support.fake_store import make_saver
from tests.support.hooks import failing


class TestSave:
    def test_a_state_is_saved(self, cli: Cli, saver: S3Saver, tmp_path: Path) -> None:
        file = tmp_path / "state.json"
        file.write_text('{"name": "Ada", "orders": [7]}', encoding="utf-8")
        ran = cli("save", "new", file)
        assert saver.load_checkpoint("new", ran.out.strip()) == {"name": "Ada", "orders": [7]}
        ran = cli("save", "new", "-", stdin='{"name": "é"}')
        assert saver.load_checkpoint("new") == {"name": "é"}
        assert next(saver.list(place("new"))).checkpoint["id"] == ran.out.strip()

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("[1]", "must hold a JSON object"),
            ("{", "isn't JSON"),
            ('{"__start__": 1}', "'__start__' can't be saved"),
        ],
    )
    def test_what_is_no_state_is_refused(self, cli: Cli, fake: FakeS3, text: str, reason: str) -> None:
        ran = cli("save", "new", "-", stdin=text)
        assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
        assert reason in ran.err
        assert fake.keys() == []


class TestTransfer:
    def test_copy(self, cli: Cli, thread: str, saver: S3Saver) -> None:
        assert cli("copy", thread, "second").out.startswith(f"Copied 5 checkpoints of {thread} to second")
        assert len(list(saver.list(place("second")))) == 5
        assert cli("copy", thread, "third", "--json").data["checkpoints"] == 5

    def test_a_copy_of_a_thread_onto_itself_is_refused(self, cli: Cli, thread: str) -> None:
        ran = cli("copy", thread, thread)
        assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)

    def test_a_folder_that_is_not_there(self, cli: Cli, thread: str, tmp_path: Path) -> None:
        ran = cli("export", thread, tmp_path / "none" / "thread.zip")
        assert (ran.code, ran.err) == (3, f"There is no folder {tmp_path}/none.\n")

    def test_a_file_that_cannot_be_written_is_a_line(self, cli: Cli, thread: str, tmp_path: Path) -> None:
        (tmp_path / "folder").mkdir()
        ran = cli("export", thread, tmp_path / "folder", "--force")
        assert (ran.code, ran.err.count("\n")) == (1, 1)
        assert "Errno" not in ran.err
        assert list(tmp_path.iterdir()) == [tmp_path / "folder"]

    def test_ctrl_c_leaves_no_half_a_file(self, cli: Cli, thread: str, fake: FakeS3, tmp_path: Path) -> None:
        def interrupted(moment: Moment, request: Any) -> None:
            if isinstance(request, GetObject):
                raise KeyboardInterrupt

        fake.hook = interrupted
        ran = cli("export", thread, tmp_path / "thread.zip")
        assert (ran.code, ran.err) == (130, "Stopped while exporting, after 0.\n")
        assert list(tmp_path.iterdir()) == []

    def test_a_file_and_back(self, cli: Cli, thread: str, saver: S3Saver, tmp_path: Path) -> None:
        file = tmp_path / "thread.zip"
        assert cli("export", thread, file).out.startswith("Wrote 5 checkpoints")
        ran = cli("export", thread, file)
        assert ran.code == 2
        assert "--force" in ran.err
        assert cli("export", thread, file, "--force", "--json").data["writes"] == 4
        assert "9 objects written" in cli("import", file, "--thread", "second").out
        again = cli("import", file, "--thread", "second", "--json").data
        assert (again["written"], again["unchanged"]) == (0, 9)
        assert len(list(saver.list(place("second")))) == 5

    def test_all_threads_of_another_prefix(
        self, cli: Cli, thread: str, saver: S3Saver, fake: FakeS3, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """This is how to move a prefix with encrypted threads."""
        put_chain(saver, "second", 2)
        keys = KeyRing({"k": bytes(32)})
        old, new = (make_saver(fake, encryption=keys, prefix=prefix) for prefix in ("old/", "new/"))
        for name in ("a", "b"):
            put_chain(old, name, 2)
        savers = {"s3://fake-bucket/old/": old, None: new}
        for module in (runtime, transfer):
            monkeypatch.setattr(module, "open_saver", lambda uri, **_: savers[uri])
        ran = cli("import", "s3://fake-bucket/old/")
        assert ran.out == (
            "Imported 4 checkpoints of 2 threads: 8 objects written, 0 already there, 0 different and kept.\n"
        )
        assert cli("import", "s3://fake-bucket/old/", "--thread", "a", "--json").data == {
            "threads": 1,
            "checkpoints": 2,
            "written": 0,
            "unchanged": 4,
            "kept": 0,
        }
        assert cli("threads").out.split() == ["a", "b"]
        for name in ("a", "b"):
            there, here = (
                [shown(each) for each in each_saver.list(place(name))] for each_saver in (old, new)
            )
            assert there == here

    def test_a_bar_on_a_terminal(
        self, cli: Cli, thread: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FORCE_COLOR", "1")
        ran = cli("export", thread, tmp_path / "thread.zip")
        assert "exporting" in ran.err
        assert "9/9" in ran.err
        ran = cli("export", thread, tmp_path / "thread.zip", "--force", "--json")
        assert ran.err == ""

    def test_url(self, cli: Cli, thread: str) -> None:
        assert cli("url", thread).out.startswith("https://")
        found = cli("url", thread, "00000001", "--expires", "1d", "--json").data
        assert (found["checkpoint_id"], found["expires_in"]) == ("00000001", 86400)
        for time in ("8d", "0s"):
            ran = cli("url", thread, "--expires", time)
            assert (ran.code, ran.err) == (2, "--expires must be between 1s and 7d, which is S3's limit.\n")

    def test_migrate(self, cli: Cli, saver: S3Saver, tmp_path: Path) -> None:
        file = tmp_path / "old.sqlite"
        with SqliteSaver.from_conn_string(str(file)) as source:
            put_chain(source, "old", 3)
            put_chain(source, "older", 1)
        assert cli("migrate", file, "--dry-run").out == "Would migrate 4 checkpoints of 2 threads.\n"
        assert cli("threads").out == ""
        assert cli("migrate", file, "--thread", "older", "--json").data["checkpoints"] == 1
        assert cli("migrate", file).out == (
            "Migrated 3 checkpoints of 2 threads; 1 already there, 0 failed.\n"
        )
        assert len(list(saver.list(place("old")))) == 3

    def test_an_invalid_source_is_one_line(self, cli: Cli, tmp_path: Path) -> None:
        file = tmp_path / "plain.txt"
        file.write_text("text")
        ran = cli("migrate", file)
        assert (ran.code, ran.err.count("\n")) == (2, 1)
        assert "no SQLite file" in ran.err
        empty = tmp_path / "empty.sqlite"
        with SqliteSaver.from_conn_string(str(empty)) as source:
            source.setup()
        ran = cli("migrate", empty)
        assert ran.code == 2
        assert ran.err.endswith("Name them with --thread.\n")

    def test_an_unreachable_source_has_its_own_error(
        self, cli: Cli, saver: S3Saver, fake: FakeS3, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = FakeS3()

        other.hook = failing(code="AccessDenied", status=403)
        monkeypatch.setattr(transfer, "open_saver", lambda uri, **_: make_saver(other))
        ran = cli("migrate", "s3://elsewhere/x")
        assert (ran.code, ran.err.count("\n")) == (1, 1)
        assert "s3:ListBucket" in ran.err
        assert "thread_ids" not in ran.err

    def test_a_migration_that_fails_in_part(self, cli: Cli, saver: S3Saver, tmp_path: Path) -> None:
        file = tmp_path / "old.sqlite"
        with SqliteSaver.from_conn_string(str(file)) as source:
            put_chain(source, "t", 2)
        put_chain(saver, "t", 1, values={"n": "other"})
        ran = cli("migrate", file)
        assert ran.code == 1
        assert "1 failed" in ran.out
        assert ran.err.count("\n") == 1

    def test_migrate_without_the_package(
        self, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "langgraph.checkpoint.sqlite", None)
        ran = cli("migrate", tmp_path / "x")  # first of all, it isn't there
        assert ran.code == 3
        assert f"There is no file '{tmp_path / 'x'}'" in ran.err
        (tmp_path / "x").touch()
        ran = cli("migrate", tmp_path / "x")
        assert ran.code == 1
        assert "pip install langgraph-checkpoint-sqlite" in ran.err

    def test_migrate_from_postgres_without_what_it_needs(
        self, cli: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """`psycopg`, which the saver requires, can't be imported without libpq."""
        for name in [name for name in sys.modules if name.startswith("langgraph.checkpoint.postgres")]:
            monkeypatch.delitem(sys.modules, name)
        for missing in ("psycopg", "langgraph.checkpoint.postgres"):
            monkeypatch.setitem(sys.modules, missing, None)
            ran = cli("migrate", "postgresql://me:sesame@localhost/agents")
            assert ran.code == 1
            assert 'pip install langgraph-checkpoint-postgres "psycopg[binary]"' in ran.err
            assert "sesame" not in ran.err

    def test_migrate_from_s3(
        self, cli: Cli, saver: S3Saver, thread: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opened: list[str] = []

        def open_saver(uri: str, **keywords: Any) -> S3Saver:
            opened.append(uri)
            return saver

        monkeypatch.setattr(transfer, "open_saver", open_saver)
        assert "5 already there" in cli("migrate", "s3://elsewhere/x").out
        assert opened == ["s3://elsewhere/x"]
