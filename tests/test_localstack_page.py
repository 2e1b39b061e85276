"""The page about LocalStack: its commands, in their order, on moto in place of a container."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.servers import running
from tests.support.forking import run_application
from tests.support.hanging import HANG

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "localstack.md"
ADDRESS = "http://localhost:4566"
CONTAINER = re.compile(r"docker (?:run|rm) .*--name localstack .*|docker rm -f localstack")
TESTS = "make test-integration"
ONE_TEST = (
    *("-n", "0", "-p", "no:cacheprovider", "-m", "integration"),
    "tests/integration/test_stores.py::test_a_conversation",
)


def steps() -> Iterator[tuple[str, str]]:
    """The page's commands and programs, each with its language, without the container's."""
    found = re.findall(r"^```(bash|python)\n(.*?)^```$", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    for language, code in found:
        if language == "python":
            yield language, code
        else:
            yield from ((language, line) for line in code.splitlines() if not CONTAINER.fullmatch(line))


def test_its_commands_run_in_order(tmp_path: Path) -> None:
    """As a shell runs them, whose variables these are."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "S3_"))}
    variables |= {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
    said, seen = "", set()
    with running("moto", tmp_path) as server:
        for language, text in steps():
            if language == "python":
                done = run_application(text, variables=variables)
            else:
                command, *words = shlex.split(text, comments=True)
                seen.add(command)
                if command == "export":
                    variables |= {name: value for name, _, value in (word.partition("=") for word in words)}
                    if variables["S3_ENDPOINT_URL"] == ADDRESS:
                        variables["S3_ENDPOINT_URL"] = server.endpoint_url
                    continue
                if command == "unset":
                    for name in words:
                        del variables[name]
                    continue
                if command == "langgraph-s3":
                    code = "from langgraph_checkpoint_s3.cli import main; main()"
                    done = run_application(code, *words, variables=variables)
                else:
                    assert text == TESTS, "a command that this test doesn't know"
                    done = subprocess.run(
                        [sys.executable, "-m", "pytest", *ONE_TEST],
                        cwd=ROOT,
                        env=variables,
                        capture_output=True,
                        text=True,
                        timeout=HANG,
                        check=False,
                    )
            said += done.stdout + done.stderr
            assert done.returncode == 0, said
    assert seen == {"export", "langgraph-s3", "make", "unset"}
    for expected in (
        "langgraph-test/checkpoints/ is ready",
        "a saver can work here",
        "customer-42",
        "days_until_archive = 7\n",
        "intelligent_tiering = True\n",
        "1 passed",
    ):
        assert expected in said


def test_the_container_listens_where_the_variables_lead() -> None:
    text = PAGE.read_text()
    assert f"export S3_ENDPOINT_URL={ADDRESS}\n" in text
    assert "-p 4566:4566 " in text
