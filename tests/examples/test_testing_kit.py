"""What docs/testing.md shows, run as its reader would: a project of its own, with nothing of ours in it."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.hanging import HANG

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"```python\n# (\w+\.py)\n(.*?)```", re.DOTALL)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    text = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    for name, code in BLOCK.findall(text):
        (tmp_path / name).write_text(code, encoding="utf-8")
    assert text.count("```python") == len(list(tmp_path.iterdir()))
    return tmp_path


def run(project: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "default::ResourceWarning", *command],
        check=False,
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=HANG,
    )


def test_the_documented_tests_pass(project: Path) -> None:
    done = run(
        project,
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "--durations=3"),
        # A user has a bucket of their own in the environment, which no test may reach.
        S3_BUCKET_NAME="theirs",
        AWS_PROFILE="theirs",
        AWS_ENDPOINT_URL_S3="http://theirs.invalid",
        PYTEST_ADDOPTS="",
        PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
    )
    assert "5 passed" in done.stdout, done.stdout + done.stderr


def test_pytest_does_not_load_the_fixtures_by_itself() -> None:
    plugins = importlib.metadata.entry_points(group="pytest11")
    assert not [plugin for plugin in plugins if plugin.value.startswith("langgraph_checkpoint_s3")]


def test_it_works_without_pytest(project: Path) -> None:
    done = run(project, "plain.py")
    assert done.returncode == 0, done.stderr
    assert "ResourceWarning" not in done.stderr
    assert "'PutObject': " in done.stdout
