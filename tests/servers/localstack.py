"""LocalStack's S3 and KMS, in a Python 3.13 environment of its own: for AWS's admin calls.

It checks no credentials, and loses keys from lists when their names have to be URL-encoded.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from langgraph_checkpoint_s3.testing._processes import child

from .base import LOOPBACK, Features, Server, Unavailable, answers, command, data_dir, free_port, installed

FEATURES = Features(
    credentials=False, lifecycle_legacy=False, bucket_policy=False, delete_limit=False, persistent=False
)

VERSION = "4.14.0"
# Newer ones of these do not work with that release, which is the last that starts without an account.
REQUIREMENTS = (
    f"localstack-core[base-runtime]=={VERSION}",
    "cbor2<5.8",
    "pyopenssl==25.1.0",
    "cryptography<46",
    "service-identity",
)
# It says that it runs on older ones, but imports what came with 3.13 (`warnings.deprecated`).
PYTHON = "3.13"
_START_SECONDS = 90.0


@contextlib.contextmanager
def running(work_dir: Path) -> Iterator[Server]:
    """Run LocalStack with its files below `work_dir`, installing it into the cache the first time."""
    home = installed(f"localstack-{VERSION}", _install)
    port = free_port()
    with data_dir(work_dir, "localstack") as data:
        env = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))}
        env |= {
            "SERVICES": "s3,kms",
            "STRICT_SERVICE_LOADING": "1",
            "EAGER_SERVICE_LOADING": "1",
            "DISABLE_EVENTS": "1",
            "SKIP_SSL_CERT_DOWNLOAD": "1",
            "DNS_ADDRESS": "0",
            "GATEWAY_LISTEN": f"{LOOPBACK}:{port}",
            # With any other it listens on all interfaces.
            "GATEWAY_SERVER": "hypercorn",
            "S3_SKIP_SIGNATURE_VALIDATION": "0",
            "FILESYSTEM_ROOT": str(data / "root"),
            "LOCALSTACK_VOLUME_DIR": str(data / "volume"),
        }
        argv = [str(home / "bin" / "python"), "-m", "localstack.runtime.main"]
        with child("LocalStack", argv, log=data / "localstack.log", env=env) as process:
            url = f"http://{LOOPBACK}:{port}"
            process.wait_for(
                lambda: answers(f"{url}/_localstack/health"), what=f"answer at {url}", timeout=_START_SECONDS
            )
            yield Server("localstack", url, "test", "test", FEATURES)


def _install(folder: Path) -> None:
    # uv takes 3 s and fetches a Python if need be; pip takes a minute.
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    python = _find_python()
    target = str(folder / "bin" / "python")
    if uv:
        command([uv, "venv", "--quiet", "--allow-existing", "--python", python or PYTHON, str(folder)])
        command([uv, "pip", "install", "--quiet", "--python", target, *REQUIREMENTS])
    elif python:
        command([python, "-m", "venv", str(folder)])
        command([target, "-m", "pip", "install", "--quiet", *REQUIREMENTS], timeout=1200)
    else:
        raise Unavailable(f"LocalStack needs Python {PYTHON}, or uv to fetch it, and neither is here")


def _find_python() -> str | None:
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for found in (shutil.which(f"python{PYTHON}"), *pyenv.glob(f"versions/{PYTHON}.*/bin/python")):
        # Asked to run, as pyenv puts shims for versions that aren't enabled on the PATH too.
        with contextlib.suppress(Unavailable):
            if found:
                return command([str(found), "-c", "import sys, venv; print(sys.executable)"]).strip()
    return None
