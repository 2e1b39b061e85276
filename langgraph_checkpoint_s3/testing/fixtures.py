"""Fixtures for pytest: a saver on a local S3 server, with fault injection.

Enable them in the top-level `conftest.py`:

```python
pytest_plugins = ["langgraph_checkpoint_s3.testing.fixtures"]
```

Nothing is loaded without this line.
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
    """Local S3 server with a bucket `checkpoints`, for the whole session, in pytest's temporary directory."""
    with local_s3(tmp_path_factory.mktemp("s3"), buckets=[_BUCKET]) as server:
        yield server


@pytest.fixture(scope="session")
def s3_fault_server(s3_server: LocalS3) -> Iterator[FaultServer]:
    """The server of `s3_faults`, without resets, for your own fixtures of a wider scope."""
    with FaultServer(s3_server.endpoint_url) as server:
        yield server


@pytest.fixture
def s3_faults(s3_fault_server: FaultServer) -> Iterator[FaultServer]:
    """Fault server in front of `s3_server`, without faults and with an empty log."""
    s3_fault_server.reset()
    yield s3_fault_server
    s3_fault_server.reset()


@pytest.fixture
def s3_environment(
    s3_server: LocalS3, s3_faults: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """Point the environment at `s3_server` through `s3_faults`, with a prefix of the test's own.

    `S3Saver.from_env()` in the code under test then has an empty store. All other variables of AWS and S3
    are removed for the test, so that it can't reach a real store.

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
    """Saver with an empty store on `s3_server`, through `s3_faults`. For blocking and async tests."""
    del s3_environment  # read by from_env
    with S3Saver.from_env() as saver:
        yield saver
