"""With --json, every command prints nothing but JSON."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from langgraph.checkpoint.sqlite import SqliteSaver

from langgraph_checkpoint_s3 import S3Saver
from langgraph_checkpoint_s3.admin import dumps
from langgraph_checkpoint_s3.cli import app
from langgraph_checkpoint_s3.memory import S3Store
from tests.cli.conftest import Cli
from tests.support.checkpoints import place, put_chain
from tests.support.fake_s3 import FakeS3

COMMANDS = (
    "threads",
    "usage",
    "history customer-42",
    "watch customer-42 --count 1",
    "show customer-42",
    "diff customer-42",
    "resume-point customer-42",
    "report customer-42 --html page.html",
    "memories",
    "memories users",
    "memories users/ada diet",
    "memories users/ada --delete --yes",
    "check",
    "setup --versioning",
    "lifecycle",
    "lifecycle --delete-after 3 --yes",
    "lifecycle --delete-after 3 --dry-run",
    "iam-policy",
    "copy customer-42 second",
    "export customer-42 thread.zip",
    "import thread.zip --thread third",
    "decode state.zip",
    "decode thread.zip",
    "url customer-42",
    "migrate old.sqlite --dry-run",
    "migrate old.sqlite",
    "prune --keep-last 3 --dry-run",
    "prune --keep-last 3 --yes",
    "versions customer-42 latest",
    "save fourth state.json",
    "delete customer-42 --checkpoint latest --dry-run",
    "restore customer-42 --dry-run",
    "delete second --dry-run",
    "delete third --yes",
)


def test_every_command_answers_in_json_alone(
    cli: Cli, fake: FakeS3, saver: S3Saver, thread: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fake.set_versioning("Enabled")
    S3Store(saver=saver).put(("users", "ada"), "diet", {"text": "no meat"})
    found = saver.get_tuple(place(thread))
    assert found is not None
    Path("state.zip").write_bytes(dumps(found))
    Path("state.json").write_text('{"name": "Ada"}')
    with SqliteSaver.from_conn_string("old.sqlite") as source:
        put_chain(source, "old", 2)
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on a terminal
    for command in COMMANDS:
        ran = cli(*command.split(), "--json")
        assert ran.code == 0, (command, ran)
        assert isinstance(ran.data, dict), command
        for line in ran.err.splitlines():
            assert json.loads(line).keys() == {"note"}, (command, line)
    named = {command.split()[0] for command in COMMANDS} | {"serve"}  # tested in test_bucket.py
    assert named == set(app.COMMANDS)


def test_warnings_of_libraries_are_notes(
    cli: Cli, saver: S3Saver, thread: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = S3Saver.get_tuple

    def warned(self: S3Saver, config: object) -> object:
        logging.getLogger("botocore.odd").warning("odd \x1b[31m\nthing %d", 1)
        return real(self, config)  # type: ignore[arg-type]  # whatever it was given

    monkeypatch.setattr(S3Saver, "get_tuple", warned)
    assert cli("show", thread).err == "warning: odd \\x1b[31m thing 1\n"
    assert json.loads(cli("show", thread, "--json").err)["note"].startswith("warning: odd")
    handlers = list(logging.getLogger().handlers)
    cli("show", thread)
    assert logging.getLogger().handlers == handlers
