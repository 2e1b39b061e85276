"""S3 servers for tests, each behind `running(work_dir)`, which yields a `Server`.

None needs Docker. What a server can't do, its `Features` say, so a test asks them and never the name:

| server     | what it is                        | first use | start |
|------------|-----------------------------------|-----------|-------|
| moto       | a mock in this process            | -         | 0.4 s |
| local      | the package's own, in a folder    | -         | 0.3 s |
| rclone     | files in a directory              | -         | 0.2 s |
| ceph       | a real production store           | 7-20 s    | 10 s  |
| localstack | AWS's admin calls, emulated       | 5-60 s    | 4 s   |
| seaweedfs  | a real store, in one process      | 10 s      | 4 s   |
| external   | what `S3_ENDPOINT_URL` points at  | -         | 2 s   |

`python -m tests.servers ceph` runs one in the foreground.
"""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager
from pathlib import Path

from .base import Features, Server, Unavailable

__all__ = ["NAMES", "Features", "Server", "Unavailable", "running"]

_MODULES = {
    "moto": "moto_server",
    "local": "local_server",
    "rclone": "rclone_server",
    "ceph": "ceph",
    "localstack": "localstack",
    "seaweedfs": "seaweedfs",
    "external": "external",
}
NAMES = tuple(_MODULES)


def running(name: str, work_dir: Path) -> AbstractContextManager[Server]:
    """Run the server of that name for as long as the body runs, with its data in `work_dir`.

    Entering raises `Unavailable` where it can't be installed.
    """
    module = importlib.import_module(f"{__name__}.{_MODULES[name]}")
    started: AbstractContextManager[Server] = module.running(work_dir)
    return started
