"""A store that somebody else runs: `S3_TEST_ENDPOINT`, with the usual AWS credentials beside it.

What it can't do is named in `S3_TEST_WITHOUT`, a comma list of `Features` fields.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from .base import REGION, Features, Server, Unavailable


@contextlib.contextmanager
def running(work_dir: Path) -> Iterator[Server]:
    """Describe the store that the environment names; `work_dir` is not used."""
    del work_dir
    try:
        endpoint, access_key, secret_key = (
            os.environ[name] for name in ("S3_TEST_ENDPOINT", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        )
    except KeyError as missing:
        raise Unavailable(f"the environment variable {missing} is not set") from missing
    known = {field.name for field in fields(Features)}
    without = {name.strip() for name in os.environ.get("S3_TEST_WITHOUT", "").split(",")} - {""}
    if without - known:
        raise ValueError(f"S3_TEST_WITHOUT names {sorted(without - known)}; known are {sorted(known)}")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or REGION
    yield Server(
        "external", endpoint, access_key, secret_key, Features(**dict.fromkeys(without, False)), region
    )
