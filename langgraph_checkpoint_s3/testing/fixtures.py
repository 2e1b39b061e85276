"""Fixtures for pytest: a saver on a local S3 server, and faults on the way there.

In the `conftest.py` beside your tests' root, as pytest wants it:

```python
pytest_plugins = ["langgraph_checkpoint_s3.testing.fixtures"]
```

Nothing is loaded without that line. The server needs the extra `local`.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest

from langgraph_checkpoint_s3 import S3Saver

from .fault_server import FaultServer
from .local_server import LocalS3, local_s3

__all__ = ["s3_environment", "s3_fault_server", "s3_faults", "s3_saver", "s3_server"]

_BUCKET = "checkpoints"


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalS3]:
    """A local S3 server with a bucket `checkpoints`, one for the whole run; in pytest's temporary folder."""
    with local_s3(tmp_path_factory.mktemp("s3"), buckets=[_BUCKET]) as server:
        yield server


@pytest.fixture(scope="session")
def s3_fault_server(s3_server: LocalS3) -> Iterator[FaultServer]:
    """What `s3_faults` is, without being reset: for your own fixtures of a larger scope."""
    with FaultServer(s3_server.endpoint_url) as server:
        yield server


@pytest.fixture
def s3_faults(s3_fault_server: FaultServer) -> Iterator[FaultServer]:
    """The fault server on the way to `s3_server`, with nothing planned and nothing in its log."""
    s3_fault_server.reset()
    yield s3_fault_server
    s3_fault_server.reset()


@pytest.fixture
def s3_environment(
    s3_server: LocalS3, s3_faults: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """Point the environment at `s3_server`, by way of `s3_faults`, with a prefix of the test's own.

    So `S3Saver.from_env()` in the code under test has an empty store, and no test can reach a real one:
    what else the environment says for AWS and S3 is taken out, for the test.

    Returns:
        The variables that were set.
    """
    for name in os.environ:
        if name.startswith(("AWS_", "S3_")):
            monkeypatch.delenv(name)
    variables = {
        **s3_server.environment(),
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "S3_ENDPOINT_URL": s3_faults.url,
        "S3_BUCKET_NAME": _BUCKET,
        "S3_KEY_PREFIX": f"{uuid.uuid4().hex}/",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


@pytest.fixture
def s3_saver(s3_environment: dict[str, str]) -> Iterator[S3Saver]:
    """A saver with an empty store on `s3_server`, by way of `s3_faults`. For blocking and async tests."""
    del s3_environment  # which from_env reads
    with S3Saver.from_env() as saver:
        yield saver
