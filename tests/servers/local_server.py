"""The package's own local server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from langgraph_checkpoint_s3.testing import local_s3

from .base import Features, Server, data_dir

FEATURES = Features(archive=False, bucket_policy=False, policy_conditions=False)


@contextlib.contextmanager
def running(work_dir: Path) -> Iterator[Server]:
    """Run it on a fresh folder below `work_dir`."""
    with data_dir(work_dir, "local") as folder, local_s3(folder, buckets=()) as local:
        yield Server("local", local.endpoint_url, local.access_key, local.secret_key, FEATURES)
