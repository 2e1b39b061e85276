"""What every test server looks like from outside, and where its installed parts are kept."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import shutil
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LOOPBACK = "127.0.0.1"
REGION = "us-east-1"


class Unavailable(Exception):  # noqa: N818 - a state of affairs, not a fault
    """This server can't be had on this machine; the message is the reason."""


@dataclass(frozen=True)
class Features:
    """What a server can do. The defaults are Amazon's own."""

    credentials: bool = True
    """Refuses a wrong secret key."""
    conditional_put: bool = True
    """`If-None-Match: *` on PUT: 412 when the object is there. Where False, it is silently ignored."""
    conditional_multipart: bool = True
    """The same on CompleteMultipartUpload."""
    conditional_versioned: bool = True
    """The same on PUT in a bucket that keeps versions."""
    if_match: bool = True
    """`If-Match` with the ETag as the server gave it, in quotes."""
    range_checksums: bool = True
    """A range GET passes botocore's default validation of checksums, not only `when_required`."""
    user_metadata: bool = True
    """`x-amz-meta-*` come back, also after a restart."""
    tags: bool = True
    """Objects keep tags, and their tags can be read and replaced."""
    versioning: bool = True
    lifecycle: bool = True
    lifecycle_exact: bool = True
    """Lifecycle rules come back as they were put, `NewerNoncurrentVersions` included."""
    lifecycle_legacy: bool = True
    """Lifecycle rules with a bare prefix in place of a filter are taken."""
    archive: bool = True
    """It has AWS's storage classes, and restores from the archived ones."""
    bucket_policy: bool = True
    """A bucket policy's Deny is enforced."""
    policy_conditions: bool = True
    """Conditions in a policy are heeded."""
    encryption: bool = True
    """Server-side encryption is done and echoed."""
    presigned_expiry: bool = True
    """A signed URL stops working when it expires."""
    presigned_signature: bool = True
    """A signed URL that was changed is refused."""
    key_limit: bool = True
    """Keys over 1,024 bytes are refused."""
    delete_limit: bool = True
    """DeleteObjects of more than 1,000 keys is refused."""
    persistent: bool = True
    """Objects outlive the server's process."""
    policies: bool = True
    """A bucket's policy is kept, whether or not it is enforced."""
    public_access: bool = True
    """A public access block can be set, and leaves the owner to write."""
    acceleration: bool = True
    request_metrics: bool = True
    """Configurations of request metrics, and of Intelligent-Tiering's archive tiers."""
    replication: bool = True
    """Replication rules are taken, and come back as they were put."""


@dataclass(frozen=True)
class User:
    """Somebody who may do nothing by himself, where the server has such users."""

    arn: str
    access_key: str
    secret_key: str = field(repr=False)


@dataclass(frozen=True)
class Server:
    """A running S3 server; use path-style addressing."""

    name: str
    endpoint_url: str
    access_key: str
    secret_key: str = field(repr=False)
    features: Features = field(repr=False)
    region: str = REGION
    stranger: User | None = None
    """A second user, to whom a bucket's policy can allow something."""


def cache_dir() -> Path:
    """Where downloaded servers are kept between runs: `S3_TEST_CACHE`, or a folder in `~/.cache`."""
    named = os.environ.get("S3_TEST_CACHE")
    path = Path(named) if named else Path.home() / ".cache" / "langgraph-checkpoint-s3-tests"
    path.mkdir(parents=True, exist_ok=True)
    return path.resolve()


def installed(name: str, install: Callable[[Path], None]) -> Path:
    """The folder `name` of the cache, filled by `install` if it isn't there yet.

    A folder with the marker in it is whole. One without is what an interrupted run left: it is thrown
    away. A lock keeps two test runs from installing at once.
    """
    folder = cache_dir() / name
    marker = folder / ".complete"
    with Path(f"{folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not marker.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            install(folder)
            marker.touch()
    return folder


def command(argv: Sequence[str], *, timeout: float = 600.0, env: dict[str, str] | None = None) -> str:
    """Run a program to its end and return what it printed; `Unavailable` if it fails or isn't there."""
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=env,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{argv[0]} can't run: {error}") from error
    if done.returncode:
        said = " ".join((done.stderr.strip() or done.stdout.strip()).split())[-400:]
        raise Unavailable(f"{' '.join(argv[:4])} … ended with status {done.returncode}: {said}")
    return done.stdout


def free_port(low: int = 20000, high: int = 32000) -> int:
    """A TCP port that nobody listens on.

    It is below the range from which the kernel gives ports to clients, or one of those may have it by
    the time that the server is ready to take it.
    """
    for _ in range(100):
        port = random.randrange(low, high)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((LOOPBACK, port))
            return port
    raise Unavailable(f"no free port between {low} and {high}")


def answers(url: str) -> bool | None:
    """True once an HTTP server answers at `url`, with whatever status; else None."""
    try:
        urllib.request.urlopen(url, timeout=2).close()
    except urllib.error.HTTPError as refused:
        refused.close()
    except OSError:
        return None
    return True


@contextlib.contextmanager
def data_dir(work_dir: Path, name: str) -> Iterator[Path]:
    """A fresh folder below `work_dir`, removed afterwards."""
    work_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=work_dir, ignore_cleanup_errors=True) as path:
        yield Path(path).resolve()


def connect(server: Server, *, secret_key: str | None = None) -> S3Client:
    """A boto3 client for a server, set up as the saver sets up its own for a compatible store."""
    # Not at the top: tests of what the package imports use this module.
    import boto3
    from botocore.config import Config

    return boto3.session.Session().client(
        "s3",
        endpoint_url=server.endpoint_url,
        region_name=server.region,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=secret_key or server.secret_key,
        config=Config(
            s3={"addressing_style": "path"},
            retries={"mode": "standard"},
            # Otherwise signed URLs come in version 2, which rclone doesn't know.
            signature_version="s3v4",
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


@contextlib.contextmanager
def client_of(server: Server, *, secret_key: str | None = None) -> Iterator[S3Client]:
    """`connect`, closed at the end."""
    client = connect(server, secret_key=secret_key)
    try:
        yield client
    finally:
        client.close()
