"""Settings that the store shows: encryption, tags, storage class; and how a saver is told them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from langgraph_checkpoint_s3 import CheckpointArchivedError, S3Saver
from tests.contract.support import MIB, Calls, MakeCalls, Place, at, build_thread, checkpoint, metadata, noise


def put_both(calls: Calls) -> None:
    """One object by PUT, one by a multipart upload, one copied, one of writes."""
    config = calls.put(at(), checkpoint(), metadata(), {})
    calls.put_writes(config, [("a", 1)], "task")
    calls.put(at("large"), checkpoint({"raw": noise(6 * MIB)}), metadata(), {})
    calls.copy_thread("thread", "copy")


def heads(place: Place) -> list[dict[str, Any]]:
    found = [dict(place.client.head_object(Bucket=place.bucket, Key=key)) for key in place.listing()]
    assert len(found) == 5
    return found


class TestWhatTheStoreShows:
    def test_nothing_is_asked_of_a_compatible_store(self, calls: Calls, place: Place) -> None:
        put_both(calls)
        writes = [seen for seen in place.front.log if seen.operation != "ListObjectsV2"]
        for seen in writes:
            assert not [name for name in seen.headers if name.startswith("x-amz-server-side")]
            assert not {"x-amz-storage-class", "x-amz-tagging", "x-amz-request-payer"} & set(seen.headers)

    def test_aes256(self, make_calls: MakeCalls, place: Place) -> None:
        if not place.server.features.encryption:
            pytest.skip("no encryption here")
        put_both(make_calls(server_side_encryption="AES256"))
        assert {head.get("ServerSideEncryption") for head in heads(place)} == {"AES256"}

    def test_kms(self, make_calls: MakeCalls, place: Place) -> None:
        if place.server.name != "moto":
            pytest.skip("keys must be made first")
        key = "arn:aws:kms:us-east-1:123456789012:key/11111111-1111-4111-8111-111111111111"
        put_both(make_calls(server_side_encryption="aws:kms", kms_key_id=key, bucket_key_enabled=True))
        for head in heads(place):
            assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", key)
        for operation in ("PutObject", "CreateMultipartUpload", "CopyObject"):
            seen = next(seen for seen in place.front.log if seen.operation == operation)
            assert seen.headers["x-amz-server-side-encryption-bucket-key-enabled"] == "true"

    def test_tags(self, make_calls: MakeCalls, place: Place) -> None:
        if place.server.name == "rclone":
            pytest.skip("no tags here")
        tags = {"team": "agents+co", "cost centre": "4711/x=y"}
        put_both(make_calls(object_tags=tags))
        for key in place.listing():
            if place.server.name == "ceph" and "/large.thread/" in key:
                continue  # Ceph 16 forgets the tags of multipart uploads
            found = place.client.get_object_tagging(Bucket=place.bucket, Key=key)["TagSet"]
            assert {tag["Key"]: tag["Value"] for tag in found} == tags

    def test_storage_class(self, make_calls: MakeCalls, place: Place) -> None:
        if place.server.name != "moto":
            pytest.skip("classes must be made first")
        put_both(make_calls(storage_class="STANDARD_IA"))
        assert {head.get("StorageClass") for head in heads(place)} == {"STANDARD_IA"}

    def test_an_archived_checkpoint(self, make_calls: MakeCalls, place: Place) -> None:
        if place.server.name != "moto":
            pytest.skip("classes must be made first")
        build_thread(make_calls(), checkpoints=1, tasks=0)
        [key] = place.listing()
        source = f"{place.bucket}/{key}"
        place.client.copy_object(Bucket=place.bucket, Key=key, CopySource=source, StorageClass="GLACIER")
        reader = make_calls()
        with pytest.raises(CheckpointArchivedError, match="restore") as caught:
            reader.get_tuple(at())
        assert (caught.value.bucket, caught.value.key) == (place.bucket, place.listing()[0])

    def test_owner_and_payer_go_with_every_request(self, make_calls: MakeCalls, place: Place) -> None:
        calls = make_calls(expected_bucket_owner="123456789012", requester_pays=True)
        if place.server.name == "moto":
            put_both(calls)
            calls.get_tuple(at("large"))
            calls.delete_thread("thread")
        else:
            pytest.skip("no such account here")
        for seen in place.front.log:
            assert seen.headers.get("x-amz-expected-bucket-owner") == "123456789012", seen.operation
            assert seen.headers.get("x-amz-request-payer") == "requester", seen.operation

    def test_a_bucket_may_mix_codecs(self, make_calls: MakeCalls) -> None:
        big = {"text": "all work and no play " * 5000}
        codecs = ("none", "gzip", "zstd")
        config = at()
        for codec in codecs:
            config = make_calls(compression=codec).put(config, checkpoint(big), metadata(), {})
        for codec in codecs:
            found = make_calls(compression=codec).list(at())
            assert [shown.checkpoint["channel_values"] for shown in found] == [big] * 3, codec

    def test_versioning(self, make_calls: MakeCalls, place: Place) -> None:
        if not place.server.features.versioning:
            pytest.skip("no versions here")
        calls = make_calls(versioning=True)
        calls.setup()
        assert place.client.get_bucket_versioning(Bucket=place.bucket)["Status"] == "Enabled"
        build_thread(calls)
        calls.delete_thread("thread")
        assert calls.get_tuple(at()) is None
        assert calls.list(None) == []


class TestHowItIsTold:
    def test_a_connection_string(self, place: Place) -> None:
        uri = f"s3://{place.bucket}/agents?region=us-east-1&endpoint_url={place.front.url}"
        with S3Saver.from_conn_string(uri) as saver:
            build_thread(saver, checkpoints=1, tasks=0)
        [key] = place.listing()
        assert key.startswith("agents/thread.thread/.ns/")

    def test_the_environment(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("S3_BUCKET_NAME", place.bucket)
        monkeypatch.setenv("S3_ENDPOINT_URL", place.front.url)
        monkeypatch.setenv("S3_KEY_PREFIX", "from-env")
        monkeypatch.setenv("AWS_REGION", "us-east-1")

        async def main() -> None:
            async with S3Saver.from_env() as saver:
                await saver.aput(at(), checkpoint(), metadata(), {})

        asyncio.run(main())
        [key] = place.listing()
        assert key.startswith("from-env/")

    def test_amazons_own_variable_for_an_endpoint(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", place.front.url)
        for asynchronous in (False, True):
            saver = S3Saver(place.bucket, force_path_style=True)
            with saver, Calls(saver, asynchronous=asynchronous) as calls:
                calls.put(at(), checkpoint(), metadata(), {})
                assert calls.get_tuple(at())
        assert place.front.counts()["PutObject"] == 2

    def test_prefixes_that_nest_do_not_meet(self, make_calls: MakeCalls) -> None:
        outer, inner = make_calls(prefix="a/"), make_calls(prefix="a/x/")
        build_thread(outer, checkpoints=1)
        build_thread(inner, checkpoints=2)
        assert (len(outer.list(None)), len(inner.list(None))) == (1, 2)
        outer.delete_for_runs(["run-0", "run-1"])
        assert (len(outer.list(None)), len(inner.list(None))) == (0, 2)
