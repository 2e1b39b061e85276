"""The benchmarks of storage and encoding run, and storage is as documented."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from benchmarks import encoding, environments, report, storage
from benchmarks.changes import CASES
from benchmarks.runs import PRICES, Run, charged, run
from benchmarks.savers import OURS, PEERS
from benchmarks.server import Server
from benchmarks.workloads import TEXTS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.integration

THIS, WHOLE = OURS
BUCKET = "bucket"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as started:
        yield started


@pytest.fixture(scope="module", params=TEXTS)
def hundred(server: Server, request: pytest.FixtureRequest) -> Run:
    """A hundred turns."""
    return run(server, THIS, "conversation", request.param, 100)


@pytest.fixture
def client(server: Server) -> Iterator[S3Client]:
    server.buckets.pop(BUCKET, None)
    made = boto3.session.Session().client(
        "s3",
        endpoint_url=server.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
        config=Config(s3={"addressing_style": "path"}),
    )
    yield made
    made.close()


def test_storage_grows_with_the_state(hundred: Run) -> None:
    assert hundred.state > 200_000
    assert hundred.ratio <= 5  # of values below 16 KiB, each checkpoint has a copy
    assert max(hundred.lenders) <= 20
    assert any(hundred.lenders)


def test_there_are_no_more_objects_than_calls(hundred: Run) -> None:
    assert hundred.objects == hundred.requests["PUT"] == sum(hundred.calls.values()) == 500
    assert hundred.requests["LIST"] == 100


def test_each_put_that_borrows_sends_a_get_and_a_head(hundred: Run) -> None:
    borrowers = sum(map(bool, hundred.lenders))
    assert hundred.requests["HEAD"] == hundred.requests["GET"] == borrowers


def test_the_last_state_is_read_in_one_list_and_a_get_an_object(hundred: Run) -> None:
    reading = {kind: count for kind, count in hundred.reading.items() if count}
    assert set(reading) == {"LIST", "GET"}
    assert reading["LIST"] == 1
    assert reading["GET"] <= 1 + max(hundred.lenders)


def test_dollars_add_up(hundred: Run) -> None:
    turn = {kind: count / 100 for kind, count in hundred.requests.items()}
    a_turn = (turn["PUT"] + turn["LIST"]) * 0.005 / 1000 + (turn["GET"] + turn["HEAD"]) * 0.0004 / 1000
    assert hundred.request_dollars == pytest.approx(a_turn * 1e6)
    assert hundred.storage_dollars == pytest.approx(hundred.stored / 100 * 1e6 / 1e9 * 0.023)


def test_every_operation_is_charged_as_something() -> None:
    operations = {"PutObject": 1, "UploadPart": 2, "CopyObject": 3, "ListObjectsV2": 4, "GetObject": 5}
    others = {"HeadObject": 6, "DeleteObjects": 7, "AbortMultipartUpload": 8, "CreateMultipartUpload": 9}
    counts = charged(operations | others)
    assert counts == {"PUT": 15, "LIST": 4, "GET": 5, "HEAD": 6, "DELETE": 15}
    assert counts.keys() == PRICES.keys()


def test_the_storage_benchmark_runs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    document = tmp_path / "storage.md"
    assert storage.main(["--turns", "3", "--text", "words", "--write", str(document)]) == 0
    printed = capsys.readouterr().out
    rows = [line.split("|")[1:-1] for line in printed.splitlines() if line.startswith(f"| {THIS} ")]
    assert [len(row) for row in rows] == [9, 8, 4]  # stored, cost, reading
    stored, objects, calls = (int(rows[0][at].replace(",", "")) for at in (3, 5, 6))
    assert stored > 100
    assert objects == calls == 15
    written = document.read_text()
    assert written.strip() == printed.strip()
    assert "\npython -m benchmarks.storage --turns 3 --text words --write " in written
    assert WHOLE in written


def test_borrowing_stores_less_than_whole_copies(server: Server) -> None:
    ours, whole = (run(server, saver, "conversation", "words", 5) for saver in (THIS, WHOLE))
    assert 2 * ours.stored < whole.stored
    assert whole.requests["HEAD"] == sum(whole.lenders) == 0
    assert ours.objects == whole.objects


def test_the_encoding_benchmark_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert encoding.main(["--sizes", "1 kB", "10 kB", "--pairs", "2"]) == 0
    printed = capsys.readouterr().out
    for case in CASES:
        assert printed.count(f"| {case.name} ") == 2


def test_cases_borrow_as_expected() -> None:
    shares = {}
    for case in CASES:
        whole, borrowing = encoding.encoders(case, 100_000)
        shares[case.name] = len(borrowing().body) / len(whole().body)
    little = {name for name, share in shares.items() if share < 0.1}
    all_of_it = {name for name, share in shares.items() if share > 0.99}
    assert little == {
        "not written",
        "written, the same",
        "appended",
        "a sliding window",
        "edited in the middle",
    }
    assert {"another text", "other random bytes", "encrypted by the serializer"} <= all_of_it


def test_peers_are_pinned() -> None:
    for name, peer in PEERS.items():
        version = name.split()[1]
        assert f"{peer.distribution}=={version}" in peer.requirements


def test_an_environment_without_requirements_is_this_one() -> None:
    assert environments.python_for([]).exists()
    assert not any(saver.requirements for saver in OURS.values())


def test_failed_installs_raise(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(environments, "_CACHE", tmp_path)
    with pytest.raises(environments.InstallError, match="no-such"):
        environments.python_for([str(tmp_path / "no-such-1.0-py3-none-any.whl")])
    assert not list(tmp_path.glob("*/installed"))


def test_a_table_is_aligned() -> None:
    lines = ["| name |   n |", "| ---- | --: |", "| a    |   1 |", "| bb   | 234 |"]
    assert report.table(["name", "n"], [["a", 1], ["bb", 234]]).splitlines() == lines


def test_the_server_stores_objects(client: S3Client) -> None:
    client.put_object(Bucket=BUCKET, Key="a b/ü&<", Body=b"0123456789", Metadata={"kept": "yes"})
    found = client.get_object(Bucket=BUCKET, Key="a b/ü&<")
    assert (found["Body"].read(), found["Metadata"]) == (b"0123456789", {"kept": "yes"})
    assert client.head_object(Bucket=BUCKET, Key="a b/ü&<")["ContentLength"] == 10
    for asked, given in {
        "bytes=2-4": b"234",
        "bytes=8-99": b"89",
        "bytes=7-": b"789",
        "bytes=-3": b"789",
    }.items():
        part = client.get_object(Bucket=BUCKET, Key="a b/ü&<", Range=asked)
        assert part["Body"].read() == given
        assert part["ContentRange"].endswith("/10")
    with pytest.raises(ClientError, match="InvalidRange"):
        client.get_object(Bucket=BUCKET, Key="a b/ü&<", Range="bytes=10-")
    with pytest.raises(ClientError, match="NoSuchKey"):
        client.get_object(Bucket=BUCKET, Key="other")


def test_the_server_refuses_to_overwrite_on_condition(client: S3Client, server: Server) -> None:
    client.put_object(Bucket=BUCKET, Key="key", Body=b"first", IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.put_object(Bucket=BUCKET, Key="key", Body=b"second", IfNoneMatch="*")
    assert server.buckets[BUCKET].objects["key"].data == b"first"
    before = client.head_object(Bucket=BUCKET, Key="key")["ETag"]
    assert client.put_object(Bucket=BUCKET, Key="key", Body=b"first")["ETag"] != before


def test_the_server_lists_in_order_and_pages(client: S3Client) -> None:
    keys = ["a", "b/1", "b/2", "b/ü&+", "c/1", "d"]
    for key in reversed(keys):
        client.put_object(Bucket=BUCKET, Key=key, Body=b"x")

    def listed(**options: Any) -> list[list[str]]:
        pages = client.get_paginator("list_objects_v2").paginate(
            Bucket=BUCKET, PaginationConfig={"PageSize": 2}, **options
        )
        return [
            [item["Key"] for item in page.get("Contents", ())]
            + [item["Prefix"] for item in page.get("CommonPrefixes", ())]
            for page in pages
        ]

    assert listed() == [keys[:2], keys[2:4], keys[4:]]
    assert listed(Prefix="b/") == [["b/1", "b/2"], ["b/ü&+"]]
    assert listed(StartAfter="b/2") == [["b/ü&+", "c/1"], ["d"]]
    assert listed(Delimiter="/") == [["a", "b/"], ["d", "c/"]]
    assert listed(Prefix="z") == [[]]


def test_the_server_copies_and_deletes(client: S3Client, server: Server) -> None:
    client.put_object(Bucket=BUCKET, Key="one & only", Body=b"x", Metadata={"kept": "yes"})
    client.copy_object(Bucket=BUCKET, Key="two", CopySource={"Bucket": BUCKET, "Key": "one & only"})
    assert client.head_object(Bucket=BUCKET, Key="two")["Metadata"] == {"kept": "yes"}
    with pytest.raises(ClientError, match="NoSuchKey"):
        client.copy_object(Bucket=BUCKET, Key="three", CopySource={"Bucket": BUCKET, "Key": "none"})
    client.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "one & only"}, {"Key": "none"}]})
    assert list(server.buckets[BUCKET].objects) == ["two"]
    client.delete_object(Bucket=BUCKET, Key="two")
    assert server.buckets[BUCKET].size == 0


def test_the_server_takes_objects_in_parts(client: S3Client, server: Server) -> None:
    upload = client.create_multipart_upload(Bucket=BUCKET, Key="large", Metadata={"kept": "yes"})["UploadId"]
    parts = {
        number: client.upload_part(
            Bucket=BUCKET, Key="large", UploadId=upload, PartNumber=number, Body=bytes([number]) * 5
        )["ETag"]
        for number in (2, 1)
    }
    named = [{"PartNumber": number, "ETag": parts[number]} for number in (1, 2)]
    client.complete_multipart_upload(
        Bucket=BUCKET,
        Key="large",
        UploadId=upload,
        MultipartUpload={"Parts": named},  # type: ignore[typeddict-item]  # plain dicts
    )
    assert server.buckets[BUCKET].objects["large"].data == b"\1\1\1\1\1\2\2\2\2\2"
    given_up = client.create_multipart_upload(Bucket=BUCKET, Key="large")["UploadId"]
    client.abort_multipart_upload(Bucket=BUCKET, Key="large", UploadId=given_up)
    with pytest.raises(ClientError, match="NoSuchUpload"):
        client.upload_part(Bucket=BUCKET, Key="large", UploadId=given_up, PartNumber=1, Body=b"x")


def test_the_server_counts_each_buckets_requests(client: S3Client, server: Server) -> None:
    client.head_bucket(Bucket=BUCKET)
    client.put_object(Bucket=BUCKET, Key="key", Body=b"x")
    client.list_objects_v2(Bucket=BUCKET)
    client.list_objects_v2(Bucket="other")
    assert server.buckets[BUCKET].requests == {"HeadBucket": 1, "PutObject": 1, "ListObjectsV2": 1}


def test_the_server_ends() -> None:
    before = threading.active_count()
    with Server() as started:
        assert started.endpoint_url.startswith("http://127.0.0.1:")
    assert threading.active_count() == before
