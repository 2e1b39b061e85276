"""A local S3 server that keeps its data in a folder.

It has what the saver, the store and the admin module ask of S3: conditional writes, versions, ranges,
multipart uploads, tags, signed URLs and settings of buckets. It listens on the loopback address only, checks
signatures, and needs nothing but Python. For development and tests, not for production: lifecycle rules,
policies and encryption settings are stored, and have no effect.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ._processes import child

_HOST = "127.0.0.1"
_START_SECONDS = 60.0
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
# Without the package itself, which takes longer to import than the server to start.
_PROGRAM = "import sys; sys.path.append(sys.argv[1]); from _local_s3.server import main; main()"


@dataclass(frozen=True)
class LocalS3:
    """A running local S3 server: its address and credentials.

    Attributes:
        endpoint_url: The endpoint for S3 clients, which must use path-style addressing.
        access_key: The access key id.
        secret_key: The secret access key.
        region: The region for signing requests.
        directory: The folder that the data is in.
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

    The data stays in `directory`, in one SQLite file, for the next run. What was stored outlives a crash of
    the server or of this process; a power failure may cost the newest writes. A directory can have one server
    at a time.

    ```python
    with local_s3("./data") as server:
        os.environ.update(server.environment())
        with S3Saver("checkpoints") as saver:
            ...
    ```

    Args:
        directory: The folder for the data; created if it is missing.
        port: The port on 127.0.0.1; 0 picks a free one.
        access_key: The access key id that the server accepts.
        secret_key: The secret access key that the server accepts.
        buckets: Buckets to create if they are missing.

    Yields:
        The server, which is ready for requests.

    Raises:
        ServerError: The server didn't start: another one has the directory or the port. The message says it.
        ValueError: A bucket's name or a key isn't valid.
    """
    for bucket in buckets:
        if not _BUCKET_NAME.fullmatch(bucket):
            raise ValueError(
                f"{bucket!r} is not a bucket name: 3 to 63 of a-z, 0-9, '.' and '-', "
                "with a letter or digit at both ends"
            )
    if (
        not access_key.isascii()
        or not access_key.isprintable()
        or not access_key
        or set(access_key) & set(", /")
    ):
        raise ValueError("access_key must be of printable ASCII, without spaces, commas and slashes")
    if not secret_key:
        raise ValueError("secret_key must not be empty")
    root = Path(directory).resolve()
    settings = {
        "folder": str(root),
        "port": port,
        "access_key": access_key,
        "secret_key": secret_key,
        "buckets": list(buckets),
    }
    command = [sys.executable, "-I", "-S", "-c", _PROGRAM, str(Path(__file__).parent)]
    with (
        tempfile.TemporaryDirectory(prefix="local-s3-") as logs,
        child(
            "The local S3 server",
            command,
            log=Path(logs, "server.log"),
            first_line=json.dumps(settings).encode() + b"\n",
        ) as server,
    ):
        announced = server.wait_for(
            lambda: re.match(r"(\d+)\n", server.output()), what="port", timeout=_START_SECONDS
        )
        yield LocalS3(
            endpoint_url=f"http://{_HOST}:{announced[1]}",
            access_key=access_key,
            secret_key=secret_key,
            directory=root,
            pid=server.process.pid,
        )
