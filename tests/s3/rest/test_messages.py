"""Requests and responses, compared with those of botocore's client."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.session import Session
from hypothesis import given
from hypothesis import strategies as st

from langgraph_checkpoint_s3.config import S3Config
from langgraph_checkpoint_s3.format.pieces import Pieces, joined
from langgraph_checkpoint_s3.s3.answer_checks import InvalidResponse
from langgraph_checkpoint_s3.s3.deadline import Attempt
from langgraph_checkpoint_s3.s3.requests import (
    AbortUpload,
    CompareAndSwap,
    CompleteUpload,
    CopyObject,
    CreateUpload,
    DeleteObjects,
    GetObject,
    GetWithAge,
    HeadObject,
    ListObjects,
    PutObject,
    Request,
    UploadPart,
)
from langgraph_checkpoint_s3.s3.rest.api import RestApi
from langgraph_checkpoint_s3.s3.rest.messages import OPERATIONS, Checksums, build, crc32, parse
from langgraph_checkpoint_s3.s3.rest.settings import AwsSettings
from langgraph_checkpoint_s3.s3.rest.sigv4 import Credentials, sha256
from langgraph_checkpoint_s3.s3.store_clock import StoreClock
from langgraph_checkpoint_s3.s3.sync_client import model_loader
from langgraph_checkpoint_s3.s3.translate import DATA_PLANE, Translator, md5_of, method_of
from tests.support.surroundings import surroundings

__all__ = ["surroundings"]
pytestmark = pytest.mark.usefixtures("surroundings")

URL = "http://store.example:9000"
KEYS = (
    "plain",
    "a b+c",
    "50%",
    "é/ü",
    "a//b",
    "./x",
    "../y",
    "a/./b",
    "~-._",
    "a?b#c&d=e",
    "(x)!*';:@,$[]",
    "\u20ac\U0001f600",
)
EVERYTHING: dict[str, Any] = {
    "server_side_encryption": "aws:kms",
    "kms_key_id": "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000000",
    "bucket_key_enabled": True,
    "storage_class": "STANDARD_IA",
    "object_tags": {"a b": "c+d=é", "x": "y/z"},
    "expected_bucket_owner": "123456789012",
    "requester_pays": True,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {"server_side_encryption": "off"},
    "everything": EVERYTHING,
    "AES256": {"server_side_encryption": "AES256"},
    "no bucket key": {"server_side_encryption": "aws:kms", "bucket_key_enabled": False},
}
BODY = b"body \x00\xff"


def requests(key: str) -> list[Request[Any]]:
    """Every request for objects, with and without each argument."""
    return [
        PutObject(key, BODY),
        PutObject(key, b""),
        PutObject(key, BODY, only_new=True),
        PutObject(key, BODY, expected="0123"),
        CompareAndSwap(key, BODY, None),
        CompareAndSwap(key, BODY, "0123"),
        GetObject(key),
        GetObject(key, first=5),
        GetObject(key, first=5, length=10, version="v+/=1"),
        GetWithAge(key),
        HeadObject(key),
        ListObjects(key),
        ListObjects(key, 5, start_after=key, delimiter="/"),
        ListObjects(key, token="to+/=ken "),
        DeleteObjects((key, "b<&>\"'\r\n\t")),
        CopyObject(key, "to"),
        CopyObject("from", key),
        CopyObject(key, "to", "v+/=1"),
        CreateUpload(key),
        UploadPart(key, "u+/=1", 3, BODY),
        UploadPart(key, "u+/=1", 3, memoryview(BODY)),
        CompleteUpload(key, "u+/=1", ("e1", '"e2"'), BODY),
        CompleteUpload(key, "u+/=1", ("e1",), BODY, only_new=True),
        CompleteUpload(key, "u+/=1", ("e1",), BODY, expected="0123"),
        AbortUpload(key, "u+/=1"),
    ]


@functools.cache
def client() -> Any:
    """A botocore client that sends nothing."""
    session = Session()
    session.register_component("data_loader", model_loader())
    config = Config(
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_supported",
        response_checksum_validation="when_supported",
        retries={"total_max_attempts": 1},
    )
    return session.create_client(
        "s3",
        "us-east-1",
        endpoint_url=URL,
        config=config,
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    )


def through_botocore(
    operation: str,
    arguments: dict[str, Any],
    status: int = 200,
    headers: dict[str, str] | None = None,
    body: bytes = b"",
) -> tuple[Any, Any]:
    """What botocore sends, and how it reads this response: fields or an error."""
    sent: list[Any] = []

    def answer(request: Any, **_: Any) -> Any:
        sent.append(request)
        response: Any = AWSResponse(request.url, status, HTTPHeaders(), _Raw(body))
        for name, value in (headers or {}).items():
            response.headers[name] = value
        return response

    events = client().meta.events
    events.register_last("before-send.s3", answer)
    arguments = dict(arguments)
    if isinstance(arguments.get("Body"), memoryview):
        arguments["Body"] = bytes(arguments["Body"])
    try:
        found: Any = getattr(client(), method_of(operation))(**arguments)
        if operation == "GetObject":
            found["Body"].read()
    except Exception as error:  # noqa: BLE001  # compared with ours
        found = error
    finally:
        events.unregister("before-send.s3", answer)
    return sent[0], found


class _Raw:
    """A response's bytes, as urllib3 has them."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, *_: Any, **__: Any) -> Any:
        return iter([self._body])

    def read(self, size: int | None = None, **_: Any) -> bytes:
        body, self._body = self._body[:size], self._body[len(self._body) if size is None else size :]
        return body


def compared(headers: dict[str, str]) -> dict[str, str]:
    """The headers that mean something to S3, but the signature's own and checksums."""
    return {
        name: value
        for name, value in headers.items()
        if name.startswith(("x-amz-", "if-", "range"))
        and not name.startswith(
            ("x-amz-checksum-", "x-amz-content-sha256", "x-amz-date", "x-amz-sdk-checksum")
        )
        and name not in ("x-amz-trailer", "x-amz-decoded-content-length")
    }


def api(config: S3Config) -> RestApi:
    settings = AwsSettings(endpoint_url=URL, addressing_style="path")
    return RestApi(config, settings, "agent", StoreClock())


def sent_by_us(
    config: S3Config, operation: str, arguments: dict[str, Any]
) -> tuple[str, str, dict[str, str]]:
    """The method, the target and the headers of the message."""
    made = api(config)
    request = made.build(operation, arguments)
    head = made.head(request, made.target, Credentials("key", "secret"), Attempt()).decode("latin-1")
    line, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
    method, target, version = line.split(" ")
    assert version == "HTTP/1.1"
    pairs = [each.partition(": ") for each in lines]
    headers = {name.lower(): value for name, _, value in pairs}
    assert len(headers) == len(pairs)
    return method, target, headers


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_requests_are_botocores(key: str, settings: dict[str, Any]) -> None:
    config = S3Config(bucket="bucket", **settings)
    translator = Translator(config, URL, "us-east-1")
    kinds = set()
    for request in requests(key):
        kinds.add(type(request))
        operation, arguments = request.operation, translator.arguments(request)
        theirs, _ = through_botocore(operation, arguments)
        method, target, headers = sent_by_us(config, operation, arguments)
        url = urlsplit(theirs.url)
        path, _, query = target.partition("?")
        assert method == theirs.method
        of_bucket = "Key" not in arguments  # then botocore leaves out the slash behind the bucket
        assert path == (f"{url.path}/" if of_bucket else url.path), request
        assert unquote(path) == f"/bucket/{arguments.get('Key', '')}"
        expected = sorted(parse_qsl(url.query, keep_blank_values=True))
        # botocore sends x-id with some operations, for logs of its own.
        expected = [pair for pair in expected if pair[0] != "x-id"]
        assert sorted(parse_qsl(query, keep_blank_values=True)) == expected, request
        assert "+" not in query
        their_headers = {
            name.lower(): value.decode() if isinstance(value, bytes) else str(value)
            for name, value in theirs.headers.items()
        }
        assert compared(headers) == compared(their_headers), request
    assert kinds == DATA_PLANE


def test_documents_are_botocores() -> None:
    config = S3Config(bucket="bucket")
    translator = Translator(config, URL, "us-east-1")
    for key in KEYS:
        for request in (
            DeleteObjects((key, "b<&>\"'\r\n\t")),
            CompleteUpload(key, "u", ('"e1"', "e2"), BODY),
        ):
            arguments = translator.arguments(request)
            theirs, _ = through_botocore(request.operation, arguments)
            ours = api(config).build(request.operation, arguments).body
            assert joined(ours) == _as_it_is(theirs.body)


def _as_it_is(body: Any) -> bytes:
    return body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else body.read()


def test_checksums_are_in_the_header_rather_than_in_a_trailer() -> None:
    """All that differs: the header instead of a trailer, and an MD5 where older stores need one."""
    crc = "x-amz-checksum-crc32"
    operations: dict[str, dict[str, Any]] = {
        "PutObject": {"Key": "k", "Body": BODY},
        "UploadPart": {"Key": "k", "Body": BODY},
        "GetObject": {"Key": "k"},
        "CreateMultipartUpload": {"Key": "k"},
        "DeleteObjects": {"Delete": {"Objects": [{"Key": "k"}]}},
        "CompleteMultipartUpload": {"Key": "k", "MultipartUpload": {"Parts": []}},
        "CopyObject": {"Key": "k"},
    }
    on = Checksums(send=True, verify=True, md5=False)
    sums = {operation: set(build(operation, each, on).headers) for operation, each in operations.items()}
    assert sums == {
        "PutObject": {crc},
        "UploadPart": {crc},
        "GetObject": {"x-amz-checksum-mode"},
        "CreateMultipartUpload": {"x-amz-checksum-algorithm"},
        "DeleteObjects": {crc},
        "CompleteMultipartUpload": set(),
        "CopyObject": set(),
    }
    off = Checksums(send=False, verify=False, md5=True)
    for operation in ("PutObject", "UploadPart"):
        assert set(build(operation, {"Key": "k", "Body": BODY}, off).headers) == {"content-md5"}
        assert build(operation, {"Key": "k", "Body": BODY}, off._replace(signed=True)).headers == {}
    for checksums in (off, off._replace(signed=True)):
        headers = build("DeleteObjects", {"Delete": {"Objects": []}}, checksums).headers
        assert set(headers) == {crc, "content-md5"}


def test_digests_of_several_buffers_are_those_of_their_bytes() -> None:
    data = bytes(range(256)) * 10
    pieces = Pieces([data[:1], memoryview(data)[1:1000], bytearray(data[1000:])])
    assert (crc32(pieces), md5_of(pieces), sha256(pieces)) == (crc32(data), md5_of(data), sha256(data))
    assert sha256(data) == hashlib.sha256(data).hexdigest()


# Responses

SPACES = ("", ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"')
ENTRY = (
    "<Contents><Key>{}</Key><LastModified>2024-02-29T12:30:00.000Z</LastModified><ETag>&quot;e&quot;</ETag>"
    "<Size>12</Size><StorageClass>GLACIER</StorageClass></Contents>"
)
LISTED = ("a%20b", "a+b", "a%2Bb", "%C3%A9%26")


def listing(space: str, entries: int, *, encoded: bool, more: str = "") -> bytes:
    shown = "".join(ENTRY.format(LISTED[number]) for number in range(entries))
    folders = "<CommonPrefixes><Prefix>p%2F+x/</Prefix></CommonPrefixes>" if entries else ""
    encoding = "<EncodingType>url</EncodingType>" if encoded else ""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult{space}><Name>bucket</Name><Prefix/>'
        f"<KeyCount>{entries}</KeyCount><MaxKeys>1000</MaxKeys>{encoding}"
        f"<IsTruncated>{'true' if more else 'false'}</IsTruncated>{shown}{folders}{more}</ListBucketResult>"
    ).encode()


def ours(operation: str, status: int, headers: dict[str, str], body: bytes) -> Any:
    """How we read a response: fields or an error."""
    arguments: dict[str, Any] = {"Delete": {"Objects": []}} if operation == "DeleteObjects" else {}
    request = build(operation, arguments, Checksums(send=False, verify=False, md5=False))
    try:
        return parse(request, status, {name.lower(): value for name, value in headers.items()}, body)
    except Exception as error:  # noqa: BLE001  # compared with botocore's
        return error


ARGUMENTS: dict[str, dict[str, Any]] = {
    "ListObjectsV2": {},
    "DeleteObjects": {"Delete": {"Objects": [{"Key": "a"}]}},
    "CopyObject": {"Key": "k", "CopySource": {"Bucket": "bucket", "Key": "a"}},
    "CreateMultipartUpload": {"Key": "k"},
    "CompleteMultipartUpload": {"Key": "k", "UploadId": "u", "MultipartUpload": {"Parts": []}},
    "UploadPart": {"Key": "k", "UploadId": "u", "PartNumber": 1, "Body": b""},
    "AbortMultipartUpload": {"Key": "k", "UploadId": "u"},
    "PutObject": {"Key": "k", "Body": b""},
    "GetObject": {"Key": "k"},
    "HeadObject": {"Key": "k"},
}
READ = {
    "ListObjectsV2": (
        *(
            "IsTruncated",
            "Name",
            "KeyCount",
            "MaxKeys",
            "Contents",
            "CommonPrefixes",
            "NextContinuationToken",
        ),
    ),
    "DeleteObjects": ("Deleted", "Errors"),
    "CopyObject": (),
    "CreateMultipartUpload": ("UploadId", "Bucket", "Key"),
    "CompleteMultipartUpload": ("ETag", "Location", "Bucket", "Key"),
    "UploadPart": ("ETag",),
    "AbortMultipartUpload": (),
    "PutObject": ("ETag",),
    "GetObject": ("ETag", "ContentLength", "ContentRange"),
    "HeadObject": ("ETag",),
}
DATE = {"Date": "Thu, 29 Feb 2024 12:30:00 GMT", "x-amz-request-id": "id", "x-amz-id-2": "host"}


def test_every_operation_is_compared() -> None:
    assert set(ARGUMENTS) == set(READ) == set(OPERATIONS)


def documents() -> list[tuple[str, bytes]]:
    found = []
    for space in SPACES:
        for entries in (0, 3, 4):
            found += [
                ("ListObjectsV2", listing(space, entries, encoded=encoded)) for encoded in (False, True)
            ]
        token = "<NextContinuationToken>t+/=</NextContinuationToken>"
        found += [
            ("ListObjectsV2", listing(space, 1, encoded=True, more=token)),
            ("DeleteObjects", f"<DeleteResult{space}/>".encode()),
            (
                "DeleteObjects",
                f"<DeleteResult{space}><Deleted><Key>a&amp;b</Key></Deleted><Error><Key>c</Key>"
                "<Code>AccessDenied</Code><Message>no</Message></Error><Deleted><Key>d</Key>"
                "<VersionId>v</VersionId></Deleted></DeleteResult>".encode(),
            ),
            (
                "CopyObject",
                f"<CopyObjectResult{space}><LastModified>2024-02-29T12:30:00.000Z</LastModified>"
                "<ETag>&quot;e&quot;</ETag></CopyObjectResult>".encode(),
            ),
            (
                "CreateMultipartUpload",
                f"<InitiateMultipartUploadResult{space}><Bucket>bucket</Bucket><Key>k</Key>"
                "<UploadId>u+/=</UploadId></InitiateMultipartUploadResult>".encode(),
            ),
            (
                "CompleteMultipartUpload",
                b"  \n" * 0
                + f"<CompleteMultipartUploadResult{space}><Location>http://x/y</Location><Bucket>bucket</Bucket>"
                "<Key>k</Key><ETag>&quot;e-2&quot;</ETag></CompleteMultipartUploadResult>".encode(),
            ),
        ]
    return found


@pytest.mark.parametrize(("operation", "body"), documents())
def test_documents_are_read_as_botocore_does(operation: str, body: bytes) -> None:
    headers = {**DATE, "Content-Type": "application/xml", "Content-Length": str(len(body))}
    _, theirs = through_botocore(operation, {"Bucket": "bucket", **ARGUMENTS[operation]}, 200, headers, body)
    found = ours(operation, 200, headers, body)
    for name in READ[operation]:
        assert found.get(name) == theirs.get(name), name
    if operation == "CopyObject":
        assert found["CopyObjectResult"]["ETag"] == theirs["CopyObjectResult"]["ETag"]
    metadata, their_metadata = found["ResponseMetadata"], theirs["ResponseMetadata"]
    for name in ("HTTPStatusCode", "RequestId", "HostId", "RetryAttempts", "HTTPHeaders"):
        assert metadata[name] == their_metadata[name], name


@pytest.mark.parametrize(
    "operation", ["PutObject", "GetObject", "HeadObject", "UploadPart", "AbortMultipartUpload"]
)
@pytest.mark.parametrize("tag", ['"e"', "e", None])
def test_headers_are_read_as_botocore_does(operation: str, tag: str | None) -> None:
    body = b"12345" if operation == "GetObject" else b""
    headers = {**DATE, "Content-Length": str(len(body)), "Content-Range": "bytes 0-4/10"}
    if tag is not None:
        headers["ETag"] = tag
    _, theirs = through_botocore(operation, {"Bucket": "bucket", **ARGUMENTS[operation]}, 200, headers, body)
    found = ours(operation, 200, headers, body)
    for name in READ[operation]:
        assert found.get(name) == theirs.get(name), name


ERROR = (
    b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code><Message>It isn&apos;t there</Message><Key>k</Key>'
    b"<Region>eu-west-1</Region><RequestId>inner</RequestId><HostId>inner host</HostId></Error>"
)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, ERROR),
        (404, b""),
        (403, b""),
        (301, ERROR.replace(b"NoSuchKey", b"PermanentRedirect")),
        (400, b""),
        (412, ERROR.replace(b"NoSuchKey", b"PreconditionFailed")),
        (503, ERROR.replace(b"NoSuchKey", b"SlowDown")),
        (500, b""),
    ],
)
def test_errors_are_botocores(operation: str, status: int, body: bytes) -> None:
    if operation == "HeadObject":
        if status == 301:
            return  # botocore asks for the bucket's region by a HeadBucket, again and again
        body = b""
    headers = {**DATE, "Content-Type": "application/xml"}
    _, theirs = through_botocore(
        operation, {"Bucket": "bucket", **ARGUMENTS[operation]}, status, headers, body
    )
    found = ours(operation, status, headers, body)
    assert isinstance(theirs, ClientError)
    assert isinstance(found, ClientError)
    for name in ("Code", "Message", "Key", "Region"):
        assert found.response["Error"].get(name) == theirs.response["Error"].get(name), name
    metadata: Any = found.response["ResponseMetadata"]
    theirs_too: Any = theirs.response["ResponseMetadata"]
    for name in ("HTTPStatusCode", "HTTPHeaders", "RequestId", "HostId"):
        assert metadata[name] == theirs_too.get(name, metadata[name]), name  # no ids with an error it made up


@pytest.mark.parametrize("operation", ["CopyObject", "CompleteMultipartUpload"])
def test_an_error_after_a_status_of_success(operation: str) -> None:
    body = ERROR.replace(b"NoSuchKey", b"InternalError")
    _, theirs = through_botocore(operation, {"Bucket": "bucket", **ARGUMENTS[operation]}, 200, DATE, body)
    found = ours(operation, 200, DATE, body)
    for error in (found, theirs):
        assert isinstance(error, ClientError)
        assert error.response["Error"]["Code"] == "InternalError"
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 500


ODD = (
    b"",
    b"<",
    b"<html/>",
    b'<?xml version="1.0" encoding="nonsense"?><ListBucketResult/>',
    b'<?xml version="1.0" encoding="utf-7"?><ListBucketResult/>',
    b"<ListBucketResult><Contents/></ListBucketResult>",
    b"<ListBucketResult><EncodingType>url</EncodingType><Contents/><CommonPrefixes/></ListBucketResult>",
    b"<ListBucketResult><Contents><Size>many</Size></Contents></ListBucketResult>",
    b"<ListBucketResult><Contents><LastModified>once</LastModified></Contents></ListBucketResult>",
    b"<ListBucketResult><Contents><LastModified>9e99</LastModified></Contents></ListBucketResult>",
    b"<ListBucketResult><Contents><LastModified/></Contents></ListBucketResult>",
    b"<ListBucketResult><IsTruncated>perhaps</IsTruncated></ListBucketResult>",
    b"<ListBucketResult><KeyCount></KeyCount></ListBucketResult>",
    b"<DeleteResult><Error/><Deleted/></DeleteResult>",
    b"<!DOCTYPE x [<!ENTITY a 'b'>]><ListBucketResult><Name>&a;</Name></ListBucketResult>",
    b"<a>" * 10_000,
    b"\xff\xfe<\x00a\x00/\x00>\x00",
)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("status", [200, 204, 301, 404, 599])
def test_odd_documents_raise_nothing_else(operation: str, status: int) -> None:
    for body in ODD:
        found = ours(operation, status, {"content-length": "1_0", "etag": "e"}, body)
        assert isinstance(found, (dict, ClientError, InvalidResponse)), (body, found)


@given(st.text(max_size=50), st.sampled_from(list(OPERATIONS)))
def test_any_document_raises_nothing_else(text: str, operation: str) -> None:
    for body in (
        text.encode(errors="replace"),
        f"<{OPERATIONS[operation].root or 'a'}>{text}".encode(errors="replace"),
    ):
        assert isinstance(ours(operation, 200, {}, body), (dict, ClientError, InvalidResponse))


def test_a_listed_key_without_a_name_is_no_list() -> None:
    translator = Translator(S3Config(bucket="bucket"), URL, "us-east-1")
    body = b"<ListBucketResult><Name>b</Name><EncodingType>url</EncodingType><Contents/></ListBucketResult>"
    fields = ours("ListObjectsV2", 200, {}, body)
    with pytest.raises(InvalidResponse, match="it has no Key"):
        translator.answer(ListObjects(""), fields, b"")


def test_the_most_that_a_response_may_have() -> None:
    def most(request: GetObject) -> int:
        arguments = Translator(S3Config(bucket="bucket"), URL, None).arguments(request)
        return build("GetObject", arguments, Checksums(send=False, verify=False, md5=False)).most

    assert most(GetObject("k", first=5, length=10)) == 10
    assert most(GetObject("k", first=0, length=1)) == 1
    assert most(replace(GetObject("k"), first=5)) == most(GetObject("k")) == 5 * 1024**4


def test_a_checksum_that_is_wrong() -> None:
    def read(headers: dict[str, str], status: int = 200) -> Any:
        return ours("GetObject", status, {"etag": "e", **headers}, b"data")

    right = "rfPzYw=="
    sums: list[tuple[dict[str, str], int, bool]] = [
        ({"x-amz-checksum-crc32": "AAAAAA=="}, 200, False),
        ({"x-amz-checksum-crc32": "AAAAAA=="}, 206, True),
        ({"x-amz-checksum-crc32": "AAAAAA==-2"}, 200, True),
        ({"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-type": "COMPOSITE"}, 200, True),
        ({"x-amz-checksum-crc32": right}, 200, True),
    ]
    for headers, status, fits in sums:
        assert isinstance(read(headers, status), dict if fits else InvalidResponse), headers


def test_the_root_of_a_document_may_have_another_name() -> None:
    """rclone's answer to CreateMultipartUpload has."""
    body = b"<InitiateMultipartUpload><UploadId>u</UploadId></InitiateMultipartUpload>"
    request = build("CreateMultipartUpload", {"Key": "k"}, Checksums(send=False, verify=False, md5=True))
    assert parse(request, 200, {}, body)["UploadId"] == "u"
