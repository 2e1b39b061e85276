"""A store that somebody else runs, at `S3_TEST_ENDPOINT` or `S3_ENDPOINT_URL`, with AWS's usual credentials.

What it can do is found by trying (`probe.py`). The tests reach it through a proxy on this machine, with the
bucket in the path, as with `S3_FORCE_PATH_STYLE=1`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from .base import REGION, Features, Server, Unavailable, client_of
from .probe import features_of

ADDRESSES = ("S3_TEST_ENDPOINT", "S3_ENDPOINT_URL")


def address() -> str | None:
    """The store's address, if the environment names one."""
    return next(filter(None, map(os.environ.get, ADDRESSES)), None)


@contextlib.contextmanager
def running(work_dir: Path) -> Iterator[Server]:
    """Describe the store that the environment names; `work_dir` is not used."""
    del work_dir
    endpoint = address()
    if endpoint is None:
        raise Unavailable(f"neither of the environment variables {' and '.join(ADDRESSES)} is set")
    if os.environ.get("S3_FORCE_PATH_STYLE", "").lower() in ("0", "false", "no", "off"):
        raise Unavailable("S3_FORCE_PATH_STYLE is off, and the tests need the bucket in the path")
    try:
        access_key, secret_key = (os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    except KeyError as missing:
        raise Unavailable(f"the environment variable {missing} is not set") from missing
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or REGION
    server = Server("external", endpoint, access_key, secret_key, Features(), region)
    with client_of(server) as client, client_of(server, secret_key="wrong-secret") as stranger:
        found = features_of(client, stranger)
    yield Server("external", endpoint, access_key, secret_key, found, region)
