"""Runs a test's code in a process of its own, to see what it leaves behind at its end."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Mapping

from tests.contract.fixtures import environment
from tests.contract.support import (
    Place,
)
from tests.support.forking import ROOT, inherited, run_forked
from tests.support.hanging import HANG

__all__ = ["ROOT", "assert_clean", "script", "script_anew"]

LEFT_BEHIND = (
    "Unclosed",
    "never retrieved",
    "never awaited",
    "ResourceWarning",
    "Warning",
    "Traceback",
    "Exception",
)

DEVELOPMENT = ("-X", "dev", "-W", "error")
"""Options for development mode, with warnings as errors."""

IMPORTS = """
import asyncio, gc, sys
from blockbuster import blockbuster_ctx
from langgraph_checkpoint_s3 import S3Saver
from tests.contract.support import at, checkpoint, metadata
from tests.support import inside
"""

PREAMBLE = """
bucket, url = sys.argv[1:]
saver = S3Saver(bucket, endpoint_url=url, region="us-east-1", max_attempts=2)

async def use(thread="thread"):
    config = await saver.aput(at(thread), checkpoint(), metadata(), {})
    await saver.aput_writes(config, [("a", 1)], "task")
    found = await saver.aget_tuple(at(thread))
    assert found.pending_writes == [("task", "a", 1)], found
    assert [shown async for shown in saver.alist(at(thread))]
    # Without its cache, several at once:
    inside.shared(saver).cache.clear()
    assert await saver.aget_tuple(at(thread))
"""


def script(
    place: Place, body: str, importing: Mapping[str, str] | None = None, /, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own, in development mode and with warnings as errors.

    Args:
        place: Where the script's saver works.
        body: What follows the preamble.
        importing: Environment variables that count when it imports.
        **variables: Others.
    """
    return run_forked(
        PREAMBLE + textwrap.dedent(body),
        *(place.bucket, place.front.url),
        options=DEVELOPMENT,
        imports=IMPORTS,
        variables={**environment(place.server), **variables},
        importing=importing,
    )


def script_anew(place: Place, body: str, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python as `script` does, with more options, in an interpreter that imports everything itself."""
    code = IMPORTS + PREAMBLE + textwrap.dedent(body)
    return subprocess.run(
        [sys.executable, *DEVELOPMENT, *options, "-c", code, place.bucket, place.front.url],
        cwd=ROOT,
        env={**inherited(), **environment(place.server), **variables},
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )


def assert_clean(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stderr
    assert not [word for word in LEFT_BEHIND if word in done.stderr], done.stderr
