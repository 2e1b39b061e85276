"""Commands that change something: deleting, moving, versions; what they show, ask and refuse."""

from __future__ import annotations

import sys
import types
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.sqlite import SqliteSaver

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.admin import S3Admin
from langgraph_checkpoint_s3.cli import runtime, transfer
from langgraph_checkpoint_s3.encryption import KeyRing
from langgraph_checkpoint_s3.s3.requests import GetObject
from tests.cli.conftest import Cli
from tests.plans.versioned import set_versioning
from tests.support.checkpoints import place, put_chain, shown
from tests.support.fake_s3 import FakeS3, Moment, client_error
from tests.support.fake_store import make_saver


class TestThreads:
    def test_they_are_listed(self, cli: Cli, saver: S3Saver) -> None:
        for name in ("a-1", "a-2", "b"):
            put_chain(saver, name, 1)
        assert cli("threads").out == "a-1\na-2\nb\n"
        assert cli("threads", "--prefix", "a", "--json").data == {"threads": ["a-1", "a-2"], "more": False}
        ran = cli("threads", "--limit", 2)
        assert ran.out == "a-1\na-2\n"
        assert "more than 2" in ran.err

    def test_none_is_no_error(self, cli: Cli) -> None:
        ran = cli("threads")
        assert (ran.code, ran.out) == (0, "")
        assert "no threads" in ran.err

    def test_usage(self, cli: Cli, thread: str) -> None:
        assert cli("usage").out.startswith("1 thread, 1 namespace, 5 checkpoints, 4 objects of writes: ")
        found = cli("usage", "--thread", thread, "--json").data
        assert (found["threads"], found["checkpoints"]) == (1, 5)
        assert found["classes"]["STANDARD"]["objects"] == 9


class TestDelete:
    def test_off_a_terminal_it_needs_to_be_told(self, cli: Cli, thread: str, fake: FakeS3) -> None:
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
        set_versioning(fake, "Enabled")
        cli("delete", thread, "--yes")
        assert cli("restore", thread, "--dry-run", "--json").data["checkpoints"] == 5
        assert cli("delete", thread, "--yes", "--for-good").code == 0
        assert cli("restore", thread).code == 3


class TestPrune:
    def test_off_a_terminal_it_needs_to_be_told(self, cli: Cli, thread: str, fake: FakeS3) -> None:
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

    def test_who_is_not_asked_waits_for_no_look_before(self, cli: Cli, saver: S3Saver, fake: FakeS3) -> None:
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
    def test_what_is_old_must_be_said(self, cli: Cli, thread: str, more: tuple[Any, ...]) -> None:
        assert cli("prune", *more, "--yes").code == 2


class TestMoving:
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
        """The way to move a prefix whose threads are encrypted, too."""
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
            "Brought 4 checkpoints of 2 threads: 8 objects written, 0 there before, 0 kept as they were.\n"
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
            assert (ran.code, ran.err) == (2, "--expires goes from 1s to 7d, which is S3's limit.\n")

    def test_migrate(self, cli: Cli, saver: S3Saver, tmp_path: Path) -> None:
        file = tmp_path / "old.sqlite"
        with SqliteSaver.from_conn_string(str(file)) as source:
            put_chain(source, "old", 3)
            put_chain(source, "older", 1)
        assert cli("migrate", file, "--dry-run").out == "Would bring over 4 checkpoints of 2 threads.\n"
        assert cli("threads").out == ""
        assert cli("migrate", file, "--thread", "older", "--json").data["checkpoints"] == 1
        assert cli("migrate", file).out == (
            "3 checkpoints of 2 threads brought over; 1 were here before, 0 failed.\n"
        )
        assert len(list(saver.list(place("old")))) == 3

    def test_what_is_no_source_is_a_line(self, cli: Cli, tmp_path: Path) -> None:
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

    def test_a_source_that_cannot_be_reached_is_told(
        self, cli: Cli, saver: S3Saver, fake: FakeS3, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = FakeS3()

        def refuse(moment: Moment, request: Any) -> None:
            raise client_error("AccessDenied", 403, request)

        other.hook = refuse
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
        ran = cli("migrate", tmp_path / "x")
        assert ran.code == 1
        assert "pip install langgraph-checkpoint-sqlite" in ran.err

    def test_migrate_from_postgres_without_what_it_needs(
        self, cli: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The saver's own dependency, `psycopg`, can't be imported where there is no libpq."""
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
        assert "5 were here before" in cli("migrate", "s3://elsewhere/x").out
        assert opened == ["s3://elsewhere/x"]


class TestVersions:
    @pytest.fixture
    def deleted(self, cli: Cli, thread: str, saver: S3Saver, fake: FakeS3) -> str:
        set_versioning(fake, "Enabled")
        put_chain(saver, "kept", 2)
        saver.delete_thread("kept")
        return "kept"

    def test_a_deleted_thread_comes_back(self, cli: Cli, deleted: str, saver: S3Saver) -> None:
        assert cli("restore", deleted, "--dry-run").out.startswith("Would bring back 2 checkpoints")
        assert saver.get_tuple(place(deleted)) is None
        assert cli("restore", deleted).out.startswith("Brought back 2 checkpoints")
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
        "more",
        [("00000001",), ("--version", "1"), ("--before", "soon"), ("--before", "2026-01-01T00:00:00")],
    )
    def test_wrong_usage(self, cli: Cli, deleted: str, more: tuple[str, ...]) -> None:
        assert cli("restore", deleted, *more).code == 2

    def test_an_archive(self, cli: Cli, thread: str) -> None:
        assert "9 objects can be read" in cli("restore", thread, "--archived", "--dry-run").out
        assert cli("restore", thread, "--archived", "--json").data["status"]["readable"] == 9


def test_an_admins_sizes_are_those_of_checkpoints(saver: S3Saver, thread: str) -> None:
    saver.put_writes(place(thread, "00000099"), [("c", 1)], "early")
    sizes = S3Admin(saver).checkpoint_sizes(thread)
    assert {each.checkpoint_id: each.objects for each in sizes} == {
        "00000007": 1,
        "00000003": 2,
        "00000002": 2,
        "00000001": 2,
        "00000000": 2,
    }
    assert all(each.bytes > 0 for each in sizes)
    assert S3Admin(saver).checkpoint_sizes("nobody") == []


class TestEncrypted:
    @pytest.fixture
    def sealed(self, fake: FakeS3, monkeypatch: pytest.MonkeyPatch, cli: Cli) -> str:
        ring = KeyRing({"k": bytes(32)})
        module = types.ModuleType("keys_of_the_test")
        module.ring = ring  # type: ignore[attr-defined]  # made here
        monkeypatch.setitem(sys.modules, "keys_of_the_test", module)

        def open_saver(uri: str | None, *, encryption: Any = None, **keywords: Any) -> S3Saver:
            return make_saver(fake, encryption=encryption)

        monkeypatch.setattr(runtime, "open_saver", open_saver)
        put_chain(make_saver(fake, encryption=ring), "sealed", 3)
        return "sealed"

    def test_without_keys_it_says_how_to_name_them(self, cli: Cli, sealed: str) -> None:
        for arguments in (("history", sealed), ("show", sealed), ("copy", sealed, "other")):
            ran = cli(*arguments)
            assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
            assert "--keys MODULE:NAME" in ran.err
        ran = cli("prune", "--keep-last", 1, "--yes")
        assert (ran.code, ran.out) == (1, "")
        assert cli("threads").out == "sealed\n"
        assert cli("delete", sealed, "--yes").code == 0

    def test_with_them_it_is_shown(self, cli: Cli, sealed: str) -> None:
        keys = ("--keys", "keys_of_the_test:ring")
        assert "n\n  2\n" in cli("show", sealed, *keys).out
        assert cli("history", sealed, *keys).out.count("●") == 3

    @pytest.mark.parametrize(
        "keys", ["keys_of_the_test:other", "no_such_module:ring", "keys_of_the_test", ":"]
    )
    def test_keys_that_are_not_there(self, cli: Cli, sealed: str, keys: str) -> None:
        ran = cli("show", sealed, "--keys", keys)
        assert (ran.code, ran.err.count("\n")) == (2, 1)
