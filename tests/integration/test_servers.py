"""What the servers' `Features` claim is so, and so is what the saver relies on everywhere."""

from __future__ import annotations

import dataclasses
import json
import string
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from tests.servers import Server
from tests.servers.base import client_of
from tests.servers.probe import features_of

from .conftest import make_client

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# What keys are made of: no store, SDK or URL encodes any of it.
KEYS = [
    f"{string.ascii_letters}{string.digits}_-.",
    "thread-1.thread/.ns/cdcezz/checkpoint.pabc.kloop.s-1.r_x",
    "a.2Fb.thread/child.7C1.ns/00z/writes.tabc.0-2",
    "a..b/-/_/x../..y/z.",
]


def status(error: pytest.ExceptionInfo[ClientError]) -> int:
    return error.value.response["ResponseMetadata"]["HTTPStatusCode"]


def list_all(client: S3Client, bucket: str, **options: object) -> list[str]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, **options)  # type: ignore[arg-type]  # options are untyped
    return [found["Key"] for page in pages for found in page.get("Contents", ())]


@pytest.mark.parametrize("key", KEYS)
def test_an_object_is_put_read_copied_listed_and_deleted(s3_client: S3Client, bucket: str, key: str) -> None:
    etag = s3_client.put_object(Bucket=bucket, Key=key, Body=b"one")["ETag"]
    found = s3_client.get_object(Bucket=bucket, Key=key)
    assert found["Body"].read() == b"one"
    assert found["ETag"] == etag
    # rclone lists ETags without their quotes.
    [listed] = s3_client.list_objects_v2(Bucket=bucket)["Contents"]
    assert (listed["Key"], listed["Size"], listed["ETag"].strip('"')) == (key, 3, etag.strip('"'))

    s3_client.copy_object(Bucket=bucket, Key=f"copy/{key}", CopySource={"Bucket": bucket, "Key": key})
    assert s3_client.get_object(Bucket=bucket, Key=f"copy/{key}")["Body"].read() == b"one"

    s3_client.delete_object(Bucket=bucket, Key=key)
    assert list_all(s3_client, bucket) == [f"copy/{key}"]
    with pytest.raises(s3_client.exceptions.NoSuchKey):
        s3_client.get_object(Bucket=bucket, Key=key)


def test_a_store_that_is_not_known_is_found_out(s3_server: Server, s3_client: S3Client) -> None:
    with client_of(s3_server, secret_key="wrong-secret") as stranger:
        found = dataclasses.asdict(features_of(s3_client, stranger))
    claimed = dataclasses.asdict(s3_server.features)
    untried = {"persistent", "range_checksums", "user_metadata"}
    if not claimed["bucket_policy"]:
        untried.add("policy_conditions")
    if not claimed["lifecycle"]:
        untried.add("lifecycle_legacy")
    assert {name: found[name] for name in found.keys() - untried} == {
        name: claimed[name] for name in claimed.keys() - untried
    }


def test_an_absent_bucket_is_named_as_such(s3_client: S3Client) -> None:
    with pytest.raises(s3_client.exceptions.NoSuchBucket):
        s3_client.get_object(Bucket="not-there-at-all", Key="key")
    with pytest.raises(s3_client.exceptions.NoSuchBucket):
        s3_client.list_objects_v2(Bucket="not-there-at-all")


def test_a_range_is_read_and_may_end_behind_the_object(s3_client: S3Client, bucket: str) -> None:
    s3_client.put_object(Bucket=bucket, Key="key", Body=b"0123456789")
    part = s3_client.get_object(Bucket=bucket, Key="key", Range="bytes=2-5")
    assert (part["Body"].read(), part["ContentRange"]) == (b"2345", "bytes 2-5/10")
    assert (
        s3_client.get_object(Bucket=bucket, Key="key", Range="bytes=0-16383")["Body"].read() == b"0123456789"
    )
    with pytest.raises(ClientError) as behind:
        s3_client.get_object(Bucket=bucket, Key="key", Range="bytes=10-20")
    assert status(behind) == 416


def test_lists_are_sorted_and_paged(s3_client: S3Client, bucket: str) -> None:
    keys = sorted(
        f"L/{thread}.thread/.ns/{rank:02x}z/x" for thread in ("a", "B", "c-1", "c_1") for rank in range(3)
    )
    for key in keys:
        s3_client.put_object(Bucket=bucket, Key=key, Body=b"x")
    first = s3_client.list_objects_v2(Bucket=bucket, Prefix="L/", MaxKeys=5)
    assert [found["Key"] for found in first["Contents"]] == keys[:5]
    assert first["IsTruncated"]
    second = s3_client.list_objects_v2(
        Bucket=bucket, Prefix="L/", MaxKeys=7, ContinuationToken=first["NextContinuationToken"]
    )
    assert [found["Key"] for found in second["Contents"]] == keys[5:]
    assert not second["IsTruncated"]
    # After a key that is there, and after one that isn't.
    assert list_all(s3_client, bucket, Prefix="L/", StartAfter=keys[4]) == keys[5:]
    assert list_all(s3_client, bucket, Prefix="L/", StartAfter=keys[4][:-1]) == keys[4:]


def test_a_delimiter_finds_the_threads_and_skips_to_the_next(s3_client: S3Client, bucket: str) -> None:
    for thread in ("a", "b", "c"):
        for rank in range(3):
            s3_client.put_object(Bucket=bucket, Key=f"L/{thread}.thread/{rank}", Body=b"x")
    threads = s3_client.list_objects_v2(Bucket=bucket, Prefix="L/", Delimiter="/", MaxKeys=2)
    assert [found["Prefix"] for found in threads["CommonPrefixes"]] == ["L/a.thread/", "L/b.thread/"]
    # `0` is the character after `/`. To start after the prefix itself means different things to stores.
    rest = s3_client.list_objects_v2(Bucket=bucket, Prefix="L/", Delimiter="/", StartAfter="L/a.thread0")
    assert [found["Prefix"] for found in rest["CommonPrefixes"]] == ["L/b.thread/", "L/c.thread/"]


def test_many_objects_are_deleted_at_once(s3_server: Server, s3_client: S3Client, bucket: str) -> None:
    for number in range(3):
        s3_client.put_object(Bucket=bucket, Key=f"key/{number}", Body=b"x")
    # With one that isn't there, which counts as deleted.
    names = [f"key/{number}" for number in range(1000)]
    done = s3_client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": name} for name in names]})
    assert sorted(found["Key"] for found in done["Deleted"]) == sorted(names)
    assert "Errors" not in done
    assert list_all(s3_client, bucket) == []
    if s3_server.features.delete_limit:
        with pytest.raises(ClientError) as refused:
            s3_client.delete_objects(
                Bucket=bucket, Delete={"Objects": [{"Key": f"key/{number}"} for number in range(1001)]}
            )
        assert status(refused) == 400


def test_if_none_match_is_exact_or_silently_ignored(
    s3_server: Server, s3_client: S3Client, bucket: str
) -> None:
    def create(body: bytes) -> int:
        try:
            s3_client.put_object(Bucket=bucket, Key="key", Body=body, IfNoneMatch="*")
        except ClientError as error:
            return int(error.response["ResponseMetadata"]["HTTPStatusCode"])
        return 200

    assert create(b"first") == 200
    if not s3_server.features.conditional_put:
        assert create(b"second") == 200
        assert s3_client.get_object(Bucket=bucket, Key="key")["Body"].read() == b"second"
        return
    # The same bytes again are refused too: what a retry after a lost reply sees.
    assert create(b"first") == 412
    assert s3_client.get_object(Bucket=bucket, Key="key")["Body"].read() == b"first"

    s3_client.delete_object(Bucket=bucket, Key="key")
    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(create, [b"x" * size for size in range(8)]))
    assert answers[0] == 200, "one of them wins"
    assert set(answers[1:]) <= {409, 412}, "and only one"


def test_if_none_match_in_a_versioned_bucket(s3_server: Server, s3_client: S3Client, bucket: str) -> None:
    if not s3_server.features.versioning:
        pytest.skip("no versions here")
    s3_client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3_client.put_object(Bucket=bucket, Key="key", Body=b"1", IfNoneMatch="*")
    if s3_server.features.conditional_versioned:
        with pytest.raises(ClientError) as refused:
            s3_client.put_object(Bucket=bucket, Key="key", Body=b"2", IfNoneMatch="*")
        assert status(refused) == 412
    else:
        s3_client.put_object(Bucket=bucket, Key="key", Body=b"2", IfNoneMatch="*")
        assert len(s3_client.list_object_versions(Bucket=bucket)["Versions"]) == 2


def test_if_match(s3_server: Server, s3_client: S3Client, bucket: str) -> None:
    etag = s3_client.put_object(Bucket=bucket, Key="key", Body=b"1")["ETag"]
    if not s3_server.features.if_match:
        pytest.skip("no If-Match here")
    s3_client.put_object(Bucket=bucket, Key="key", Body=b"2", IfMatch=etag)
    with pytest.raises(ClientError) as refused:
        s3_client.put_object(Bucket=bucket, Key="key", Body=b"3", IfMatch=etag)
    assert status(refused) == 412


def test_a_multipart_upload(s3_server: Server, s3_client: S3Client, bucket: str) -> None:
    def upload(body: bytes) -> None:
        upload_id = s3_client.create_multipart_upload(Bucket=bucket, Key="key")["UploadId"]
        part = s3_client.upload_part(Bucket=bucket, Key="key", UploadId=upload_id, PartNumber=1, Body=body)
        s3_client.complete_multipart_upload(
            Bucket=bucket,
            Key="key",
            UploadId=upload_id,
            MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
            IfNoneMatch="*",
        )

    upload(b"first" * 1000)
    assert s3_client.get_object(Bucket=bucket, Key="key")["Body"].read() == b"first" * 1000
    if s3_server.features.conditional_multipart:
        with pytest.raises(ClientError) as refused:
            upload(b"second")
        assert status(refused) == 412
    else:
        upload(b"second")
        assert s3_client.get_object(Bucket=bucket, Key="key")["Body"].read() == b"second"


def test_versions_are_kept_where_claimed(s3_server: Server, s3_client: S3Client, bucket: str) -> None:
    if not s3_server.features.versioning:
        with pytest.raises(ClientError) as refused:
            s3_client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        assert status(refused) == 501
        return
    s3_client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert s3_client.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    first = s3_client.put_object(Bucket=bucket, Key="key", Body=b"1")["VersionId"]
    s3_client.put_object(Bucket=bucket, Key="key", Body=b"2")
    assert s3_client.delete_object(Bucket=bucket, Key="key")["DeleteMarker"]
    found = s3_client.list_object_versions(Bucket=bucket)
    assert (len(found["Versions"]), len(found["DeleteMarkers"])) == (2, 1)
    assert s3_client.get_object(Bucket=bucket, Key="key", VersionId=first)["Body"].read() == b"1"


def test_lifecycle_rules_are_kept_where_claimed(s3_server: Server, s3_client: S3Client, bucket: str) -> None:
    if not s3_server.features.lifecycle:
        pytest.skip("no lifecycle here")
    s3_client.put_bucket_lifecycle_configuration(
        Bucket=bucket,
        LifecycleConfiguration={
            "Rules": [
                {
                    "ID": "old",
                    "Status": "Enabled",
                    "Filter": {"Prefix": "agents/"},
                    "NoncurrentVersionExpiration": {"NoncurrentDays": 3, "NewerNoncurrentVersions": 2},
                }
            ]
        },
    )
    [rule] = s3_client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    newer = rule["NoncurrentVersionExpiration"].pop("NewerNoncurrentVersions", None)
    assert newer == (2 if s3_server.features.lifecycle_exact else None)
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 3}
    assert rule["Filter"] == {"Prefix": "agents/"}


def test_a_wrong_secret_is_refused_where_claimed(s3_server: Server, bucket: str) -> None:
    stranger = make_client(s3_server, secret_key="wrong-secret")
    try:
        if s3_server.features.credentials:
            with pytest.raises(ClientError) as refused:
                stranger.put_object(Bucket=bucket, Key="key", Body=b"x")
            assert status(refused) == 403
        else:
            stranger.put_object(Bucket=bucket, Key="key", Body=b"x")
    finally:
        stranger.close()


def test_a_policy_is_enforced_where_claimed(s3_server: Server, s3_client: S3Client, bucket: str) -> None:
    if not s3_server.features.bucket_policy:
        pytest.skip("no policies here")
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{bucket}/denied/*",
    }
    s3_client.put_bucket_policy(
        Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    )
    s3_client.put_object(Bucket=bucket, Key="granted/key", Body=b"x")
    with pytest.raises(ClientError) as refused:
        s3_client.put_object(Bucket=bucket, Key="denied/key", Body=b"x")
    assert status(refused) == 403


def test_a_long_key_is_refused_where_claimed(s3_server: Server, s3_client: S3Client, bucket: str) -> None:
    longest = ("x" * 200 + "/") * 5 + "y" * 19
    s3_client.put_object(Bucket=bucket, Key=longest, Body=b"x")
    if s3_server.features.key_limit:
        with pytest.raises(ClientError) as refused:
            s3_client.put_object(Bucket=bucket, Key=longest + "y", Body=b"x")
        assert status(refused) == 400


def test_a_signed_url_works_until_it_expires(s3_server: Server, s3_client: S3Client, bucket: str) -> None:
    s3_client.put_object(Bucket=bucket, Key="key", Body=b"signed")
    where = {"Bucket": bucket, "Key": "key"}
    url = s3_client.generate_presigned_url("get_object", Params=where, ExpiresIn=60)
    with urllib.request.urlopen(url, timeout=10) as found:
        assert found.read() == b"signed"
    if s3_server.features.presigned_expiry:
        short = s3_client.generate_presigned_url("get_object", Params=where, ExpiresIn=1)
        time.sleep(2.5)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(short, timeout=10)
        refused.value.close()
        assert refused.value.code in (400, 403)
