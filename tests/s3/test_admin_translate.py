"""Answers to the admin module's requests, and the parameters of signed URLs."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from botocore.exceptions import ClientError

from langgraph_checkpoint_s3 import NotSupportedError, S3Config
from langgraph_checkpoint_s3.s3 import bucket_settings
from langgraph_checkpoint_s3.s3.admin_requests import (
    BucketHead,
    DeleteVersions,
    GetTags,
    InspectBucket,
    InspectObject,
    ListUploads,
    ListVersions,
    ObjectInfo,
    PutTags,
    RestoreObject,
    Sign,
    Signed,
    Upload,
    UploadPage,
    Version,
    VersionPage,
)
from langgraph_checkpoint_s3.s3.answer_checks import InvalidResponse, Received
from langgraph_checkpoint_s3.s3.bucket_settings import DeleteSetting, GetSetting, PutSetting, Setting
from langgraph_checkpoint_s3.s3.error_mapping import classify
from langgraph_checkpoint_s3.s3.requests import Deletion, Done, Request
from langgraph_checkpoint_s3.s3.translate import Translator
from tests.s3.admin_requests import DOCUMENTS

AWS = "https://s3.eu-west-1.amazonaws.com"
WHEN = datetime(2026, 1, 2, tzinfo=timezone.utc)


def translator() -> Translator:
    return Translator(S3Config(bucket="bucket"), AWS, "eu-west-1")


@pytest.mark.parametrize(
    ("request_", "response", "expected"),
    [
        (PutSetting(bucket_settings.VERSIONING, {}), {}, Done()),
        (GetSetting(bucket_settings.VERSIONING), {"ResponseMetadata": {}}, None),
        (
            GetSetting(bucket_settings.VERSIONING),
            {"Status": "Enabled", "ResponseMetadata": {}},
            {"Status": "Enabled"},
        ),
        (GetSetting(bucket_settings.POLICY), {"Policy": "{}"}, "{}"),
        (DeleteSetting(bucket_settings.POLICY), {}, Done()),
        (DeleteVersions((("k", "v"),)), {"Deleted": [{"Key": "k", "VersionId": "v"}]}, Deletion(())),
        (
            ListVersions(""),
            {
                "Versions": [
                    {
                        "Key": "a",
                        "VersionId": "2",
                        "Size": 3,
                        "ETag": '"e"',
                        "LastModified": WHEN,
                        "IsLatest": False,
                    },
                    {"Key": "b", "Size": 3, "ETag": "e", "LastModified": WHEN, "IsLatest": True},
                ],
                "DeleteMarkers": [{"Key": "a", "VersionId": "3", "LastModified": WHEN, "IsLatest": True}],
                "IsTruncated": True,
                "NextKeyMarker": "b",
                "NextVersionIdMarker": "null",
            },
            VersionPage(
                (
                    Version("a", "3", 0, "", WHEN, latest=True, marker=True),
                    Version("a", "2", 3, "e", WHEN, latest=False, marker=False),
                    Version("b", "null", 3, "e", WHEN, latest=True, marker=False),
                ),
                ("b", "null"),
            ),
        ),
        (ListVersions("p/"), {"Name": "bucket"}, VersionPage((), None)),
        (
            ListUploads("k"),
            {"Bucket": "bucket", "Uploads": [{"Key": "k", "UploadId": "u", "Initiated": WHEN}]},
            UploadPage((Upload("k", "u", WHEN),), None),
        ),
        (
            InspectObject("k"),
            {
                "ContentLength": 3,
                "ETag": '"e"',
                "LastModified": WHEN,
                "StorageClass": "GLACIER",
                "Restore": "r",
            },
            ObjectInfo(3, "e", "GLACIER", "r", None),
        ),
        (RestoreObject("k", 1), {}, True),
        (GetTags("k"), {"TagSet": [{"Key": "a", "Value": "b"}, {"Key": "c"}]}, {"a": "b", "c": ""}),
        (GetTags("k"), {"TagSet": []}, {}),
        (PutTags("k", (("a", "b"),)), {}, Done()),
        (
            InspectBucket(),
            {
                "BucketRegion": "eu-west-1",
                "ResponseMetadata": {"HTTPHeaders": {"date": "Wed, 25 Nov 2026 02:03:04 GMT"}},
            },
            BucketHead("eu-west-1", datetime(2026, 11, 25, 2, 3, 4, tzinfo=timezone.utc), "eu-west-1"),
        ),
        (InspectBucket(), {}, BucketHead(None, None, "eu-west-1")),
    ],
)
def test_what_an_answer_means(request_: Request[Any], response: dict[str, Any], expected: object) -> None:
    assert translator().answer(request_, response, b"") == expected


def test_what_answers_with_another_document_has_no_tags() -> None:
    """Such a store may take the PUT of an object's tags for one of the object."""
    listing = Received(200, "application/xml", 30, b"<ListBucketResult><Name>b</Name>")
    for fields, received in (({}, None), ({"TagSet": []}, listing)):
        with pytest.raises(NotSupportedError, match="no tags"):
            translator().answer(GetTags("k"), fields, b"", received)
    made = translator().arguments(PutTags("k", (("a", "b"),)))
    assert made["Tagging"] == {"TagSet": [{"Key": "a", "Value": "b"}]}


@pytest.mark.parametrize(
    ("status", "content_type", "beginning", "is_object"),
    [
        (200, "binary/octet-stream", b"LGS3\x01", True),
        (500, "text/x-verilog", b"LGS3\x01", True),  # as botocore reports it, for a key that ends with `.v`
        (500, "binary/octet-stream", b"langgraph-checkpoint-s3 setup probe", True),
        (503, "application/json", b"{}", False),
        (500, "text/plain", b"no upstream", False),
        (200, "text/html", b"<html>", False),
        (500, "", b"", False),
    ],
)
def test_a_store_that_answers_with_the_object_has_no_tags(
    status: int, content_type: str, beginning: bytes, is_object: bool
) -> None:
    received = Received(status, content_type, None, beginning)
    error: Exception = InvalidResponse("it can't be parsed")
    if status != 200:
        response: Any = {"Error": {"Code": str(status)}, "ResponseMetadata": {"HTTPStatusCode": status}}
        error = ClientError(response, "GetObjectTagging")
    found = classify(error, GetTags("k"), "bucket", received=received)
    assert isinstance(found, NotSupportedError) == is_object
    assert not isinstance(classify(error, InspectObject("k"), "bucket", received=received), NotSupportedError)


def test_what_is_restored_for_good_has_no_days() -> None:
    tier = {"GlacierJobParameters": {"Tier": "Standard"}}
    assert translator().arguments(RestoreObject("k", 3))["RestoreRequest"] == {"Days": 3, **tier}
    assert translator().arguments(RestoreObject("k", None))["RestoreRequest"] == tier


def test_every_setting_is_in_the_table() -> None:
    assert set(DOCUMENTS) == set(bucket_settings.ALL)
    assert len({setting.name for setting in bucket_settings.ALL}) == len(bucket_settings.ALL)


class Ending:
    """Credentials that end in an hour, as botocore's refreshable ones tell it."""

    def refresh_needed(self, refresh_in: float | None = None) -> bool:
        return (refresh_in or 0) > 3600


def test_a_signed_url_says_whether_it_outlives_its_credentials() -> None:
    signing = Translator(S3Config(bucket="bucket", expected_bucket_owner="012345678901"), AWS, None, Ending())
    made = signing.arguments(Sign("PUT", "k", 60))
    assert made == {
        "ClientMethod": "put_object",
        "Params": {"Bucket": "bucket", "Key": "k"},
        "ExpiresIn": 60,
    }
    plain: Any = "https://host/k"
    url: Any = "https://host/k?X-Amz-Security-Token=t"
    assert signing.answer(Sign("GET", "k", 3600), url, b"") == Signed(url)
    assert signing.answer(Sign("GET", "k", 3601), url, b"") == Signed(url, outlives_credentials=True)
    assert translator().answer(Sign("GET", "k", 60), url, b"") == Signed(url, temporary=True)
    assert signing.answer(Sign("GET", "k", 60), plain, b"") == Signed(plain)
    assert "host" not in repr(Signed(url))


@pytest.mark.parametrize(
    "setting", [each for each in bucket_settings.ALL if each.absent], ids=lambda each: each.name
)
def test_a_store_that_answers_with_something_else_does_not_know_the_setting(setting: Setting) -> None:
    with pytest.raises(NotSupportedError, match=f"doesn't know a bucket's {setting.name}"):
        translator().answer(GetSetting(setting), {"ResponseMetadata": {}}, b"")


def test_a_listing_is_no_policy() -> None:
    """A store that doesn't know the question for it answers with the bucket's listing."""
    listing = '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult></ListBucketResult>'
    with pytest.raises(NotSupportedError, match="doesn't know a bucket's bucket policy"):
        translator().answer(GetSetting(bucket_settings.POLICY), {"Policy": listing}, b"")


@pytest.mark.parametrize("code", ["BucketAlreadyExists", "BucketAlreadyOwnedByYou"])
def test_a_store_may_take_a_setting_for_a_new_bucket(code: str) -> None:
    response: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 409}}
    error = ClientError(response, "PutBucketAccelerateConfiguration")
    verdict = classify(error, PutSetting(bucket_settings.ACCELERATION, {}), "bucket")
    assert isinstance(verdict, NotSupportedError)
    assert "takes it for CreateBucket" in verdict.reason
