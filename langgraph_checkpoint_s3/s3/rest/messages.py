"""Requests of S3's REST API as HTTP messages, and HTTP responses as botocore's fields. Pure.

An operation's arguments have botocore's names (`translate.py`). `HEADERS` and `QUERY` say where each goes,
`OPERATIONS` what is particular to an operation.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from langgraph_checkpoint_s3.format.pieces import Data, buffers_of
from langgraph_checkpoint_s3.s3.answer_checks import InvalidResponse
from langgraph_checkpoint_s3.s3.rest.documents import (
    ErrorDocument,
    delete_document,
    parts_document,
    read_document,
    read_error,
)
from langgraph_checkpoint_s3.s3.translate import md5_of

HEADERS: Final[Mapping[str, str]] = {
    "BucketKeyEnabled": "x-amz-server-side-encryption-bucket-key-enabled",
    "ContentMD5": "content-md5",
    "ExpectedBucketOwner": "x-amz-expected-bucket-owner",
    "ExpectedSourceBucketOwner": "x-amz-source-expected-bucket-owner",
    "IfMatch": "if-match",
    "IfNoneMatch": "if-none-match",
    "Range": "range",
    "RequestPayer": "x-amz-request-payer",
    "SSEKMSKeyId": "x-amz-server-side-encryption-aws-kms-key-id",
    "ServerSideEncryption": "x-amz-server-side-encryption",
    "StorageClass": "x-amz-storage-class",
    "Tagging": "x-amz-tagging",
    "TaggingDirective": "x-amz-tagging-directive",
}
QUERY: Final[Mapping[str, str]] = {
    "ContinuationToken": "continuation-token",
    "Delimiter": "delimiter",
    "MaxKeys": "max-keys",
    "PartNumber": "partNumber",
    "Prefix": "prefix",
    "StartAfter": "start-after",
    "UploadId": "uploadId",
    "VersionId": "versionId",
}
_WITH_BODY: Final = frozenset({"DeleteObjects", "PutObject", "UploadPart"})
_UNRESERVED: Final = "-._~"
_MAX_DOCUMENT: Final = 32 * 1024 * 1024
"""The most bytes of a document. A page of 1,000 keys has 4 MB if each byte of its longest keys is encoded."""
_MAX_OBJECT: Final = 5 * 1024**4
"""S3's longest object."""
_ARN: Final = "arn:"
_REGION_CODES: Final = frozenset(
    {"AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "400"}
)
"""Codes of a request that was signed for another region. `400` is what a HEAD has, for want of a document."""


class _Operation(NamedTuple):
    """HTTP form of an operation and of its response.

    Attributes:
        method: The HTTP method.
        query: Constant parts of the query.
        subresource: Whether the query is a single name, which is sent without `=`.
        root: The root element of its response's document; empty if there is none.
    """

    method: str
    query: Mapping[str, str] = {}
    subresource: bool = False
    root: str = ""


OPERATIONS: Final[Mapping[str, _Operation]] = {
    "PutObject": _Operation("PUT"),
    "GetObject": _Operation("GET"),
    "HeadObject": _Operation("HEAD"),
    "ListObjectsV2": _Operation("GET", {"list-type": "2", "encoding-type": "url"}, root="ListBucketResult"),
    "DeleteObjects": _Operation("POST", {"delete": ""}, subresource=True, root="DeleteResult"),
    "CopyObject": _Operation("PUT", root="CopyObjectResult"),
    "CreateMultipartUpload": _Operation(
        "POST", {"uploads": ""}, subresource=True, root="InitiateMultipartUploadResult"
    ),
    "UploadPart": _Operation("PUT"),
    "CompleteMultipartUpload": _Operation("POST", root="CompleteMultipartUploadResult"),
    "AbortMultipartUpload": _Operation("DELETE"),
}
"""The operations of the data plane."""


class Checksums(NamedTuple):
    """Checksums of bodies.

    Attributes:
        send: Whether each body is sent with a CRC-32; otherwise only where S3 requires a checksum.
        verify: Whether to ask for an object's checksum, and compare it.
        md5: Whether an MD5 goes along where a checksum is required: older stores know no other.
        signed: Whether each signature has the SHA-256 of its body, which then needs no MD5.
    """

    send: bool
    verify: bool
    md5: bool
    signed: bool = False


class HttpRequest(NamedTuple):
    """A request before it is signed.

    Attributes:
        operation: S3's name of the operation.
        method: The HTTP method.
        path: The path below the endpoint's, percent-encoded.
        query: The canonical query.
        target_query: The query as it is sent.
        headers: The headers to sign, by their names in lower case.
        body: The body.
        most: The most bytes that the response's body may have.
    """

    operation: str
    method: str
    path: str
    query: str
    target_query: str
    headers: dict[str, str]
    body: Data
    most: int


def build(operation: str, arguments: Mapping[str, Any], checksums: Checksums) -> HttpRequest:
    """Return the request for an operation with these arguments."""
    form = OPERATIONS[operation]
    headers: dict[str, str] = {}
    query: dict[str, str] = dict(form.query)
    path = "/"
    body: Data = b""
    for name, value in arguments.items():
        if name in HEADERS:
            headers[HEADERS[name]] = str(value).lower() if value is True or value is False else value
        elif name in QUERY:
            query[QUERY[name]] = str(value)
        elif name == "Key":
            path = f"/{quote(value, '/' + _UNRESERVED)}"
        elif name == "Body":
            body = value
        elif name == "Delete":
            body = delete_document(value["Objects"])
        elif name == "MultipartUpload":
            body = parts_document(value["Parts"])
        elif name == "CopySource":
            headers["x-amz-copy-source"] = _copy_source(value)
        elif name != "Bucket":  # which is a part of the endpoint
            raise AssertionError(f"{operation} has no place for {name}")
    _add_checksum(operation, headers, body, checksums)
    text = "&".join([f"{name}={quote(query[name], _UNRESERVED)}" for name in sorted(query)]) if query else ""
    target = text[:-1] if form.subresource else text
    return HttpRequest(operation, form.method, path, text, target, headers, body, _most(operation, headers))


def parse(
    request: HttpRequest, status: int, headers: dict[str, str], body: bytes | memoryview
) -> dict[str, Any]:
    """Return a response's fields, as botocore would.

    Raises:
        ClientError: It is an error.
        InvalidResponse: It can't be parsed, or its checksum is wrong.
    """
    metadata: dict[str, Any] = {
        "HTTPStatusCode": status,
        "HTTPHeaders": headers,
        "RequestId": headers.get("x-amz-request-id", ""),
        "HostId": headers.get("x-amz-id-2", ""),
        "RetryAttempts": 0,
    }
    if status >= 300:
        raise _error(request, status, metadata, read_error(bytes(body)))
    operation = request.operation
    root = OPERATIONS[operation].root
    try:
        fields = read_document(bytes(body), root) if root else {}
    except ErrorDocument as error:
        raise _error(request, 500, metadata, error.details) from None
    fields["ResponseMetadata"] = metadata
    tag = headers.get("etag")
    if tag is not None:
        fields["ETag"] = tag
    if operation == "GetObject":
        length = headers.get("content-length", "")
        fields["ContentLength"] = int(length) if length.isdecimal() and len(length) < 20 else len(body)
        fields["ContentRange"] = headers.get("content-range")
        _verify_checksum(status, headers, body)
    return fields


def lacks_md5(error: Exception) -> bool:
    """Return whether a store refuses a request because it has no MD5, as with Object Lock."""
    details: Mapping[str, Any] = getattr(error, "response", {}).get("Error", {})
    code, message = details.get("Code", ""), str(details.get("Message", ""))
    return code == "MissingContentMD5" or (code == "InvalidRequest" and "content-md5" in message.lower())


def region_of_error(error: Exception) -> str | None:
    """Return the region that an error of S3's says the bucket is in; `None` if it names none."""
    response: Mapping[str, Any] = getattr(error, "response", {})
    metadata = response.get("ResponseMetadata", {})
    details = response.get("Error", {})
    status = metadata.get("HTTPStatusCode", 0)
    code = details.get("Code", "")
    if not (300 <= status < 400 or (status == 400 and code in _REGION_CODES)):
        return None
    return metadata.get("HTTPHeaders", {}).get("x-amz-bucket-region") or details.get("Region") or None


def _most(operation: str, headers: Mapping[str, str]) -> int:
    if operation != "GetObject":
        return _MAX_DOCUMENT
    wanted = headers.get("range", "").removeprefix("bytes=").partition("-")
    # A store that ignores the range would send the whole object, which may be of any size.
    return int(wanted[2]) - int(wanted[0]) + 1 if wanted[2] else _MAX_OBJECT


def _copy_source(source: Mapping[str, str]) -> str:
    between = "/object/" if source["Bucket"].startswith(_ARN) else "/"
    text = quote(source["Bucket"] + between + source["Key"], "/" + _UNRESERVED)
    return f"{text}?versionId={source['VersionId']}" if "VersionId" in source else text


def _add_checksum(operation: str, headers: dict[str, str], body: Data, checksums: Checksums) -> None:
    if operation == "GetObject":
        if checksums.verify:
            headers["x-amz-checksum-mode"] = "ENABLED"
    elif operation == "CreateMultipartUpload":
        if checksums.send:
            headers["x-amz-checksum-algorithm"] = "CRC32"
    elif operation in _WITH_BODY:
        required = operation == "DeleteObjects"
        if required or checksums.send:
            headers["x-amz-checksum-crc32"] = crc32(body)
        if checksums.md5 if required else not (checksums.send or checksums.signed):
            digest = md5_of(body)
            if digest is not None:
                headers["content-md5"] = digest


def crc32(body: Data) -> str:
    """Return the CRC-32 of a body as S3 writes it."""
    crc = 0
    for buffer in buffers_of(body):
        crc = zlib.crc32(buffer, crc)
    return base64.b64encode(crc.to_bytes(4, "big")).decode()


def _verify_checksum(status: int, headers: Mapping[str, str], body: Data) -> None:
    """Compare a whole object with its checksum, unless that is a checksum of its parts' checksums."""
    said = headers.get("x-amz-checksum-crc32")
    if said is None or status != 200 or "-" in said or headers.get("x-amz-checksum-type") == "COMPOSITE":
        return
    if said != crc32(body):
        raise InvalidResponse("its CRC-32 isn't that of its bytes")


def _error(request: HttpRequest, status: int, metadata: dict[str, Any], details: dict[str, Any]) -> Exception:
    """Return S3's error as botocore raises it: without details, by its status."""
    from botocore.exceptions import ClientError  # needed only on errors

    if not details.get("Code"):
        try:
            phrase = HTTPStatus(status).phrase
        except ValueError:
            phrase = ""
        details = {"Code": str(status), "Message": phrase, **details}
    metadata["HTTPStatusCode"] = status
    metadata["RequestId"] = metadata["RequestId"] or details.get("RequestId", "")
    metadata["HostId"] = metadata["HostId"] or details.get("HostId", "")
    response: Any = {"Error": details, "ResponseMetadata": metadata}
    return ClientError(response, request.operation)
