"""Set-up of the scenes: a bucket, and worker processes that leave nothing behind."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from examples.demo.terminal import ClaimError, claim
from langgraph_checkpoint_s3.testing import local_s3

Worker: TypeAlias = "subprocess.Popen[bytes]"


@contextlib.contextmanager
def storage(keep: Path | None) -> Iterator[str]:
    """Name a bucket in the environment, for `S3Saver.from_env()` here and in the workers, and say which."""
    if bucket := os.environ.get("S3_BUCKET_NAME"):
        os.environ.setdefault("S3_KEY_PREFIX", f"demo-{uuid.uuid4().hex[:8]}/")
        yield f"The bucket {bucket}, named by S3_BUCKET_NAME."
        return
    with tempfile.TemporaryDirectory(prefix="s3-demo-") as temporary, local_s3(keep or temporary) as server:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):  # they would outrank or spoil the server's own keys
            os.environ.pop(name, None)
        os.environ.update(server.environment(), S3_BUCKET_NAME="checkpoints", no_proxy="127.0.0.1")
        yield f"A local S3 server at {server.endpoint_url}, with its data in {keep or temporary}."


@contextlib.contextmanager
def worker(thread: str, step: str, report: Path, environment: Mapping[str, str]) -> Iterator[Worker]:
    """Run `examples.worker` in a process of its own, for as long as the body runs."""
    command = [sys.executable, "-m", "examples.worker", thread, step, "--report", str(report)]
    root = Path(__file__).parents[2]
    # In a session of its own, so that Ctrl-C ends the demo, and the demo ends the worker.
    process = subprocess.Popen(command, cwd=root, env={**os.environ, **environment}, start_new_session=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def finish(worker: Worker) -> None:
    claim(worker.wait(timeout=60) == 0, f"process {worker.pid} finished")


def wait_until(true: Callable[[], bool], worker: Worker, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        if worker.poll() is not None:
            raise ClaimError(f"process {worker.pid} should be waiting; it ended with {worker.returncode}")
        if time.monotonic() > deadline:
            raise ClaimError(f"process {worker.pid} should have come further within {seconds:g} s")
        time.sleep(0.05)
