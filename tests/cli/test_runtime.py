"""Parts that all commands share: errors, exit codes, confirmation, keys, and text that is safe to print."""

from __future__ import annotations

import builtins
import dataclasses
import io
import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import typer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_checkpoint_s3 import S3CheckpointError, S3Saver
from langgraph_checkpoint_s3 import cli as package
from langgraph_checkpoint_s3.cli import app, runtime
from langgraph_checkpoint_s3.cli.options import parse_duration
from langgraph_checkpoint_s3.cli.target import OPTIONS
from langgraph_checkpoint_s3.encryption import KeyRing
from langgraph_checkpoint_s3.s3.requests import DeleteObjects
from langgraph_checkpoint_s3.text.humanize import format_age
from langgraph_checkpoint_s3.text.sanitize import sanitize
from langgraph_checkpoint_s3.text.values import to_json
from tests.cli.conftest import Cli, run
from tests.support.checkpoints import make_checkpoint, place, put_chain
from tests.support.fake_s3 import FakeS3, Moment, client_error
from tests.support.fake_store import make_saver
from tests.support.hooks import failing

COMMANDS = sorted(app.COMMANDS)
HOSTILE = "[bold]x[/bold]\x1b]0;owned\x07\x9b31m\u202egnp\r\b:smile:"


def test_there_are_these_commands() -> None:
    names = (
        "changes check copy decode delete diff export history iam-policy import lifecycle memories migrate "
        "pin prune purge report restore resume-point save serve setup show threads unpin url usage versions "
        "watch"
    )
    assert names.split() == COMMANDS


@pytest.mark.parametrize(
    "arguments",
    [
        ("history", "nobody"),
        ("show", "nobody"),
        ("diff", "nobody"),
        ("resume-point", "nobody"),
        ("usage", "--thread", "nobody"),
        ("copy", "nobody", "other"),
        ("delete", "nobody", "--yes"),
        ("purge", "nobody", "--yes"),
        ("export", "nobody", "nobody.zip"),
        ("import", "nobody.zip"),
        ("save", "nobody", "nobody.json"),
        ("delete", "nobody", "--checkpoint", "latest", "--yes"),
        ("decode", "nobody.zip"),
        ("migrate", "nobody.sqlite"),
        ("url", "nobody"),
        ("restore", "nobody", "--archived"),
        ("versions", "nobody", "1"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_not_found_is_one_line_and_exit_code_3(
    cli: Cli, arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = cli(*arguments)
    assert (ran.code, ran.err.count("\n")) == (3, 1)
    assert ran.err.startswith("There is no")
    assert list(tmp_path.iterdir()) == []


def test_access_denied_is_one_line(cli: Cli, fake: FakeS3) -> None:
    fake.hook = failing(code="AccessDenied", status=403)
    ran = cli("threads")
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert ran.err.startswith("error: ")
    assert "s3:ListBucket" in ran.err
    with pytest.raises(S3CheckpointError):
        cli("threads", "--debug")


def test_with_json_an_error_is_an_object(cli: Cli, fake: FakeS3) -> None:
    ran = cli("show", "nobody", "--json")
    assert (ran.code, ran.out) == (3, "")
    answer = json.loads(ran.err)
    assert (answer["kind"], answer["exit_code"]) == ("not_found", 3)
    assert answer["error"].startswith("There is no thread 'nobody'")

    fake.hook = failing(code="AccessDenied", status=403)
    answer = json.loads(cli("threads", "--json").err)
    assert (answer["kind"], answer["exit_code"]) == ("access_denied", 1)


def test_with_json_a_note_is_an_object(cli: Cli) -> None:
    answer = json.loads(cli("lifecycle", "--archive-after", 5, "--json").err)
    assert answer["note"].startswith("warning: ")


@pytest.mark.parametrize("command", ["history", "show", "diff", "resume-point", "watch", "url"])
def test_an_empty_thread_id_has_its_own_message(cli: Cli, command: str) -> None:
    ran = cli(command, "")
    assert (ran.code, ran.err) == (2, "error: The thread's id is empty: `langgraph-s3 threads` lists them.\n")


@pytest.mark.parametrize(("rows", "paged"), [(5, False), (50, True)])
def test_what_is_longer_than_the_terminal_is_paged(
    monkeypatch: pytest.MonkeyPatch, rows: int, paged: bool
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    shown: list[str] = []
    monkeypatch.setattr("rich.pager.SystemPager.show", lambda self, text: shown.append(text))
    monkeypatch.setattr(runtime, "_is_interactive", lambda: True)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    for name, value in {"COLUMNS": "80", "LINES": "30", "TERM": "xterm", "LESS": "-F"}.items():
        monkeypatch.setenv(name, value)
    ctx = runtime.Invocation({name: default for name, (_, default) in OPTIONS.items()})
    ctx.answer({}, lambda: ctx.block("row\n" * (rows - 1) + "x" * 90), paged=True)
    assert [each.count("row") for each in shown] == ([rows - 1] if paged else [])
    assert bool(terminal.getvalue()) != paged


def test_a_missing_bucket_says_how_to_create_it(cli: Cli, fake: FakeS3) -> None:
    def refuse(moment: Moment, request: Any) -> None:
        raise client_error("NoSuchBucket", 404, request)

    fake.hook = refuse
    ran = cli("threads")
    assert ran.code == 3
    assert "There is no bucket 'fake-bucket' at http://127.0.0.1:9000. Check the bucket's name" in ran.err
    assert "Only for a new bucket: run `langgraph-s3 setup` (at s3://fake-bucket/" in ran.err


def test_an_unexpected_error_is_one_line(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(uri: str | None, **keywords: Any) -> S3Saver:
        raise RuntimeError("a\nb\x1b[2J")

    monkeypatch.setattr(runtime, "open_saver", broken)
    ran = cli("threads")
    assert (ran.code, ran.err) == (1, "error: RuntimeError: a b\\x1b[2J (--debug shows where)\n")


@pytest.mark.parametrize("uri", ["http://bucket", "s3://bucket?regoin=x", "s3://"])
def test_a_bad_uri_is_wrong_usage(uri: str) -> None:
    ran = run("threads", "--uri", uri)
    assert (ran.code, ran.err.count("\n")) == (2, 1)


def test_without_a_target_it_says_how_to_name_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("S3_BUCKET_NAME", raising=False)
    ran = run("threads")
    assert ran.code == 2
    assert "--uri s3://bucket/prefix" in ran.err
    assert "S3_BUCKET_NAME" in ran.err


def test_the_environment_names_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_BUCKET_NAME", "from-env")
    monkeypatch.setenv("S3_KEY_PREFIX", "a/")
    assert "arn:aws:s3:::from-env/a/*" in run("iam-policy").out
    assert "arn:aws:s3:::other/b/*" in run("iam-policy", "--uri", "s3://other/b").out


def test_values_are_loaded_by_a_serializer_that_imports_nothing() -> None:
    with runtime.open_saver("s3://bucket") as saver:
        path = JsonPlusSerializer().dumps_typed(Path("/x"))
        odd = JsonPlusSerializer().dumps_typed(Odd(1))
        assert saver.serde.loads_typed(path) == Path("/x")
        assert not isinstance(saver.serde.loads_typed(odd), Odd)
        assert isinstance(JsonPlusSerializer(allowed_msgpack_modules=True).loads_typed(odd), Odd)


def test_text_from_the_bucket_cannot_control_the_terminal(
    cli: Cli, saver: S3Saver, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {
        HOSTILE: HOSTILE,
        "messages": [{"type": HOSTILE, "content": HOSTILE, "name": HOSTILE}],
        "deep": {HOSTILE: [HOSTILE]},
    }
    checkpoint = make_checkpoint("00000001", values)
    checkpoint["ts"] = HOSTILE
    metadata: Any = {"source": HOSTILE, "step": HOSTILE}
    saver.put(place(HOSTILE), checkpoint, metadata, checkpoint["channel_versions"])
    saver.put_writes(place(HOSTILE, "00000001"), [("__interrupt__", (HOSTILE,))], HOSTILE)
    second = make_checkpoint("00000002", {})
    saver.put(place(HOSTILE, "00000001"), second, {"source": "loop", "step": 1}, second["channel_versions"])
    for arguments in (
        ("threads",),
        ("history", HOSTILE),
        ("show", HOSTILE, "00000001"),
        ("diff", HOSTILE),
        ("resume-point", HOSTILE, "00000001"),
        ("prune", "--keep-last", "1", "--dry-run"),
        ("delete", HOSTILE, "--dry-run"),
        ("delete", HOSTILE),
        ("watch", HOSTILE, "--count", "1"),
        ("show", HOSTILE, "00000009"),
    ):
        for more in ((), ("--json",)):
            if more and arguments[0] == "watch":
                continue
            ran = cli(*arguments, *more)
            assert ran.code in {0, 2, 3}, ran
            for sign in "\x1b\x07\x9b\u202e\r\b":
                assert sign not in ran.out + ran.err, (arguments, sign)
    assert "[bold]x[/bold]" in cli("threads").out
    monkeypatch.setenv("FORCE_COLOR", "1")
    shown = cli("show", HOSTILE, "00000001").out
    assert "\x1b[1" in shown
    assert "[bold]x[/bold]" in shown
    assert ":smile:" in shown
    assert "\x1b]0" not in shown


def test_cleaning() -> None:
    assert sanitize("plain ü 💥 👨‍👩‍👧") == "plain ü 💥 👨‍👩‍👧"
    assert sanitize("a\nb\tc") == "a\\nb\\tc"
    assert sanitize("a\nb\tc\r", lines=True) == "a\nb\tc\\r"
    assert sanitize("\ud800\x00\x7f\u2028") == "\\ud800\\x00\\x7f\\u2028"


def test_values_in_json() -> None:
    assert to_json({1: (True, None, 1.5, float("nan"), b"ab", {"b", "a"})}) == {
        "1": [True, None, 1.5, "nan", {"base64": "YWI="}, ["a", "b"]]
    }
    loop: list[Any] = []
    loop.append(loop)
    assert "…" in str(to_json(loop))
    assert to_json(Odd) == repr(Odd)


def test_durations() -> None:
    assert [parse_duration(each).total_seconds() for each in ("10s", "2m", "3h", "1d", "1w")] == [
        10,
        120,
        10800,
        86400,
        604800,
    ]
    for bad in ("", "10", "d", "-1d", "1.5d", "999999999w"):
        with pytest.raises(runtime.CommandExit) as stopped:
            parse_duration(bad)
        assert stopped.value.code == 2
    assert format_age("nonsense") == format_age(None) == format_age("2026-01-01T00:00:00") == "-"


def test_a_confirmation_needs_a_terminal(
    cli: Cli, thread: str, saver: S3Saver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def confirm(text: str, **_: Any) -> bool:
        asked.append(text)
        return len(asked) > 1

    monkeypatch.setattr(typer, "confirm", confirm)
    monkeypatch.setattr(runtime, "_is_interactive", lambda: True)
    ran = cli("delete", thread)
    assert (ran.code, ran.err) == (1, "Nothing was done.\n")
    assert saver.get_tuple(place(thread)) is not None
    assert cli("delete", thread).code == 0
    assert "9 objects" in asked[0]
    assert saver.get_tuple(place(thread)) is None


def test_ctrl_c_at_a_confirmation_is_no(
    cli: Cli, thread: str, fake: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> bool:
        raise typer.Abort

    monkeypatch.setattr(typer, "confirm", interrupted)
    monkeypatch.setattr(runtime, "_is_interactive", lambda: True)
    before = fake.keys()
    ran = cli("delete", thread)
    assert (ran.code, ran.err) == (130, "\nNothing was done.\n")
    assert fake.keys() == before


def test_ctrl_c_reports_progress(cli: Cli, saver: S3Saver, fake: FakeS3) -> None:
    for name in ("a", "b", "c"):
        put_chain(saver, name, 1)

    def interrupted(moment: Moment, request: Any) -> None:
        if isinstance(request, DeleteObjects) and "/b.thread/" in str(request):
            raise KeyboardInterrupt

    fake.hook = interrupted
    ran = cli("delete", "a", "b", "c", "--yes")
    assert (ran.code, ran.out, ran.err) == (130, "", "Stopped while deleting, after 1 of 3.\n")
    fake.hook = None
    assert cli("threads").out == "b\nc\n"
    assert cli("delete", "b", "c", "--yes").code == 0


def test_ctrl_c_before_a_command_has_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "run", interrupted)
    with pytest.raises(SystemExit) as ended:
        package.main()
    assert ended.value.code == 130


def test_without_the_extra_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] in {"typer", "rich"}:
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SystemExit) as ended:
        package.main()
    assert 'pip install ".[cli]" in a clone' in str(ended.value.code)


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
        assert cli("prune", "--keep-last", 1, "--yes").code == 0  # keys of the bucket tell what may go
        assert cli("threads").out == "sealed\n"
        assert cli("delete", sealed, "--yes").code == 0

    def test_with_them_it_is_shown(self, cli: Cli, sealed: str) -> None:
        keys = ("--keys", "keys_of_the_test:ring")
        assert "\nn  2\n" in cli("show", sealed, *keys).out
        assert cli("history", sealed, *keys).out.count("●") == 3

    @pytest.mark.parametrize(
        "keys", ["keys_of_the_test:other", "no_such_module:ring", "keys_of_the_test", ":"]
    )
    def test_keys_that_are_not_there(self, cli: Cli, sealed: str, keys: str) -> None:
        ran = cli("show", sealed, "--keys", keys)
        assert (ran.code, ran.err.count("\n")) == (2, 1)


@dataclasses.dataclass
class Odd:
    """A type of an application."""

    n: int


def test_keys_are_found_in_the_current_directory(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "keys_of_this_folder.py").write_text("keys = 'the provider'\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    options: dict[str, Any] = {name: default for name, (_, default) in OPTIONS.items()}
    ctx = runtime.Invocation({**options, "keys": "keys_of_this_folder:keys"})
    assert ctx.keys == "the provider"  # type: ignore[comparison-overlap]  # it stands for one
    del sys.modules["keys_of_this_folder"]
