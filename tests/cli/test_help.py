"""The help of all commands, and the modules that are loaded at the start."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from langgraph_checkpoint_s3 import __version__
from langgraph_checkpoint_s3.cli import app
from tests.cli.conftest import run

COMMANDS = sorted(app.COMMANDS)
LATE = {
    *(
        "aiobotocore",
        "boto3",
        "botocore",
        "jinja2",
        "langchain_core",
        "langgraph",
        "langsmith",
        "moto",
        "msgpack",
    ),
    *("rich", "sqlite3"),
}
PROGRAM = """
import sys
from langgraph_checkpoint_s3.cli import main
for line in sys.stdin.read().splitlines():
    sys.argv = ["langgraph-s3", *line.split()]
    try:
        main()
    except SystemExit as ended:
        assert ended.code in {0, 2, None}, ended
print("\\nloaded:", *sys.modules)
"""


def loaded_by(*lines: str, **environment: str) -> set[str]:
    """The modules that a fresh process has loaded after these commands."""
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input="\n".join(lines),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(ran.stdout.rpartition("loaded:")[2].split())


def own(names: set[str]) -> set[str]:
    package = "langgraph_checkpoint_s3."
    return {name.removeprefix(package) for name in names if name.startswith(package)}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example_and_the_shared_options(name: str) -> None:
    ran = run(name, "--help")
    assert ran.code == 0
    assert f"Example: langgraph-s3 {name} " in " ".join(ran.out.split())
    for option in ("--uri", "--endpoint-url", "--region", "--profile", "--json", "--debug", "-h, --help"):
        assert option in ran.out


@pytest.mark.parametrize("name", COMMANDS)
def test_help_names_types_that_a_person_knows(name: str) -> None:
    out = run(name, "-h").out
    assert out == run(name, "--help").out
    assert not re.search(r"<[a-z]|list\[|\bstr\b", out)


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_fits_80_columns_and_cuts_no_sentence(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = run(*filter(None, [name, "--help"])).out.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line for line in lines[1:] if "..." in line] == []


@pytest.mark.parametrize("line", ["--version", "--help", "--no-such-option"])
def test_the_version_and_the_list_of_commands_load_no_command(line: str) -> None:
    names = loaded_by(line)
    assert names & LATE == set()
    assert own(names) == {"cli", "cli.app", "cli.target", "errors", "version"}


def test_completion_loads_no_more() -> None:
    words = {"_LANGGRAPH_S3_COMPLETE": "complete_bash", "COMP_WORDS": "langgraph-s3 s", "COMP_CWORD": "1"}
    names = loaded_by(" ", **words)
    assert names & {*LATE, "pydantic"} == set()
    assert own(names) == {"cli", "cli.app", "cli.target", "errors", "version"}


def test_the_help_of_a_command_loads_neither_saver_nor_admin() -> None:
    names = loaded_by(*(f"{name} --help" for name in COMMANDS))
    assert names & LATE == set()
    assert {name.partition(".")[0] for name in own(names)} == {"cli", "errors", "text", "version"}


def test_a_command_loads_what_it_needs() -> None:
    names = loaded_by("iam-policy --uri s3://bucket --json")
    assert {"langgraph", "langgraph_checkpoint_s3.admin"} <= names
    assert names & {"aiobotocore", "boto3", "botocore.client", "jinja2", "rich", "sqlite3"} == set()


def test_it_runs_as_a_module() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "langgraph_checkpoint_s3", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == __version__
