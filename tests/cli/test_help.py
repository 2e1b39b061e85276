"""The help of all commands, and the modules that are loaded at the start."""

from __future__ import annotations

import subprocess
import sys

import pytest

from langgraph_checkpoint_s3 import __version__
from langgraph_checkpoint_s3.cli import app
from tests.cli.conftest import run

COMMANDS = sorted(app.COMMANDS)
PROGRAM = """
import sys
from langgraph_checkpoint_s3.cli.app import app
app(["iam-policy", "--uri", "s3://bucket"], standalone_mode=False)
sys.exit(str({"boto3", "botocore.client", "aiobotocore", "sqlite3", "jinja2"} & set(sys.modules)))
"""


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example_and_the_shared_options(name: str) -> None:
    ran = run(name, "--help")
    assert ran.code == 0
    assert f"Example: langgraph-s3 {name} " in " ".join(ran.out.split())
    for option in ("--uri", "--json", "--debug"):
        assert option in ran.out


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_fits_80_columns_and_cuts_no_sentence(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = run(*filter(None, [name, "--help"])).out.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line for line in lines[1:] if "..." in line] == []


def test_no_client_is_loaded_before_a_command_needs_it() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert ran.stderr == "set()\n"


def test_it_runs_as_a_module() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "langgraph_checkpoint_s3", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == __version__
