"""Requests in botocore's words: S3's own service model knows each argument, under every setting."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qs

import botocore.session
import pytest
from botocore import xform_name
from botocore.handlers import handle_copy_source_param
from botocore.validate import ParamValidator

from langgraph_checkpoint_s3 import S3Config
from langgraph_checkpoint_s3.s3 import admin_requests, bucket_settings, requests
from langgraph_checkpoint_s3.s3.admin_requests import InspectBucket, PutTags, Sign
from langgraph_checkpoint_s3.s3.bucket_settings import DeleteSetting, GetSetting, PutSetting
from langgraph_checkpoint_s3.s3.requests import (
    AbortUpload,
    AgedBody,
    Attempted,
    Body,
    Call,
    CompareAndSwap,
    CompleteUpload,
    CopyObject,
    CreateBucket,
    CreateUpload,
    DeleteObjects,
    Deletion,
    Done,
    Entry,
    GetObject,
    GetWithAge,
    HeadObject,
    ListObjects,
    Page,
    PutObject,
    Request,
    Sleep,
    Stored,
    Tick,
    UploadPart,
)
from langgraph_checkpoint_s3.s3.sdk_calls import with_file
from langgraph_checkpoint_s3.s3.translate import Translator, method_of
from langgraph_checkpoint_s3.validation import is_aws
from tests.s3.admin_requests import ADMIN_REQUESTS

AWS, ELSEWHERE = "https://s3.eu-west-1.amazonaws.com", "http://localhost:9000"
OWNER = "012345678901"
SERVICE = botocore.session.Session().get_service_model("s3")
REQUESTS: list[Request[Any]] = [
    PutObject("k", b"data"),
    PutObject("k", b"data", only_new=True),
    PutObject("k", b"data", expected="etag"),
    PutObject("k", b"data", tag="trial"),
    CompareAndSwap("k", b"data", None),
    CompareAndSwap("k", b"data", "etag"),
    GetWithAge("k"),
    GetObject("k"),
    GetObject("k", "etag", 5, 10),
    HeadObject("k"),
    ListObjects("p/"),
    ListObjects("p/", 5, "p/a", None, "/"),
    ListObjects("p/", 5, "p/a", "token", "/"),
    DeleteObjects(("a", "b")),
    CopyObject("k", "l"),
    CopyObject("k", "l", tag="trial"),
    CreateUpload("k"),
    CreateUpload("k", "trial"),
    UploadPart("k", "upload", 1, b"data"),
    CompleteUpload("k", "upload", ("e1", "e2"), b"data"),
    CompleteUpload("k", "upload", ("e1", "e2"), b"data", only_new=True),
    CompleteUpload("k", "upload", ("e1", "e2"), b"data", expected="etag"),
    AbortUpload("k", "upload"),
    CreateBucket(),
    GetObject("k", version="v"),
    CopyObject("k", "l", "v"),
    *ADMIN_REQUESTS,
]
SETTINGS: dict[str, dict[str, Any]] = {
    "none": {},
    "AES256": {"server_side_encryption": "AES256"},
    "off": {"server_side_encryption": "off"},
    "KMS": {"server_side_encryption": "aws:kms", "kms_key_id": "alias/x", "bucket_key_enabled": True},
    "KMS twice": {"server_side_encryption": "aws:kms:dsse", "kms_key_id": "alias/x"},
    "everything": {
        "server_side_encryption": "aws:kms",
        "bucket_key_enabled": False,
        "storage_class": "INTELLIGENT_TIERING",
        "object_tags": {"team": "a+b", "cost center": "é"},
        "expected_bucket_owner": OWNER,
        "requester_pays": True,
    },
}
OF_THE_BUCKET = (CreateBucket, InspectBucket, GetSetting, PutSetting, DeleteSetting)
WRITES_NEW = (PutObject, CompareAndSwap, CopyObject, CreateUpload)


def translator(endpoint_url: str = AWS, region: str | None = "eu-west-1", **settings: Any) -> Translator:
    return Translator(S3Config(bucket="bucket", **settings), endpoint_url, region)


def arguments(request: Request[Any], **settings: Any) -> dict[str, Any]:
    return translator(**settings).arguments(request)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("endpoint_url", [AWS, ELSEWHERE])
@pytest.mark.parametrize("request_", REQUESTS, ids=repr)
def test_s3_knows_every_argument(request_: Request[Any], endpoint_url: str, settings: dict[str, Any]) -> None:
    made = translator(endpoint_url, **settings).arguments(request_)
    shape = SERVICE.operation_model(request_.operation).input_shape
    assert shape is not None
    handle_copy_source_param(made)  # botocore takes a dictionary too
    report = ParamValidator().validate(made, shape)
    assert not report.has_errors(), report.generate_report()
    for name, value in made.items():
        allowed = getattr(shape.members[name], "enum", None)
        assert not allowed or value in allowed


def test_the_check_above_can_fail() -> None:
    shape = SERVICE.operation_model("GetObject").input_shape
    assert shape is not None
    made = {"Bucket": "bucket", "Key": "k", "IfNoneMatsch": "*"}
    assert ParamValidator().validate(made, shape).has_errors()


def test_every_request_is_an_operation_with_its_method() -> None:
    defined = {
        value
        for module in (requests, admin_requests, bucket_settings)
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Request) and value is not Request
    }
    assert {type(request) for request in REQUESTS} == defined - {
        Attempted,
        Call,
        Tick,
        Sleep,
        Sign,
    }  # no operations
    for request in REQUESTS:
        assert request.operation in SERVICE.operation_names
        assert method_of(request.operation) == xform_name(request.operation)


@pytest.mark.parametrize("request_", REQUESTS, ids=repr)
def test_every_request_names_the_bucket(request_: Request[Any]) -> None:
    assert arguments(request_)["Bucket"] == "bucket"


@pytest.mark.parametrize(
    ("endpoint_url", "mode", "sent"),
    [
        (AWS, "auto", None),
        (ELSEWHERE, "auto", None),
        (AWS, "off", None),
        (ELSEWHERE, "off", None),
        (AWS, "AES256", "AES256"),
        (ELSEWHERE, "AES256", "AES256"),
        (ELSEWHERE, "aws:kms", "aws:kms"),
        (AWS, "aws:kms:dsse", "aws:kms:dsse"),
    ],
)
def test_new_objects_are_encrypted_as_set(endpoint_url: str, mode: str, sent: str | None) -> None:
    client = translator(endpoint_url, server_side_encryption=mode)
    for request in REQUESTS:
        found = client.arguments(request).get("ServerSideEncryption")
        assert found == (sent if isinstance(request, WRITES_NEW) else None)


def test_what_new_objects_are_given() -> None:
    settings = SETTINGS["everything"] | {"kms_key_id": "alias/x", "bucket_key_enabled": True}
    for request in (each for each in REQUESTS if not isinstance(each, PutTags)):
        made = arguments(request, **settings)
        names = ("SSEKMSKeyId", "BucketKeyEnabled", "StorageClass")
        expected = (
            ("alias/x", True, "INTELLIGENT_TIERING") if isinstance(request, WRITES_NEW) else (None,) * 3
        )
        if isinstance(request, CompareAndSwap):  # it is read at once, and replaced soon
            expected = (*expected[:2], None)
        assert tuple(made.get(name) for name in names) == expected
        assert ("Tagging" in made) == isinstance(request, WRITES_NEW)
        if "Tagging" in made:
            own = {"langgraph-retention": ["trial"]} if getattr(request, "tag", None) else {}
            assert parse_qs(made["Tagging"]) == {"team": ["a+b"], "cost center": ["é"]} | own


def test_the_retention_tag_is_one_of_a_new_objects() -> None:
    for request in (
        PutObject("k", b"", tag="a-b_c"),
        CreateUpload("k", "a-b_c"),
        CopyObject("k", "l", tag="a-b_c"),
    ):
        assert arguments(request)["Tagging"] == "langgraph-retention=a-b_c"
        assert parse_qs(arguments(request, object_tags={"x": "1 + 2"})["Tagging"]) == {
            "x": ["1 + 2"],
            "langgraph-retention": ["a-b_c"],
        }
    assert arguments(CopyObject("k", "l", tag="a"))["TaggingDirective"] == "REPLACE"


def test_a_copy_has_the_settings_tags_or_the_sources() -> None:
    assert arguments(CopyObject("a", "b"), object_tags={"x": "y"})["TaggingDirective"] == "REPLACE"
    made = arguments(CopyObject("a", "b"), server_side_encryption="off")
    assert made == {"Bucket": "bucket", "Key": "b", "CopySource": {"Bucket": "bucket", "Key": "a"}}


def test_the_owner_is_expected_of_every_request_but_a_new_bucket() -> None:
    for request in REQUESTS:
        made = arguments(request, expected_bucket_owner=OWNER)
        assert made.get("ExpectedBucketOwner") == (None if isinstance(request, CreateBucket) else OWNER)
        assert made.get("ExpectedSourceBucketOwner") == (OWNER if isinstance(request, CopyObject) else None)


def test_the_requester_pays_for_objects() -> None:
    for request in REQUESTS:
        of_bucket = isinstance(request, OF_THE_BUCKET)
        assert arguments(request).get("RequestPayer") is None
        assert arguments(request, requester_pays=True).get("RequestPayer") == (
            None if of_bucket else "requester"
        )


@pytest.mark.parametrize("request_", [PutObject("k", b"x"), CompleteUpload("k", "u", ("e",), b"x")])
def test_a_condition_is_sent_where_it_is_asked_for_and_known(request_: PutObject | CompleteUpload) -> None:
    new = replace(request_, only_new=True)
    assert translator().arguments(new)["IfNoneMatch"] == "*"
    assert "IfNoneMatch" not in translator().arguments(new, conditional=False)
    assert not translator().arguments(request_).keys() & {"IfMatch", "IfNoneMatch"}
    over = replace(request_, expected="etag")
    assert translator().arguments(over)["IfMatch"] == "etag"
    assert "IfNoneMatch" not in translator().arguments(over)
    assert "IfMatch" not in translator().arguments(over, conditional=False)


def test_a_swap_is_conditional_whatever_is_known_of_the_store() -> None:
    for conditional in (True, False):
        new = translator().arguments(CompareAndSwap("k", b"x", None), conditional=conditional)
        assert (new["IfNoneMatch"], "IfMatch" in new) == ("*", False)
        swap = translator().arguments(CompareAndSwap("k", b"x", "etag"), conditional=conditional)
        assert (swap["IfMatch"], "IfNoneMatch" in swap) == ("etag", False)


@pytest.mark.parametrize(
    ("headers", "age"),
    [
        ({"date": "Thu, 01 Jan 2026 00:01:05 GMT"}, 65.0),
        ({"date": "yesterday"}, None),
        ({}, None),
    ],
)
def test_the_age_is_by_the_stores_own_clock(headers: dict[str, str], age: float | None) -> None:
    modified = datetime(2026, 1, 1, tzinfo=timezone.utc)
    response = {"ETag": '"e"', "LastModified": modified, "ResponseMetadata": {"HTTPHeaders": headers}}
    assert translator().answer(GetWithAge("k"), response, b"x") == AgedBody(b"x", "e", age)


@pytest.mark.parametrize(
    ("request_", "sent"),
    [
        (GetObject("k"), None),
        (GetObject("k", "e"), None),
        (GetObject("k", first=0, length=1), "bytes=0-0"),
        (GetObject("k", first=0, length=16_384), "bytes=0-16383"),
        (GetObject("k", first=100, length=50), "bytes=100-149"),
        (GetObject("k", first=100), "bytes=100-"),
    ],
)
def test_a_range_is_inclusive(request_: GetObject, sent: str | None) -> None:
    assert arguments(request_).get("Range") == sent


def test_a_listing_goes_on_by_its_token() -> None:
    first = arguments(ListObjects("p/", 5, "p/a", None, "/"))
    assert first == {"Bucket": "bucket", "Prefix": "p/", "MaxKeys": 5, "StartAfter": "p/a", "Delimiter": "/"}
    later = arguments(ListObjects("p/", 5, "p/a", "token"))
    assert later == {"Bucket": "bucket", "Prefix": "p/", "MaxKeys": 5, "ContinuationToken": "token"}


def test_bodies_keys_and_parts_are_sent_as_they_are() -> None:
    assert arguments(PutObject("k", b"data"), server_side_encryption="off") == {
        "Bucket": "bucket",
        "Key": "k",
        "Body": b"data",
    }
    assert arguments(DeleteObjects(("a", "b")))["Delete"] == {
        "Objects": [{"Key": "a"}, {"Key": "b"}],
    }
    part = arguments(UploadPart("k", "upload", 3, memoryview(b"data")))
    assert part["Body"] == b"data"
    assert with_file(part)["Body"].read() == b"data"  # botocore takes no view
    del part["Body"]
    assert part == {"Bucket": "bucket", "Key": "k", "UploadId": "upload", "PartNumber": 3}
    complete = arguments(CompleteUpload("k", "upload", ("e1", "e2"), b"data"))
    parts = [{"ETag": "e1", "PartNumber": 1}, {"ETag": "e2", "PartNumber": 2}]
    assert complete == {
        "Bucket": "bucket",
        "Key": "k",
        "UploadId": "upload",
        "MultipartUpload": {"Parts": parts},
    }


@pytest.mark.parametrize(
    ("region", "constraint"),
    [("eu-west-1", "eu-west-1"), ("us-east-1", None), (None, None), ("aws-global", None)],
)
def test_a_new_bucket_is_in_the_clients_region(region: str | None, constraint: str | None) -> None:
    made = translator(region=region).arguments(CreateBucket())
    assert made.get("CreateBucketConfiguration", {}).get("LocationConstraint") == constraint


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://s3.amazonaws.com", True),
        ("https://s3.dualstack.us-west-2.amazonaws.com", True),
        ("https://s3.cn-north-1.amazonaws.com.cn", True),
        ("https://S3.AMAZONAWS.COM", True),
        ("https://amazonaws.com.example.org", False),
        ("https://notamazonaws.com", False),
        ("http://localhost:9000", False),
        ("", False),
    ],
)
def test_what_is_aws(url: str, expected: bool) -> None:
    assert is_aws(url) is expected


NOW = datetime(2025, 1, 1, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("request_", "response", "data", "expected"),
    [
        (GetObject("k"), {"ETag": '"e"'}, b"data", Body(b"data", "e", 4)),
        (
            GetObject("k", None, 0, 4),
            {"ETag": "e", "ContentRange": "bytes 0-3/10"},
            b"data",
            Body(b"data", "e", 10),
        ),
        (
            GetObject("k", None, 0, 4),
            {"ETag": "e", "ContentRange": "bytes 0-3/*"},
            b"data",
            Body(b"data", "e", 4),
        ),
        (PutObject("k", b""), {"ETag": '"e-2"'}, b"", Stored("e-2")),
        (HeadObject("k"), {"ETag": '"e"'}, b"", Stored("e")),
        (CompleteUpload("k", "u", (), b""), {"ETag": '"e"'}, b"", Stored("e")),
        (CopyObject("a", "b"), {"CopyObjectResult": {"ETag": '"e"'}}, b"", Stored("e")),
        (CreateUpload("k"), {"UploadId": "u"}, b"", "u"),
        (UploadPart("k", "u", 1, b""), {"ETag": '"e"'}, b"", '"e"'),
        (AbortUpload("k", "u"), {}, b"", Done()),
        (CreateBucket(), {"Location": "/bucket"}, b"", Done()),
        (DeleteObjects(("a",)), {"Deleted": [{"Key": "a"}]}, b"", Deletion(())),
        (
            DeleteObjects(("a", "b")),
            {"Errors": [{"Key": "a", "Code": "AccessDenied", "Message": "no"}, {"Key": "b", "Code": "X"}]},
            b"",
            Deletion((("a", "AccessDenied", "no"), ("b", "X", "None"))),
        ),
        (
            DeleteObjects(("a", "b", "c")),
            {"Deleted": [{"Key": "a"}], "Errors": [{"Key": "b", "Code": "X", "Message": "no"}]},
            b"",
            Deletion((("b", "X", "no"), ("c", "Unnamed", "the store doesn't say whether it was"))),
        ),
        (ListObjects("p/"), {"IsTruncated": False}, b"", Page((), (), None)),
        (
            ListObjects("p/"),
            {
                "IsTruncated": True,
                "NextContinuationToken": "t",
                "Contents": [{"Key": "p/k", "Size": 3, "ETag": '"e"', "LastModified": NOW}],
                "CommonPrefixes": [{"Prefix": "p/a/"}],
            },
            b"",
            Page((Entry("p/k", 3, "e", NOW),), ("p/a/",), "t"),
        ),
        (
            ListObjects(""),
            {
                "Name": "bucket",
                "Contents": [
                    {"Key": "k", "Size": 3, "ETag": "e", "LastModified": NOW, "StorageClass": "GLACIER_IR"}
                ],
            },
            b"",
            Page((Entry("k", 3, "e", NOW, "GLACIER_IR"),), (), None),
        ),
        (ListObjects("p/"), {"IsTruncated": False, "NextContinuationToken": "t"}, b"", Page((), (), None)),
    ],
)
def test_what_an_answer_means(
    request_: Request[Any], response: dict[str, Any], data: bytes, expected: object
) -> None:
    assert translator().answer(request_, response, data) == expected
