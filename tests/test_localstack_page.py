"""The page about LocalStack: its commands, in their order, on moto in place of a container."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import running
from tests.support.hanging import HANG

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "localstack.md"
ADDRESS = "http://localhost:4566"
CONTAINER = re.compile(r"docker (?:run|rm) .*--name localstack .*|docker rm -f localstack")
TESTS = "make test-integration"
ONE_TEST = (
    f"{sys.executable} -m pytest -n 0 -p no:cacheprovider -m integration "
    "tests/integration/test_stores.py::test_a_conversation"
)


def script(address: str) -> str:
    """The page's commands as one script, without the container's, and with one test for all of them."""
    found = re.findall(r"^```(bash|python)\n(.*?)^```$", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    lines: list[str] = []
    for language, code in found:
        if language == "python":
            lines.append(f"{sys.executable} - <<'END'\n{code}END")
        else:
            lines += [line for line in code.splitlines() if not CONTAINER.fullmatch(line)]
    lines = [ONE_TEST if line == TESTS else line for line in lines]
    assert ONE_TEST in lines
    assert not any("docker" in line for line in lines)
    whole = "\n".join(lines)
    assert whole.count(ADDRESS) == 1
    return whole.replace(ADDRESS, address)


def test_its_commands_run_in_order(tmp_path: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash here")
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "S3_"))}
    variables["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{variables['PATH']}"
    variables |= {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
    with running("moto", tmp_path) as server:
        done = subprocess.run(
            [bash, "-eu", "-c", script(server.endpoint_url)],
            cwd=ROOT,
            env=variables,
            capture_output=True,
            text=True,
            timeout=HANG,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    for expected in (
        "langgraph-test/checkpoints/ is ready",
        "a saver can work here",
        "customer-42",
        "days_until_archive = 7\n",
        "intelligent_tiering = True\n",
        "1 passed",
    ):
        assert expected in done.stdout, done.stdout + done.stderr


def test_the_container_listens_where_the_variables_lead() -> None:
    text = PAGE.read_text()
    assert f"export S3_ENDPOINT_URL={ADDRESS}\n" in text
    assert "-p 4566:4566 " in text
