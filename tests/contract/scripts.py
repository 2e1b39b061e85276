"""Runs a test's code in a process of its own, to see what it leaves behind at its end."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.contract.fixtures import environment
from tests.contract.support import (
    Place,
)
from tests.support.hanging import HANG

ROOT = Path(__file__).parents[2]
LEFT_BEHIND = (
    "Unclosed",
    "never retrieved",
    "never awaited",
    "ResourceWarning",
    "Warning",
    "Traceback",
    "Exception",
)

PREAMBLE = """\
import asyncio, gc, sys
from blockbuster import blockbuster_ctx
from langgraph_checkpoint_s3 import S3Saver
from tests.contract.support import at, checkpoint, metadata
from tests.support import inside

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


def script(place: Place, body: str, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own, in development mode and with warnings as errors."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LD_LIBRARY_PATH") if name in os.environ}
    return subprocess.run(
        [
            sys.executable,
            "-X",
            "dev",
            "-W",
            "error",
            *options,
            "-c",
            PREAMBLE + textwrap.dedent(body),
            place.bucket,
            place.front.url,
        ],
        cwd=ROOT,
        env={**inherited, "PYTHONPATH": str(ROOT), **environment(place.server), **variables},
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )


def assert_clean(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stderr
    assert not [word for word in LEFT_BEHIND if word in done.stderr], done.stderr
