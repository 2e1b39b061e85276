"""rclone, the package's own local server: a lesser store, which ignores conditions without a word.

It doesn't tell calls about a bucket's settings from calls about the bucket: DeleteBucketPolicy and
DeleteBucketLifecycle *delete the bucket* if it is empty.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from langgraph_checkpoint_s3.testing import local_s3

from .base import Features, Server, Unavailable, data_dir

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
    with contextlib.ExitStack() as stack:
        data = stack.enter_context(data_dir(work_dir, "rclone"))
        try:
            local = stack.enter_context(local_s3(data, buckets=()))
        except ImportError as error:
            raise Unavailable(str(error)) from error
        yield Server("rclone", local.endpoint_url, local.access_key, local.secret_key, FEATURES)
