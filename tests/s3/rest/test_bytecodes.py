"""Counts of executed bytecodes, in a process of their own: other tests load what counts too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.s3.rest import bytecode_checks
from tests.support.hanging import HANG

ROOT = Path(__file__).parents[3]


def test_calls_keep_to_their_budgets() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", bytecode_checks.__file__],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=HANG,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
