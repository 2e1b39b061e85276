"""The local S3 server starts, keeps its data, tells what is wrong, and always ends."""

from __future__ import annotations

import itertools
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from langgraph_checkpoint_s3.testing import LocalS3, ServerError, local_s3
from tests.support.hanging import until
from tests.support.sampling import sample

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


def test_it_ends_when_the_body_raises(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), local_s3(tmp_path) as server:  # noqa: PT012 - while it runs
        assert is_running(server.pid)
        raise ZeroDivisionError
    assert not is_running(server.pid)


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


def test_a_folder_has_one_server_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "local-s3.address").write_text("http://127.0.0.1:1")  # of a server that was killed
    with local_s3(tmp_path) as server:
        taken = f"{tmp_path} is in use by another server at {server.endpoint_url}: use that one"
        with pytest.raises(ServerError, match=re.escape(taken)), local_s3(tmp_path):
            pass
    assert not (tmp_path / "local-s3.address").exists()


def test_a_foreign_file_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "local-s3.sqlite3"
    file.write_bytes(b"nothing of ours" * 100)
    with pytest.raises(ServerError, match="can't be used: file is not a database"), local_s3(tmp_path):
        pass
    assert file.read_bytes() == b"nothing of ours" * 100


def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    with local_s3(tmp_path) as server:
        s3 = client(server)
        s3.put_bucket_versioning(Bucket="checkpoints", VersioningConfiguration={"Status": "Enabled"})
        for body in (b"1", b"2"):
            s3.put_object(Bucket="checkpoints", Key="key", Body=body, Metadata={"a": "b"}, Tagging="c=d")
        upload = s3.create_multipart_upload(Bucket="checkpoints", Key="parts")["UploadId"]
        where: Any = {"Bucket": "checkpoints", "Key": "parts", "UploadId": upload}
        part = s3.upload_part(**where, PartNumber=1, Body=b"part")["ETag"]
        os.kill(server.pid, signal.SIGKILL)
        s3.close()
    with local_s3(tmp_path) as server:
        s3 = client(server)
        found = s3.get_object(Bucket="checkpoints", Key="key")
        assert (found["Body"].read(), found["Metadata"], found["TagCount"]) == (b"2", {"a": "b"}, 1)
        assert len(s3.list_object_versions(Bucket="checkpoints")["Versions"]) == 2
        s3.complete_multipart_upload(**where, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part}]})
        assert s3.get_object(Bucket="checkpoints", Key="parts")["Body"].read() == b"part"
        s3.close()


KEYS = [
    *("a", "A", "a/", "a//b", "/a", "a/" + "x" * 300, "../../up", "CON", "a.", "a b+c%20&=?#", "line\nend\r"),
    *("Straße", "\u212b", "\u00c5", "A\u030a", "\ufffd", "\U0001f600", "中文/…"),
]


def test_any_key_has_its_own_object_in_the_order_of_bytes(tmp_path: Path) -> None:
    with local_s3(tmp_path) as server:
        s3 = client(server)
        for key in KEYS:
            s3.put_object(Bucket="checkpoints", Key=key, Body=key.encode())
        for key in KEYS:
            assert s3.get_object(Bucket="checkpoints", Key=key)["Body"].read() == key.encode()
        pages = s3.get_paginator("list_objects_v2").paginate(
            Bucket="checkpoints", PaginationConfig={"PageSize": 3}
        )
        assert [each["Key"] for page in pages for each in page["Contents"]] == sorted(KEYS, key=str.encode)
        names = {"Objects": [{"Key": key} for key in KEYS]}
        s3.delete_objects(Bucket="checkpoints", Delete=names)  # type: ignore[arg-type]  # a plain dict
        assert "Contents" not in s3.list_objects_v2(Bucket="checkpoints")
        s3.close()


@pytest.mark.parametrize("delimiter", ["", "/", "b", "/b"])
def test_lists_are_those_of_a_plain_sort(tmp_path: Path, delimiter: str) -> None:
    """Versions too: every prefix, each size of page, compared with Python's own sorting."""
    keys = sorted("".join(each) for each in itertools.product("a/b", repeat=3) if each[0] != "/")
    with local_s3(tmp_path) as server:
        s3 = client(server)
        s3.put_bucket_versioning(Bucket="checkpoints", VersioningConfiguration={"Status": "Enabled"})
        for key in [*keys, *keys[::2]]:
            s3.put_object(Bucket="checkpoints", Key=key, Body=b"")
        lists = itertools.product(
            ("list_objects", "list_objects_v2", "list_object_versions"), ("", "a", "a/", "bb"), (1, 3, 1000)
        )
        for operation, prefix, size in sample(list(lists), 18):
            below = [key for key in keys if key.startswith(prefix)]
            folded = {
                key: prefix + key[len(prefix) :].partition(delimiter)[0] + delimiter
                for key in below
                if delimiter and delimiter in key[len(prefix) :]
            }
            times = {key: 1 + (operation == "list_object_versions" and key in keys[::2]) for key in below}
            pages = s3.get_paginator(operation).paginate(  # type: ignore[call-overload]  # chosen at run time
                Bucket="checkpoints", Prefix=prefix, Delimiter=delimiter, PaginationConfig={"PageSize": size}
            )
            seen = list(pages)
            contents = "Versions" if operation == "list_object_versions" else "Contents"
            assert [each["Key"] for page in seen for each in page.get(contents, ())] == [
                key for key in below if key not in folded for _ in range(times[key])
            ]
            prefixes = [each["Prefix"] for page in seen for each in page.get("CommonPrefixes", ())]
            assert prefixes == sorted(set(folded.values()))
        s3.close()


def test_what_it_does_not_have_is_refused(tmp_path: Path) -> None:
    """A store that takes an unknown operation for another one can lose data by it."""
    with local_s3(tmp_path) as server:
        s3 = client(server)
        s3.put_object(Bucket="checkpoints", Key="key", Body=b"kept")
        calls: list[Callable[[], object]] = [
            lambda: s3.get_object_acl(Bucket="checkpoints", Key="key"),
            lambda: s3.put_object_retention(
                Bucket="checkpoints", Key="key", Retention={"Mode": "GOVERNANCE"}
            ),
            lambda: s3.delete_bucket_website(Bucket="checkpoints"),
        ]
        for call in calls:
            with pytest.raises(ClientError, match="NotImplemented"):
                call()
        assert s3.get_object(Bucket="checkpoints", Key="key")["Body"].read() == b"kept"
        s3.close()


def test_suspended_versioning_replaces_the_null_version_only(tmp_path: Path) -> None:
    with local_s3(tmp_path) as server:
        s3 = client(server)
        where: Any = {"Bucket": "checkpoints", "Key": "key"}
        s3.put_object(**where, Body=b"before")
        s3.put_bucket_versioning(Bucket="checkpoints", VersioningConfiguration={"Status": "Enabled"})
        kept = s3.put_object(**where, Body=b"kept")["VersionId"]
        s3.put_bucket_versioning(Bucket="checkpoints", VersioningConfiguration={"Status": "Suspended"})
        s3.put_object(**where, Body=b"after")
        versions = s3.list_object_versions(Bucket="checkpoints")["Versions"]
        assert [(each["VersionId"], each["IsLatest"]) for each in versions] == [("null", True), (kept, False)]
        s3.delete_object(**where)  # the null version is a marker now
        with pytest.raises(s3.exceptions.NoSuchKey):
            s3.get_object(**where)
        s3.delete_object(**where, VersionId="null")
        assert s3.get_object(**where)["Body"].read() == b"kept"
        s3.close()


def test_conditions_of_reads_copies_and_deletions(tmp_path: Path) -> None:
    with local_s3(tmp_path) as server:
        s3 = client(server)
        where: Any = {"Bucket": "checkpoints", "Key": "key"}
        old = s3.put_object(**where, Body=b"old")["ETag"]
        new = s3.put_object(**where, Body=b"new", IfMatch=old)["ETag"]
        for call in (
            lambda: s3.get_object(**where, IfMatch=old),
            lambda: s3.put_object(**where, Body=b"x", IfMatch=old),
            lambda: s3.copy_object(**where, CopySource=where, CopySourceIfMatch=old),
            lambda: s3.delete_object(**where, IfMatch=old),
        ):
            with pytest.raises(ClientError, match="PreconditionFailed"):
                call()
        with pytest.raises(ClientError, match="304"):
            s3.get_object(**where, IfNoneMatch=new)
        failed = s3.delete_objects(Bucket="checkpoints", Delete={"Objects": [{"Key": "key", "ETag": old}]})
        assert [each["Code"] for each in failed["Errors"]] == ["PreconditionFailed"]
        s3.copy_object(**where, CopySource=where, MetadataDirective="REPLACE", Metadata={"a": "b"})
        found = s3.get_object(**where, IfMatch=new)
        assert (found["Body"].read(), found["Metadata"]) == (b"new", {"a": "b"})
        s3.delete_object(**where, IfMatch=new)
        with pytest.raises(ClientError, match="NoSuchKey"):
            s3.put_object(**where, Body=b"x", IfMatch=new)
        s3.close()


@pytest.mark.parametrize("bucket", ["", "ab", "Upper", "a/b", "../up", "a" * 64, "-start"])
def test_what_is_no_bucket_name_is_refused(tmp_path: Path, bucket: str) -> None:
    with pytest.raises(ValueError, match="is not a bucket name"), local_s3(tmp_path, buckets=[bucket]):
        pass


@pytest.mark.parametrize(
    "keys", [{"secret_key": ""}, {"access_key": ""}, {"access_key": "a,b"}, {"access_key": "a b"}]
)
def test_keys_that_no_signature_can_name_are_refused(tmp_path: Path, keys: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="must"), local_s3(tmp_path, **keys):  # type: ignore[arg-type]  # invalid on purpose
        pass
